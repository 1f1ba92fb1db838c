//! The axum pieces both surfaces share.

pub mod cors;
pub mod request_id;
