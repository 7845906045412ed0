//! The users one file knows, ready to be looked up by name.
//!
//! Both kinds of file become this; what is different about them ends with their parsing. A million users are asked about by a
//! few hundred, so all of them lie close together: names and hashes one after the other in one text, groups once for all who
//! have the same. Spread over the heap they would take ten times the memory, and every question would find it cold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use policy::identity::{GroupName, User, UserName};

use super::hash::{Kind, StoredHash};

/// Every user of one file.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Of each user the name, and the hash after it.
    text: Box<str>,
    /// By their numbers.
    places: Box<[Place]>,
    /// The numbers, by name.
    numbers: HashTable<u32>,
    /// Random, because whoever asks chooses the name.
    hasher: RandomState,
    profiles: Box<[Profile]>,
    /// How many users have a hash of each kind, and one of them.
    kinds: BTreeMap<Kind, (usize, u32)>,
}

/// Where one user stands in the text, in bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    /// Where the name ends, and the hash begins.
    middle: u32,
    /// An empty hash is none.
    end: u32,
    profile: u32,
}

/// What several users may have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Profile {
    groups: Arc<BTreeSet<GroupName>>,
    info: Arc<BTreeMap<String, String>>,
}

/// One user of a file.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The name.
    pub name: &'a str,
    /// The password's hash as it is written; a user without one cannot log in with a password.
    pub hash: Option<&'a str>,
    profile: &'a Profile,
}

/// More than a file of users can hold; see [`policy::document::RULES_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more users than can be kept")]
pub struct TooMany;

/// Takes the users of a file, one after the other.
#[derive(Debug, Default)]
pub struct Builder {
    text: String,
    places: Vec<Place>,
    profiles: BTreeMap<Profile, u32>,
    kinds: BTreeMap<Kind, (usize, u32)>,
}

impl Builder {
    /// Takes one user; of those with the same name the last counts.
    ///
    /// # Errors
    /// When there is no room.
    pub fn add(&mut self, user: User, hash: Option<&StoredHash>) -> Result<(), TooMany> {
        let number = offset(self.places.len())?;
        let start = offset(self.text.len())?;
        self.text.push_str(user.name.as_str());
        let middle = offset(self.text.len())?;
        if let Some(hash) = hash {
            self.text.push_str(hash.as_str());
            self.kinds.entry(hash.kind()).or_insert((0, number)).0 += 1;
        }
        let next = offset(self.profiles.len())?;
        let profile = Profile { groups: user.groups, info: user.info };
        let profile = *self.profiles.entry(profile).or_insert(next);
        self.places.push(Place { start, middle, end: offset(self.text.len())?, profile });
        Ok(())
    }

    /// All of them.
    #[must_use]
    pub fn build(self) -> Accounts {
        let mut profiles: Vec<_> = self.profiles.into_iter().collect();
        profiles.sort_by_key(|(_, number)| *number);
        let mut accounts = Accounts {
            text: self.text.into(),
            places: self.places.into(),
            numbers: HashTable::new(),
            hasher: RandomState::new(),
            profiles: profiles.into_iter().map(|(profile, _)| profile).collect(),
            kinds: self.kinds,
        };
        accounts.number();
        accounts
    }
}

fn offset(length: usize) -> Result<u32, TooMany> {
    u32::try_from(length).map_err(|_| TooMany)
}

impl Accounts {
    /// The user of this very name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Account<'_>> {
        let number = self.numbers.find(self.hasher.hash_one(name), |number| self.name(*number) == name)?;
        Some(self.account(*number))
    }

    /// Every user, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Account<'_>> {
        self.numbers.iter().map(|number| self.account(*number))
    }

    /// Every group that somebody is in.
    pub fn groups(&self) -> impl Iterator<Item = &GroupName> {
        self.profiles.iter().flat_map(|profile| profile.groups.iter())
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    fn number(&mut self) {
        let mut numbers = HashTable::with_capacity(self.places.len());
        for number in (0..).take(self.places.len()) {
            let name = self.name(number);
            let hash = self.hasher.hash_one(name);
            match numbers.find_mut(hash, |known| self.name(*known) == name) {
                Some(known) => *known = number,
                None => {
                    _ = numbers.insert_unique(hash, number, |other| self.hasher.hash_one(self.name(*other)))
                }
            }
        }
        self.numbers = numbers;
    }

    fn name(&self, number: u32) -> &str {
        let place = self.places[number as usize];
        &self.text[place.start as usize..place.middle as usize]
    }

    fn account(&self, number: u32) -> Account<'_> {
        let place = self.places[number as usize];
        let hash = &self.text[place.middle as usize..place.end as usize];
        let profile = &self.profiles[place.profile as usize];
        Account { name: self.name(number), hash: Some(hash).filter(|hash| !hash.is_empty()), profile }
    }
}

