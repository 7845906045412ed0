//! What gitweb's answer may be for a browser: a few types, a few headers, and orders to the browser that are not gitweb's.
//!
//! A page shows what anybody with write access has pushed, on the site where others are logged in. So no script runs in any
//! answer, whatever it is; a file is plain text, a picture or something to save; and a redirect stays in the repository. See
//! RFC 3875, section 6, and the Content Security Policy, level 3.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    LAST_MODIFIED, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::cgi::response::{self, Head, ResponseError};

/// What one page may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRules {
    /// The URL of the repository, as gitweb writes it: where a redirect may lead.
    pub repository: String,
    /// How many bytes the answer may have.
    pub most: u64,
}

/// Types that gitweb makes itself, or makes harmless.
const SHOWN: [&str; 8] = [
    "text/html",
    "application/xhtml+xml",
    "text/plain",
    "application/rss+xml",
    "application/atom+xml",
    "image/png",
    "image/gif",
    "image/jpeg",
];

/// Types of archives.
const SAVED: [&str; 4] =
    ["application/x-gzip", "application/x-bzip2", "application/x-xz", "application/x-zip"];

/// What a browser is told with every page. `sandbox` without `allow-scripts` takes from it whatever the rest could forget: it
/// can be read, its links followed and its search form sent. `allow-same-origin` is for the pictures of a repository,
/// which need the reader's login; without scripts it gives nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'self'; \
                      frame-ancestors 'none'; sandbox allow-same-origin allow-forms allow-downloads";

/// The headers of every answer to a browser.
#[must_use]
pub fn orders() -> Vec<(HeaderName, HeaderValue)> {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // What one caller may see is not what another may.
        (CACHE_CONTROL, "private, no-cache"),
    ];
    fixed.map(|(name, value)| (name, HeaderValue::from_static(value))).into()
}

impl PageRules {
    /// Parses the header block at the start of `bytes`, see [`response::parse`].
    ///
    /// # Errors
    /// When it is not one that may pass.
    pub fn parse(&self, bytes: &[u8], ended: bool) -> Result<Option<(Head, usize)>, ResponseError> {
        response::parse_as(bytes, ended, |headers| self.head(headers))
    }

    fn head(&self, parsed: &[httparse::Header<'_>]) -> Result<Head, ResponseError> {
        let status = only(parsed, "status")?.map_or(Ok(StatusCode::OK), response::number)?;
        let mut headers = orders();
        if status == StatusCode::FOUND {
            // gitweb leaves the spaces of file names as they are.
            let location = only(parsed, "location")?.unwrap_or_default();
            let location = String::from_utf8_lossy(location).replace(' ', "%20");
            if !self.is_inside(location.as_bytes()) {
                return Err(ResponseError::Malformed);
            }
            headers.push((LOCATION, value(location.as_bytes())?));
            return Ok(Head { status, headers });
        }
        // gitweb's 403 is "not switched on"; ours is another thing.
        let status = if status == StatusCode::FORBIDDEN { StatusCode::NOT_FOUND } else { status };
        if !status.is_success() && !status.is_client_error() {
            return Err(ResponseError::BadStatus);
        }
        let (kind, disposition) = (only(parsed, "content-type")?, only(parsed, "content-disposition")?);
        let kind = kind.ok_or(ResponseError::Malformed)?;
        let kind = std::str::from_utf8(kind).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is_file = disposition.is_some();
        let shown = SHOWN.into_iter().find(|known| *known == kind);
        let may_be_shown = match shown {
            Some("text/plain" | "image/png" | "image/gif" | "image/jpeg") => true,
            Some(_) => !is_file,
            None => false,
        };
        if !may_be_shown || disposition.is_some_and(|said| said.starts_with(b"attachment")) {
            headers.push((CONTENT_DISPOSITION, value(attachment(disposition).as_bytes())?));
        }
        let saved = || SAVED.into_iter().find(|known| *known == kind);
        let kind = shown.filter(|_| may_be_shown).or_else(saved).unwrap_or("application/octet-stream");
        let is_text = kind.starts_with("text/") || kind.ends_with("+xml");
        let charset = if is_text { "; charset=utf-8" } else { "" };
        headers.push((CONTENT_TYPE, value(format!("{kind}{charset}").as_bytes())?));
        if let Some(modified) = only(parsed, "last-modified")? {
            headers.push((LAST_MODIFIED, value(modified)?));
        }
        Ok(Head { status, headers })
    }

    fn is_inside(&self, location: &[u8]) -> bool {
        let Some(below) = location.strip_prefix(self.repository.as_bytes()) else { return false };
        let path = below.split(|&byte| byte == b'?').next().unwrap_or_default();
        let names: Vec<_> = path.split(|&byte| byte == b'/').collect();
        let stays = match names.as_slice() {
            [[], between @ .., last] => {
                !is_dots(last) && !between.iter().any(|name| name.is_empty() || is_dots(name))
            }
            rest => rest == [b""],
        };
        stays && below.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'\\')
    }
}

