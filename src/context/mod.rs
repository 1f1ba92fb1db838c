//! `$set-context`, `$clear-context` and expiry (HALO CA:SoFA-1 and CA:SoFA-2).

pub mod clear;
pub mod expiry;
pub mod input;
pub mod rules;
pub mod set;
