//! The time, passed in: nothing below `app` asks the operating system what time it is.

use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

/// A source of the current time, in UTC.
pub trait Clock: Send + Sync + 'static {
    /// Now, cut to milliseconds (what a FHIR `instant` shows here), so that a value survives the database and an answer unchanged.
    fn now(&self) -> OffsetDateTime;
}

/// A clock that everything holding time-dependent state shares.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
        cut(OffsetDateTime::now_utc())
    }
}

/// A clock that stands still until a test moves it.
pub struct ManualClock(Mutex<OffsetDateTime>);

impl ManualClock {
    /// A clock that stands at `at`.
    pub fn at(at: OffsetDateTime) -> Self {
        Self(Mutex::new(cut(at)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: std::time::Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(at)
}
