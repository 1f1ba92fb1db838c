//! The search parameters of this server: R4's and those of the loaded packages, by type.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use sha2::{Digest as _, Sha256};

use super::{extract::patient_compartment, parameter_id};
use crate::fhir::{
    definition::{
        package,
        parameter::{self as definition, Kind, SearchParameter},
        registry::Registry,
        types::r4,
    },
    path::Expression,
    types,
};

/// Parameters that stand in no index: they are answered by the resource's own row or by a table of their own.
const WITHOUT_ROWS: [&str; 6] = ["_id", "_lastUpdated", "_text", "_content", "_list", "_has"];
/// What this server does not do.
const LEFT_OUT: [&str; 4] = ["_query", "_filter", "_type", "_in"];

/// R4's own definitions begin like this.
const R4: &str = "http://hl7.org/fhir/SearchParameter/";
/// R4 gives the two parts of this composite each other's expression.
const CROSSED: &str = "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship";
/// R4 asks for FHIRPath's own type in a part of `code-value-date`; no element is of that type.
const MISTYPED: (&str, &str) = ("value.as(DateTime) | value.as(Period)", "value.as(dateTime) | value.as(Period)");
/// To be raised when [`Parameters::extract`] gives other rows for the same definition: the index has to be made anew.
const EXTRACTION: u8 = 2;
/// What may follow in a path and finds nothing where the path finds nothing.
const FILTERS: [&str; 8] = ["where", "as", "ofType", "resolve", "extension", "first", "last", "select"];

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
    /// SHA-256 of what decides about its index rows: kind, expression, components, and how they are extracted.
    pub definition: [u8; 32],
    source: Arc<SearchParameter>,
    text_id: OnceLock<i32>,
    identifier_id: OnceLock<i32>,
    /// The part of the expression that can find something in this type.
    text: Option<String>,
    /// The elements that its paths begin with; empty: not known.
    first: Vec<String>,
    is_single: bool,
    compiled: OnceLock<Option<Expression>>,
}

impl Parameter {
    /// Under which number the texts behind its tokens stand (`:text`).
    pub fn text_id(&self) -> i32 {
        *self.text_id.get_or_init(|| parameter_id(&self.type_name, &format!("{}:text", self.code)))
    }

    /// Under which number the identifiers in its references stand (`:identifier`).
    pub fn identifier_id(&self) -> i32 {
        *self.identifier_id.get_or_init(|| parameter_id(&self.type_name, &format!("{}:identifier", self.code)))
    }

    /// What finds its values in a resource; `None` for those that stand in no index.
    pub fn expression(&self) -> Option<&Expression> {
        let compile = || self.text.as_ref().and_then(|text| Expression::parse(text).ok());
        self.compiled.get_or_init(compile).as_ref()
    }

    /// The elements that its values are below; empty: anywhere.
    pub fn first_elements(&self) -> &[String] {
        &self.first
    }

    /// Whether a resource has one value at most under it: its expression is a path of elements that do not repeat.
    pub fn is_single(&self) -> bool {
        self.is_single
    }

