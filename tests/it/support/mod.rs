//! What the tests share.

pub mod answer;
pub mod app;
pub mod browser;
pub mod conformance;
pub mod db;
pub mod engine;
pub mod form;
pub mod key;
pub mod key_server;
pub mod planted;
pub mod poc;
pub mod process;
pub mod provider;
pub mod receiver;
pub mod rows;
pub mod server;
pub mod session;
pub mod world;
