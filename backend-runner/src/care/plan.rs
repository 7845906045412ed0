//! What a repository in some condition needs: a pure decision.
//!
//! A repository that is in order needs nothing, so looking often costs little.

use std::fmt;

use super::condition::Condition;

/// Something git can do for a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Put refs that are files of their own into one file.
    PackRefs,
    /// Put new objects and small packs together until each pack is at least twice as large as the next, and index them all at once.
    Repack {
        /// Whether an index of what each commit reaches is written too: not for a repository that borrows objects.
        bitmap: bool,
    },
    /// Write down parents and dates of commits.
    CommitGraph,
}

impl Task {
    /// The label in metrics and the word in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PackRefs => "pack-refs",
            Self::Repack { .. } => "repack",
            Self::CommitGraph => "commit-graph",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// So many loose refs, objects or packs are worth a git process.
const LOOSE_REFS: usize = 50;
const LOOSE_OBJECTS: usize = 1000;
const PACKS: usize = 5;

/// What is needed, in the order in which it is best done, each with its reason.
pub(super) fn needed(condition: &Condition) -> Vec<(Task, String)> {
    let mut needed = Vec::new();
    if condition.loose_refs >= LOOSE_REFS {
        needed.push((Task::PackRefs, format!("{} loose refs", condition.loose_refs)));
    }
    let bitmap = !condition.borrows;
    let repack = if condition.loose_objects >= LOOSE_OBJECTS {
        Some(format!("{} loose objects", condition.loose_objects))
    } else if condition.new_packs > PACKS {
        Some(format!("{} new packs", condition.new_packs))
    } else if bitmap && condition.new_packs > 0 && !condition.has_bitmap {
        Some("no bitmap".to_owned())
    } else {
        None
    };
    let has_packs = condition.new_packs > 0 || condition.has_bitmap;
    let graph = match &repack {
        Some(_) => Some("repacked"),
        None if has_packs && !condition.has_graph => Some("none since the last repack"),
        None => None,
    };
    needed.extend(repack.map(|reason| (Task::Repack { bitmap }, reason)));
    needed.extend(graph.map(|reason| (Task::CommitGraph, reason.to_owned())));
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_ORDER: Condition = Condition {
        loose_refs: 3,
        loose_objects: 10,
        new_packs: 2,
        has_bitmap: true,
        borrows: false,
        has_graph: true,
    };

    fn tasks(condition: &Condition) -> Vec<Task> {
        needed(condition).into_iter().map(|(task, _)| task).collect()
    }

    #[test]
    fn a_repository_in_order_needs_nothing() {
        assert_eq!(tasks(&IN_ORDER), []);
        let empty = Condition { new_packs: 0, has_bitmap: false, has_graph: false, ..IN_ORDER };
        assert_eq!(tasks(&empty), []);
    }

    #[test]
    fn each_disorder_is_mended_by_its_task() {
        let repack = [Task::Repack { bitmap: true }, Task::CommitGraph];
        assert_eq!(tasks(&Condition { loose_refs: 50, ..IN_ORDER }), [Task::PackRefs]);
        assert_eq!(tasks(&Condition { loose_objects: 1000, ..IN_ORDER }), repack);
        assert_eq!(tasks(&Condition { new_packs: 6, ..IN_ORDER }), repack);
        assert_eq!(tasks(&Condition { has_bitmap: false, ..IN_ORDER }), repack);
        assert_eq!(tasks(&Condition { has_graph: false, ..IN_ORDER }), [Task::CommitGraph]);
    }

    #[test]
    fn a_repository_that_borrows_objects_gets_no_bitmap() {
        let borrows = Condition { borrows: true, has_bitmap: false, ..IN_ORDER };
        assert_eq!(tasks(&borrows), []);
        assert_eq!(tasks(&Condition { new_packs: 9, ..borrows })[0], Task::Repack { bitmap: false });
    }
}
