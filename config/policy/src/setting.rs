//! `Setting`: a rule that a level sets, or switches off with the word `off`.
//!
//! An absent key says nothing and leaves the word to the level above; `off` ends the search.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A rule that a level sets, or switches off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// `off`
    Off,
    /// The rule.
    On(T),
}

impl<T> Setting<T> {
    /// The rule, unless it is switched off.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Setting<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::On(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor(PhantomData))
    }
}

struct SettingVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SettingVisitor<T> {
    type Value = Setting<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rule itself (flow: a list; protect and tags: keys and values), or `off`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Setting<T>, E> {
        if text == "off" {
            Ok(Setting::Off)
        } else {
            T::deserialize(text.into_deserializer()).map(Setting::On)
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Setting<T>, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(items)).map(Setting::On)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Setting<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Setting::On)
    }
}
