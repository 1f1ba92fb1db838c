//! When items are equal, equivalent, smaller (FHIRPath N1 sections 6.1 and 6.2), and sets of them.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{
    item::{Collection, Item, Measure, Quantity, Value},
    temporal::{DateTime, Time, Unit},
};
use crate::fhir::{
    json::Ref,
    tree::{Node, Tree},
};

/// Whether two items are equal; `None` where precision runs out.
pub fn equal<'d>(tree: &Tree<'d>, a: &Item<'d>, b: &Item<'d>) -> Option<bool> {
    match (a, b) {
        (Item::Element(a), Item::Element(b)) => return elements_equal(tree, *a, *b),
        (Item::Target(_), _) | (_, Item::Target(_)) => return Some(false),
        (Item::Type(a), Item::Type(b)) => return Some(a == b),
        _ => {}
    }
    // A text of the document against a text: by far the most frequent.
    if let (Item::Element(node), Item::Value(Value::String(text))) = (a, b)
        && let Some(Value::String(found)) = Value::of(tree, *node)
    {
        return Some(found == *text);
    }
    match (a.value(tree), b.value(tree)) {
        (Some(a), Some(b)) => values_equal(&a, &b),
        _ => Some(false),
    }
}

fn elements_equal(tree: &Tree<'_>, a: Node, b: Node) -> Option<bool> {
    if a == b {
        return Some(true);
    }
    match (Value::of(tree, a), Value::of(tree, b)) {
        (Some(a), Some(b)) => return values_equal(&a, &b),
        (None, None) => {}
        _ => return Some(false),
    }
    if resource_type(tree, a) != resource_type(tree, b) || unread(tree, a) != unread(tree, b) {
        return Some(false);
    }
    let (a, b) = (sorted(tree, a), sorted(tree, b));
    if a.len() != b.len() {
        return Some(false);
    }
    let mut is_open = false;
    for ((a_name, a), (b_name, b)) in a.into_iter().zip(b) {
        if a_name != b_name {
            return Some(false);
        }
        // As deep as the document, which is bounded.
        match elements_equal(tree, a, b) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => is_open = true,
        }
    }
    (!is_open).then_some(true)
}

/// A resource's type, which is no element of it.
fn resource_type<'t>(tree: &'t Tree<'_>, node: Node) -> Option<&'t str> {
    if tree.is_resource(node) { tree.kind(node).map(|ty| &*ty.name) } else { None }
}

/// The text of a primitive whose value is out of range.
fn unread<'d>(tree: &Tree<'d>, node: Node) -> Option<&'d str> {
    let is_primitive = tree.ty(node).is_some_and(|ty| tree.types().primitive(ty).is_some());
    if is_primitive { tree.value(node).map(Ref::raw) } else { None }
}

/// An element's children by the names of their elements, in the document's order within each.
fn sorted<'t>(tree: &'t Tree<'_>, node: Node) -> Vec<(&'t str, Node)> {
    let named = |child| tree.field(child).map_or("", |field| &*field.name);
    let mut children: Vec<_> = tree.children(node).map(|child| (named(child), child)).collect();
    children.sort_by_key(|(name, _)| *name);
    children
}

/// Both as the type they have in common (FHIRPath N1 section 5.5, implicit conversions).
enum Common<'v, 'd> {
    Boolean(bool, bool),
    Number(Decimal, Decimal),
    String(&'v str, &'v str),
    DateTime(DateTime, DateTime),
    Time(Time, Time),
    Quantity(Cow<'v, Quantity<'d>>, Cow<'v, Quantity<'d>>),
}

fn common<'v, 'd>(a: &'v Value<'d>, b: &'v Value<'d>) -> Option<Common<'v, 'd>> {
    let quantity = |value: &'v Value<'d>| match value {
        Value::Quantity(quantity) => Some(Cow::Borrowed(&**quantity)),
        other => number(other).map(|value| Cow::Owned(Quantity::pure(value))),
    };
    let at = |value: &Value<'_>| match value {
        Value::DateTime(at) => Some(*at),
        Value::Date(date) => Some(DateTime { date: *date, time: None, zone: None }),
        _ => None,
    };
    Some(match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => Common::Boolean(*a, *b),
        (Value::String(a), Value::String(b)) => Common::String(a, b),
        (Value::Time(a), Value::Time(b)) => Common::Time(*a, *b),
        (Value::Quantity(_), _) | (_, Value::Quantity(_)) => Common::Quantity(quantity(a)?, quantity(b)?),
        (Value::Integer(_) | Value::Decimal(_), _) => Common::Number(number(a)?, number(b)?),
        _ => Common::DateTime(at(a)?, at(b)?),
    })
}

/// A number of either type.
pub fn number(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(*value),
        _ => None,
    }
}

fn values_equal(a: &Value<'_>, b: &Value<'_>) -> Option<bool> {
    Some(match common(a, b) {
        None => false,
        Some(Common::Boolean(a, b)) => a == b,
        Some(Common::Number(a, b)) => a == b,
        Some(Common::String(a, b)) => a == b,
        Some(Common::DateTime(a, b)) => return a.compare(b).map(Ordering::is_eq),
        Some(Common::Time(a, b)) => return a.compare(b).map(Ordering::is_eq),
        Some(Common::Quantity(a, b)) => return compare_quantities(&a, &b).map(Ordering::is_eq),
    })
}

