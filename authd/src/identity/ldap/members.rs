//! What the directory said of its users, remembered for a while, and for longer in case it falls silent.
//!
//! Any number of requests for one user cost one look-up. Errors are not remembered.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use policy::identity::{User, UserName};

use crate::config::CacheConfig;

/// The users of one directory.
#[derive(Debug)]
pub(super) struct Members {
    fresh: Cache<UserName, Member>,
    last: Cache<UserName, Arc<User>>,
}

/// What the directory said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// This is the user, with all groups.
    User(Arc<User>),
    /// There is no such user, or not any more, or the account is disabled.
    Nobody,
}

impl From<Member> for Option<Arc<User>> {
    fn from(member: Member) -> Self {
        match member {
            Member::User(user) => Some(user),
            Member::Nobody => None,
        }
    }
}

impl Members {
    /// Answers count for `ttl`.
    pub(super) fn new(cache: CacheConfig, ttl: Duration) -> Self {
        let remember = |time| Cache::builder().max_capacity(cache.capacity).time_to_live(time).build();
        let last = Cache::builder().max_capacity(cache.capacity).time_to_live(cache.stale_if_unavailable);
        Self { fresh: remember(ttl), last: last.build() }
    }

    /// What was said lately.
    pub(super) async fn known(&self, name: &UserName) -> Option<Member> {
        self.fresh.get(name).await
    }

    /// What was said lately, else what is found now. `None` where nothing can be found.
    pub(super) async fn find(
        &self,
        name: &UserName,
        look_up: impl Future<Output = Result<Member, super::Unavailable>>,
    ) -> Result<Member, super::Unavailable> {
        let entry =
            self.fresh.entry(name.clone()).or_try_insert_with(look_up).await.map_err(|error| *error)?;
        let member = entry.value().clone();
        if entry.is_fresh() {
            match &member {
                Member::User(user) => self.last.insert(name.clone(), Arc::clone(user)).await,
                Member::Nobody => self.last.invalidate(name).await,
            }
        }
        Ok(member)
    }

    /// What was said last, for the time the directory says nothing.
    pub(super) async fn stale(&self, name: &UserName) -> Option<Arc<User>> {
        self.last.get(name).await
    }
}
