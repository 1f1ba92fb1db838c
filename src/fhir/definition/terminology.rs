//! ValueSets and CodeSystems (FHIR R4 valueset.html, codesystem.html), reduced to what decides whether a code belongs: no
//! displays, no prose.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::structure::{flag, list, strings, text};
use crate::fhir::json::{Kind, Ref};

/// A ValueSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueSet {
    /// The canonical URL.
    pub url: String,
    pub version: Option<String>,
    /// `compose`; absent: the set says nothing of its content but by its expansion.
    pub compose: Option<Compose>,
    /// `expansion`, as the package carries it.
    pub expansion: Option<Listed>,
}

/// `ValueSet.compose`: what at least one of `include` has and none of `exclude`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compose {
    pub include: Vec<Part>,
    pub exclude: Vec<Part>,
}

/// `ValueSet.compose.include` or `exclude`: codes of one system that are also in all the value sets named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The code system's URL; absent: only `value_sets` speak.
    pub system: Option<String>,
    pub version: Option<String>,
    /// The codes; none and no filters: all the system's codes.
    pub codes: Vec<String>,
    /// All must be fulfilled.
    pub filters: Vec<Filter>,
    /// Canonicals.
    pub value_sets: Vec<String>,
}

/// `ValueSet.compose.include.filter`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub property: String,
    pub op: Operator,
    pub value: String,
}

/// `ValueSet.compose.include.filter.op`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    Equal,
    IsA,
    DescendentOf,
    IsNotA,
    Regex,
    In,
    NotIn,
    Generalizes,
    Exists,
}

/// Codes by system, as an expansion lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Whether it claims to have all codes.
    pub is_whole: bool,
    /// Each system with its codes.
    pub codes: Vec<(String, Vec<String>)>,
}

/// A CodeSystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSystem {
    /// The URL that codings name as their `system`.
    pub url: String,
    pub version: Option<String>,
    pub content: Content,
    /// Unless the code system says that case does not matter.
    pub is_case_sensitive: bool,
    /// Whether a narrower concept is a kind of the wider one (`hierarchyMeaning`; unsaid counts as such).
    pub is_hierarchy_is_a: bool,
    /// The names of the properties that concepts have.
    pub properties: Vec<String>,
    pub concepts: Vec<Concept>,
    /// Indices of `concepts`, by code.
    #[serde(skip)]
    order: Vec<u32>,
}

/// `CodeSystem.content`: what part of the codes is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    Complete,
    Fragment,
    Example,
    NotPresent,
}

/// `CodeSystem.concept`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concept {
    pub code: String,
    /// The wider concepts: indices of [`CodeSystem::concepts`].
    pub parents: Vec<u32>,
    /// The index of the property's name in [`CodeSystem::properties`], and the value's text.
    pub properties: Vec<(u32, String)>,
}

impl ValueSet {
    /// Reads a ValueSet resource. The error says what is missing or wrong.
    pub fn read(resource: Ref<'_>) -> Result<Self, String> {
        Ok(Self {
            url: text(resource, "url").ok_or("expected the string url")?,
            version: text(resource, "version"),
            compose: resource.get("compose").map(Compose::read).transpose()?,
            expansion: resource.get("expansion").map(Listed::read),
        })
    }
}

impl Compose {
    fn read(compose: Ref<'_>) -> Result<Self, String> {
        let parts = |name: &str| list(Some(compose), name).into_iter().map(Part::read).collect::<Result<_, _>>();
        Ok(Self { include: parts("include")?, exclude: parts("exclude")? })
    }
}

impl Part {
    fn read(part: Ref<'_>) -> Result<Self, String> {
        let codes = list(Some(part), "concept").into_iter();
        let part = Self {
            system: text(part, "system"),
            version: text(part, "version"),
            codes: codes.filter_map(|concept| text(concept, "code")).collect(),
            filters: list(Some(part), "filter").into_iter().map(Filter::read).collect::<Result<_, _>>()?,
            value_sets: strings(part, "valueSet"),
        };
        match part.system {
            None if part.value_sets.is_empty() => {
                Err("a part of compose has neither a system nor a valueSet".to_owned())
            }
            _ => Ok(part),
        }
    }
}

