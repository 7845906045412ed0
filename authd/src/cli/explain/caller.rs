//! Who the caller of an explained request is, and which file says so.

use std::sync::Arc;

use policy::identity::{GroupName, Identity, User, UserName};
use tokio::runtime::Builder;

use crate::cli::Failure;
use crate::cli::origin::Written;
use crate::config::DirectoryKind;
use crate::load::Loaded;

/// The caller, with the places that make them what they are.
pub(super) struct Caller {
    pub(super) identity: Identity,
    pub(super) source: Source,
    /// Each group, and where it says that the user is in it.
    pub(super) groups: Vec<(GroupName, Option<String>)>,
}

/// Who says that the caller exists.
pub(super) enum Source {
    /// The caller sends no credentials.
    Nobody,
    /// The command line.
    Given,
    /// A directory.
    Directory { name: String, place: Option<String> },
    /// No directory that can be asked here.
    Unknown,
}

impl Caller {
    /// Looks the user up as a login would, in servers too, or believes the groups given.
    pub(super) fn find(
        loaded: &Loaded,
        user: Option<&UserName>,
        groups: &[GroupName],
    ) -> Result<Self, Failure> {
        let Some(name) = user else {
            return Ok(Self { identity: Identity::Anonymous, source: Source::Nobody, groups: Vec::new() });
        };
        if !groups.is_empty() {
            let given = groups.iter().map(|group| (group.clone(), None)).collect();
            return Ok(Self { identity: made_up(name, groups), source: Source::Given, groups: given });
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
        let found = runtime.block_on(loaded.directories.look_up(name)).map_err(Failure::other)?;
        let Some((directory, user)) = found else {
            return Ok(Self { identity: made_up(name, &[]), source: Source::Unknown, groups: Vec::new() });
        };
        let places = Places::of(loaded, &directory);
        let groups = user.groups.iter().map(|group| (group.clone(), places.group(name, group))).collect();
        let source = Source::Directory { name: directory.to_string(), place: places.user(name) };
        Ok(Self { identity: Identity::User(user), source, groups })
    }

    /// A login of this user would be refused.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.source, Source::Unknown)
    }

    /// The name, or `anonymous`.
    pub(super) fn name(&self) -> &str {
        self.identity.name().map_or(policy::identity::ANONYMOUS, UserName::as_str)
    }
}

fn made_up(name: &UserName, groups: &[GroupName]) -> Identity {
    Identity::User(Arc::new(User::new(name.clone(), groups.iter().cloned())))
}

/// The files of one directory.
enum Places {
    Users(Written),
    Apache { users: Written, groups: Option<Written> },
    Elsewhere,
}

impl Places {
    fn of(loaded: &Loaded, directory: &str) -> Self {
        let config = loaded.config.directories.iter().find(|known| known.name.as_ref() == directory);
        match config.map(|config| &config.kind) {
            Some(DirectoryKind::Users { file }) => Self::Users(Written::read(file)),
            Some(DirectoryKind::Htpasswd { file, groups_file }) => {
                Self::Apache { users: Written::read(file), groups: groups_file.as_deref().map(Written::read) }
            }
            _ => Self::Elsewhere,
        }
    }

    fn user(&self, name: &UserName) -> Option<String> {
        match self {
            Self::Users(file) => file.place(&["users", name.as_str()]),
            Self::Apache { users, .. } => users.line(|line| line.split(':').next() == Some(name.as_str())),
            Self::Elsewhere => None,
        }
    }

    fn group(&self, name: &UserName, group: &GroupName) -> Option<String> {
        match self {
            Self::Users(file) => file.place(&["users", name.as_str(), "groups", group.as_str()]),
            Self::Apache { groups, .. } => groups.as_ref()?.line(|line| {
                line.split_once(':').is_some_and(|(named, members)| {
                    named.trim() == group.as_str()
                        && members.split_ascii_whitespace().any(|member| member == name.as_str())
                })
            }),
            Self::Elsewhere => None,
        }
    }
}
