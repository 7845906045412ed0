//! The hook program: judges a push inside git, between the arrival of its objects and the change of its refs.
//!
//! git starts it under the name of the hook, see githooks(5). It believes its standard input, the order that the runner wrote
//! into the push's private directory, and the repository's objects; nothing that the repository says about itself can
//! switch it off. Whatever is missing, unreadable, late or unknown refuses the push. No async, no threads but those that
//! watch the clock or feed a pipe: it must start and end within a few milliseconds.

mod ancestry;
mod clock;
mod commits;
mod content;
mod external;
mod facts;
mod git;
mod override_option;
mod post_receive;
mod pre_receive;
mod quarantine;
mod update;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::rule::Rule;

use crate::push::layout::ORDER;
use crate::push::order::Order;
use crate::push::report::{Outcome, Report};
use crate::text::escape;

/// The hooks, by the name git starts them under.
const HOOKS: [(&str, Hook); 3] =
    [("pre-receive", pre_receive::run), ("update", update::run), ("post-receive", post_receive::run)];

/// What runs under one of them.
type Hook = fn(&Context) -> Result<(), Refused>;

/// The names git starts this program under.
#[must_use]
pub fn names() -> [&'static str; 3] {
    HOOKS.map(|(name, _)| name)
}

/// Whether the site or the repository has executables for a hook. When they cannot be listed, the hook shall say so.
#[must_use]
pub fn is_wanted(external: Option<&Path>, repository: &Path, hook: &str) -> bool {
    external::any(external, repository, hook)
}

/// Runs as the hook that this process is started as.
pub fn main() -> ExitCode {
    // What a panic says is for developers, and goes to the pusher otherwise.
    std::panic::set_hook(Box::new(|_| {}));
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Refused)) => ExitCode::FAILURE,
        Err(_) => {
            tell("the rules could not be asked, so the push is refused; see the server's log");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Refused> {
    let name = std::env::args_os().next().map(PathBuf::from);
    let name = name.as_deref().and_then(|path| path.file_name()).and_then(OsStr::to_str);
    let hook = HOOKS.iter().find(|(hook, _)| Some(*hook) == name);
    let (Some((name, hook)), Some(directory)) = (hook, private_directory()) else {
        tell("this program is run by git, for Gitward");
        return Err(Refused);
    };
    hook(&Context { name, directory })
}

/// The parent of the log directory.
fn private_directory() -> Option<PathBuf> {
    let log = PathBuf::from(std::env::var_os("GITWARD_LOG_DIR")?);
    log.parent().map(PathBuf::from).filter(|directory| directory.is_absolute())
}

/// The hook's word is no, and everything has been said about it.
#[derive(Debug)]
struct Refused;

/// What a hook was started with.
#[derive(Clone, Debug)]
struct Context {
    name: &'static str,
    directory: PathBuf,
}

impl Context {
    /// What the runner ordered.
    fn order(&self) -> Result<Order, Refused> {
        let read = std::fs::read_to_string(self.directory.join(ORDER)).map_err(|error| error.to_string());
        let order = read.and_then(|text| Order::parse(&text).map_err(|error| error.to_string()));
        order.map_err(|error| self.fail(&format!("cannot read the order: {error}")))
    }

    /// Refuses because something does not work: the details are for the log only.
    fn fail(&self, detail: &str) -> Refused {
        tell("the rules could not be asked, so the push is refused; see the server's log");
        self.report(&Report::new(self.name, Outcome::Refused, Rule::Failure, detail))
    }

    /// Refuses in words for the pusher.
    fn refuse(&self, rule: Rule, text: &str) -> Refused {
        tell(text);
        self.report(&Report::new(self.name, Outcome::Refused, rule, text))
    }

    /// Tells the runner. A report that cannot be written changes no verdict.
    fn report(&self, report: &Report) -> Refused {
        let _ = report.append(&self.directory);
        Refused
    }
}

/// Lines for the pusher, in one piece.
fn tell(text: &str) {
    tell_all([text].into_iter());
}

fn tell_all<'t>(lines: impl Iterator<Item = &'t str>) {
    let text: String = lines.map(|line| format!("gitward: {}\n", escape(line))).collect();
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
