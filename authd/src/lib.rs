//! authd answers nginx's `auth_request`, and other front servers, for git URLs: who is asking, and may they.
//!
//! One request's way: [`server`] → [`auth_request`] (the handler) → [`request`] (the question, in its [`dialect`])
//! → `policy::git_request` (what is asked of which repository) → [`identity`] (who asks; [`credentials`],
//! [`failures`]) → `policy::Policy::decide` → `policy::decision::sign` → [`response`].
//!
//! Everything configured is in one immutable snapshot ([`state`]), made by [`load`] from [`config`] and
//! the files it names, and again when one of them changes (`daemon::watch`; [`changes`] and [`advice`] say what to tell).
//! [`shadow`] compares another policy without obeying it. Whatever is unexpected is a refusal.

pub mod advice;
pub mod auth_request;
pub mod changes;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod dialect;
pub mod failures;
pub mod identity;
pub mod load;
pub mod metrics;
pub mod network;
pub mod request;
pub mod response;
pub mod server;
pub mod shadow;
pub mod state;
