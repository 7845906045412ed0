//! Pages about one repository: what a browser may ask for below it, as gitweb understands it.
//!
//! The repository is found as for git and decides about access; what follows is gitweb's. It is closed all the same: names of
//! parameters and actions are listed, so that none can name another repository or all of them, and a byte that needs no
//! escape has none, so that no `.` and `/` can hide. See gitweb(1), "Actions, and URLs", and RFC 3986.

use serde::Deserialize;

use crate::mount::Mount;
use crate::repo_path::{RepoPath, SUFFIX};

/// `web:` in the configuration of both daemons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Web {
    /// No pages: whatever is not git's is outside the grammar.
    #[default]
    Off,
    /// gitweb's pages, and the list of repositories.
    Gitweb,
}

/// The longest path and query together, below the repository.
const MAX_LEN: usize = 4096;

/// Paths that are git's, whatever their spelling and method.
const GITS_OWN: [&str; 6] =
    ["info", "objects", "HEAD", "git-upload-pack", "git-receive-pack", "git-upload-archive"];

/// Every action of gitweb that is about one repository.
const ACTIONS: [&str; 25] = [
    "blame",
    "blob",
    "blob_plain",
    "blobdiff",
    "blobdiff_plain",
    "commit",
    "commitdiff",
    "commitdiff_plain",
    "heads",
    "history",
    "log",
    "object",
    "patch",
    "patches",
    "remotes",
    "rss",
    "atom",
    "search",
    "search_help",
    "shortlog",
    "snapshot",
    "summary",
    "tag",
    "tags",
    "tree",
];

/// Actions of gitweb that are about many repositories.
const ACTIONS_ON_MANY: [&str; 4] = ["forks", "opml", "project_index", "project_list"];

/// Every parameter besides the action; `p` and `pf`, which choose repositories, are not among them, and neither is `sr`, which
/// makes a regular expression of what is searched for: a few characters can keep a processor busy for hours.
const PARAMETERS: [&str; 12] = ["f", "fp", "h", "hp", "hb", "hpb", "pg", "o", "s", "st", "sf", "ds"];

/// The repository, the path below it and the query, all as they were written.
pub(crate) fn parse<'t>(
    mount: &Mount,
    method: &str,
    target: &'t [u8],
) -> Option<(RepoPath, &'t str, &'t str)> {
    let below = std::str::from_utf8(target).ok()?.strip_prefix(mount.as_str())?;
    let (path, query) = match below.split_once('?') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (below, ""),
    };
    let end = match path.find(".git/") {
        Some(at) => at + SUFFIX.len(),
        None => path.len(),
    };
    let repo = mount.repository(&path[..end]).ok()?;
    let rest = &path[end..];
    let fits = matches!(method, "GET" | "HEAD") && rest.len() + query.len() <= MAX_LEN;
    (fits && is_page(rest) && is_query(query)).then_some((repo, rest, query))
}

