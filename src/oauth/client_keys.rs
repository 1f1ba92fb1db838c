//! The keys that clients publish at an address of their own (`jwks_uri`; SMART App Launch 2.1.0, "Client Authentication:
//! Asymmetric").
//!
//! | situation | what is done |
//! |---|---|
//! | the set was fetched and is fresh, and the `kid` is in it | it is used |
//! | never fetched, or no longer fresh | fetched |
//! | fresh, but without the `kid` | fetched anew, at most once a minute; in between the assertion is refused |
//! | the fetch fails | what is still fresh is used on, else the client is refused; tried again after ten seconds |
//!
//! A fetch is a GET with `Accept: application/json` that follows no redirect, obeys `[registry]` ([`outbound::Guard`]) and
//! takes at most `registry.fetch_timeout` and 256 KiB. Requests of one process that need the same set wait for one fetch;
//! replicas share what was fetched and when. No database connection is held while a client's server is waited for.
//!
//! A set is fresh as long as its `Cache-Control` says: `max-age` less `Age`, a day at most, not at all with `no-store` or
//! `no-cache`. Decided: five minutes where it says nothing. Why a fetch failed is kept for `sofa client show` and logged;
//! whoever sent the assertion is told only that it failed, since the address may lie inside.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::headers::{CacheControl, HeaderMapExt};
use serde_json::Value;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::clock::Clock;
use crate::config;
use crate::outbound::{self, Guard};
use crate::smart::jwks;
use crate::store::{self, client_keys as kept_keys, client_keys::Kept};

/// How long a set is used whose answer does not say it.
const USUAL_LIFE: Duration = Duration::minutes(5);
/// How long a set is used at most.
const LONGEST_LIFE: Duration = Duration::days(1);
/// Between two fetches for a key that was not there.
const BETWEEN_FORCED: Duration = Duration::minutes(1);
/// After a fetch that failed.
const AFTER_FAILURE: Duration = Duration::seconds(10);

/// No keys to check with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the client's keys could not be fetched from its jwks_uri")]
    NotFetched,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Fetches and keeps clients' key sets. Cloning shares it.
#[derive(Clone)]
pub struct ClientKeys(Arc<Parts>);

struct Parts {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    http: outbound::Client,
    timeout: std::time::Duration,
    /// Numbers what happens in this process: requests as they come, fetches as they begin.
    moment: AtomicU64,
    /// One per address that is being looked at.
    turns: Mutex<HashMap<String, Arc<Turn>>>,
}

/// Whoever holds it may fetch; it holds what the one before came back with.
type Turn = tokio::sync::Mutex<Option<Fetched>>;

struct Fetched {
    began: u64,
    /// `None`: it failed.
    jwks: Option<Value>,
}

/// What is to be done for a `kid`.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Use,
    Fetch,
    /// Before its time, if nobody did lately.
    Force,
    Refuse,
}

impl ClientKeys {
    /// Fails where the system's certificates cannot be read.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, rules: &config::Registry) -> Result<Self, reqwest::Error> {
        let http = outbound::Client::new(Guard::new(rules))?;
        let (moment, turns) = (AtomicU64::new(0), Mutex::default());
        Ok(Self(Arc::new(Parts { pool, clock, http, timeout: rules.fetch_timeout, moment, turns })))
    }

    /// The key set of a registered address, fetched for `kid` where that is needed and allowed. It need not hold the `kid`.
    pub async fn of(&self, jwks_uri: &str, kid: &str) -> Result<Value, Error> {
        let asked = self.moment();
        let kept = self.find(jwks_uri).await?;
        if step(&kept, kid, self.0.clock.now()) == Step::Use {
            return kept.jwks.ok_or(Error::NotFetched);
        }
        let turn = self.turn(jwks_uri);
        let found = self.take_turn(&turn, jwks_uri, kid, asked).await;
        self.end_turn(jwks_uri, turn);
        found
    }

    async fn take_turn(&self, turn: &Turn, jwks_uri: &str, kid: &str, asked: u64) -> Result<Value, Error> {
        let mut last = turn.lock().await;
        // What somebody began to fetch after this request had come is as good as a fetch of its own.
        if let Some(fetched) = last.as_ref().filter(|fetched| fetched.began > asked) {
            return fetched.jwks.clone().ok_or(Error::NotFetched);
        }
        let kept = self.find(jwks_uri).await?;
        let now = self.0.clock.now();
        let may_fetch = match step(&kept, kid, now) {
            Step::Use => false,
            Step::Fetch => true,
            Step::Force => {
                let mut conn = self.0.pool.acquire().await?;
                kept_keys::force(&mut conn, jwks_uri, now, BETWEEN_FORCED).await?
            }
            Step::Refuse => return Err(Error::NotFetched),
        };
        if !may_fetch {
            return kept.jwks.ok_or(Error::NotFetched);
        }
        let began = self.moment();
        let fetched = self.fetch(jwks_uri).await;
        let mut conn = self.0.pool.acquire().await?;
        let jwks = match fetched {
            Ok((jwks, life)) => {
                kept_keys::keep(&mut conn, jwks_uri, &jwks, now, now + life).await?;
                Some(jwks)
            }
            Err(reason) => {
                // Its path and query may hold what is between the client and its server.
                let host = url::Url::parse(jwks_uri).ok().and_then(|url| url.host_str().map(str::to_owned));
                tracing::warn!(host, reason, "a client's keys could not be fetched");
                kept_keys::fail(&mut conn, jwks_uri, &reason, now).await?;
                kept.jwks.filter(|_| kept.fresh_until.is_some_and(|until| now < until))
            }
        };
        *last = Some(Fetched { began, jwks: jwks.clone() });
        jwks.ok_or(Error::NotFetched)
    }

    async fn find(&self, jwks_uri: &str) -> Result<Kept, Error> {
        let mut conn = self.0.pool.acquire().await?;
        Ok(kept_keys::find(&mut conn, jwks_uri).await?.unwrap_or_default())
    }

    /// The usable keys and how long they may be used, or why there are none.
    async fn fetch(&self, jwks_uri: &str) -> Result<(Value, Duration), String> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
        let answer = self.0.http.get(jwks_uri, headers, self.0.timeout).await.map_err(|failed| failed.to_string())?;
        if answer.status != reqwest::StatusCode::OK {
            return Err(format!("the answer was {}, not 200", answer.status.as_u16()));
        }
        let document = serde_json::from_slice(&answer.body)
            .map_err(|_| "the answer is not JSON, not whole, or larger than 256 KiB".to_owned())?;
        let jwks = jwks::usable(&document).map_err(|error| error.to_string())?;
        Ok((jwks, life(&answer.headers)))
    }

    fn moment(&self) -> u64 {
        self.0.moment.fetch_add(1, Ordering::Relaxed)
    }

    fn turn(&self, jwks_uri: &str) -> Arc<Turn> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(jwks_uri.to_owned()).or_default())
    }

    /// Forgets the address when nobody else waits for it. A request that was given up leaves its entry to the next.
    fn end_turn(&self, jwks_uri: &str, turn: Arc<Turn>) {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        if turns.get(jwks_uri).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(jwks_uri);
        }
    }
}

