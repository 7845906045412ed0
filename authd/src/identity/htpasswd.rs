//! Apache's htpasswd files (`user:hash`) and group files (`group: user user`), as mod_authn_file and
//! mod_authz_groupfile read them.
//!
//! A line whose hash or name cannot be used locks that user out and is reported, of many the
//! first; it never becomes a comparison with clear text. What makes the file itself doubtful (a duplicate user, a line that is no
//! entry) refuses the file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use policy::document::{DocumentError, Position, RULES_LIMIT};
use policy::identity::{GroupName, User, UserName};

use super::accounts::{Accounts, Builder};
use super::hash::StoredHash;

/// Which groups each user is in.
pub type Groups = HashMap<UserName, BTreeSet<GroupName>>;

/// What a file holds, and what in it an administrator should know.
#[derive(Debug)]
pub struct Read<T> {
    /// The content.
    pub content: T,
    /// Remarks, each with the file and line it is about.
    pub warnings: Vec<String>,
}

/// Reads the bytes of a password file, giving its users the groups of a groups file.
pub fn parse(name: &str, bytes: &[u8], mut groups: Groups) -> Result<Read<Accounts>, DocumentError> {
    let text = text(name, bytes)?;
    let mut seen = HashSet::new();
    let (mut locked_out, mut weak) = (Warnings::default(), Warnings::default());
    let mut accounts = Builder::default();
    for (number, line) in entries(text) {
        let (user, rest) =
            line.split_once(':').ok_or_else(|| error(name, number, "this line is not `user:hash`"))?;
        if !seen.insert(user) {
            return Err(error(name, number, &format!("duplicate user `{}`", user.escape_debug())));
        }
        let Ok(user) = UserName::parse(user) else {
            let user = user.escape_debug();
            locked_out.add(|| format!("{name}:{number}: `{user}` is not a user name: cannot log in"));
            continue;
        };
        // Apache and nginx ignore what follows a second colon.
        let hash = StoredHash::parse(rest.split(':').next().unwrap_or_default());
        match &hash {
            Err(error) => {
                locked_out.add(|| format!("{name}:{number}: user `{user}`: {error}; this user cannot log in"))
            }
            Ok(hash) if hash.is_weak() => {
                weak.add(|| format!("{name}:{number}: user `{user}`: the password hash is weak: {STRONGER}"));
            }
            Ok(_) => {}
        }
        let groups = groups.remove(&user).unwrap_or_default();
        let user = User { name: user, groups: groups.into(), info: Arc::default() };
        accounts.add(user, hash.ok().as_ref()).map_err(|full| error(name, number, &full.to_string()))?;
    }
    let warnings = locked_out.into_lines(name).chain(weak.into_lines(name)).collect();
    Ok(Read { content: accounts.build(), warnings })
}

/// Reads the bytes of a groups file. A group may have several lines.
pub fn parse_groups(name: &str, bytes: &[u8]) -> Result<Read<Groups>, DocumentError> {
    let text = text(name, bytes)?;
    let mut groups = Groups::new();
    let mut warnings = Warnings::default();
    for (number, line) in entries(text) {
        let (group, members) =
            line.split_once(':').ok_or_else(|| error(name, number, "this line is not `group: user user`"))?;
        let group =
            GroupName::parse(group.trim()).map_err(|invalid| error(name, number, &invalid.to_string()))?;
        for member in members.split_ascii_whitespace() {
            match UserName::parse(member) {
                Ok(user) => _ = groups.entry(user).or_default().insert(group.clone()),
                Err(_) => warnings
                    .add(|| format!("{name}:{number}: `{}` is not a user name", member.escape_debug())),
            }
        }
    }
    Ok(Read { content: groups, warnings: warnings.into_lines(name).collect() })
}

/// What is odd about lines of a file in one way: the first, and how many more. Nobody reads one for each of a million old hashes.
#[derive(Debug, Default)]
struct Warnings {
    first: Vec<String>,
    more: usize,
}

impl Warnings {
    fn add(&mut self, text: impl FnOnce() -> String) {
        if self.first.len() < TOLD { self.first.push(text()) } else { self.more += 1 }
    }

    fn into_lines(self, name: &str) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("{name}: and {} more lines like these", self.more));
        self.first.into_iter().chain(more)
    }
}

/// How many odd lines of a file are told one by one.
const TOLD: usize = 100;

