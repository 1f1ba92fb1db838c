//! Why nothing happened under a number: what the app is told, here or, through the event's row, at another replica.

use serde::{Deserialize, Serialize};

use crate::{
    fhir::outcome::{Issue, IssueType, Outcome},
    interaction::Failure,
};

/// In order of gravity: of several Subscriptions' answers the gravest counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    /// It waited too long behind others and was never sent.
    Crowded,
    /// No connection: never sent.
    OutOfReach,
    /// The PoC answered 5xx.
    Failed,
    /// The PoC answered 4xx, with the text of its OperationOutcome.
    Refused(Option<String>),
    /// No answer in time.
    Silent,
    /// The grant, client or user was taken back meanwhile.
    Revoked,
    /// The launch context was cleared meanwhile.
    Cleared,
    /// It could not be stored.
    NotStored,
}

impl Reason {
    /// What the app is told.
    pub fn failure(self) -> Failure {
        let unavailable = |text| Failure::Unavailable(Outcome::error(IssueType::Transient, text));
        match self {
            Self::Crowded => {
                unavailable("too many changes wait for the point-of-care system; nothing was stored, try again")
            }
            Self::OutOfReach => {
                unavailable("the point-of-care system cannot be reached, so nothing was stored; try again")
            }
            Self::Failed => {
                unavailable("the point-of-care system failed to take the change, so nothing was stored; try again")
            }
            Self::Refused(text) => {
                let refused = "the point-of-care system refused the change, so nothing was stored";
                Failure::Unprocessable(Issue::error(IssueType::Processing, refused).with_diagnostics(text).into())
            }
            Self::Silent => {
                let text = "the point-of-care system did not answer in time; nothing was stored";
                Failure::Timeout(Outcome::error(IssueType::Timeout, text))
            }
            Self::Revoked => Failure::Ended,
            Self::Cleared => {
                let text = "the launch context was cleared while the change waited for the point-of-care system; \
                            nothing was stored";
                Failure::Conflict(Outcome::error(IssueType::Conflict, text))
            }
            Self::NotStored => Failure::Internal,
        }
    }

    /// As it is kept with the event.
    pub fn stored(&self) -> serde_json::Value {
        // Strings and options of strings always serialize.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Out of the event's row.
    pub fn read(stored: &serde_json::Value) -> Option<Self> {
        Self::deserialize(stored).ok()
    }
}
