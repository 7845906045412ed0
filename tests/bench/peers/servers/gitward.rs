//! Gitward with its shipped configuration, and the limits of asking: the same nginx with something else behind the question.

use anyhow::Result;
use harness::{Stack, settings};

use super::{Kind, Running};
use crate::world::{self, World};

/// Whoever can log in may read and write.
const POLICY: &str = "version: 1\naccess:\n  \"/\": { write: [authenticated] }\n";

pub(super) fn start(kind: Kind, world: &World) -> Result<Running> {
    let directories = format!(
        "  - {{ type: htpasswd, file: {} }}\n{}",
        world.htpasswd().display(),
        world.ldap_directory()?
    );
    let mut builder = Stack::builder()
        .policy(POLICY)
        .edit("authd.yaml", "  - { type: users, file: users.yaml }", &directories)
        .edit("backend-runner.yaml", "per_repository: 16, per_user: 16", "per_repository: 64, per_user: 64");
    if kind == Kind::GitwardUncached {
        let (from, to) = without_cache()?;
        builder = builder.edit("backend-runner.yaml", from, to);
    }
    if matches!(kind, Kind::Auth | Kind::AuthStub | Kind::AuthInside) {
        builder = builder.file("answer", world::FILE).edit_nginx("gitward-git.conf", PASS, FILE);
    }
    if kind == Kind::AuthStub {
        builder = builder.edit_nginx("gitward-http.conf", "/authd.sock;", "/stub.sock;");
        builder = builder.edit_nginx("nginx.conf", "include gitward-http.conf;", STUB);
    }
    if kind == Kind::AuthInside {
        builder = builder.edit_nginx("gitward-server.conf", ASK, "return 204;");
    }
    let stack = builder.start()?;
    let root = stack.path().join("git");
    world.copy_repositories(&root)?;
    let address = Some(stack.nginx.address());
    Ok(Running { address, _processes: Vec::new(), stack: Some(stack), place: None })
}

/// What is asked for behind the check, and what takes its place when only the check is measured.
const PASS: &str = "proxy_pass http://gitward_runner$gitward_runner_uri;";
const FILE: &str = "root @DIR@; try_files /answer =404;";

/// The question, and a server that says yes to everything.
const ASK: &str = "proxy_pass http://gitward_authd/auth/nginx;";
const STUB: &str = "include gitward-http.conf;\n    server { listen unix:@DIR@/run/stub.sock; access_log off; location / { return 204; } }";

/// How the sample is told to keep no answers: as the rest of its line, or as a line of its own.
fn without_cache() -> Result<(&'static str, &'static str)> {
    let sample = std::fs::read_to_string(settings::checkout().join("config/backend-runner.yaml"))?;
    Ok(match sample.contains("\ncache: {") {
        true => ("\ncache: {", "\ncache: { memory: 0B } # {"),
        false => ("\naudit_log:", "\ncache: { memory: 0B }\naudit_log:"),
    })
}
