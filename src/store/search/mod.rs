//! Searches as statements (FHIR R4 search.html): a [`Query`](crate::fhir::search::Query) over the index tables.
//!
//! - [`index`]: the rows of a resource as columns, for the statement that stores it.
//! - [`statement`]: text and binds of one statement; only fixed text is ever appended, values are bound.
//! - [`filter`]: one condition on a resource; [`lookup`]: on a row of the index; [`link`]: on other resources.
//! - [`page`]: which resources, in which order, from where on.
//! - [`include`]: what pages bring along.
//!
//! What a caller may see is looked for in branches, each with an index of its own: the shared data, and what its launch (or
//! PoC) holds. A branch gives at most a page, so the size of the database does not matter to it.

mod filter;
mod include;
pub(super) mod index;
mod link;
mod lookup;
mod page;
pub mod reindex;
mod statement;

use std::collections::BTreeMap;

pub use include::{Included, Source, included, referring};
pub use page::{Cursor, Found, Window, count, page, plan};

use super::resource::Visible;
use crate::fhir::search::Limit;

/// What a caller may find.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The rows that may be looked at at all.
    pub visible: Visible,
    /// Every type that may be searched, also in chains, with what may be found of it.
    pub types: BTreeMap<String, Limit>,
    /// The number of the parameter under which the index holds the patients that a resource belongs to.
    pub patients: i32,
}
