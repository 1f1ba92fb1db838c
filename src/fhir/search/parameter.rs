//! The search parameters of this server: R4's and those of the loaded packages, by type.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use sha2::{Digest as _, Sha256};

use super::parameter_id;
use crate::fhir::{
    definition::{
        parameter::{Kind, SearchParameter},
        registry::Registry,
    },
    path::Expression,
    types,
};

/// Parameters that stand in no index: they are answered by the resource's own row or by a table of their own.
const WITHOUT_ROWS: [&str; 6] = ["_id", "_lastUpdated", "_text", "_content", "_list", "_has"];
/// What this server does not do.
const LEFT_OUT: [&str; 4] = ["_query", "_filter", "_type", "_in"];

/// The compartments of R4: `Compartment|Type|code,code` (compartmentdefinition.html).
const COMPARTMENTS: &str = include_str!("../../../capability/r4/compartments.txt");

/// A modifier of a search parameter (FHIR R4 search.html#modifiers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    Missing,
    Exact,
    Contains,
    Not,
    Text,
    In,
    NotIn,
    Below,
    Above,
    /// `:Patient`, any type that the reference may lead to.
    Type,
    Identifier,
    OfType,
}

impl Modifier {
    /// As it stands in SearchParameter.modifier.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Exact => "exact",
            Self::Contains => "contains",
            Self::Not => "not",
            Self::Text => "text",
            Self::In => "in",
            Self::NotIn => "not-in",
            Self::Below => "below",
            Self::Above => "above",
            Self::Type => "type",
            Self::Identifier => "identifier",
            Self::OfType => "ofType",
        }
    }
}

/// What a kind of parameter can be asked with.
const fn modifiers(kind: Kind) -> &'static [Modifier] {
    match kind {
        Kind::String => &[Modifier::Missing, Modifier::Exact, Modifier::Contains],
        Kind::Token => &[
            Modifier::Missing,
            Modifier::Not,
            Modifier::Text,
            Modifier::In,
            Modifier::NotIn,
            Modifier::Below,
            Modifier::Above,
            Modifier::OfType,
        ],
        Kind::Reference => &[Modifier::Missing, Modifier::Type, Modifier::Identifier],
        Kind::Uri => &[Modifier::Missing, Modifier::Below, Modifier::Above],
        Kind::Number | Kind::Date | Kind::Quantity => &[Modifier::Missing],
        Kind::Composite | Kind::Special => &[],
    }
}

/// A part of a composite.
#[derive(Debug)]
pub struct Component {
    /// `parameter_id(type, "code#0")`
    pub id: i32,
    pub kind: Kind,
    /// Types that a reference may lead to.
    pub targets: Vec<String>,
    text: String,
    compiled: OnceLock<Option<Expression>>,
}

impl Component {
    /// Relative to what the composite's own expression finds.
    pub fn expression(&self) -> Option<&Expression> {
        self.compiled.get_or_init(|| Expression::parse(&self.text).ok()).as_ref()
    }
}

/// One search parameter of one type.
#[derive(Debug)]
pub struct Parameter {
    /// [`parameter_id`] of type and code.
    pub id: i32,
    pub type_name: String,
    pub code: String,
    /// The canonical URL of its definition.
    pub url: String,
    pub kind: Kind,
    /// For references: the types they may lead to; empty: any.
    pub targets: Vec<String>,
    pub components: Vec<Component>,
    /// SHA-256 of what decides about its index rows.
    pub definition: [u8; 32],
    source: Arc<SearchParameter>,
    /// The part of the expression that can find something in this type.
    text: Option<String>,
    /// The elements that its paths begin with; empty: not known.
    first: Vec<String>,
    compiled: OnceLock<Option<Expression>>,
}

impl Parameter {
    /// What finds its values in a resource; `None` for those that stand in no index.
    pub fn expression(&self) -> Option<&Expression> {
        let compile = || self.text.as_ref().and_then(|text| Expression::parse(text).ok());
        self.compiled.get_or_init(compile).as_ref()
    }

    /// The elements that its values are below; empty: anywhere.
    pub fn first_elements(&self) -> &[String] {
        &self.first
    }

    /// The modifiers it can be asked with: those of its kind, or fewer where its definition names some.
    pub fn modifiers(&self) -> Vec<Modifier> {
        if WITHOUT_ROWS.contains(&&*self.code) {
            return Vec::new();
        }
        let of_kind = modifiers(self.kind).iter().copied();
        let named = &self.source.modifiers;
        let is_r4 = self.url.starts_with("http://hl7.org/fhir/SearchParameter/");
        of_kind
            .filter(|modifier| is_r4 || named.is_empty() || named.iter().any(|name| name == modifier.code()))
            .collect()
    }

    /// Whether it stands in the index.
    pub fn has_rows(&self) -> bool {
        self.text.is_some()
    }
}

/// Every search parameter.
pub struct Parameters {
    /// By type, sorted by code.
    types: HashMap<String, BTreeMap<String, Parameter>>,
    ids: HashMap<i32, (String, String)>,
    /// (compartment, type) → codes.
    compartments: HashMap<(String, String), Vec<String>>,
}

