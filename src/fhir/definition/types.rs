//! The table of R4's types: which elements each has, and what type those are. Everything walks along it: the tree, the
//! validator, FHIRPath, XML.
//!
//! Choice elements are expanded (`valueQuantity` of the element `value`), backbone elements are types of their own
//! (`Patient.contact`), content references are resolved.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use super::{
    package,
    structure::{self, Binding, Constraint, Element, Max, Structure, TypeRef},
};

use crate::fhir::json::fingerprint;

/// The canonical base of R4's own definitions.
pub const R4: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Index of a type in [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u16);

/// Index of a field in [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(u16);

impl TypeId {
    /// A number from 0 on, in the order of [`Types::all`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl FieldId {
    /// A number from 0 on, in the order of [`Types::all_fields`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// R4's primitive types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    /// The primitive of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }
}

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Primitive(Primitive),
    /// A complex type, or a backbone element.
    Complex,
    Resource,
}

/// One type.
#[derive(Debug)]
pub struct Type {
    /// `Patient`, `HumanName`, `string`, `Patient.contact`.
    pub name: Box<str>,
    pub kind: Kind,
    pub is_abstract: bool,
    /// What it specialises: `DomainResource`, `Quantity` for `Age`, `BackboneElement`.
    pub base: Option<TypeId>,
    /// Invariants on the type itself.
    pub constraints: Vec<Arc<Constraint>>,
    fields: std::ops::Range<u16>,
    /// The fields' indices by the fingerprints of their names, open-addressed; its length is a power of two.
    slots: Vec<u16>,
}

const FREE: u16 = u16::MAX;

/// One element of a type, as JSON names it: a choice element has a field for each of its types.
#[derive(Debug)]
pub struct Field {
    /// `valueQuantity`
    pub name: Box<str>,
    /// The element without its type: `value`. FHIRPath's name for it.
    pub element: Box<str>,
    /// Whether it is one of several: `value[x]`.
    pub is_choice: bool,
    /// The type that has this field.
    pub holder: TypeId,
    pub ty: TypeId,
    pub min: u32,
    pub max: Max,
    /// Whether JSON writes an array.
    pub is_array: bool,
    pub is_xml_attribute: bool,
    pub is_modifier: bool,
    pub is_summary: bool,
    pub binding: Option<Binding>,
    /// Profiles on the type that R4 itself demands, such as SimpleQuantity: one of them must fit.
    pub profiles: Vec<String>,
    /// What a Reference or canonical may lead to: canonical URLs of R4 types. Empty: anything.
    pub targets: Vec<String>,
    /// Invariants on this element, beyond those of its type.
    pub constraints: Vec<Arc<Constraint>>,
    /// Characters.
    pub max_length: Option<u32>,
    pub min_value: Option<structure::Value>,
    pub max_value: Option<structure::Value>,
}

/// All types.
#[derive(Debug)]
pub struct Types {
    types: Vec<Type>,
    fields: Vec<Field>,
    by_name: HashMap<Box<str>, TypeId>,
    /// The types that things are looked up for all the time.
    pub known: Known,
}

/// Types the engine itself speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub resource: TypeId,
    pub domain_resource: TypeId,
    pub element: TypeId,
    pub extension: TypeId,
    pub reference: TypeId,
    pub coding: TypeId,
    pub codeable_concept: TypeId,
    pub quantity: TypeId,
    pub bundle: TypeId,
    pub narrative: TypeId,
    pub string: TypeId,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| Types::compile(&package::r4().types()));

/// R4's types.
pub fn r4() -> &'static Types {
    &TYPES
}