impl Filter {
    fn read(filter: Ref<'_>) -> Result<Self, String> {
        let required = |name: &str| text(filter, name).ok_or_else(|| format!("a filter has no {name}"));
        let op = match required("op")?.as_str() {
            "=" => Operator::Equal,
            "is-a" => Operator::IsA,
            "descendent-of" => Operator::DescendentOf,
            "is-not-a" => Operator::IsNotA,
            "regex" => Operator::Regex,
            "in" => Operator::In,
            "not-in" => Operator::NotIn,
            "generalizes" => Operator::Generalizes,
            "exists" => Operator::Exists,
            other => return Err(format!("filter.op '{other}' is not one of R4's FilterOperator")),
        };
        Ok(Self { property: required("property")?, op, value: required("value")? })
    }
}

const UNCLOSED: [&str; 2] = [
    "http://hl7.org/fhir/StructureDefinition/valueset-unclosed",
    "http://hl7.org/fhir/StructureDefinition/valueset-toocostly",
];

impl Listed {
    fn read(expansion: Ref<'_>) -> Self {
        let mut codes: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut count = 0;
        let mut open = list(Some(expansion), "contains");
        open.reverse();
        while let Some(one) = open.pop() {
            count += 1;
            if let Some(code) = text(one, "code") {
                let system = text(one, "system").unwrap_or_default();
                let place = *places.entry(system.clone()).or_insert_with(|| {
                    codes.push((system, Vec::new()));
                    codes.len() - 1
                });
                codes[place].1.push(code);
            }
            open.extend(list(Some(one), "contains").into_iter().rev());
        }
        let total = expansion.get("total").and_then(|total| total.raw().parse::<usize>().ok());
        let is_paged = expansion.get("offset").is_some_and(|offset| offset.raw() != "0");
        let is_unclosed = list(Some(expansion), "extension")
            .into_iter()
            .any(|one| text(one, "url").is_some_and(|url| UNCLOSED.contains(&url.as_str())));
        Self { is_whole: !is_unclosed && !is_paged && total.is_none_or(|total| total <= count), codes }
    }
}

impl CodeSystem {
    /// Reads a CodeSystem resource; `None` for a supplement, which has no codes of its own. The error says what is missing
    /// or wrong.
    pub fn read(resource: Ref<'_>) -> Result<Option<Self>, String> {
        let content = match text(resource, "content").as_deref() {
            Some("complete") => Content::Complete,
            Some("fragment") => Content::Fragment,
            Some("example") => Content::Example,
            Some("not-present") => Content::NotPresent,
            Some("supplement") => return Ok(None),
            other => return Err(format!("content '{}' is not one of R4's", other.unwrap_or_default())),
        };
        let mut reader = Reader::default();
        let properties = list(Some(resource), "property").into_iter();
        reader.uris = properties.filter_map(|one| Some((text(one, "code")?, text(one, "uri")?))).collect();
        reader.concepts(resource, None);
        reader.link();
        let mut system = Self {
            url: text(resource, "url").ok_or("expected the string url")?,
            version: text(resource, "version"),
            content,
            is_case_sensitive: resource.get("caseSensitive").is_none() || flag(resource, "caseSensitive"),
            is_hierarchy_is_a: text(resource, "hierarchyMeaning").is_none_or(|meaning| meaning == "is-a"),
            properties: reader.names,
            concepts: reader.concepts,
            order: Vec::new(),
        };
        system.sort();
        Ok(Some(system))
    }

