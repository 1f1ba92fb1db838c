//! What R4 itself demands, laid out for the walk: per type what is required and what must hold, per field what binds it.

use std::sync::Arc;

use super::invariant::{Compiler, Invariant};
use crate::fhir::definition::{
    structure::{Binding, Max, Strength},
    types::{FieldId, R4, TypeId, Types, r4},
};

/// The demands of all of R4's types.
#[derive(Debug)]
pub(super) struct Plan {
    types: Vec<TypePlan>,
    fields: Vec<FieldPlan>,
}

/// The demands of one type.
#[derive(Debug)]
pub(super) struct TypePlan {
    /// Elements that must be there, by one of their fields.
    pub required: Vec<FieldId>,
    pub invariants: Vec<Arc<Invariant>>,
}

/// The demands of one field.
#[derive(Debug)]
pub(super) struct FieldPlan {
    pub is_id: bool,
    /// A limit below "any number" on a list.
    pub most: Option<u32>,
    /// A binding that is checked: required, extensible, or one with a maximum.
    pub binding: Option<Binding>,
    /// Types a Reference may lead to; empty: any.
    pub targets: Vec<TypeId>,
    pub invariants: Vec<Arc<Invariant>>,
}

impl Plan {
    pub fn of_r4() -> Self {
        let types = r4();
        let mut compiler = Compiler::default();
        let plans = types.all().map(|(id, _)| TypePlan::of(types, id, &mut compiler)).collect();
        let fields = types.all_fields().map(|(id, _)| FieldPlan::of(types, id, &mut compiler)).collect();
        Self { types: plans, fields }
    }

    pub fn ty(&self, id: TypeId) -> &TypePlan {
        &self.types[id.index()]
    }

    pub fn field(&self, id: FieldId) -> &FieldPlan {
        &self.fields[id.index()]
    }
}

impl TypePlan {
    fn of(types: &'static Types, id: TypeId, compiler: &mut Compiler) -> Self {
        let mut required: Vec<FieldId> = Vec::new();
        for (field, described) in types.fields(id).filter(|(_, field)| field.min > 0) {
            if !required.iter().any(|known| types.field(*known).element == described.element) {
                required.push(field);
            }
        }
        Self { required, invariants: compiler.compile(&types.ty(id).constraints) }
    }
}

impl FieldPlan {
    fn of(types: &'static Types, id: FieldId, compiler: &mut Compiler) -> Self {
        let field = types.field(id);
        let inherited = &types.ty(field.ty).constraints;
        let own = field
            .constraints
            .iter()
            .filter(|one| !inherited.iter().any(|known| known.key == one.key && known.expression == one.expression));
        let is_checked =
            |binding: &&Binding| binding.strength >= Strength::Extensible || binding.max_value_set.is_some();
        let targets: Vec<_> =
            field.targets.iter().filter_map(|url| url.strip_prefix(R4)).filter_map(|name| types.named(name)).collect();
        Self {
            is_id: &*field.element == "id",
            most: match field.max {
                Max::Times(most) if field.is_array => Some(most),
                _ => None,
            },
            binding: field.binding.as_ref().filter(is_checked).cloned(),
            targets: if targets.contains(&types.known.resource) { Vec::new() } else { targets },
            invariants: compiler.compile(own),
        }
    }
}
