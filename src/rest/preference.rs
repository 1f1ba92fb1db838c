//! `Prefer` (RFC 7240; FHIR R4 http.html#return, search.html#errors).

use axum::http::HeaderMap;

use crate::fhir::search::Handling;

/// What a successful write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

impl Return {
    const ALL: [Self; 3] = [Self::Minimal, Self::Representation, Self::OperationOutcome];

    /// The value of `Preference-Applied`.
    pub const fn applied(self) -> &'static str {
        match self {
            Self::Minimal => "return=minimal",
            Self::Representation => "return=representation",
            Self::OperationOutcome => "return=OperationOutcome",
        }
    }
}

/// The value of `Preference-Applied`.
pub const fn applied(handling: Handling) -> &'static str {
    match handling {
        Handling::Strict => "handling=strict",
        Handling::Lenient => "handling=lenient",
    }
}

/// The preferences that this server knows; others, `respond-async` among them, are ignored, as preferences are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference {
    pub returns: Option<Return>,
    pub handling: Option<Handling>,
}

impl Preference {
    /// Reads all `Prefer` headers; of a repeated preference the first counts (RFC 7240 section 2).
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
        let preferences: Vec<_> = values.flat_map(split).collect();
        let value_of = |name: &str| {
            let mut pairs = preferences.iter().map(|one| one.split_once('=').unwrap_or((one, "")));
            let (_, value) = pairs.find(|(own, _)| own.trim().eq_ignore_ascii_case(name))?;
            Some(value.trim().trim_matches('"').to_owned())
        };
        let (returns, handling) = (value_of("return"), value_of("handling"));
        let is = |value: &Option<String>, applied: &str| {
            let known = applied.split_once('=').map_or("", |(_, known)| known);
            value.as_ref().is_some_and(|value| value.eq_ignore_ascii_case(known))
        };
        Self {
            returns: Return::ALL.into_iter().find(|one| is(&returns, one.applied())),
            handling: [Handling::Strict, Handling::Lenient].into_iter().find(|one| is(&handling, applied(*one))),
        }
    }

    /// What happens to unknown parameters; FHIR's default is that they are ignored.
    pub fn handling(&self) -> Handling {
        self.handling.unwrap_or_default()
    }
}

/// The preferences of one header, without their parameters (`; …`). A comma or semicolon between quotes separates nothing.
fn split(header: &str) -> Vec<&str> {
    let mut preferences = Vec::new();
    let (mut quoted, mut escaped, mut begin) = (false, false, 0);
    for (at, char) in header.char_indices() {
        match char {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                preferences.push(&header[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        escaped = quoted && char == '\\' && !escaped;
    }
    preferences.push(&header[begin..]);
    // Parameters of known preferences have no meaning, and the known values hold no semicolon.
    preferences.into_iter().map(|one| one.split(';').next().unwrap_or(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Preference {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", value.parse().unwrap());
        }
        Preference::of(&headers)
    }

    #[test]
    fn the_first_of_a_preference_counts() {
        for (values, returns, handling) in [
            (vec![], None, None),
            (vec!["return=minimal"], Some(Return::Minimal), None),
            (vec!["respond-async, return=representation"], Some(Return::Representation), None),
            (
                vec!["handling=strict", "return=\"OperationOutcome\""],
                Some(Return::OperationOutcome),
                Some(Handling::Strict),
            ),
            (vec!["Return = Minimal ; foo=bar,HANDLING=lenient"], Some(Return::Minimal), Some(Handling::Lenient)),
            (vec!["return=minimal, return=representation"], Some(Return::Minimal), None),
            (vec!["return=everything, return=minimal"], None, None),
            (vec!["x=\"a, return=minimal\""], None, None),
            (vec!["x=\"a\\\", handling=strict\""], None, None),
            (vec!["x=\"a\\\\\", handling=strict"], None, Some(Handling::Strict)),
            (vec!["return", "handling="], None, None),
            (vec!["", ",;,"], None, None),
        ] {
            assert_eq!(of(&values), Preference { returns, handling }, "{values:?}");
        }
    }
}
