//! Where Gitward answers otherwise than plain `git http-backend`, and why: all of it. The test fails on any other difference,
//! and on one of these that no request shows any more.

use policy::git_request::{GitRequest, Mount, Service};

use super::Seen;
use super::shapes::{Kind, Login, Shape};

/// One decided difference.
pub(crate) struct Decided {
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
    /// Whether it explains the request, http-backend's answer and Gitward's. The first in the table that does counts.
    pub(crate) explains: fn(&Shape, &Seen, &Seen) -> bool,
}

pub(crate) const DECIDED: [Decided; 14] = [
    Decided {
        what: "a refusal's text",
        why: "the status is the same; Gitward adds one line, which git shows its user, and does not repeat the client's words",
        explains: |_, theirs, ours| theirs.status == ours.status && ours.status >= 400,
    },
    Decided {
        what: "a password is asked for",
        why: "http-backend leaves that to the web server; Gitward answers 401 wherever a login could help, the same for what exists and what does not",
        explains: |shape, _, ours| shape.login == Login::Nobody && ours.status == 401,
    },
    Decided {
        what: "a wrong password is refused",
        why: "http-backend leaves that to the web server; credentials that are sent must be right, also where none are needed",
        explains: |shape, _, ours| shape.login == Login::WrongPassword && ours.status == 401,
    },
    Decided {
        what: "the policy decides who pushes",
        why: "http-backend lets everyone push whom the web server knows",
        explains: |shape, theirs, ours| {
            shape.login == Login::Reader
                && shape.target.contains("receive-pack")
                && (theirs.status, ours.status) == (200, 403)
        },
    },
    Decided {
        what: "missing is forbidden",
        why: "404 would tell a caller without a right which repositories exist",
        explains: |shape, theirs, ours| is_smart(shape) && (theirs.status, ours.status) == (404, 403),
    },
    Decided {
        what: "who may keep a file",
        why: "http-backend lets every cache keep an object; where a login was needed, only the caller's own may",
        explains: |_, theirs, ours| {
            let public = |seen: &Seen| {
                seen.headers.get("cache-control").is_some_and(|said| said.starts_with("public"))
            };
            (theirs.status, ours.status) == (200, 200)
                && public(theirs)
                && !public(ours)
                && theirs.body == ours.body
        },
    },
    Decided {
        what: "other files",
        why: "what is not in the grammar is no git request, whether there is such a file or not",
        explains: |shape, theirs, ours| {
            shape.kind == Kind::Dumb && theirs.status == 404 && ours.status == 403
        },
    },
    Decided {
        what: "other methods",
        why: "git sends GET and POST; HEAD, and a method that a route does not have, are outside the grammar",
        explains: |shape, _, ours| shape.kind == Kind::Method && !is_smart(shape) && ours.status == 403,
    },
    Decided {
        what: "other spellings",
        why: "one repository has one URL: nothing is decoded, joined, followed or guessed (.git missing, links, gitfiles, //, %2e, more parameters)",
        explains: |shape, _, ours| shape.kind == Kind::Spelling && ours.status == 403,
    },
    Decided {
        what: "the version of the protocol",
        why: "git is told version=0, 1 or 2, exactly as git clients say it, and nothing else that a client may put there",
        explains: |shape, theirs, ours| {
            shape.kind == Kind::Protocol && (theirs.status, ours.status) == (200, 200)
        },
    },
    Decided {
        what: "the coding of a body",
        why: "http-backend takes what it does not know as not coded, or says 200 and then fails on what it cannot decode",
        explains: |shape, theirs, ours| {
            shape.kind == Kind::Encoding && theirs.status == 200 && [400, 415, 500].contains(&ours.status)
        },
    },
    Decided {
        what: "a field that comes twice",
        why: "nginx hands on one of the values, and that one is still from a closed set; a CGI program sees them joined",
        explains: |shape, _, ours| {
            is_doubled(shape, "Content-Type") || (is_doubled(shape, "Content-Encoding") && ours.status == 200)
        },
    },
    Decided {
        what: "the size of a fetch's request",
        why: "the same limit (limits.negotiation, GIT_HTTP_MAX_REQUEST_BUFFER), but 413 where http-backend says 200 and nothing",
        explains: |shape, theirs, ours| {
            shape.kind == Kind::Size && (theirs.status, ours.status) == (200, 413)
        },
    },
    Decided {
        what: "what can be pushed",
        why: "only branches and tags (others are neither shown to a push nor taken), by names that git accepts (the hook says so before git does), and no object that git's own checks refuse",
        explains: |_, theirs, ours| {
            let said = theirs.text();
            let others =
                ["refs/notes/", "refs/meta/", "funny refname"].iter().any(|name| said.contains(name));
            (theirs.status, ours.status) == (200, 200) && (others || ours.text().contains("missingEmail"))
        },
    },
];

/// Whether it is in the grammar of smart HTTP.
fn is_smart(shape: &Shape) -> bool {
    let target = format!("/git{}", shape.target);
    let request = GitRequest::parse(&Mount::default(), shape.method, target.as_bytes());
    request.is_ok_and(|request| !matches!(request.service, Service::Dumb | Service::Web))
}

fn is_doubled(shape: &Shape, name: &str) -> bool {
    shape.headers.iter().filter(|(known, _)| *known == name).count() > 1
}