/// Compares; the error says that the types do not compare, `None` that precision or units leave it open.
pub fn compare(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, ()> {
    match common(a, b) {
        None | Some(Common::Boolean(..)) => Err(()),
        Some(Common::Number(a, b)) => Ok(Some(a.cmp(&b))),
        Some(Common::String(a, b)) => Ok(Some(a.cmp(b))),
        Some(Common::DateTime(a, b)) => Ok(a.compare(b)),
        Some(Common::Time(a, b)) => Ok(a.compare(b)),
        Some(Common::Quantity(a, b)) => Ok(compare_quantities(&a, &b)),
    }
}

/// Compares quantities of the same unit, and durations whose units always have the same length.
fn compare_quantities(a: &Quantity<'_>, b: &Quantity<'_>) -> Option<Ordering> {
    if a.unit == b.unit {
        return Some(a.value.cmp(&b.value));
    }
    Some(nanos(a)?.cmp(&nanos(b)?))
}

/// The length of a duration of days, hours and the like.
fn nanos(one: &Quantity<'_>) -> Option<Decimal> {
    one.value.checked_mul(Decimal::from(duration(&one.unit)?.nanos()?))
}

/// The duration a unit means, of the calendar or of UCUM.
pub fn duration(unit: &Measure<'_>) -> Option<Unit> {
    match unit {
        Measure::Calendar(unit) => Some(*unit),
        Measure::Ucum(code) => Unit::ucum(code),
        Measure::Other(_) => None,
    }
}

/// Whether two items are equivalent: case, kind of white space, precision and order do not count.
pub fn equivalent<'d>(tree: &Tree<'d>, a: &Item<'d>, b: &Item<'d>) -> bool {
    match (a, b) {
        (Item::Element(a), Item::Element(b)) => elements_equivalent(tree, *a, *b),
        (Item::Type(a), Item::Type(b)) => a == b,
        _ => match (a.value(tree), b.value(tree)) {
            (Some(a), Some(b)) => values_equivalent(&a, &b),
            _ => false,
        },
    }
}

fn elements_equivalent(tree: &Tree<'_>, a: Node, b: Node) -> bool {
    if a == b {
        return true;
    }
    match (Value::of(tree, a), Value::of(tree, b)) {
        (Some(a), Some(b)) => return values_equivalent(&a, &b),
        (None, None) => {}
        _ => return false,
    }
    if resource_type(tree, a) != resource_type(tree, b) || unread(tree, a) != unread(tree, b) {
        return false;
    }
    let (a, b) = (sorted(tree, a), sorted(tree, b));
    let groups = |children: &[(&str, Node)]| children.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect::<Vec<_>>();
    if a.len() != b.len() || groups(&a) != groups(&b) {
        return false;
    }
    let mut groups = a.chunk_by(|a, b| a.0 == b.0).zip(b.chunk_by(|a, b| a.0 == b.0));
    groups.all(|(a, b)| {
        let items = |group: &[(&str, Node)]| group.iter().map(|(_, node)| Item::Element(*node)).collect::<Vec<_>>();
        a[0].0 == b[0].0 && all_equivalent(tree, &items(a), &items(b))
    })
}

/// Whether two collections are equivalent: the same items in any order.
pub fn all_equivalent<'d>(tree: &Tree<'d>, a: &[Item<'d>], b: &[Item<'d>]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // In order first: the usual case, and linear.
    let differs = a.iter().zip(b).position(|(a, b)| !equivalent(tree, a, b));
    let Some(from) = differs else { return true };
    let mut rest: Vec<&Item<'d>> = b[from..].iter().collect();
    // Whoever compares long lists in different orders has to sort them.
    rest.len() <= 1_000
        && a[from..].iter().all(|item| {
            let found = rest.iter().position(|other| equivalent(tree, item, other));
            found.is_some_and(|at| {
                rest.swap_remove(at);
                true
            })
        })
}

fn values_equivalent(a: &Value<'_>, b: &Value<'_>) -> bool {
    match common(a, b) {
        None => false,
        Some(Common::Boolean(a, b)) => a == b,
        Some(Common::Number(a, b)) => numbers_equivalent(a, b),
        Some(Common::String(a, b)) => {
            // Every white space character is like every other (section 6.1.2).
            let like = |c: char| if c.is_whitespace() { ' ' } else { c };
            a.chars().map(like).flat_map(char::to_lowercase).eq(b.chars().map(like).flat_map(char::to_lowercase))
        }
        Some(Common::DateTime(a, b)) => a.compare(b).is_some_and(Ordering::is_eq),
        Some(Common::Time(a, b)) => a.compare(b).is_some_and(Ordering::is_eq),
        Some(Common::Quantity(a, b)) => quantities_equivalent(&a, &b),
    }
}

