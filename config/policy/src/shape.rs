//! The shape every document must have, whatever its type: keys are scalars and unique and have values, there are no tags,
//! and aliases do not multiply.
//!
//! YAML libraries keep the last of two equal keys without a word. In a policy that is a rule which silently replaces
//! another, so the whole document is walked once before it is read into its type.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How much text aliases may stand for, as a multiple of the document's own size.
const MAX_EXPANSION: usize = 10;

/// Walks the document once.
///
/// # Errors
/// With the position of the second of two equal keys, of a missing value, a tag, a key that is no scalar, or the alias too many.
pub(crate) fn check(text: &str) -> Result<(), serde_yaml::Error> {
    check_depth(text)?;
    let budget = Cell::new(text.len().saturating_mul(MAX_EXPANSION));
    Node { budget: &budget }.deserialize(serde_yaml::Deserializer::from_str(text))
}

/// How many brackets may be open at once; the parser takes quadratic time to find out that there are too many.
const MAX_DEPTH: usize = 256;

/// Counts brackets in text and comments too: nobody leaves hundreds of them open there.
fn check_depth(text: &str) -> Result<(), serde_yaml::Error> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(de::Error::custom("lists and maps are nested too deeply"));
        }
    }
    Ok(())
}

/// Any value of the document. The budget is the number of bytes of text still to be accepted.
#[derive(Clone, Copy)]
struct Node<'a> {
    budget: &'a Cell<usize>,
}

/// A key of a mapping, with those seen before it.
struct Key<'a> {
    node: Node<'a>,
    seen: &'a mut HashSet<String>,
}

impl Node<'_> {
    fn spend<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        // A value without text still costs one: a list of nothing but aliases to [] must end as well.
        match self.budget.get().checked_sub(bytes + 1) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(E::custom("aliases make the document more than ten times its size")),
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
        f.write_str("a plain value without a !tag")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.spend(text.len())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.spend(0)
    }

    /// A key whose value was cut off, or forgotten, looks like this.
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Err(E::custom("there is no value here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.spend(0)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.spend(0)?;
        let mut seen = HashSet::new();
        while entries.next_key_seed(Key { node: self, seen: &mut seen })?.is_some() {
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is plain text")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        self.node.spend(key.len())?;
        if self.seen.insert(key.to_owned()) {
            Ok(())
        } else {
            Err(E::custom(format_args!("duplicate key `{key}`")))
        }
    }
}
