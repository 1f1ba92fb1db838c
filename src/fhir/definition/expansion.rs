//! Which codes a value set has (FHIR R4 valueset.html#compositions), as far as the loaded code systems tell.
//!
//! An answer is one of three: a code of SNOMED CT or LOINC, which are not loaded, may or may not belong. What cannot be
//! decided is never answered as "no".

mod codes;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use regex::Regex;

use self::codes::Codes;
use super::{
    grammar::Grammar,
    terminology::{CodeSystem, Content, Filter, Operator, Part, ValueSet},
};

/// Whether a code belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership<'e> {
    Member,
    NotMember,
    /// It cannot be told, for want of this code system or value set.
    Unknown(&'e str),
}

use Membership::{Member, NotMember, Unknown};

impl<'e> Membership<'e> {
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Member => Member,
            NotMember => other(),
            Unknown(_) => match other() {
                Member => Member,
                _ => self,
            },
        }
    }

    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            NotMember => NotMember,
            Member => other(),
            Unknown(_) => match other() {
                NotMember => NotMember,
                _ => self,
            },
        }
    }

    fn not(self, unless: &'e str) -> Self {
        match self {
            Member => NotMember,
            NotMember => Member,
            Unknown(_) => Unknown(unless),
        }
    }
}

/// A value set, ready to be asked.
#[derive(Debug)]
pub struct Expansion {
    /// The canonical URL.
    pub url: Box<str>,
    /// What is surely included and not excluded.
    codes: Codes,
    /// What else may be included.
    rules: Vec<Rule>,
    /// What is excluded of `rules`.
    except: Codes,
    /// What may be excluded of all.
    except_rules: Vec<Rule>,
    /// The set's own expansion, asked where the rest cannot tell.
    listed: Option<Codes>,
    /// What it refers to and is not there.
    missing: Vec<String>,
}

/// A part of a value set that is more than a list: all of it must be fulfilled.
#[derive(Debug, Default)]
struct Rule {
    codes: Option<Codes>,
    open: Option<Open>,
    imports: Vec<Import>,
}

#[derive(Debug)]
enum Import {
    Set(Arc<Expansion>),
    Missing(Box<str>),
}

/// Codes of a system that is not, or not wholly, known here.
#[derive(Debug)]
struct Open {
    system: Box<str>,
    grammar: Option<Grammar>,
    /// What is known to belong: the codes of a fragment.
    known: HashSet<Box<str>>,
    /// What at most belongs.
    most: Option<HashSet<Box<str>>>,
    /// What the code's text must fulfil.
    tests: Vec<Test>,
    /// Whether there are filters that cannot be checked.
    is_filtered: bool,
}

#[derive(Debug)]
enum Test {
    Matches(Regex),
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
}

impl Test {
    fn accepts(&self, code: &str) -> bool {
        match self {
            Self::Matches(regex) => regex.is_match(code),
            Self::OneOf(codes) => codes.iter().any(|one| one == code),
            Self::NoneOf(codes) => codes.iter().all(|one| one != code),
        }
    }
}

impl Open {
    fn contains(&self, system: Option<&str>, code: &str) -> Membership<'_> {
        let is_out = system.is_some_and(|system| system != &*self.system)
            || self.most.as_ref().is_some_and(|most| !most.contains(code))
            || self.tests.iter().any(|test| !test.accepts(code));
        match self.grammar {
            _ if is_out => NotMember,
            Some(grammar) if !grammar.accepts(code) => NotMember,
            _ if self.is_filtered => Unknown(&self.system),
            Some(_) => Member,
            None if self.known.contains(code) => Member,
            None => Unknown(&self.system),
        }
    }
}

impl Rule {
    fn contains(&self, system: Option<&str>, code: &str) -> Membership<'_> {
        let own = match (&self.codes, &self.open) {
            (Some(codes), _) if !codes.contains(system, code) => NotMember,
            (_, Some(open)) => open.contains(system, code),
            _ => Member,
        };
        self.imports.iter().fold(own, |so_far, import| {
            so_far.and(|| match import {
                Import::Set(set) => set.contains(system, code),
                Import::Missing(url) => Unknown(url),
            })
        })
    }
}

