//! An imported policy means what the git4nginx configuration meant: both are asked about generated users and repositories.
//!
//! The evaluator below says what git4nginx's documentation and its behaviour say: grants of the group, then of the
//! repository; hooks from the nearest level that configures them, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use authd::identity::users_file;
use policy::Policy;
use policy::access::Verdict;
use policy::git_request::Access;
use policy::identity::Identity;
use policy::push::{self, Change, Push, Repository};
use policy::ref_update::RefUpdate;
use policy::repo_path::RepoPath;
use proptest::prelude::*;

use crate::commands::Desk;

#[derive(Clone, Debug, Default)]
struct Grants {
    /// `.read_users`, `.write_users`, `.read_groups`, `.write_groups`
    lists: [Option<Vec<&'static str>>; 4],
}

#[derive(Clone, Debug)]
struct Protect {
    enable: Option<bool>,
    branches: BTreeMap<&'static str, Grants>,
}

#[derive(Clone, Debug)]
struct Flow {
    enable: Option<bool>,
    flow: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct Hooks {
    flow: Option<Flow>,
    protect: Option<Protect>,
}

/// A group of repositories, by its directory; `None` is the top.
type Group = Option<&'static str>;

/// What is written for groups, and for repositories in them.
type Tree<T> = BTreeMap<Group, (T, BTreeMap<&'static str, T>)>;

#[derive(Clone, Debug)]
struct Model {
    users: BTreeMap<&'static str, BTreeSet<&'static str>>,
    access: Tree<Grants>,
    hooks: (Hooks, Tree<Hooks>),
}

impl Grants {
    fn yaml(&self, indent: usize) -> String {
        let names = [".read_users", ".write_users", ".read_groups", ".write_groups"];
        let mut text = String::new();
        for (name, list) in names.iter().zip(&self.lists) {
            if let Some(list) = list {
                writeln!(text, "{:indent$}{name}: [{}]", "", list.join(", ")).unwrap();
            }
        }
        // A map without a key would be no map.
        if text.is_empty() { format!("{:indent$}.unknown: 1\n", "") } else { text }
    }

    /// Read, write.
    fn of(&self, user: &str, groups: &BTreeSet<&str>) -> (bool, bool) {
        let user_in = |list: &Option<Vec<&str>>| list.iter().flatten().any(|name| *name == user);
        let group_in = |list: &Option<Vec<&str>>| list.iter().flatten().any(|name| groups.contains(name));
        let [read_users, write_users, read_groups, write_groups] = &self.lists;
        let write = user_in(write_users) || group_in(write_groups);
        (write || user_in(read_users) || group_in(read_groups), write)
    }
}

impl Hooks {
    fn yaml(&self, indent: usize) -> String {
        let mut text = String::new();
        let enable = |enable: Option<bool>| enable.map(|on| format!("enable: {on}, ")).unwrap_or_default();
        if let Some(flow) = &self.flow {
            writeln!(
                text,
                "{:indent$}.branch_flow: {{ {}flow: [{}] }}",
                "",
                enable(flow.enable),
                flow.flow.join(", ")
            )
            .unwrap();
        }
        if let Some(protect) = &self.protect {
            let switch =
                protect.enable.map(|on| format!("{:indent$}  enable: {on}\n", "")).unwrap_or_default();
            write!(text, "{:indent$}.branch_protect:\n{switch}{:indent$}  branches:", "", "").unwrap();
            text += if protect.branches.is_empty() { " {}\n" } else { "\n" };
            for (branch, grants) in &protect.branches {
                write!(text, "{:indent$}    {branch}:\n{}", "", grants.yaml(indent + 6)).unwrap();
            }
        }
        if text.is_empty() { format!("{:indent$}.nothing: {{}}\n", "") } else { text }
    }
}

impl Model {
    fn yaml(&self) -> String {
        let mut text = "repo_root: /srv/git\nbin_path: /usr/lib/git-core/git-http-backend\nauthentication:\n  plugin: lookup_groups\n  plugin_config:\n    users:\n".to_owned();
        for (user, groups) in &self.users {
            let groups: Vec<_> = groups.iter().copied().collect();
            writeln!(text, "      {user}: {{ groups: [{}], info: {{ name: {user} }} }}", groups.join(", "))
                .unwrap();
        }
        text += if self.access.is_empty() { "authorisation: {}\n" } else { "authorisation:\n" };
        for (group, (grants, repos)) in &self.access {
            write!(text, "  {}:\n{}", group.unwrap_or("null"), grants.yaml(4)).unwrap();
            for (repo, grants) in repos {
                write!(text, "    {repo}:\n{}", grants.yaml(6)).unwrap();
            }
        }
        writeln!(text, "hooks:\n{}", self.hooks.0.yaml(2)).unwrap();
        for (group, (hooks, repos)) in &self.hooks.1 {
            write!(text, "  {}:\n{}", group.unwrap_or("null"), hooks.yaml(4)).unwrap();
            for (repo, hooks) in repos {
                write!(text, "    {repo}:\n{}", hooks.yaml(6)).unwrap();
            }
        }
        text.replace(".nothing: {}\n", ".branch_nothing_of_ours: {}\n")
    }

    fn may(&self, user: &str, group: Group, repo: &str) -> (bool, bool) {
        let groups = &self.users[user];
        let Some((of_group, repos)) = self.access.get(&group) else { return (false, false) };
        let (read, write) = of_group.of(user, groups);
        let own = repos.get(repo).map_or((false, false), |grants| grants.of(user, groups));
        (read || own.0, write || own.1)
    }

    /// The nearest configuration of each hook, unless it is switched off.
    fn hooks(&self, group: Group, repo: &str) -> (Option<&Flow>, Option<&Protect>) {
        let of_group = self.hooks.1.get(&group);
        let levels = [
            of_group.and_then(|(_, repos)| repos.get(repo)),
            of_group.map(|(hooks, _)| hooks),
            Some(&self.hooks.0),
        ];
        let levels = || levels.iter().flatten();
        let flow = levels().find_map(|hooks| hooks.flow.as_ref()).filter(|flow| flow.enable != Some(false));
        let protect =
            levels().find_map(|hooks| hooks.protect.as_ref()).filter(|protect| protect.enable != Some(false));
        (flow, protect)
    }
}

const USERS: [&str; 3] = ["joe", "ann", "kim"];
const GROUPS: [&str; 2] = ["developers_group", "managers_group"];
const REPO_GROUPS: [Group; 4] = [None, Some("team"), Some("ops"), Some("nowhere")];
const REPOS: [&str; 3] = ["a.git", "b.git", "unlisted.git"];
const BRANCHES: [&str; 4] = ["dev", "test", "master", "feature"];

fn grants() -> impl Strategy<Value = Grants> {
    let users = || prop::option::of(prop::sample::subsequence(USERS.to_vec(), 0..3));
    let groups = || prop::option::weighted(0.4, prop::sample::subsequence(GROUPS.to_vec(), 0..2));
    (users(), users(), groups(), groups()).prop_map(|(a, b, c, d)| Grants { lists: [a, b, c, d] })
}

fn hooks() -> impl Strategy<Value = Hooks> {
    let enable = || prop::option::of(any::<bool>());
    let flow = (enable(), prop::sample::subsequence(BRANCHES.to_vec(), 0..4))
        .prop_map(|(enable, flow)| Flow { enable, flow });
    let branches = prop::collection::btree_map(prop::sample::select(BRANCHES.to_vec()), grants(), 0..3);
    let protect = (enable(), branches).prop_map(|(enable, branches)| Protect { enable, branches });
    (prop::option::of(flow), prop::option::of(protect)).prop_map(|(flow, protect)| Hooks { flow, protect })
}

fn tree<T: std::fmt::Debug + Clone + 'static>(
    node: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Tree<T>> {
    let repos = prop::collection::btree_map(prop::sample::select(REPOS[..2].to_vec()), node.clone(), 0..3);
    prop::collection::btree_map(prop::sample::select(REPO_GROUPS[..3].to_vec()), (node, repos), 0..4)
}

fn models() -> impl Strategy<Value = Model> {
    let groups =
        || prop::sample::subsequence(GROUPS.to_vec(), 0..=2).prop_map(|list| list.into_iter().collect());
    let users =
        (groups(), groups(), groups()).prop_map(|(a, b, c)| USERS.into_iter().zip([a, b, c]).collect());
    (users, tree(grants().boxed()), hooks(), tree(hooks().boxed()))
        .prop_map(|(users, access, everywhere, hooks)| Model { users, access, hooks: (everywhere, hooks) })
}

fn compare(model: &Model) {
    let desk = Desk::new(&[("conf.yaml", &model.yaml())]);
    let done = desk.run("import git4nginx conf.yaml --out new --accept-wider");
    assert_eq!(done.code, 0, "{done:?}\n{}", model.yaml());
    let policy = Policy::parse("policy.yaml", desk.read("new/policy.yaml").as_bytes()).unwrap();
    let users = users_file::parse("users.yaml", desk.read("new/users.yaml").as_bytes()).unwrap();
    for (group, repo) in REPO_GROUPS.iter().flat_map(|group| REPOS.map(|repo| (*group, repo))) {
        let path = group.map_or_else(|| repo.to_owned(), |group| format!("{group}/{repo}"));
        let path = RepoPath::parse(&path).unwrap();
        for user in USERS {
            let account = users.find(user).unwrap();
            let caller = Identity::User(account.user().unwrap());
            let may = |access| matches!(policy.decide(&caller, &path, access), Verdict::Allow(_));
            let ours = (may(Access::Read), may(Access::Write));
            assert_eq!(
                ours,
                model.may(user, group, repo),
                "{user} on {path}\n{}\n{}",
                model.yaml(),
                desk.read("new/policy.yaml")
            );
            compare_branches(model, &policy, &caller, user, (group, repo), &path);
        }
    }
}

fn compare_branches(
    model: &Model,
    policy: &Policy,
    caller: &Identity,
    user: &str,
    at: (Group, &str),
    path: &RepoPath,
) {
    let (flow, protect) = model.hooks(at.0, at.1);
    let rules = policy.branch_rules(path);
    let steps = rules.flow.map(|(_, flow)| flow.iter().map(|step| step.as_str()).collect::<Vec<_>>());
    assert_eq!(steps, flow.map(|flow| flow.flow.clone()), "flow of {path}");

    let tag =
        RefUpdate::parse(format!("{} {} refs/tags/v1", "0".repeat(40), "1".repeat(40)).as_bytes()).unwrap();
    let before = Repository::default();
    let push = Push { updates: std::slice::from_ref(&tag), pusher: caller, rules, repository: &before };
    let refused = !push::judge(&push, &BTreeSet::new()).is_empty();
    assert_eq!(refused, flow.is_some() || protect.is_some(), "tags of {path}");

    for branch in BRANCHES {
        let rule = protect.and_then(|protect| protect.branches.get(branch));
        let theirs = rule.is_none_or(|grants| grants.of(user, &model.users[user]).1);
        assert_eq!(
            push.judge_branch(branch, Change::FastForward).is_ok(),
            theirs,
            "{user} on {branch} of {path}\n{}",
            model.yaml()
        );
        assert_eq!(
            push.judge_branch(branch, Change::Create).is_ok(),
            theirs,
            "{user} creates {branch} of {path}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn an_imported_policy_gives_everybody_what_git4nginx_gave(model in models()) {
        compare(&model);
    }
}
