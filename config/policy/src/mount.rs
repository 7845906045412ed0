//! `Mount`: where in the URL space repositories stand.

use std::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::document;
use crate::repo_path;

/// The URL path below which repositories live; starts and ends with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Mount(Box<str>);

/// The text is not a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mount starts and ends with / and has plain names between, for example /git/")]
pub struct InvalidMount;

impl Mount {
    /// Accepts `/` or `/name/…/name/`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidMount> {
        let inner = text.strip_prefix('/').ok_or(InvalidMount)?;
        let names = inner.strip_suffix('/');
        match names {
            Some(names) if names.split('/').all(repo_path::is_name) => Ok(Self(text.into())),
            None if inner.is_empty() => Ok(Self(text.into())),
            _ => Err(InvalidMount),
        }
    }

    /// `/`: repositories stand at the top.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The mount with both slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Mount {
    fn default() -> Self {
        Self("/git/".into())
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git_request::GitRequest;

    #[test]
    fn a_mount_is_slashes_and_plain_names() {
        for text in ["/", "/git/", "/a/b/"] {
            let mount = Mount::parse(text).unwrap();
            let target = format!("{text}a.git/git-upload-pack");
            assert!(GitRequest::parse(&mount, "POST", target.as_bytes()).is_ok(), "{text}");
        }
        for text in ["", "git", "git/", "/git", "//", "/a//b/", "/a.git/", "/%/", "/../"] {
            assert!(Mount::parse(text).is_err(), "{text}");
        }
    }
}
