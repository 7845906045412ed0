//! Imports the usual access control of Apache in front of git: `Location` and `LocationMatch` blocks with `Require`.
//!
//! Apache asks about one request at a time; smart HTTP makes two for a fetch and two for a push. So reading is what the
//! advertisement and `git-upload-pack` are both granted, writing what the advertisement and `git-receive-pack` are. Sections
//! are merged in their order and the last one with a `Require` replaces those before it (mod_authz_core, `AuthMerging Off`),
//! hence `inherit: false` below. A condition that is not understood grants nothing; a section that is not understood could
//! have refused something and is reported as `wider`.

mod directories;
mod require;
mod section;
mod sections;

use std::collections::BTreeSet;
use std::path::PathBuf;

use policy::git_request::Mount;
use policy::level::LevelPath;
use policy::subject::Subject;

use super::draft::{Draft, Grants};
use super::report::{Report, Weight};
use super::{Failure, Import, read};
use directories::Directories;
use require::{Endpoint, Who};
use section::Section;
use sections::Block;

/// Reads files as if they were one.
pub(super) fn import(files: &[PathBuf]) -> Result<Import, Failure> {
    let mut source = Source::default();
    for file in files {
        let name = file.display().to_string();
        let blocks = sections::parse(&name, &read(file)?).map_err(Failure::configuration)?;
        source.all.push(blocks);
    }
    source.settings();
    source.collect();
    source.grants();
    let mut draft = source.draft;
    draft.directories = source.directories.entries(&mut source.report);
    draft.mount = Some(source.mount.to_string());
    Ok(Import { draft, report: source.report })
}

#[derive(Default)]
struct Source {
    all: Vec<Block>,
    mount: Mount,
    sections: Vec<Section>,
    directories: Directories,
    draft: Draft,
    report: Report,
}

impl Source {
    /// What is set for everything: the mount and the project root.
    fn settings(&mut self) {
        self.draft.export_all = Some(false);
        let blocks = std::mem::take(&mut self.all);
        for line in blocks.iter().flat_map(Block::lines) {
            match (line.name.as_str(), line.words().as_slice()) {
                ("scriptalias" | "scriptaliasmatch", [from, to, ..]) if to.contains("git-http-backend") => {
                    let from = from.trim_start_matches("(?x)").trim_start_matches('^');
                    let literal = from.split(['(', '[', '.', '*', '$']).next().unwrap_or_default();
                    match Mount::parse(&format!("{}/", literal.trim_end_matches('/'))) {
                        Ok(mount) => self.mount = mount,
                        Err(error) => {
                            self.report.add(Weight::Note, &line.place, format!("{error}; /git/ is taken"))
                        }
                    }
                }
                ("setenv", [name, root, ..]) if name == "GIT_PROJECT_ROOT" => {
                    self.draft.repositories = Some(root.clone());
                }
                ("setenv", [name, ..]) if name == "GIT_HTTP_EXPORT_ALL" => self.draft.export_all = Some(true),
                ("include" | "includeoptional", _) => {
                    let message = "not followed: give the file as well if it is about git";
                    self.report.add(Weight::Note, &line.place, message);
                }
                _ => (),
            }
        }
        self.all = blocks;
    }

    /// The sections about repositories, in the order in which Apache merges them.
    fn collect(&mut self) {
        for block in std::mem::take(&mut self.all) {
            self.walk(&block, false);
        }
    }

    fn walk(&mut self, block: &Block, inside: bool) {
        for inner in &block.blocks {
            match inner.name.as_str() {
                "location" | "locationmatch" => match section::read(inner, &self.mount, &mut self.report) {
                    Some(section) => {
                        self.directories.note(inner, &mut self.report);
                        self.draft.realm = realm(inner).or_else(|| self.draft.realm.take());
                        self.sections.push(section);
                    }
                    None => continue,
                },
                "virtualhost" | "ifmodule" | "ifdefine" | "ifversion" if !inside => self.walk(inner, false),
                "virtualhost" | "ifmodule" | "ifdefine" | "ifversion" => self.walk(inner, true),
                _ if inner.requires() => {
                    let message =
                        format!("<{}> is about files, not about URLs of repositories; left out", inner.name);
                    self.report.add(Weight::Narrower, &inner.place, message);
                }
                _ => (),
            }
        }
    }

    fn grants(&mut self) {
        let levels: BTreeSet<LevelPath> = self.sections.iter().map(|section| section.level.clone()).collect();
        for level in &levels {
            let (grants, place) = self.grants_at(level);
            let parent = nearest_above(level, &levels).map(|parent| self.grants_at(&parent).0);
            let cut_off = level.as_str() != "/";
            if parent.as_ref() != Some(&grants) && !(parent.is_none() && grants == Grants::default()) {
                self.report_odd(level, &grants, &place);
                self.draft.access.insert(level.clone(), Grants { cut_off, ..grants });
            }
        }
        if levels.is_empty() {
            let message = format!("there is no <Location> about {}: nobody is granted anything", self.mount);
            self.report.add(Weight::Narrower, "whole configuration", message);
        }
    }

    /// What Apache grants for requests below a level, and the section that had the last word.
    fn grants_at(&self, level: &LevelPath) -> (Grants, String) {
        let [advertised, fetched, pushed] =
            [Endpoint::Advertise, Endpoint::UploadPack, Endpoint::ReceivePack]
                .map(|endpoint| self.granted(level, endpoint));
        let read = advertised.0.both(&fetched.0);
        let write = advertised.0.both(&pushed.0);
        let mut grants = Grants { read: read.subjects(), write: write.subjects(), cut_off: false };
        // git http-backend takes no push from somebody without a name.
        grants.write.remove(&Subject::Anonymous);
        grants.read.retain(|subject| !grants.write.contains(subject));
        (grants, pushed.1)
    }

    fn granted(&self, level: &LevelPath, endpoint: Endpoint) -> (Who, String) {
        let mut granted = (Who::nobody(), String::new());
        for section in self.sections.iter().filter(|section| section.is_about(level, endpoint)) {
            match section.require(endpoint) {
                require::Answer::Says(who) => granted = (who, section.place.clone()),
                // Limits on other methods leave this one as it was, and open where nothing was said.
                require::Answer::OtherMethods if granted.1.is_empty() => {
                    granted = (Who::Everyone, section.place.clone());
                }
                require::Answer::OtherMethods | require::Answer::Silent => (),
            }
        }
        granted
    }

    /// Writing includes reading here; in Apache it need not.
    fn report_odd(&mut self, level: &LevelPath, grants: &Grants, place: &str) {
        let readers = self.granted(level, Endpoint::UploadPack).0;
        let gained: Vec<_> = grants
            .write
            .iter()
            .filter(|subject| !readers.includes(subject))
            .map(ToString::to_string)
            .collect();
        if !gained.is_empty() {
            let message = format!(
                "{level}: whoever may write may read here; Apache lets {} push but not fetch",
                gained.join(", ")
            );
            self.report.add(Weight::Wider, place, message);
        }
    }
}

/// The nearest level of the list above this one.
fn nearest_above(level: &LevelPath, levels: &BTreeSet<LevelPath>) -> Option<LevelPath> {
    let above = levels.iter().filter(|other| *other != level && section::contains(other, level));
    above.max_by_key(|other| other.components().count()).cloned()
}

fn realm(block: &Block) -> Option<String> {
    let line = block.lines.iter().find(|line| line.name == "authname")?;
    line.words().first().filter(|name| name.parse::<crate::config::Realm>().is_ok()).cloned()
}
