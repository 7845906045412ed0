//! Counts wrong logins, so that no more than a few guesses reach a directory. Pure: time is an argument.
//!
//! An attempt is admitted before its password is looked at and settled afterwards; in between it counts
//! as failed, or a hundred guesses sent at once would all be admitted. The same wrong login again is not a
//! new guess and takes no more room. A right login takes back only its own attempt: if it cleared
//! the user's other failures, whoever knows one password from a shared address could go on guessing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Stands for one login (user and password) without revealing it.
pub type Digest = [u8; 32];

/// What guesses are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A user name, known or not, as a digest: a fixed size, whatever was presented.
    User(Digest),
    /// A client, by its address.
    Client([u8; 8]),
}

/// How many failures each scope has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one user.
    pub per_user: usize,
    /// For one client.
    pub per_client: usize,
    /// For how long a failure counts.
    pub window: Duration,
}

/// An attempt that must not reach a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Whose limit is reached.
    pub scope: Scope,
    /// When the next attempt will be admitted.
    pub retry_after: Duration,
}

/// The failures of the last while.
#[derive(Debug, Default)]
pub struct Failures {
    scopes: HashMap<Scope, Vec<Attempt>>,
}

/// A login that failed, or whose outcome is not known yet.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    login: Digest,
    at: Instant,
}

// === impl Failures ===

impl Failures {
    /// Lets an attempt pass if every scope has room for it, and counts it as failed until it is settled.
    pub fn admit(
        &mut self,
        limits: &Limits,
        scopes: &[Scope],
        login: Digest,
        now: Instant,
    ) -> Result<(), Throttled> {
        for &scope in scopes {
            self.has_room(limits, scope, login, now)?;
        }
        self.make_space(limits.window, now);
        for &scope in scopes {
            let attempts = self.scopes.entry(scope).or_default();
            if !attempts.iter().any(|attempt| attempt.login == login) {
                attempts.push(Attempt { login, at: now });
            }
        }
        Ok(())
    }

    /// Takes back an attempt that turned out right, or whose outcome will never be known.
    pub fn forgive(&mut self, scopes: &[Scope], login: Digest) {
        for scope in scopes {
            let Some(attempts) = self.scopes.get_mut(scope) else { continue };
            attempts.retain(|attempt| attempt.login != login);
            if attempts.is_empty() {
                self.scopes.remove(scope);
            }
        }
    }

    fn has_room(
        &mut self,
        limits: &Limits,
        scope: Scope,
        login: Digest,
        now: Instant,
    ) -> Result<(), Throttled> {
        let Some(attempts) = self.scopes.get_mut(&scope) else { return Ok(()) };
        attempts.retain(|attempt| counts(attempt, limits.window, now));
        let known = attempts.iter().any(|attempt| attempt.login == login);
        if known || attempts.len() < limits.of(scope) {
            return Ok(());
        }
        // Attempts are in the order of their time; when this one stops to count there is room again.
        let next = attempts[attempts.len() - limits.of(scope)];
        let retry_after = limits.window.saturating_sub(now.saturating_duration_since(next.at));
        Err(Throttled { scope, retry_after })
    }

    /// Keeps the table bounded: what no longer counts goes first, then the half that was quiet longest.
    fn make_space(&mut self, window: Duration, now: Instant) {
        if self.scopes.len() < MAX_SCOPES {
            return;
        }
        self.scopes.retain(|_, attempts| attempts.iter().any(|attempt| counts(attempt, window, now)));
        if self.scopes.len() < MAX_SCOPES {
            return;
        }
        let mut latest: Vec<Instant> = self.scopes.values().filter_map(|attempts| last(attempts)).collect();
        let middle = latest.len() / 2;
        let (_, &mut median, _) = latest.select_nth_unstable(middle);
        self.scopes.retain(|_, attempts| last(attempts) > Some(median));
    }
}

fn counts(attempt: &Attempt, window: Duration, now: Instant) -> bool {
    now.saturating_duration_since(attempt.at) < window
}

