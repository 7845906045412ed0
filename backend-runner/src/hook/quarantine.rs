//! Ancestry that the push's own commits show: the commits it brings stand as loose objects in the quarantine, so the answer to
//! "does the new commit build on the old one" is mostly read there, without a git process.
//!
//! Only yes is ever answered: objects are named by their content, so a commit that names the other one as a parent, or
//! whose parent does, is after it whatever else is true. What is packed, older, too much, unreadable or not found is
//! git's question, and so is everything in a shallow repository, whose history ends where git is told and not where objects say.
//! See gitformat-pack(5) and git-unpack-objects(1).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use policy::push::Ancestry;
use policy::ref_update::ObjectId;

/// How many commits are looked at for all questions of a push; git leaves no more than a hundred objects loose by itself.
const COMMITS: usize = 256;

/// How much of a commit is read: its parents are at the beginning.
const BEGINNING: u64 = 4096;

/// Those of the questions that the quarantine of this push answers with yes.
pub(super) fn answer(questions: &BTreeSet<Ancestry>) -> BTreeSet<Ancestry> {
    let shallow = Path::new("shallow").exists() || std::env::var_os("GIT_SHALLOW_FILE").is_some();
    match std::env::var_os("GIT_QUARANTINE_PATH").filter(|_| !shallow) {
        Some(quarantine) => answer_in(quarantine.into(), questions),
        None => BTreeSet::new(),
    }
}

fn answer_in(objects: PathBuf, questions: &BTreeSet<Ancestry>) -> BTreeSet<Ancestry> {
    let mut loose = Loose { objects, read: HashMap::new(), left: COMMITS };
    questions.iter().filter(|question| loose.shows(question)).cloned().collect()
}

/// The loose commits of one directory of objects.
struct Loose {
    objects: PathBuf,
    /// The parents of each commit that was looked for; none for what is no loose commit.
    read: HashMap<ObjectId, Vec<ObjectId>>,
    /// How many steps may still be taken.
    left: usize,
}

impl Loose {
    /// Whether a walk from the later commit meets the earlier one.
    fn shows(&mut self, question: &Ancestry) -> bool {
        let (mut next, mut seen) = (VecDeque::from([question.descendant.clone()]), BTreeSet::new());
        while let Some(commit) = next.pop_front() {
            let Some(left) = self.left.checked_sub(1) else { return false };
            self.left = left;
            let parents = self.parents(&commit);
            if parents.contains(&question.ancestor) {
                return true;
            }
            next.extend(parents.iter().filter(|parent| seen.insert((*parent).clone())).cloned());
        }
        false
    }

    fn parents(&mut self, commit: &ObjectId) -> &[ObjectId] {
        if !self.read.contains_key(commit) {
            let parents = self.load(commit).unwrap_or_default();
            self.read.insert(commit.clone(), parents);
        }
        self.read.get(commit).map_or(&[], Vec::as_slice)
    }

    fn load(&self, commit: &ObjectId) -> Option<Vec<ObjectId>> {
        let (folder, file) = commit.as_str().split_at(2);
        let file = File::open(self.objects.join(folder).join(file)).ok()?;
        let mut beginning = Vec::new();
        // Bytes that are no zlib end the reading, and what came before them has to do.
        let _ = ZlibDecoder::new(file).take(BEGINNING).read_to_end(&mut beginning);
        parents(&beginning, commit.as_str().len())
    }
}

