//! The only SQL of this program.
