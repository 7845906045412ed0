//! `authd explain`: what the verdict on one request would be, and everything it rests on.
//!
//! The verdict is the policy's own; this command adds who the caller is, where each rule is written, and what the branch
//! rules say. It asks the files the daemon asks, changes nothing and needs no running daemon.

mod branch;
mod caller;
mod json;
mod tree;

use std::process::ExitCode;

use clap::Args;
use policy::access::{Denial, Verdict};
use policy::explain::Explanation;
use policy::git_request::{Access, GitRequest, Refusal, Service};
use policy::identity::{GroupName, UserName};
use policy::repo_path::RepoPath;

use super::origin::Written;
use super::{ConfigArgument, DENIED, Failure, print, print_json};
use crate::load::{self, Loaded};
use branch::BranchReason;
use caller::Caller;

/// What `explain` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Who asks
    #[arg(long, value_name = "USER", value_parser = UserName::parse, required_unless_present = "anonymous")]
    user: Option<UserName>,
    /// Somebody without credentials asks
    #[arg(long, conflicts_with_all = ["user", "group"])]
    anonymous: bool,
    /// Take the user to be in this group, and nothing a directory says; may be repeated
    #[arg(long, value_name = "GROUP", value_parser = GroupName::parse)]
    group: Vec<GroupName>,
    /// Which repository, for example team/test.git
    #[arg(long, value_name = "REPO", value_parser = RepoPath::parse, required_unless_present = "url")]
    repo: Option<RepoPath>,
    /// What is asked: read, or write [default: read, and write with --branch]
    #[arg(long, value_name = "ACCESS", value_parser = super::access)]
    access: Option<Access>,
    /// Also what may happen to this branch, by its name below refs/heads/
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Instead of --repo and --access: the path and query of a request, as the access log has them
    #[arg(long, value_name = "URL", conflicts_with_all = ["repo", "access"])]
    url: Option<String>,
    /// The method of that request
    #[arg(long, value_name = "METHOD", requires = "url", default_value = "GET")]
    method: String,
    /// The server that request came to, by its first name in nginx, where `mounts` distinguishes servers
    #[arg(long, value_name = "HOST", requires = "url")]
    host: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything there is to say about one request.
struct Answer<'a> {
    repo: &'a RepoPath,
    access: Access,
    service: Option<Service>,
    caller: &'a Caller,
    explanation: Explanation<'a>,
    branch: Option<BranchReason<'a>>,
    written: Written,
}

/// Why it is what it is, in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Granted,
    UnknownUser,
    NoGrant,
    Frozen,
    BranchRules,
}

/// Prints the verdict; exit 0 when it is yes, 3 when it is no.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = load::load(&arguments.config.config).map_err(Failure::problems)?;
    let asked = match arguments.asked(&loaded) {
        Ok(asked) => asked,
        Err(refusal) => return not_git(arguments, refusal),
    };
    let caller = Caller::find(&loaded, arguments.user.as_ref(), &arguments.group)?;
    let answer = Answer {
        repo: &asked.repo,
        access: asked.access,
        service: asked.service,
        explanation: loaded.policy.explain(&caller.identity, &asked.repo, asked.access),
        branch: arguments
            .branch
            .as_deref()
            .map(|branch| BranchReason::new(&loaded.policy, &asked.repo, &caller.identity, branch)),
        caller: &caller,
        written: Written::read(&loaded.config.policy_file),
    };
    match arguments.json {
        true => print_json(&json::answer(&answer))?,
        false => print(&tree::answer(&answer))?,
    }
    Ok(if answer.outcome() == Outcome::Granted { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

struct Asked {
    repo: RepoPath,
    access: Access,
    service: Option<Service>,
}

impl Arguments {
    fn asked(&self, loaded: &Loaded) -> Result<Asked, Refusal> {
        if let Some(repo) = &self.repo {
            let usual = if self.branch.is_some() { Access::Write } else { Access::Read };
            return Ok(Asked { repo: repo.clone(), access: self.access.unwrap_or(usual), service: None });
        }
        let target = self.url.as_deref().unwrap_or_default();
        let mount = loaded.config.mounts.find(self.host.as_deref(), target.as_bytes());
        let mount = mount.ok_or(Refusal::NotARepository)?;
        let request = GitRequest::parse(mount, &self.method, target.as_bytes())?;
        let access = request.service.access();
        Ok(Asked { repo: request.repo, access, service: Some(request.service) })
    }
}

/// Such a request is refused before anybody asks who sends it.
fn not_git(arguments: &Arguments, refusal: Refusal) -> Result<ExitCode, Failure> {
    let status = match refusal {
        Refusal::CouldBeRepository if arguments.anonymous => "401, so that git asks for a password",
        _ => "403",
    };
    let url = arguments.url.as_deref().unwrap_or_default();
    match arguments.json {
        true => print_json(&serde_json::json!({
            "verdict": "denied", "reason": "not-a-git-request", "method": arguments.method, "url": url,
        }))?,
        false => print(&format!(
            "DENIED   {} {url}\n         {refusal}; the answer is {status}\n",
            arguments.method
        ))?,
    }
    Ok(ExitCode::from(DENIED))
}

impl Answer<'_> {
    fn outcome(&self) -> Outcome {
        let branch_refuses = self.branch.as_ref().is_some_and(|branch| !branch.takes_pushes());
        match self.explanation.verdict {
            _ if self.caller.is_unknown() => Outcome::UnknownUser,
            Verdict::Deny(Denial::NoGrant) => Outcome::NoGrant,
            Verdict::Deny(Denial::Frozen(_)) => Outcome::Frozen,
            Verdict::Allow(_) if branch_refuses && self.access == Access::Write => Outcome::BranchRules,
            Verdict::Allow(_) => Outcome::Granted,
        }
    }
}
