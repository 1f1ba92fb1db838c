//! R4's definitions and those of packages, as data: what elements there are, what types they have, what binds them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`structure`] | one StructureDefinition, reduced to what can be checked |
//! | [`terminology`] | ValueSets and CodeSystems, likewise |
//! | [`parameter`] | SearchParameters |
//! | [`expansion`] | which codes a value set has |
//! | [`grammar`] | codes that are known by their form |
//! | [`source`] | a FHIR NPM package as it is published |
//! | [`package`] | its compiled form, read on demand; R4 itself is one |
//! | [`registry`] | all definitions that apply, by canonical URL |
//! | [`types`] | the table of all R4 types and their elements, which everything else walks along |

pub mod expansion;
pub mod grammar;
pub mod package;
pub mod parameter;
mod pristine;
pub mod registry;
mod snapshot;
pub mod source;
pub mod structure;
pub mod terminology;
#[cfg(test)]
mod tests;
pub mod types;