fn quantities_equivalent(a: &Quantity<'_>, b: &Quantity<'_>) -> bool {
    let same_unit = a.unit == b.unit || duration(&a.unit).is_some_and(|unit| duration(&b.unit) == Some(unit));
    if same_unit { numbers_equivalent(a.value, b.value) } else { compare_quantities(a, b).is_some_and(Ordering::is_eq) }
}

/// Equal at the precision of the less precise.
fn numbers_equivalent(a: Decimal, b: Decimal) -> bool {
    let scale = a.normalize().scale().min(b.normalize().scale());
    a.round_dp(scale) == b.round_dp(scale)
}

/// A set of items, each with a number by the order of its coming.
pub struct Set<'d> {
    items: Vec<Item<'d>>,
    /// The first item with this hash.
    heads: HashMap<u64, u32>,
    /// For each item the next one with the same hash.
    next: Vec<u32>,
    state: RandomState,
}

impl<'d> Set<'d> {
    /// Sets of so few items are searched.
    const FEW: usize = 8;
    const NONE: u32 = u32::MAX;

    pub fn new() -> Self {
        Self { items: Vec::new(), heads: HashMap::new(), next: Vec::new(), state: RandomState::new() }
    }

    /// The set of a collection's items.
    pub fn of(tree: &Tree<'d>, items: &Collection<'d>) -> Self {
        let mut set = Self::new();
        for item in items {
            set.insert(tree, item);
        }
        set
    }

    /// The same set, with texts of its own.
    pub fn into_owned(self) -> Set<'static> {
        let items = self.items.into_iter().map(Item::into_owned).collect();
        Set { items, heads: self.heads, next: self.next, state: self.state }
    }

    /// Adds an item unless an equal one is there; whether it is new.
    pub fn insert(&mut self, tree: &Tree<'d>, item: &Item<'d>) -> bool {
        if self.contains(tree, item) {
            return false;
        }
        self.items.push(item.clone());
        if self.items.len() > Self::FEW {
            for index in self.next.len()..self.items.len() {
                self.index(tree, index);
            }
        }
        true
    }

    fn index(&mut self, tree: &Tree<'d>, index: usize) {
        let hash = hash(tree, &self.items[index], &self.state);
        let number = u32::try_from(index).unwrap_or(Self::NONE);
        self.next.push(self.heads.insert(hash, number).unwrap_or(Self::NONE));
    }

    /// Whether an equal item is there.
    pub fn contains(&self, tree: &Tree<'d>, item: &Item<'d>) -> bool {
        if self.items.len() <= Self::FEW {
            return self.items.iter().any(|known| equal(tree, known, item) == Some(true));
        }
        let mut at = self.heads.get(&hash(tree, item, &self.state)).copied();
        while let Some(index) = at.filter(|index| *index != Self::NONE) {
            if equal(tree, &self.items[index as usize], item) == Some(true) {
                return true;
            }
            at = self.next.get(index as usize).copied();
        }
        false
    }
}

/// A number that is the same for equal items.
fn hash(tree: &Tree<'_>, item: &Item<'_>, state: &RandomState) -> u64 {
    let mut hasher = state.build_hasher();
    match item {
        Item::Element(node) => hash_element(tree, *node, &mut hasher),
        Item::Value(value) => hash_value(value, &mut hasher),
        Item::Target(ty) => ty.hash(&mut hasher),
        Item::Type(name) => name.hash(&mut hasher),
    }
    hasher.finish()
}

fn hash_element(tree: &Tree<'_>, node: Node, hasher: &mut impl Hasher) {
    if let Some(value) = Value::of(tree, node) {
        return hash_value(&value, hasher);
    }
    // May equal a quantity that was computed.
    if let Some(quantity) = Quantity::of(tree, node) {
        return hash_quantity(&quantity, hasher);
    }
    if let Some(raw) = unread(tree, node) {
        return raw.hash(hasher);
    }
    for (name, child) in sorted(tree, node) {
        name.hash(hasher);
        hash_element(tree, child, hasher);
    }
}

fn hash_value(value: &Value<'_>, hasher: &mut impl Hasher) {
    match value {
        Value::Boolean(value) => value.hash(hasher),
        Value::Integer(value) => hash_number(Decimal::from(*value), hasher),
        Value::Decimal(value) => hash_number(*value, hasher),
        Value::String(value) => value.hash(hasher),
        Value::Date(date) => DateTime { date: *date, time: None, zone: None }.key().hash(hasher),
        Value::DateTime(at) => at.key().hash(hasher),
        Value::Time(time) => time.key().hash(hasher),
        Value::Quantity(quantity) => hash_quantity(quantity, hasher),
    }
}

fn hash_quantity(quantity: &Quantity<'_>, hasher: &mut impl Hasher) {
    // Durations of different units may be equal.
    hash_number(nanos(quantity).unwrap_or(quantity.value), hasher);
}

fn hash_number(value: Decimal, hasher: &mut impl Hasher) {
    let value = value.normalize();
    value.to_i64().filter(|_| value.scale() == 0).hash(hasher);
    (value.mantissa(), value.scale()).hash(hasher);
}
