//! The header block a CGI program prints before its body: RFC 3875, section 6.
//!
//! Only headers that git has a use for pass. A program cannot redirect, set a cookie or steer nginx: `Location`, `Set-Cookie`
//! and `X-Accel-*` are dropped with everything else that is not listed, and a status outside 2xx, 4xx and 5xx is an error.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, LAST_MODIFIED, PRAGMA,
};

/// The largest header block taken.
pub const LIMIT: usize = 16 * 1024;

const MAX_HEADERS: usize = 32;

/// What may pass to the client; `Date` is the server's own.
const ALLOWED: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_LENGTH, CACHE_CONTROL, EXPIRES, PRAGMA, LAST_MODIFIED];

/// The head of an answer, fit to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 200 unless the program says otherwise.
    pub status: StatusCode,
    /// Allowed headers, each at most once.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The program's output is not a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It ended before the blank line.
    #[error("it ended before its headers did")]
    Incomplete,
    /// More than [`LIMIT`] bytes or too many headers.
    #[error("its headers are too large")]
    TooLarge,
    /// A line is not a header, or there is none.
    #[error("its headers are malformed")]
    Malformed,
    /// A status that a git answer cannot have.
    #[error("its status is not one git answers with")]
    BadStatus,
    /// An allowed header twice, with two values.
    #[error("it contradicts itself in its headers")]
    Repeated,
}

/// Parses the header block at the start of `bytes`: the head and the block's length, or `None` when more is needed.
///
/// # Errors
/// When it is not a header block, or `ended` and it is not complete.
pub fn parse(bytes: &[u8], ended: bool) -> Result<Option<(Head, usize)>, ResponseError> {
    parse_as(bytes, ended, head)
}

