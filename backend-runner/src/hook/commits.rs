//! The rules about new commits: authors, messages and signatures, from one `git rev-list` over what the push adds.
//!
//! Signatures are SSH signatures, checked against the `allowed_signers` file of the rule, see ssh-keygen(1). Every setting by
//! which a repository could name a program or a file of its own for that is overruled.

use std::ops::ControlFlow;
use std::path::Path;

use policy::content::{CommitRules, NewCommit};
use policy::push::Push;
use policy::ref_update::ObjectId;
use policy::rule::{ContentRefusal, Rule};

use super::content::TOLD;
use super::facts;
use super::git::{AskError, Git};

/// How many new commits are looked at.
const COMMITS: usize = 1_000_000;

/// The commits a push adds.
pub(super) struct NewCommits {
    /// Their ids, a line each.
    pub(super) ids: Vec<u8>,
    /// What the rules refuse of them.
    pub(super) refusals: Vec<ContentRefusal>,
}

/// Whether a rule is about commits.
pub(super) fn are_judged(push: &Push<'_>) -> bool {
    !rules(push).is_empty() || push.rules.signed_by.is_some()
}

fn rules<'p>(push: &Push<'p>) -> CommitRules<'p> {
    CommitRules {
        author_email: push.rules.author_email.map(|(_, patterns)| patterns.as_slice()),
        message: push.rules.message.map(|(_, pattern)| pattern),
    }
}

/// Lists the new commits and judges them.
pub(super) fn judge(git: &Git<'_>, push: &Push<'_>) -> Result<NewCommits, AskError> {
    let rules = rules(push);
    let mut fields = Vec::new();
    let mut new = NewCommits { ids: Vec::new(), refusals: Vec::new() };
    let mut count = 0_usize;
    git.records(command(git, &rules), tips(push), 0, |field| {
        fields.push(String::from_utf8_lossy(field).into_owned());
        if fields.len() < FIELDS {
            return Ok(ControlFlow::Continue(()));
        }
        let commit = read(&fields).ok_or(AskError::Nonsense("rev-list"))?;
        count += 1;
        if count > COMMITS {
            return Err(AskError::TooMuch);
        }
        new.ids.extend_from_slice(commit.id.as_str().as_bytes());
        new.ids.push(b'\n');
        new.refusals.extend(rules.judge(&commit, push.pusher.user()));
        fields.clear();
        Ok(if new.refusals.len() >= TOLD { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if !fields.is_empty() {
        return Err(AskError::Nonsense("rev-list"));
    }
    if let Some((_, signers)) = push.rules.signed_by.filter(|_| new.refusals.is_empty()) {
        new.refusals = unsigned(git, &new.ids, signers)?;
    }
    Ok(new)
}

/// Id, author's address and message.
const FIELDS: usize = 3;

fn command(git: &Git<'_>, rules: &CommitRules<'_>) -> std::process::Command {
    let text = if rules.is_empty() { "%x00" } else { "%ae%x00%B" };
    let format = format!("--format=%H%x00{text}%x00");
    // Another namespace may have let in what this one does not.
    let known = match facts::namespace() {
        root if root.as_os_str().is_empty() => "--all".to_owned(),
        root => format!("--glob={}/*", root.display()),
    };
    git.command(&["rev-list", "--no-commit-header", "--encoding=UTF-8", &format, "--stdin", "--not", &known])
}

/// Those of the commits that no listed key has signed. `rev-list` would not read where the list is, `log` does.
fn unsigned(git: &Git<'_>, ids: &[u8], signers: &Path) -> Result<Vec<ContentRefusal>, AskError> {
    // Otherwise every signature would just be unknown.
    std::fs::File::open(signers)?;
    let mut refusals = Vec::new();
    if ids.is_empty() {
        return Ok(refusals);
    }
    let signers = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    let programs = ["gpg.program=false", "gpg.openpgp.program=false", "gpg.x509.program=false"];
    let ssh = ["gpg.ssh.program=ssh-keygen", "gpg.ssh.revocationFile=", "log.showSignature=false", &signers];
    let mut command = git.command(&[]);
    command.args(programs.into_iter().chain(ssh).flat_map(|setting| ["-c", setting]));
    command.args(["log", "--stdin", "--no-walk=unsorted", "--no-patch", "--no-color", "--format=%H %G?"]);
    let mut count = 0_usize;
    git.records(command, ids.to_vec(), b'\n', |line| {
        count += 1;
        let line = std::str::from_utf8(line).map_err(|_| AskError::Nonsense("log"))?;
        let (id, state) = line.split_once(' ').ok_or(AskError::Nonsense("log"))?;
        if state != "G" {
            refusals.push(not_signed(id));
        }
        Ok(if refusals.len() >= TOLD { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let asked = ids.iter().filter(|byte| **byte == b'\n').count();
    if refusals.is_empty() && count != asked { Err(AskError::Nonsense("log")) } else { Ok(refusals) }
}

fn tips(push: &Push<'_>) -> Vec<u8> {
    let mut input = Vec::new();
    for update in push.updates.iter().filter(|update| !update.deletes()) {
        input.extend_from_slice(update.new.as_str().as_bytes());
        input.push(b'\n');
    }
    input
}

/// The line end of the commit before stands in front of the id.
fn read(fields: &[String]) -> Option<NewCommit> {
    let id = ObjectId::parse(fields[0].trim_start())?;
    Some(NewCommit { id, author_email: fields[1].clone(), message: fields[2].clone() })
}

fn not_signed(id: &str) -> ContentRefusal {
    let short = id.get(..12).unwrap_or(id);
    let advice = format!(
        "commit {short} is not signed by a key that is accepted here; sign it with your SSH key (git commit --amend -S)"
    );
    ContentRefusal { rule: Rule::Signature, advice }
}
