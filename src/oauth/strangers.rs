//! Refusals of people who are not signed in, which anybody can cause as often as they like.

use super::OauthState;
use crate::store::audit::Entry;

/// Notes one, or counts it with others of its kind ([`crate::access::audit`]).
pub async fn refused(state: &OauthState, entry: &Entry<'_>) {
    state.engine.recorder.refused_stranger(entry, state.now()).await;
}
