//! What is compared of an answer.

use std::collections::BTreeMap;

/// What is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

const HEADERS: [&str; 6] =
    ["content-type", "cache-control", "expires", "pragma", "last-modified", "www-authenticate"];

impl Seen {
    /// Keeps a header that matters.
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if HEADERS.contains(&&*name) {
            // A year from now, for what never changes.
            let later = name == "expires" && !value.contains("1980");
            self.headers.insert(name, if later { "later".to_owned() } else { value.to_owned() });
        }
    }

    /// With neighbouring packets of a band joined: where git cuts them depends on its scheduling.
    pub(crate) fn joined(self) -> Self {
        let mut joined = Vec::new();
        let mut rest = &self.body[..];
        let mut in_band = None;
        while let Some((length, after)) = rest.split_at_checked(4) {
            let length =
                std::str::from_utf8(length).ok().and_then(|length| usize::from_str_radix(length, 16).ok());
            let Some((packet, after)) =
                length.and_then(|length| after.split_at_checked(length.saturating_sub(4)))
            else {
                break;
            };
            match packet.split_first() {
                Some((band @ 1..=3, data)) if in_band == Some(*band) => joined.extend_from_slice(data),
                Some((band @ 1..=3, data)) => joined.extend([format!("<{band}>").as_bytes(), data].concat()),
                _ => joined.extend_from_slice(&rest[..4 + packet.len()]),
            }
            in_band = packet.first().copied().filter(|band| (1..=3).contains(band));
            rest = after;
        }
        joined.extend_from_slice(rest);
        Self { body: joined, ..self }
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        harness::git::text(&self.body)
    }

    pub(crate) fn shown(&self) -> String {
        let body = self.body[..self.body.len().min(300)].escape_ascii();
        let headers: Vec<_> = self.headers.values().map(String::as_str).collect();
        format!("{} {} {body}", self.status, headers.join(" | "))
    }
}
