//! The proof that pre-receive was asked and accepted: the nonce of the push, and every update it accepted.
//!
//! `update` looks its ref up by text search, for it is started once for every ref; the runner reads it all once. The file is
//! written under another name and renamed, so that half a proof is none.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use policy::push::Change;
use policy::ref_update::{ObjectId, RefName, RefUpdate};

use super::layout::PROOF;

/// Writes the proof into a push's directory.
///
/// # Errors
/// When the file system refuses; then there is no proof.
pub fn write<'u>(
    directory: &Path,
    nonce: &str,
    accepted: impl Iterator<Item = (&'u RefUpdate, Change)>,
) -> io::Result<()> {
    let mut text = format!("{nonce}\n");
    for (update, change) in accepted {
        let RefUpdate { old, new, name } = update;
        let _ = writeln!(text, "{name} {old} {new} {}", change.as_str());
    }
    let unfinished = directory.join("proof.new");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(unfinished, directory.join(PROOF))
}

/// Whether `proof` names the nonce and exactly this update.
#[must_use]
pub fn covers(proof: &str, nonce: &str, name: &str, old: &str, new: &str) -> bool {
    let Some(accepted) = proof.strip_prefix(nonce).filter(|rest| rest.starts_with('\n')) else {
        return false;
    };
    !nonce.is_empty() && accepted.contains(&format!("\n{name} {old} {new} "))
}

/// The accepted updates in git's order, each with what it does to its ref, when the proof names the nonce.
#[must_use]
pub fn read(proof: &str, nonce: &str) -> Option<Vec<(RefUpdate, String)>> {
    let accepted = proof.strip_prefix(nonce)?.strip_prefix('\n')?;
    let updates = accepted.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let name = RefName::parse(fields.next()?)?;
        let (old, new) = (ObjectId::parse(fields.next()?)?, ObjectId::parse(fields.next()?)?);
        Some((RefUpdate { old, new, name }, fields.next()?.to_owned()))
    });
    Some(updates.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef01234567";
    const B: &str = "1123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_proof_covers_the_accepted_updates_of_its_own_push_only() {
        let directory = tempfile::tempdir().unwrap();
        let update = RefUpdate::parse(format!("{A} {B} refs/heads/a").as_bytes()).unwrap();
        write(directory.path(), "n0nce", [(&update, Change::Force)].into_iter()).unwrap();
        let proof = std::fs::read_to_string(directory.path().join(PROOF)).unwrap();
        assert!(covers(&proof, "n0nce", "refs/heads/a", A, B));
        for (nonce, name, old, new) in [
            ("n0nc", "refs/heads/a", A, B),
            ("", "refs/heads/a", A, B),
            ("other", "refs/heads/a", A, B),
            ("n0nce", "refs/heads/a", B, A),
            ("n0nce", "heads/a", A, B),
            ("n0nce", "refs/heads/ab", A, B),
        ] {
            assert!(!covers(&proof, nonce, name, old, new), "{nonce} {name}");
        }
        assert_eq!(read(&proof, "n0nce"), Some(vec![(update, "force".to_owned())]));
        assert_eq!(read(&proof, "n0nc"), None);
    }
}