/// The same, with another idea of what may pass.
///
/// # Errors
/// When it is not a header block, or `ended` and it is not complete, or `head` does not want it.
pub fn parse_as(
    bytes: &[u8],
    ended: bool,
    head: impl FnOnce(&[httparse::Header<'_>]) -> Result<Head, ResponseError>,
) -> Result<Option<(Head, usize)>, ResponseError> {
    let block = &bytes[..bytes.len().min(LIMIT)];
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(block, &mut headers) {
        Ok(httparse::Status::Complete((length, headers))) => Ok(Some((head(headers)?, length))),
        Ok(httparse::Status::Partial) if bytes.len() >= LIMIT => Err(ResponseError::TooLarge),
        Ok(httparse::Status::Partial) if ended => Err(ResponseError::Incomplete),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(ResponseError::TooLarge),
        Err(_) => Err(ResponseError::Malformed),
    }
}

fn head(parsed: &[httparse::Header<'_>]) -> Result<Head, ResponseError> {
    if parsed.is_empty() {
        return Err(ResponseError::Malformed);
    }
    let mut status = None;
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for header in parsed {
        if header.name.eq_ignore_ascii_case("status") {
            if status.replace(parse_status(header.value)?).is_some() {
                return Err(ResponseError::Repeated);
            }
            continue;
        }
        let Some(name) = ALLOWED.into_iter().find(|name| header.name.eq_ignore_ascii_case(name.as_str()))
        else {
            continue;
        };
        let value = HeaderValue::from_bytes(header.value).map_err(|_| ResponseError::Malformed)?;
        if name == CONTENT_LENGTH && !is_length(header.value) {
            return Err(ResponseError::Malformed);
        }
        // http-backend says twice that a refusal may not be cached.
        match headers.iter().find(|(known, _)| *known == name) {
            Some((_, known)) if *known == value => continue,
            Some(_) => return Err(ResponseError::Repeated),
            None => {}
        }
        headers.push((name, value));
    }
    // With neither it is no document but a redirect (RFC 3875, 6.2), or nothing at all.
    if status.is_none() && headers.iter().all(|(name, _)| *name != CONTENT_TYPE) {
        return Err(ResponseError::Malformed);
    }
    Ok(Head { status: status.unwrap_or(StatusCode::OK), headers })
}

/// `403 Forbidden`: the number counts, the words are dropped.
fn parse_status(value: &[u8]) -> Result<StatusCode, ResponseError> {
    let status = number(value)?;
    let fits = status.is_success() || status.is_client_error() || status.is_server_error();
    if fits { Ok(status) } else { Err(ResponseError::BadStatus) }
}

/// Any status of HTTP.
pub(crate) fn number(value: &[u8]) -> Result<StatusCode, ResponseError> {
    let (number, rest) = value.split_at_checked(3).ok_or(ResponseError::BadStatus)?;
    match rest.first() {
        None | Some(b' ') => StatusCode::from_bytes(number).map_err(|_| ResponseError::BadStatus),
        _ => Err(ResponseError::BadStatus),
    }
}

fn is_length(value: &[u8]) -> bool {
    !value.is_empty() && value.len() < 20 && value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complete(text: &str) -> Result<(Head, usize), ResponseError> {
        parse(text.as_bytes(), true).map(Option::unwrap)
    }

    #[test]
    fn a_block_ends_at_the_blank_line_with_or_without_carriage_returns() {
        for text in ["Content-Type: a/b\r\n\r\nbody", "Content-Type: a/b\n\nbody"] {
            let (head, length) = complete(text).unwrap();
            assert_eq!(head.status, StatusCode::OK);
            assert_eq!(head.headers, [(CONTENT_TYPE, HeaderValue::from_static("a/b"))]);
            assert_eq!(&text[length..], "body");
        }
    }

    #[test]
    fn a_status_other_than_2xx_4xx_and_5xx_is_refused() {
        for (text, status) in [("200 OK", 200), ("206", 206), ("403 Forbidden", 403), ("500 x", 500)] {
            assert_eq!(complete(&format!("Status: {text}\r\n\r\n")).unwrap().0.status.as_u16(), status);
        }
        for text in
            ["100 Continue", "101", "302 Found", "304", "600", "20", "2000", "abc", "", "-20", "200OK"]
        {
            assert_eq!(complete(&format!("Status: {text}\r\n\r\n")), Err(ResponseError::BadStatus), "{text}");
        }
    }

    #[test]
    fn headers_that_steer_a_browser_or_nginx_are_dropped() {
        let text = "Status: 200 OK\nLocation: /x\nSet-Cookie: a=b\nX-Accel-Redirect: /etc/passwd\nConnection: close\n\
                    Transfer-Encoding: chunked\nAccess-Control-Allow-Origin: *\nPragma: no-cache\n\n";
        assert_eq!(complete(text).unwrap().0.headers, [(PRAGMA, HeaderValue::from_static("no-cache"))]);
    }

    #[test]
    fn what_is_no_header_block_is_an_error() {
        for text in [
            "\r\n",
            "no header\r\n\r\n",
            ": x\r\n\r\n",
            "A b: c\r\n\r\n",
            "A: b\r\n folded\r\n\r\n",
            "A: \x01\r\n\r\n",
            "Location: http://example.org/\r\n\r\n",
        ] {
            assert_eq!(complete(text), Err(ResponseError::Malformed), "{text:?}");
        }
        assert_eq!(complete("Status: 200\nStatus: 403\n\n"), Err(ResponseError::Repeated));
        assert_eq!(complete("Expires: a\nExpires: b\n\n"), Err(ResponseError::Repeated));
        assert_eq!(complete("Status: 403\nExpires: a\nExpires: a\n\n").unwrap().0.headers.len(), 1);
        assert_eq!(complete("Content-Length: -1\n\n"), Err(ResponseError::Malformed));
    }

    #[test]
    fn an_incomplete_block_waits_for_more_until_the_end_or_the_limit() {
        assert_eq!(parse(b"", false), Ok(None));
        assert_eq!(parse(b"Content-Type: a/b\r\n", false), Ok(None));
        assert_eq!(parse(b"Content-Type: a/b\r\n", true), Err(ResponseError::Incomplete));
        assert_eq!(parse(b"", true), Err(ResponseError::Incomplete));
        let long = format!("X: {}", "a".repeat(LIMIT));
        assert_eq!(parse(long.as_bytes(), false), Err(ResponseError::TooLarge));
        let many = "X: y\n".repeat(MAX_HEADERS + 1);
        assert_eq!(parse(many.as_bytes(), false), Err(ResponseError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_passes_is_allowed(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(Some((head, length))) = parse(&bytes, true) {
                prop_assert!(length <= bytes.len());
                prop_assert!(head.headers.iter().all(|(name, _)| ALLOWED.contains(name)));
            }
        }

        #[test]
        fn a_block_cut_anywhere_is_never_taken_for_a_whole_one(
            status in 200_u16..210, kind in "[a-z]{1,10}/[a-z-]{1,20}", cut in 0_usize..60,
        ) {
            let text = format!("Status: {status} Fine\r\nContent-Type: {kind}\r\n\r\n");
            let (head, length) = complete(&text).unwrap();
            prop_assert_eq!(head.status.as_u16(), status);
            prop_assert_eq!(length, text.len());
            let cut = cut.min(text.len() - 1);
            prop_assert_eq!(parse(&text.as_bytes()[..cut], false), Ok(None));
        }
    }
}
