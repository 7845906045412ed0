//! Settings of a repository that run programs, read other files or widen access. Gitward overrules most of them; somebody who
//! uses git on the server by hand does not.

use std::path::Path;
use std::process::Command;

/// Keys, in lower case; `*` stands for a subsection.
const DANGEROUS: [&str; 24] = [
    "core.alternaterefscommand",
    "core.editor",
    "core.fsmonitor",
    "core.gitproxy",
    "core.hookspath",
    "core.pager",
    "core.sshcommand",
    "core.worktree",
    "credential.helper",
    "diff.external",
    "diff.*.command",
    "diff.*.textconv",
    "extensions.worktreeconfig",
    "filter.*.clean",
    "filter.*.process",
    "filter.*.smudge",
    "gpg.program",
    "gpg.*.program",
    "hook.*.command",
    "http.receivepack",
    "include.path",
    "includeif.*.path",
    "receive.procreceiverefs",
    "uploadpack.packobjectshook",
];

/// What is wrong with the settings, a line each.
pub(super) fn problems(git: &Path, repository: &Path) -> Vec<String> {
    let output = Command::new(git)
        .arg("config")
        .arg("--file")
        .arg(repository.join("config"))
        .args(["--no-includes", "--list", "-z"])
        .env_clear()
        .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("HOME", "/nonexistent")])
        .current_dir("/")
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return vec!["its configuration cannot be read".to_owned()];
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let entries = text.split('\0').map(|entry| entry.split_once('\n').unwrap_or((entry, "")));
    entries.filter_map(|(key, value)| problem(key, value)).collect()
}

fn problem(key: &str, value: &str) -> Option<String> {
    if key == "core.bare" && value == "false" {
        return Some("core.bare is false: not a bare repository".to_owned());
    }
    let lower = key.to_lowercase();
    let simple = match (lower.split_once('.'), lower.rsplit_once('.')) {
        (Some((section, rest)), Some((_, name))) if rest != name => format!("{section}.*.{name}"),
        _ => lower,
    };
    let dangerous = DANGEROUS.contains(&simple.as_str());
    dangerous.then(|| format!("its configuration has {}", crate::text::escape(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dangerous_key_is_found_and_ordinary_ones_are_not() {
        for key in DANGEROUS {
            let key = key.replace('*', "Any.Thing");
            assert!(problem(&key, "x").is_some_and(|text| text.contains(&key)), "{key}");
        }
        for key in ["core.bare", "receive.fsckObjects", "remote.origin.url", "gc.auto"] {
            assert_eq!(problem(key, "true"), None);
        }
        assert!(problem("core.bare", "false").is_some());
    }
}
