//! Imports the configuration of git4nginx, as its `githttp.py` and its hooks read it.
//!
//! Its model: a repository is at the top (group `null`) or in one directory (its group). A group's grants hold for every
//! repository in it, a repository's for itself, and writing implies reading; there is nothing above groups. Hooks have one
//! more level, above the groups, and the nearest configuration of a hook replaces the others whole. Values it would fail on
//! at every request are errors here, because nothing that is written for them could mean the same.

mod hooks;
mod users;

use std::collections::BTreeSet;
use std::path::Path;

use policy::identity::{GroupName, UserName};
use policy::level::LevelPath;
use policy::subject::Subject;
use serde_yaml::{Mapping, Value};

use super::draft::{Draft, Grants};
use super::report::{Report, Weight};
use super::{Failure, Import, read};
use crate::cli::origin::Written;

/// Every repository at the top, and none in a directory.
const TOP_LEVEL: &str = "{user}.git";

/// Reads one configuration file.
pub(super) fn import(file: &Path) -> Result<Import, Failure> {
    let text = read(file)?;
    let name = file.display().to_string();
    let bad = |error: serde_yaml::Error| Failure::configuration(format!("{name}: {error}"));
    let mut root: Value = serde_yaml::from_str(&text).map_err(bad)?;
    root.apply_merge().map_err(bad)?;
    let mut source =
        Source { written: Written::new(name, text), draft: Draft::default(), report: Report::default() };
    source.root(&root)?;
    Ok(Import { draft: source.draft, report: source.report })
}

/// The file, and what has become of it so far.
struct Source {
    written: Written,
    draft: Draft,
    report: Report,
}

impl Source {
    fn root(&mut self, root: &Value) -> Result<(), Failure> {
        let entries = root.as_mapping().ok_or_else(|| self.fault(&[], "this is no map of settings"))?;
        for needed in ["authentication", "authorisation"] {
            if !entries.get(needed).is_some_and(Value::is_mapping) {
                return Err(self.fault(&[], &format!("git4nginx needs a map `{needed}`")));
            }
        }
        for (key, value) in entries {
            match (key.as_str(), value) {
                (Some("authentication"), Value::Mapping(map)) => self.authentication(map),
                (Some("authorisation"), Value::Mapping(map)) => self.authorisation(map)?,
                (Some("hooks"), Value::Mapping(map)) => self.hooks(map)?,
                (Some("repo_root"), Value::String(path)) => self.draft.repositories = Some(path.clone()),
                (Some("bin_path"), _) => {
                    self.say(
                        Weight::Note,
                        &["bin_path"],
                        "not needed: backend-runner finds git's programs through `git`",
                    );
                }
                _ => self.say(Weight::Note, &[word(key)], "git4nginx does not read this key; left out"),
            }
        }
        self.note_depth();
        self.draft.export_all = Some(true);
        self.directories();
        Ok(())
    }

    fn authorisation(&mut self, groups: &Mapping) -> Result<(), Failure> {
        for (group, node) in groups {
            let at = ["authorisation", word(group)];
            let Some(level) = self.group_level(group, &at) else { continue };
            let node = node.as_mapping().ok_or_else(|| self.fault(&at, EMPTY_NODE))?;
            let grants = self.grants(node, &at)?;
            self.put(level, grants);
            for (repo, node) in node {
                let at = [&at[..], &[word(repo)]].concat();
                if word(repo).starts_with('.') {
                    continue;
                }
                let Some(level) = self.repository_level(group, repo, &at) else { continue };
                let node = node.as_mapping().ok_or_else(|| self.fault(&at, EMPTY_NODE))?;
                let grants = self.grants(node, &at)?;
                self.put(level, grants);
                for inner in node.keys().filter(|key| !word(key).starts_with('.')) {
                    let at = [&at[..], &[word(inner)]].concat();
                    self.say(Weight::Note, &at, "git4nginx reads nothing below a repository; left out");
                }
            }
        }
        Ok(())
    }

    /// git4nginx served what is at the top and in one directory; what is granted to a directory holds at any depth here.
    fn note_depth(&mut self) {
        if self.draft.access.keys().any(|level| level.as_str().ends_with('/')) {
            let message = "repositories more than one directory deep were not served; now they get what their directory grants";
            self.say(Weight::Note, &["authorisation"], message);
        }
    }

    fn put(&mut self, level: LevelPath, grants: Grants) {
        if grants != Grants::default() {
            self.draft.access.insert(level, grants);
        }
    }

