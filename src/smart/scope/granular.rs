//! The conditions of a granular scope: what stands behind the `?` of `patient/Observation.rs?category=s|laboratory`.
//!
//! The text is kept and told back byte for byte. It is read as the query of a URL, so `%7C` means `|` and a literal `+`
//! means a space: a scope that means a plus says `%2B`. Between spaces everything belongs to the scope, `|`, `:` and `/`
//! among it, but only the characters that RFC 6749 section 3.3 lets a scope have: a backslash or a quotation mark is sent
//! encoded.
//!
//! Not supported, and so not granted: conditions on `*`, whose types have different parameters, and behind a v1 word, whose
//! syntax has none. Whether a server can enforce conditions, it decides by what it can search for
//! ([`super::ScopeSet::only_enforceable`]).

use std::fmt;

/// Name-value pairs, all of which must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions(String);

/// Why the text behind a `?` makes no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("conditions on all types (*) are not supported")]
    AllTypes,
    #[error("conditions stand behind the letters c, r, u, d, s, not behind a word of SMART v1")]
    FirstVersion,
    #[error("behind the ? stand search parameters as name=value, joined by &")]
    NoPairs,
    #[error("a scope holds visible ASCII characters without quotation mark and backslash: encode the others")]
    Characters,
}

impl Conditions {
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
            return Err(Malformed::Characters);
        }
        let is_pair =
            |pair: &str| pair.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty());
        if text.split('&').all(is_pair) { Ok(Self(text.to_owned())) } else { Err(Malformed::NoPairs) }
    }

    /// As it was asked for.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pairs, decoded.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        form_urlencoded::parse(self.0.as_bytes()).into_owned()
    }

    /// Those of both: the ones of `other` that are not there yet stand behind these.
    pub(super) fn and(&self, other: &Self) -> Self {
        let own: Vec<_> = self.pairs().collect();
        let new = other.0.split('&').zip(other.pairs()).filter(|(_, pair)| !own.contains(pair));
        Self(std::iter::once(self.0.as_str()).chain(new.map(|(text, _)| text)).collect::<Vec<_>>().join("&"))
    }

    /// Whether whatever fulfils these fulfils `other`: it has no pair that these have not.
    pub(super) fn imply(&self, other: &Self) -> bool {
        let own: Vec<_> = self.pairs().collect();
        other.pairs().all(|pair| own.contains(&pair))
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(text: &str) -> Conditions {
        Conditions::parse(text).unwrap()
    }

    #[test]
    fn text_is_kept_and_read_as_a_query() {
        let text = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory&code=a%2Bb+c";
        assert_eq!(conditions(text).to_string(), text);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let category = pair("category", "http://terminology.hl7.org/CodeSystem/observation-category|laboratory");
        assert_eq!(conditions(text).pairs().collect::<Vec<_>>(), [category, pair("code", "a+b c")]);
    }

    #[test]
    fn what_are_no_pairs_are_no_conditions() {
        for bad in ["", "a", "a=", "=b", "a=1&", "&a=1", "a=1&&b=2", "a=1&b", "?"] {
            assert_eq!(Conditions::parse(bad), Err(Malformed::NoPairs), "{bad}");
        }
        for bad in ["a=\"", "a=\\,", "a=é", "a=\u{a0}", "a=1\u{7f}", "a=b c"] {
            assert_eq!(Conditions::parse(bad), Err(Malformed::Characters), "{bad}");
        }
    }

    #[test]
    fn more_pairs_imply_fewer_however_they_are_written() {
        let (one, two) = (conditions("a=1|2"), conditions("b=3&a=1%7C2"));
        assert!(two.imply(&one) && !one.imply(&two) && one.imply(&one));
        assert_eq!(one.and(&two).as_str(), "a=1|2&b=3");
        assert_eq!(two.and(&one), two);
        assert!(one.and(&two).imply(&two) && two.imply(&one.and(&two)));
    }
}