impl Types {
    /// The type with this index.
    pub fn ty(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// The field with this index.
    pub fn field(&self, id: FieldId) -> &Field {
        &self.fields[id.0 as usize]
    }

    /// The type of this name; case matters.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// All types, in the order of their names' first appearance in R4.
    pub fn all(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        (0..).map(TypeId).zip(&self.types)
    }

    /// All fields of all types.
    pub fn all_fields(&self) -> impl Iterator<Item = (FieldId, &Field)> {
        (0..).map(FieldId).zip(&self.fields)
    }

    /// The concrete resource types.
    pub fn resources(&self) -> impl Iterator<Item = &Type> {
        self.types.iter().filter(|ty| ty.kind == Kind::Resource && !ty.is_abstract)
    }

    /// The concrete resource type of this name.
    pub fn resource(&self, name: &str) -> Option<TypeId> {
        let id = self.named(name)?;
        (self.ty(id).kind == Kind::Resource && !self.ty(id).is_abstract).then_some(id)
    }

    /// The primitive this type is.
    pub fn primitive(&self, id: TypeId) -> Option<Primitive> {
        match self.ty(id).kind {
            Kind::Primitive(primitive) => Some(primitive),
            Kind::Complex | Kind::Resource => None,
        }
    }

    /// The fields of a type, in R4's order.
    pub fn fields(&self, of: TypeId) -> impl DoubleEndedIterator<Item = (FieldId, &Field)> + Clone {
        let range = self.ty(of).fields.clone();
        range.clone().map(FieldId).zip(&self.fields[range.start as usize..range.end as usize])
    }

    /// The field that JSON calls `name`.
    pub fn field_named(&self, of: TypeId, name: &str) -> Option<FieldId> {
        self.field_printed(of, fingerprint(name.as_bytes()), name)
    }

    /// The same, where the name's [`fingerprint`] is known.
    pub fn field_printed(&self, of: TypeId, print: u32, name: &str) -> Option<FieldId> {
        let slots = &self.ty(of).slots;
        let mut at = print as usize;
        loop {
            let field = slots[at & (slots.len() - 1)];
            if field == FREE || *self.fields[field as usize].name == *name {
                return (field != FREE).then_some(FieldId(field));
            }
            at += 1;
        }
    }

    /// The first field of the element `name`: for a choice, the fields of the same element follow it.
    pub fn element_named(&self, of: TypeId, name: &str) -> Option<FieldId> {
        self.fields(of).find(|(_, field)| &*field.element == name).map(|(id, _)| id)
    }

    /// Whether `id` is `ancestor` or a specialisation of it.
    pub fn is_a(&self, id: TypeId, ancestor: TypeId) -> bool {
        std::iter::successors(Some(id), |id| self.ty(*id).base).any(|id| id == ancestor)
    }

    /// Whether an element of type `id` may stand where `wanted` is asked for: a `code` is no `string` there, but any resource
    /// is a `Resource`.
    pub fn fits(&self, id: TypeId, wanted: TypeId) -> bool {
        id == wanted || (self.ty(wanted).is_abstract && self.is_a(id, wanted))
    }

    /// Builds the table from R4's own structures; constraints (profiles) are passed over.
    pub(super) fn compile(structures: &[Structure]) -> Self {
        Builder::new(structures).build()
    }
}

struct Builder<'s> {
    structures: Vec<&'s Structure>,
    by_name: HashMap<Box<str>, TypeId>,
    /// For each type: its structure and the index of its element there.
    sources: Vec<(&'s Structure, usize)>,
}

impl<'s> Builder<'s> {
    fn new(structures: &'s [Structure]) -> Self {
        let defining = structures.iter().filter(|one| !one.is_constraint && one.kind != structure::Kind::Logical);
        let mut builder = Self { structures: defining.collect(), by_name: HashMap::new(), sources: Vec::new() };
        for structure in builder.structures.clone() {
            builder.announce(&structure.type_name, structure, 0);
            for (index, element) in structure.elements.iter().enumerate().skip(1) {
                if element.types.iter().any(is_nested) {
                    builder.announce(&element.path, structure, index);
                }
            }
        }
        builder
    }

    #[expect(clippy::cast_possible_truncation, reason = "R4 has 683 types")]
    fn announce(&mut self, name: &str, structure: &'s Structure, index: usize) {
        let id = TypeId(self.sources.len() as u16);
        self.sources.push((structure, index));
        self.by_name.insert(name.into(), id);
    }

    fn build(self) -> Types {
        let mut types = Vec::with_capacity(self.sources.len());
        let mut fields = Vec::new();
        for (number, (structure, index)) in self.sources.iter().enumerate() {
            types.push(self.ty(number, structure, *index, &mut fields));
        }
        let known = |name: &str| self.by_name.get(name).copied().unwrap_or(TypeId(0));
        let known = Known {
            resource: known("Resource"),
            domain_resource: known("DomainResource"),
            element: known("Element"),
            extension: known("Extension"),
            reference: known("Reference"),
            coding: known("Coding"),
            codeable_concept: known("CodeableConcept"),
            quantity: known("Quantity"),
            bundle: known("Bundle"),
            narrative: known("Narrative"),
            string: known("string"),
        };
        Types { types, fields, by_name: self.by_name, known }
    }

    #[expect(clippy::cast_possible_truncation, reason = "R4 has 683 types with 8,207 fields")]
    fn ty(&self, number: usize, structure: &Structure, index: usize, fields: &mut Vec<Field>) -> Type {
        let element = &structure.elements[index];
        let primitive = Primitive::named(&structure.type_name).filter(|_| index == 0);
        let start = fields.len() as u16;
        let prefix = format!("{}.", element.path);
        for child in &structure.elements[index + 1..] {
            let Some(name) = child.path.strip_prefix(&prefix) else { break };
            // The value of a primitive is no element.
            if !name.contains('.') && (primitive.is_none() || name != "value") {
                self.fields(TypeId(number as u16), name, child, fields);
            }
        }
        let range = start..fields.len() as u16;
        let slots = slots(range.clone(), fields);
        let kind = match (index, structure.kind) {
            (0, structure::Kind::Resource) => Kind::Resource,
            _ => primitive.map_or(Kind::Complex, Kind::Primitive),
        };
        let base = if index == 0 {
            structure.base.as_ref().and_then(|base| base.strip_prefix(R4))
        } else {
            element.types.first().map(|one| one.code.as_str())
        };
        Type {
            name: if index == 0 { structure.type_name.as_str().into() } else { element.path.as_str().into() },
            kind,
            is_abstract: structure.is_abstract && index == 0,
            base: base.and_then(|base| self.by_name.get(base)).copied(),
            constraints: element.constraints.clone(),
            fields: range,
            slots,
        }
    }

