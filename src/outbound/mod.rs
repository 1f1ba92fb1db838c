//! Calling other servers safely: which addresses may be called, and what is known after a call failed.
//!
//! Point-of-care systems and clients choose the URLs this server calls. So a call never follows a redirect, never uses a proxy of the
//! environment, never reaches an address inside the deployment unless the operator allows it, and never takes more time
//! or memory than its caller gave it.

pub mod client;
pub mod guard;
#[cfg(test)]
mod tests;

pub use client::{Answer, Client, Failed};
pub use guard::{Guard, Refused, Rules};
