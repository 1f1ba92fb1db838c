//! Element names as numbers, so that a step of a path compares two integers for each child.

use std::{collections::HashMap, sync::LazyLock};

use crate::fhir::definition::types::{FieldId, r4};

/// The name of an element of R4: `value` for `valueQuantity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(u16);

struct Names {
    by_text: HashMap<&'static str, Name>,
    /// For each field, the name of its element.
    of_field: Vec<Name>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let mut by_text = HashMap::new();
    let mut of_field = Vec::new();
    for (_, field) in r4().all().flat_map(|(ty, _)| r4().fields(ty)) {
        let next = Name(u16::try_from(by_text.len()).unwrap_or(u16::MAX));
        of_field.push(*by_text.entry(&*field.element).or_insert(next));
    }
    Names { by_text, of_field }
});

impl Name {
    /// The name, if some element of R4 has it.
    pub fn of(text: &str) -> Option<Self> {
        NAMES.by_text.get(text).copied()
    }
}

/// The names of all fields' elements, by [`FieldId::index`].
pub fn of_fields() -> &'static [Name] {
    &NAMES.of_field
}

/// The name of a field's element.
pub fn of_field(names: &[Name], field: FieldId) -> Option<Name> {
    names.get(field.index()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_has_one_name() {
        let observation = r4().named("Observation").unwrap();
        let name = |field: &str| of_field(of_fields(), r4().field_named(observation, field).unwrap());
        assert_eq!(name("valueQuantity"), Name::of("value"));
        assert_eq!(name("valueString"), name("valueQuantity"));
        assert_ne!(name("status"), name("valueQuantity"));
        assert_eq!(Name::of("nothing"), None);
    }
}
