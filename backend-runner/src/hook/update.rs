//! `update`: git asks it for each ref, and it says yes only to what pre-receive has accepted in this push.
//!
//! It is the second lock on the door: should pre-receive not have run, no ref changes. A push whose hooks cannot go missing needs
//! none, and runs this only for hooks of a site or repository. Started once for every ref, it reads two small files and
//! nothing else.

use policy::rule::Rule;

use super::external::{self, Stage};
use super::{Context, Refused};
use crate::push::layout::{ORDER, PROOF};
use crate::push::order::Short;
use crate::push::proof;

/// Judges one ref.
pub(super) fn run(context: &Context) -> Result<(), Refused> {
    let read = |file| std::fs::read_to_string(context.directory.join(file)).unwrap_or_default();
    let short = Short::parse(&read(ORDER)).ok_or_else(|| context.fail("cannot read the order"))?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, old, new] = &arguments[..] else { return Err(context.fail("not three arguments")) };
    if !proof::covers(&read(PROOF), &short.nonce, name, old, new) {
        return Err(
            context.refuse(Rule::Proof, "the rules were not asked about this ref, so it stays as it is")
        );
    }
    external::run(context, &short, &Stage { arguments: &arguments, input: None, deadline: None })
}
