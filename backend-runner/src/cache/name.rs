//! The names of kept answers. Everything that is known of one stands in its name, so a directory is its own index.
//!
//! `KEY.TAG.CREATED.SIZE.SUM.answer` for a complete one, `KEY.TAG.NUMBER.part` for one in the making. KEY is the digest of the
//! question, TAG that of the repository's path: neither tells what it stands for, and purging needs no more than the tag.

use super::digest::Digest;

/// The name of a complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The question.
    pub key: Digest,
    /// The repository.
    pub tag: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of the content.
    pub sum: u32,
}

/// What a file in the directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A complete answer.
    Answer(Name),
    /// One in the making, of the repository with this tag.
    Part(String),
}

impl Name {
    /// As a file's name.
    #[must_use]
    pub fn file(&self) -> String {
        let Self { key, tag, created, size, sum } = self;
        format!("{}.{tag}.{created:x}.{size:x}.{sum:08x}.answer", hex(key))
    }
}

/// The name of an answer in the making.
#[must_use]
pub fn part(key: &Digest, tag: &str, number: u64) -> String {
    format!("{}.{tag}.{number:x}.part", hex(key))
}

/// Reads a file's name; `None` for whatever is not ours.
#[must_use]
pub fn parse(file: &str) -> Option<Kind> {
    let fields: Vec<_> = file.split('.').collect();
    match fields[..] {
        [key, tag, created, size, sum, "answer"] => Some(Kind::Answer(Name {
            key: unhex(key)?,
            tag: is_tag(tag).then(|| tag.to_owned())?,
            created: u64::from_str_radix(created, 16).ok()?,
            size: u64::from_str_radix(size, 16).ok()?,
            sum: u32::from_str_radix(sum, 16).ok()?,
        })),
        [key, tag, number, "part"] => {
            unhex(key)?;
            u64::from_str_radix(number, 16).ok()?;
            is_tag(tag).then(|| Kind::Part(tag.to_owned()))
        }
        _ => None,
    }
}

fn is_tag(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hex(key: &Digest) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Digest> {
    let mut key = Digest::default();
    if text.len() != 2 * key.len() || !text.is_ascii() {
        return None;
    }
    for (number, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * number..2 * number + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_everything_and_other_files_are_not_ours() {
        let name =
            Name { key: [0xab; 32], tag: "0123456789abcdef".into(), created: 77, size: 1 << 40, sum: 9 };
        assert_eq!(parse(&name.file()), Some(Kind::Answer(name.clone())));
        assert_eq!(parse(&part(&name.key, &name.tag, 3)), Some(Kind::Part(name.tag.clone())));
        for other in
            ["lock", "x.answer", "README.part", &name.file()[1..], &name.file().replace("answer", "gz")]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
