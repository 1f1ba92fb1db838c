//! Taking turns at checking passwords: each check costs 19 MiB and a core for tens of milliseconds, on purpose.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::secret::Secret;
use crate::token::password;

/// Checks at one time.
const AT_ONCE: usize = 2;
/// How long a person waits for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Too many people are signing in at this moment.
#[derive(Debug, thiserror::Error)]
#[error("too many sign-ins at this moment")]
pub struct Busy;

/// Checks passwords, a few at a time.
#[derive(Clone)]
pub struct Checker(Arc<Semaphore>);

impl Checker {
    /// A checker with all its turns free.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Whether `password` is the one behind `stored`; without a hash `false`, after as long a time.
    pub async fn is_right(&self, password: Secret<String>, stored: Option<String>) -> Result<bool, Busy> {
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        // A task of its own: a browser that hangs up must not free the turn while the check still runs.
        let check = tokio::spawn(async move {
            let _turn = turn;
            password::verify(password, stored).await
        });
        check.await.map_err(|_| Busy)
    }
}
