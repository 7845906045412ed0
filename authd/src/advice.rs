//! What works but is probably not meant: advice about the policy, and about whom it names that no directory knows.
//!
//! `authd check` prints it, and the log has it once for each configuration that comes into use.

use std::collections::HashSet;

use policy::Policy;
use policy::advice::{self, Advice};
use policy::identity::{GroupName, UserName};

use crate::identity::Directories;

/// Everything to be said about a policy, with its places in `text`, which is the content of the file `name`.
pub fn advice(policy: &Policy, directories: &Directories, name: &str, text: &str) -> Vec<String> {
    let mut found = advice::advice(policy);
    found.extend(strangers(policy, directories));
    advice::told(&found, name, text)
}

/// Users and groups that nobody is. A directory that is asked over the network may know them.
fn strangers(policy: &Policy, directories: &Directories) -> Vec<Advice> {
    if !directories.are_files() {
        return Vec::new();
    }
    let knows =
        |user: &UserName| directories.files().any(|(_, accounts)| accounts.find(user.as_str()).is_some());
    let inhabited: HashSet<&GroupName> =
        directories.files().flat_map(|(_, accounts)| accounts.groups()).collect();
    let named = advice::named(policy);
    let users = named.users.into_iter().filter(|(user, _)| !knows(user));
    let users = users.map(|(user, place)| (place, format!("no directory knows the user `{user}`")));
    let groups = named.groups.into_iter().filter(|(group, _)| !inhabited.contains(group));
    let groups = groups.map(|(group, place)| (place, format!("nobody is in the group `@{group}`")));
    users.chain(groups).map(|(place, message)| Advice { place, message }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::load;

    const POLICY: &str = "version: 1\naccess:\n  a/: { read: [joe, ann, '@dev', '@ops'] }\n";
    const USERS: &str = "version: 1\nusers:\n  joe: { groups: [dev] }\n";

    #[test]
    fn who_is_in_no_file_and_files_that_everybody_can_read_are_pointed_at() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("policy.yaml"), POLICY).unwrap();
        fs::write(at("users.yaml"), USERS).unwrap();
        fs::write(at("authd.yaml"), "version: 1\ndirectories:\n  - { type: users, file: users.yaml }\n")
            .unwrap();
        for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
            fs::set_permissions(at("users.yaml"), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(load::load(&at("authd.yaml")).unwrap().warnings.len(), warnings, "{mode:o}");
        }
        let loaded = load::load(&at("authd.yaml")).unwrap();
        assert_eq!(
            advice(&loaded.policy, &loaded.directories, "policy.yaml", &loaded.policy_text),
            [
                "policy.yaml:3:21: no directory knows the user `ann`",
                "policy.yaml:3:34: nobody is in the group `@ops`"
            ]
        );
    }
}
