//! What a dumb clone costs: processor time of nginx, both daemons and git, beside nginx giving out the same files to everybody.
//!
//! `cargo run --release -p gitward-tests --example bench-dumb`; build backend-runner and authd with the same profile first. It
//! takes some seconds and uses loopback only. One repository of loose objects, where every object is a request, and one of a
//! large pack, where nearly all is nginx's own work.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should end")]

use std::fs;
use std::time::Duration;

use harness::people::READER;
use harness::repositories::{fill, history};
use harness::{Stack, procfs};

/// Clones of each repository, each way.
const CLONES: u32 = 3;

/// Commits of the repository of loose objects; each has a tree and a file.
const COMMITS: usize = 300;

fn main() {
    let plain = "location ^~ /plain/ { alias @DIR@/git/; }\n\nlocation = /git {";
    let stack = Stack::builder()
        .edit("backend-runner.yaml", "dumb_http: false", "dumb_http: true")
        .edit_nginx("gitward-server.conf", "location = /git {", plain)
        .start()
        .unwrap();
    let loose = stack.repositories().empty("loose.git").unwrap();
    loose.git().ok(&["config", "fastimport.unpackLimit", "1000000"]).unwrap();
    loose.import(&history(COMMITS, &[])).unwrap();
    let packed = stack.repositories().empty("packed.git").unwrap();
    fill(&packed, 16, 8 << 20).unwrap();
    packed.git().ok(&["repack", "-adq"]).unwrap();
    for repository in [&loose, &packed] {
        repository.git().ok(&["update-server-info"]).unwrap();
    }
    let front = stack.nginx.address();
    for (name, what) in [("loose.git", "900 loose objects"), ("packed.git", "a pack of 128 MiB")] {
        clone(&stack, &stack.url(name));
        let (directly, _) = measure(&stack, &format!("http://{front}/plain/{name}"));
        let (gitward, daemons) = measure(&stack, &stack.url(name));
        println!(
            "a dumb clone of {what}: {:.1} ms of processor time in nginx alone; with Gitward {:.1} ms, of which {:.1} ms in \
             authd, backend-runner and git; ratio {:.2}",
            milliseconds(directly),
            milliseconds(gitward),
            milliseconds(daemons),
            gitward.as_secs_f64() / directly.as_secs_f64(),
        );
    }
}

/// Processor time of a clone in all servers, and in those that are not nginx.
fn measure(stack: &Stack, url: &str) -> (Duration, Duration) {
    let before = spent(stack);
    for _ in 0..CLONES {
        clone(stack, url);
    }
    let after = spent(stack);
    let (nginx, daemons) = ((after.0 - before.0) / CLONES, (after.1 - before.1) / CLONES);
    (nginx + daemons, daemons)
}

fn spent(stack: &Stack) -> (Duration, Duration) {
    let nginx = stack.nginx.workers().into_iter().map(procfs::cpu_time).sum();
    let daemons = [stack.authd.id(), stack.runner.id()];
    let own: Duration = daemons.into_iter().map(procfs::cpu_time).sum();
    let git: Duration = daemons.into_iter().map(procfs::cpu_time_of_children).sum();
    (nginx, own + git)
}

fn clone(stack: &Stack, url: &str) {
    let git = stack.git_as(READER).variable("GIT_SMART_HTTP", "0");
    git.ok(&["clone", "--quiet", "--bare", url, "copy"]).unwrap();
    fs::remove_dir_all(stack.path().join("home/copy")).unwrap();
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
