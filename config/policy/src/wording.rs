//! What serde and the YAML reader say about a mistake, in words for whoever made it, and what usually mends it.
//!
//! Their messages speak of structs, sequences and tokens. An administrator thinks in keys, lists and quotes, has another
//! window open with the documentation, and wants to be told what to write.

/// A message in our words.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// What is wrong, without the value that is.
    pub(crate) message: String,
    /// What follows the message: the value that is wrong.
    pub(crate) value: Option<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// Puts a message into our words; `rest` is the line from the fault on.
pub(crate) fn words(message: &str, rest: &str) -> Words {
    wrong_kind(message)
        .or_else(|| unknown(message))
        .or_else(|| missing(message))
        .or_else(|| syntax(message, rest))
        .unwrap_or_else(|| Words { message: message.to_owned(), value: None, hint: advice(message) })
}

/// `a.b: invalid type: string "joe", expected a sequence`
fn wrong_kind(message: &str) -> Option<Words> {
    let (path, rest) =
        ["invalid type: ", "invalid value: "].iter().find_map(|kind| message.split_once(kind))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = match expected {
        "a sequence" => "a list",
        "a map" => "keys and values",
        "a boolean" => "true or false",
        "a string" => "text",
        "path string" => "a path",
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number",
        _ if expected.starts_with("a nonzero ") => "a whole number from 1 on",
        _ if expected.starts_with("struct ") => "keys and values",
        _ => expected,
    };
    let hint = match expected {
        "a list" => "write a list: [one, two]",
        "keys and values" => "write keys and values: { key: value }",
        "true or false" => "write true or false, without quotes",
        "text" => "put quotes around it",
        _ => "",
    };
    let (kind, value) = match found.split_once([' ', '`']) {
        _ if found.starts_with("string ") => ("text", found.strip_prefix("string ")),
        _ if found == "sequence" => ("a list", None),
        _ if found == "map" => ("keys and values", None),
        _ if found == "unit value" => ("nothing", None),
        Some(("integer" | "floating", value)) => {
            ("the number", value.rsplit(' ').next().map(|value| value.trim_matches('`')))
        }
        Some(("boolean", value)) => ("the value", Some(value.trim_matches('`'))),
        _ => (found, None),
    };
    Some(Words {
        message: format!("{path}expected {expected}, found {kind}"),
        value: value.map(|value| format!(" {value}")),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    })
}

/// ``unknown field `x`, expected one of `a`, `b` ``
fn unknown(message: &str) -> Option<Words> {
    let (path, rest, kind) = [("unknown field `", "key"), ("unknown variant `", "value")]
        .iter()
        .find_map(|(said, kind)| message.split_once(said).map(|(path, rest)| (path, rest, *kind)))?;
    let (unknown, known) = rest.split_once('`')?;
    let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    let hint = nearest(unknown, &known).map(|key| format!("did you mean `{key}`?"));
    let known = match known.split_last() {
        None => "there are none here".to_owned(),
        Some((last, [])) => format!("known here is `{last}`"),
        Some((last, first)) => format!("known here are `{}` and `{last}`", first.join("`, `")),
    };
    Some(Words { message: format!("{path}unknown {kind} `{unknown}`, {known}"), value: None, hint })
}

/// The word most like an unknown one, or the only one that begins like it.
pub(crate) fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let folded = unknown.to_ascii_lowercase().replace('-', "_");
    let by_distance = known
        .iter()
        .map(|known| (strsim::osa_distance(&folded, &known.replace('-', "_")), *known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3).max(1))
        .min();
    let by_beginning = || known.iter().find(|known| folded.len() >= 3 && known.starts_with(&folded)).copied();
    by_distance.map(|(_, known)| known).or_else(by_beginning)
}

/// ``missing field `x` ``
fn missing(message: &str) -> Option<Words> {
    let (path, rest) = message.split_once("missing field `")?;
    let key = rest.strip_suffix('`')?;
    let hint = match key {
        "version" => "write `version: 1` as the first line".to_owned(),
        _ => format!("add `{key}: ...` here"),
    };
    Some(Words { message: format!("{path}the key `{key}` is missing"), value: None, hint: Some(hint) })
}

