//! A JSON value that can be changed; what is not touched is written as it was read, numbers to the digit.

use crate::fhir::json::{Kind, Ref, quote};

/// A JSON value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string, number, boolean or null, as it stands in its document.
    Scalar(Box<str>),
    Array(Vec<Value>),
    /// Members in their order, each name once.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The value of a parsed document. It is as deep as the parser allows.
    pub fn of(value: Ref<'_>) -> Self {
        match value.kind() {
            Kind::Object => {
                Self::Object(value.members().map(|(name, one)| (name.into_owned(), Self::of(one))).collect())
            }
            Kind::Array => Self::Array(value.items().map(Self::of).collect()),
            _ => Self::Scalar(value.raw().into()),
        }
    }

    /// `null`
    pub fn null() -> Self {
        Self::Scalar("null".into())
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(raw) if &**raw == "null")
    }

    /// The JSON text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Scalar(raw) => out.push_str(raw),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    out.push_str(&quote(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// About how many bytes it takes; also how much it costs to copy or look through.
    pub fn size(&self) -> usize {
        match self {
            Self::Scalar(raw) => raw.len(),
            Self::Array(items) => 2 + items.iter().map(|item| item.size() + 1).sum::<usize>(),
            Self::Object(members) => {
                2 + members.iter().map(|(name, value)| name.len() + value.size() + 4).sum::<usize>()
            }
        }
    }

    /// How many objects and arrays there are inside one another, itself included.
    pub fn depth(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or_default(),
            Self::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or_default(),
        }
    }

    /// Its items or members.
    pub fn width(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::Array(items) => items.len(),
            Self::Object(members) => members.len(),
        }
    }

    /// A member of an object.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A member of an object, to be changed.
    pub fn member_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Object(members) => members.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Takes a member out of an object.
    pub fn remove_member(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let at = members.iter().position(|(own, _)| own == name)?;
        Some(members.remove(at).1)
    }

    /// Sets a member of an object, in its place if there is one.
    pub fn set_member(&mut self, name: &str, value: Self) {
        if let Some(old) = self.member_mut(name) {
            *old = value;
        } else if let Self::Object(members) = self {
            members.push((name.to_owned(), value));
        }
    }

    /// What a string says.
    pub fn string(&self) -> Option<String> {
        match self {
            Self::Scalar(raw) if raw.starts_with('"') => decoded(raw),
            _ => None,
        }
    }

    /// Whether two objects have the same members, those that are `left_out` aside.
    pub fn same_beside(&self, other: &Self, left_out: &[&str]) -> bool {
        let (Self::Object(left), Self::Object(right)) = (self, other) else { return self == other };
        let counts = |(name, _): &&(String, Self)| !left_out.contains(&name.as_str());
        same_members(left.iter().filter(counts).collect(), right.iter().filter(counts).collect())
    }
}

fn decoded(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// Equal as RFC 6902 section 4.6 has it: numbers by their value, strings by their characters, objects in any order.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(left), Self::Scalar(right)) => left == right || same_scalar(left, right),
            (Self::Array(left), Self::Array(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => {
                left.len() == right.len() && same_members(left.iter().collect(), right.iter().collect())
            }
            _ => false,
        }
    }
}

/// Sorted, so that many members cost no more than their number.
fn same_members(mut left: Vec<&(String, Value)>, mut right: Vec<&(String, Value)>) -> bool {
    if left.len() != right.len() {
        return false;
    }
    left.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    right.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    left == right
}

fn same_scalar(left: &str, right: &str) -> bool {
    if left.starts_with('"') && right.starts_with('"') {
        return decoded(left).zip(decoded(right)).is_some_and(|(left, right)| left == right);
    }
    number(left).zip(number(right)).is_some_and(|(left, right)| left == right)
}

/// A JSON number of any length in a form that equal numbers share: whether it is negative, its digits from the first to
/// the last that is not 0, and the power of ten of the last; `None` for what is no number.
fn number(text: &str) -> Option<(bool, String, i64)> {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let shift = i64::try_from(zeros).ok()? - i64::try_from(fraction.len()).ok()?;
    let power = exponent.parse::<i64>().ok()?.checked_add(shift)?;
    Some((text.starts_with('-'), significant.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Doc, Limits};

    fn value(text: &str) -> Value {
        Value::of(Doc::parse(text, &Limits::default()).unwrap().root())
    }

    #[test]
    fn numbers_are_equal_by_their_value() {
        for (left, right) in [
            ("1.0", "1.00"),
            ("1", "1.000"),
            ("100", "1e2"),
            ("1E+2", "100.0"),
            ("0.001", "1e-3"),
            ("0", "-0.00"),
            ("0e9", "0"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
            ("1e40", "10000000000000000000000000000000000000000"),
            ("10e999999999999", "1e1000000000000"),
        ] {
            assert_eq!(value(left), value(right), "{left} {right}");
        }
        for (left, right) in [
            ("1", "-1"),
            ("1", "10"),
            ("1", "\"1\""),
            ("0", "null"),
            ("false", "0"),
            ("123456789012345678901234567890.1", "123456789012345678901234567890.2"),
            ("1e999999999999999999999", "1e999999999999999999998"),
        ] {
            assert_ne!(value(left), value(right), "{left} {right}");
        }
    }

    #[test]
    fn objects_are_equal_in_any_order_and_arrays_in_theirs() {
        assert_eq!(value(r#"{"a":1,"b":["\u0041",null]}"#), value(r#"{"b":["A",null],"a":1.0}"#));
        assert_ne!(value(r#"{"a":1}"#), value(r#"{"a":1,"b":2}"#));
        assert_ne!(value(r#"{"a":1,"b":2}"#), value(r#"{"a":1,"c":2}"#));
        assert_ne!(value("[1,2]"), value("[2,1]"));
        let (one, other) = (value(r#"{"a":1,"m":2,"z":3}"#), value(r#"{"z":3,"m":4,"a":1}"#));
        assert!(one.same_beside(&other, &["m"]) && !one.same_beside(&other, &[]));
    }

    #[test]
    fn depth_counts_what_the_parser_counts() {
        for (text, depth) in [("1", 0), ("[]", 1), (r#"{"a":[1,{"b":2}]}"#, 3)] {
            assert_eq!(value(text).depth(), depth, "{text}");
        }
    }
}
