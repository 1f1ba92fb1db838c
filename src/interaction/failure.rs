//! All that an interaction may tell a client when it fails.

use crate::{
    access::Denied,
    fhir::{
        outcome::{Issue, IssueType, Outcome},
        patch::Refused,
    },
    store,
};

/// Why an interaction failed. Each variant is one HTTP status; the FHIR surface matches them exhaustively.
#[derive(Clone, Debug)]
pub enum Failure {
    /// 400: the request cannot be understood.
    BadRequest(Outcome),
    /// 401: the token ended while the request was waiting.
    Ended,
    /// 403: not permitted.
    Forbidden(Outcome),
    /// 404: unknown, or not for this caller: the two are the same.
    NotFound,
    /// 405: not offered for this resource.
    NotAllowed(Outcome),
    /// 409: someone else is changing the same thing, or the context was cleared meanwhile.
    Conflict(Outcome),
    /// 409: another writer was first, again and again.
    Overtaken,
    /// 410: deleted.
    Gone,
    /// 412: a condition does not hold.
    PreconditionFailed(Outcome),
    /// 413: more than the limits allow.
    TooLarge(Outcome),
    /// 422: understood, but against a rule.
    Unprocessable(Outcome),
    /// 503: try again.
    Unavailable(Outcome),
    /// 504: the PoC did not answer in time.
    Timeout(Outcome),
    /// 500: a fault of this server; logged where it happened, never told.
    Internal,
}

impl Failure {
    /// The outcome to show.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::BadRequest(outcome)
            | Self::Forbidden(outcome)
            | Self::NotAllowed(outcome)
            | Self::Conflict(outcome)
            | Self::PreconditionFailed(outcome)
            | Self::TooLarge(outcome)
            | Self::Unprocessable(outcome)
            | Self::Unavailable(outcome)
            | Self::Timeout(outcome) => outcome.clone(),
            Self::Ended => Outcome::error(IssueType::Expired, "the token or its launch has ended"),
            Self::NotFound => Outcome::error(IssueType::NotFound, "no such resource"),
            Self::Overtaken => {
                Outcome::error(IssueType::Conflict, "others kept changing the same resource; read and try again")
            }
            Self::Gone => Outcome::error(IssueType::Deleted, "the resource was deleted"),
            Self::Internal => Outcome::error(IssueType::Exception, "the server failed; the operator can find out why"),
        }
    }

    /// A 400 with one issue.
    pub fn bad_request(code: IssueType, text: impl Into<String>) -> Self {
        Self::BadRequest(Outcome::error(code, text))
    }

    /// A 412 with one issue.
    pub fn precondition(code: IssueType, text: impl Into<String>) -> Self {
        Self::PreconditionFailed(Outcome::error(code, text))
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        if error.is_duplicate() {
            return Self::Conflict(Outcome::error(IssueType::Conflict, "another request was first; try again"));
        }
        if error.is_timeout() {
            tracing::warn!("a statement took too long and was ended");
            let text = "this takes longer than the server allows: ask for less, with more or narrower conditions";
            return Self::Unavailable(Outcome::error(IssueType::TooCostly, text));
        }
        if error.is_transient() {
            tracing::warn!(%error, "the database is away or overloaded");
            return Self::Unavailable(Outcome::error(IssueType::Transient, "the server is overloaded; try again"));
        }
        tracing::error!(%error, "a statement failed");
        Self::Internal
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        store::Error::from(error).into()
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Forbidden(denied.0)
    }
}

/// An unreadable document: 400.
impl From<Issue> for Failure {
    fn from(issue: Issue) -> Self {
        Self::BadRequest(issue.into())
    }
}

/// What is no patch: 400; one that does not fit the resource: 422.
impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(issue) => Self::BadRequest(issue.into()),
            Refused::Unfitting(issue) => Self::Unprocessable(issue.into()),
        }
    }
}
