//! Is this commit in the history of that one? All questions of a push in one git process, however many there are, and in none
//! when the commits it brings answer them (see [`quarantine`]).
//!
//! One question is `git merge-base --is-ancestor`. Several are one walk over the history of all the later commits: every
//! commit gets a bit for each later commit that reaches it, its parents inherit the bits, and the walk ends when every
//! question is answered yes. git prints children before parents, except where clocks were wrong; then what a parent has
//! learned late is handed down again. The answer is exact, whatever the order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::rc::Rc;

use policy::push::Ancestry;
use policy::ref_update::ObjectId;

use super::git::{AskError, Git};
use super::quarantine;

/// Those of the questions that are answered yes.
pub(super) fn answer(git: &Git<'_>, questions: BTreeSet<Ancestry>) -> Result<BTreeSet<Ancestry>, AskError> {
    let mut yes = quarantine::answer(&questions);
    let open = questions.difference(&yes).cloned().collect();
    yes.extend(ask(git, open)?);
    Ok(yes)
}

fn ask(git: &Git<'_>, questions: BTreeSet<Ancestry>) -> Result<BTreeSet<Ancestry>, AskError> {
    if questions.len() > 1 {
        return walk(git, questions);
    }
    let Some(Ancestry { ancestor, descendant }) = questions.first() else { return Ok(questions) };
    let words = ["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()];
    Ok(if git.yes(&words)? { questions } else { BTreeSet::new() })
}

fn walk(git: &Git<'_>, questions: BTreeSet<Ancestry>) -> Result<BTreeSet<Ancestry>, AskError> {
    let mut graph = Graph::new(&questions);
    let mut input = Vec::new();
    for descendant in graph.sources.keys() {
        input.extend_from_slice(descendant.as_str().as_bytes());
        input.push(b'\n');
    }
    let command = git.command(&["rev-list", "--parents", "--stdin"]);
    git.records(command, input, b'\n', |line| {
        let line = std::str::from_utf8(line).map_err(|_| AskError::Nonsense("rev-list"))?;
        graph.visit(line);
        Ok(if graph.open == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let yes = graph.yes;
    Ok(questions.into_iter().zip(yes).filter_map(|(question, yes)| yes.then_some(question)).collect())
}

/// A set of later commits, 64 to a word; most commits share that of their only child.
type Bits = Rc<[u64]>;

/// As much of the history as was walked.
struct Graph {
    /// The later commits, numbered.
    sources: BTreeMap<ObjectId, usize>,
    numbers: HashMap<Box<str>, usize>,
    nodes: Vec<Node>,
    /// The answers, in the order of the questions.
    yes: Vec<bool>,
    open: usize,
}

struct Node {
    reached_from: Bits,
    parents: Vec<usize>,
    /// The questions that have this commit as the earlier one: their number, and the number of the later one.
    asked: Vec<(usize, usize)>,
}

impl Graph {
    fn new(questions: &BTreeSet<Ancestry>) -> Self {
        let descendants: BTreeSet<_> = questions.iter().map(|question| question.descendant.clone()).collect();
        let sources: BTreeMap<_, _> =
            descendants.into_iter().enumerate().map(|(number, id)| (id, number)).collect();
        let (count, open) = (sources.len(), questions.len());
        let mut graph =
            Self { sources, numbers: HashMap::new(), nodes: Vec::new(), yes: vec![false; open], open };
        for (number, question) in questions.iter().enumerate() {
            let source = graph.sources[&question.descendant];
            let node = graph.number(question.ancestor.as_str());
            graph.nodes[node].asked.push((number, source));
        }
        for (id, source) in graph.sources.clone() {
            let mut bits = vec![0; count.div_ceil(64)];
            bits[source / 64] |= 1 << (source % 64);
            let node = graph.number(id.as_str());
            graph.nodes[node].reached_from = bits.into();
        }
        graph
    }

    /// Takes in one commit and its parents.
    fn visit(&mut self, line: &str) {
        let mut ids = line.split(' ');
        let Some(commit) = ids.next().map(|id| self.number(id)) else { return };
        let parents: Vec<_> = ids.map(|id| self.number(id)).collect();
        self.nodes[commit].parents = parents;
        let mut changed = vec![commit];
        while let Some(node) = changed.pop() {
            let bits = Rc::clone(&self.nodes[node].reached_from);
            for parent in self.nodes[node].parents.clone() {
                // A parent that is not printed yet has no parents yet, and ends this at once.
                if self.learn(parent, &bits) {
                    changed.push(parent);
                }
            }
        }
    }

    /// Adds to what reaches a commit; whether that was news.
    fn learn(&mut self, number: usize, bits: &Bits) -> bool {
        let node = &mut self.nodes[number];
        let known = &node.reached_from;
        if Rc::ptr_eq(known, bits) || is_subset(bits, known) {
            return false;
        }
        node.reached_from = if is_subset(known, bits) { Rc::clone(bits) } else { union(known, bits) };
        let reached = |source: usize| node.reached_from[source / 64] & 1 << (source % 64) != 0;
        let answered: Vec<_> = node.asked.extract_if(.., |(_, source)| reached(*source)).collect();
        for (question, _) in answered {
            self.yes[question] = true;
            self.open -= 1;
        }
        true
    }

    fn number(&mut self, id: &str) -> usize {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = self.nodes.len();
        self.nodes.push(Node { reached_from: Rc::new([]), parents: Vec::new(), asked: Vec::new() });
        self.numbers.insert(id.into(), number);
        number
    }
}

/// Sets of different lengths: a missing word is an empty one.
fn is_subset(part: &[u64], whole: &[u64]) -> bool {
    part.iter().enumerate().all(|(at, word)| word & !whole.get(at).unwrap_or(&0) == 0)
}

fn union(one: &[u64], other: &[u64]) -> Bits {
    let length = one.len().max(other.len());
    (0..length).map(|at| one.get(at).unwrap_or(&0) | other.get(at).unwrap_or(&0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: usize) -> ObjectId {
        ObjectId::parse(&format!("{number:040x}")).unwrap()
    }

    /// Commit `n` has the parents of line `n`, all of smaller numbers; `order` is how git prints them.
    fn answers(parents: &[Vec<usize>], order: &[usize], questions: &BTreeSet<Ancestry>) -> Vec<bool> {
        let mut graph = Graph::new(questions);
        for commit in order {
            let mut line = id(*commit).to_string();
            for parent in &parents[*commit] {
                line.push_str(&format!(" {}", id(*parent)));
            }
            graph.visit(&line);
        }
        assert_eq!(graph.open, graph.yes.iter().filter(|yes| !**yes).count());
        graph.yes
    }

    fn reaches(parents: &[Vec<usize>], from: usize, to: usize) -> bool {
        from == to || parents[from].iter().any(|parent| reaches(parents, *parent, to))
    }

    proptest! {
        #[test]
        fn the_answers_are_those_of_the_definition_in_any_order(
            seed in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 2..12),
            pairs in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..80),
            order in any::<prop::sample::Index>(),
        ) {
            let count = seed.len();
            let parents: Vec<Vec<usize>> = seed.iter().enumerate()
                .map(|(at, parents)| if at == 0 { vec![] } else { parents.iter().map(|p| p.index(at)).collect() })
                .collect();
            let questions: BTreeSet<Ancestry> = pairs.iter()
                .map(|(a, d)| (a.index(count), d.index(count)))
                .filter(|(a, d)| a != d)
                .map(|(a, d)| Ancestry { ancestor: id(a), descendant: id(d) })
                .collect();
            let mut printed: Vec<usize> = (0..count).rev().collect();
            printed.rotate_left(order.index(count));
            let expected: Vec<bool> = questions.iter()
                .map(|q| {
                    let number = |id: &ObjectId| usize::from_str_radix(id.as_str(), 16).unwrap();
                    reaches(&parents, number(&q.descendant), number(&q.ancestor))
                })
                .collect();
            prop_assert_eq!(answers(&parents, &printed, &questions), expected);
        }
    }
}
