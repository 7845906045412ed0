//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// Smaller repositories, fewer rounds: to see that everything works.
    pub(crate) quick: bool,
    /// A repository of the user's in place of the generated large one.
    pub(crate) repository: Option<PathBuf>,
    /// Scenarios to run; empty for all.
    pub(crate) only: Vec<String>,
    /// Where the results are written.
    pub(crate) out: PathBuf,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut arguments = Self { out: "target/bench".into(), ..Self::default() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => arguments.quick = true,
                "--repo" => arguments.repository = Some(std::path::absolute(value()?)?),
                "--only" => arguments.only = value()?.split(',').map(str::to_owned).collect(),
                "--out" => arguments.out = value()?.into(),
                _ => bail!("{HELP}"),
            }
        }
        Ok(arguments)
    }

    /// Whether a scenario is wanted.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == scenario)
    }

    /// Rounds of a scenario, an even number so that both orders count the same.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 2 } else { 6 }
    }
}

const HELP: &str = "bench-peers [--quick] [--repo PATH] [--only SCENARIO,...] [--out DIRECTORY]

  --quick   small repositories and two rounds: a look at whether it works, no figures to quote
  --repo    a repository of yours in place of the generated one with 70,000 objects
  --only    auth, small, client, uncached, storm, hits, push, slow, idle, logins, growth
  --out     where results.json and results.svg go (target/bench)

Run as root for exact processor times (control groups), else in user namespaces. Peers that are not
installed are left out and named.";
