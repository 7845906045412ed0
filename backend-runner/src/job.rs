//! One run of git, from spawn to the line in the log. It lives on the daemon's own runtime, not on the worker that
//! answers the client, so it ends in order whatever becomes of the connection.

mod verdict;

use std::error::Error;
use std::sync::Arc;

use policy::decision::Decision;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Audit};
use crate::cache::epoch;
use crate::cache::lead::Forget;
use crate::cache::replay::{Record, Said};
use crate::care::turnstile::Pushing;
use crate::child::{Child, Exit};
use crate::engine::Plan;
use crate::limits::Permit;
use crate::managed_hooks::ManagedHooks;
use crate::metrics::Metrics;
use crate::push::directory::{Account, PushDirectory};
use crate::push::status::Status;
use crate::stream::{self, Ending, Patience, Report, Streams};
use crate::web::view::View;

/// Everything one run needs; nothing of it is shared with another.
#[derive(Debug)]
pub struct Job {
    /// What was permitted.
    pub decision: Decision,
    /// What to execute, and how to talk to it.
    pub plan: Plan,
    /// The private directory, when it is a push.
    pub push: Option<PushDirectory>,
    /// Keeps maintenance out of the repository until it is over.
    pub turn: Option<Pushing>,
    /// Tells caches of a push.
    pub pushing: Option<epoch::Pushing>,
    /// Keeps the answer.
    pub record: Option<Box<Record>>,
    /// Tells a recorder whether git ended with success.
    pub success: Option<oneshot::Sender<bool>>,
    /// Forgets the packs of a repository when a push has rewritten it.
    pub forget: Option<Forget>,
    /// What gitweb sees of the disk, when it is a page.
    pub view: Option<View>,
    /// What judges it.
    pub hooks: Arc<ManagedHooks>,
    /// The HTTP side's ends.
    pub streams: Streams,
    /// How long it may take.
    pub patience: Patience,
    /// Ends it early.
    pub stop: CancellationToken,
    /// Held until the child is reaped.
    pub permit: Permit,
    /// Where it is counted.
    pub metrics: Metrics,
    /// Where it leaves a record.
    pub audit: Audit,
    /// When the request came.
    pub started: Instant,
}

impl Job {
    /// Runs git and accounts for it.
    pub async fn run(self) {
        let Self { decision, plan, push, turn, pushing, record, success, forget, hooks, streams, .. } = self;
        let Self { view, patience, stop, permit, metrics, audit, started, .. } = self;
        let mut report = match Child::spawn(plan.program) {
            Ok(child) => stream::exchange(child, plan.answer, streams, patience, &stop).await,
            Err(error) => Report::not_started(error),
        };
        let outcome = outcome(&report.ending);
        let took = started.elapsed();
        metrics.ended(decision.service, outcome, took, report.received, report.sent);
        log(&decision, &report, outcome, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        drop(pushing);
        if let Some(success) = success {
            let _ = success.send(outcome == "ok");
        }
        keep(record, &mut report, outcome, &metrics).await;
        if let Some(view) = view {
            tokio::task::spawn_blocking(move || drop(view));
        }
        let mut account = {
            let orderly = matches!(report.ending, Ending::Finished(Exit::Code(_)));
            close(push, orderly, report.status.take()).await
        };
        drop((turn, permit));
        let mut record = audit::Record::of(&decision, outcome).with_bytes(report.received, report.sent);
        if let Some(account) = &mut account
            && !hooks.are_proven().unwrap_or(false)
        {
            account.hooks_broke();
        }
        if let Some(forget) = forget.filter(|_| account.as_ref().is_some_and(Account::rewrote)) {
            forget.now().await;
        }
        if let Some(account) = account {
            verdict::account_for(&decision, &account, &metrics);
            record = record.with_push(account);
        }
        audit.record(&record);
    }
}

/// Keeps an answer that git ended well and without a complaint.
async fn keep(record: Option<Box<Record>>, report: &mut Report, outcome: &'static str, metrics: &Metrics) {
    let Some(record) = record else { return };
    let said = report.head.take().zip(report.copy.take());
    let said = said.filter(|_| outcome == "ok" && report.complaints.is_empty());
    let kind = record.kind();
    let kept = match said {
        Some((head, body)) => {
            let keep = move || record.keep(Said { head, body });
            tokio::task::spawn_blocking(keep).await.unwrap_or_default()
        }
        None => false,
    };
    metrics.cached(kind, if kept { "stored" } else { "dropped" });
}

/// Closes a push's directory where waiting for the file system is allowed. A directory that cannot be read leaves an account
/// that says nothing.
async fn close(push: Option<PushDirectory>, orderly: bool, status: Option<Status>) -> Option<Account> {
    let push = push?;
    Some(tokio::task::spawn_blocking(move || push.close(orderly, status)).await.unwrap_or_default())
}

/// The label of an ending.
fn outcome(ending: &Ending) -> &'static str {
    match ending {
        Ending::Finished(Exit::Code(0)) => "ok",
        Ending::Finished(_) | Ending::NotStarted(_) | Ending::Unprepared(_) => "failed",
        Ending::BadHead(_) | Ending::Broken(_) => "failed",
        Ending::BodyAborted | Ending::ClientGone => "client_gone",
        Ending::BadBody(_) => "bad_body",
        Ending::TooLarge | Ending::AnswerTooLarge => "too_large",
        Ending::Idle | Ending::Deadline => "timeout",
        Ending::Stopped => "stopped",
    }
}

/// One line for every run; a warning unless git was content or the client left.
fn log(decision: &Decision, report: &Report, outcome: &'static str, took_ms: u64) {
    let user = decision.user.as_ref().map(policy::identity::UserName::as_str);
    let (code, signal) = match report.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    macro_rules! line {
        ($level:ident, $($more:tt)*) => {
            tracing::$level!(
                request_id = decision.request_id.as_str(),
                user,
                client = decision.client.as_str(),
                repo = decision.repo.as_str(),
                service = decision.service.as_str(),
                outcome,
                status = report.head.as_ref().map(|head| head.status.as_u16()),
                exit = code,
                signal,
                received = report.received,
                sent = report.sent,
                took_ms,
                $($more)*
                "git request"
            )
        };
    }
    let complaints = report.complaints.escaped();
    if matches!(outcome, "ok" | "client_gone") && complaints.is_empty() {
        line!(info,);
        return;
    }
    let reason = reason(&report.ending);
    line!(warn, reason, stderr = complaints.as_str(),);
}

/// The ending and its causes in one line.
fn reason(ending: &Ending) -> String {
    let mut reason = ending.to_string();
    let mut cause = ending.source();
    while let Some(error) = cause {
        reason.push_str(": ");
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    reason
}
