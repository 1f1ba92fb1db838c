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

use super::{
    json::{Doc, Limits},
    tree::Tree,
};

/// What may stand around a resource in an answer or notification of this server: `Parameters`, and a `Bundle` in it.
const ENVELOPE: usize = 8;

/// The XML form of JSON text that this server holds. `limits` are those of the resources inside.
pub fn from_json(text: &str, limits: &Limits) -> Result<String, NotXml> {
    let limits = Limits { depth: limits.depth + ENVELOPE };
    let doc =
        Doc::parse(text, &limits).map_err(|error| NotXml { path: "Resource".to_owned(), reason: error.message })?;
    write(&Tree::of_resource(&doc))
}

/// The namespace of all elements but the narrative's.
pub const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narrative.
pub const XHTML: &str = "http://www.w3.org/1999/xhtml";

#[cfg(test)]
mod tests;
