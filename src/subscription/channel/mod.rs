//! The channels a notification can take.

pub mod rest_hook;
