//! SMART App Launch as data: scopes, launch values, PKCE, registration, discovery.
//!
//! Nothing here reads a clock, a database or a socket.

pub mod client;
pub mod discovery;
pub mod explain;
pub mod jwks;
pub mod launch;
pub mod pkce;
pub mod scope;