    fn grants(&mut self, node: &Mapping, path: &[&str]) -> Result<Grants, Failure> {
        let mut grants = Grants::default();
        for (key, value) in node {
            let at = [path, &[word(key)]].concat();
            match key.as_str() {
                Some(".read_users") => grants.read.extend(self.subjects(value, &at, false)?),
                Some(".write_users") => grants.write.extend(self.subjects(value, &at, false)?),
                Some(".read_groups") => grants.read.extend(self.subjects(value, &at, true)?),
                Some(".write_groups") => grants.write.extend(self.subjects(value, &at, true)?),
                Some(other) if other.starts_with('.') => {
                    self.say(Weight::Note, &at, "git4nginx does not read this key; left out");
                }
                _ => (),
            }
        }
        grants.read.retain(|subject| !grants.write.contains(subject));
        Ok(grants)
    }

    /// The items of a list of users, or of groups.
    fn subjects(&mut self, value: &Value, path: &[&str], groups: bool) -> Result<BTreeSet<Subject>, Failure> {
        let items = match value {
            Value::Sequence(items) => items,
            // Python finds a name in a text wherever it is part of it; the text itself is the only name that is meant.
            Value::String(_) if !groups => &vec![value.clone()],
            Value::String(_) => {
                self.say(Weight::Narrower, path, "a text is no list of groups; left out");
                return Ok(BTreeSet::new());
            }
            _ => return Err(self.fault(path, "this is no list; git4nginx answers 500 to everybody here")),
        };
        let subject = |item| match groups {
            true => self.group(item, path).map(Subject::Group),
            false => self.user(item, path).map(Subject::User),
        };
        Ok(items.iter().filter_map(subject).collect())
    }

    fn group_level(&mut self, group: &Value, path: &[&str]) -> Option<LevelPath> {
        let text = match group {
            Value::Null => TOP_LEVEL.to_owned(),
            Value::String(name) if !name.starts_with('.') => format!("{name}/"),
            _ => return self.no_level(path),
        };
        self.level(&text, path)
    }

    fn repository_level(&mut self, group: &Value, repo: &Value, path: &[&str]) -> Option<LevelPath> {
        let Some(repo) = repo.as_str().filter(|repo| repo.ends_with(".git")) else {
            return self.no_level(path);
        };
        let text = group.as_str().map_or_else(|| repo.to_owned(), |group| format!("{group}/{repo}"));
        self.level(&text, path)
    }

    fn level(&mut self, text: &str, path: &[&str]) -> Option<LevelPath> {
        // A brace would make a pattern of a name.
        match LevelPath::parse(text) {
            Ok(level) if !level.has_user() || text == TOP_LEVEL => Some(level),
            Ok(_) => self.no_level(path),
            Err(error) => {
                self.say(
                    Weight::Narrower,
                    path,
                    &format!("no repository here can have this name ({error}); left out"),
                );
                None
            }
        }
    }

    fn no_level(&mut self, path: &[&str]) -> Option<LevelPath> {
        self.say(
            Weight::Narrower,
            path,
            "no request can mean this: a group is a directory, a repository ends in .git; left out",
        );
        None
    }

    fn user(&mut self, value: &Value, path: &[&str]) -> Option<UserName> {
        let name =
            value.as_str().filter(|text| is_text_in_python(text)).and_then(|text| UserName::parse(text).ok());
        if name.is_none() {
            self.say(
                Weight::Narrower,
                &[path, &[word(value)]].concat(),
                &format!("`{}` is no user name here; left out", word(value)),
            );
        }
        name
    }

    fn group(&mut self, value: &Value, path: &[&str]) -> Option<GroupName> {
        let name = value
            .as_str()
            .filter(|text| is_text_in_python(text))
            .and_then(|text| GroupName::parse(text).ok());
        if name.is_none() {
            self.say(
                Weight::Narrower,
                &[path, &[word(value)]].concat(),
                &format!("`{}` is no group name here; left out", word(value)),
            );
        }
        name
    }

    fn say(&mut self, weight: Weight, path: &[&str], message: &str) {
        let place = self.place(path);
        self.report.add(weight, place, message);
    }

    fn fault(&self, path: &[&str], message: &str) -> Failure {
        Failure::configuration(format!("{}: {message}", self.place(path)))
    }

    /// The place of the nearest thing on the way that has one: what a merge key brought in has none.
    fn place(&self, path: &[&str]) -> String {
        let nearest = (1..=path.len()).rev().find_map(|length| self.written.place(&path[..length]));
        nearest.unwrap_or_else(|| self.written.name().to_owned())
    }
}

const EMPTY_NODE: &str = "there are no settings here; git4nginx answers 500 to everybody";

/// A key as text, for places and messages.
fn word(key: &Value) -> &str {
    match key {
        Value::Null => "null",
        Value::String(text) => text,
        _ => "(not a text)",
    }
}

/// Whether git4nginx's reader, which follows YAML 1.1, took the same text for a text.
fn is_text_in_python(text: &str) -> bool {
    let words = ["yes", "no", "on", "off", "true", "false"];
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !words.iter().any(|word| word.eq_ignore_ascii_case(text))
}
