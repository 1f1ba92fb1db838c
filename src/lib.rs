//! `sofa`, a SMART on FHIR Accelerator: it lends a point-of-care system (PoC) that has neither, a FHIR server and an
//! authorization server, so that SMART apps can be launched from it. One process, one Postgres.
//!
//! # Layers
//!
//! The module groups below are the architecture: **a module imports only modules of groups above its own**, never of its
//! own group or a later one. `tests/it/layers.rs` reads this file and every `crate::` path and fails on a violation.
//!
//! | group | knows | must not know |
//! |---|---|---|
//! | base | std, serde | anything of ours |
//! | [`fhir`], [`smart`] | R4 and SMART as data | I/O, SQL, HTTP, users, the time |
//! | [`store`] | all SQL | HTTP, policy |
//! | [`outbound`], [`packages`], [`token`] | calling out safely; packages on disk; JWTs | FHIR interactions |
//! | [`access`] | who calls, what is permitted | axum, SQL text |
//! | [`subscription`] | topics, notifications, channels | REST, OAuth |
//! | [`interaction`], [`context`] | what happens to data | axum |
//! | [`rest`], [`oauth`] | HTTP | SQL text, each other |
//! | [`worker`], [`app`], hosts, [`cli`] | how it is put together | business rules |
//!
//! # What never happens
//!
//! - No interaction without a [`access::Permit`], and only [`access::authorize`] makes one.
//! - No version is stored but by `interaction::write`; no statement stands outside [`store`].
//! - No app hears of success, and no reader sees a change, before the PoC has acknowledged it.
//! - No database connection, transaction or row lock is held while a PoC is waited for.
//! - No answer leaves before the audit trail holds that it was given ([`access::audit`]).
//! - What a caller may not see is answered as what does not exist.
//! - No statement sees a resource but in a transaction that said for whom it acts ([`store::wall`]).
//! - No write goes on without a [`interaction::validate::Verdict`], and only `interaction::validate` makes one.
//! - No stored resource is rebuilt from a model: its source text is kept, so numbers keep their digits.
//! - `$set-context` and `/authorize` never meet: one stores a row, the other reads it, both through [`store::context`].
//!
//! # The walk of a write
//!
//! `rest::kind::create` takes the caller's leave ([`access::authorize`]) and parses the body ([`fhir::resource`]);
//! [`interaction::create`] has it judged ([`interaction::validate`]) and hands all to [`interaction::write`]. There the keys are taken, the change gets its final id
//! and version (`resolve`), and becomes a durable intent with its event numbers (`stage`: first commit). A task of its
//! own tells the PoC's Subscriptions (`deliver`, `send`, [`subscription::channel`]) and, on their acknowledgement,
//! stores the version, the search values and the audit row and removes the intent (`apply`: second commit). Only then
//! the app is answered. What a killed process leaves behind is finished by `recover`.
//!
//! # The walk of a launch
//!
//! `$set-context` ([`context::set`]) stores the resources and a context under the digest of a random launchID. The app
//! brings that to `oauth::authorize`, where the user signs in and must be the launch's owner (`oauth::approval`); the
//! code becomes tokens at `oauth::token`. Each access token is a JWT that belongs to a grant; every request asks
//! ([`access::Caller::identify`]) whether grant, client, user and context are still alive. `$clear-context`
//! ([`context::clear`]) ends them all in one transaction.

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

// services: calling out safely; reading packages; signing and checking JWTs
pub mod outbound;
pub mod packages;
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

// demo: the demonstration, a client of everything above; the load generator
pub mod demo;
pub mod load;

// cli: sub-commands
pub mod cli;
