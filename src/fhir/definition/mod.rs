//! R4's definitions and those of packages, as data: what elements there are, what types they have, what binds them.
//!
//! - [`structure`]: one StructureDefinition, reduced to what can be checked.
//! - [`package`]: a FHIR NPM package in compiled form; R4 itself is one.
//! - [`types`]: the table of all R4 types and their elements, which everything else walks along.

pub mod package;
pub mod structure;
pub mod types;