impl Expansion {
    /// Whether the set has this code. Without a system (elements of type `code`) any system's will do. Cheap: a hash
    /// look-up for a set that is a list, no allocation unless a system ignores case.
    pub fn contains(&self, system: Option<&str>, code: &str) -> Membership<'_> {
        let surely = if self.codes.contains(system, code) { Member } else { NotMember };
        if self.is_closed() {
            return surely;
        }
        let included = surely.or(|| {
            let ruled = self.rules.iter().fold(NotMember, |found, rule| found.or(|| rule.contains(system, code)));
            match ruled {
                NotMember => NotMember,
                _ if !self.except.contains(system, code) => ruled,
                // Without a system, another system's code of the same text may be the one that is excluded.
                _ if system.is_none() => Unknown(&self.url),
                _ => NotMember,
            }
        });
        let decided = self
            .except_rules
            .iter()
            .fold(included, |found, rule| found.and(|| rule.contains(system, code).not(&self.url)));
        match (&decided, &self.listed) {
            (Unknown(_), Some(listed)) if listed.contains(system, code) => Member,
            _ => decided,
        }
    }

    /// Whether every code can be decided.
    pub fn is_closed(&self) -> bool {
        self.rules.is_empty() && self.except_rules.is_empty()
    }

    /// How many codes it surely has.
    pub fn len(&self) -> usize {
        self.codes.iter().count()
    }

    /// Whether it surely has none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The codes it surely has, sorted, at most so many: to tell people what was expected.
    pub fn codes(&self, at_most: usize) -> Vec<&str> {
        let mut codes: Vec<&str> = self.codes.iter().map(|(_, code, _)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes.truncate(at_most);
        codes
    }

    /// Every code it surely has, with its system.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.codes.iter().map(|(system, code, _)| (system, code))
    }

    /// The code system of one of its codes, where only one has it.
    pub fn system_of(&self, code: &str) -> Option<&str> {
        self.codes.system_of(code)
    }

    /// The value sets it refers to and are not there, and what else is wrong with it.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

/// Where the definitions come from that a value set refers to.
pub(super) trait Library {
    /// The code system, and whether it is the version asked for.
    fn code_system(&self, url: &str, version: Option<&str>) -> Option<(Arc<CodeSystem>, bool)>;
    /// The expansion of another value set; the error says why there is none.
    fn import(&mut self, canonical: &str) -> Result<Arc<Expansion>, String>;
}

/// Prepares a value set.
pub(super) fn expand(set: &ValueSet, library: &mut impl Library) -> Expansion {
    let mut found = Expansion {
        url: set.url.as_str().into(),
        codes: Codes::default(),
        rules: Vec::new(),
        except: Codes::default(),
        except_rules: Vec::new(),
        listed: None,
        missing: Vec::new(),
    };
    let listed = set.expansion.as_ref().map(|listed| (listed.is_whole, Codes::of(listed)));
    let Some(compose) = &set.compose else {
        match listed {
            Some((true, codes)) => found.codes = codes,
            partly => {
                let itself = Import::Missing(found.url.clone());
                found.rules.push(Rule { imports: vec![itself], ..Rule::default() });
                found.listed = partly.map(|(_, codes)| codes);
            }
        }
        return found;
    };
    found.listed = listed.map(|(_, codes)| codes);
    for part in &compose.exclude {
        let rule = Rule::of(part, library, &mut found.missing);
        match rule.codes {
            Some(codes) if rule.open.is_none() && rule.imports.is_empty() => {
                found.except.add_all(&codes, &Codes::default());
            }
            codes => found.except_rules.push(Rule { codes, ..rule }),
        }
    }
    for part in &compose.include {
        let rule = Rule::of(part, library, &mut found.missing);
        match (&rule.codes, &rule.open, &rule.imports[..]) {
            (Some(codes), None, []) => found.codes.add_all(codes, &found.except),
            (None, None, [Import::Set(set)]) if set.is_closed() => found.codes.add_all(&set.codes, &found.except),
            _ => found.rules.push(rule),
        }
    }
    found
}

impl Rule {
    fn of(part: &Part, library: &mut impl Library, missing: &mut Vec<String>) -> Self {
        let mut rule = Self::default();
        for canonical in &part.value_sets {
            rule.imports.push(match library.import(canonical) {
                Ok(set) => Import::Set(set),
                Err(why) => {
                    missing.push(why);
                    Import::Missing(canonical.as_str().into())
                }
            });
        }
        if let Some(system) = &part.system {
            let known = library.code_system(system, part.version.as_deref());
            rule.fill(part, system, known);
        }
        rule
    }

