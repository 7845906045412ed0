//! git4nginx's users: names, groups and info, which its plugin `lookup_groups` looks up for whoever nginx has let in.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::{Source, word};
use crate::cli::import::draft::Person;
use crate::cli::import::report::Weight;

impl Source {
    pub(super) fn directories(&mut self) {
        self.draft.directories = [
            "  # nginx checks the password and names the user, as it did for git4nginx; groups come from users.yaml.",
            "  # The end of nginx/gitward-server.conf shows how.",
            "  - { type: users, file: users.yaml }",
            "  - { type: upstream, header: X-Remote-User, groups_from: users }",
            "  # Or let authd check the passwords: with `authd hash-password` for users.yaml, or with nginx's own file:",
            "  #- { type: htpasswd, file: /etc/nginx/htpasswd-git, groups_file: groups }",
        ]
        .map(str::to_owned)
        .to_vec();
    }

    /// Users are below `plugin_config`, or, as in the example that comes with git4nginx, below `authentication` itself.
    pub(super) fn authentication(&mut self, map: &Mapping) {
        let Some(plugin) = map.get("plugin") else {
            return self.users(map, &["authentication"]);
        };
        if plugin.as_str() != Some("lookup_groups") {
            let message = "only the plugin lookup_groups is known; whom another one lets in must be set up in authd.yaml";
            self.say(Weight::Narrower, &["authentication", "plugin"], message);
        }
        match map.get("plugin_config").and_then(|config| config.get("users")) {
            Some(Value::Mapping(users)) => self.users(users, &["authentication", "plugin_config", "users"]),
            _ => self.say(Weight::Note, &["authentication"], "there are no users in `plugin_config`"),
        }
    }

    fn users(&mut self, users: &Mapping, path: &[&str]) {
        for (key, value) in users {
            let at = [path, &[word(key)]].concat();
            let Some(name) = self.user(key, &at) else { continue };
            let mut person = Person::default();
            for (key, value) in value.as_mapping().into_iter().flatten() {
                let at = [&at[..], &[word(key)]].concat();
                match (key.as_str(), value) {
                    (Some("groups"), Value::Sequence(groups)) => {
                        person.groups = groups.iter().filter_map(|group| self.group(group, &at)).collect();
                    }
                    (Some("info"), Value::Mapping(info)) => person.info = self.info(info, &at),
                    (Some("password"), _) => {
                        self.say(Weight::Note, &at, "git4nginx never used a password here; left out");
                    }
                    _ => self.say(Weight::Narrower, &at, "this is not what git4nginx reads here; left out"),
                }
            }
            self.draft.users.insert(name, person);
        }
    }

    fn info(&mut self, info: &Mapping, path: &[&str]) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in info {
            let text = match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(truth) => Some(truth.to_string()),
                _ => None,
            };
            match (key.as_str(), text) {
                (Some(key), Some(text)) => _ = texts.insert(key.to_owned(), text),
                _ => self.say(
                    Weight::Note,
                    &[path, &[word(key)]].concat(),
                    "only texts can be handed to hooks; left out",
                ),
            }
        }
        texts
    }
}