/// What the YAML reader itself could make nothing of.
fn syntax(message: &str, rest: &str) -> Option<Words> {
    let (said, hint) = if message.contains("cannot start any token") {
        return Some(cannot_start(rest));
    } else if message.contains("expected ',' or ']'") {
        ("the list before this has no end: expected `,` or `]`", "close the list with ]")
    } else if message.contains("expected ',' or '}'") {
        (
            "the keys and values before this have no end: expected `,` or `}`",
            "close them with }, or put a comma between two",
        )
    } else if message.contains("did not find expected key") {
        (
            "this is no `key: value` beside those above it",
            "is a `:` missing, or is the line indented differently from those above?",
        )
    } else if message.contains("did not find expected '-' indicator") {
        ("this is no item of the list above it", "items start with `- `, all at the same indentation")
    } else if message.contains("could not find expected ':'") {
        ("expected a `:` after the key", "write `key: value`")
    } else if message.contains("mapping values are not allowed") {
        ("a second `:` in a value without quotes", "put quotes around a value that holds `: `")
    } else if message.contains("unknown anchor") {
        return Some(Words {
            message: "nothing has this name".to_owned(),
            value: Some(format!(": `{}`", token(rest))),
            hint: Some("an anchor is written &name; a text that starts with * needs quotes".to_owned()),
        });
    } else if message.contains("more than one document") {
        ("a second document starts here", "take the second `---` out: a file is one document")
    } else {
        return None;
    };
    Some(Words { message: said.to_owned(), value: None, hint: Some(hint.to_owned()) })
}

fn cannot_start(rest: &str) -> Words {
    let words = |message: String, value, hint: &str| Words { message, value, hint: Some(hint.to_owned()) };
    match rest.chars().next() {
        Some('\t') => words("a tab, where YAML wants spaces".to_owned(), None, "indent with spaces"),
        Some(first) => {
            let value = Some(format!(": `{}`", token(rest)));
            words(
                format!("a value that starts with {first} needs quotes"),
                value,
                "write it with quotes: \"@name\"",
            )
        }
        None => words("a character that starts no value".to_owned(), None, "put quotes around the value"),
    }
}

/// The text up to what ends it in a list or a map.
fn token(rest: &str) -> &str {
    let end = rest.find([',', ']', '}', ' ', '#', ':', '"']).unwrap_or(rest.len());
    rest[..end].trim_end()
}

/// What usually mends an error of our own.
fn advice(message: &str) -> Option<String> {
    let advice = if message.contains("there is no value here") {
        "write the value, {} for an empty map, or [] for an empty list"
    } else if message.contains("duplicate key") {
        "the second would silently replace the first: put both into one"
    } else if message.contains("invalid type") || message.contains("too costly") {
        return None;
    } else if message.contains("this is no password hash") {
        "never write a password itself; `authd hash-password` asks for one and prints its hash"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_programs_own_types_is_left() {
        for (said, expected) in [
            ("a.b: invalid type: string \"x\", expected a sequence", "a.b: expected a list, found text"),
            ("invalid type: sequence, expected struct RawHooks", "expected keys and values, found a list"),
            ("l: invalid type: integer `-1`, expected usize", "l: expected a whole number, found the number"),
            (
                "invalid value: integer `0`, expected a nonzero u32",
                "expected a whole number from 1 on, found the number",
            ),
            ("invalid type: boolean `true`, expected a string", "expected text, found the value"),
            ("invalid type: floating point `1.5`, expected u64", "expected a whole number, found the number"),
            ("unknown field `x`, expected `a` or `b`", "unknown key `x`, known here are `a` and `b`"),
            ("unknown variant `x`, expected `a`", "unknown value `x`, known here is `a`"),
            ("unknown field `x`, there are no fields", "unknown key `x`, there are none here"),
            ("missing field `git`", "the key `git` is missing"),
        ] {
            assert_eq!(words(said, "").message, expected);
        }
        assert_eq!(
            words("invalid type: floating point `1.5`, expected u64", "").value.as_deref(),
            Some(" 1.5")
        );
        assert_eq!(words("invalid type: integer `-1`, expected usize", "").value.as_deref(), Some(" -1"));
    }

    #[test]
    fn the_nearest_word_is_found_by_likeness_and_by_its_beginning() {
        let known = ["read", "write", "per_repository", "http-backend"];
        assert_eq!(nearest("reed", &known), Some("read"));
        assert_eq!(nearest("Write", &known), Some("write"));
        assert_eq!(nearest("per_repo", &known), Some("per_repository"));
        assert_eq!(nearest("http_backend", &known), Some("http-backend"));
        assert_eq!(nearest("flow", &known), None);
    }
}
