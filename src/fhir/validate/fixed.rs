//! `fixed[x]` and `pattern[x]` (R4 elementdefinition.html): comparing an element with what a profile says it is.

use std::fmt;

use crate::fhir::{
    definition::structure,
    json::{Doc, Kind, Limits, Ref},
};

/// A value that an element must be, or must contain.
#[derive(Debug)]
pub(super) struct Wanted {
    doc: Doc,
    is_pattern: bool,
}

impl Wanted {
    pub fn fixed(value: &structure::Value) -> Option<Self> {
        Some(Self { doc: Doc::parse(&value.json, &Limits::default()).ok()?, is_pattern: false })
    }

    pub fn pattern(value: &structure::Value) -> Option<Self> {
        Some(Self { doc: Doc::parse(&value.json, &Limits::default()).ok()?, is_pattern: true })
    }

    pub fn root(&self) -> Ref<'_> {
        self.doc.root()
    }

    /// Whether an element is, or contains, this. The element's own value, extensions of primitives left aside.
    pub fn fits(&self, value: Option<Ref<'_>>) -> bool {
        value.is_some_and(
            |value| if self.is_pattern { contains(value, self.root()) } else { equals(value, self.root()) },
        )
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.root().raw();
        if self.is_pattern { write!(f, "something that contains {raw}") } else { f.write_str(raw) }
    }
}

/// Deep equality: members in any order, arrays in order.
fn equals(value: Ref<'_>, wanted: Ref<'_>) -> bool {
    match wanted.kind() {
        Kind::Object => {
            value.kind() == Kind::Object
                && value.members().count() == wanted.members().count()
                && wanted.members().all(|(name, wanted)| value.get(&name).is_some_and(|value| equals(value, wanted)))
        }
        Kind::Array => {
            value.kind() == Kind::Array
                && value.items().count() == wanted.items().count()
                && value.items().zip(wanted.items()).all(|(value, wanted)| equals(value, wanted))
        }
        _ => same_plain(value, wanted),
    }
}

/// Everything in the pattern is in the value; each item of an array in some item.
fn contains(value: Ref<'_>, pattern: Ref<'_>) -> bool {
    match pattern.kind() {
        Kind::Object => {
            pattern.members().all(|(name, pattern)| value.get(&name).is_some_and(|value| contains(value, pattern)))
        }
        Kind::Array => pattern.items().all(|pattern| value.items().any(|value| contains(value, pattern))),
        _ => same_plain(value, pattern),
    }
}

fn same_plain(value: Ref<'_>, wanted: Ref<'_>) -> bool {
    if value.kind() != wanted.kind() {
        return false;
    }
    match wanted.kind() {
        Kind::String => value.as_str() == wanted.as_str(),
        Kind::Number => value.raw() == wanted.raw() || same_number(value.raw(), wanted.raw()),
        _ => value.raw() == wanted.raw(),
    }
}

/// 1.0 and 1.00 are the same number.
fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a.to_bits() == b.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(json: &str, is_pattern: bool, value: &str) -> bool {
        let wanted = Wanted { doc: Doc::parse(json, &Limits::default()).unwrap(), is_pattern };
        let doc = Doc::parse(value, &Limits::default()).unwrap();
        wanted.fits(Some(doc.root()))
    }

    #[test]
    fn a_fixed_value_is_equal_and_a_pattern_is_contained() {
        let wanted = r#"{"coding":[{"system":"s","code":"c"}]}"#;
        assert!(fits(wanted, false, r#"{"coding":[{"code":"c","system":"s"}]}"#));
        assert!(!fits(wanted, false, r#"{"coding":[{"code":"c","system":"s","display":"d"}]}"#));
        assert!(fits(wanted, true, r#"{"text":"t","coding":[{"code":"x"},{"code":"c","system":"s","display":"d"}]}"#));
        assert!(!fits(wanted, true, r#"{"coding":[{"code":"c"},{"system":"s"}]}"#));
        assert!(fits("1.0", false, "1.00") && !fits("1", false, "2") && !fits("1", false, "\"1\""));
        assert!(fits("\"a\"", true, "\"\\u0061\"") && !fits("\"a\"", true, "\"ab\""));
    }
}
