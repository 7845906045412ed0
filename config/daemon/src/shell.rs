//! What a shell wants to know about a program: completions, and manual pages. Both are made from the command line itself.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell as Completed;

/// A shell completions can be made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// The Z shell
    Zsh,
    /// fish
    Fish,
}

/// `completions SHELL`
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// `man --out DIR`
#[derive(Debug, Args)]
pub struct Manual {
    /// The directory for the pages; it is made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Completions {
    /// Prints the completions of `command`.
    pub fn print(&self, mut command: Command) -> io::Result<()> {
        let shell = match self.shell {
            Shell::Bash => Completed::Bash,
            Shell::Zsh => Completed::Zsh,
            Shell::Fish => Completed::Fish,
        };
        let name = command.get_name().to_owned();
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, name, &mut text);
        io::stdout().lock().write_all(&text)
    }
}

impl Manual {
    /// Writes a page for `command` and one for each of its subcommands.
    pub fn write(&self, command: Command) -> io::Result<()> {
        std::fs::create_dir_all(&self.out)?;
        clap_mangen::generate_to(command, &self.out)
    }
}
