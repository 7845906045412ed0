//! One push, as the runner and its hook program share it: a private directory per push.
//!
//! The runner writes the order ([`order`]) into it and links the hooks ([`hooks`]) to its copy of the program ([`program`]), the hook
//! program adds its proof and its reports ([`report`]), hook scripts their log lines ([`log_lines`]). [`directory`] owns it, reads it
//! and git's report ([`status`]) at the end and removes it. The hook program finds it as the parent of `GITWARD_LOG_DIR`, so that the
//! environment of hooks holds nothing that is not documented.

pub mod directory;
pub mod hooks;
pub mod layout;
pub mod log_lines;
pub mod order;
pub mod program;
pub mod proof;
pub mod report;
pub mod status;
mod stragglers;
