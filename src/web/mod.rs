//! The axum pieces both surfaces share.
