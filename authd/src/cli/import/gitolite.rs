//! Imports a `gitolite.conf`: groups, repositories, rules, and what the files it includes say.
//!
//! gitolite adds up the rules of every block that matches a repository and, for a push, takes the first one of them that
//! fits the ref. Who may read and write becomes access, by level; which refs becomes `protect` and `tags` ([`refs`]). A
//! repository pattern has an equal only where it means "everything in this directory". Sites change much in gitolite's rc
//! file, which is not read.

mod lines;
mod refs;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use policy::identity::{GroupName, UserName};
use policy::level::LevelPath;
use policy::subject::Subject;

use super::draft::{Branches, Draft, Person};
use super::report::{Report, Weight};
use super::{Failure, Import};
use lines::{Perm, Statement};
use target::{Target, contains, target};

/// Reads one file, and those it includes.
pub(super) fn import(file: &Path) -> Result<Import, Failure> {
    let mut report = Report::default();
    let statements = lines::read(file, &mut report)?;
    let mut conf = Conf { report, ..Conf::default() };
    conf.groups(&statements);
    conf.blocks(&statements);
    conf.access();
    conf.branches();
    conf.users();
    conf.draft.export_all = Some(true);
    conf.draft.directories = DIRECTORIES.map(str::to_owned).to_vec();
    Ok(Import { draft: conf.draft, report: conf.report })
}

const DIRECTORIES: [&str; 4] = [
    "  # gitolite knows no passwords. Give each user one with `authd hash-password`, or name the file that checked them:",
    "  - { type: users, file: users.yaml }",
    "  #- { type: htpasswd, file: /etc/apache2/htpasswd-git, groups_file: groups }",
    "  #- { type: upstream, header: X-Remote-User, groups_from: users }",
];

#[derive(Default)]
struct Conf {
    /// Members as they are written, users and repositories alike.
    groups: BTreeMap<String, Vec<String>>,
    /// In the order of the file.
    rules: Vec<Rule>,
    draft: Draft,
    report: Report,
    /// Groups that stand for people, and people.
    named: BTreeSet<Subject>,
}

/// A rule for one level.
#[derive(Clone)]
struct Rule {
    level: LevelPath,
    perm: Perm,
    /// Which refs; all where there is none.
    refexes: Vec<String>,
    who: BTreeSet<Subject>,
    place: String,
}

impl Conf {
    fn groups(&mut self, statements: &[(String, Statement)]) {
        for (_, statement) in statements {
            if let Statement::Group { name, members } = statement {
                self.groups.entry(name.clone()).or_default().extend(members.iter().cloned());
            }
        }
    }

    fn blocks(&mut self, statements: &[(String, Statement)]) {
        let mut levels: Vec<LevelPath> = Vec::new();
        let mut lost = false;
        for (place, statement) in statements {
            match statement {
                Statement::Group { .. } => (),
                Statement::Repo { names } => (levels, lost) = self.levels(names, place),
                Statement::Rule { perm, refexes, who } => {
                    if lost {
                        self.lost(*perm, place);
                    }
                    for level in levels.clone() {
                        let who = self.subjects(who, &level, place);
                        let rule =
                            Rule { level, perm: *perm, refexes: refexes.clone(), who, place: place.clone() };
                        self.rules.push(rule);
                    }
                }
                Statement::Setting { key, value } => self.setting(key, value, place),
                Statement::Unknown { text } => {
                    self.report.add(Weight::Narrower, place, format!("`{text}` is not understood; left out"));
                }
            }
        }
    }

    /// A rule of a block some of whose repositories have no level.
    fn lost(&mut self, perm: Perm, place: &str) {
        let (weight, message) = match perm {
            Perm::Deny => {
                (Weight::Wider, "this refusal is lost for the repositories that could not be put as a level")
            }
            _ => {
                (Weight::Narrower, "this grant is lost for the repositories that could not be put as a level")
            }
        };
        self.report.add(weight, place, message);
    }

    fn setting(&mut self, key: &str, value: &str, place: &str) {
        let (weight, message) = match (key, value) {
            ("option", value) if value.starts_with("deny-rules") => (
                Weight::Wider,
                "`-` rules refuse pushes here, never reading; take readers out where they are granted",
            ),
            ("option" | "config", value) => {
                (Weight::Note, &*format!("`{value}` is not imported; settings of repositories stay in them"))
            }
            _ => (Weight::Note, "not imported"),
        };
        self.report.add(weight, place, message);
    }

