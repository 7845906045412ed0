//! One record of the audit log: the fields and their names.

use policy::decision::{Decision, Permitted};
use policy::git_request::Service;
use policy::identity::UserName;
use policy::push::Change;
use policy::rule::Rule;
use serde::Serialize;

use crate::push::directory::{Account, Applied};
use crate::push::report::Outcome;

/// One request, as the audit log tells it.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    time: String,
    request_id: String,
    user: Option<String>,
    client: String,
    repository: String,
    service: &'static str,
    outcome: &'static str,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    updates: Option<Vec<Update>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    override_reason: Option<String>,
}

/// A ref that git has changed.
#[derive(Clone, Debug, Serialize)]
struct Update {
    #[serde(rename = "ref")]
    name: String,
    old: String,
    new: String,
    change: String,
    forced: bool,
}

impl Record {
    /// The record of a request that ended now.
    #[must_use]
    pub fn of(decision: &Decision, outcome: &'static str) -> Self {
        Self {
            client: decision.client.clone(),
            repository: decision.repo.to_string(),
            ..Self::new(&decision.request_id, decision.user.as_ref(), decision.service, outcome)
        }
    }

    /// The record of a request for a repository or for the list, whose place is a directory.
    #[must_use]
    pub fn of_permitted(permitted: &Permitted, outcome: &'static str) -> Self {
        Self {
            client: permitted.client().to_owned(),
            repository: permitted.place().to_owned(),
            ..Self::new(permitted.request_id(), permitted.user(), permitted.service(), outcome)
        }
    }

    fn new(request_id: &str, user: Option<&UserName>, service: Service, outcome: &'static str) -> Self {
        Self {
            time: jiff::Timestamp::now().to_string(),
            request_id: request_id.to_owned(),
            user: user.map(ToString::to_string),
            client: String::new(),
            repository: String::new(),
            service: service.as_str(),
            outcome,
            bytes_in: 0,
            bytes_out: 0,
            updates: (service == Service::ReceivePack).then(Vec::new),
            rule: None,
            override_reason: None,
        }
    }

    /// With the bytes of both bodies.
    #[must_use]
    pub fn with_bytes(mut self, received: u64, sent: u64) -> Self {
        (self.bytes_in, self.bytes_out) = (received, sent);
        self
    }

    /// With what a push changed, and what the hooks said. git ends well when a hook refuses; the record says what happened.
    #[must_use]
    pub fn with_push(mut self, account: Account) -> Self {
        let refused = account.reports.iter().find(|report| report.verdict == Outcome::Refused);
        let missing = account.reports.iter().find(|report| report.verdict == Outcome::Missing);
        if self.outcome == "ok" && refused.is_some() && account.applied.is_empty() {
            self.outcome = "refused";
        }
        self.rule = refused.or(missing).and_then(|report| Rule::named(&report.rule)).map(Rule::as_str);
        self.override_reason = account.reports.into_iter().find_map(|report| report.reason);
        self.updates = Some(account.applied.into_iter().map(Update::from).collect());
        self
    }

    /// Which request it is about.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// As a line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        // Texts, numbers and lists of them always have a JSON form.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl From<Applied> for Update {
    fn from(Applied { update, change }: Applied) -> Self {
        let forced = change == Change::Force.as_str();
        Self {
            name: update.name.to_string(),
            old: update.old.to_string(),
            new: update.new.to_string(),
            change,
            forced,
        }
    }
}
