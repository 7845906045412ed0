//! The environment of a git process: built from nothing, from the decision and the settings alone.
//!
//! No header of the client is copied; the three that git needs arrive here as closed sets of values. Configuration given
//! through `GIT_CONFIG_COUNT` outranks the repository's own, which is how a repository cannot switch protection off. See
//! git-http-backend(1), git-config(1) and git(1). `CONTENT_LENGTH` is never set: with it, `http-backend` waits for bytes
//! that a broken connection will not bring, and burns a processor while it does.

use std::borrow::Cow;
use std::path::Path;

use policy::branch::RepositoryRules;
use policy::decision::Decision;
use policy::git_request::{Access, Service};
use policy::identity::UserName;

use crate::alias::Alias;
use crate::git::Git;
use crate::hook_env;

/// The request headers git is told about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestHeaders {
    /// `Git-Protocol`, one of the three known values.
    pub protocol: Option<&'static str>,
    /// `Content-Encoding`, one of the two spellings of gzip.
    pub encoding: Option<&'static str>,
}

/// The settings git is told about.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// `PATH`.
    pub search_path: &'a str,
    /// The project root.
    pub root: &'a Path,
    /// Whether every repository may be served, or only those that say so.
    pub export_all: bool,
    /// Where the managed hooks are.
    pub hooks: Option<&'a Path>,
    /// The largest pack a push may bring.
    pub push_size: u64,
    /// The largest request of a fetch.
    pub negotiation: u64,
    /// Whether clients may leave objects out, if that is not for the repository to say.
    pub allow_filter: Option<bool>,
    /// What the repository itself hides from pushes: has to follow what is said here, because the last pattern wins.
    pub hidden_refs: &'a [String],
    /// What the decided repository stands for, if it is an alias.
    pub alias: Option<&'a Alias>,
    /// Whether pushers may send options.
    pub push_options: bool,
    /// This daemon's configuration file, for hooks.
    pub config: &'a Path,
    /// What the rules of the repository ask of git.
    pub rules: RulesForGit,
    /// Where the hooks of this push log to.
    pub log_directory: Option<&'a Path>,
    /// Whether git need not ask other repositories for their refs, because this one borrows no objects, and can be told so.
    pub no_alternates: bool,
    /// Whether a fetch is the first and shallow: it saves no bytes to look for deltas as far as git does.
    pub shallow: bool,
}

/// What the rules of a repository ask of git itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesForGit {
    /// Prefixes besides branches and tags that may be pushed to.
    pub namespaces: Vec<String>,
    /// Whether `git push -o` means something.
    pub push_options: bool,
}

impl RulesForGit {
    /// What `rules` ask for.
    #[must_use]
    pub fn of(rules: &RepositoryRules<'_>) -> Self {
        let listed = rules.namespaces.into_iter().flat_map(|(_, namespaces)| namespaces);
        let namespaces = listed.map(|namespace| namespace.as_str().to_owned()).collect();
        Self { namespaces, push_options: rules.emergency.is_some() }
    }
}

/// A variable's name and value.
pub type Variable = (Cow<'static, str>, String);

/// All variables for one request to `repository` (its absolute path), in a fixed order.
#[must_use]
pub fn variables(
    decision: &Decision,
    headers: RequestHeaders,
    repository: &Path,
    settings: &Settings<'_>,
) -> Vec<Variable> {
    let mut variables = fixed(settings.search_path).to_vec();
    variables.extend([
        variable("GIT_PROJECT_ROOT", settings.root.display().to_string()),
        variable("PATH_INFO", path_info(decision, settings.alias)),
        variable("QUERY_STRING", &*decision.query),
        variable("REQUEST_METHOD", decision.service.method()),
        variable("SERVER_PROTOCOL", "HTTP/1.1"),
    ]);
    let optional = [
        ("CONTENT_TYPE", request_type(decision.service)),
        ("HTTP_CONTENT_ENCODING", headers.encoding),
        ("GIT_PROTOCOL", headers.protocol),
        ("GIT_NAMESPACE", settings.alias.map(|alias| alias.namespace.as_str())),
        ("GIT_HTTP_EXPORT_ALL", settings.export_all.then_some("1")),
        ("REMOTE_USER", decision.user.as_ref().map(UserName::as_str)),
        ("REMOTE_ADDR", (!decision.client.is_empty()).then_some(decision.client.as_str())),
    ];
    variables.extend(optional.into_iter().filter_map(|(name, value)| Some(variable(name, value?))));
    if decision.service == Service::UploadPack {
        variables.push(variable("GIT_HTTP_MAX_REQUEST_BUFFER", settings.negotiation.to_string()));
    }
    variables.extend(committer(decision));
    if decision.service == Service::ReceivePack {
        let for_hooks = hook_env::variables(decision, settings.config, settings.log_directory);
        variables.extend(for_hooks.into_iter().map(|(name, value)| variable(name, value)));
    }
    variables.extend(numbered(configuration(decision, repository, settings)));
    variables
}

/// What git is told for work on `repository` that no request asked for, with `memory` bytes to do it in: nothing of the
/// repository's own settings that would run a program, and a window for deltas that leaves half of the memory for the rest.
#[must_use]
pub fn for_care(repository: &Path, git: &Git, memory: u64) -> Vec<Variable> {
    let text = |value: &str| value.to_owned();
    let mut variables = fixed(&git.search_path).to_vec();
    variables.push(variable("GIT_DIR", repository.display().to_string()));
    variables.extend(numbered(vec![
        ("safe.directory", repository.display().to_string()),
        ("core.useReplaceRefs", text("false")),
        ("core.hooksPath", text("/dev/null")),
        ("core.fsmonitor", text("false")),
        ("core.bigFileThreshold", text("50m")),
        ("gc.auto", text("0")),
        ("pack.threads", text("1")),
        ("pack.windowMemory", (memory / 4).to_string()),
        ("pack.deltaCacheSize", (memory / 4).to_string()),
        ("pack.writeReverseIndex", text("true")),
        ("pack.packSizeLimit", text("0")),
        ("repack.packKeptObjects", text("false")),
        ("repack.useDeltaIslands", text("false")),
    ]));
    variables
}

/// What every git of ours has.
fn fixed(search_path: &str) -> [Variable; 6] {
    [
        variable("PATH", search_path),
        variable("HOME", "/nonexistent"),
        variable("LC_ALL", "C"),
        variable("GIT_CONFIG_NOSYSTEM", "1"),
        variable("GIT_CONFIG_GLOBAL", "/dev/null"),
        variable("GIT_NO_REPLACE_OBJECTS", "1"),
    ]
}

/// What is asked for, below the project root.
fn path_info(decision: &Decision, alias: Option<&Alias>) -> String {
    let asked =
        decision.path_info.strip_prefix('/').and_then(|path| path.strip_prefix(decision.repo.as_str()));
    match (alias, asked) {
        (Some(alias), Some(endpoint)) => format!("/{}{endpoint}", alias.repository),
        _ => decision.path_info.clone(),
    }
}

/// The only content type a POST to this service may have; also what keeps other sites' forms out.
#[must_use]
pub fn request_type(service: Service) -> Option<&'static str> {
    match service {
        Service::UploadPack => Some("application/x-git-upload-pack-request"),
        Service::ReceivePack => Some("application/x-git-receive-pack-request"),
        _ => None,
    }
}

