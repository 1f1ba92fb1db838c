//! Search (FHIR R4 search.html) as data: which parameters there are, what a resource holds under each of them, and what a
//! query asks for. No SQL stands here: `store::search` turns a [`Query`] into statements over the [`Rows`].
//!
//! A parameter is named by a number that is computed from its type and code ([`parameter_id`]), so that all replicas and
//! all starts agree on it without asking anyone. What a token search compares is a digest ([`Digest`]): one fixed-length
//! value for parameter, system and code together, whatever their length.

mod extract;
mod fold;
mod interval;
mod limit;
mod matching;
mod parameter;
mod parse;
mod query;
mod row;

pub use extract::{fold_token, patient_compartment};
pub use fold::fold;
pub use interval::interval;
pub use limit::{Candidate, Limit, Share, Whose};
pub use matching::Unstored;
pub use parameter::{Component, Modifier, Parameter, Parameters};
pub use parse::{Handling, Level, OF_THE_PROTOCOL, Request, SearchLimits, condition, parse};

pub use query::{
    Chain, Comparison, Compartment, Direction, Filter, Has, Include, Lookup, Only, Part, Prefix, Query, SortBy,
    SortKey, Summary, Target, Total, UnitTest,
};
pub use row::{
    Digest, QuantityRow, ReferenceRow, Rows, StringRow, TimeRow, TokenRow, parameter_id, token, token_of_type,
    token_present, token_system, token_value,
};
