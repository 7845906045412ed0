//! Shadow mode: another policy is asked beside the real one, and only the difference is told. It is never enforced.
//!
//! So a new policy can be tried on real requests before it counts.

use policy::access::{Denial, Verdict};

/// Where two policies disagree about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the shadow policy would do.
    pub change: Change,
    /// The level the real policy decides at, if at one.
    pub level: Option<String>,
    /// The level the shadow policy decides at.
    pub shadow_level: Option<String>,
}

/// What a shadow policy would do that the real one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Allow what is denied.
    WouldAllow,
    /// Deny what is allowed.
    WouldDeny,
}

impl Difference {
    /// The difference of two verdicts, if there is one.
    pub fn between(real: Verdict<'_>, shadow: Verdict<'_>) -> Option<Self> {
        let change = match (real, shadow) {
            (Verdict::Deny(_), Verdict::Allow(_)) => Change::WouldAllow,
            (Verdict::Allow(_), Verdict::Deny(_)) => Change::WouldDeny,
            _ => return None,
        };
        Some(Self { change, level: level(real), shadow_level: level(shadow) })
    }
}

impl Change {
    /// A word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WouldAllow => "would_allow",
            Self::WouldDeny => "would_deny",
        }
    }
}

fn level(verdict: Verdict<'_>) -> Option<String> {
    match verdict {
        Verdict::Allow(permit) => Some(permit.level.to_string()),
        Verdict::Deny(Denial::Frozen(level)) => Some(level.to_string()),
        Verdict::Deny(Denial::NoGrant) => None,
    }
}

#[cfg(test)]
mod tests {
    use policy::Policy;
    use policy::git_request::Access;
    use policy::identity::Identity;
    use policy::repo_path::RepoPath;

    use super::*;

    #[test]
    fn only_a_difference_is_told_with_the_levels_of_both() {
        let policy = |access: &str| {
            Policy::parse("p", format!("version: 1\naccess: {{ {access} }}\n").as_bytes()).unwrap()
        };
        let (real, shadow) = (
            policy("a/: { write: [anonymous] }, c/: { read: [anonymous] }"),
            policy("/: { read: [anonymous] }, a/: { frozen: true, write: [anonymous] }"),
        );
        let between = |repo: &str, access| {
            let repo = RepoPath::parse(repo).unwrap();
            let decide = |policy: &Policy| {
                let verdict = policy.decide(&Identity::Anonymous, &repo, access);
                (matches!(verdict, Verdict::Allow(_)), level(verdict))
            };
            let told = Difference::between(
                real.decide(&Identity::Anonymous, &repo, access),
                shadow.decide(&Identity::Anonymous, &repo, access),
            );
            (told, decide(&real).1, decide(&shadow).1)
        };
        let (told, ..) = between("a/x.git", Access::Write);
        let level = |level: &str| Some(level.to_owned());
        assert_eq!(
            told,
            Some(Difference { change: Change::WouldDeny, level: level("a/"), shadow_level: level("a/") })
        );
        let (told, ..) = between("b/x.git", Access::Read);
        assert_eq!(
            told,
            Some(Difference { change: Change::WouldAllow, level: None, shadow_level: level("/") })
        );
        let (told, real, shadow) = between("c/x.git", Access::Read);
        assert_eq!((told, real, shadow), (None, level("c/"), level("/")), "another level is no difference");
    }
}
