//! Signing keys grow old: the worker asks now and then whether one has signed long enough (`keys.rotate_every`).

use super::OauthState;
use crate::token::key_set::Error;

/// Rotates the keys that are due; gives their number.
pub async fn rotate_old_keys(state: &OauthState) -> Result<usize, Error> {
    let every = state.engine.config.keys.rotate_every;
    if every.is_zero() { Ok(0) } else { state.keys.rotate_after(every).await }
}
