//! What the tests share.

<<<<<<< HEAD
pub mod browser;
=======
pub mod answer;
pub mod app;
>>>>>>> 39a3f77 (tests: prove the contract over HTTP, situation by situation)
pub mod db;
pub mod form;
pub mod key;
pub mod poc;
pub mod process;
pub mod receiver;
pub mod server;
pub mod session;
pub mod world;
