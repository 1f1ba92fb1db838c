//! `Prefer` (RFC 7240; FHIR R4 http.html#return).

use axum::http::HeaderMap;

/// What a successful write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

impl Return {
    /// The value of `Preference-Applied`.
    pub const fn applied(self) -> &'static str {
        match self {
            Self::Minimal => "return=minimal",
            Self::Representation => "return=representation",
            Self::OperationOutcome => "return=OperationOutcome",
        }
    }
}

/// The preferences that this server knows; others are ignored, as preferences are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference {
    pub returns: Option<Return>,
}

impl Preference {
    /// Reads all `Prefer` headers; of a repeated preference the first counts (RFC 7240 section 2).
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
        let mut tokens = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
        let returns = tokens.find_map(|token| match token.strip_prefix("return=")?.trim_matches('"') {
            "minimal" => Some(Return::Minimal),
            "representation" => Some(Return::Representation),
            "OperationOutcome" => Some(Return::OperationOutcome),
            _ => None,
        });
        Self { returns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_preference_counts() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            Preference::of(&headers).returns
        };
        assert_eq!(of(&["return=minimal"]), Some(Return::Minimal));
        assert_eq!(of(&["respond-async, return=representation"]), Some(Return::Representation));
        assert_eq!(of(&["handling=strict", "return=\"OperationOutcome\""]), Some(Return::OperationOutcome));
        assert_eq!(of(&["return=everything"]), None);
    }
}