impl Parameters {
    /// The parameters of a registry, and what is wrong with those that cannot be used.
    pub fn new(registry: &Registry) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let kinds: HashMap<&str, &Arc<SearchParameter>> =
            registry.search_parameters().map(|one| (one.url.as_str(), one)).collect();
        let mut types: HashMap<String, BTreeMap<String, Parameter>> = HashMap::new();
        let mut ids: HashMap<i32, (String, String)> = HashMap::new();
        for source in registry.search_parameters() {
            if LEFT_OUT.contains(&&*source.code) || source.kind == Kind::Special && source.expression.is_some() {
                continue;
            }
            if let Err(reason) = usable(source) {
                warnings.push(format!("{}: {reason}", source.url));
                continue;
            }
            for type_name in bases(source, &mut warnings) {
                let parameter = parameter(source, type_name, &kinds);
                let name = (type_name.to_owned(), source.code.clone());
                let numbers = std::iter::once(parameter.id).chain(parameter.components.iter().map(|part| part.id));
                for number in numbers {
                    if ids.get(&number).is_some_and(|other| *other != name) {
                        warnings.push(format!("{}: its number on {type_name} is taken; use another code", source.url));
                    }
                    ids.insert(number, name.clone());
                }
                types.entry(type_name.to_owned()).or_default().insert(source.code.clone(), parameter);
            }
        }
        for type_name in types::resource_types() {
            let of_type = types.entry(type_name.to_owned()).or_default();
            for code in ["_list", "_has"] {
                of_type.entry(code.to_owned()).or_insert_with(|| special(type_name, code));
            }
        }
        (Self { types, ids, compartments: compartments() }, warnings)
    }

    /// The parameter of this code on a type.
    pub fn find(&self, type_name: &str, code: &str) -> Option<&Parameter> {
        self.types.get(type_name)?.get(code)
    }

    /// All parameters of a type, by code.
    pub fn of(&self, type_name: &str) -> impl Iterator<Item = &Parameter> {
        self.types.get(type_name).into_iter().flat_map(BTreeMap::values)
    }

    /// Those that every type has: what a search of the whole system knows.
    pub fn common(&self) -> impl Iterator<Item = &Parameter> {
        self.of("Basic").filter(|parameter| parameter.code.starts_with('_'))
    }

    /// The parameter of a number.
    pub fn by_id(&self, id: i32) -> Option<&Parameter> {
        let (type_name, code) = self.ids.get(&id)?;
        self.find(type_name, code)
    }

    /// The parameters by which a resource of a type belongs to a compartment; empty: it does by being its resource;
    /// `None`: no resource of the type does.
    pub fn compartment(&self, compartment: &str, type_name: &str) -> Option<Vec<i32>> {
        let codes = self.compartments.get(&(compartment.to_owned(), type_name.to_owned()))?;
        Some(codes.iter().map(|code| parameter_id(type_name, code)).collect())
    }

    /// The compartments of R4.
    pub fn compartments(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.compartments.keys().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn usable(source: &SearchParameter) -> Result<(), String> {
    let Some(text) = &source.expression else {
        return if WITHOUT_ROWS.contains(&&*source.code) { Ok(()) } else { Err("it has no expression".to_owned()) };
    };
    // R4's own are known to compile.
    if source.url.starts_with("http://hl7.org/fhir/SearchParameter/") {
        return Ok(());
    }
    let mut texts = std::iter::once(text).chain(source.components.iter().map(|part| &part.expression));
    texts.try_for_each(|text| Expression::parse(text).map(drop)).map_err(|error| error.to_string())
}

fn bases(source: &SearchParameter, warnings: &mut Vec<String>) -> Vec<&'static str> {
    let mut bases = Vec::new();
    for base in &source.base {
        match base.as_str() {
            "Resource" => bases.extend(types::resource_types()),
            // Bundle, Binary and Parameters are no DomainResources.
            "DomainResource" => {
                bases.extend(types::resource_types().filter(|name| !["Bundle", "Binary", "Parameters"].contains(name)));
            }
            name => match types::resource_types().find(|known| *known == name) {
                Some(known) => bases.push(known),
                None => warnings.push(format!("{}: base {name} is not a resource type of R4", source.url)),
            },
        }
    }
    bases
}

