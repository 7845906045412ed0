//! `pre-receive`: the verdict on a whole push. Every line is read, every rule is asked, one refusal refuses all.

mod input;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use policy::branch::BranchRules;
use policy::push::{Change, Push, Repository, ancestry_needed, change, judge};
use policy::ref_update::RefUpdate;
use policy::rule::Rule;

use self::input::Input;
use super::clock::Clock;
use super::external::{self, Stage};
use super::git::{AskError, Git};
use super::override_option::{self, Override};
use super::{Context, Refused, ancestry, content, facts, tell, tell_all};
use crate::push::hooks::Spare;
use crate::push::layout::{BEGAN, ORDER};
use crate::push::order::Order;
use crate::push::proof;
use crate::push::report::{Outcome, Report};
use crate::text::escape;

/// How many refusals the pusher is told.
const TOLD: usize = 20;

/// Updates of no more bytes are judged in no time where git need not be asked: what takes long is names times rules.
const LITTLE: usize = 16 << 10;

/// Judges the push, asks the site's hooks, and leaves the proof.
pub(super) fn run(context: &Context) -> Result<(), Refused> {
    begin(&context.directory).map_err(|error| context.fail(&error.to_string()))?;
    let order = context.order()?;
    let clock = Clock::start(context, order.short.timeout());
    check_repository(context)?;
    let input = Input::read(context)?;
    if input.bytes.len() > LITTLE {
        clock.watch();
    }
    let changes = judge_push(context, &order, &input.updates, &clock)?;
    clock.stop()?;

    let stage = Stage { arguments: &[], input: Some(&input.bytes), deadline: None };
    external::run(context, &order.short, &stage)?;
    provide_post_receive(context, &input.updates)?;
    let accepted = input.updates.iter().zip(changes);
    proof::write(&context.directory, &order.short.nonce, accepted)
        .map_err(|error| context.fail(&format!("cannot write the proof: {error}")))
}

/// Tells the runner that this runs: by another name of a file that is there, where the file system has that.
fn begin(directory: &Path) -> io::Result<()> {
    let mark = directory.join(BEGAN);
    match std::fs::hard_link(directory.join(ORDER), &mark) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // What is there already must not be emptied: it is the order.
        Err(_) => File::create_new(mark).map(drop),
        Ok(()) => Ok(()),
    }
}

/// git reports the deletion of a ref that is not there as done, and tells post-receive better: so where refs are deleted, it runs.
fn provide_post_receive(context: &Context, updates: &[RefUpdate]) -> Result<(), Refused> {
    if !updates.iter().any(RefUpdate::deletes) {
        return Ok(());
    }
    match Spare::of(context.directory.clone()) {
        Some(spare) => spare.put().map_err(|error| context.fail(&format!("cannot provide a hook: {error}"))),
        None => Ok(()),
    }
}

/// `proc-receive` could change other refs than those that are judged here. Where an included file sets it, git finds no such
/// hook and refuses by itself.
fn check_repository(context: &Context) -> Result<(), Refused> {
    let config =
        std::fs::read("config").map_err(|error| context.fail(&format!("cannot read config: {error}")))?;
    let mark = b"procreceiverefs";
    if config.to_ascii_lowercase().windows(mark.len()).any(|window| window == mark) {
        let text =
            "this repository sets receive.procReceiveRefs, which goes past the rules; ask its administrator";
        return Err(context.refuse(Rule::Repository, text));
    }
    Ok(())
}

/// Asks all rules; what each update does to its ref, when none refuses.
fn judge_push(
    context: &Context,
    order: &Order,
    updates: &[RefUpdate],
    clock: &Clock<'_>,
) -> Result<Vec<Change>, Refused> {
    let git = Git { program: Path::new(&order.git), clock };
    let rules = BranchRules::of_level(order.rules.clone());
    let pusher = order.pusher();
    let symbolic = facts::symbolic(&git, updates).map_err(|error| context.fail(&error.to_string()))?;
    let before = Repository { symbolic, ..Repository::default() };
    let rules = rules.for_repository(&order.repo);
    let push = Push { updates, pusher: &pusher, rules, repository: &before };
    let failed = |error: AskError| context.fail(&error.to_string());
    let tips = facts::tips(&git, &push).map_err(failed)?;
    let before = Repository { tips, ..before.clone() };
    let push = Push { repository: &before, ..push };

    let known = ancestry::answer(&git, ancestry_needed(&push)).map_err(failed)?;
    let refusals = judge(&push, &known);
    let mut refused: Vec<_> = refusals.iter().map(|refusal| (refusal.rule, refusal.to_string())).collect();
    match override_option::asked(&push) {
        Override::Denied(text) => return Err(context.refuse(Rule::Override, text)),
        Override::Granted(reason) => set_aside(context, &mut refused, reason)?,
        Override::No if refused.is_empty() => {
            let refusals = content::judge(&git, &push).map_err(failed)?;
            refused.extend(refusals.iter().map(|refusal| (refusal.rule, refusal.to_string())));
        }
        Override::No => {}
    }
    if !refused.is_empty() {
        return Err(refuse_all(context, &refused));
    }
    Ok(updates.iter().map(|update| change(update, &known)).collect())
}

/// Drops the refusals that an override may set aside, and says so to everybody. No override without a trace.
fn set_aside(context: &Context, refused: &mut Vec<(Rule, String)>, reason: String) -> Result<(), Refused> {
    let detail = refused.iter().map(|(_, text)| text.as_str()).take(TOLD).collect::<Vec<_>>().join("; ");
    refused.retain(|(rule, _)| !rule.yields_to_override());
    if !refused.is_empty() {
        return Ok(());
    }
    tell(&format!(
        "THE RULES OF THIS REPOSITORY ARE SET ASIDE FOR THIS PUSH, and this is recorded: {reason}"
    ));
    let report = Report {
        reason: Some(escape(&reason)),
        ..Report::new(context.name, Outcome::Overridden, Rule::Override, detail)
    };
    report.append(&context.directory).map_err(|error| context.fail(&error.to_string()))
}

fn refuse_all(context: &Context, refused: &[(Rule, String)]) -> Refused {
    let more = format!("and {} more", refused.len().saturating_sub(TOLD));
    let told = refused.iter().take(TOLD).map(|(_, text)| text.as_str());
    let more = (refused.len() > TOLD).then_some(more.as_str());
    tell_all(told.chain(more).chain(["the push is refused, nothing was changed"]));
    let mut seen = Vec::new();
    for (rule, text) in refused {
        if !seen.contains(rule) {
            seen.push(*rule);
            context.report(&Report::new(context.name, Outcome::Refused, *rule, text.as_str()));
        }
    }
    Refused
}
