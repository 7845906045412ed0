//! Gitward and other ways to serve git over HTTP, side by side in one run.
//!
//! `make bench-peers` builds and runs it; `--help` says more. Every server gets copies of the same repositories, the same git
//! and the same password, runs on loopback only and is gone afterwards. Rounds are interleaved: all contenders in one
//! order, then in the other. Servers are charged for every process they start; the client is not part of it.

#![allow(clippy::print_stdout, reason = "the results")]

mod account;
mod arguments;
mod bodies;
mod connection;
mod contender;
mod load;
mod measure;
mod output;
mod ratios;
mod repositories;
mod scenarios;
mod servers;
mod world;

use anyhow::{Result, ensure};

use crate::arguments::Arguments;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "contender"
    {
        return contender::serve(rest);
    }
    let arguments = Arguments::parse(&arguments)?;
    let results = scenarios::run(&arguments)?;
    output::print(&results, &arguments);
    ensure!(results.failed.is_empty(), "not everything could be measured:\n{}", results.failed.join("\n"));
    Ok(())
}
