//! git4nginx's hooks: `.branch_flow` and `.branch_protect`, for all repositories, for a group and for a repository.
//!
//! Both hooks of git4nginx refuse every push of a tag, so wherever one of them is in force tags are refused here too. It
//! looked at the last component of a branch's name only; here rules are about whole names.

use std::collections::{BTreeMap, BTreeSet};

use policy::glob::Glob;
use policy::level::LevelPath;
use serde_yaml::{Mapping, Value};

use super::{Source, word};
use crate::cli::Failure;
use crate::cli::import::draft::{Branches, RefGrants};
use crate::cli::import::report::Weight;

/// Whether the two hooks are in force.
#[derive(Clone, Copy, Default)]
struct Force {
    flow: bool,
    protect: bool,
}

impl Source {
    pub(super) fn hooks(&mut self, hooks: &Mapping) -> Result<(), Failure> {
        let root = LevelPath::parse("/").map_err(|error| self.fault(&["hooks"], &error.to_string()))?;
        let everywhere = self.hook_level(root, hooks, &["hooks"], Force::default())?;
        for (group, node) in hooks.iter().filter(|(key, _)| !word(key).starts_with('.')) {
            let at = ["hooks", word(group)];
            let Some(level) = self.group_level(group, &at) else { continue };
            let node = node.as_mapping().ok_or_else(|| self.fault(&at, EMPTY))?;
            let in_group = self.hook_level(level, node, &at, everywhere)?;
            for (repo, node) in node.iter().filter(|(key, _)| !word(key).starts_with('.')) {
                let at = [&at[..], &[word(repo)]].concat();
                let Some(level) = self.repository_level(group, repo, &at) else { continue };
                let node = node.as_mapping().ok_or_else(|| self.fault(&at, EMPTY))?;
                self.hook_level(level, node, &at, in_group)?;
            }
        }
        if !self.draft.branches.is_empty() {
            self.say(
                Weight::Note,
                &["hooks"],
                "rules hold for every repository, linked hook or not, and for the whole name of \
                 a branch: x/master is not master",
            );
            self.say(
                Weight::Note,
                &["hooks"],
                "git4nginx refused every tag where a hook was in force; take out \
                 `tags: { \"**\": {} }` to allow them",
            );
            self.say(
                Weight::Narrower,
                &["hooks"],
                "forced pushes to and deletions of a protected branch are refused; name who \
                 may with `force` and `delete`",
            );
        }
        Ok(())
    }

    /// Writes what a level says about branches; what it says nothing about, it has from above.
    fn hook_level(
        &mut self,
        level: LevelPath,
        node: &Mapping,
        path: &[&str],
        above: Force,
    ) -> Result<Force, Failure> {
        let mut branches = Branches::default();
        let mut force = above;
        for (key, value) in node {
            let at = [path, &[word(key)]].concat();
            match key.as_str() {
                Some(".branch_flow") => {
                    let flow = self.flow(value, &at)?;
                    force.flow = flow.is_some();
                    branches.flow = Some(flow);
                }
                Some(".branch_protect") => {
                    let protect = self.protect(value, &at)?;
                    force.protect = protect.is_some();
                    branches.protect = Some(protect);
                }
                Some(other) if other.starts_with('.') => {
                    let message = "a hook of your own: put it into hooks.external/pre-receive.d, until then it refuses nothing";
                    self.say(Weight::Wider, &at, message);
                }
                _ => (),
            }
        }
        if branches != Branches::default() {
            let refused = BTreeMap::from([("**".to_owned(), RefGrants::default())]);
            branches.tags = Some((force.flow || force.protect).then_some(refused));
            self.draft.branches.insert(level, branches);
        }
        Ok(force)
    }

    fn flow(&mut self, value: &Value, path: &[&str]) -> Result<Option<Vec<String>>, Failure> {
        if !self.is_enabled(value, path)? {
            return Ok(None);
        }
        let missing = "there is no list `flow`: git4nginx refuses every push here; correct it or take it out";
        let steps =
            value.get("flow").and_then(Value::as_sequence).ok_or_else(|| self.fault(path, missing))?;
        let name = |step: &Value| {
            let name = step.as_str().filter(|name| is_branch(name) && !name.contains('/'));
            name.map(str::to_owned)
                .ok_or_else(|| self.fault(path, &format!("`{}` can be no branch of a flow", word(step))))
        };
        steps.iter().map(name).collect::<Result<_, _>>().map(Some)
    }

    fn protect(
        &mut self,
        value: &Value,
        path: &[&str],
    ) -> Result<Option<BTreeMap<String, RefGrants>>, Failure> {
        if !self.is_enabled(value, path)? {
            return Ok(None);
        }
        let missing =
            "there is no map `branches`: git4nginx refuses every push here; correct it or take it out";
        let rules =
            value.get("branches").and_then(Value::as_mapping).ok_or_else(|| self.fault(path, missing))?;
        let mut protect = BTreeMap::new();
        for (branch, rights) in rules {
            let at = [path, &["branches", word(branch)]].concat();
            let Some(name) = branch.as_str().filter(|name| is_branch(name)) else {
                self.say(Weight::Note, &at, "no branch can have this name; left out");
                continue;
            };
            let write = match rights {
                Value::Null => BTreeSet::new(),
                Value::Mapping(rights) => self.grants(rights, &at)?.write,
                _ => return Err(self.fault(&at, "these are no settings of a branch")),
            };
            protect.insert(name.to_owned(), RefGrants { write, ..RefGrants::default() });
        }
        Ok(Some(protect))
    }

    fn is_enabled(&self, value: &Value, path: &[&str]) -> Result<bool, Failure> {
        if !value.is_mapping() {
            return Err(self.fault(path, EMPTY));
        }
        match value.get("enable") {
            None | Some(Value::Bool(true)) => Ok(true),
            Some(Value::Bool(false)) => Ok(false),
            Some(_) => Err(self.fault(path, "`enable` is true or false")),
        }
    }
}

const EMPTY: &str = "there are no settings here; git4nginx's hook fails, and refuses every push";

/// A name that a branch can have, and no pattern.
fn is_branch(name: &str) -> bool {
    !name.starts_with("refs/") && Glob::parse(name).is_ok_and(|glob| glob.is_literal())
}
