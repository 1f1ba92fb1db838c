//! R4 as data, free of I/O, SQL, HTTP and users.

pub mod compartment;
pub mod definition;
pub mod element;
pub mod format;
pub mod instant;
pub mod json;
pub mod outcome;
pub mod patch;
pub mod path;
pub mod reference;
pub mod resource;
pub mod search;
pub mod subset;
pub mod tree;
pub mod types;
pub mod validate;
pub mod xhtml;
pub mod xml;

/// The base of HALO's canonical URLs.
pub const HALO: &str = "http://fhir.infoway-inforoute.ca/io/HALO";
