//! One StructureDefinition (FHIR R4 structuredefinition.html), reduced to what can be checked: no narrative, no prose, no
//! mappings.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fhir::json::Ref;

/// `StructureDefinition.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Primitive,
    Complex,
    Resource,
    Logical,
}

/// A StructureDefinition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// The canonical URL.
    pub url: String,
    pub version: Option<String>,
    pub name: String,
    pub kind: Kind,
    pub is_abstract: bool,
    /// The type it defines or constrains: `Patient`, `Extension`.
    pub type_name: String,
    /// `baseDefinition`
    pub base: Option<String>,
    /// Whether it constrains a type (a profile) rather than defining one.
    pub is_constraint: bool,
    /// Where an extension may stand.
    pub contexts: Vec<Context>,
    /// FHIRPath that must hold where an extension stands.
    pub context_invariants: Vec<String>,
    /// Whether `elements` is a snapshot; otherwise it is a differential.
    pub is_snapshot: bool,
    pub elements: Vec<Element>,
}

/// `StructureDefinition.context`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// `element`, `extension` or `fhirpath`.
    pub kind: String,
    pub expression: String,
}

/// An ElementDefinition (FHIR R4 elementdefinition.html). What a differential may leave out is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// `Patient.identifier:jhn.system`
    pub id: String,
    /// `Patient.identifier.system`
    pub path: String,
    pub slice_name: Option<String>,
    pub slicing: Option<Slicing>,
    pub min: Option<u32>,
    pub max: Option<Max>,
    /// `base.max`: whether the element is a list in the type that defines it.
    pub base_max: Option<Max>,
    /// `base.path`
    pub base_path: Option<String>,
    pub types: Vec<TypeRef>,
    /// `contentReference`: `#Questionnaire.item`
    pub content_reference: Option<String>,
    pub fixed: Option<Value>,
    pub pattern: Option<Value>,
    pub min_value: Option<Value>,
    pub max_value: Option<Value>,
    /// Characters.
    pub max_length: Option<u32>,
    /// Shared: a package holds each invariant once (`ele-1` stands on almost every element). Not part of the element's own
    /// compiled form; [`super::package`] writes it beside.
    #[serde(skip)]
    pub constraints: Vec<Arc<Constraint>>,
    pub binding: Option<Binding>,
    pub must_support: bool,
    pub is_modifier: bool,
    pub is_summary: bool,
    pub is_xml_attribute: bool,
    /// Whether `orderMeaning` is given.
    pub is_ordered: bool,
}

/// An upper cardinality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Max {
    Times(u32),
    Unbounded,
}

impl Max {
    /// Whether the element is a list.
    pub fn is_many(self) -> bool {
        self > Self::Times(1)
    }

    /// Whether so many are allowed.
    pub fn allows(self, count: usize) -> bool {
        match self {
            Self::Times(most) => count <= most as usize,
            Self::Unbounded => true,
        }
    }

    /// `0`, `1`, `*` as ElementDefinition writes it.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" { Some(Self::Unbounded) } else { text.parse().ok().map(Self::Times) }
    }
}

impl std::fmt::Display for Max {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(most) => most.fmt(f),
            Self::Unbounded => f.write_str("*"),
        }
    }
}

/// `ElementDefinition.type`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeRef {
    /// The type's name. For `http://hl7.org/fhirpath/System.…` codes: the FHIR type that the extension
    /// `structuredefinition-fhir-type` names.
    pub code: String,
    pub profiles: Vec<String>,
    pub target_profiles: Vec<String>,
    /// `contained`, `referenced`, `bundled`.
    pub aggregation: Vec<String>,
    /// The regular expression of a primitive's value (extension `regex`).
    pub regex: Option<String>,
}

/// A `fixed[x]`, `pattern[x]`, `minValue[x]` or `maxValue[x]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// `CodeableConcept`, `code`.
    pub type_name: String,
    /// JSON text.
    pub json: String,
    /// JSON text of the `_fixed…` sibling.
    pub shadow: Option<String>,
}

/// `ElementDefinition.slicing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slicing {
    pub discriminators: Vec<Discriminator>,
    pub rules: Rules,
    pub is_ordered: bool,
}

/// `ElementDefinition.slicing.rules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rules {
    Open,
    Closed,
    OpenAtEnd,
}

/// `ElementDefinition.slicing.discriminator`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discriminator {
    pub kind: DiscriminatorKind,
    /// A FHIRPath of names, `ofType()`, `resolve()` and `extension()`; `$this` for the element itself.
    pub path: String,
}

/// `ElementDefinition.slicing.discriminator.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiscriminatorKind {
    Value,
    Exists,
    Pattern,
    Type,
    Profile,
}

