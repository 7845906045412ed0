//! The cells of the matrix: who, what, where, in which version, and what must come of it.

use policy::git_request::Access;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Caller {
    Anonymous,
    Reader,
    Writer,
    Outsider,
    WrongPassword,
    UnknownUser,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operation {
    Clone,
    LsRemote,
    Fetch,
    Push,
    NewBranch,
    Delete,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) path: &'static str,
    pub(crate) open: bool,
    pub(crate) exists: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) number: usize,
    pub(crate) caller: Caller,
    pub(crate) operation: Operation,
    pub(crate) place: Place,
    pub(crate) version: u8,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Done,
    Unauthorized,
    Forbidden,
    Broken(String),
}

const CALLERS: [Caller; 6] = [
    Caller::Anonymous,
    Caller::Reader,
    Caller::Writer,
    Caller::Outsider,
    Caller::WrongPassword,
    Caller::UnknownUser,
];

const OPERATIONS: [Operation; 6] = [
    Operation::Clone,
    Operation::LsRemote,
    Operation::Fetch,
    Operation::Push,
    Operation::NewBranch,
    Operation::Delete,
];

pub(crate) const PLACES: [Place; 8] = [
    Place { path: "app.git", open: false, exists: true },
    Place { path: "team/app.git", open: false, exists: true },
    Place { path: "team/sub/deep/app.git", open: false, exists: true },
    Place { path: "team/absent.git", open: false, exists: false },
    Place { path: "public.git", open: true, exists: true },
    Place { path: "open/app.git", open: true, exists: true },
    Place { path: "open/sub/deep/app.git", open: true, exists: true },
    Place { path: "open/absent.git", open: true, exists: false },
];

/// Every combination.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for place in PLACES {
        for operation in OPERATIONS {
            for caller in CALLERS {
                for version in [0, 1, 2] {
                    cells.push(Cell { number: cells.len(), caller, operation, place, version });
                }
            }
        }
    }
    cells
}

impl Operation {
    pub(crate) fn access(self) -> Access {
        match self {
            Self::Clone | Self::LsRemote | Self::Fetch => Access::Read,
            Self::Push | Self::NewBranch | Self::Delete => Access::Write,
        }
    }
}

impl Cell {
    /// The table of rights, by hand.
    pub(crate) fn permitted(&self) -> bool {
        match (self.caller, self.operation.access()) {
            (Caller::Writer, _) | (Caller::Reader, Access::Read) => true,
            (Caller::Anonymous | Caller::Outsider, Access::Read) => self.place.open,
            _ => false,
        }
    }

    pub(crate) fn expected(&self) -> Outcome {
        match self.caller {
            Caller::WrongPassword | Caller::UnknownUser => Outcome::Unauthorized,
            _ if self.permitted() && self.place.exists => Outcome::Done,
            Caller::Anonymous if !self.permitted() => Outcome::Unauthorized,
            _ => Outcome::Forbidden,
        }
    }

    pub(crate) fn branch(&self) -> String {
        format!("refs/heads/cell-{}", self.number)
    }
}
