//! The users one file knows, ready to be looked up by name.
//!
//! Both kinds of file become this; what is different about them ends with their parsing. A million users are asked about by a
//! few hundred, so all of them lie close together: names and hashes one after the other in one text, groups once for all who
//! are in the same. Spread over the heap they take several times the memory, and every question finds it cold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use policy::identity::{GroupName, User, UserName};

use super::hash::{HashText, Kind, StoredHash};

/// Every user of one file.
#[derive(Default)]
pub struct Accounts {
    /// Of each user the name, and the hash after it.
    text: Box<str>,
    /// By their numbers.
    places: Box<[Place]>,
    /// The numbers, by name.
    index: HashTable<u32>,
    /// Random, because whoever asks chooses the name.
    hasher: RandomState,
    groups: Box<[Arc<BTreeSet<GroupName>>]>,
    infos: Box<[Arc<BTreeMap<String, String>>]>,
    /// How many users have a hash of each kind, and the number of one of them.
    kinds: BTreeMap<Kind, (usize, u32)>,
}

/// Where one user stands in the text, in bytes, and what they are in.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    /// Where the name ends, and the hash begins.
    middle: u32,
    /// An empty hash is none.
    end: u32,
    groups: u32,
    info: u32,
}

/// One user of a file.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// The name.
    pub name: &'a str,
    hash: &'a str,
    groups: &'a Arc<BTreeSet<GroupName>>,
    info: &'a Arc<BTreeMap<String, String>>,
}

/// More users than can be kept. What parses files stops long before, see [`policy::document::RULES_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more users than can be kept")]
pub struct TooMany;

/// Takes the users of a file, one after the other.
#[derive(Default)]
pub struct Builder {
    text: String,
    places: Vec<Place>,
    groups: Shared<BTreeSet<GroupName>>,
    infos: Shared<BTreeMap<String, String>>,
    kinds: BTreeMap<Kind, (usize, u32)>,
}

/// Values that many have, each once, by the order in which they came.
#[derive(Debug, Default)]
struct Shared<T>(BTreeMap<Arc<T>, u32>);

// === impl Builder ===

impl Builder {
    /// Takes one user. No two have one name: whoever parses a file sees to that.
    ///
    /// # Errors
    /// When there is no room.
    pub fn add(&mut self, user: User, hash: Option<&StoredHash>) -> Result<(), TooMany> {
        let number = number(self.places.len())?;
        let start = self.offset()?;
        self.text.push_str(user.name.as_str());
        let middle = self.offset()?;
        if let Some(hash) = hash {
            self.text.push_str(hash.as_str());
            self.kinds.entry(hash.kind()).or_insert((0, number)).0 += 1;
        }
        let end = self.offset()?;
        let (groups, info) = (self.groups.number(user.groups)?, self.infos.number(user.info)?);
        self.places.push(Place { start, middle, end, groups, info });
        Ok(())
    }

    /// All of them.
    #[must_use]
    pub fn build(self) -> Accounts {
        let mut accounts = Accounts {
            text: self.text.into(),
            places: self.places.into(),
            groups: self.groups.values(),
            infos: self.infos.values(),
            kinds: self.kinds,
            ..Accounts::default()
        };
        accounts.index = accounts.indexed();
        accounts
    }

    fn offset(&self) -> Result<u32, TooMany> {
        number(self.text.len())
    }
}

impl<T: Ord> Shared<T> {
    fn number(&mut self, value: Arc<T>) -> Result<u32, TooMany> {
        let next = number(self.0.len())?;
        Ok(*self.0.entry(value).or_insert(next))
    }

    fn values(self) -> Box<[Arc<T>]> {
        let mut values: Vec<_> = self.0.into_iter().collect();
        values.sort_by_key(|(_, number)| *number);
        values.into_iter().map(|(value, _)| value).collect()
    }
}

fn number(count: usize) -> Result<u32, TooMany> {
    u32::try_from(count).map_err(|_| TooMany)
}

// === impl Accounts ===

impl Accounts {
    /// The user of this very name. It need not be the name of anybody: what is none is not found.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Account<'_>> {
        let number = self.index.find(self.hasher.hash_one(name), |number| self.name(*number) == name)?;
        Some(self.account(*number))
    }

    /// Every user, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Account<'_>> {
        self.index.iter().map(|number| self.account(*number))
    }

    /// Every group that somebody is in, some of them several times.
    pub fn groups(&self) -> impl Iterator<Item = &GroupName> {
        self.groups.iter().flat_map(|groups| groups.iter())
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn indexed(&self) -> HashTable<u32> {
        let hash = |number: &u32| self.hasher.hash_one(self.name(*number));
        let mut index = HashTable::with_capacity(self.places.len());
        for number in (0..).take(self.places.len()) {
            index.insert_unique(hash(&number), number, hash);
        }
        index
    }

    fn name(&self, number: u32) -> &str {
        let place = self.places[number as usize];
        &self.text[place.start as usize..place.middle as usize]
    }

    fn account(&self, number: u32) -> Account<'_> {
        let place = self.places[number as usize];
        Account {
            name: self.name(number),
            hash: &self.text[place.middle as usize..place.end as usize],
            groups: &self.groups[place.groups as usize],
            info: &self.infos[place.info as usize],
        }
    }
}