fn last(attempts: &[Attempt]) -> Option<Instant> {
    attempts.last().map(|attempt| attempt.at)
}

impl Limits {
    fn of(&self, scope: Scope) -> usize {
        match scope {
            Scope::User(_) => self.per_user,
            Scope::Client(_) => self.per_client,
        }
    }
}

/// About 16 MiB with five failures each.
const MAX_SCOPES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_user: 3, per_client: 5, window: Duration::from_secs(60) };
    const JOE: Scope = Scope::User([1; 32]);
    const ANN: Scope = Scope::User([2; 32]);
    const HOST: Scope = Scope::Client([9; 8]);

    fn login(number: u64) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn only_so_many_different_guesses_pass_within_the_window() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        for number in 0..3 {
            assert_eq!(failures.admit(&LIMITS, &[JOE], login(number), after(start, number)), Ok(()));
        }
        let throttled = failures.admit(&LIMITS, &[JOE], login(3), after(start, 10)).unwrap_err();
        assert_eq!(throttled, Throttled { scope: JOE, retry_after: Duration::from_secs(50) });
        assert_eq!(
            failures.admit(&LIMITS, &[ANN], login(3), after(start, 10)),
            Ok(()),
            "others are not concerned"
        );
        assert_eq!(
            failures.admit(&LIMITS, &[JOE], login(3), after(start, 60)),
            Ok(()),
            "the first one is forgotten"
        );
    }

    #[test]
    fn the_same_wrong_password_again_is_no_new_guess() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        for second in 0..50 {
            assert_eq!(failures.admit(&LIMITS, &[JOE, HOST], login(7), after(start, second)), Ok(()));
        }
        assert_eq!(failures.admit(&LIMITS, &[JOE, HOST], login(8), after(start, 50)), Ok(()));
    }

    #[test]
    fn guesses_for_many_users_from_one_client_are_stopped_too() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..5 {
            let user = Scope::User(login(number));
            assert_eq!(failures.admit(&LIMITS, &[user, HOST], login(number), now), Ok(()));
        }
        let throttled = failures.admit(&LIMITS, &[JOE, HOST], login(5), now).unwrap_err();
        assert_eq!(throttled.scope, HOST);
        assert_eq!(
            failures.admit(&LIMITS, &[JOE], login(5), now),
            Ok(()),
            "the refused attempt cost joe nothing"
        );
    }

    #[test]
    fn a_right_login_takes_back_its_own_attempt_and_no_other() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..3 {
            failures.admit(&LIMITS, &[JOE], login(number), now).unwrap();
        }
        failures.forgive(&[JOE], login(2));
        assert_eq!(failures.admit(&LIMITS, &[JOE], login(3), now), Ok(()));
        assert!(failures.admit(&LIMITS, &[JOE], login(4), now).is_err());
    }

    #[test]
    fn an_attempt_still_under_way_counts() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let admitted = (0..100).filter(|&number| failures.admit(&LIMITS, &[JOE], login(number), now).is_ok());
        assert_eq!(admitted.count(), 3);
    }

    #[test]
    fn a_lowered_limit_holds_at_once() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        for number in 0..3 {
            failures.admit(&LIMITS, &[JOE], login(number), after(start, number)).unwrap();
        }
        let limits = Limits { per_user: 1, ..LIMITS };
        let throttled = failures.admit(&limits, &[JOE], login(3), after(start, 2)).unwrap_err();
        assert_eq!(throttled.retry_after, Duration::from_secs(60));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_failures_stay() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        for number in 0..MAX_SCOPES as u64 * 2 {
            let now = start + Duration::from_micros(number);
            failures.admit(&LIMITS, &[Scope::User(login(number))], login(number), now).unwrap();
            assert!(failures.scopes.len() <= MAX_SCOPES);
        }
        assert!(failures.scopes.contains_key(&Scope::User(login(MAX_SCOPES as u64 * 2 - 1))));
    }
}
