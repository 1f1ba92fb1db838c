//! One change of one resource: what triggers look at and notifications tell.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::fhir::resource::Resource;

/// How a version came about, as `Bundle.entry.request.method` says it (a patch counts as PUT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// create
    Post,
    /// update, patch
    Put,
    /// delete
    Delete,
}

impl Method {
    /// `POST`, `PUT` or `DELETE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// The reverse of [`Method::as_str`]; anything unknown counts as a delete, which no topic tells of.
    pub fn parse(text: &str) -> Self {
        match text {
            "POST" => Self::Post,
            "PUT" => Self::Put,
            _ => Self::Delete,
        }
    }
}

/// Before and after of one version.
#[derive(Clone, Debug)]
pub struct Change {
    /// The tenant of the data.
    pub tenant: i64,
    /// For a new resource: the context that owns it.
    pub context: Option<Uuid>,
    /// For a new resource: the PoC whose data it is.
    pub poc_client: Option<String>,
    /// The resource's type.
    pub kind: String,
    /// The logical id.
    pub id: String,
    /// The version this change makes.
    pub version: i64,
    /// Its `meta.lastUpdated`.
    pub updated: OffsetDateTime,
    pub method: Method,
    /// The new content as sent, references rewritten; `None` for a delete.
    pub after: Option<Resource>,
    /// The new content as stored and told: `after` with `id` and `meta`; `None` for a delete.
    pub body: Option<String>,
    /// The content it replaces; `None` for a new resource.
    pub before: Option<Resource>,
}
