//! A JSON value that can be changed; what is not touched is written as it was read, numbers to the digit.

use rust_decimal::Decimal;

use crate::fhir::json::{Kind, Ref, quote};

/// A JSON value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string, number, boolean or null, as it stands in its document.
    Scalar(Box<str>),
    Array(Vec<Value>),
    /// Members in their order.
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

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Scalar(raw) => raw.len(),
            Self::Array(items) => 2 + items.iter().map(|item| item.size() + 1).sum::<usize>(),
            Self::Object(members) => {
                2 + members.iter().map(|(name, value)| name.len() + value.size() + 4).sum::<usize>()
            }
        }
    }

    /// A member of an object.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(own, _)| own == name).map(|(_, value)| value),
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
        if let Self::Object(members) = self {
            match members.iter_mut().find(|(own, _)| own == name) {
                Some((_, old)) => *old = value,
                None => members.push((name.to_owned(), value)),
            }
        }
    }

    /// Whether it is this very string.
    pub fn is_string(&self, text: &str) -> bool {
        matches!(self, Self::Scalar(raw) if decoded(raw).as_deref() == Some(text))
    }

    /// The value that a path of member names and indices leads to.
    pub fn at_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        path.iter().try_fold(self, |value, step| match (value, step) {
            (Self::Object(members), Step::Member(name)) => {
                members.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value)
            }
            (Self::Array(items), Step::Item(index)) => items.get_mut(*index),
            _ => None,
        })
    }
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Member(String),
    Item(usize),
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
                left.len() == right.len()
                    && left.iter().all(|(name, value)| other.member(name).is_some_and(|other| value == other))
                    && right.len() == left.len()
            }
            _ => false,
        }
    }
}

fn same_scalar(left: &str, right: &str) -> bool {
    if left.starts_with('"') && right.starts_with('"') {
        return decoded(left).zip(decoded(right)).is_some_and(|(left, right)| left == right);
    }
    let number = |text: &str| {
        if text.contains(['e', 'E']) { Decimal::from_scientific(text).ok() } else { Decimal::from_str_exact(text).ok() }
    };
    number(left).zip(number(right)).is_some_and(|(left, right)| left == right)
}
