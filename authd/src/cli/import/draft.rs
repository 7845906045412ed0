//! The files an import writes, from typed values to YAML that a person would have written.
//!
//! Names arrive here parsed, so nothing of the source can become a word of the policy: a user called `anonymous` is no
//! user name and has been reported long before.

use std::collections::{BTreeMap, BTreeSet};

use policy::identity::{GroupName, UserName};
use policy::level::LevelPath;
use policy::subject::Subject;

/// Everything an import writes.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) access: BTreeMap<LevelPath, Grants>,
    pub(super) branches: BTreeMap<LevelPath, Branches>,
    pub(super) users: BTreeMap<UserName, Person>,
    /// The lines of `directories:`, each a whole entry.
    pub(super) directories: Vec<String>,
    pub(super) mount: Option<String>,
    pub(super) realm: Option<String>,
    pub(super) repositories: Option<String>,
    pub(super) export_all: Option<bool>,
}

/// What one level grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) read: BTreeSet<Subject>,
    pub(super) write: BTreeSet<Subject>,
    /// What comes from above does not hold.
    pub(super) cut_off: bool,
}

/// What one level says about branches; `None` for what it does not name, and `Some(None)` for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Branches {
    pub(super) flow: Option<Option<Vec<String>>>,
    pub(super) protect: Option<Option<BTreeMap<String, RefGrants>>>,
    pub(super) tags: Option<Option<BTreeMap<String, RefGrants>>>,
}

/// Who may do what to some refs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RefGrants {
    pub(super) write: BTreeSet<Subject>,
    pub(super) create: Option<BTreeSet<Subject>>,
    pub(super) force: BTreeSet<Subject>,
    pub(super) delete: BTreeSet<Subject>,
}

/// One user.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) groups: BTreeSet<GroupName>,
    pub(super) info: BTreeMap<String, String>,
}

impl Draft {
    /// The files by name.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        let mut files = vec![
            ("policy.yaml", self.policy()),
            ("authd.yaml", self.authd()),
            ("backend-runner.yaml", self.runner()),
        ];
        if !self.users.is_empty() {
            files.push(("users.yaml", self.users()));
        }
        files
    }

    fn policy(&self) -> String {
        let mut text =
            "# Who may do what, imported; see import-report.txt for what could not be kept.\nversion: 1\n"
                .to_owned();
        if !self.branches.is_empty() {
            text += "\nbranches:\n";
        }
        for (level, branches) in &self.branches {
            text += &format!("  {}:\n{}", quoted(level.as_str()), branches.yaml());
        }
        text += if self.access.is_empty() { "\naccess: {}\n" } else { "\naccess:\n" };
        // What takes away comes first: a file that is cut off must not allow more than the whole one.
        for cuts_off in [true, false] {
            for (level, grants) in self.access.iter().filter(|(_, grants)| grants.cut_off == cuts_off) {
                text += &format!("  {}: {}\n", quoted(level.as_str()), grants.yaml());
            }
        }
        text
    }

    fn users(&self) -> String {
        let mut text =
            "# Users and their groups, imported. A user without `password` cannot log in with one;\n\
             # `authd hash-password` makes one.\nversion: 1\n\nusers:\n"
                .to_owned();
        for (name, person) in &self.users {
            let groups = list(person.groups.iter().map(GroupName::as_str));
            let info = person.info.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)));
            let info: Vec<_> = info.collect();
            let info =
                if info.is_empty() { String::new() } else { format!(", info: {{ {} }}", info.join(", ")) };
            text += &format!("  {}: {{ groups: {groups}{info} }}\n", quoted(name.as_str()));
        }
        text
    }

    fn authd(&self) -> String {
        let mut text =
            "version: 1\n\nlisten: unix:/run/gitward/authd.sock\nadmin: 127.0.0.1:9181\n".to_owned();
        text += &self.mount.iter().map(|mount| format!("mount: {mount}\n")).collect::<String>();
        text += &self.realm.iter().map(|realm| format!("realm: {}\n", quoted(realm))).collect::<String>();
        text += "policy_file: policy.yaml\nsigning_key_file: /run/gitward/signing.key\n\n";
        text += if self.directories.is_empty() { "directories: []\n" } else { "directories:\n" };
        text + &self.directories.iter().map(|entry| format!("{entry}\n")).collect::<String>()
    }

    fn runner(&self) -> String {
        let repositories = self.repositories.as_deref().unwrap_or("/srv/git");
        let export_all = self.export_all.map(|all| format!("export_all: {all}\n")).unwrap_or_default();
        format!(
            "version: 1\n\nlisten: unix:/run/gitward/backend-runner.sock\nadmin: 127.0.0.1:9182\n\
             repositories: {}\npolicy_file: policy.yaml\nsigning_key_file: /run/gitward/signing.key\n{export_all}\
             hooks: {{ directory: /usr/lib/gitward/hooks }}\n",
            quoted(repositories)
        )
    }
}

impl Grants {
    fn yaml(&self) -> String {
        let mut keys = Vec::new();
        if self.cut_off {
            keys.push("inherit: false".to_owned());
        }
        keys.extend((!self.read.is_empty()).then(|| format!("read: {}", subjects(&self.read))));
        keys.extend((!self.write.is_empty()).then(|| format!("write: {}", subjects(&self.write))));
        if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
    }
}

impl Branches {
    fn yaml(&self) -> String {
        let mut text = String::new();
        match &self.flow {
            None => (),
            Some(None) => text += "    flow: off\n",
            Some(Some(flow)) => text += &format!("    flow: {}\n", list(flow.iter().map(String::as_str))),
        }
        for (key, rights) in [("protect", &self.protect), ("tags", &self.tags)] {
            match rights {
                None => (),
                Some(None) => text += &format!("    {key}: off\n"),
                Some(Some(rights)) if rights.is_empty() => text += &format!("    {key}: {{}}\n"),
                Some(Some(rights)) => {
                    let lines = rights
                        .iter()
                        .map(|(pattern, who)| format!("      {}: {}\n", quoted(pattern), who.yaml()));
                    text += &format!("    {key}:\n{}", lines.collect::<String>());
                }
            }
        }
        text
    }
}

impl RefGrants {
    fn yaml(&self) -> String {
        let named = |key: &str, who: &BTreeSet<Subject>| {
            (!who.is_empty()).then(|| format!("{key}: {}", subjects(who)))
        };
        let create = self.create.as_ref().map(|who| format!("create: {}", subjects(who)));
        let keys =
            [named("write", &self.write), create, named("force", &self.force), named("delete", &self.delete)];
        let keys: Vec<_> = keys.into_iter().flatten().collect();
        if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
    }
}

fn subjects(subjects: &BTreeSet<Subject>) -> String {
    let names: Vec<_> = subjects.iter().map(ToString::to_string).collect();
    list(names.iter().map(String::as_str))
}

fn list<'t>(items: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

/// The text as a YAML value: as it is where every YAML reader takes it for text, else as JSON writes it, which YAML reads.
pub(super) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    let word = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    let is_spoken_for = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|taken| taken.eq_ignore_ascii_case(text));
    match word && text.bytes().all(plain) && text != "/" && !is_spoken_for {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_reader_could_take_for_something_else_is_quoted() {
        for (text, expected) in [
            ("joe", "joe"),
            ("team/test.git", "team/test.git"),
            ("/", "\"/\""),
            ("@dev ops", "\"@dev ops\""),
            ("no", "\"no\""),
            ("True", "\"True\""),
            ("123", "\"123\""),
            ("{user}/", "\"{user}/\""),
            ("a\"b\u{e9}", "\"a\\\"b\u{e9}\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