impl Account<'_> {
    /// The user as rules see them.
    #[must_use]
    pub fn user(&self) -> Option<Arc<User>> {
        let Profile { groups, info } = self.profile.clone();
        // Only what is a user name was taken.
        Some(Arc::new(User { name: UserName::parse(self.name).ok()?, groups, info }))
    }

    /// Every group the user is in.
    #[must_use]
    pub fn groups(&self) -> &BTreeSet<GroupName> {
        &self.profile.groups
    }

    /// What else the file says.
    #[must_use]
    pub fn info(&self) -> &BTreeMap<String, String> {
        &self.profile.info
    }
}

/// The hash to verify the passwords of unknown users against, always in vain: one of the kind that most
/// users have, so that an unknown name takes as long to refuse as a known one.
pub fn decoy<'a>(directories: impl Iterator<Item = &'a Accounts>) -> Option<Arc<str>> {
    let mut kinds: HashMap<Kind, (usize, &str)> = HashMap::new();
    for accounts in directories {
        for (kind, (count, number)) in &accounts.kinds {
            let hash = accounts.account(*number).hash.unwrap_or_default();
            kinds.entry(*kind).or_insert((0, hash)).0 += count;
        }
    }
    let most = kinds.into_iter().max_by_key(|(kind, (count, _))| (*count, *kind));
    most.map(|(_, (_, hash))| hash.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "{SHA}MXmmXv8lI7veU8mbKZtxnBCjUjU=";
    const BCRYPT: &str = "$2y$05$4cFMj0k2/QAcbrjw8Wbwfex.O0ibtNmbpnLyz60LyIk8Vur/erUIy";

    fn accounts(users: &[(&str, Option<&str>, &[&str])]) -> Accounts {
        let mut builder = Builder::default();
        for (name, hash, groups) in users {
            let groups = groups.iter().map(|group| GroupName::parse(group).unwrap()).collect::<BTreeSet<_>>();
            let name = UserName::parse(name).unwrap();
            let user = User { name, groups: groups.into(), info: Arc::default() };
            builder.add(user, hash.map(|text| StoredHash::parse(text).unwrap()).as_ref()).unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_decoy_is_of_the_kind_most_users_have() {
        let first = accounts(&[("a", Some(SHA), &[]), ("b", None, &[])]);
        let second = accounts(&[("c", Some(BCRYPT), &[]), ("d", Some(BCRYPT), &[])]);
        assert_eq!(decoy([&first, &second].into_iter()).as_deref(), Some(BCRYPT));
        assert_eq!(decoy([&first].into_iter()).as_deref(), Some(SHA));
        assert!(decoy([&Accounts::default()].into_iter()).is_none());
    }

    #[test]
    fn everybody_is_found_by_their_very_name_with_what_the_file_says_of_them() {
        let known =
            accounts(&[("ann", Some(SHA), &["dev", "ops"]), ("bob", None, &[]), ("an", None, &["dev"])]);
        let ann = known.find("ann").unwrap();
        assert_eq!((ann.name, ann.hash), ("ann", Some(SHA)));
        let user = ann.user().unwrap();
        assert_eq!(user.name.as_str(), "ann");
        assert_eq!(user.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["dev", "ops"]);
        assert_eq!(known.find("bob").unwrap().hash, None);
        assert_eq!(known.find("an").unwrap().groups().len(), 1);
        for stranger in ["", "a", "annn", "ANN", "nbob"] {
            assert!(known.find(stranger).is_none(), "{stranger}");
        }
        let mut names: Vec<_> = known.iter().map(|account| account.name).collect();
        names.sort_unstable();
        assert_eq!(names, ["an", "ann", "bob"]);
        assert_eq!(known.groups().map(GroupName::as_str).collect::<BTreeSet<_>>(), ["dev", "ops"].into());
    }

    #[test]
    fn of_two_with_one_name_the_last_counts() {
        let known = accounts(&[("ann", Some(SHA), &[]), ("ann", Some(BCRYPT), &[])]);
        assert_eq!((known.len(), known.find("ann").unwrap().hash), (1, Some(BCRYPT)));
    }
}
