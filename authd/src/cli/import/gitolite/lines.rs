//! gitolite's syntax, line by line, with included files in their place.

use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::cli::import::read as read_file;
use crate::cli::import::report::{Report, Weight};

/// One line that says something.
pub(super) enum Statement {
    /// `@staff = joe @others`; the name has its `@`.
    Group { name: String, members: Vec<String> },
    /// `repo one two @more`
    Repo { names: Vec<String> },
    /// `RW+ master = joe`
    Rule { perm: Perm, refexes: Vec<String>, who: Vec<String> },
    /// `config`, `option`, `desc`, `owner`, `category`.
    Setting { key: String, value: String },
    /// Anything else.
    Unknown { text: String },
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Perm {
    /// `-`
    Deny,
    /// `C`: a repository that matches may be created.
    Create,
    /// `R`
    Read,
    /// `RW`, `RW+`, and so on.
    Write {
        /// `+`: not only forward.
        force: bool,
        /// `C`: refs may be created.
        create: bool,
        /// `D`: refs may be deleted.
        delete: bool,
    },
}

/// Every statement with its place.
pub(super) fn read(file: &Path, report: &mut Report) -> Result<Vec<(String, Statement)>, Failure> {
    let mut statements = Vec::new();
    include(file, 0, &mut statements, report)?;
    Ok(statements)
}

fn include(
    file: &Path,
    depth: usize,
    statements: &mut Vec<(String, Statement)>,
    report: &mut Report,
) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(Failure::configuration(format!("{}: files include each other", file.display())));
    }
    for (number, line) in logical_lines(&read_file(file)?) {
        let place = format!("{}:{number}", file.display());
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => (),
            [word @ ("include" | "subconf"), .., name] => {
                if *word == "subconf" {
                    report.add(
                        Weight::Note,
                        &place,
                        "read as an include: what it may define is not limited here",
                    );
                }
                for file in included(file, name.trim_matches('"'), &place)? {
                    include(&file, depth + 1, statements, report)?;
                }
            }
            _ => statements.push((place, statement(&line))),
        }
    }
    Ok(())
}

/// The files a name stands for, beside the file that names them; a `*` in the last part stands for anything.
fn included(from: &Path, name: &str, place: &str) -> Result<Vec<PathBuf>, Failure> {
    let path = from.parent().unwrap_or_else(|| Path::new("")).join(name);
    let fault = |message: String| Failure::configuration(format!("{place}: {message}"));
    let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let Some((start, end)) = pattern.split_once('*') else {
        return Ok(vec![path]);
    };
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let entries = directory.read_dir().map_err(|error| fault(format!("{}: {error}", directory.display())))?;
    let matches = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(matches).collect();
    files.sort();
    Ok(files)
}

/// Lines without comments, joined where they end in a backslash.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match lines.last_mut().filter(|_| continues) {
            Some((_, joined)) => *joined = format!("{joined} {part}"),
            None => lines.push((index + 1, part.to_owned())),
        }
        continues = more;
    }
    lines
}

fn statement(line: &str) -> Statement {
    let unknown = || Statement::Unknown { text: line.to_owned() };
    let owned = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match first {
        "repo" => return Statement::Repo { names: owned(rest) },
        "config" | "option" | "desc" | "owner" | "category" => {
            return Statement::Setting { key: first.to_owned(), value: rest.trim().to_owned() };
        }
        _ => (),
    }
    let Some((left, right)) = line.split_once('=') else { return unknown() };
    let words = owned(left);
    match words.as_slice() {
        [name] if name.starts_with('@') => Statement::Group { name: name.clone(), members: owned(right) },
        [word, refexes @ ..] => match perm(word) {
            Some(perm) => Statement::Rule { perm, refexes: refexes.to_vec(), who: owned(right) },
            None => unknown(),
        },
        [] => unknown(),
    }
}

fn perm(word: &str) -> Option<Perm> {
    match word {
        "-" => return Some(Perm::Deny),
        "C" => return Some(Perm::Create),
        "R" => return Some(Perm::Read),
        _ => (),
    }
    let rest = word.strip_prefix("RW")?;
    let (force, rest) = rest.strip_prefix('+').map_or((false, rest), |rest| (true, rest));
    let flags = ["", "C", "D", "CD", "DC", "M", "CM", "DM", "CDM", "DCM"];
    flags.contains(&rest).then(|| Perm::Write {
        force,
        create: rest.contains('C'),
        delete: rest.contains('D'),
    })
}

const MAX_DEPTH: usize = 16;