/// The path with its escapes undone, as a CGI program gets it.
#[must_use]
pub fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, escaped)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(escape(escaped)?);
        rest = &escaped[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// Nothing, or a slash and components of which only the last may be empty.
fn is_page(path: &str) -> bool {
    let Some(inner) = path.strip_prefix('/') else { return path.is_empty() };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let first = inner.split('/').next().unwrap_or_default();
    let components = || inner.split('/').all(|component| !matches!(component, "" | "." | ".."));
    (inner.is_empty() || components())
        && path != "//"
        && !GITS_OWN.contains(&first)
        && !ACTIONS_ON_MANY.contains(&first)
        && !has_option(path)
        && is_text(path, |byte| is_unreserved(byte) || byte == b'/')
        && unescaped(path).is_some()
}

/// Whether a revision in the path begins with a dash: gitweb hands it to git as it is, and git would take it for an option, such
/// as `--output=FILE`.
fn has_option(path: &str) -> bool {
    let revisions = path.split_once(':').map_or(path, |(revisions, _)| revisions);
    revisions.contains("/-") || path.contains("..-")
}

/// Parameters with values that are no options of git, each at most once, except `opt`.
fn is_query(query: &str) -> bool {
    let mut seen = Vec::new();
    query.is_empty()
        || query.split([';', '&']).all(|pair| {
            let Some((name, value)) = pair.split_once('=') else { return false };
            let known = match name {
                "a" => ACTIONS.contains(&value),
                "opt" => value == "--no-merges",
                _ => PARAMETERS.contains(&name) && !unescaped_value(value).starts_with('-'),
            };
            let again = name != "opt" && seen.contains(&name);
            seen.push(name);
            known && !again && is_text(value, |_| false)
        })
}

/// The value of a parameter, in the form HTML forms are sent in. What is not UTF-8 in it is replaced.
#[must_use]
pub fn unescaped_value(value: &str) -> String {
    let plain = value.replace('+', " ");
    let mut parts = plain.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.extend(escape(part));
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes that may stand in a target as they are, and escapes of the others. `plain` are those that are never escaped.
pub(crate) fn is_text(text: &str, plain: impl Fn(u8) -> bool) -> bool {
    let mut parts = text.split('%');
    let literal = |part: &str| part.bytes().all(is_literal);
    parts.next().is_none_or(literal)
        && parts.all(|part| {
            escape(part).is_some_and(|byte| !byte.is_ascii_control() && !plain(byte)) && literal(&part[2..])
        })
}

/// The byte that the two hexadecimal digits at the start stand for.
fn escape(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// `pchar` of RFC 3986, and the slash.
fn is_literal(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git_request::{Access, GitRequest, Refusal, Service};

    fn page(rest: &str) -> Result<GitRequest, Refusal> {
        let target = format!("/git/team/test.git{rest}");
        GitRequest::parse_with_web(&Mount::default(), "GET", target.as_bytes())
    }

    #[test]
    fn what_gitweb_links_to_is_a_page_of_the_repository() {
        for rest in [
            "",
            "/",
            "?a=summary",
            "/?a=summary",
            "/summary",
            "/shortlog/refs/heads/main",
            "/commitdiff/1234abcd..5678ef01",
            "/blob/HEAD:/src/a%20b.c",
            "/blob/HEAD:/caf%C3%A9",
            "/blobdiff/v1:/a/x..v2:/b/x",
            "/tree/main:/",
            "?a=blob;f=src/main.c;hb=HEAD",
            "?a=search&h=refs%2Fheads%2Fx&st=commit&s=a+b%3F",
            "/shortlog?pg=2;opt=--no-merges",
            "/snapshot/HEAD.tar.gz",
        ] {
            let request = page(rest).unwrap_or_else(|error| panic!("{rest}: {error}"));
            assert_eq!((request.service, request.service.access()), (Service::Web, Access::Read));
            assert_eq!(request.repo.as_str(), "team/test.git");
            assert_eq!(request.target(&Mount::default()), format!("/git/team/test.git{rest}"));
            assert!(GitRequest::parse(&Mount::default(), "GET", rest.as_bytes()).is_err());
        }
        assert_eq!(unescaped("/blob/HEAD:/caf%C3%A9%3f").unwrap(), "/blob/HEAD:/caf\u{e9}?");
    }

    #[test]
    fn gits_own_endpoints_stay_gits() {
        for (rest, service) in [
            ("/info/refs?service=git-upload-pack", Service::AdvertiseUploadPack),
            ("/info/refs?service=git-receive-pack", Service::AdvertiseReceivePack),
            ("/info/refs", Service::Dumb),
            ("/HEAD", Service::Dumb),
        ] {
            assert_eq!(page(rest).unwrap().service, service);
        }
        for rest in [
            "/info/refs?a=summary",
            "/info/refs/",
            "/info/refs?service=git-upload-archive",
            "/objects/info/alternates",
            "/git-upload-pack",
            "/git-upload-archive",
            "/HEAD/",
        ] {
            assert!(page(rest).is_err(), "{rest}");
        }
        let mount = Mount::default();
        for method in ["POST", "PUT", "OPTIONS", "get", ""] {
            assert!(GitRequest::parse_with_web(&mount, method, b"/git/a.git/summary").is_err(), "{method}");
        }
        assert_eq!(
            GitRequest::parse_with_web(&mount, "HEAD", b"/git/a.git").map(|r| r.service),
            Ok(Service::Web)
        );
    }

    #[test]
    fn nothing_names_another_repository_or_hides_where_it_leads() {
        for rest in [
            "?p=team/test.git",
            "?p=other.git",
            ";p=other.git",
            "?a=summary;p=other.git",
            "?a=search&st=commit&s=(a%3F)%7B60%7D&sr=1",
            "?a=summary&p=other.git",
            "?%70=other.git",
            "?pf=team",
            "?a=project_list",
            "?a=project_index",
            "?a=opml",
            "?a=forks",
            "?a=%6fpml",
            "?a=summary;a=opml",
            "?f=a;f=b",
            "?",
            "?summary",
            "?a=summary;",
            "?f=%00",
            "?f=a%0ab",
            "?f=%zz",
            "?f=%",
            "?f=\"><script>",
            "/../other.git",
            "/x/../../other.git",
            "/..",
            "/.",
            "/%2e%2e/other.git",
            "/%2E%2E/other.git",
            "/..%2fother.git",
            "/x%2f..%2f..%2fother.git",
            "//",
            "//other.git",
            "/x//y",
            "/x%00",
            "/x%0d%0aLocation:x",
            "/%ff",
            "/a b",
            "/a\\b",
            "/opml",
            "/project_list",
            "/project_index/x",
            "/forks",
            "/x#y",
            ".git",
            "x",
        ] {
            assert!(page(rest).is_err(), "{rest}");
        }
        assert!(page(&format!("/{}", "x".repeat(MAX_LEN))).is_err());
        assert!(page("/x..y/z..").is_ok(), "ranges are no steps upwards");
    }

    #[test]
    fn nothing_is_an_option_of_git() {
        for rest in [
            "?a=commitdiff;h=HEAD;hp=--output=x",
            "?h=%2d-output=x",
            "?a=search;st=grep;s=-Ox",
            "?opt=--output=x",
            "?opt=--git-dir=x",
            "/commitdiff/--output=x",
            "/commitdiff/--output=x..HEAD",
            "/commitdiff/HEAD..--output=x",
            "/blobdiff/a:/f..--output=x:/f",
        ] {
            assert!(page(rest).is_err(), "{rest}");
        }
        assert!(page("/blob/HEAD:/-file").is_ok(), "the name of a file stands behind the revision");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_target_panics_and_an_accepted_one_stays_where_it_is(
            start in prop::sample::select(vec!["", "/", "?"]), pieces in prop::collection::vec(prop::sample::select(vec![
                "/", "..", ".", "%2e", "%2F", "%", "%00", "%41", "%20", ";", "?", "&", "p=", "a=", "f=", "x.git", "summary",
                "opml", "HEAD", ":", "\u{e9}", "\\", "#", " ",
            ]), 0..8),
        ) {
            let rest = format!("{start}{}", if start.is_empty() { String::new() } else { pieces.concat() });
            if let Ok(request) = page(&rest) {
                prop_assert_eq!(request.repo.as_str(), "team/test.git");
                let path = request.path_info();
                let shown = unescaped(&path).unwrap();
                prop_assert!(shown.starts_with("/team/test.git"));
                prop_assert!(shown.split('/').all(|component| component != ".." && component != "."));
                prop_assert!(!shown.contains("//") && !shown.contains('\0'));
                prop_assert!(!request.query().split([';', '&']).any(|pair| pair.starts_with("p=")));
            }
        }
    }
}