    /// The modifiers it can be asked with: those of its kind, or fewer where its definition names some.
    pub fn modifiers(&self) -> Vec<Modifier> {
        if WITHOUT_ROWS.contains(&&*self.code) {
            return Vec::new();
        }
        let of_kind = modifiers(self.kind).iter().copied();
        let named = &self.source.modifiers;
        let is_r4 = self.url.starts_with(R4);
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
    types: HashMap<&'static str, BTreeMap<String, Parameter>>,
    /// Numbers that are taken, and by which type and code.
    ids: HashMap<i32, (&'static str, String)>,
    /// (compartment, type) → codes.
    compartments: HashMap<(String, String), Vec<String>>,
    /// For the systems of codes.
    registry: Arc<Registry>,
}

impl Parameters {
    /// The parameters of a registry, and what is wrong with those that cannot be used: each begins with the canonical of
    /// its definition. Of several definitions of one code the operator's goes before R4's.
    pub fn new(registry: &Arc<Registry>) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let by_url: HashMap<&str, &Arc<SearchParameter>> =
            registry.search_parameters().map(|one| (one.url.as_str(), one)).collect();
        let ids = HashMap::from([(patient_compartment(), ("*", "compartment:Patient".to_owned()))]);
        let types = types::resource_types().map(|name| (name, BTreeMap::new())).collect();
        let mut found = Self { types, ids, compartments: compartments(), registry: Arc::clone(registry) };
        // R4's own expressions are known to compile, and its numbers to differ.
        let is_r4_alone = registry.packages().len() <= package::built_in().len();
        for source in registry.search_parameters() {
            let is_r4 = source.url.starts_with(R4);
            // R4 has `near`, which needs a map.
            let is_left_out = LEFT_OUT.contains(&&*source.code) || source.kind == Kind::Special;
            if is_left_out && is_r4 && !WITHOUT_ROWS.contains(&&*source.code) {
                continue;
            }
            if let Err(reason) = usable(source, &by_url, is_r4 && is_r4_alone) {
                warnings.push(format!("{}: {reason}", source.url));
                continue;
            }
            let draft = Draft::of(source, &by_url);
            for type_name in bases(source, &mut warnings) {
                if let Err(reason) = found.add(type_name, &draft, !is_r4_alone) {
                    warnings.push(format!("{}: {reason}", source.url));
                }
            }
        }
        let no_urls = HashMap::new();
        for source in ["_list", "_has"].map(special) {
            let draft = Draft::of(&source, &no_urls);
            for type_name in types::resource_types() {
                // Where a package has defined them, it does not matter.
                let _ = found.add(type_name, &draft, false);
            }
        }
        (found, warnings)
    }

    /// The first definition of a code wins: the operator's stand before the built-in ones.
    fn add(&mut self, type_name: &'static str, draft: &Draft<'_>, checks_texts: bool) -> Result<(), String> {
        let code = &draft.source.code;
        let Some(of_type) = self.types.get_mut(type_name) else { return Ok(()) };
        if let Some(first) = of_type.get(code) {
            let is_meant = draft.source.url.starts_with(R4);
            let text = || format!("{} has already defined the parameter {code} of {type_name}", first.url);
            return if is_meant { Ok(()) } else { Err(text()) };
        }
        let parameter = draft.parameter(type_name);
        let mut numbers: Vec<i32> = vec![parameter.id];
        numbers.extend(parameter.components.iter().map(|part| part.id));
        if checks_texts {
            numbers.extend([parameter.text_id(), parameter.identifier_id()]);
        }
        if numbers.iter().any(|number| self.ids.contains_key(number)) {
            return Err(format!("the number of its code {code} on {type_name} is taken; another code is needed"));
        }
        self.ids.extend(numbers.into_iter().map(|number| (number, (type_name, code.clone()))));
        of_type.insert(code.clone(), parameter);
        Ok(())
    }

    /// Where the definitions are.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
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
        self.of("Basic").filter(|parameter| parameter.source.base.iter().any(|base| base.ends_with("Resource")))
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

/// Why it cannot be used, if so.
fn usable(
    source: &SearchParameter,
    by_url: &HashMap<&str, &Arc<SearchParameter>>,
    compiles: bool,
) -> Result<(), String> {
    if WITHOUT_ROWS.contains(&&*source.code) {
        return Ok(());
    }
    if source.kind == Kind::Special || LEFT_OUT.contains(&&*source.code) {
        return Err(format!("this server does not do {}", source.code));
    }
    // A colon begins a modifier, a point a chain.
    if !source.code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(format!("its code {} cannot stand in a query", source.code));
    }
    let text = source.expression.as_ref().ok_or("it has no expression")?;
    if source.kind == Kind::Composite && source.components.is_empty() {
        return Err("it is a composite without components".to_owned());
    }
    for part in &source.components {
        let of = by_url.get(plain(&part.definition));
        let of = of.ok_or_else(|| format!("its component {} is in no package", part.definition))?;
        if matches!(of.kind, Kind::Composite | Kind::Special) {
            return Err(format!("its component {} is a composite or special", part.definition));
        }
    }
    if !compiles {
        let mut texts = std::iter::once(text).chain(source.components.iter().map(|part| &part.expression));
        texts.try_for_each(|text| Expression::parse(text).map(drop)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A canonical without its version.
fn plain(canonical: &str) -> &str {
    canonical.split_once('|').map_or(canonical, |(url, _)| url)
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

/// What the parameters of one definition have in common on all types.
struct Draft<'s> {
    source: &'s Arc<SearchParameter>,
    /// Each component's definition and expression.
    parts: Vec<(&'s SearchParameter, &'s str)>,
    definition: [u8; 32],
}

impl<'s> Draft<'s> {
    fn of(source: &'s Arc<SearchParameter>, by_url: &HashMap<&str, &'s Arc<SearchParameter>>) -> Self {
        let part = |one: &'s definition::Component| {
            let text = if one.expression == MISTYPED.0 { MISTYPED.1 } else { &one.expression };
            Some((&***by_url.get(plain(&one.definition))?, text))
        };
        let mut parts: Vec<_> = source.components.iter().filter_map(part).collect();
        if let ([(_, first), (_, second)], CROSSED) = (parts.as_mut_slice(), &*source.url) {
            std::mem::swap(first, second);
        }
        let mut hash = Sha256::new();
        hash.update([EXTRACTION]);
        hash.update(format!("{:?}\n{:?}\n", source.kind, source.expression));
        for (of, expression) in &parts {
            hash.update(format!("{:?} {expression:?}\n", of.kind));
        }
        Self { source, parts, definition: hash.finalize().into() }
    }

    fn parameter(&self, type_name: &str) -> Parameter {
        let source = self.source;
        let text = source.expression.as_deref().filter(|_| !WITHOUT_ROWS.contains(&&*source.code));
        let branches: Vec<&str> = text.map(|text| branches(text, type_name)).unwrap_or_default();
        let part = |(index, (of, expression)): (usize, &(&SearchParameter, &str))| Component {
            id: parameter_id(type_name, &format!("{}#{index}", source.code)),
            kind: of.kind,
            targets: of.targets.clone(),
            text: (*expression).to_owned(),
            compiled: OnceLock::new(),
        };
        Parameter {
            id: parameter_id(type_name, &source.code),
            type_name: type_name.to_owned(),
            code: source.code.clone(),
            url: source.url.clone(),
            kind: source.kind,
            targets: source.targets.clone(),
            components: self.parts.iter().enumerate().map(part).collect(),
            definition: self.definition,
            first: first_elements(&branches, type_name),
            is_single: matches!(branches.as_slice(), [path] if is_single(path, type_name)),
            text: text.map(|_| branches.join(" | ")).filter(|text| !text.is_empty()),
            source: Arc::clone(source),
            text_id: OnceLock::new(),
            identifier_id: OnceLock::new(),
            compiled: OnceLock::new(),
        }
    }
}

/// `_list` and `_has` are described by R4's text, not by a SearchParameter of their own.
fn special(code: &str) -> Arc<SearchParameter> {
    Arc::new(SearchParameter {
        url: format!("{R4}Resource-{}", code.trim_start_matches('_')),
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
    })
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

/// The first element of each part; none where one of them may find something without it.
fn first_elements(branches: &[&str], type_name: &str) -> Vec<String> {
    branches.iter().map(|part| first_element(part, type_name)).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// `value` of `(Observation.value as Quantity)`, if it is a path that is at most filtered: what computes something
/// (`Patient.deceased.exists()`) finds it without the element, too.
fn first_element(part: &str, type_name: &str) -> Option<String> {
    let (of, path) = part.trim_start_matches('(').split_once('.')?;
    if ![type_name, "Resource", "DomainResource"].contains(&of) {
        return None;
    }
    let end = path.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(path.len());
    let (name, mut rest) = path.split_at(end);
    if name.is_empty() || rest.starts_with('(') {
        return None;
    }
    while let Some(char) = rest.chars().next() {
        let word = rest.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if word > 0 {
            let (word, after) = rest.split_at(word);
            rest = match after.strip_prefix('(') {
                Some(arguments) if FILTERS.contains(&word) => after_arguments(arguments)?,
                Some(_) => return None,
                None => after,
            };
        } else if let Some(after) = rest.strip_prefix(" as ") {
            rest = after;
        } else if matches!(char, '.' | ')' | '[' | ']') {
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(name.to_owned())
}

/// Whether a path such as `Observation.effective` or `(RiskAssessment.occurrence as Period)` leads to one element at most.
fn is_single(path: &str, type_name: &str) -> bool {
    let path = path.trim_start_matches('(').trim_end_matches(')');
    let path = path.split_once(" as ").map_or(path, |(path, _)| path);
    let mut names = path.split('.');
    let types = r4();
    let mut at = names.next().filter(|of| *of == type_name).and_then(|of| types.named(of));
    let mut has_element = false;
    for name in names {
        let field = at.and_then(|of| types.element_named(of, name)).map(|field| types.field(field));
        at = field.filter(|field| !field.max.is_many()).map(|field| field.ty);
        has_element = true;
    }
    at.is_some() && has_element
}

/// What follows the parenthesis that ends a list of arguments.
fn after_arguments(text: &str) -> Option<&str> {
    let (mut depth, mut is_quoted) = (1, false);
    for (at, char) in text.char_indices() {
        match char {
            '\'' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
    }
    None
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
mod tests;