    /// Makes it searchable; needed after decoding.
    #[expect(clippy::cast_possible_truncation, reason = "a document has less than 4 G codes")]
    pub(super) fn sort(&mut self) {
        self.order = (0..self.concepts.len() as u32).collect();
        self.order.sort_by_key(|at| &self.concepts[*at as usize].code);
    }

    /// The concept with this code.
    pub fn concept(&self, code: &str) -> Option<&Concept> {
        self.index(code).map(|at| &self.concepts[at as usize])
    }

    /// The code and everything below it; `None`: no such code.
    pub fn descendants(&self, code: &str) -> Option<Vec<&str>> {
        self.index(code).map(|root| self.chosen(&self.below(root)))
    }

    /// The code and everything above it; `None`: no such code.
    pub fn ancestors(&self, code: &str) -> Option<Vec<&str>> {
        self.index(code).map(|leaf| self.chosen(&self.above(leaf)))
    }

    fn chosen(&self, is_chosen: &[bool]) -> Vec<&str> {
        let chosen = self.concepts.iter().zip(is_chosen).filter(|(_, is)| **is);
        chosen.map(|(concept, _)| concept.code.as_str()).collect()
    }

    /// Where the concept with this code stands in `concepts`.
    pub(super) fn index(&self, code: &str) -> Option<u32> {
        let by_code = |at: &u32| self.concepts[*at as usize].code.as_str();
        if let Ok(found) = self.order.binary_search_by(|at| by_code(at).cmp(code)) {
            return Some(self.order[found]);
        }
        let is_alike = |at: &&u32| by_code(at).eq_ignore_ascii_case(code);
        if self.is_case_sensitive { None } else { self.order.iter().find(is_alike).copied() }
    }

    /// The index of the property's name.
    pub(super) fn property(&self, name: &str) -> Option<u32> {
        self.properties.iter().position(|known| known == name).and_then(|at| u32::try_from(at).ok())
    }

    /// For each concept whether it is `root` or below it.
    pub(super) fn below(&self, root: u32) -> Vec<bool> {
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.concepts.len()];
        for (child, concept) in (0u32..).zip(&self.concepts) {
            for parent in &concept.parents {
                children[*parent as usize].push(child);
            }
        }
        self.reach(root, |at| &children[at as usize])
    }

    /// For each concept whether it is `leaf` or above it.
    pub(super) fn above(&self, leaf: u32) -> Vec<bool> {
        self.reach(leaf, |at| &self.concepts[at as usize].parents)
    }

    fn reach<'a>(&self, from: u32, next: impl Fn(u32) -> &'a [u32]) -> Vec<bool> {
        let mut reached = vec![false; self.concepts.len()];
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at as usize], true) {
                open.extend(next(at));
            }
        }
        reached
    }
}

#[derive(Default)]
struct Reader {
    names: Vec<String>,
    /// Properties whose meaning is standardised.
    uris: HashMap<String, String>,
    concepts: Vec<Concept>,
    /// The concept, and the code it is above or below.
    links: Vec<(u32, Link)>,
}

enum Link {
    Parent(String),
    Child(String),
}

