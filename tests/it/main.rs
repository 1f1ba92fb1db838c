//! The integration tests: one binary, a file per capability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test fails like the test")]

mod browser;
mod cli;
mod embedded;
mod layers;
mod server;
mod subscription_engine;
mod support;
