//! Gitward's pure core, shared by both daemons and the hooks: what a request is, who may do what, and how that is signed.
//!
//! Bytes come in, values go out. There is no I/O, no clock, no logging and no async here, and nothing moves in that only one
//! daemon needs. The way of a request: [`GitRequest::parse`](git_request::GitRequest::parse) →
//! [`Policy::decide`] → [`decision::sign`] in authd, [`decision::verify`] in backend-runner.
//!
//! - [`repo_path`], [`git_request`], [`web_request`], [`list_request`]: the closed grammar of repositories and requests.
//! - [`identity`], [`subject`]: callers, and whom rules are about.
//! - [`level`], [`access`], [`branch`], [`setting`], [`glob`]: the rules, and what they say for one repository.
//! - [`ref_update`], [`push`], [`content`], [`rule`]: what a push asks for and brings, and the verdict of the rules on it.
//! - [`explain`], [`diff`]: why a verdict is what it is, and what another policy would change.
//! - [`decision`]: the signed header between the daemons.
//! - [`document`], [`units`]: strict YAML with errors that show the place, and quantities in it.

pub mod access;
pub mod advice;
pub mod branch;
pub mod changes;
pub mod content;
pub mod decision;
pub mod diff;
pub mod document;
pub mod explain;
pub mod git_request;
pub mod glob;
pub mod identity;
pub mod level;
pub mod list_request;
mod locate;
mod mount;
mod policy;
pub mod push;
pub mod ref_update;
pub mod repo_path;
pub mod rule;
pub mod setting;
mod shape;
pub mod subject;
pub mod units;
pub mod web_request;
mod wording;

pub use policy::Policy;
