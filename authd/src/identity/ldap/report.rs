//! What `authd check --online` finds out: each step towards an answer, taken once, and what came of it.
//!
//! Every server is tried, for a second one that does not work is noticed only on the day it is needed. No
//! password is sent but the service account's, and none is shown.

use std::time::Instant;

use ldap3::Scope;
use tokio::time::{self, Instant as Deadline};

use super::connection::Query;
use super::error::AskError;
use super::users::{self, Found};
use super::{Ldap, chain, groups};
use crate::config::ldap::Url;

/// One step: what was tried, and what was found or went wrong.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was tried.
    pub what: String,
    /// What came of it.
    pub outcome: Result<String, String>,
}

impl Ldap {
    /// Tries every server, then looks the user up, if one is named.
    pub async fn report(&self, user: Option<&str>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (server, url) in self.origin.config.urls.iter().enumerate() {
            self.server(server, url, &mut steps).await;
        }
        if let Some(user) = user {
            self.look_at(user, &mut steps).await;
        }
        steps
    }

    async fn server(&self, server: usize, url: &Url, steps: &mut Vec<Step>) {
        let timeout = self.origin.config.timeout;
        let started = Instant::now();
        let opened = time::timeout(timeout, Box::pin(self.sessions.open(server))).await;
        let opened = opened.unwrap_or(Err(AskError::Late));
        let connected = opened.as_ref().map(|_| format!("{} in {}", self.protection(url), took(started)));
        steps.push(Step::new(format!("connect to {url}"), connected.map_err(explain)));
        if opened.is_err() {
            return;
        }
        let started = Instant::now();
        let bound = time::timeout(timeout, Box::pin(self.sessions.open_service(server))).await;
        let bound = bound.unwrap_or(Err(AskError::Late));
        let accepted = bound.as_ref().map(|_| format!("accepted in {}", took(started)));
        steps.push(Step::new(format!("bind as {}", self.service_name()), accepted.map_err(explain)));
        let Ok(mut connection) = bound else { return };
        let identity = time::timeout(timeout, connection.who_am_i()).await.unwrap_or(Err(AskError::Late));
        let identity = identity.map(|identity| match identity {
            Some(identity) if identity.is_empty() => "nobody: searches are anonymous".to_owned(),
            Some(identity) => identity,
            None => "the server does not know the question; `whoami: off` spares it".to_owned(),
        });
        steps.push(Step::new(
            "ask who we are".to_owned(),
            identity.as_ref().map(Clone::clone).map_err(explain),
        ));
        let base = &self.origin.config.users.base;
        let query = Query {
            base,
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: vec!["1.1"],
            limit: 2,
            paged: false,
            referrals: self.origin.config.referrals,
        };
        let found = time::timeout(timeout, connection.search(&query)).await.unwrap_or(Err(AskError::Late));
        let found = match found {
            Ok(entries) if entries.is_empty() => {
                Err("there is no such entry, or it may not be seen".to_owned())
            }
            Ok(_) => Ok("is there".to_owned()),
            Err(error) => Err(explain(&error)),
        };
        steps.push(Step::new(format!("look at users.base {base:?}"), found));
    }

    async fn look_at(&self, user: &str, steps: &mut Vec<Step>) {
        let config = &self.origin.config;
        let what = format!("search for user {user:?}");
        let Some(name) = self.fold(user) else {
            return steps.push(Step::new(what, Err("this can be nobody's name".to_owned())));
        };
        let deadline = Deadline::now() + config.timeout;
        let person = match Box::pin(users::find(&self.sessions, config, &name, deadline)).await {
            Ok(Found::One(person)) => person,
            Ok(Found::Nobody) => {
                return steps.push(Step::new(what, Err("nobody of that very name is found".to_owned())));
            }
            Ok(Found::Several) => {
                return steps
                    .push(Step::new(what, Err("several entries match: nobody can log in".to_owned())));
            }
            Err(error) => return steps.push(Step::new(what, Err(explain(&error)))),
        };
        let locked = if person.locked { ", locked or disabled" } else { "" };
        steps.push(Step::new(what, Ok(format!("{} is {:?}{locked}", person.name, person.dn))));
        steps.push(Step::new("read when the password was changed".to_owned(), seen(person.mark.as_deref())));
        let info: Vec<_> = person.info.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        steps.push(Step::new("read info for hooks".to_owned(), Ok(list(&info))));
        let found = Box::pin(groups::of(&self.sessions, config, &person, deadline)).await;
        let found = found.map(|groups| {
            let names: Vec<_> = groups.iter().map(ToString::to_string).collect();
            format!("{} groups: {}", names.len(), list(&names))
        });
        steps.push(Step::new("search for groups".to_owned(), found.map_err(|error| explain(&error))));
    }

    fn protection(&self, url: &Url) -> &'static str {
        match (url.scheme, self.origin.config.tls.start_tls) {
            (crate::config::ldap::Scheme::Ldaps, _) => "TLS, certificate verified,",
            (crate::config::ldap::Scheme::Ldap, true) => "StartTLS, certificate verified,",
            (crate::config::ldap::Scheme::Ldap, false) => "in the clear",
        }
    }

    fn service_name(&self) -> &str {
        let config = &self.origin.config;
        match &config.service {
            Some(service) => &service.dn,
            None if config.tls.client.is_some() => "the owner of the client certificate",
            None => "nobody",
        }
    }
}

/// Without it, a wrong password is tried again once a day, see `Refused`.
fn seen(mark: Option<&str>) -> Result<String, String> {
    mark.map(str::to_owned).ok_or_else(|| {
        "not visible to the service account: let it read pwdChangedTime, pwdLastSet or modifyTimestamp"
            .to_owned()
    })
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn took(started: Instant) -> String {
    format!("{} ms", started.elapsed().as_millis())
}

fn explain(error: &AskError) -> String {
    chain(error)
}

impl Step {
    fn new(what: String, outcome: Result<String, String>) -> Self {
        Self { what, outcome }
    }
}