/// Who stands in reference logs. A directory's full name and address are preferred to what `http-backend` would make up.
fn committer(decision: &Decision) -> [Variable; 2] {
    let user = decision.user.as_ref().map_or("anonymous", UserName::as_str);
    let client = if decision.client.is_empty() { "(none)" } else { &decision.client };
    let told = |key: &str| decision.info.get(key).filter(|value| is_harmless(value)).cloned();
    [
        variable("GIT_COMMITTER_NAME", told("name").unwrap_or_else(|| user.to_owned())),
        variable("GIT_COMMITTER_EMAIL", told("email").unwrap_or_else(|| format!("{user}@http.{client}"))),
    ]
}

/// Whether git can write the value into an identity as it is.
fn is_harmless(value: &str) -> bool {
    value.len() <= 256
        && value.chars().any(char::is_alphanumeric)
        && !value.chars().any(|character| character.is_control() || matches!(character, '<' | '>'))
}

/// Configuration that outranks every repository's.
fn configuration(
    decision: &Decision,
    repository: &Path,
    settings: &Settings<'_>,
) -> Vec<(&'static str, String)> {
    let text = |value: &str| value.to_owned();
    let push_options = settings.push_options || settings.rules.push_options;
    let mut list = vec![
        ("safe.directory", repository.display().to_string()),
        ("core.useReplaceRefs", text("false")),
        ("http.uploadarchive", text("false")),
        ("receive.fsckObjects", text("true")),
        ("receive.maxInputSize", settings.push_size.to_string()),
        ("receive.autogc", text("false")),
        ("gc.auto", text("0")),
        ("receive.advertisePushOptions", push_options.to_string()),
    ];
    if settings.alias.is_some() {
        // By full names: else the other namespaces' objects are announced, without names.
        list.push(("receive.hideRefs", text("^refs")));
    }
    list.extend(["refs", "!refs/heads", "!refs/tags"].map(|pattern| ("receive.hideRefs", text(pattern))));
    let listed =
        settings.rules.namespaces.iter().map(|namespace| ("receive.hideRefs", format!("!{namespace}")));
    list.extend(listed);
    list.extend(settings.hidden_refs.iter().map(|pattern| ("receive.hideRefs", pattern.clone())));
    if let Some(allowed) = settings.allow_filter {
        list.push(("uploadpack.allowFilter", allowed.to_string()));
    }
    // A push's quarantine has the repository itself for an alternate, and all its refs would be listed by another process.
    if decision.service == Service::ReceivePack && settings.no_alternates {
        list.push(("core.alternateRefsCommand", text("true")));
    }
    if settings.shallow {
        list.push(("pack.window", text(SHALLOW_WINDOW)));
    }
    if let Some(hooks) = settings.hooks {
        list.push(("core.hooksPath", hooks.display().to_string()));
    }
    match (decision.access, &decision.user) {
        (Access::Read, _) => list.push(("http.receivepack", text("false"))),
        // git lets named users push unless the repository says no; nobody only when it is told so.
        (Access::Write, None) => list.push(("http.receivepack", text("true"))),
        (Access::Write, Some(_)) => {}
    }
    if decision.service != Service::Dumb {
        list.push(("http.getanyfile", text("false")));
    }
    list
}

/// How many objects are tried as the base of a delta for a shallow clone: its objects are few and of one commit. git's default
/// is 10. See ARCHITECTURE.md, "Cache", for what that costs.
const SHALLOW_WINDOW: &str = "4";

/// `GIT_CONFIG_COUNT` and what it counts.
fn numbered(list: Vec<(&'static str, String)>) -> Vec<Variable> {
    let mut variables = vec![variable("GIT_CONFIG_COUNT", list.len().to_string())];
    for (number, (key, value)) in list.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{number}").into(), key.to_owned()));
        variables.push((format!("GIT_CONFIG_VALUE_{number}").into(), value));
    }
    variables
}

fn variable(name: &'static str, value: impl Into<String>) -> Variable {
    (name.into(), value.into())
}
