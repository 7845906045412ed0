//! What the hooks of a push said, made into log lines and counters under the request's id.

use policy::decision::Decision;
use policy::identity::UserName;
use policy::rule::Rule;

use crate::metrics::Metrics;
use crate::push::directory::Account;
use crate::push::log_lines::Level;
use crate::push::report::{Outcome, Report};

/// Logs and counts everything that is known of a push.
pub(super) fn account_for(decision: &Decision, account: &Account, metrics: &Metrics) {
    for report in &account.reports {
        // A hook's word is not taken for a label.
        let rule = Rule::named(&report.rule).map_or("any", Rule::as_str);
        metrics.judged(rule, report.verdict.as_str());
        log_report(decision, report, rule);
    }
    let (lines, cut) = &account.log;
    for line in lines {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "backend_runner::hook",
                    request_id = decision.request_id.as_str(),
                    repo = decision.repo.as_str(),
                    hook = line.hook.as_str(),
                    "{}",
                    line.message
                )
            };
        }
        match line.level {
            Level::Debug => line!(debug),
            Level::Info => line!(info),
            Level::Warning => line!(warn),
            Level::Error => line!(error),
        }
    }
    if *cut {
        tracing::warn!(request_id = decision.request_id.as_str(), "hooks logged more than is kept");
    }
}

fn log_report(decision: &Decision, report: &Report, rule: &'static str) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                request_id = decision.request_id.as_str(),
                user = decision.user.as_ref().map(UserName::as_str),
                client = decision.client.as_str(),
                repo = decision.repo.as_str(),
                hook = report.hook.as_str(),
                rule,
                verdict = report.verdict.as_str(),
                detail = report.detail.as_str(),
                override_reason = report.reason.as_deref(),
                $message
            )
        };
    }
    match report.verdict {
        Outcome::Accepted => line!(debug, "push accepted"),
        Outcome::Refused => line!(info, "push refused"),
        Outcome::Overridden => line!(warn, "RULES WERE SET ASIDE for a push"),
        Outcome::Failed => line!(error, "a hook failed"),
        Outcome::Missing => line!(error, "REFS CHANGED WITHOUT THE RULES BEING ASKED"),
    }
}
