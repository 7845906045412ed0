//! gitward-hook: what git runs as pre-receive, update and post-receive of every repository.

use std::process::ExitCode;

fn main() -> ExitCode {
    backend_runner::hook::main()
}
