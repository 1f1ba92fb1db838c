//! What became of one notification.

/// The result of one attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has it: any 2xx.
    Acknowledged,
    /// A complete answer other than 2xx.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the receiver's own OperationOutcome says, at most 2,000 characters.
        text: Option<String>,
    },
    /// No byte of the notification has left.
    NeverSent {
        /// For the log and the Subscription's owner.
        reason: String,
    },
    /// It may have been read; nobody can know.
    Unknown {
        /// For the log and the Subscription's owner.
        reason: String,
    },
}

impl Delivery {
    /// Why it failed, as `Subscription.error` and `$status` say it; `None` when it did not.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Acknowledged => None,
            Self::Refused { status, text: None } => Some(format!("the endpoint answered with status {status}")),
            Self::Refused { status, text: Some(text) } => {
                Some(format!("the endpoint answered with status {status}: {text}"))
            }
            Self::NeverSent { reason } | Self::Unknown { reason } => Some(reason.clone()),
        }
    }
}
