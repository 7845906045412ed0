//! Decisions signed with a stack's own key: what a leaked or replayed header would look like.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use policy::decision::{Decision, SigningKey, sign};
use policy::git_request::{GitRequest, Mount};

/// The current time in seconds since 1970.
pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// The decision that permits `method` on `target`, valid from now on.
pub fn permitting(method: &str, target: &str) -> Result<Decision> {
    let request = GitRequest::parse(&Mount::default(), method, target.as_bytes())?;
    Ok(Decision::permitting(&request, "0123456789abcdef0123456789abcdef".to_owned(), now()?))
}

/// The header value for `decision`, signed with the key in `file`.
pub fn signed(file: &Path, decision: &Decision) -> Result<String> {
    let key: [u8; 32] = fs::read(file)?.try_into().map_err(|_| anyhow!("the key is not 32 bytes"))?;
    Ok(sign(&SigningKey::from_bytes(key), decision))
}
