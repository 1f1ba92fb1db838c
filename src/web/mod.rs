//! The axum pieces both surfaces share.

pub mod cors;
