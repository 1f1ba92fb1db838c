//! Who there is: whose data, and who asks.

use std::fmt;

/// Whose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The jurisdiction's, and no patient's.
    Shared,
    /// The jurisdiction's, about a patient.
    Registered,
    /// The jurisdiction's, about another patient.
    Neighbour,
    /// Of the launch whose apps ask: its patient's.
    Mine,
    /// Of the same launch about the same patient, and nothing that fulfils the conditions of granular scopes.
    Apart,
    /// Of the same launch, about another patient.
    Relative,
    /// Of another launch of the same PoC.
    Next,
    /// Of a launch of another PoC of the same organisation.
    Colleague,
    /// Of a launch of another organisation's PoC.
    Foreign,
    /// Written by the PoC of `Mine` for itself.
    Office,
}

impl Side {
    pub const ALL: [Self; 10] = [
        Self::Shared,
        Self::Registered,
        Self::Neighbour,
        Self::Mine,
        Self::Apart,
        Self::Relative,
        Self::Next,
        Self::Colleague,
        Self::Foreign,
        Self::Office,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Registered => "registered",
            Self::Neighbour => "neighbour",
            Self::Mine => "mine",
            Self::Apart => "apart",
            Self::Relative => "relative",
            Self::Next => "next",
            Self::Colleague => "colleague",
            Self::Foreign => "foreign",
            Self::Office => "office",
        }
    }

    /// The side that a name such as `mine.patient` begins with.
    pub fn of(name: &str) -> Self {
        let first = name.split('.').next().unwrap_or_default();
        *Self::ALL.iter().find(|side| side.name() == first).unwrap_or_else(|| panic!("{name} is nobody's"))
    }

    /// A word that stands in everything of this side and nowhere else. Small ASCII letters and digits, so that no
    /// folding and no escaping changes it.
    pub fn marker(self) -> String {
        let hash =
            self.name().bytes().fold(0xCBF2_9CE4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        format!("mark{}{hash:08x}", self.name())
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// An app of `Mine` with granular `patient/` scopes.
    GranularApp,
    /// An app of `Mine` with `patient/` scopes.
    PatientApp,
    /// An app of `Mine` with `user/` scopes.
    UserApp,
    /// The PoC of `Mine` and `Next`.
    Poc,
    /// An app that was launched by itself, for the patient of `Registered`.
    Standalone,
    /// A backend service.
    Service,
    /// Somebody without a token.
    Nobody,
}

impl Who {
    /// In the order in which they ask: each sees no less than those before, until those outside of launches. So what one of
    /// them writes can be written in the worlds of the later ones too.
    pub const ALL: [Self; 7] =
        [Self::GranularApp, Self::PatientApp, Self::UserApp, Self::Poc, Self::Standalone, Self::Service, Self::Nobody];

    /// Whose data may be told to them. A user without a link to the shared data reaches no shared patient.
    pub const fn sees(self) -> &'static [Side] {
        match self {
            Self::GranularApp => &[Side::Shared, Side::Mine],
            Self::PatientApp => &[Side::Shared, Side::Mine, Side::Apart],
            Self::UserApp => &[Side::Shared, Side::Mine, Side::Apart, Side::Relative],
            Self::Poc => &[
                Side::Shared,
                Side::Registered,
                Side::Neighbour,
                Side::Mine,
                Side::Apart,
                Side::Relative,
                Side::Next,
                Side::Office,
            ],
            Self::Standalone => &[Side::Shared, Side::Registered],
            Self::Service | Self::Nobody => &[Side::Shared, Side::Registered, Side::Neighbour],
        }
    }

    /// To whom belongs what they create.
    pub const fn writes(self) -> Side {
        match self {
            Self::GranularApp | Self::PatientApp | Self::UserApp => Side::Mine,
            Self::Poc => Side::Office,
            Self::Standalone | Self::Service | Self::Nobody => Side::Shared,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::GranularApp => "granular-app",
            Self::PatientApp => "patient-app",
            Self::UserApp => "user-app",
            Self::Poc => "poc",
            Self::Standalone => "standalone",
            Self::Service => "service",
            Self::Nobody => "nobody",
        }
    }

    /// The share of all requests.
    pub const fn share(self) -> f64 {
        match self {
            Self::GranularApp => 0.22,
            Self::PatientApp => 0.17,
            Self::UserApp => 0.27,
            Self::Poc => 0.17,
            Self::Standalone => 0.06,
            Self::Service => 0.09,
            Self::Nobody => 0.02,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GranularApp => "an app with granular scopes",
            Self::PatientApp => "an app with patient/ scopes",
            Self::UserApp => "an app with user/ scopes",
            Self::Poc => "the PoC",
            Self::Standalone => "an app that was launched by itself",
            Self::Service => "a service",
            Self::Nobody => "nobody",
        })
    }
}
