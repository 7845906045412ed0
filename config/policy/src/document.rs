//! Strict reading of one YAML document into a type, with errors a person can act on.
//!
//! Every configuration file goes through [`parse`]. It refuses what YAML readers usually forgive (duplicate keys, empty
//! files, tags, aliases that multiply) and what serde would forgive (unknown keys are refused by the types themselves).
//! Reading the file is the caller's job. Semantic errors belong into `Deserialize` impls: raised there, they get the
//! position of the value for free.

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Unexpected, Visitor};

use crate::shape;
use crate::wording::{self, Words};

pub use crate::locate::locate;

/// Size limit of `authd.yaml` and `backend-runner.yaml`, in bytes.
pub const CONFIG_LIMIT: usize = 1 << 20;

/// Size limit of the policy and of users files, in bytes.
pub const RULES_LIMIT: usize = 16 << 20;

/// Why a document cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// The name of the document, usually the file's path.
    pub name: String,
    /// Where the fault is, where it is in one place.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    excerpt: Option<Box<Excerpt>>,
}

/// What an error shows of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Excerpt {
    /// The line the position is on.
    line: Option<String>,
    /// What follows the message: the value that is wrong.
    value: Option<String>,
}

/// A place in a document; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// The mandatory `version: 1` of every document: a file that was cut to nothing cannot pass for a valid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

/// Reads `bytes` as one YAML document of type `T`; `name` and the position appear in errors.
///
/// # Errors
/// When the document is too large, empty, not YAML, has a duplicate or unknown key, or a value of the wrong kind.
pub fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8], limit: usize) -> Result<T, DocumentError> {
    let whole = |message: String, hint: &str| DocumentError {
        name: name.to_owned(),
        position: None,
        message,
        hint: Some(hint.to_owned()),
        excerpt: None,
    };
    if bytes.len() > limit {
        let message = format!("the file has {} bytes, more than the limit of {limit}", bytes.len());
        return Err(whole(message, "is this the right file?"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(name, bytes, error.valid_up_to()))?;
    if is_empty(text) {
        let hint = "a complete file starts with `version: 1`; was it cut off while being saved?";
        return Err(whole("the file is empty".to_owned(), hint));
    }
    shape::check(text)
        .and_then(|()| serde_yaml::from_str(text))
        .map_err(|error| DocumentError::from_yaml(name, text, &error))
}

/// Deserializes a text value with `from_text`, so that its error is raised where the value stands. Called after a
/// `String::deserialize`, the error would get the position of the list or map around it.
///
/// # Errors
/// When the value is no text, or `from_text` refuses it.
pub fn parsed<'de, D, T, E>(deserializer: D, from_text: fn(&str) -> Result<T, E>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    struct Text<T, E>(fn(&str) -> Result<T, E>);
    impl<T, E: fmt::Display> Visitor<'_> for Text<T, E> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<F: de::Error>(self, text: &str) -> Result<T, F> {
            self.0(text).map_err(F::custom)
        }
    }
    deserializer.deserialize_str(Text(from_text))
}

/// Nothing but blank lines and comments.
fn is_empty(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#'))
}

fn not_utf8(name: &str, bytes: &[u8], at: usize) -> DocumentError {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    DocumentError {
        name: name.to_owned(),
        position: Some(Position { line, column }),
        message: "this byte is not UTF-8".to_owned(),
        hint: Some("save the file as UTF-8".to_owned()),
        excerpt: None,
    }
}

impl DocumentError {
    /// An error about a value that is at `position`, or about the document as a whole.
    #[must_use]
    pub fn new(name: &str, text: &str, position: Option<Position>, message: String) -> Self {
        let line = position.and_then(|position| text.lines().nth(position.line - 1));
        let rest: String = match (line, position) {
            (Some(line), Some(position)) => line.chars().skip(position.column - 1).collect(),
            _ => String::new(),
        };
        let Words { message, value, hint } = wording::words(&message, &rest);
        // A password where there is no key for one is not shown either: errors end up in logs.
        let is_secret = line.is_some_and(|line| line.contains("password:"));
        let excerpt = Excerpt { line: line.map(str::to_owned), value };
        let excerpt = (!is_secret).then(|| Box::new(excerpt));
        Self { name: name.to_owned(), position, message, hint, excerpt }
    }

    /// The same without the line and the value that is wrong, for files that hold secrets.
    #[must_use]
    pub fn without_values(self) -> Self {
        Self { excerpt: None, ..self }
    }

    fn from_yaml(name: &str, text: &str, error: &serde_yaml::Error) -> Self {
        let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
        let mut message = error.to_string();
        if let Some(at) = message.rfind(" at line ") {
            message.truncate(at);
        }
        let position =
            position.or_else(|| second_document(text).filter(|_| message.contains("more than one document")));
        Self::new(name, text, position, message)
    }
}

/// The second line of dashes, or the first one after something else.
fn second_document(text: &str) -> Option<Position> {
    let mut lines =
        text.lines().enumerate().skip_while(|(_, line)| line.is_empty() || line.starts_with(['#', '-', '%']));
    lines.find(|(_, line)| line.starts_with("---")).map(|(index, _)| Position { line: index + 1, column: 1 })
}

