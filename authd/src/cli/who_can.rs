//! `authd who-can`: everybody who may read or write one repository.
//!
//! Users of file directories are asked about one by one, by the decision itself. Groups that no file knows members of, as
//! those of LDAP, are named and not expanded.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use policy::access::Verdict;
use policy::explain::{Explanation, Grantee};
use policy::git_request::Access;
use policy::identity::{Identity, User};
use policy::repo_path::RepoPath;
use policy::subject::Subject;
use serde_json::json;

use super::origin::Written;
use super::{ConfigArgument, Failure, print, print_json};
use crate::load::{self, Loaded};

/// What `who-can` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Which repository, for example team/test.git
    #[arg(long, value_name = "REPO", value_parser = RepoPath::parse)]
    repo: RepoPath,
    /// What: read, or write
    #[arg(long, value_name = "ACCESS", value_parser = super::access, default_value = "read")]
    access: Access,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints who can.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = load::load(&arguments.config.config).map_err(Failure::problems)?;
    let explanation = loaded.policy.explain(&Identity::Anonymous, &arguments.repo, arguments.access);
    let everybody = Everybody::new(&loaded, arguments, &explanation);
    match arguments.json {
        true => print_json(&everybody.json())?,
        false => print(&everybody.text())?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Everybody<'a> {
    asked: &'a Arguments,
    frozen_by: Option<String>,
    everyone: Option<Place>,
    authenticated: Option<Place>,
    /// By name; whether a directory knows the user, and what gives them the access.
    users: BTreeMap<String, (bool, Vec<Place>)>,
    /// By name; where it is named, and the members that files know.
    groups: BTreeMap<String, (Vec<Place>, Vec<String>)>,
}

/// A grant, and where it is written.
struct Place {
    subject: String,
    level: String,
    at: Option<String>,
}

impl<'a> Everybody<'a> {
    fn new(loaded: &Loaded, asked: &'a Arguments, explanation: &Explanation<'_>) -> Self {
        let written = Written::read(&loaded.config.policy_file);
        let grants = explanation.grantees(asked.access);
        let mut known: Vec<_> = loaded.directories.known_users().collect();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        let place = |grant: &Grantee<'_>| Place::new(grant, &written);
        let first = |wanted: &Subject| grants.iter().find(|grant| grant.subject == wanted).map(place);
        let frozen = explanation.frozen_by().filter(|_| asked.access == Access::Write);
        let mut everybody = Self {
            asked,
            frozen_by: frozen.map(ToString::to_string),
            everyone: first(&Subject::Anonymous),
            authenticated: first(&Subject::Authenticated),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for user in &known {
            let caller = Identity::User(Arc::clone(user));
            if let Verdict::Allow(_) = loaded.policy.decide(&caller, &asked.repo, asked.access) {
                let through = grants.iter().filter(|grant| grant.subject.means(&caller, grant.bound));
                everybody.users.insert(user.name.to_string(), (true, through.map(place).collect()));
            }
        }
        for grant in &grants {
            everybody.add_named(grant, place(grant), &known);
        }
        everybody
    }

    /// Groups, and users whom no file knows.
    fn add_named(&mut self, grant: &Grantee<'_>, place: Place, known: &[Arc<User>]) {
        let named = match (grant.subject, grant.bound) {
            (Subject::User(name), _) => name.as_str(),
            (Subject::PathUser, Some(name)) => name,
            (Subject::Group(group), _) => {
                let members = known.iter().filter(|user| user.groups.contains(group));
                let members = members.map(|user| user.name.to_string()).collect();
                let (places, _) = self.groups.entry(group.to_string()).or_insert((Vec::new(), members));
                return places.push(place);
            }
            _ => return,
        };
        let (is_known, places) = self.users.entry(named.to_owned()).or_default();
        if !*is_known {
            places.push(place);
        }
    }

    fn json(&self) -> serde_json::Value {
        let places = |places: &[Place]| places.iter().map(Place::json).collect::<Vec<_>>();
        let users = self.users.iter().map(
            |(name, (known, through))| json!({ "name": name, "known": known, "through": places(through) }),
        );
        let groups = self.groups.iter().map(|(name, (through, members))| {
            json!({ "name": name, "through": places(through), "known_members": members })
        });
        json!({
            "repository": self.asked.repo,
            "access": self.asked.access,
            "frozen_at": self.frozen_by,
            "anonymous": self.everyone.as_ref().map(Place::json),
            "authenticated": self.authenticated.as_ref().map(Place::json),
            "users": users.collect::<Vec<_>>(),
            "groups": groups.collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.asked.access, self.asked.repo);
        if let Some(level) = &self.frozen_by {
            return text + &format!("  nobody: {level} is frozen\n");
        }
        if let Some(place) = &self.everyone {
            text += &format!("  everyone, with a login or without: {place}\n");
        }
        if let Some(place) = &self.authenticated {
            text += &format!("  every user with a login: {place}\n");
        }
        for (name, (known, through)) in &self.users {
            let unknown = if *known { "" } else { " (in no file)" };
            text += &format!("  {name}{unknown}: {}\n", joined(through));
        }
        for (name, (through, members)) in &self.groups {
            let members = match members.is_empty() {
                true => "not expanded: no file knows a member".to_owned(),
                false => members.join(", "),
            };
            text += &format!("  @{name}: {}\n      {members}\n", joined(through));
        }
        if self.users.is_empty()
            && self.groups.is_empty()
            && self.everyone.is_none()
            && self.authenticated.is_none()
        {
            text += "  nobody\n";
        }
        text
    }
}

fn joined(places: &[Place]) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Place {
    fn new(grant: &Grantee<'_>, written: &Written) -> Self {
        let (subject, level) = (grant.subject.to_string(), grant.level.to_string());
        let at = written.place(&["access", &level, grant.access.as_str(), &subject]);
        Self { subject, level, at }
    }

    fn json(&self) -> serde_json::Value {
        json!({ "subject": self.subject, "level": self.level, "at": self.at })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.subject, self.level)?;
        self.at.as_ref().map_or(Ok(()), |at| write!(f, " ({at})"))
    }
}