    fn fields(&self, holder: TypeId, name: &str, child: &Element, fields: &mut Vec<Field>) {
        let stem = name.strip_suffix("[x]");
        let element: Box<str> = stem.unwrap_or(name).into();
        if let Some(reference) = &child.content_reference {
            let ty = self.by_name.get(reference.trim_start_matches('#')).copied();
            fields.extend(ty.map(|ty| field(holder, element.clone(), element, ty, child, None)));
            return;
        }
        // A Reference may stand several times in an element's types, once for each target.
        let mut seen: Vec<(TypeId, usize)> = Vec::new();
        for one in &child.types {
            let is_resource_id = name == "id"
                && self.sources[holder.0 as usize].0.kind == structure::Kind::Resource
                && self.sources[holder.0 as usize].1 == 0;
            let code = match one.code.as_str() {
                _ if is_nested(one) => child.path.as_str(),
                // R4 says string; the text of resource.html and every implementation say id.
                "string" if is_resource_id => "id",
                code => code,
            };
            let Some(ty) = self.by_name.get(code).copied() else { continue };
            if let Some((_, known)) = seen.iter().find(|(known, _)| *known == ty) {
                fields[*known].targets.extend(one.target_profiles.iter().cloned());
                continue;
            }
            seen.push((ty, fields.len()));
            let json = stem.map_or_else(|| name.into(), |stem| format!("{stem}{}", capitalised(code)).into());
            fields.push(field(holder, json, element.clone(), ty, child, Some(one)));
        }
    }
}

/// A table of fields by name, at most half full.
fn slots(range: std::ops::Range<u16>, fields: &[Field]) -> Vec<u16> {
    let mut slots = vec![FREE; (2 * range.len() + 1).next_power_of_two()];
    let mask = slots.len() - 1;
    for field in range {
        let mut at = fingerprint(fields[field as usize].name.as_bytes()) as usize & mask;
        while slots[at] != FREE {
            at = (at + 1) & mask;
        }
        slots[at] = field;
    }
    slots
}

fn field(
    holder: TypeId,
    name: Box<str>,
    element: Box<str>,
    ty: TypeId,
    child: &Element,
    one: Option<&TypeRef>,
) -> Field {
    let max = child.max.unwrap_or(Max::Times(1));
    Field {
        is_choice: child.path.ends_with("[x]"),
        name,
        element,
        holder,
        ty,
        min: child.min.unwrap_or_default(),
        max,
        is_array: child.base_max.unwrap_or(max).is_many(),
        is_xml_attribute: child.is_xml_attribute,
        is_modifier: child.is_modifier,
        is_summary: child.is_summary,
        binding: child.binding.clone(),
        profiles: one.map(|one| one.profiles.clone()).unwrap_or_default(),
        targets: one.map(|one| one.target_profiles.clone()).unwrap_or_default(),
        constraints: child.constraints.clone(),
        max_length: child.max_length,
        min_value: child.min_value.clone(),
        max_value: child.max_value.clone(),
    }
}

/// Whether an element's type is written out under the element itself.
fn is_nested(one: &TypeRef) -> bool {
    matches!(one.code.as_str(), "BackboneElement" | "Element")
}

fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_is_complete() {
        let types = r4();
        assert_eq!(types.resources().count(), 146);
        assert_eq!(types.all().filter(|(_, ty)| matches!(ty.kind, Kind::Primitive(_))).count(), 20);
        let observation = types.named("Observation").unwrap();
        let value = types.field(types.field_named(observation, "valueQuantity").unwrap());
        assert_eq!((&*value.element, value.is_choice, &*types.ty(value.ty).name), ("value", true, "Quantity"));
        let choices = types.fields(observation).filter(|(_, field)| &*field.element == "value").count();
        assert_eq!(choices, 11);
        let contact = types.named("Patient.contact").unwrap();
        assert!(types.is_a(contact, types.named("BackboneElement").unwrap()));
        let item = types.named("Questionnaire.item").unwrap();
        assert_eq!(types.field(types.field_named(item, "item").unwrap()).ty, item);
        let subject = types.field(types.field_named(observation, "subject").unwrap());
        assert_eq!(subject.targets.len(), 4);
        let patient = types.named("Patient").unwrap();
        assert_eq!(&*types.ty(types.field(types.field_named(patient, "id").unwrap()).ty).name, "id");
    }
}
