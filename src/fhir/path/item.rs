//! What expressions work on: elements of the document, and values of FHIRPath's own System types.

use std::{borrow::Cow, fmt};

use rust_decimal::Decimal;

use super::temporal::{Date, DateTime, Time, Unit};
use crate::fhir::{
    definition::types::{Primitive, TypeId},
    json,
    tree::{Node, Tree},
};

/// The code system of UCUM.
pub const UCUM: &str = "http://unitsofmeasure.org";

/// One item of a collection.
#[derive(Clone, Debug)]
pub enum Item<'d> {
    /// An element of the document.
    Element(Node),
    /// A value that was computed, or written in the expression.
    Value(Value<'d>),
    /// What a reference leads to when only its type is known: it is in no document at hand.
    Target(TypeId),
    /// An answer of `type()`.
    Type(TypeName),
}

/// The namespace and name of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeName {
    /// `FHIR` or `System`
    pub namespace: &'static str,
    pub name: &'static str,
}

/// A value of a System type.
#[derive(Clone, Debug)]
pub enum Value<'d> {
    Boolean(bool),
    Integer(i32),
    /// At most 28 digits: finer fractions are rounded, bigger numbers are no value.
    Decimal(Decimal),
    String(Cow<'d, str>),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    Quantity(Box<Quantity<'d>>),
}

/// A number with a unit.
#[derive(Clone, Debug)]
pub struct Quantity<'d> {
    pub value: Decimal,
    pub unit: Measure<'d>,
}

/// A quantity's unit. There is no conversion between UCUM units: quantities compare when their units are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure<'d> {
    /// A calendar duration: `4 days`.
    Calendar(Unit),
    /// A UCUM code, `1` for none.
    Ucum(Cow<'d, str>),
    /// A unit of another code system.
    Other(Cow<'d, str>),
}

/// The System types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    Boolean,
    Integer,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
    Quantity,
}

impl System {
    /// The type of this name; case matters.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Boolean" => Self::Boolean,
            "Integer" => Self::Integer,
            "Decimal" => Self::Decimal,
            "String" => Self::String,
            "Date" => Self::Date,
            "DateTime" => Self::DateTime,
            "Time" => Self::Time,
            "Quantity" => Self::Quantity,
            _ => return None,
        })
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::Decimal => "Decimal",
            Self::String => "String",
            Self::Date => "Date",
            Self::DateTime => "DateTime",
            Self::Time => "Time",
            Self::Quantity => "Quantity",
        }
    }

    /// The System type a FHIR primitive converts to (fhirpath.html#types).
    pub const fn of(primitive: Primitive) -> Self {
        match primitive {
            Primitive::Boolean => Self::Boolean,
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => Self::Integer,
            Primitive::Decimal => Self::Decimal,
            Primitive::Date => Self::Date,
            Primitive::DateTime | Primitive::Instant => Self::DateTime,
            Primitive::Time => Self::Time,
            _ => Self::String,
        }
    }
}

impl<'d> Value<'d> {
    pub const fn system(&self) -> System {
        match self {
            Self::Boolean(_) => System::Boolean,
            Self::Integer(_) => System::Integer,
            Self::Decimal(_) => System::Decimal,
            Self::String(_) => System::String,
            Self::Date(_) => System::Date,
            Self::DateTime(_) => System::DateTime,
            Self::Time(_) => System::Time,
            Self::Quantity(_) => System::Quantity,
        }
    }

    /// The same value, with texts of its own.
    pub fn into_owned(self) -> Value<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Boolean(value) => Value::Boolean(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::String(text) => Value::String(owned(text)),
            Self::Date(value) => Value::Date(value),
            Self::DateTime(value) => Value::DateTime(value),
            Self::Time(value) => Value::Time(value),
            Self::Quantity(quantity) => {
                let Quantity { value, unit } = *quantity;
                let unit = match unit {
                    Measure::Calendar(unit) => Measure::Calendar(unit),
                    Measure::Ucum(code) => Measure::Ucum(owned(code)),
                    Measure::Other(code) => Measure::Other(owned(code)),
                };
                Value::Quantity(Box::new(Quantity { value, unit }))
            }
        }
    }

    /// The value of a primitive element. A value that its type does not allow is taken for a string; a number of more
    /// than 28 digits before its point is none.
    pub fn of(tree: &Tree<'d>, node: Node) -> Option<Self> {
        let primitive = tree.ty(node).and_then(|ty| tree.types().primitive(ty))?;
        let json = tree.value(node)?;
        match json.kind() {
            json::Kind::Bool => json.as_bool().map(Self::Boolean),
            json::Kind::Number => Self::of_number(json.raw(), primitive),
            json::Kind::String => json.as_str().map(|text| Self::of_text(text, primitive)),
            json::Kind::Null | json::Kind::Array | json::Kind::Object => None,
        }
    }

    fn of_number(raw: &str, primitive: Primitive) -> Option<Self> {
        match System::of(primitive) {
            System::Integer => match raw.parse() {
                Ok(value) => Some(Self::Integer(value)),
                Err(_) => decimal(raw).map(Self::Decimal),
            },
            _ => decimal(raw).map(Self::Decimal),
        }
    }

    fn of_text(text: Cow<'d, str>, primitive: Primitive) -> Self {
        let read = match System::of(primitive) {
            System::Date => Date::parse(&text).map(Self::Date),
            System::DateTime => DateTime::parse(&text).map(Self::DateTime),
            System::Time => Time::parse(&text).map(Self::Time),
            _ => None,
        };
        read.unwrap_or(Self::String(text))
    }
}

