//! `git push -o gitward.override=<reason>`: sets the rules aside for one push, for those whom `override` names.
//!
//! Push options are what the pusher typed: they are read one by one from git's numbered variables, see githooks(5), and
//! never put together with anything else.

use policy::identity::Identity;
use policy::push::Push;

/// What the pusher asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Override {
    /// Nothing.
    No,
    /// To set the rules aside, and may.
    Granted(String),
    /// To set the rules aside, and may not, or says not why.
    Denied(&'static str),
}

/// The option's name.
const OPTION: &str = "gitward.override";

/// How long a reason may be.
const LENGTH: usize = 1000;

/// Looks for the option among git's.
pub(super) fn asked(push: &Push<'_>) -> Override {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT").ok().and_then(|count| count.parse().ok());
    let options = (0..count.unwrap_or(0_usize))
        .filter_map(|number| std::env::var_os(format!("GIT_PUSH_OPTION_{number}")))
        .map(|option| option.to_string_lossy().into_owned());
    let allowed = push.rules.emergency.is_some_and(|(_, subjects)| subjects.include(push.pusher, None));
    judge(options, allowed && matches!(push.pusher, Identity::User(_)))
}

fn judge(options: impl Iterator<Item = String>, allowed: bool) -> Override {
    let mut reasons = options.filter_map(|option| match option.strip_prefix(OPTION)? {
        "" => Some(String::new()),
        rest => rest.strip_prefix('=').map(|reason| reason.trim().chars().take(LENGTH).collect()),
    });
    match reasons.next() {
        None => Override::No,
        Some(_) if !allowed => Override::Denied("you may not set the rules of this repository aside"),
        Some(reason) if reason.is_empty() => {
            Override::Denied("say why: git push -o gitward.override=<reason>")
        }
        Some(reason) => Override::Granted(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(options: &[&str], allowed: bool) -> Override {
        judge(options.iter().map(|option| (*option).to_owned()), allowed)
    }

    #[test]
    fn rules_are_set_aside_for_those_who_may_and_say_why() {
        let granted = Override::Granted("mend the\nrelease".to_owned());
        assert_eq!(verdict(&["ci.skip", "gitward.override= mend the\nrelease "], true), granted);
        assert_eq!(verdict(&["gitward.overrides=x", "x;gitward.override=x"], true), Override::No);
        for (options, allowed) in [
            (["gitward.override=x"], false),
            (["gitward.override"], true),
            (["gitward.override="], true),
            (["gitward.override= \t"], true),
        ] {
            assert!(matches!(verdict(&options, allowed), Override::Denied(_)), "{options:?}");
        }
    }
}
