//! Where something stands in a YAML document, for messages about values that serde has long forgotten the places of.
//!
//! YAML readers give positions away with errors only. So the document is walked to the wanted place, and an error is raised
//! there on purpose. One walk costs about as much as reading the document; nobody asks for more than a handful of places.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::document::Position;

/// The place of what `path` leads to: each component is the key of a map, the text of an item of a list, or its index from
/// 0 as `[0]`. The place of an entry of a map is that of its key.
#[must_use]
pub fn locate(text: &str, path: &[&str]) -> Option<Position> {
    let walk = Node { path, item: false }.deserialize(serde_yaml::Deserializer::from_str(text));
    let error = walk.err().filter(|error| error.to_string().contains(FOUND))?;
    error.location().map(|at| Position { line: at.line(), column: at.column() })
}

/// Tells the error raised on purpose from errors of the document.
const FOUND: &str = "\u{1}found\u{1}";

/// Any value on the way to the place.
#[derive(Clone, Copy)]
struct Node<'p> {
    /// What is left of the way.
    path: &'p [&'p str],
    /// The value is an item of a list, which its text may stand for.
    item: bool,
}

impl Node<'_> {
    fn scalar<E: de::Error>(self, text: &str) -> Result<(), E> {
        match self.path {
            [] => Err(E::custom(FOUND)),
            [wanted] if self.item && *wanted == text => Err(E::custom(FOUND)),
            _ => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.scalar(text)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar("")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(de::Error::custom(FOUND)) };
        for index in 0.. {
            let node = match *wanted == format!("[{index}]") {
                true => Node { path: rest, item: false },
                false => Node { path: self.path, item: true },
            };
            if items.next_element_seed(node)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(de::Error::custom(FOUND)) };
        let key = Key { wanted: (!self.item).then_some(wanted), last: rest.is_empty() };
        while let Some(matches) = entries.next_key_seed(key)? {
            match matches {
                true => entries.next_value_seed(Node { path: rest, item: false })?,
                false => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A key of a map, compared with the wanted one.
#[derive(Clone, Copy)]
struct Key<'p> {
    /// Nothing in a map that is an item itself: such items are found by index only.
    wanted: Option<&'p str>,
    /// The way ends here.
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is plain text")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        match self.wanted == Some(key) {
            true if self.last => Err(E::custom(FOUND)),
            matches => Ok(matches),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
version: 1
access:
  \"/\": { read: [\"@staff\", joe] }
  team/:
    write:
      - joe
      - &more ann
    read: [*more, 7, joe]
list:
  - { type: users, file: u }
  - type: ldap
    urls: [a, b]
";

    fn place(path: &[&str]) -> Option<(usize, usize)> {
        locate(TEXT, path).map(|position| (position.line, position.column))
    }

    #[test]
    fn keys_are_found_at_every_depth() {
        assert_eq!(place(&["version"]), Some((2, 1)));
        assert_eq!(place(&["access", "/"]), Some((4, 3)));
        assert_eq!(place(&["access", "team/", "write"]), Some((6, 5)));
    }

    #[test]
    fn an_item_is_found_by_its_text_in_its_own_list_only() {
        assert_eq!(place(&["access", "/", "read", "joe"]), Some((4, 27)));
        assert_eq!(place(&["access", "team/", "write", "joe"]), Some((7, 9)));
        assert_eq!(place(&["access", "team/", "read", "joe"]), Some((9, 22)));
        assert_eq!(place(&["access", "team/", "read", "7"]), Some((9, 19)));
    }

    #[test]
    fn an_item_is_found_by_its_index_and_so_is_what_is_in_it() {
        assert_eq!(place(&["list", "[1]"]), Some((12, 5)));
        assert_eq!(place(&["list", "[1]", "type"]), Some((12, 5)));
        assert_eq!(place(&["list", "[1]", "urls", "b"]), Some((13, 15)));
        assert_eq!(place(&["access", "/", "read", "[0]"]), Some((4, 17)));
        assert_eq!(place(&["list", "[0]", "file"]), Some((11, 20)));
    }

    #[test]
    fn what_is_not_there_has_no_place() {
        for path in [
            &["acces"][..],
            &["list", "type"],
            &["list", "[2]"],
            &["access", "/", "write"],
            &["version", "1"],
        ] {
            assert_eq!(place(path), None, "{path:?}");
        }
        assert_eq!(locate("a: [", &["b"]), None);
        assert_eq!(locate("", &["a"]), None);
    }
}
