//! Signing and checking JWTs.
//!
//! Everything this server signs is signed with the keys of [`key_set`]; what clients sign to prove who they are is
//! checked by [`assertion`]. Times are judged against the caller's `now`, never against the operating system's clock.

pub mod access_token;
pub mod assertion;
pub mod id_token;
pub mod key_set;
pub mod logout_token;
pub mod one_time;
pub mod password;
pub mod upstream_logout;
