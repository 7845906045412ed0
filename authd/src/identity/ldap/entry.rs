//! One entry of a search result, taken apart without trusting the server (RFC 4511, section 4.5.2).
//!
//! ldap3's own conversion panics on what it does not expect. Attribute names come in the server's spelling
//! and are compared without case. Values that are not UTF-8 are of no use here.

use ldap3::ResultEntry;
use ldap3::asn1::{PL, StructureTag};

/// An entry: its DN and the attributes that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dn: String,
    attributes: Vec<(String, Vec<String>)>,
}

impl Entry {
    /// `None` when it is not an entry at all.
    pub(super) fn parse(entry: ResultEntry) -> Option<Self> {
        let [dn, attributes] = children(entry.0)?.try_into().ok()?;
        let attributes = children(attributes)?.into_iter().map(attribute).collect::<Option<_>>()?;
        Some(Self { dn: text(dn)?, attributes })
    }

    /// The values of an attribute, none if it is not there.
    pub(super) fn values(&self, name: &str) -> &[String] {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values)
    }

    /// The first value of an attribute.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.values(name).first().map(String::as_str)
    }

    /// An attribute of which the server sent a part only, and the first place it left out; `None` for the
    /// place when this was the last part. `member;range=0-1499` (Active Directory).
    pub(super) fn range(&self, name: &str) -> Option<(&[String], Option<usize>)> {
        self.attributes.iter().find_map(|(known, values)| {
            let (attribute, range) = known.split_once(';')?;
            let last = range.get(..6).filter(|word| word.eq_ignore_ascii_case("range="))?;
            let (_, last) = range[last.len()..].split_once('-')?;
            let next = match last {
                "*" => None,
                last => Some(last.parse::<usize>().ok()?.checked_add(1)?),
            };
            attribute.eq_ignore_ascii_case(name).then_some((values.as_slice(), next))
        })
    }

    /// Whether any attribute is there in part only.
    pub(super) fn has_ranges(&self) -> bool {
        self.attributes.iter().any(|(name, _)| name.to_ascii_lowercase().contains(";range="))
    }

    #[cfg(test)]
    pub(super) fn new(dn: &str, attributes: &[(&str, &[&str])]) -> Self {
        let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        let attributes = attributes.iter().map(|&(name, values)| (name.to_owned(), owned(values))).collect();
        Self { dn: dn.to_owned(), attributes }
    }
}

fn attribute(tag: StructureTag) -> Option<(String, Vec<String>)> {
    let [name, values] = children(tag)?.try_into().ok()?;
    Some((text(name)?, children(values)?.into_iter().filter_map(text).collect()))
}

fn children(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(children) => Some(children),
        PL::P(_) => None,
    }
}

fn text(tag: StructureTag) -> Option<String> {
    match tag.payload {
        PL::P(bytes) => String::from_utf8(bytes).ok(),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use ldap3::asn1::{ASNTag, OctetString, Sequence, Tag};

    use super::*;

    fn octets(text: &[u8]) -> Tag {
        Tag::OctetString(OctetString { inner: text.to_vec(), ..Default::default() })
    }

    fn sequence(inner: Vec<Tag>) -> Tag {
        Tag::Sequence(Sequence { inner, ..Default::default() })
    }

    fn parse(tag: Tag) -> Option<Entry> {
        Entry::parse(ResultEntry::new(tag.into_structure()))
    }

    #[test]
    fn an_entry_is_read_and_names_are_compared_without_case() {
        let attribute = sequence(vec![octets(b"UID"), sequence(vec![octets(b"joe"), octets(b"\xff")])]);
        let entry = parse(sequence(vec![octets(b"uid=joe"), sequence(vec![attribute])])).unwrap();
        assert_eq!((entry.dn.as_str(), entry.first("uid")), ("uid=joe", Some("joe")));
        assert_eq!(entry.values("uid").len(), 1, "what is not text is of no use");
        assert_eq!(entry.first("cn"), None);
    }

    #[test]
    fn what_is_no_entry_is_none_and_never_a_panic() {
        for tag in [
            octets(b"x"),
            sequence(vec![]),
            sequence(vec![octets(b"dn")]),
            sequence(vec![octets(b"dn"), octets(b"x")]),
            sequence(vec![octets(b"\xff"), sequence(vec![])]),
            sequence(vec![octets(b"dn"), sequence(vec![octets(b"a")])]),
            sequence(vec![octets(b"dn"), sequence(vec![sequence(vec![octets(b"a"), octets(b"b")])])]),
        ] {
            assert_eq!(parse(tag), None);
        }
    }

    #[test]
    fn a_part_of_an_attribute_is_known_as_one() {
        let part = Entry::new("x", &[("memberOf;range=0-1499", &["a", "b"])]);
        assert_eq!(part.range("memberof").map(|(values, next)| (values.len(), next)), Some((2, Some(1500))));
        let last = Entry::new("x", &[("memberOf;Range=1500-*", &["c"])]);
        assert_eq!(last.range("memberOf").map(|(_, next)| next), Some(None));
        assert_eq!(last.range("member"), None);
        assert!(part.has_ranges() && last.has_ranges());
        assert!(!Entry::new("x", &[("cn;lang-en", &["c"])]).has_ranges());
    }
}
