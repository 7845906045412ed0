//! `authd import`: turns the configuration of another access control into Gitward's files.
//!
//! Whatever has no equal here is reported with its place. Where leaving it out would allow more than the source does, nothing
//! is written unless the administrator says so: an import must never open a repository in silence.

mod apache;
mod draft;
mod git4nginx;
mod gitolite;
mod report;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use policy::Policy;

use super::{Failure, print, print_json};
use draft::Draft;
use report::{Report, Weight};

/// What can be imported.
#[derive(Debug, Subcommand)]
pub enum Format {
    /// A git4nginx configuration file
    Git4nginx(One),
    /// Apache configuration files with Location blocks
    Apache(Many),
    /// A gitolite.conf
    Gitolite(One),
}

/// One file.
#[derive(Debug, Args)]
pub struct One {
    /// The file to import
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Files that are read as one.
#[derive(Debug, Args)]
pub struct Many {
    /// The files to import, in the order Apache reads them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// Where to.
#[derive(Debug, Args)]
struct Target {
    /// The directory for the new files; none of them may be there already
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the files also where they allow more than the source; each such place is reported
    #[arg(long)]
    accept_wider: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What an import makes.
struct Import {
    draft: Draft,
    report: Report,
}

/// Imports; exit 0 when the files are written, 64 when they are not.
pub fn run(format: &Format) -> Result<ExitCode, Failure> {
    let (import, target) = match format {
        Format::Git4nginx(one) => (git4nginx::import(&one.file)?, &one.target),
        Format::Apache(many) => (apache::import(&many.files)?, &many.target),
        Format::Gitolite(one) => (gitolite::import(&one.file)?, &one.target),
    };
    let mut files = import.draft.files();
    check(&files)?;
    files.push(("import-report.txt", import.report.text()));
    let refused = !target.accept_wider && import.report.has(Weight::Wider);
    if !refused {
        write_all(&target.out, &files)?;
    }
    let written: Vec<_> = files.iter().filter(|_| !refused).map(|(name, _)| target.out.join(name)).collect();
    match target.json {
        true => print_json(&serde_json::json!({ "written": written, "remarks": import.report.json() }))?,
        false => print(&summary(&import.report, &written))?,
    }
    match refused {
        true => Err(Failure::configuration(
            "nothing is written: the files would allow more than the source does, where the report says \
             `wider`; change the source, or give --accept-wider",
        )),
        false => Ok(ExitCode::SUCCESS),
    }
}

fn summary(report: &Report, written: &[PathBuf]) -> String {
    let written = written.iter().map(|path| format!("wrote {}\n", path.display()));
    report.text() + &written.collect::<String>()
}

/// What an importer makes must be a policy; if it is not, that is the importer's fault.
fn check(files: &[(&'static str, String)]) -> Result<(), Failure> {
    let policy = files.iter().find(|(name, _)| *name == "policy.yaml");
    let parsed = policy.map(|(name, text)| Policy::parse(name, text.as_bytes()));
    match parsed {
        Some(Err(error)) => Err(Failure::other(error)),
        _ => Ok(()),
    }
}

fn write_all(directory: &Path, files: &[(&'static str, String)]) -> Result<(), Failure> {
    let refused =
        |path: &Path, error: io::Error| Failure::configuration(format!("{}: {error}", path.display()));
    if let Some(taken) = files.iter().map(|(name, _)| directory.join(name)).find(|path| path.exists()) {
        return Err(Failure::configuration(format!(
            "{}: is there already, nothing is written",
            taken.display()
        )));
    }
    fs::create_dir_all(directory).map_err(|error| refused(directory, error))?;
    for (name, text) in files {
        let path = directory.join(name);
        let written = File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| refused(&path, error))?;
    }
    Ok(())
}

/// Reads a file to import.
fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::configuration(format!("{}: cannot be read: {error}", path.display())))
}