/// No hash is shown.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accounts({})", self.len())
    }
}

// === impl Account ===

impl Account<'_> {
    /// The user as rules see them; there is always one, since names were parsed before they were taken.
    #[must_use]
    pub fn user(&self) -> Option<Arc<User>> {
        let name = UserName::parse(self.name).ok()?;
        Some(Arc::new(User { name, groups: Arc::clone(self.groups), info: Arc::clone(self.info) }))
    }

    /// The password's hash; a user without one cannot log in with a password.
    #[must_use]
    pub fn hash(&self) -> Option<HashText> {
        (!self.hash.is_empty()).then(|| HashText::new(self.hash))
    }

    /// Whether the other has the same hash, or as little one.
    #[must_use]
    pub fn has_hash_of(&self, other: &Account<'_>) -> bool {
        self.hash == other.hash
    }

    /// Every group the user is in.
    #[must_use]
    pub fn groups(&self) -> &BTreeSet<GroupName> {
        self.groups
    }

    /// What else the file says.
    #[must_use]
    pub fn info(&self) -> &BTreeMap<String, String> {
        self.info
    }
}

/// No hash is shown.
impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.name)
    }
}

/// The hash to verify the passwords of unknown users against, always in vain: one of the kind that most
/// users have, so that an unknown name takes as long to refuse as a known one.
pub fn decoy<'a>(directories: impl Iterator<Item = &'a Accounts>) -> Option<HashText> {
    let mut kinds: HashMap<Kind, (usize, Account<'_>)> = HashMap::new();
    for accounts in directories {
        for (kind, (count, number)) in &accounts.kinds {
            kinds.entry(*kind).or_insert_with(|| (0, accounts.account(*number))).0 += count;
        }
    }
    let (_, (_, account)) = kinds.into_iter().max_by_key(|(kind, (count, _))| (*count, *kind))?;
    account.hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "{SHA}MXmmXv8lI7veU8mbKZtxnBCjUjU=";
    const BCRYPT: &str = "$2y$05$4cFMj0k2/QAcbrjw8Wbwfex.O0ibtNmbpnLyz60LyIk8Vur/erUIy";

    fn accounts(users: &[(&str, Option<&str>, &[&str])]) -> Accounts {
        let mut builder = Builder::default();
        for (name, hash, groups) in users {
            let groups = groups.iter().map(|group| GroupName::parse(group).unwrap());
            let user = User::new(UserName::parse(name).unwrap(), groups);
            builder.add(user, hash.map(|text| StoredHash::parse(text).unwrap()).as_ref()).unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_decoy_is_of_the_kind_most_users_have() {
        let first = accounts(&[("a", Some(SHA), &[]), ("b", None, &[])]);
        let second = accounts(&[("c", Some(BCRYPT), &[]), ("d", Some(BCRYPT), &[])]);
        assert_eq!(decoy([&first, &second].into_iter()), Some(HashText::new(BCRYPT)));
        assert_eq!(decoy([&first].into_iter()), Some(HashText::new(SHA)));
        assert!(decoy([&Accounts::default()].into_iter()).is_none());
    }

    #[test]
    fn everybody_is_found_by_their_very_name_with_what_the_file_says_of_them() {
        let known =
            accounts(&[("ann", Some(SHA), &["dev", "ops"]), ("bob", None, &[]), ("an", None, &["dev"])]);
        let ann = known.find("ann").unwrap();
        assert_eq!((ann.name, ann.hash()), ("ann", Some(HashText::new(SHA))));
        let user = ann.user().unwrap();
        assert_eq!(user.name.as_str(), "ann");
        assert_eq!(user.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["dev", "ops"]);
        assert_eq!(known.find("bob").unwrap().hash(), None);
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
    fn groups_and_info_are_kept_once_for_all_who_have_the_same() {
        let mut builder = Builder::default();
        for name in ["a", "b", "c"] {
            let info = BTreeMap::from([("name".to_owned(), name.to_owned())]);
            let dev = GroupName::parse("dev").unwrap();
            let user = User { info: info.into(), ..User::new(UserName::parse(name).unwrap(), [dev]) };
            builder.add(user, None).unwrap();
        }
        let known = builder.build();
        assert_eq!((known.groups.len(), known.infos.len()), (1, 3));
        assert_eq!(known.find("b").unwrap().info()["name"], "b");
    }

    #[test]
    fn no_hash_is_shown() {
        let known = accounts(&[("ann", Some(SHA), &[])]);
        let ann = known.find("ann").unwrap();
        assert_eq!(format!("{known:?} {ann:?} {:?}", ann.hash()), "Accounts(1) Account(ann) Some(HashText)");
    }
}
