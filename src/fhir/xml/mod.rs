//! FHIR XML (R4 xml.html), read and written along the table of types.
//!
//! The engine works on JSON alone: [`read`] turns an XML document into the JSON text of the same resource, [`write()`] a
//! JSON document into XML. Nothing is lost between the two: decimals keep their digits, narrative its bytes. A document
//! that is not R4's in shape is refused with all its faults, each with its place.

mod attribute;
mod read;
mod scan;
mod write;
mod xhtml;

pub use read::read;
pub use write::{NotXml, write};

/// The namespace of all elements but the narrative's.
pub const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narrative.
pub const XHTML: &str = "http://www.w3.org/1999/xhtml";

#[cfg(test)]
mod tests;