impl Reader {
    /// Reads the concepts under `holder`. Their depth is bounded by the document's.
    #[expect(clippy::cast_possible_truncation, reason = "a document has less than 4 G codes")]
    fn concepts(&mut self, holder: Ref<'_>, parent: Option<u32>) {
        for concept in list(Some(holder), "concept") {
            let Some(code) = text(concept, "code") else { continue };
            let at = self.concepts.len() as u32;
            self.concepts.push(Concept { code, parents: parent.into_iter().collect(), properties: Vec::new() });
            for property in list(Some(concept), "property") {
                self.property(at, property);
            }
            self.concepts(concept, Some(at));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a document has less than 4 G properties")]
    fn property(&mut self, at: u32, property: Ref<'_>) {
        let Some(name) = text(property, "code") else { return };
        let Some((_, value)) = property.members().find(|(member, _)| member.starts_with("value")) else { return };
        let value = match value.kind() {
            Kind::Object => text(value, "code"),
            Kind::String => value.as_str().map(Into::into),
            _ => Some(value.raw().to_owned()),
        };
        let Some(value) = value else { return };
        let meaning = self.uris.get(&name).and_then(|uri| uri.strip_prefix("http://hl7.org/fhir/concept-properties#"));
        match meaning.unwrap_or(&name) {
            "parent" | "subsumedBy" => self.links.push((at, Link::Parent(value.clone()))),
            "child" => self.links.push((at, Link::Child(value.clone()))),
            _ => {}
        }
        let known = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        self.concepts[at as usize].properties.push((known as u32, value));
    }

    /// Turns the properties that name wider and narrower concepts into parents.
    fn link(&mut self) {
        let at_of: HashMap<_, _> = (0u32..).zip(&self.concepts).map(|(at, one)| (one.code.clone(), at)).collect();
        for (at, link) in std::mem::take(&mut self.links) {
            let (child, parent) = match link {
                Link::Parent(code) => (Some(at), at_of.get(&code).copied()),
                Link::Child(code) => (at_of.get(&code).copied(), Some(at)),
            };
            if let (Some(child), Some(parent)) = (child, parent) {
                let parents = &mut self.concepts[child as usize].parents;
                if !parents.contains(&parent) {
                    parents.push(parent);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Doc, Limits};

    fn doc(json: &str) -> Doc {
        Doc::parse(json, &Limits::default()).unwrap()
    }

    #[test]
    fn a_code_systems_hierarchy_comes_from_nesting_and_from_properties() {
        let system = doc(r#"{"url":"http://x","content":"complete",
            "property":[{"code":"up","uri":"http://hl7.org/fhir/concept-properties#parent"}],
            "concept":[{"code":"a","concept":[{"code":"b","property":[{"code":"child","valueCode":"d"}]}]},{"code":"c"},
                {"code":"d","property":[{"code":"up","valueCode":"c"},{"code":"n","valueInteger":3}]}]}"#);
        let system = CodeSystem::read(system.root()).unwrap().unwrap();
        let below = |code| {
            let below = system.below(system.index(code).unwrap());
            system
                .concepts
                .iter()
                .zip(below)
                .filter(|(_, is)| *is)
                .map(|(one, _)| one.code.as_str())
                .collect::<String>()
        };
        assert_eq!([below("a"), below("b"), below("c"), below("d")], ["abd", "bd", "cd", "d"]);
        let n = system.property("n").unwrap();
        assert!(system.concept("d").unwrap().properties.contains(&(n, "3".to_owned())));
        assert!(system.concept("D").is_none());
    }

    #[test]
    fn an_expansion_that_does_not_have_all_codes_is_not_whole() {
        let whole = |more: &str| {
            let json = format!(r#"{{"contains":[{{"contains":[{{"system":"s","code":"a"}}]}}]{more}}}"#);
            Listed::read(doc(&json).root())
        };
        assert_eq!(whole(""), Listed { is_whole: true, codes: vec![("s".into(), vec!["a".into()])] });
        assert!(!whole(r#","total":9"#).is_whole);
        assert!(!whole(r#","offset":1"#).is_whole);
        let unclosed = format!(r#","extension":[{{"url":"{}","valueBoolean":true}}]"#, UNCLOSED[0]);
        assert!(!whole(&unclosed).is_whole);
    }

    #[test]
    fn parts_and_filters_that_say_nothing_are_refused() {
        let refused = |compose: &str| {
            ValueSet::read(doc(&format!(r#"{{"url":"http://x","compose":{compose}}}"#)).root()).unwrap_err()
        };
        assert!(refused(r#"{"include":[{}]}"#).contains("neither"));
        let filter = r#"{"include":[{"system":"s","filter":[{"property":"p","op":"like","value":"v"}]}]}"#;
        assert!(refused(filter).contains("'like'"));
    }
}
