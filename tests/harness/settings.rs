//! The repository's own sample files, copied into a stack with only paths, ports and the user replaced.
//!
//! A test that needs another setting edits the copy by replacing a piece of its text; a piece that is
//! not there is an error, so a changed sample cannot silently turn a test into another one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A replacement in one file: its name, the text to find, and the text to put there.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) file: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The checkout these tests were built from.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("/")).to_owned()
}

/// Files directly inside `folder` of the checkout, without hidden ones.
pub fn samples(folder: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(checkout().join(folder)).with_context(|| format!("listing {folder}/"))? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type()?.is_file() && !hidden {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Copies every sample of `folder` to `target`, replacing each pair of `replacements` wherever it occurs.
pub(crate) fn copy(folder: &str, target: &Path, replacements: &[(String, String)]) -> Result<()> {
    fs::create_dir_all(target)?;
    for sample in samples(folder)? {
        let mut text = fs::read_to_string(&sample).with_context(|| format!("{}", sample.display()))?;
        for (from, to) in replacements {
            text = text.replace(from, to);
        }
        let name = sample.file_name().context("a sample without a name")?;
        fs::write(target.join(name), text)?;
    }
    Ok(())
}

/// Gives a top-level key of a YAML file another value, whatever it had.
pub(crate) fn set(file: &Path, key: &str, value: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let start = format!("{key}:");
    ensure!(text.lines().any(|line| line.starts_with(&start)), "{} has no {key}", file.display());
    let line =
        |line: &str| if line.starts_with(&start) { format!("{key}: {value}\n") } else { format!("{line}\n") };
    fs::write(file, text.lines().map(line).collect::<String>())?;
    Ok(())
}

/// Applies the edits for files in `directory`, with `stack` for `@DIR@` in what is put there.
pub(crate) fn apply(directory: &Path, edits: &[Edit], stack: &Path) -> Result<()> {
    for edit in edits {
        let path = directory.join(&edit.file);
        let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        ensure!(text.contains(&edit.from), "{} does not contain {:?}", edit.file, edit.from);
        let to = edit.to.replace("@DIR@", &stack.display().to_string());
        fs::write(path, text.replace(&edit.from, &to))?;
    }
    Ok(())
}
