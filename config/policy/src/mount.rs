//! `Mount`: where in the URL space repositories stand, and which of them: all, or those below a directory.
//!
//! The directory is part of every repository's path from here on: for the policy, the signed decision, hooks and the disk
//! there is one tree of repositories, whatever URLs it is seen through.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::document;
use crate::repo_path::{self, InvalidRepoPath, MAX_DIRECTORIES, RepoPath};

/// The URL path below which repositories live; starts and ends with `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// The server it is on, if not on all.
    host: Option<Box<str>>,
    path: Box<str>,
    directory: Directory,
}

/// Several mounts, in the order they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

/// A directory below the project root with a slash at its end; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Directory(Box<str>);

/// The text is not a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a URL path starts and ends with / and has plain names between, for example /git/")]
pub struct InvalidMount;

/// A key of `mounts`: only there a mount may be on one server.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(Mount);

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "a mount starts and ends with / and has plain names between, for example /git/, or //git.example.org/ \
     for one server"
)]
struct InvalidKey;

impl Mount {
    /// Accepts `/` or `/name/…/name/`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidMount> {
        let inner = text.strip_prefix('/').ok_or(InvalidMount)?;
        let names = inner.strip_suffix('/');
        let is_path = names.map_or(inner.is_empty(), |names| names.split('/').all(repo_path::is_name));
        match is_path {
            true => Ok(Self { path: text.into(), ..Self::root() }),
            false => Err(InvalidMount),
        }
    }

    /// `/`: repositories stand at the top.
    #[must_use]
    pub fn root() -> Self {
        Self { host: None, path: "/".into(), directory: Directory::default() }
    }

    /// The URL path with both slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// What stands before every repository of this mount: empty, or a directory with a slash at its end.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory.0
    }

    /// The repository that `path` below the mount names.
    pub(crate) fn repository(&self, path: &str) -> Result<RepoPath, InvalidRepoPath> {
        match self.directory() {
            "" => RepoPath::parse(path),
            directory => RepoPath::parse(&format!("{directory}{path}")),
        }
    }

    fn is_for(&self, host: Option<&str>, target: &[u8]) -> bool {
        let own = self.host.as_deref();
        let here = own.is_none_or(|own| host.is_some_and(|host| host.eq_ignore_ascii_case(own)));
        here && target.starts_with(self.path.as_bytes())
    }
}

impl Key {
    /// Accepts a mount, with `//host` before it for one server only.
    fn parse(text: &str) -> Result<Self, InvalidKey> {
        let (host, path) = match text.strip_prefix("//") {
            Some(rest) => {
                let (host, path) = rest.split_at(rest.find('/').ok_or(InvalidKey)?);
                (Some(host), path)
            }
            None => (None, text),
        };
        if !host.is_none_or(is_host) {
            return Err(InvalidKey);
        }
        let mount = Mount::parse(path).map_err(|_| InvalidKey)?;
        Ok(Self(Mount { host: host.map(Into::into), ..mount }))
    }
}

impl Mounts {
    /// The mount a request target is below. `host` is the name of the server the front server says it came to.
    ///
    /// A mount of that server comes before those of all servers, a longer path before a shorter one.
    #[must_use]
    pub fn find(&self, host: Option<&str>, target: &[u8]) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.is_for(host, target))
    }
}

impl From<Mount> for Mounts {
    fn from(mount: Mount) -> Self {
        Self(vec![mount])
    }
}

impl Directory {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let names = text.strip_suffix('/').map(|names| names.split('/'));
        let is_directory = names.is_some_and(|names| {
            names.clone().count() <= MAX_DIRECTORIES && { names }.all(repo_path::is_name)
        });
        match text {
            "/" => Ok(Self::default()),
            _ if is_directory => Ok(Self(text.into())),
            _ => Err("a directory of repositories such as apps/, or / for all of them"),
        }
    }
}

/// Lower case, as nginx writes the names of its servers.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    text.len() <= 253 && text.split('.').all(|label| !label.is_empty() && label.bytes().all(plain))
}

impl Default for Mount {
    fn default() -> Self {
        Self { path: "/git/".into(), ..Self::root() }
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for Directory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for Mounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<Key, Directory>::deserialize(deserializer)?;
        if written.is_empty() {
            return Err(D::Error::custom("at least one mount, or no repository has a URL"));
        }
        let mounts = written.into_iter().map(|(Key(mount), directory)| Mount { directory, ..mount });
        let mut mounts: Vec<_> = mounts.collect();
        mounts.sort_by_key(|mount| (mount.host.is_none(), std::cmp::Reverse(mount.path.len())));
        Ok(Self(mounts))
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
        for text in ["//git.example.org/", "//localhost/git/", "//10.0.0.1/a/b/"] {
            assert!(Key::parse(text).is_ok(), "{text}");
            assert!(Mount::parse(text).is_err(), "only `mounts` may have a host: {text}");
        }
        for text in [
            "",
            "git",
            "git/",
            "/git",
            "//",
            "///",
            "/a//b/",
            "/a.git/",
            "/%/",
            "/../",
            "//host",
            "//Host/",
            "//a..b/",
            "//a_b/",
            "//host:80/",
            "//host//",
            "//host/git",
        ] {
            assert!(Mount::parse(text).is_err() && Key::parse(text).is_err(), "{text}");
        }
    }

    fn mounts() -> Mounts {
        serde_json::from_str(
            r#"{"/git/": "/", "/git/apps/": "a/b/", "/x/": "x/", "//one.example/": "one/", "//one.example/git/": "one/git/"}"#,
        )
        .unwrap()
    }

    fn repository(host: Option<&str>, target: &str) -> Option<String> {
        let mounts = mounts();
        let mount = mounts.find(host, target.as_bytes())?;
        let request = GitRequest::parse(mount, "POST", target.as_bytes()).ok()?;
        assert_eq!(request.target(mount), target);
        Some(request.repo.to_string())
    }

    #[test]
    fn the_nearest_mount_says_which_repository_a_url_is() {
        let other = Some("other.example");
        for (host, path, repo) in [
            (None, "/git/r.git", Some("r.git")),
            (other, "/git/t/r.git", Some("t/r.git")),
            (None, "/git/apps/r.git", Some("a/b/r.git")),
            (None, "/git/apps2/r.git", Some("apps2/r.git")),
            (other, "/x/r.git", Some("x/r.git")),
            (None, "/r.git", None),
            (other, "/y/r.git", None),
            (Some("one.example"), "/r.git", Some("one/r.git")),
            (Some("ONE.example"), "/git/r.git", Some("one/git/r.git")),
            // A server's own mounts come first, and this one has all paths.
            (Some("one.example"), "/x/r.git", Some("one/x/r.git")),
            (Some("xone.example"), "/r.git", None),
        ] {
            let found = repository(host, &format!("{path}/git-upload-pack"));
            assert_eq!(found.as_deref(), repo, "{host:?} {path}");
        }
    }

    #[test]
    fn the_depth_of_a_repository_counts_from_the_project_root() {
        let mounts: Mounts = serde_json::from_str(r#"{"/": "1/2/3/4/5/6/7/8/"}"#).unwrap();
        let mount = mounts.find(None, b"/").unwrap();
        assert!(mount.repository("a.git").is_ok() && mount.repository("9/a.git").is_err());
    }

    #[test]
    fn a_directory_is_plain_names_with_a_slash_at_the_end() {
        for text in ["", "a", "/a/", "a//b/", "../", "a.git/", "./", "a/../b/", "1/2/3/4/5/6/7/8/9/"] {
            assert!(Directory::parse(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Mounts>("{}").is_err());
    }
}
