//! Calling other servers safely.
