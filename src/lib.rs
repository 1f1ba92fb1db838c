//! `sofa`, a SMART on FHIR Accelerator.
//!
//! The module groups below are the architecture: **a module imports only modules of groups above its own**, never of its
//! own group or a later one. `tests/it/layers.rs` reads this file and every `crate::` path and fails on a violation.

// base: std and serde only
pub mod clock;
pub mod id;
pub mod secret;
pub mod telemetry;

// settings: what the operator decides
pub mod config;

// pure: R4 as data
pub mod fhir;

// pure: SMART as data
pub mod smart;

// store: the only SQL
pub mod store;

// services: calling out safely; signing and checking JWTs
pub mod outbound;
pub mod token;

// access: who the caller is and what is permitted
pub mod access;

// subscription: topics, notifications, channels
pub mod subscription;

// interaction: one FHIR interaction per file; the write path
pub mod interaction;

// context: $set-context, $clear-context, expiry
pub mod context;

// web: axum pieces both surfaces share
pub mod web;

// surfaces: none sees another
pub mod oauth;
pub mod rest;

// worker: named background loops
pub mod worker;

// app: builds everything once
pub mod app;

// hosts: listener and TLS; the embedded Postgres
pub mod embedded;
pub mod server;

// demo: the demonstration, a client of everything above
pub mod demo;

// cli: sub-commands
pub mod cli;
