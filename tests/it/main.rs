//! The integration tests: one binary, a file per capability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test fails like the test")]

mod browser;
mod bundles;
mod callers;
mod capability;
mod clear_context;
mod cli;
mod conditional;
mod crash;
mod delivery;
mod demo;
mod embedded;
mod examples;
mod fhir_crud;
mod fixtures;
mod histories;
mod http;
mod isolation;
mod isolation_property;
mod launch;
mod layers;
mod oauth;
mod profiles;
mod replicas;
mod rows;
mod search;
mod server;
mod set_context;
mod statements;
mod subscription_engine;
mod subscriptions;
mod support;
mod validate;
mod validation;
mod wall;
mod xml;
