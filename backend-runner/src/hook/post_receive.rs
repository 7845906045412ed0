//! `post-receive`: notes what git says it has applied, then tells the site's hooks. The push stands, whatever happens here.
//!
//! The pusher waits for the answer meanwhile, so all hooks together get the time of one.

use std::io::Read;
use std::time::Instant;

use policy::rule::Rule;

use super::external::{self, Stage};
use super::{Context, Refused, tell};
use crate::push::layout::{APPLIED, ORDER};
use crate::push::order::Short;
use crate::push::report::{Outcome, Report};

/// Notes and tells; its word counts for nothing.
pub(super) fn run(context: &Context) -> Result<(), Refused> {
    let mut applied = Vec::new();
    let noted = std::io::stdin().lock().read_to_end(&mut applied);
    let noted = noted.and_then(|_| std::fs::write(context.directory.join(APPLIED), &applied));
    if let Err(error) = noted {
        let detail = format!("cannot note what was applied: {error}");
        context.report(&Report::new(context.name, Outcome::Failed, Rule::Failure, detail));
    }
    let short = std::fs::read_to_string(context.directory.join(ORDER)).ok();
    let Some(short) = short.as_deref().and_then(Short::parse) else {
        context.report(&Report::new(context.name, Outcome::Failed, Rule::Failure, "cannot read the order"));
        return Ok(());
    };
    let deadline = Some(Instant::now() + short.timeout());
    if external::run(context, &short, &Stage { arguments: &[], input: Some(&applied), deadline }).is_err() {
        tell("the push is complete, but a hook after it failed");
    }
    context.report(&Report::accepted(context.name));
    Ok(())
}
