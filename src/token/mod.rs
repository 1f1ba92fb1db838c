//! Signing and checking JWTs.
