//! How git is run for a request: as a CGI program.
//!
//! `http-backend` is git's own and the reference for everything git answers over HTTP. It is executed directly from git's
//! program directory: `git http-backend` would be one more process that only waits for it.

use serde::Deserialize;

use crate::cgi::environment::Variable;
use crate::child::Program;
use crate::git::Git;
use crate::stream::Answer;

/// The choice in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// `git http-backend` as a CGI program.
    #[default]
    HttpBackend,
}

/// What to execute for one request, and how to read its answer.
#[must_use]
pub fn plan(kind: EngineKind, git: &Git, environment: Vec<Variable>, reads_body: bool) -> (Program, Answer) {
    match kind {
        EngineKind::HttpBackend => {
            let path = git.http_backend.clone();
            (Program { path, arguments: Vec::new(), environment, reads_body }, Answer::Cgi)
        }
    }
}