fn parameter(
    source: &Arc<SearchParameter>,
    type_name: &str,
    by_url: &HashMap<&str, &Arc<SearchParameter>>,
) -> Parameter {
    let text = source.expression.as_deref().filter(|_| !WITHOUT_ROWS.contains(&&*source.code));
    let branches: Vec<&str> = text.map(|text| branches(text, type_name)).unwrap_or_default();
    let components = source.components.iter().enumerate().filter_map(|(index, part)| {
        let of = by_url.get(part.definition.split('|').next().unwrap_or_default())?;
        Some(Component {
            id: parameter_id(type_name, &format!("{}#{index}", source.code)),
            kind: of.kind,
            targets: of.targets.clone(),
            text: part.expression.clone(),
            compiled: OnceLock::new(),
        })
    });
    let components: Vec<_> = components.collect();
    let mut hash = Sha256::new();
    hash.update(format!("{:?}\n{:?}\n", source.kind, source.expression));
    for part in &components {
        hash.update(format!("{:?} {:?}\n", part.kind, part.text));
    }
    Parameter {
        id: parameter_id(type_name, &source.code),
        type_name: type_name.to_owned(),
        code: source.code.clone(),
        url: source.url.clone(),
        kind: source.kind,
        targets: source.targets.clone(),
        components,
        definition: hash.finalize().into(),
        first: first_elements(&branches, type_name),
        text: text.map(|_| branches.join(" | ")).filter(|text| !text.is_empty()),
        source: source.clone(),
        compiled: OnceLock::new(),
    }
}

/// `_list` and `_has` are described by R4's text, not by a SearchParameter of their own.
fn special(type_name: &str, code: &str) -> Parameter {
    let source = SearchParameter {
        url: format!("http://hl7.org/fhir/SearchParameter/Resource-{}", code.trim_start_matches('_')),
        version: None,
        name: code.to_owned(),
        code: code.to_owned(),
        base: vec!["Resource".to_owned()],
        kind: Kind::Special,
        expression: None,
        targets: Vec::new(),
        comparators: Vec::new(),
        modifiers: Vec::new(),
        multiple_or: None,
        multiple_and: None,
        chains: Vec::new(),
        components: Vec::new(),
    };
    parameter(&Arc::new(source), type_name, &HashMap::new())
}

/// The parts of a union that can find something in a resource of this type.
fn branches<'t>(text: &'t str, type_name: &str) -> Vec<&'t str> {
    let mut depth = 0_i32;
    let mut start = 0;
    let mut parts = Vec::new();
    let mut quoted = false;
    for (at, char) in text.char_indices() {
        match char {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            '|' if depth == 0 && !quoted => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| {
        let name: &str =
            part.trim_start_matches('(').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        name == type_name || !types::is_resource(name)
    });
    parts
}

/// The first element of each part, if all of them begin plainly.
fn first_elements(branches: &[&str], type_name: &str) -> Vec<String> {
    let first = |part: &&str| {
        let rest = part.trim_start_matches('(').strip_prefix(type_name)?.strip_prefix('.')?;
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        let end = rest[name.len()..].chars().next();
        // What computes something finds it without the element, too.
        let is_path =
            ![" | ", " and ", " or ", "=", "exists()"].iter().any(|mark| part.replace("system='", "").contains(mark));
        (end != Some('(') && is_path).then_some(name)
    };
    branches.iter().map(first).collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn compartments() -> HashMap<(String, String), Vec<String>> {
    let line = |line: &str| {
        let mut parts = line.split('|');
        let (compartment, type_name, codes) = (parts.next()?, parts.next()?, parts.next()?);
        let codes =
            codes.split(',').filter(|code| !code.is_empty() && *code != "{def}").map(ToOwned::to_owned).collect();
        Some(((compartment.to_owned(), type_name.to_owned()), codes))
    };
    COMPARTMENTS.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r4() -> Parameters {
        let (parameters, warnings) = Parameters::new(&Registry::built_in());
        assert_eq!(warnings, Vec::<String>::new());
        parameters
    }

    #[test]
    fn every_expression_of_r4_is_one() {
        let parameters = r4();
        for type_name in types::resource_types() {
            for parameter in parameters.of(type_name) {
                assert_eq!(parameter.has_rows(), parameter.expression().is_some(), "{type_name} {}", parameter.code);
                for part in &parameter.components {
                    assert!(part.expression().is_some(), "{type_name} {}", parameter.code);
                }
            }
        }
    }

    #[test]
    fn only_what_can_find_something_is_kept() {
        let parameters = r4();
        let code = parameters.find("Observation", "code").unwrap();
        assert_eq!(code.expression().unwrap().text(), "Observation.code");
        assert_eq!(code.first_elements(), ["code"]);
        let phone = parameters.find("Patient", "phone").unwrap();
        assert_eq!(phone.expression().unwrap().text(), "Patient.telecom.where(system='phone')");
        assert!(parameters.find("Patient", "code").is_none());
        assert!(parameters.find("Basic", "_tag").unwrap().has_rows());
        assert!(!parameters.find("Basic", "_id").unwrap().has_rows());
    }

    #[test]
    fn compartments_name_known_parameters() {
        let parameters = r4();
        for ((compartment, type_name), codes) in compartments() {
            for code in codes {
                assert!(parameters.find(&type_name, &code).is_some(), "{compartment} {type_name} {code}");
            }
        }
        assert_eq!(parameters.compartments().len(), 5);
        assert_eq!(parameters.compartment("Patient", "Patient").unwrap(), [parameter_id("Patient", "link")]);
        assert_eq!(parameters.compartment("Patient", "Organization"), None);
        assert!(!parameters.compartment("Patient", "Observation").unwrap().is_empty());
    }
}
