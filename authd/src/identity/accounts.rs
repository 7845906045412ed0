//! The users one file knows, ready to be looked up by name.
//!
//! Both kinds of file become this; what is different about them ends with their parsing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use policy::identity::{User, UserName};

use super::hash::{Kind, StoredHash};

/// Every user of one file.
#[derive(Debug, Default)]
pub struct Accounts(HashMap<UserName, Account>);

/// One user of a file.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name, groups and what else the file says.
    pub user: Arc<User>,
    /// The password's hash; a user without one cannot log in with a password.
    pub hash: Option<Arc<StoredHash>>,
}

impl Accounts {
    /// Takes the users of a file.
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> Self {
        Self(accounts.into_iter().map(|account| (account.user.name.clone(), account)).collect())
    }

    /// The user of this very name.
    pub fn find(&self, name: &UserName) -> Option<&Account> {
        self.0.get(name)
    }

    /// Every user, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.0.values()
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn hashes(&self) -> impl Iterator<Item = &Arc<StoredHash>> {
        self.0.values().filter_map(|account| account.hash.as_ref())
    }
}

/// The hash to verify the passwords of unknown users against, always in vain: one of the kind that most
/// users have, so that an unknown name takes as long to refuse as a known one.
pub fn decoy<'a>(directories: impl Iterator<Item = &'a Accounts>) -> Option<Arc<StoredHash>> {
    let mut kinds: BTreeMap<Kind, (usize, &Arc<StoredHash>)> = BTreeMap::new();
    for hash in directories.flat_map(Accounts::hashes) {
        kinds.entry(hash.kind()).or_insert((0, hash)).0 += 1;
    }
    kinds.into_values().max_by_key(|(count, _)| *count).map(|(_, hash)| Arc::clone(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, hash: Option<&str>) -> Account {
        let name = UserName::parse(name).unwrap();
        let user = User { name, groups: Default::default(), info: Default::default() };
        Account { user: Arc::new(user), hash: hash.map(|text| Arc::new(StoredHash::parse(text).unwrap())) }
    }

    #[test]
    fn the_decoy_is_of_the_kind_most_users_have() {
        let sha = Some("{SHA}MXmmXv8lI7veU8mbKZtxnBCjUjU=");
        let bcrypt = Some("$2y$05$4cFMj0k2/QAcbrjw8Wbwfex.O0ibtNmbpnLyz60LyIk8Vur/erUIy");
        let first = Accounts::new([account("a", sha), account("b", None)]);
        let second = Accounts::new([account("c", bcrypt), account("d", bcrypt)]);
        assert_eq!(decoy([&first, &second].into_iter()).unwrap().kind(), Kind::Bcrypt { cost: 5 });
        assert!(decoy([&Accounts::default()].into_iter()).is_none());
    }
}