const STRONGER: &str = "make a new one with `htpasswd -B`";

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, DocumentError> {
    if bytes.len() > RULES_LIMIT {
        return Err(DocumentError::new(
            name,
            "",
            None,
            format!("the file is larger than {RULES_LIMIT} bytes"),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        self::error(name, line, "this line is not UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The lines that say something, with their numbers; `lines` takes CRLF for an end too.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

/// The line itself is not shown: it may hold a hash.
fn error(name: &str, line: usize, message: &str) -> DocumentError {
    DocumentError::new(name, "", Some(Position { line, column: 1 }), message.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::argon2id::Scratch;

    const BCRYPT: &str = "$2y$05$4cFMj0k2/QAcbrjw8Wbwfex.O0ibtNmbpnLyz60LyIk8Vur/erUIy";
    const SHA: &str = "{SHA}MXmmXv8lI7veU8mbKZtxnBCjUjU=";

    fn read(text: &str) -> Read<Accounts> {
        parse("passwords", text.as_bytes(), Groups::new()).unwrap()
    }

    fn refusal(text: &str) -> String {
        parse("passwords", text.as_bytes(), Groups::new()).unwrap_err().to_string()
    }

    fn can_log_in(file: &Read<Accounts>, name: &str, password: &str) -> bool {
        let hash = file.content.find(name).and_then(|account| account.hash());
        hash.is_some_and(|hash| hash.parse().unwrap().verify(password.as_bytes(), &mut Scratch::default()))
    }

    #[test]
    fn comments_blank_lines_crlf_and_a_byte_order_mark_are_read_over() {
        let file = read(&format!("\u{feff}# our users\r\n\r\njoe:{BCRYPT}\r\nann:{SHA}:a comment\r\n"));
        assert!(can_log_in(&file, "joe", "correct"));
        assert!(can_log_in(&file, "ann", "correct"));
        assert_eq!(file.content.len(), 2);
    }

    #[test]
    fn a_hash_that_cannot_be_verified_locks_the_user_out_with_a_warning() {
        let costly = BCRYPT.replace("$05$", "$31$");
        for hash in ["plaintext", "", "wJaOLuewWZZPY", "$1$salt$0123456789012345678901", &costly] {
            let file = read(&format!("bob:{hash}\n"));
            assert!(!can_log_in(&file, "bob", hash), "{hash}");
            assert_eq!(file.warnings.len(), 1, "{hash}");
            assert!(file.warnings[0].ends_with("this user cannot log in"), "{}", file.warnings[0]);
        }
    }

    #[test]
    fn a_weak_hash_works_with_a_warning_that_names_the_line() {
        let file = read(&format!("# old\nann:{SHA}\n"));
        assert!(can_log_in(&file, "ann", "correct"));
        assert_eq!(
            file.warnings,
            ["passwords:2: user `ann`: the password hash is weak: make a new one with `htpasswd -B`"]
        );
    }

    #[test]
    fn of_many_odd_lines_the_first_are_told_and_how_many_more_and_who_is_locked_out_before_all() {
        let text: String = (0..150).map(|number| format!("user{number}:{SHA}\n")).collect();
        let file = read(&format!("{text}last:nonsense\n"));
        assert_eq!((file.content.len(), file.warnings.len()), (151, 1 + TOLD + 1));
        assert!(file.warnings[0].starts_with("passwords:151: user `last`: "));
        assert!(file.warnings[TOLD].starts_with("passwords:100: user `user99`: "));
        assert_eq!(file.warnings[TOLD + 1], "passwords: and 50 more lines like these");
    }

    #[test]
    fn a_duplicate_user_refuses_the_file_without_showing_a_hash() {
        let refusal = refusal(&format!("joe:{BCRYPT}\nann:{SHA}\njoe:{SHA}\n"));
        assert_eq!(refusal, "passwords:3:1: duplicate user `joe`");
    }

    #[test]
    fn a_line_without_a_colon_or_with_other_bytes_refuses_the_file() {
        assert_eq!(refusal("joe\n"), "passwords:1:1: this line is not `user:hash`");
        let bytes = parse("passwords", b"a:b\n\xff:x\n", Groups::new()).unwrap_err().to_string();
        assert_eq!(bytes, "passwords:2:1: this line is not UTF-8");
    }

    #[test]
    fn a_name_no_policy_could_hold_is_left_out_with_a_warning() {
        let file = read(&format!("joe smith:{BCRYPT}\nanonymous:{BCRYPT}\n"));
        assert_eq!((file.content.len(), file.warnings.len()), (0, 2));
    }

    #[test]
    fn groups_come_from_the_groups_file_and_add_up() {
        let groups =
            parse_groups("groups", b"# teams\nadmins: joe ann\r\ndev ops: joe\nadmins: eve\nempty:\n")
                .unwrap();
        let file =
            parse("passwords", format!("joe:{BCRYPT}\nbob:{BCRYPT}\n").as_bytes(), groups.content).unwrap();
        let of = |name: &str| file.content.find(name).unwrap().groups().clone();
        assert_eq!(of("joe").iter().map(GroupName::as_str).collect::<Vec<_>>(), ["admins", "dev ops"]);
        assert!(of("bob").is_empty());
    }

    #[test]
    fn a_broken_groups_file_is_refused_and_an_odd_member_reported() {
        assert!(parse_groups("groups", b"admins joe\n").unwrap_err().to_string().starts_with("groups:1:1: "));
        assert!(parse_groups("groups", b": joe\n").is_err());
        assert_eq!(
            parse_groups("groups", b"a: j/e\n").unwrap().warnings,
            ["groups:1: `j/e` is not a user name"]
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let _ = parse("f", &bytes, Groups::new());
            let _ = parse_groups("f", &bytes);
        }

        #[test]
        fn lines_like_real_ones_never_panic_and_never_let_clear_text_in(
            user in "[a-z]{1,8}", hash in "[$.{}A-Za-z0-9=]{0,40}"
        ) {
            if let Ok(file) = parse("f", format!("{user}:{hash}\n").as_bytes(), Groups::new()) {
                prop_assert!(!can_log_in(&file, &user, &hash));
            }
        }
    }
}