    fn fill(&mut self, part: &Part, system: &str, known: Option<(Arc<CodeSystem>, bool)>) {
        let is_case_sensitive = known.as_ref().is_none_or(|(known, _)| known.is_case_sensitive);
        let list = |codes: &mut dyn Iterator<Item = &String>| {
            let mut list = Codes::default();
            let at = list.system(system);
            codes.for_each(|code| list.add(at, code, is_case_sensitive));
            Some(list)
        };
        if !part.codes.is_empty() {
            self.codes = list(&mut part.codes.iter());
            return;
        }
        let Some((known, is_version)) = known else {
            self.open = Some(Open::new(system, &part.filters));
            return;
        };
        let is_complete = known.content == Content::Complete && is_version;
        let mut selected = vec![true; known.concepts.len()];
        let mut is_filtered = false;
        for filter in &part.filters {
            match select(&known, filter) {
                Some(of_filter) => selected.iter_mut().zip(of_filter).for_each(|(so_far, one)| *so_far &= one),
                None => is_filtered = true,
            }
        }
        let mut codes = known.concepts.iter().zip(&selected).filter(|(_, is)| **is).map(|(one, _)| &one.code);
        match (is_complete, is_filtered) {
            (true, false) => self.codes = list(&mut codes),
            (true, true) => {
                let most = codes.map(|code| code.as_str().into()).collect();
                self.open = Some(Open { most: Some(most), is_filtered, ..Open::new(system, &[]) });
            }
            (false, _) => {
                let known = codes.map(|code| code.as_str().into()).collect();
                let mut open = Open::new(system, &part.filters);
                if !is_filtered {
                    // A fragment's own hierarchy tells of its own codes; the code being absent tells nothing.
                    (open.known, open.is_filtered) = (known, false);
                }
                self.open = Some(open);
            }
        }
    }
}

impl Open {
    fn new(system: &str, filters: &[Filter]) -> Self {
        let mut open = Self {
            system: system.into(),
            grammar: Grammar::of(system),
            known: HashSet::new(),
            most: None,
            tests: Vec::new(),
            is_filtered: false,
        };
        for filter in filters {
            match Test::of(filter) {
                Some(test) => open.tests.push(test),
                None => open.is_filtered = true,
            }
        }
        // Whether the code exists at all is still unknown; `contains` says so for want of a grammar.
        open
    }
}

impl Test {
    /// A filter on the code itself, which needs no code system.
    fn of(filter: &Filter) -> Option<Self> {
        if !is_code(&filter.property) {
            return None;
        }
        Some(match filter.op {
            Operator::Equal => Self::OneOf(vec![filter.value.clone()]),
            Operator::In => Self::OneOf(split(&filter.value)),
            Operator::NotIn => Self::NoneOf(split(&filter.value)),
            Operator::Regex => Self::Matches(whole(&filter.value)?),
            _ => return None,
        })
    }
}

fn is_code(property: &str) -> bool {
    matches!(property, "code" | "concept")
}

fn split(values: &str) -> Vec<String> {
    values.split(',').map(|value| value.trim().to_owned()).collect()
}

/// The regular expression, for the whole of a text.
fn whole(regex: &str) -> Option<Regex> {
    regex::RegexBuilder::new(&format!("^(?:{regex})$")).size_limit(1 << 20).build().ok()
}

/// For each concept of a known code system whether it passes the filter; `None` where that cannot be told.
fn select(system: &CodeSystem, filter: &Filter) -> Option<Vec<bool>> {
    let root = || system.index(&filter.value);
    let all = |is: &dyn Fn(&str) -> bool| system.concepts.iter().map(|one| is(&one.code)).collect();
    let hierarchy = is_code(&filter.property) && system.is_hierarchy_is_a;
    match filter.op {
        Operator::IsA if hierarchy => Some(system.below(root()?)),
        Operator::DescendentOf if hierarchy => {
            let root = root()?;
            let mut below = system.below(root);
            below[root as usize] = false;
            Some(below)
        }
        Operator::IsNotA if hierarchy => Some(system.below(root()?).into_iter().map(|is| !is).collect()),
        Operator::Generalizes if hierarchy => Some(system.above(root()?)),
        Operator::IsA | Operator::DescendentOf | Operator::IsNotA | Operator::Generalizes => None,
        _ if is_code(&filter.property) => Test::of(filter).map(|test| all(&|code| test.accepts(code))),
        Operator::Exists => {
            let property = system.property(&filter.property);
            let is_wanted = filter.value == "true";
            let has = |one: &super::terminology::Concept| one.properties.iter().any(|(at, _)| Some(*at) == property);
            Some(system.concepts.iter().map(|one| has(one) == is_wanted).collect())
        }
        op => {
            // The standard's own properties and those of HL7's terminology server may be meant: unknown is not "none".
            let property = system.property(&filter.property)?;
            let wanted = split(&filter.value);
            let regex = if op == Operator::Regex { Some(whole(&filter.value)?) } else { None };
            let is = |value: &String| match &regex {
                Some(regex) => regex.is_match(value),
                None if op == Operator::Equal => *value == filter.value,
                None => wanted.contains(value),
            };
            let has = |one: &super::terminology::Concept| {
                one.properties.iter().any(|(at, value)| *at == property && is(value)) == (op != Operator::NotIn)
            };
            Some(system.concepts.iter().map(has).collect())
        }
    }
}
