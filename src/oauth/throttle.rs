//! Slowing down whoever guesses passwords, without locking out the person whose account it is.
//!
//! Counted are failed sign-ins, by
//!
//! | subject | of browsers | free of delay |
//! |---|---|---|
//! | the account | that the account does not know | `oauth.login_attempts` |
//! | account and address | that the account does not know | `oauth.login_attempts` |
//! | the address | that the account does not know | ten times as many: a clinic shares one |
//! | account and browser | in which its person has signed in before | `oauth.login_attempts` |
//!
//! Each further one doubles the wait before the next, from a second up to `oauth.login_window`; as long as one waits,
//! nothing is tried and nothing counted, and every answer is the same, whether or not there is such an account. One failure
//! is forgotten in each `login_window` (each tenth of a tenth of it for an address). A success forgets those of its own
//! account; for the address it takes only itself back.
//!
//! So who tries an account all day from all over the world closes it for strange browsers, and the clinician's own, known
//! by a cookie, gets in.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::OauthState;
use super::visitor::Visitor;
use crate::id::token_digest;
use crate::store;
use crate::store::attempt::{Count, Kind, Subject};
use crate::web::peer;

/// An address may fail this many times as often as an account.
const ADDRESS_FACTOR: u32 = 10;
/// The first wait.
const FIRST_WAIT: Duration = Duration::SECOND;

/// How one kind of subject is slowed down.
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Failures without a wait.
    free: u32,
    /// In so much time one failure is forgotten.
    forget_one_in: Duration,
    longest_wait: Duration,
}

impl Rule {
    /// The count after one more failure, or how long nothing may be tried.
    fn one_more(&self, count: &Count, now: OffsetDateTime) -> Result<Count, Duration> {
        if now < count.open_at {
            return Err(count.open_at - now);
        }
        let steps = (now - count.forgotten_until).whole_milliseconds() / self.forget_one_in.whole_milliseconds().max(1);
        let steps = u32::try_from(steps.max(0)).unwrap_or(u32::MAX);
        let failures = count.failures.saturating_sub(steps) + 1;
        let forgotten_until =
            if count.failures <= steps { now } else { count.forgotten_until + self.forget_one_in * steps };
        // Without a wait it stays as open as it was: attempts at one moment, and machines whose clocks differ a little, do
        // not close it for each other.
        let wait = self.wait(failures);
        Ok(Count { failures, forgotten_until, open_at: if wait.is_zero() { count.open_at } else { now + wait } })
    }

    fn wait(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => (FIRST_WAIT * 2_i32.pow(beyond.min(20))).min(self.longest_wait),
        }
    }
}

/// An attempt that was let through, counted as failed until it succeeds.
pub struct Attempt {
    counted: Vec<(Subject, Count)>,
    /// Whether it comes from a browser in which the person has signed in before.
    pub is_known: bool,
}

/// Nothing may be tried.
pub struct Closed {
    /// For so long, in whole seconds.
    pub retry_after: u64,
}

/// Counts an attempt, for good, before the password is looked at: of many made at once no more than are free get through.
/// `user` is whose account it is, if there is such an account.
pub async fn begin(
    state: &OauthState,
    visitor: &Visitor,
    name: &str,
    user: Option<Uuid>,
) -> store::Result<Result<Attempt, Closed>> {
    let now = state.now();
    let mut tx = store::begin(&state.engine.pool).await?;
    let known = match (visitor.cookies.known_digest(), user) {
        (Some(browser), Some(user)) => {
            store::known_browser::is_known(tx.conn(), &browser, user, now).await?.then_some(browser)
        }
        _ => None,
    };
    let is_known = known.is_some();
    let subjects = subjects(visitor, name, known.as_deref());
    let counts = store::attempt::lock(&mut tx, &subjects, now).await?;
    let mut counted = Vec::with_capacity(subjects.len());
    let mut longest = Duration::ZERO;
    for (subject, count) in subjects.into_iter().zip(counts) {
        match rule(state, subject.kind).one_more(&count, now) {
            Ok(count) => counted.push((subject, count)),
            Err(wait) => longest = longest.max(wait),
        }
    }
    if longest.is_positive() {
        return Ok(Err(Closed { retry_after: whole_seconds(longest) }));
    }
    for (subject, count) in &counted {
        store::attempt::save(&mut tx, subject, count).await?;
    }
    tx.commit().await?;
    Ok(Ok(Attempt { counted, is_known }))
}

