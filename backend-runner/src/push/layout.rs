//! The names of the files in a push's private directory.

/// What is asked of the hook program: see [`super::order`].
pub const ORDER: &str = "push.json";
/// The order in short, for `update`, which is started once for every ref.
pub const SHORT: &str = "short";
/// What pre-receive accepted: see [`super::proof`].
pub const PROOF: &str = "proof";
/// What the hooks say about their verdict: see [`super::report`].
pub const REPORTS: &str = "reports";
/// What git says it has applied: the standard input of post-receive, where that runs.
pub const APPLIED: &str = "applied";
/// The standard input of a hook, to be replayed.
pub const REPLAY: &str = "stdin";
/// The hooks that git finds: see [`super::hooks`].
pub const HOOKS: &str = "hooks";
/// Where hook scripts log to.
pub const LOG: &str = "log";
/// There as soon as pre-receive runs.
pub const BEGAN: &str = "began";
