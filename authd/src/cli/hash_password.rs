//! `authd hash-password`: makes a hash for `users.yaml`.
//!
//! On a terminal the password is asked for twice and not shown; otherwise it is the first line of
//! standard input. It is never an argument: other users can see those.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use zeroize::Zeroizing;

use super::Failure;
use crate::credentials::Password;
use crate::identity::argon2id;

/// The password was not typed the same way twice.
#[derive(Debug, thiserror::Error)]
#[error("the two passwords differ")]
struct PasswordsDiffer;

/// Prints the hash of a password.
pub fn run() -> Result<(), Failure> {
    let text = if io::stdin().is_terminal() { prompt_twice()? } else { read_line()? };
    let password = Password::new(&text).map_err(Failure::other)?;
    let hash = argon2id::hash_new(password.expose()).map_err(Failure::other)?;
    writeln!(io::stdout(), "{hash}").map_err(Failure::other)
}

fn prompt_twice() -> Result<Zeroizing<String>, Failure> {
    let first = prompt("Password: ")?;
    let second = prompt("Once more: ")?;
    match first == second {
        true => Ok(first),
        false => Err(Failure::other(PasswordsDiffer)),
    }
}

fn prompt(question: &str) -> Result<Zeroizing<String>, Failure> {
    let _silent = SilentTerminal::enter().map_err(Failure::other)?;
    write!(io::stderr(), "{question}").map_err(Failure::other)?;
    let line = read_line();
    writeln!(io::stderr()).map_err(Failure::other)?;
    line
}

fn read_line() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(LINE_SPACE));
    io::stdin().lock().read_line(&mut line).map_err(Failure::other)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// The terminal does not show what is typed, until this is dropped.
struct SilentTerminal(Termios);

impl SilentTerminal {
    fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for SilentTerminal {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Room for the longest password, so that the text is not copied while it grows.
const LINE_SPACE: usize = 2048;