    /// The levels of a `repo` line, and whether some of it is lost.
    fn levels(&mut self, names: &[String], place: &str) -> (Vec<LevelPath>, bool) {
        let mut levels = BTreeSet::new();
        let mut lost = false;
        for name in self.expanded(names) {
            match target(&name) {
                Target::Level(level) => _ = levels.insert(level),
                Target::Pattern => {
                    self.report.add(
                        Weight::Note,
                        place,
                        format!("the pattern `{name}` has no equal; `dir/.*` and `dir/CREATOR/.*` have"),
                    );
                    lost = true;
                }
                Target::NoName => {
                    self.report.add(
                        Weight::Note,
                        place,
                        format!("no repository here can be called `{name}`"),
                    );
                    lost = true;
                }
            }
        }
        (levels.into_iter().collect(), lost)
    }

    /// Every name a list stands for; groups inside groups are followed once.
    fn expanded(&self, names: &[String]) -> BTreeSet<String> {
        let mut waiting: Vec<_> = names.to_vec();
        let mut seen = BTreeSet::new();
        let mut all = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            match self.groups.get(&name) {
                Some(members) if name != "@all" => {
                    if seen.insert(name.clone()) {
                        waiting.extend(members.iter().cloned());
                    }
                }
                _ => _ = all.insert(name),
            }
        }
        all
    }

    fn subjects(&mut self, names: &[String], level: &LevelPath, place: &str) -> BTreeSet<Subject> {
        let mut subjects = BTreeSet::new();
        for name in names {
            let subject = match (name.as_str(), name.strip_prefix('@')) {
                ("@all", _) => Some(Subject::Authenticated),
                ("CREATOR", _) => level.has_user().then_some(Subject::PathUser),
                ("READERS" | "WRITERS", _) => None,
                ("gitweb" | "daemon", _) => {
                    self.report.add(
                        Weight::Note,
                        place,
                        format!("`{name}` is a program, not a user; left out"),
                    );
                    continue;
                }
                (_, Some(group)) => GroupName::parse(group).ok().map(Subject::Group),
                (user, None) => UserName::parse(user).ok().map(Subject::User),
            };
            match subject {
                Some(subject) => _ = subjects.insert(subject),
                None => {
                    self.report.add(Weight::Narrower, place, format!("`{name}` has no equal here; left out"))
                }
            }
        }
        self.named.extend(subjects.iter().cloned());
        subjects
    }

    fn access(&mut self) {
        for rule in &self.rules {
            let grants = match rule.perm {
                Perm::Deny => continue,
                Perm::Create => {
                    self.report.add(
                        Weight::Note,
                        &rule.place,
                        "repositories are not created by a push; `backend-runner create-repo` does",
                    );
                    continue;
                }
                Perm::Read => &mut self.draft.access.entry(rule.level.clone()).or_default().read,
                Perm::Write { .. } => &mut self.draft.access.entry(rule.level.clone()).or_default().write,
            };
            grants.extend(rule.who.iter().cloned());
        }
        for grants in self.draft.access.values_mut() {
            grants.read.retain(|subject| !grants.write.contains(subject));
        }
        self.draft.access.retain(|_, grants| !grants.read.is_empty() || !grants.write.is_empty());
    }

    fn branches(&mut self) {
        let levels: BTreeSet<_> = self.rules.iter().map(|rule| rule.level.clone()).collect();
        for level in levels {
            let rules: Vec<_> = self.rules.iter().filter(|rule| contains(&rule.level, &level)).collect();
            let branches = refs::branches(&rules, &self.groups_of_users(), &mut self.report);
            if branches != Branches::default() {
                self.draft.branches.insert(level, branches);
            }
        }
        if !self.draft.branches.is_empty() {
            self.report.add(
                Weight::Note,
                "all rules",
                "refs outside refs/heads/ and refs/tags/ are refused unless `namespaces` lists them",
            );
        }
    }

    /// Who is in which group; groups of another program are not here.
    fn groups_of_users(&self) -> BTreeMap<GroupName, BTreeSet<UserName>> {
        let members = |name: &String| {
            let users = self.expanded(std::slice::from_ref(name));
            users.iter().filter_map(|user| UserName::parse(user).ok()).collect()
        };
        let parsed = |name: &String| GroupName::parse(name.trim_start_matches('@')).ok();
        self.groups.keys().filter_map(|name| Some((parsed(name)?, members(name)))).collect()
    }

    fn users(&mut self) {
        let groups = self.groups_of_users();
        for subject in &self.named {
            match subject {
                Subject::User(name) => _ = self.draft.users.entry(name.clone()).or_default(),
                Subject::Group(group) => match groups.get(group) {
                    Some(members) => {
                        for member in members {
                            let person: &mut Person = self.draft.users.entry(member.clone()).or_default();
                            person.groups.insert(group.clone());
                        }
                    }
                    None => {
                        let message =
                            format!("@{group} is not defined: its members must come from another directory");
                        self.report.add(Weight::Note, "all rules", message);
                    }
                },
                _ => (),
            }
        }
    }
}
