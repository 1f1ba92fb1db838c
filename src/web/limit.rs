//! How often something may be done: so many times a minute for each key, all of them at once if need be.
//!
//! Each process counts for itself: behind a load balancer a limit is multiplied by the replicas. That is enough for what it
//! is for, to keep one sender from taking the others' share; guessing passwords is throttled in the database.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

/// After so many admissions, keys that have their whole allowance again are forgotten.
const FORGET_EVERY: u32 = 1024;

/// Too much; and when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests: try again in {retry_after} s")]
pub struct TooMany {
    /// Whole seconds, at least one.
    pub retry_after: u64,
}

type Keyed<K, C> = RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts by key.
pub struct Limiter<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: Option<Keyed<K, C>>,
    admitted: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// So many times a minute, and `burst` at once; 0 a minute is no limit.
    pub fn new(a_minute: u32, burst: u32) -> Self {
        Self::with_clock(a_minute, burst, DefaultClock::default())
    }

    /// So many times a minute, and as many at once; 0 is no limit.
    pub fn per_minute(most: u32) -> Self {
        Self::new(most, most)
    }
}

impl<K: Hash + Eq + Clone, C: Clock> Limiter<K, C> {
    fn with_clock(a_minute: u32, burst: u32, clock: C) -> Self {
        let every = Duration::from_mins(1).checked_div(a_minute);
        let quota = every.and_then(Quota::with_period).zip(NonZeroU32::new(burst));
        let quota = quota.map(|(quota, burst)| quota.allow_burst(burst));
        let limiter = quota.map(|quota| RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock));
        Self { limiter, admitted: AtomicU32::new(0) }
    }

    /// Counts one more, unless it is too many.
    pub fn admit(&self, key: &K) -> Result<(), TooMany> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        limiter.check_key(key).map(|_| ()).map_err(|not_until| {
            let wait = not_until.wait_time_from(limiter.clock().now());
            TooMany { retry_after: wait.as_secs() + 1 }
        })
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        self.limiter.as_ref().map_or(0, RateLimiter::len)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn who_did_too_much_is_told_when_to_come_again() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock(6, 3, clock.clone());
        for _ in 0..3 {
            assert_eq!(limiter.admit(&"a"), Ok(()));
        }
        assert_eq!(limiter.admit(&"a"), Err(TooMany { retry_after: 11 }));
        assert_eq!(limiter.admit(&"b"), Ok(()), "others are not touched");
        clock.advance(Duration::from_secs(9));
        assert_eq!(limiter.admit(&"a"), Err(TooMany { retry_after: 2 }));
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.admit(&"a"), Ok(()));
        assert!(limiter.admit(&"a").is_err());
    }

    #[test]
    fn nothing_is_counted_without_a_limit() {
        let limiter = Limiter::per_minute(0);
        assert!((0..10_000).all(|_| limiter.admit(&"a").is_ok()));
    }

    #[test]
    fn a_million_senders_are_not_kept_for_ever() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock(60, 60, clock.clone());
        for sender in 0..20_000_u32 {
            clock.advance(Duration::from_millis(10));
            assert!(limiter.admit(&sender).is_ok());
        }
        assert!(limiter.kept() < 2_000, "{}", limiter.kept());
    }
}
