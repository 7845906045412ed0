//! The little of ASN.1's basic encoding (X.690) that a pretended LDAP server needs.

/// One element: its tag and what is in it.
#[derive(Clone, Debug)]
pub struct Element {
    /// The identifier octet.
    pub tag: u8,
    /// The contents.
    pub body: Vec<u8>,
}

/// Encodes an element.
pub fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match body.len() {
        short @ 0..=127 => bytes.push(short as u8),
        long => {
            bytes.push(0x84);
            bytes.extend_from_slice(&(long as u32).to_be_bytes());
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Encodes a text.
pub fn text(text: &str) -> Vec<u8> {
    element(0x04, text.as_bytes())
}

/// Encodes elements within another.
pub fn constructed(tag: u8, elements: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &elements.concat())
}

/// Takes the first element off, if it is complete.
pub fn take(bytes: &[u8]) -> Option<(Element, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=127 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, body: body.to_vec() }, rest))
}

impl Element {
    /// The elements within.
    pub fn children(&self) -> Vec<Self> {
        let (mut children, mut rest) = (Vec::new(), self.body.as_slice());
        while let Some((child, after)) = take(rest) {
            children.push(child);
            rest = after;
        }
        children
    }

    /// The contents as text.
    pub fn as_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