/// The parents that a commit names, whose ids are `digits` long; `None` when it is no commit.
fn parents(object: &[u8], digits: usize) -> Option<Vec<ObjectId>> {
    let end = object.iter().position(|byte| *byte == 0)?;
    let length = object[..end].strip_prefix(b"commit ")?;
    let plausible = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let mut lines = object[end + 1..].split(|byte| *byte == b'\n');
    let mut id = |name: &[u8]| {
        let id = std::str::from_utf8(lines.next()?.strip_prefix(name)?).ok()?;
        ObjectId::parse(id).filter(|id| id.as_str().len() == digits)
    };
    id(b"tree ").filter(|_| plausible)?;
    Some(std::iter::from_fn(|| id(b"parent ")).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    fn id(number: usize, digits: usize) -> ObjectId {
        ObjectId::parse(&format!("{number:0digits$x}")).unwrap()
    }

    fn question(ancestor: usize, descendant: usize, digits: usize) -> Ancestry {
        Ancestry { ancestor: id(ancestor, digits), descendant: id(descendant, digits) }
    }

    fn put(objects: &Path, id: &ObjectId, object: &[u8]) {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(object).unwrap();
        put_raw(objects, id, &packed.finish().unwrap());
    }

    fn put_raw(objects: &Path, id: &ObjectId, bytes: &[u8]) {
        let (folder, file) = id.as_str().split_at(2);
        std::fs::create_dir_all(objects.join(folder)).unwrap();
        std::fs::write(objects.join(folder).join(file), bytes).unwrap();
    }

    fn commit(parents: &[usize], digits: usize) -> Vec<u8> {
        let parents: String =
            parents.iter().map(|parent| format!("parent {}\n", id(*parent, digits))).collect();
        let text = format!("tree {}\n{parents}author A <a@b> 0 +0000\n\nparent of all\n", id(0, digits));
        [format!("commit {}\0", text.len()).as_bytes(), text.as_bytes()].concat()
    }

    fn says_yes(objects: &Path, question: &Ancestry) -> bool {
        !answer_in(objects.to_owned(), &BTreeSet::from([question.clone()])).is_empty()
    }

    #[test]
    fn a_commit_is_after_its_parents_and_theirs_in_both_formats() {
        for digits in [40, 64] {
            let objects = tempfile::tempdir().unwrap();
            put(objects.path(), &id(7, digits), &commit(&[4, 6], digits));
            put(objects.path(), &id(6, digits), &commit(&[5], digits));
            for (ancestor, yes) in [(4, true), (6, true), (5, true), (7, false), (3, false)] {
                assert_eq!(says_yes(objects.path(), &question(ancestor, 7, digits)), yes, "{ancestor}");
            }
            assert!(!says_yes(objects.path(), &question(3, 4, digits)), "what is not here is not known");
        }
    }

    #[test]
    fn what_is_no_commit_answers_nothing() {
        let objects = tempfile::tempdir().unwrap();
        let good = commit(&[1], 40);
        let texts: [&[u8]; 7] = [
            b"",
            b"commit",
            b"commit 10\0",
            b"commit x\0tree 0000000000000000000000000000000000000000\nparent 0000000000000000000000000000000000000001\n",
            &good[..60],
            &[b"tag", &good[6..]].concat(),
            &[b"commit 9\0\n", &good[9..]].concat(),
        ];
        for (number, text) in texts.into_iter().enumerate() {
            put(objects.path(), &id(2, 40), text);
            assert!(!says_yes(objects.path(), &question(1, 2, 40)), "{number}");
        }
        put_raw(objects.path(), &id(2, 40), b"not zlib");
        assert!(!says_yes(objects.path(), &question(1, 2, 40)));
        put(objects.path(), &id(2, 64), &good);
        assert!(!says_yes(objects.path(), &question(1, 2, 64)), "ids of another length");
        // A parent in the message is none.
        put(
            objects.path(),
            &id(2, 40),
            &[&commit(&[], 40)[..], format!("parent {}\n", id(1, 40)).as_bytes()].concat(),
        );
        assert!(!says_yes(objects.path(), &question(1, 2, 40)));
    }

    #[test]
    fn a_circle_and_a_long_walk_come_to_an_end() {
        let objects = tempfile::tempdir().unwrap();
        put(objects.path(), &id(1, 40), &commit(&[2], 40));
        put(objects.path(), &id(2, 40), &commit(&[1, 2], 40));
        assert!(!says_yes(objects.path(), &question(9, 1, 40)));
        for number in 10..10 + 2 * COMMITS {
            put(objects.path(), &id(number, 40), &commit(&[number - 1], 40));
        }
        assert!(says_yes(objects.path(), &question(9, 9 + COMMITS, 40)));
        assert!(!says_yes(objects.path(), &question(9, 10 + COMMITS, 40)), "it was given up");
        let many: BTreeSet<_> = (10..10 + COMMITS).map(|number| question(number - 1, number, 40)).collect();
        assert_eq!(answer_in(objects.path().to_owned(), &many), many, "one step for each question");
    }

    proptest! {
        #[test]
        fn garbage_answers_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parents(&bytes, 40).is_none_or(|parents| parents.is_empty()));
        }

        #[test]
        fn every_yes_is_true_by_the_definition(
            seed in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 2..9),
            absent in any::<u16>(),
        ) {
            let objects = tempfile::tempdir().unwrap();
            let parents: Vec<Vec<usize>> = seed.iter().enumerate()
                .map(|(at, parents)| if at == 0 { vec![] } else { parents.iter().map(|p| p.index(at)).collect() })
                .collect();
            for (number, parents) in parents.iter().enumerate().filter(|(number, _)| absent & 1 << number == 0) {
                put(objects.path(), &id(number, 40), &commit(parents, 40));
            }
            for (ancestor, descendant) in (0..seed.len()).flat_map(|a| (0..seed.len()).map(move |d| (a, d))) {
                let reached = reaches(&parents, descendant, ancestor);
                if says_yes(objects.path(), &question(ancestor, descendant, 40)) {
                    prop_assert!(reached);
                } else if absent == 0 && ancestor != descendant {
                    prop_assert!(!reached);
                }
            }
        }
    }

    fn reaches(parents: &[Vec<usize>], from: usize, to: usize) -> bool {
        parents[from].iter().any(|parent| *parent == to || reaches(parents, *parent, to))
    }
}