/// The attempt was a success.
pub async fn forgive(tx: &mut store::Tx, attempt: &Attempt) -> store::Result<()> {
    for (subject, count) in &attempt.counted {
        match subject.kind {
            Kind::Address => store::attempt::take_back(tx, subject, count.open_at).await?,
            Kind::Account | Kind::Pair | Kind::Browser => store::attempt::forget(tx, subject).await?,
        }
    }
    Ok(())
}

/// The attempt was none: the password could not be looked at.
pub async fn withdraw(state: &OauthState, attempt: &Attempt) -> store::Result<()> {
    let mut tx = store::begin(&state.engine.pool).await?;
    for (subject, count) in &attempt.counted {
        store::attempt::take_back(&mut tx, subject, count.open_at).await?;
    }
    tx.commit().await
}

fn subjects(visitor: &Visitor, name: &str, known: Option<&[u8]>) -> Vec<Subject> {
    let account = token_digest(&store::user::canonical_name(name));
    let address = token_digest(&peer::network(visitor.address).to_string());
    match known {
        Some(browser) => vec![Subject { kind: Kind::Browser, digest: both(&account, browser) }],
        None => vec![
            Subject { kind: Kind::Pair, digest: both(&account, &address) },
            Subject { kind: Kind::Account, digest: account },
            Subject { kind: Kind::Address, digest: address },
        ],
    }
}

fn both(left: &[u8], right: &[u8]) -> Vec<u8> {
    crate::id::digest(&[left, right].concat())
}

fn rule(state: &OauthState, kind: Kind) -> Rule {
    let config = &state.engine.config.oauth;
    let longest_wait = Duration::try_from(config.login_window).unwrap_or(Duration::MINUTE);
    let free = match kind {
        Kind::Address => config.login_attempts.saturating_mul(ADDRESS_FACTOR),
        Kind::Account | Kind::Pair | Kind::Browser => config.login_attempts,
    };
    let forget_one_in = match kind {
        Kind::Address => longest_wait / free.max(1),
        Kind::Account | Kind::Pair | Kind::Browser => longest_wait,
    };
    Rule { free, forget_one_in, longest_wait }
}

fn whole_seconds(wait: Duration) -> u64 {
    let whole = wait.whole_seconds().unsigned_abs();
    whole + u64::from(wait.subsec_nanoseconds() > 0)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const RULE: Rule = Rule { free: 3, forget_one_in: Duration::MINUTE, longest_wait: Duration::minutes(5) };
    const START: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

    fn nothing() -> Count {
        Count { failures: 0, forgotten_until: START, open_at: START }
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait_up_to_the_longest() {
        let (mut count, mut now, mut waits) = (nothing(), START, Vec::new());
        for _ in 0..14 {
            count = Rule { forget_one_in: Duration::days(1), ..RULE }.one_more(&count, now).unwrap();
            waits.push((count.open_at - now).whole_seconds());
            now = count.open_at;
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn nothing_is_counted_while_one_waits() {
        let mut count = nothing();
        for _ in 0..4 {
            count = RULE.one_more(&count, count.open_at).unwrap();
        }
        for _ in 0..100 {
            assert_eq!(RULE.one_more(&count, count.open_at - Duration::SECOND), Err(Duration::SECOND));
        }
        assert_eq!(RULE.one_more(&count, count.open_at).unwrap().failures, 5);
    }

    #[test]
    fn what_is_tried_at_one_moment_closes_nothing_for_each_other() {
        let never = Count { open_at: OffsetDateTime::UNIX_EPOCH, ..nothing() };
        let one = RULE.one_more(&never, START).unwrap();
        assert_eq!(RULE.one_more(&one, START - Duration::MILLISECOND).unwrap().failures, 2);
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let mut count = nothing();
        for _ in 0..3 {
            count = RULE.one_more(&count, count.open_at).unwrap();
        }
        let later = |seconds| RULE.one_more(&count, START + Duration::seconds(seconds)).unwrap();
        assert_eq!(later(59).failures, 4);
        assert_eq!(later(60).failures, 3);
        assert_eq!(later(60).forgotten_until, START + Duration::MINUTE);
        assert_eq!(later(119).forgotten_until, START + Duration::MINUTE, "the rest of a minute is not lost");
        assert_eq!(later(180).failures, 1);
        assert_eq!(later(86_400).forgotten_until, START + Duration::DAY);
    }

    #[test]
    fn a_clock_that_goes_back_forgets_nothing_and_fails_nothing() {
        let count = Count { failures: 2, forgotten_until: START + Duration::HOUR, open_at: START };
        assert_eq!(RULE.one_more(&count, START).unwrap().failures, 3);
    }
}
