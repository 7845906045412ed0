//! Starts everything a scenario needs, for real: nginx with the repository's own configuration, `authd`,
//! `backend-runner`, bare repositories and git clients.
//!
//! A [`Stack`] lives in one temporary directory, listens on a free port, shares nothing with other
//! stacks and is gone when dropped. The scenarios are in `tests/e2e`.

#![forbid(unsafe_code)]

/// Every way in which the runner can run git.
pub const ENGINES: [&str; 2] = ["http-backend", "direct"];

pub mod authd;
pub mod ber;
mod builder;
pub mod decisions;
pub mod fake_ldap;
pub mod front;
pub mod git;
pub mod http;
pub mod message;
pub mod nginx;
pub mod people;
pub mod pkt;
pub mod process;
pub mod procfs;
pub mod pushes;
pub mod repositories;
pub mod settings;
pub mod slapd;
mod stack;

pub use authd::Authd;
pub use builder::Builder;
pub use fake_ldap::FakeLdap;
pub use front::Front;
pub use git::Git;
pub use http::Address;
pub use message::{Request, Response};
pub use process::{Process, until, until_true};
pub use pushes::Target;
pub use repositories::{Repositories, Repository};
pub use slapd::Slapd;
pub use stack::{Stack, program};

/// Prints a line of a result past the test runner, which hides what successful tests print.
pub fn report(line: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{line}\n"));
}
