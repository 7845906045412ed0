//! What a name in a `repo` line stands for: a repository, everything in a directory, or something no level can say.

use policy::level::LevelPath;

/// A name in a `repo` line.
pub(super) enum Target {
    Level(LevelPath),
    Pattern,
    NoName,
}

/// Whether rules written at a level hold at another.
pub(super) fn contains(above: &LevelPath, below: &LevelPath) -> bool {
    let (above, below) = (above.as_str(), below.as_str());
    above == "/" || above == below || (above.ends_with('/') && below.starts_with(above))
}

/// The level a name in a `repo` line stands for. gitolite takes for a pattern whatever has other bytes than names have.
pub(super) fn target(name: &str) -> Target {
    let is_name = |text: &str| {
        let byte = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'@' | b'/' | b'+')
        };
        text.bytes().all(byte) && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    };
    let level = |text: String| LevelPath::parse(&text).ok();
    if name == "@all" {
        return level("/".to_owned()).map_or(Target::NoName, Target::Level);
    }
    let whole = ["/.*", "/..*", "/.+", "/[a-zA-Z0-9].*", "/[A-Za-z0-9].*"]
        .iter()
        .find_map(|any| name.strip_suffix(any));
    match whole {
        Some("CREATOR") => level("{user}/".to_owned()).map_or(Target::Pattern, Target::Level),
        Some(directory) => {
            let (path, creator) =
                directory.strip_suffix("/CREATOR").map_or((directory, ""), |path| (path, "{user}/"));
            let path =
                level(format!("{path}/{creator}")).filter(|_| is_name(path) && !path.contains("CREATOR"));
            path.map_or(Target::Pattern, Target::Level)
        }
        None if is_name(name) => level(format!("{name}.git")).map_or(Target::NoName, Target::Level),
        None => Target::Pattern,
    }
}
