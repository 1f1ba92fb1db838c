//! One element of a JSON object with all its items: a member, its `_` sibling, or both (FHIR R4 json.html#primitive). An
//! element that does not repeat has one item at most.

use super::value::Value;

/// The items of one element, in their order.
#[derive(Debug, Default)]
pub struct List {
    pub items: Vec<Item>,
    is_array: bool,
}

/// A value, what a primitive has beside it, or both.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub value: Option<Value>,
    /// `id` and `extension` of a primitive.
    pub shadow: Option<Value>,
}

impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self { value: Some(value), shadow: None }
    }
}

impl Item {
    /// Whether nothing is left of it.
    pub const fn is_empty(&self) -> bool {
        self.value.is_none() && self.shadow.is_none()
    }
}

impl List {
    /// A list of one item.
    pub fn of(item: Item, is_array: bool) -> Self {
        Self { items: vec![item], is_array }
    }

    /// Takes the element `name` out of an object, to be [put](Self::put) back.
    pub fn take(object: &mut Value, name: &str, is_array: bool) -> Self {
        let values = taken(object, name, is_array);
        let shadows = taken(object, &sibling(name), is_array);
        let count = values.len().max(shadows.len());
        let (mut values, mut shadows) = (values.into_iter(), shadows.into_iter());
        let items = (0..count).map(|_| Item { value: values.next().flatten(), shadow: shadows.next().flatten() });
        Self { items: items.collect(), is_array }
    }

    /// Puts it back. Items without anything are left out, and so is what then has no items.
    pub fn put(mut self, object: &mut Value, name: &str) {
        self.items.retain(|item| !item.is_empty());
        let (values, shadows): (Vec<_>, Vec<_>) = self.items.into_iter().map(|item| (item.value, item.shadow)).unzip();
        put(object, name, values, self.is_array);
        put(object, &sibling(name), shadows, self.is_array);
    }
}

fn sibling(name: &str) -> String {
    format!("_{name}")
}

/// Leaves the member in its place, to be overwritten or removed.
fn taken(object: &mut Value, name: &str, is_array: bool) -> Vec<Option<Value>> {
    let Some(member) = object.member_mut(name) else { return Vec::new() };
    let some = |value: Value| (!value.is_null()).then_some(value);
    match std::mem::replace(member, Value::null()) {
        Value::Array(items) if is_array => items.into_iter().map(some).collect(),
        one => vec![some(one)],
    }
}

fn put(object: &mut Value, name: &str, parts: Vec<Option<Value>>, is_array: bool) {
    if parts.iter().all(Option::is_none) {
        object.remove_member(name);
        return;
    }
    let mut parts = parts.into_iter().map(|part| part.unwrap_or_else(Value::null));
    let member = if is_array { Some(Value::Array(parts.collect())) } else { parts.next() };
    if let Some(member) = member {
        object.set_member(name, member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Doc, Limits};

    fn value(text: &str) -> Value {
        Value::of(Doc::parse(text, &Limits::default()).unwrap().root())
    }

    fn changed(text: &str, is_array: bool, change: impl FnOnce(&mut Vec<Item>)) -> String {
        let mut object = value(text);
        let mut list = List::take(&mut object, "a", is_array);
        change(&mut list.items);
        list.put(&mut object, "a");
        object.text()
    }

    #[test]
    fn a_value_and_what_is_beside_it_are_one_item() {
        let both = r#"{"a":["x",null,"z"],"b":1,"_a":[null,{"id":"y"}]}"#;
        for (index, left) in [
            (0, r#"{"a":[null,"z"],"b":1,"_a":[{"id":"y"},null]}"#),
            (1, r#"{"a":["x","z"],"b":1}"#),
            (2, r#"{"a":["x",null],"b":1,"_a":[null,{"id":"y"}]}"#),
        ] {
            assert_eq!(changed(both, true, |items| drop(items.remove(index))), left);
        }
        assert_eq!(changed(both, true, |items| items.truncate(0)), r#"{"b":1}"#);
        assert_eq!(
            changed(both, true, |items| drop(items.drain(..1))),
            r#"{"a":[null,"z"],"b":1,"_a":[{"id":"y"},null]}"#
        );
        let added = r#"{"a":["x",null,"z",1.50],"b":1,"_a":[null,{"id":"y"},null,null]}"#;
        assert_eq!(changed(both, true, |items| items.push(value("1.50").into())), added);
        let only_beside = r#"{"_a":[{"id":"y"}]}"#;
        assert_eq!(
            changed(only_beside, true, |items| items.insert(0, value("1").into())),
            r#"{"_a":[null,{"id":"y"}],"a":[1,null]}"#
        );
    }

    #[test]
    fn what_does_not_repeat_is_a_list_of_one() {
        let both = r#"{"a":1.0,"_a":{"id":"y"}}"#;
        assert_eq!(changed(both, false, |_| ()), both);
        assert_eq!(changed(both, false, |items| items[0].value = None), r#"{"_a":{"id":"y"}}"#);
        assert_eq!(changed(both, false, |items| items[0].shadow = None), r#"{"a":1.0}"#);
        assert_eq!(changed(both, false, |items| items[0] = Item::default()), "{}");
        assert_eq!(changed("{}", false, |items| items.push(value("2").into())), r#"{"a":2}"#);
    }
}
