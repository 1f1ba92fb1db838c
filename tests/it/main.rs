//! The integration tests: one binary, a file per capability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test fails like the test")]

mod accessible;
mod browser;
mod bundles;
mod callers;
mod capability;
mod clear_context;
mod cli;
mod clients;
mod comparisons;
#[expect(clippy::needless_pass_by_value, reason = "JSON written where it is used")]
mod conditional;
mod conditional_references;
mod crash;
mod delivery;
mod demo;
mod embedded;
mod everything;
mod examples;
mod fhir_crud;
mod fixtures;
mod histories;
mod http;
mod isolation;
mod isolation_property;
mod launch;
mod layers;
mod matching;
mod oauth;
mod pages;
mod patch;
mod plans;
mod polling;
mod profiles;
mod refusals;
mod registry;
mod reindex;
mod replicas;
mod rows;
#[expect(clippy::needless_pass_by_value, reason = "JSON written where it is used")]
mod search;
mod secrets;
mod server;
mod set_context;
mod smart_rows;
mod standalone;
mod statements;
mod subscription_engine;
mod subscriptions;
mod support;
mod unseen;
mod upstream;
mod validate;
mod validation;
mod wall;
mod xml;