/// A number in JSON's notation.
pub fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { Decimal::from_scientific(text).ok() } else { text.parse().ok() }
}

impl fmt::Display for Value<'_> {
    /// As `toString()` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Decimal(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::Date(value) => value.fmt(f),
            Self::DateTime(value) => value.fmt(f),
            Self::Time(value) => value.fmt(f),
            Self::Quantity(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Measure::Calendar(unit) if self.value == Decimal::ONE => write!(f, "{} {}", self.value, unit.name()),
            Measure::Calendar(unit) => write!(f, "{} {}s", self.value, unit.name()),
            Measure::Ucum(unit) | Measure::Other(unit) => write!(f, "{} '{unit}'", self.value),
        }
    }
}

impl<'d> Quantity<'d> {
    /// A number without a unit.
    pub const fn pure(value: Decimal) -> Self {
        Self { value, unit: Measure::Ucum(Cow::Borrowed("1")) }
    }

    /// A Quantity element; `None` without a value or with a comparator, which makes it a range.
    pub fn of(tree: &Tree<'d>, node: Node) -> Option<Self> {
        if !tree.types().is_a(tree.ty(node)?, tree.types().known.quantity) || tree.child(node, "comparator").is_some() {
            return None;
        }
        let value = match Value::of(tree, tree.child(node, "value")?)? {
            Value::Decimal(value) => value,
            Value::Integer(value) => value.into(),
            _ => return None,
        };
        let is_ucum = tree.str(node, "system").as_deref() == Some(UCUM);
        let unit = match tree.str(node, "code") {
            Some(code) if is_ucum => Unit::ucum(&code).map_or(Measure::Ucum(code), Measure::Calendar),
            Some(code) => Measure::Other(code),
            None => match tree.str(node, "unit") {
                // Said for people only, but most say it in UCUM.
                Some(unit) => Measure::Ucum(unit),
                None => return Some(Self::pure(value)),
            },
        };
        Some(Self { value, unit })
    }
}

impl<'d> Item<'d> {
    /// The item as a System value: what it is, the value of a primitive, a Quantity. `None` for everything else.
    pub fn value(&self, tree: &Tree<'d>) -> Option<Value<'d>> {
        self.clone().into_value(tree)
    }

    pub(super) fn into_value(self, tree: &Tree<'d>) -> Option<Value<'d>> {
        match self {
            Self::Value(value) => Some(value),
            Self::Element(node) => Value::of(tree, node)
                .or_else(|| Quantity::of(tree, node).map(|quantity| Value::Quantity(Box::new(quantity)))),
            Self::Target(_) | Self::Type(_) => None,
        }
    }

    /// The same item, with texts of its own.
    pub fn into_owned(self) -> Item<'static> {
        match self {
            Self::Element(node) => Item::Element(node),
            Self::Value(value) => Item::Value(value.into_owned()),
            Self::Target(ty) => Item::Target(ty),
            Self::Type(name) => Item::Type(name),
        }
    }

    /// The element, if it is one.
    pub const fn node(&self) -> Option<Node> {
        match self {
            Self::Element(node) => Some(*node),
            _ => None,
        }
    }
}

impl<'d> From<Value<'d>> for Item<'d> {
    fn from(value: Value<'d>) -> Self {
        Self::Value(value)
    }
}

impl From<bool> for Item<'_> {
    fn from(value: bool) -> Self {
        Self::Value(Value::Boolean(value))
    }
}

impl<'d> From<Cow<'d, str>> for Item<'d> {
    fn from(value: Cow<'d, str>) -> Self {
        Self::Value(Value::String(value))
    }
}

/// What an expression gives: items in order. One item needs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Collection<'d>(Items<'d>);

#[derive(Clone, Debug, Default)]
enum Items<'d> {
    #[default]
    None,
    One([Item<'d>; 1]),
    Many(Vec<Item<'d>>),
}

impl<'d> Collection<'d> {
    pub fn iter(&self) -> std::slice::Iter<'_, Item<'d>> {
        self.as_slice().iter()
    }

    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub fn as_slice(&self) -> &[Item<'d>] {
        match &self.0 {
            Items::None => &[],
            Items::One(item) => item,
            Items::Many(items) => items,
        }
    }

    /// The items that are elements of the document.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.iter().filter_map(Item::node)
    }

    pub(super) fn push(&mut self, item: Item<'d>) {
        self.0 = match std::mem::take(&mut self.0) {
            Items::None => Items::One([item]),
            Items::One([first]) => {
                let mut items = Vec::with_capacity(8);
                items.extend([first, item]);
                Items::Many(items)
            }
            Items::Many(mut items) => {
                items.push(item);
                Items::Many(items)
            }
        };
    }

    /// The items themselves.
    pub fn into_vec(self) -> Vec<Item<'d>> {
        match self.0 {
            Items::None => Vec::new(),
            Items::One(item) => item.into(),
            Items::Many(items) => items,
        }
    }
}

impl<'c, 'd> IntoIterator for &'c Collection<'d> {
    type Item = &'c Item<'d>;
    type IntoIter = std::slice::Iter<'c, Item<'d>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'d> FromIterator<Item<'d>> for Collection<'d> {
    fn from_iter<T: IntoIterator<Item = Item<'d>>>(items: T) -> Self {
        let mut collection = Self::default();
        items.into_iter().for_each(|item| collection.push(item));
        collection
    }
}