fn step(kept: &Kept, kid: &str, now: OffsetDateTime) -> Step {
    let fresh = kept.jwks.as_ref().filter(|_| kept.fresh_until.is_some_and(|until| now < until));
    let failed_lately = kept.failed_at.is_some_and(|at| now < at + AFTER_FAILURE);
    match fresh {
        Some(jwks) if failed_lately || jwks::has_kid(jwks, kid) => Step::Use,
        Some(_) => Step::Force,
        None if failed_lately => Step::Refuse,
        None => Step::Fetch,
    }
}

/// How long an answer with these headers may be used (RFC 9111 section 4.2), within our own bounds.
fn life(headers: &HeaderMap) -> Duration {
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    match headers.typed_try_get::<CacheControl>() {
        Ok(Some(control)) if control.no_store() || control.no_cache() => Duration::ZERO,
        Ok(Some(control)) => control.max_age().map_or(USUAL_LIFE, |max_age| {
            let left = max_age.saturating_sub(std::time::Duration::from_secs(age));
            Duration::try_from(left).map_or(LONGEST_LIFE, |left| left.min(LONGEST_LIFE))
        }),
        Ok(None) => USUAL_LIFE,
        // It says something; what, nobody knows.
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_set_is_used_no_longer_than_its_headers_say() {
        for (headers, seconds) in [
            (&[][..], 300),
            (&[("cache-control", "max-age=600")], 600),
            (&[("cache-control", "public, max-age=600")], 600),
            (&[("cache-control", "max-age=1")], 1),
            (&[("cache-control", "max-age=0")], 0),
            (&[("cache-control", "max-age=99999999")], 86_400),
            (&[("cache-control", "max-age=600"), ("age", "500")], 100),
            (&[("cache-control", "max-age=600"), ("age", "5000")], 0),
            (&[("cache-control", "no-store")], 0),
            (&[("cache-control", "no-cache, max-age=600")], 0),
            (&[("cache-control", "max-age=600, no-store")], 0),
            (&[("cache-control", "private")], 300),
        ] {
            let map = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(life(&map).whole_seconds(), seconds, "{headers:?}");
        }
    }

    #[test]
    fn what_is_done_depends_on_age_kid_and_the_last_failure() {
        let now = datetime!(2026-01-01 12:00 UTC);
        let kept = |fresh_for: i64, failed: Option<i64>| Kept {
            jwks: Some(json!({"keys": [{"kid": "a"}]})),
            fresh_until: Some(now + Duration::seconds(fresh_for)),
            failed_at: failed.map(|ago| now - Duration::seconds(ago)),
            ..Kept::default()
        };
        for (kept, kid, expected) in [
            (Kept::default(), "a", Step::Fetch),
            (kept(1, None), "a", Step::Use),
            (kept(1, None), "b", Step::Force),
            (kept(0, None), "a", Step::Fetch),
            (kept(-1, None), "b", Step::Fetch),
            (kept(1, Some(9)), "a", Step::Use),
            (kept(1, Some(9)), "b", Step::Use),
            (kept(1, Some(10)), "b", Step::Force),
            (kept(0, Some(9)), "a", Step::Refuse),
            (kept(0, Some(10)), "a", Step::Fetch),
            (Kept { failed_at: Some(now), ..Kept::default() }, "a", Step::Refuse),
        ] {
            assert_eq!(step(&kept, kid, now), expected, "{kept:?} {kid}");
        }
    }
}
