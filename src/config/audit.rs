//! `[audit]`

use serde::Deserialize;

/// The audit trail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Whether reads, searches and histories that succeed are recorded.
    pub reads: bool,
    /// What becomes of an answer whose row cannot be stored.
    pub on_failure: OnFailure,
}

/// What becomes of an answer whose row cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// 503: nobody sees what is not recorded.
    Refuse,
    /// It is given; the log says that the row is missing.
    Allow,
}
