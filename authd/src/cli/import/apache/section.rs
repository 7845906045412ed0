//! One `Location` or `LocationMatch`: which level it is about, and which of git's requests.

use policy::git_request::Mount;
use policy::level::LevelPath;

use super::require::{Answer, Condition, Endpoint};
use super::sections::{Block, words};
use crate::cli::import::report::{Report, Weight};

/// A section that is understood.
pub(super) struct Section {
    pub(super) level: LevelPath,
    pub(super) place: String,
    /// The only requests it is about; all of them where there is none.
    endpoint: Option<Endpoint>,
    condition: Condition,
}

impl Section {
    pub(super) fn is_about(&self, level: &LevelPath, endpoint: Endpoint) -> bool {
        self.endpoint.is_none_or(|only| only == endpoint) && contains(&self.level, level)
    }

    pub(super) fn require(&self, endpoint: Endpoint) -> Answer {
        self.condition.answer(endpoint)
    }
}

/// Whether a level is another, or lies above it.
pub(super) fn contains(above: &LevelPath, below: &LevelPath) -> bool {
    let (above, below) = (above.as_str(), below.as_str());
    above == "/" || above == below || (above.ends_with('/') && below.starts_with(above))
}

/// Reads a section; `None` when it is about something else, or is reported.
pub(super) fn read(block: &Block, mount: &Mount, report: &mut Report) -> Option<Section> {
    let arguments = words(&block.arguments);
    let (pattern, is_regex) = match arguments.as_slice() {
        [tilde, pattern] if tilde == "~" => (pattern, true),
        [pattern] => (pattern, block.name == "locationmatch"),
        _ => return untranslated(block, report),
    };
    let target = if is_regex { of_regex(pattern) } else { of_path(pattern) };
    let Some((path, endpoint)) = target else {
        return untranslated(block, report);
    };
    let Some(level) = level(&path, mount) else {
        return if is_outside(&path, mount) { None } else { untranslated(block, report) };
    };
    let condition = Condition::read(block, report);
    condition.says_something().then(|| Section { level, place: block.place.clone(), endpoint, condition })
}

fn untranslated(block: &Block, report: &mut Report) -> Option<Section> {
    if block.requires() {
        let message = format!(
            "`{}` cannot be put as a level; what this section asks for is not in the new files",
            block.arguments
        );
        report.add(Weight::Wider, &block.place, message);
    }
    None
}

/// `/git/team` is that path and what is below it.
fn of_path(path: &str) -> Option<(String, Option<Endpoint>)> {
    (!path.contains(['*', '?', '[', '%'])).then(|| {
        match ENDPOINTS.iter().find_map(|(end, endpoint)| Some((path.strip_suffix(end)?, *endpoint))) {
            Some((repository, endpoint)) if repository.ends_with(".git/") => {
                (repository.trim_end_matches('/').to_owned(), Some(endpoint))
            }
            _ => (path.to_owned(), None),
        }
    })
}

/// The few regular expressions that configurations for git use: a literal beginning, then anything, then an endpoint.
fn of_regex(regex: &str) -> Option<(String, Option<Endpoint>)> {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let (regex, endpoint) = match ENDPOINTS.iter().find_map(|(end, endpoint)| {
        let rest = regex.trim_end_matches('$').strip_suffix(end)?;
        Some((rest, *endpoint))
    }) {
        Some((rest, endpoint)) => (rest, Some(endpoint)),
        None => (regex, None),
    };
    let rest_is_anything = ["/.*/", "/(.*)/", ".*/", "/.+/", "/.*", "/.*$", "(/.*)?$", "(/|$)", "/"];
    let ending = rest_is_anything.iter().find(|ending| regex.ends_with(**ending))?;
    let literal = regex.strip_suffix(ending)?.replace("\\.", ".").replace("\\-", "-");
    let is_literal = !literal.contains(['\\', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$']);
    // A dot that was not escaped stands for any byte, and so for more than the dot that is left.
    let has_wild_dot = regex.replace("\\.", "").strip_suffix(ending).is_some_and(|rest| rest.contains('.'));
    (is_literal && !has_wild_dot).then_some((literal, endpoint))
}

/// The level of a URL path; the mount and what is above it is the root.
fn level(path: &str, mount: &Mount) -> Option<LevelPath> {
    let whole = format!("{}/", path.trim_end_matches('/'));
    if mount.as_str().starts_with(&whole) {
        return LevelPath::parse("/").ok();
    }
    let below = whole.strip_prefix(mount.as_str())?.trim_end_matches('/');
    let text = if below.ends_with(".git") { below.to_owned() } else { format!("{below}/") };
    LevelPath::parse(&text).ok().filter(|level| !level.has_user())
}

fn is_outside(path: &str, mount: &Mount) -> bool {
    let whole = format!("{}/", path.trim_end_matches('/'));
    !whole.starts_with(mount.as_str()) && !mount.as_str().starts_with(&whole)
}

const ENDPOINTS: [(&str, Endpoint); 3] = [
    ("git-receive-pack", Endpoint::ReceivePack),
    ("git-upload-pack", Endpoint::UploadPack),
    ("info/refs", Endpoint::Advertise),
];