/// `.` or `..`, escaped or not: browsers make nothing of the difference.
fn is_dots(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase().replace("%2e", ".");
    name == "." || name == ".."
}

fn only<'h>(parsed: &[httparse::Header<'h>], name: &str) -> Result<Option<&'h [u8]>, ResponseError> {
    let mut found = parsed.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (header, None) => Ok(header.map(|header| header.value)),
        _ => Err(ResponseError::Repeated),
    }
}

fn value(bytes: &[u8]) -> Result<HeaderValue, ResponseError> {
    HeaderValue::from_bytes(bytes).map_err(|_| ResponseError::Malformed)
}

/// Something to save, under the last part of the name that gitweb gave, if that is plain.
fn attachment(disposition: Option<&[u8]>) -> String {
    let said = disposition.map(String::from_utf8_lossy).unwrap_or_default();
    let name = said.split_once("filename=\"").map_or("", |(_, rest)| rest.strip_suffix('"').unwrap_or(rest));
    let name: String = name.rsplit('/').next().unwrap_or_default().chars().take(128).collect();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._-+ ".contains(character);
    let plain: String =
        name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    match plain.trim_matches(['.', ' ']) {
        "" => "attachment".to_owned(),
        plain => format!("attachment; filename=\"{plain}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> PageRules {
        PageRules { repository: "/git/team/a.git".to_owned(), most: 1 }
    }

    fn head(text: &str) -> Result<Head, ResponseError> {
        rules().parse(format!("{text}\r\n\r\n").as_bytes(), true).map(|parsed| parsed.unwrap().0)
    }

    fn header(head: &Head, name: &HeaderName) -> Option<String> {
        let value = head.headers.iter().find(|(known, _)| known == name)?;
        Some(value.1.to_str().unwrap().to_owned())
    }

    #[test]
    fn every_answer_forbids_scripts_and_guessing() {
        for text in [
            "Content-Type: text/html; charset=utf-8",
            "Content-Type: image/png",
            "Status: 302\r\nLocation: /git/team/a.git/x",
        ] {
            let head = head(text).unwrap();
            assert!(header(&head, &CONTENT_SECURITY_POLICY).unwrap().contains("default-src 'none'"));
            assert!(!header(&head, &CONTENT_SECURITY_POLICY).unwrap().contains("script"));
            assert_eq!(header(&head, &X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
            assert!(header(&head, &CACHE_CONTROL).unwrap().contains("private"));
        }
    }

    #[test]
    fn a_file_is_text_a_picture_or_something_to_save() {
        let inline = "Content-Disposition: inline; filename=\"src/x.y\"";
        let saved = Some("attachment; filename=\"x.y\"");
        for (kind, disposition, shown, expected) in [
            ("text/html; charset=utf-8", "", "text/html; charset=utf-8", None),
            ("text/plain; charset=latin1", inline, "text/plain; charset=utf-8", None),
            ("image/png", inline, "image/png", None),
            ("text/html", inline, "application/octet-stream", saved),
            ("image/svg+xml", inline, "application/octet-stream", saved),
            ("application/xhtml+xml", "", "application/xhtml+xml; charset=utf-8", None),
            ("application/xhtml+xml", inline, "application/octet-stream", saved),
            ("text/javascript", "", "application/octet-stream", Some("attachment")),
            ("application/javascript", inline, "application/octet-stream", saved),
            ("application/rss+xml", inline, "application/octet-stream", saved),
            ("application/x-gzip", inline, "application/x-gzip", saved),
            ("text/plain", "Content-Disposition: attachment; filename=\"../\\\"x\r.y\"", "", None),
        ] {
            let text = format!("Content-Type: {kind}\r\n{disposition}").trim_end().to_owned();
            let Ok(head) = head(&text) else {
                assert_eq!(shown, "");
                continue;
            };
            assert_eq!(header(&head, &CONTENT_TYPE).as_deref(), Some(shown), "{kind}");
            assert_eq!(header(&head, &CONTENT_DISPOSITION).as_deref(), expected, "{kind}");
        }
        let said = head("Content-Type: x/y\r\nContent-Disposition: attachment; filename=\"a/b \"c;d\u{e9}\"")
            .unwrap();
        assert_eq!(header(&said, &CONTENT_DISPOSITION).unwrap(), "attachment; filename=\"b _c_d_\"");
    }

    #[test]
    fn a_redirect_stays_in_the_repository() {
        for (location, expected) in [
            ("/git/team/a.git/blob/x", true),
            ("/git/team/a.git?a=x", true),
            ("/git/team/a.git/blob/HEAD:/a b", true),
            ("/git/team/a.git", true),
            ("/git/team/a.github/x", false),
            ("/git/team/b.git/x", false),
            ("//evil.example/", false),
            ("/git/team/a.git/", true),
            ("/git/team/a.git/tree/", true),
            ("/git/team/a.git/blob/HEAD:/..a/b..", true),
            ("/git/team/a.git?a=x;f=a/../b//c", true),
            ("/git/team/a.git//evil.example", false),
            ("/git/team/a.git//", false),
            ("/git/team/a.git/..", false),
            ("/git/team/a.git/../b.git", false),
            ("/git/team/a.git/tree/../../b.git", false),
            ("/git/team/a.git/./x", false),
            ("/git/team/a.git/%2e%2E/b.git", false),
            ("/git/team/a.git/x\\..\\y", false),
            ("/git/team/a.git#x", false),
            ("http://evil.example/git/team/a.git", false),
            ("", false),
        ] {
            assert_eq!(
                head(&format!("Status: 302 Found\r\nLocation: {location}")).is_ok(),
                expected,
                "{location}"
            );
        }
        assert!(head("Status: 302 Found").is_err());
        assert!(head("Status: 301 Moved\r\nLocation: /git/team/a.git/x").is_err());
    }

    #[test]
    fn headers_and_statuses_of_other_kinds_do_not_pass() {
        let text = "Content-Type: text/html\r\nSet-Cookie: a=b\r\nX-Accel-Redirect: /x\r\nRefresh: 0\r\nLocation: /x\r\n\
                    Access-Control-Allow-Origin: *\r\nExpires: never\r\nLast-Modified: Fri, 20 Nov 2026 10:00:00 GMT";
        let names: Vec<_> = head(text).unwrap().headers.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), orders().len() + 2);
        assert!(names.contains(&LAST_MODIFIED) && !names.contains(&LOCATION));
        assert_eq!(
            head("Status: 403 Forbidden\r\nContent-Type: text/html").unwrap().status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            head("Status: 404 Not Found\r\nContent-Type: text/html").unwrap().status,
            StatusCode::NOT_FOUND
        );
        for status in ["500 Internal", "503", "101", "abc"] {
            assert!(head(&format!("Status: {status}\r\nContent-Type: text/html")).is_err(), "{status}");
        }
        assert!(head("Content-Type: a/b\r\nContent-Type: c/d").is_err());
        assert!(head("Status: 200 OK").is_err());
    }
}