impl fmt::Display for DocumentError {
    /// `file:line:column: message`, the line with a caret below the column, and the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        let excerpt = self.excerpt.as_deref();
        if let Some(value) = excerpt.and_then(|excerpt| excerpt.value.as_deref()) {
            f.write_str(value)?;
        }
        let line = excerpt.and_then(|excerpt| excerpt.line.as_deref());
        if let (Some(Position { line, column }), Some(text)) = (self.position, line) {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            let indent: String =
                text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n{gutter} |\n{number} | {text}\n{gutter} | {indent}^")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DocumentError {}

impl<'de> de::Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl Visitor<'_> for One {
            type Value = Version;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("1, the only version there is")
            }

            fn visit_u64<E: de::Error>(self, version: u64) -> Result<Version, E> {
                if version == 1 {
                    Ok(Version)
                } else {
                    Err(E::invalid_value(Unexpected::Unsigned(version), &self))
                }
            }
        }
        deserializer.deserialize_u64(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "version")]
        _version: Version,
        #[serde(default)]
        repos: BTreeMap<String, Grants>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Grants {
        read: Vec<String>,
        write: Vec<String>,
    }

    fn error(text: &str) -> DocumentError {
        parse::<Sample>("policy.yaml", text.as_bytes(), 4096).expect_err("must be refused")
    }

    fn place(text: &str) -> (usize, usize) {
        let position = error(text).position.expect("has a position");
        (position.line, position.column)
    }

    #[test]
    fn a_complete_document_is_read() {
        let sample: Sample =
            parse("f", b"version: 1\nrepos:\n  a: { read: [joe], write: [] }\n", 4096).unwrap();
        assert_eq!(sample.repos["a"].read, ["joe"]);
        assert!(sample.repos["a"].write.is_empty());
    }

    #[test]
    fn an_unknown_key_is_shown_in_its_line_with_the_nearest_known_one() {
        assert_eq!(
            error("version: 1\nrepos:\n  a: { reed: [joe] }\n").to_string(),
            "policy.yaml:3:8: repos.a: unknown key `reed`, known here are `read` and `write`\n  |\n\
             3 |   a: { reed: [joe] }\n  |        ^\n  hint: did you mean `read`?"
        );
    }

    #[test]
    fn a_duplicate_key_is_refused_at_every_level_where_it_is_repeated() {
        assert_eq!(place("version: 1\nversion: 1\n"), (2, 1));
        assert_eq!(place("version: 1\nrepos:\n  a: {}\n  b: {}\n  a: {}\n"), (5, 3));
        assert_eq!(place("version: 1\nrepos:\n  a: { read: [x], read: [y] }\n"), (3, 19));
        assert!(error("version: 1\nversion: 1\n").message.contains("duplicate key `version`"));
    }

    #[test]
    fn an_empty_file_is_not_an_empty_configuration() {
        for text in ["", "\n\n", "# only a comment\n", "\u{feff}", "---\n", "{}", "null", "~"] {
            error(text);
        }
        assert!(error("# c\n").message.contains("empty"));
    }

    #[test]
    fn the_version_must_be_there_and_be_1() {
        assert_eq!(error("repos: {}\n").hint.as_deref(), Some("write `version: 1` as the first line"));
        assert_eq!(place("version: 2\n"), (1, 10));
        for version in ["'1'", "1.0", "true", "-1", "[1]", ""] {
            error(&format!("version: {version}\n"));
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_says_what_was_expected() {
        let wrong = error("version: 1\nrepos:\n  a: { read: joe }\n");
        assert_eq!(wrong.position, Some(Position { line: 3, column: 14 }));
        assert_eq!(wrong.hint.as_deref(), Some("write a list: [one, two]"));
        error("version: 1\nrepos:\n  a:\n");
        error("version: 1\nrepos:\n  a: { read: null }\n");
    }

    #[test]
    fn an_unquoted_at_sign_gets_a_hint_about_quotes() {
        assert!(error("version: 1\nrepos:\n  a: { read: [@staff] }\n").hint.unwrap().contains("quotes"));
    }

    #[test]
    fn a_line_with_a_password_in_it_is_not_shown() {
        let shown = error("version: 1\nbind_password: @hunter2\n").to_string();
        assert!(shown.starts_with("policy.yaml:2:16: ") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_file_over_its_limit_is_refused_unread() {
        let large = "#".repeat(5000);
        assert!(error(&large).message.contains("5000 bytes"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_located() {
        let error = parse::<Sample>("f", b"version: 1\n# \xff\n", 4096).unwrap_err();
        assert_eq!(error.position, Some(Position { line: 2, column: 3 }));
    }

    #[test]
    fn aliases_may_save_typing_but_not_multiply() {
        let saved = "version: 1\nrepos:\n  a: { read: &staff [joe, ann] }\n  b: { read: *staff }\n";
        assert_eq!(parse::<Sample>("f", saved.as_bytes(), 4096).unwrap().repos["b"].read.len(), 2);

        let bomb = format!(
            "version: 1\nrepos: {{ a: {{ read: [&x {}{}] }} }}\n",
            "y".repeat(2000),
            ", *x".repeat(300)
        );
        assert!(error(&bomb).message.contains("aliases"));
        let nested = "version: 1\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
             c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n";
        error(nested);
    }

    #[test]
    fn tags_second_documents_tabs_and_deep_nesting_are_refused() {
        error("version: 1\nrepos: { a: { read: [!x joe] } }\n");
        error("version: 1\n---\nversion: 1\n");
        error("version: 1\nrepos:\n\ta: {}\n");
        assert!(error(&format!("version: 1\nrepos: {}\n", "[".repeat(3000))).message.contains("nested"));
    }
}
