//! Apache's syntax: directives, one a line, and sections, which nest.
//!
//! Backslashes continue lines, `#` starts a comment line, names have no case, arguments may be quoted.

/// A section, or the whole file.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// In lower case; empty for the file.
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) place: String,
    pub(super) lines: Vec<Line>,
    pub(super) blocks: Vec<Self>,
}

/// One directive.
#[derive(Debug)]
pub(super) struct Line {
    /// In lower case.
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) place: String,
}

/// Reads a file; `name` is for places and errors.
pub(super) fn parse(name: &str, text: &str) -> Result<Block, String> {
    let mut open = vec![Block::default()];
    for (number, line) in logical_lines(text) {
        let place = format!("{name}:{number}");
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let close = || format!("{place}: this closes a section that is not open");
        if let Some(closed) = line.strip_prefix("</") {
            let block = open
                .pop()
                .filter(|block| closed.trim_end_matches('>').trim().eq_ignore_ascii_case(&block.name));
            open.last_mut().ok_or_else(close)?.blocks.push(block.ok_or_else(close)?);
        } else if let Some(opened) = line.strip_prefix('<') {
            let opened =
                opened.strip_suffix('>').ok_or_else(|| format!("{place}: this section has no `>`"))?;
            let (name, arguments) = split(opened);
            open.push(Block { name, arguments, place, ..Block::default() });
        } else {
            let (name, arguments) = split(line);
            open.last_mut().ok_or_else(close)?.lines.push(Line { name, arguments, place });
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(file), true) => Ok(file),
        (Some(block), false) => Err(format!("{}: this section is not closed", block.place)),
        (None, _) => Err(format!("{name}: a section is closed that is not open")),
    }
}

/// Lines with their numbers, joined where they end in a backslash.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match lines.last_mut().filter(|_| continues) {
            Some((_, joined)) => joined.push_str(part),
            None => lines.push((index + 1, part.to_owned())),
        }
        continues = more;
    }
    lines
}

fn split(line: &str) -> (String, String) {
    let line = line.trim();
    let (name, arguments) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (name.to_ascii_lowercase(), arguments.trim().to_owned())
}

impl Block {
    /// Every directive in the file, at any depth, in its order within each section.
    pub(super) fn lines(&self) -> Vec<&Line> {
        let inner = self.blocks.iter().flat_map(Self::lines);
        self.lines.iter().chain(inner).collect()
    }

    /// Whether something in it says who may.
    pub(super) fn requires(&self) -> bool {
        self.lines().iter().any(|line| line.name == "require")
    }
}

impl Line {
    pub(super) fn words(&self) -> Vec<String> {
        words(&self.arguments)
    }
}

/// Arguments, without the quotes around them.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => rest[1..].split_once(first).unwrap_or_else(|| (&rest[1..], "")),
            _ => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}
