//! The axum pieces both surfaces share.

pub mod cors;
pub mod limit;
pub mod peer;
pub mod request_id;
pub mod security;
