//! The state of a Subscription (R4 value set subscription-status).

/// `Subscription.status`.
///
/// `requested` → `active` (handshake acknowledged) or `error`; `active` → `error` (delivery failed); `error` → `requested`
/// by its owner only; any → `off` by its owner or by its `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits for its handshake.
    Requested,
    /// Is notified.
    Active,
    /// A handshake or a delivery failed. Events go on being counted.
    Error,
    /// Switched off.
    Off,
}

impl Status {
    /// The code as FHIR writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Error => "error",
            Self::Off => "off",
        }
    }

    /// The reverse of [`Status::as_str`].
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Requested, Self::Active, Self::Error, Self::Off].into_iter().find(|status| status.as_str() == code)
    }
}
