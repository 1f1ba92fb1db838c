//! What the index holds of one resource.

use sha2::{Digest as _, Sha256};

/// The first 128 bits of a SHA-256: two tokens are equal exactly when their digests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    fn of(parameter: i32, kind: u8, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(parameter.to_be_bytes());
        hash.update([kind]);
        for part in parts {
            // The length in front: ("a", "bc") and ("ab", "c") differ.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}

/// The number of a parameter: of `Patient` and `birthdate`, say. The parameters that every type has count for each type
/// on their own. A part of a composite has the code `code#1`; the texts behind a token have `code:text`.
pub fn parameter_id(type_name: &str, code: &str) -> i32 {
    let hash = Sha256::new().chain_update(type_name).chain_update(".").chain_update(code).finalize();
    i32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// `system|code`; an empty system: the value has none (`|code`).
pub fn token(parameter: i32, system: &str, code: &str) -> Digest {
    Digest::of(parameter, 0, &[system, code])
}

/// `code`, whatever its system.
pub fn token_value(parameter: i32, code: &str) -> Digest {
    Digest::of(parameter, 1, &[code])
}

/// `system|`: any code of the system.
pub fn token_system(parameter: i32, system: &str) -> Digest {
    Digest::of(parameter, 2, &[system])
}

/// `:of-type=system|code|value` of an Identifier.
pub fn token_of_type(parameter: i32, system: &str, code: &str, value: &str) -> Digest {
    Digest::of(parameter, 3, &[system, code, value])
}

/// That the resource has any value under this token parameter: `:missing=false`. It carries what `_sort` orders by.
pub fn token_present(parameter: i32) -> Digest {
    Digest::of(parameter, 4, &[])
}

/// A token: one row for each way to ask for it ([`token`], [`token_value`], [`token_system`], [`token_of_type`]), and one
/// [`token_present`] for each parameter that has a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRow {
    pub digest: Digest,
    /// In a composite: which of the resource's element instances; else 0.
    pub slot: i16,
    /// In a [`token_present`] row: what `_sort` goes by, never `None`: the least code of the resource, or the least text
    /// where there is no code. In other rows: `None`.
    pub sort: Option<String>,
}

/// A string or URI, or the text behind a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StringRow {
    pub parameter: i32,
    pub slot: i16,
    /// Folded: no case, no accents, one space between words ([`super::fold`]), at most 200 characters; a URI as it is, at
    /// most 800 characters and 2000 bytes. B-tree entries are limited.
    pub folded: String,
    /// As it stands in the resource, for `:exact`; at most 400 characters.
    pub exact: String,
    /// Whether it is the resource's least (greatest) under this parameter: `_sort` goes by it.
    pub is_least: bool,
    pub is_greatest: bool,
}

/// A date, dateTime, instant, Period or Timing: `[low, high)` in microseconds since 1970 (UTC). An open end is
/// [`i64::MIN`] or [`i64::MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimeRow {
    pub parameter: i32,
    pub slot: i16,
    pub low: i64,
    pub high: i64,
    /// Whether it begins first (ends last) of the resource's values under this parameter: `_sort` goes by it.
    pub is_least: bool,
    pub is_greatest: bool,
}

/// A number or quantity: a point, or an interval for a Range. Decimal texts that Postgres's `numeric` takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuantityRow {
    pub parameter: i32,
    pub slot: i16,
    /// `None`: no lower end.
    pub low: Option<String>,
    /// `None`: no upper end.
    pub high: Option<String>,
    /// `Quantity.system`, empty when absent; likewise the others.
    pub system: String,
    pub code: String,
    pub unit: String,
    pub is_least: bool,
    pub is_greatest: bool,
}

/// A reference. A literal one to this server (relative, or absolute below the base) has the target's type and id. Another
/// absolute URL, a `urn:`, and a canonical have an empty type and the URL as id (of at most 400 characters); one with a
/// version has a second row without it. Type and id are empty where the target has no name outside: it is contained, or
/// only identified or described; then the row says no more than that there is a reference (`:missing=false`).
/// (`Reference.identifier` is a [`TokenRow`] under `code:identifier`.)
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReferenceRow {
    pub parameter: i32,
    pub slot: i16,
    pub target_type: String,
    pub target_id: String,
}

/// Everything that the index holds of one resource. No row stands in it twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub tokens: Vec<TokenRow>,
    pub strings: Vec<StringRow>,
    pub times: Vec<TimeRow>,
    pub quantities: Vec<QuantityRow>,
    pub references: Vec<ReferenceRow>,
    /// The words of the narrative, for `_text`.
    pub narrative: String,
    /// The words of everything else that is text, for `_content` (which searches the narrative too).
    pub content: String,
}

impl Rows {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.tokens.len() + self.strings.len() + self.times.len() + self.quantities.len() + self.references.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_part_ends_matters() {
        assert_ne!(token(1, "a", "bc"), token(1, "ab", "c"));
        assert_ne!(token(1, "", "a"), token_value(1, "a"));
        assert_ne!(token(1, "a", "b"), token(2, "a", "b"));
        assert_ne!(parameter_id("Patient", "name"), parameter_id("Practitioner", "name"));
    }
}
