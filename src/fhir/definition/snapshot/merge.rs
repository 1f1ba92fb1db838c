//! How one element of a differential changes the base's (FHIR R4 elementdefinition.html#interpretation).

use std::sync::Arc;

use crate::fhir::definition::structure::{Binding, Constraint, Element};

/// Narrows the types. The error says which type the base does not allow.
pub(super) fn types(base: &mut Element, element: &Element) -> Result<(), String> {
    if element.types.is_empty() {
        return Ok(());
    }
    let is_open = |code: &str| matches!(code, "Element" | "BackboneElement" | "Resource" | "DomainResource");
    let is_any = base.types.is_empty() || base.types.iter().any(|one| is_open(&one.code));
    let allows = |code: &str| is_any || base.types.iter().any(|one| is_kind_of(code, &one.code));
    if let Some(other) = element.types.iter().find(|one| !allows(&one.code)) {
        return Err(format!("the base does not allow the type {}", other.code));
    }
    let regexes = std::mem::take(&mut base.types);
    base.types.clone_from(&element.types);
    for one in &mut base.types {
        let known = regexes.iter().find(|known| known.code == one.code);
        one.regex = one.regex.take().or_else(|| known.and_then(|known| known.regex.clone()));
    }
    Ok(())
}

/// Whether one data type specialises another.
fn is_kind_of(code: &str, base: &str) -> bool {
    code == base
        || match base {
            "Quantity" => matches!(code, "Age" | "Count" | "Distance" | "Duration"),
            "string" => matches!(code, "code" | "id" | "markdown"),
            "uri" => matches!(code, "url" | "canonical" | "oid" | "uuid"),
            "integer" => matches!(code, "positiveInt" | "unsignedInt"),
            _ => false,
        }
}

/// Everything but the types. `url` is the structure that says so.
pub(super) fn element(base: &mut Element, element: &Element, url: &str) {
    let is_slice = base.slice_name.is_some();
    // A profile cannot loosen; a slice need not be there because another one must.
    base.min = match (base.min, element.min) {
        (Some(base), Some(own)) if !is_slice => Some(base.max(own)),
        (base, own) => own.or(base),
    };
    base.max = match (base.max, element.max) {
        (Some(base), Some(own)) => Some(base.min(own)),
        (base, own) => own.or(base),
    };
    if let Some(slicing) = &element.slicing {
        base.slicing = Some(slicing.clone());
    }
    replace(&mut base.fixed, &element.fixed);
    replace(&mut base.pattern, &element.pattern);
    replace(&mut base.min_value, &element.min_value);
    replace(&mut base.max_value, &element.max_value);
    replace(&mut base.max_length, &element.max_length);
    binding(&mut base.binding, element.binding.as_ref());
    base.must_support |= element.must_support;
    base.is_modifier |= element.is_modifier;
    base.is_summary |= element.is_summary;
    base.is_ordered |= element.is_ordered;
    for own in &element.constraints {
        let mut own = Arc::clone(own);
        if own.source.is_none() {
            Arc::make_mut(&mut own).source = Some(url.to_owned());
        }
        constraint(base, own);
    }
}

/// What the profile on an element's type says of the element itself.
pub(super) fn profile_root(base: &mut Element, root: &Element) {
    base.is_modifier |= root.is_modifier;
    for own in &root.constraints {
        constraint(base, Arc::clone(own));
    }
}

/// An invariant stands once; who states it again may only change how it is put.
fn constraint(base: &mut Element, own: Arc<Constraint>) {
    match base.constraints.iter_mut().find(|known| known.key == own.key) {
        Some(known) if known.expression == own.expression && known.is_error == own.is_error => {}
        Some(known) => *known = own,
        None => base.constraints.push(own),
    }
}

fn binding(base: &mut Option<Binding>, own: Option<&Binding>) {
    let Some(own) = own else { return };
    let mut merged = own.clone();
    if let Some(base) = base {
        merged.value_set = merged.value_set.or_else(|| base.value_set.clone());
        merged.max_value_set = merged.max_value_set.or_else(|| base.max_value_set.clone());
    }
    *base = Some(merged);
}

fn replace<T: Clone>(base: &mut Option<T>, own: &Option<T>) {
    if own.is_some() {
        base.clone_from(own);
    }
}
