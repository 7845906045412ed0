//! The part of CGI (RFC 3875) that git's `http-backend` speaks: variables in, a header block and a body out.

pub mod environment;
pub mod response;
