//! The names of the files in a push's private directory, besides those of hooks (see [`super::hooks`]). A plain push makes two, the
//! order and the proof: each costs the file system about as much as anything else a push does here.

/// What is asked of the hook program: see [`super::order`].
pub const ORDER: &str = "order";
/// What pre-receive accepted: see [`super::proof`].
pub const PROOF: &str = "proof";
/// What the hooks say about their verdict: see [`super::report`].
pub const REPORTS: &str = "reports";
/// What git says it has applied: the standard input of post-receive, where that runs.
pub const APPLIED: &str = "applied";
/// The standard input of a hook, to be replayed.
pub const REPLAY: &str = "stdin";
/// Where hook scripts log to; made when there is one.
pub const LOG: &str = "log";
/// There as soon as pre-receive runs: another name of the order.
pub const BEGAN: &str = "began";