/// `ElementDefinition.constraint`: an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Constraint {
    pub key: String,
    /// Severity `error`; otherwise `warning`.
    pub is_error: bool,
    /// What it says, for people.
    pub human: String,
    /// FHIRPath; absent where only people can check it.
    pub expression: Option<String>,
    /// The structure it comes from.
    pub source: Option<String>,
}

/// `ElementDefinition.binding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub strength: Strength,
    /// Canonical, maybe with a version.
    pub value_set: Option<String>,
    /// The extension `elementdefinition-maxValueSet`.
    pub max_value_set: Option<String>,
}

/// `ElementDefinition.binding.strength`, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Strength {
    Example,
    Preferred,
    Extensible,
    Required,
}

const EXTENSION_BASE: &str = "http://hl7.org/fhir/StructureDefinition";

impl Structure {
    /// Reads a StructureDefinition resource: its snapshot, or its differential where there is none. The error says what
    /// is missing or wrong.
    pub fn read(resource: Ref<'_>) -> Result<Self, String> {
        Self::read_view(resource, if resource.get("snapshot").is_some() { "snapshot" } else { "differential" })
    }

    /// Reads the `view` `snapshot` or `differential` of a StructureDefinition resource.
    pub fn read_view(resource: Ref<'_>, view: &str) -> Result<Self, String> {
        let required = |name: &str| text(resource, name).ok_or_else(|| format!("expected the string {name}"));
        let kind = match required("kind")?.as_str() {
            "primitive-type" => Kind::Primitive,
            "complex-type" => Kind::Complex,
            "resource" => Kind::Resource,
            "logical" => Kind::Logical,
            other => return Err(format!("kind '{other}' is not one of R4's StructureDefinitionKind")),
        };
        let elements = list(resource.get(view), "element");
        if elements.is_empty() {
            return Err("expected a snapshot or a differential with elements".to_owned());
        }
        Ok(Self {
            url: required("url")?,
            version: text(resource, "version"),
            name: text(resource, "name").unwrap_or_default(),
            kind,
            is_abstract: flag(resource, "abstract"),
            type_name: required("type")?,
            base: text(resource, "baseDefinition"),
            is_constraint: text(resource, "derivation").is_some_and(|derivation| derivation == "constraint"),
            contexts: list(Some(resource), "context")
                .into_iter()
                .filter_map(|one| Some(Context { kind: text(one, "type")?, expression: text(one, "expression")? }))
                .collect(),
            context_invariants: strings(resource, "contextInvariant"),
            is_snapshot: view == "snapshot",
            elements: elements.into_iter().map(Element::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Element {
    fn read(element: Ref<'_>) -> Result<Self, String> {
        let path = text(element, "path").ok_or("expected every element to have a path")?;
        let within = |what: String| format!("{path}: {what}");
        let max = |from: Option<Ref<'_>>, name: &str| match from.and_then(|from| text(from, name)) {
            None => Ok(None),
            Some(max) => {
                Max::parse(&max).map(Some).ok_or_else(|| within(format!("max '{max}' is no number and not *")))
            }
        };
        let base = element.get("base");
        Ok(Self {
            id: text(element, "id").unwrap_or_else(|| path.clone()),
            slice_name: text(element, "sliceName"),
            slicing: element.get("slicing").map(|one| Slicing::read(one).map_err(&within)).transpose()?,
            min: element
                .get("min")
                .map(|min| number(min).ok_or_else(|| within("min is no number".into())))
                .transpose()?,
            max: max(Some(element), "max")?,
            base_max: max(base, "max")?,
            base_path: base.and_then(|base| text(base, "path")),
            types: list(Some(element), "type").into_iter().map(TypeRef::read).collect(),
            content_reference: text(element, "contentReference"),
            fixed: Value::read(element, "fixed"),
            pattern: Value::read(element, "pattern"),
            min_value: Value::read(element, "minValue"),
            max_value: Value::read(element, "maxValue"),
            max_length: element.get("maxLength").and_then(number),
            constraints: list(Some(element), "constraint")
                .into_iter()
                .filter_map(Constraint::read)
                .map(Arc::new)
                .collect(),
            binding: element.get("binding").map(|one| Binding::read(one).map_err(&within)).transpose()?,
            must_support: flag(element, "mustSupport"),
            is_modifier: flag(element, "isModifier"),
            is_summary: flag(element, "isSummary"),
            is_xml_attribute: strings(element, "representation").iter().any(|one| one == "xmlAttr"),
            is_ordered: element.get("orderMeaning").is_some(),
            path,
        })
    }
}

impl TypeRef {
    fn read(one: Ref<'_>) -> Self {
        let extension = |name: &str| {
            let url = format!("{EXTENSION_BASE}/{name}");
            let found = list(Some(one), "extension").into_iter().find(|e| text(*e, "url").as_ref() == Some(&url))?;
            found.members().find(|(name, _)| name.starts_with("value")).and_then(|(_, value)| value.as_str())
        };
        let code = text(one, "code").unwrap_or_default();
        let code = match code.strip_prefix("http://hl7.org/fhirpath/System.") {
            // xhtml.id has no extension that tells.
            Some(_) => extension("structuredefinition-fhir-type").map_or("string".to_owned(), Into::into),
            None => code,
        };
        Self {
            code,
            profiles: strings(one, "profile"),
            target_profiles: strings(one, "targetProfile"),
            aggregation: strings(one, "aggregation"),
            regex: extension("regex").map(Into::into),
        }
    }
}

impl Value {
    fn read(element: Ref<'_>, prefix: &str) -> Option<Self> {
        let (name, value) = element.members().find_map(|(name, value)| {
            let rest = name.strip_prefix(prefix)?;
            rest.starts_with(|first: char| first.is_ascii_uppercase()).then(|| (rest.to_owned(), value))
        })?;
        let shadow = element.get(&format!("_{prefix}{name}")).map(|shadow| shadow.raw().to_owned());
        Some(Self { type_name: type_of_suffix(&name), json: value.raw().to_owned(), shadow })
    }
}

/// The type a choice suffix names: `CodeableConcept` stays, `DateTime` is `dateTime`.
pub fn type_of_suffix(suffix: &str) -> String {
    const PRIMITIVES: [&str; 19] = [
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
        "markdown",
        "oid",
        "positiveInt",
        "string",
        "time",
        "unsignedInt",
        "uri",
        "url",
        "uuid",
    ];
    let found = PRIMITIVES.into_iter().find(|name| name.eq_ignore_ascii_case(suffix));
    found.unwrap_or(suffix).to_owned()
}

impl Slicing {
    fn read(one: Ref<'_>) -> Result<Self, String> {
        let discriminators = list(Some(one), "discriminator").into_iter().map(|one| {
            let kind = match text(one, "type").unwrap_or_default().as_str() {
                "value" => DiscriminatorKind::Value,
                "exists" => DiscriminatorKind::Exists,
                "pattern" => DiscriminatorKind::Pattern,
                "type" => DiscriminatorKind::Type,
                "profile" => DiscriminatorKind::Profile,
                other => return Err(format!("slicing.discriminator.type '{other}' is none of R4's")),
            };
            Ok(Discriminator { kind, path: text(one, "path").ok_or("a discriminator has no path")? })
        });
        Ok(Self {
            discriminators: discriminators.collect::<Result<_, _>>()?,
            rules: match text(one, "rules").as_deref() {
                Some("closed") => Rules::Closed,
                Some("openAtEnd") => Rules::OpenAtEnd,
                _ => Rules::Open,
            },
            is_ordered: flag(one, "ordered"),
        })
    }
}

impl Constraint {
    fn read(one: Ref<'_>) -> Option<Self> {
        Some(Self {
            key: text(one, "key")?,
            is_error: text(one, "severity").is_none_or(|severity| severity == "error"),
            human: text(one, "human").unwrap_or_default(),
            expression: text(one, "expression"),
            source: text(one, "source"),
        })
    }
}

impl Binding {
    fn read(one: Ref<'_>) -> Result<Self, String> {
        let url = format!("{EXTENSION_BASE}/elementdefinition-maxValueSet");
        let max = list(Some(one), "extension").into_iter().find(|e| text(*e, "url").as_ref() == Some(&url));
        Ok(Self {
            strength: match text(one, "strength").unwrap_or_default().as_str() {
                "required" => Strength::Required,
                "extensible" => Strength::Extensible,
                "preferred" => Strength::Preferred,
                "example" => Strength::Example,
                other => return Err(format!("binding.strength '{other}' is none of R4's")),
            },
            value_set: text(one, "valueSet"),
            max_value_set: max.and_then(|max| text(max, "valueCanonical").or_else(|| text(max, "valueUri"))),
        })
    }
}

/// The string member `name`.
pub(super) fn text(of: Ref<'_>, name: &str) -> Option<String> {
    of.str(name).map(std::borrow::Cow::into_owned)
}

/// The items of the array member `name`.
pub(super) fn list<'d>(of: Option<Ref<'d>>, name: &str) -> Vec<Ref<'d>> {
    of.and_then(|of| of.get(name)).map(|found| found.items().collect()).unwrap_or_default()
}

/// The strings of the array member `name`.
pub(super) fn strings(of: Ref<'_>, name: &str) -> Vec<String> {
    list(Some(of), name).into_iter().filter_map(Ref::as_str).map(std::borrow::Cow::into_owned).collect()
}

/// The boolean member `name`; absent is false.
pub(super) fn flag(of: Ref<'_>, name: &str) -> bool {
    of.get(name).and_then(Ref::as_bool).unwrap_or_default()
}

fn number(value: Ref<'_>) -> Option<u32> {
    value.raw().parse().ok()
}
