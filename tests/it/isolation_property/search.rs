//! Searches that chance makes: every kind of parameter, modifier and refinement.

use sofa::load::Chance;

use super::cast::{Side, Who};
use super::request::hidden_from;

/// What can be asked for by name, as one of those who ask sees it.
pub struct Names {
    /// Names of resources that are told to them, then those of others, each with its type.
    seen: Vec<(String, String)>,
    hidden: Vec<(String, String)>,
    markers: Vec<String>,
    hidden_markers: Vec<String>,
}

impl Names {
    /// `all`: name to reference.
    pub fn new<'n>(who: Who, all: impl Iterator<Item = (&'n String, &'n String)>) -> Self {
        let kind = |reference: &str| reference.split('/').next().unwrap_or_default().to_owned();
        let named = all.map(|(name, reference)| (name.clone(), kind(reference)));
        let (seen, hidden) = named.partition(|(name, _)| who.sees().contains(&Side::of(name)));
        let markers = who.sees().iter().map(|side| side.marker()).collect();
        Self { seen, hidden, markers, hidden_markers: hidden_from(who).map(Side::marker).collect() }
    }

    /// A name, more often than not of what must stay hidden.
    pub fn any(&self, chance: &mut Chance) -> String {
        let from = if chance.in_share(0.55) { &self.hidden } else { &self.seen };
        chance.pick(from).0.clone()
    }

    /// A name of what must stay hidden.
    pub fn others(&self, chance: &mut Chance) -> String {
        chance.pick(&self.hidden).0.clone()
    }

    /// A name of a resource of this type, or of any if there is none.
    pub fn of_kind(&self, chance: &mut Chance, kind: &str) -> String {
        let from = if chance.in_share(0.5) { &self.hidden } else { &self.seen };
        let fitting: Vec<&String> = from.iter().filter(|(_, own)| own == kind).map(|(name, _)| name).collect();
        if fitting.is_empty() { self.any(chance) } else { (*chance.pick(&fitting)).clone() }
    }

    /// A marker, more often than not of others.
    pub fn marker(&self, chance: &mut Chance) -> String {
        let from = if chance.in_share(0.7) { &self.hidden_markers } else { &self.markers };
        chance.pick(from).clone()
    }
}

/// What a parameter takes.
#[derive(Clone, Copy)]
enum Takes {
    /// `MARK` stands for a marker.
    Token(&'static [&'static str]),
    Text(&'static [&'static str]),
    Day,
    Quantity,
    Uri(&'static [&'static str]),
    Composite(&'static [&'static str]),
    /// Types it may lead to.
    Reference(&'static [&'static str]),
}

/// Type, parameter, what it takes.
type Parameter = (&'static str, &'static str, Takes);

use Takes::{Composite, Day, Quantity, Reference, Text, Token, Uri};

const SECRET: &str = "urn:secret|MARK";
const NUMBERS: Takes = Token(&["urn:number|N1", SECRET, SECRET]);
const PEOPLE: &[&str] = &["Müller", "mull", "anna", "MARK", "Roy"];
const LOINC: &[&str] = &["29463-7", "http://loinc.org|29463-7", "http://loinc.org|", "|29463-7", "85354-9", "24331-1"];

const PARAMETERS: &[Parameter] = &[
    ("Patient", "identifier", Token(&["urn:mrn|A1", "A1", SECRET, "MARK", "urn:mrn|"])),
    ("Patient", "family", Text(PEOPLE)),
    ("Patient", "name", Text(PEOPLE)),
    ("Patient", "address", Text(&["montreal", "MARK"])),
    ("Patient", "address-city", Text(&["Montréal", "mont"])),
    ("Patient", "email", Token(&["anna@example.org", "nobody@example.org"])),
    ("Patient", "phone", Token(&["MARK"])),
    ("Patient", "gender", Token(&["female", "male"])),
    ("Patient", "active", Token(&["true", "false"])),
    ("Patient", "birthdate", Day),
    ("Patient", "organization", Reference(&["Organization"])),
    ("Patient", "link", Reference(&["Patient"])),
    ("Patient", "general-practitioner", Reference(&["Practitioner"])),
    ("Observation", "identifier", NUMBERS),
    ("Observation", "code", Token(LOINC)),
    ("Observation", "combo-code", Token(&["8480-6", "29463-7"])),
    ("Observation", "component-code", Token(&["http://loinc.org|8480-6", "8462-4"])),
    ("Observation", "category", Token(&["vital-signs"])),
    ("Observation", "status", Token(&["final", "amended", "corrected"])),
    ("Observation", "date", Day),
    ("Observation", "value-quantity", Quantity),
    ("Observation", "combo-value-quantity", Quantity),
    ("Observation", "value-string", Text(&["high", "MARK"])),
    ("Observation", "code-value-quantity", Composite(&["29463-7$gt70", "http://loinc.org|29463-7$72.5"])),
    ("Observation", "component-code-value-quantity", Composite(&["8480-6$gt100", "8480-6$80"])),
    ("Observation", "subject", Reference(&["Patient"])),
    ("Observation", "patient", Reference(&["Patient"])),
    ("Observation", "encounter", Reference(&["Encounter"])),
    ("Observation", "performer", Reference(&["Practitioner", "Patient"])),
    ("Observation", "has-member", Reference(&["Observation"])),
    ("Observation", "derived-from", Reference(&["Observation"])),
    ("Encounter", "identifier", Token(&["urn:visit|V1", SECRET])),
    ("Encounter", "class", Token(&["AMB"])),
    ("Encounter", "status", Token(&["finished", "planned"])),
    ("Encounter", "date", Day),
    ("Encounter", "subject", Reference(&["Patient"])),
    ("Encounter", "participant", Reference(&["Practitioner"])),
    ("Encounter", "service-provider", Reference(&["Organization"])),
    ("Condition", "identifier", NUMBERS),
    ("Condition", "code", Token(&["44054006", "http://snomed.info/sct|44054006"])),
    ("Condition", "clinical-status", Token(&["active"])),
    ("Condition", "onset-date", Day),
    ("Condition", "patient", Reference(&["Patient"])),
    ("Condition", "encounter", Reference(&["Encounter"])),
    ("MedicationRequest", "identifier", NUMBERS),
    ("MedicationRequest", "code", Token(&["urn:drug|D1", "D1"])),
    ("MedicationRequest", "status", Token(&["active"])),
    ("MedicationRequest", "authoredon", Day),
    ("MedicationRequest", "subject", Reference(&["Patient"])),
    ("MedicationRequest", "requester", Reference(&["Practitioner"])),
    ("DiagnosticReport", "identifier", NUMBERS),
    ("DiagnosticReport", "code", Token(LOINC)),
    ("DiagnosticReport", "date", Day),
    ("DiagnosticReport", "result", Reference(&["Observation"])),
    ("DiagnosticReport", "subject", Reference(&["Patient"])),
    ("List", "identifier", NUMBERS),
    ("List", "title", Text(&["MARK"])),
    ("List", "status", Token(&["current"])),
    ("List", "item", Reference(&["Patient", "Observation", "Condition"])),
    ("List", "subject", Reference(&["Patient"])),
    ("RelatedPerson", "name", Text(PEOPLE)),
    ("RelatedPerson", "identifier", Token(&["urn:mrn|A1", SECRET])),
    ("RelatedPerson", "patient", Reference(&["Patient"])),
    ("Location", "name", Text(&["Room 2", "room"])),
    ("Location", "organization", Reference(&["Organization"])),
    ("Provenance", "target", Reference(&["Observation", "Patient"])),
    ("Provenance", "recorded", Day),
    ("Organization", "name", Text(&["North", "ward"])),
    ("Organization", "partof", Reference(&["Organization"])),
    ("Practitioner", "family", Text(&["Roy"])),
    ("PractitionerRole", "practitioner", Reference(&["Practitioner"])),
    ("Basic", "code", Token(&["MARK"])),
];

/// Of all types.
const COMMON: &[Parameter] = &[
    ("", "_tag", Token(&["urn:tag|vip", "vip", "urn:tag|MARK", "MARK"])),
    ("", "_profile", Uri(&["http://example.org/StructureDefinition/p"])),
    ("", "_source", Uri(&["urn:source:1"])),
];

/// A type there are resources of; the more frequent the more there is to ask.
pub fn kind(chance: &mut Chance) -> &'static str {
    chance.pick(PARAMETERS).0
}

fn of(kind: &str) -> Vec<&'static Parameter> {
    PARAMETERS.iter().filter(|(own, ..)| *own == kind).collect()
}

/// A whole query on `kind`.
pub fn query(chance: &mut Chance, names: &Names, kind: &'static str) -> Vec<(String, String)> {
    let mut query = Vec::new();
    for _ in 0..*chance.pick(&[0, 1, 1, 1, 2]) {
        query.push(match chance.below(9) {
            0 | 1 => has(chance, names, kind, 0),
            2 | 3 => chain(chance, names, kind, 0).unwrap_or_else(|| one_common(chance, names)),
            4 => one_common(chance, names),
            _ => parameter(chance, names, kind, 0),
        });
    }
    query.extend(refinements(chance, kind));
    query
}

/// A query that fits all types.
pub fn common(chance: &mut Chance, names: &Names) -> Vec<(String, String)> {
    let mut query = vec![one_common(chance, names)];
    query.extend(refinements(chance, ""));
    query
}

/// One parameter, as conditions have it.
pub fn condition(chance: &mut Chance, names: &Names, kind: &'static str) -> Vec<(String, String)> {
    vec![parameter(chance, names, kind, 0)]
}

/// What histories take.
pub fn listing(chance: &mut Chance) -> Vec<(String, String)> {
    let mut query = Vec::new();
    if chance.in_share(0.6) {
        query.push(("_count".to_owned(), chance.between(0, 5).to_string()));
    }
    if chance.in_share(0.3) {
        let name = *chance.pick(&["_since", "_at"]);
        query.push((name.to_owned(), chance.pick(&["2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"]).to_string()));
    }
    query
}

fn one_common(chance: &mut Chance, names: &Names) -> (String, String) {
    let named = |name: &str, value: String| (name.to_owned(), value);
    match chance.below(10) {
        0 | 1 => {
            let some: Vec<String> = (0..chance.between(1, 4)).map(|_| format!("«#{}»", names.any(chance))).collect();
            named("_id", some.join(","))
        }
        2 => named("_lastUpdated", (*chance.pick(&["gt2020-01-01", "lt2090", "gt2090", "ge2020"])).to_owned()),
        3 => named("_text", text(chance, names, &["vertigo", "MARK", "anna"])),
        4 => named("_content", text(chance, names, &["beekeeper", "MARK", "high"])),
        5 => named("_list", format!("«#{}»", names.of_kind(chance, "List"))),
        _ => {
            let (_, code, takes) = *chance.pick(COMMON);
            valued(chance, names, code, takes)
        }
    }
}

fn text(chance: &mut Chance, names: &Names, table: &[&str]) -> String {
    chance.pick(table).replace("MARK", &names.marker(chance))
}

/// A parameter of `kind` with a value; references may be chained.
fn parameter(chance: &mut Chance, names: &Names, kind: &str, depth: usize) -> (String, String) {
    let all = of(kind);
    let Some((_, code, takes)) = (!all.is_empty()).then(|| **chance.pick(&all)) else {
        return one_common(chance, names);
    };
    let Reference(targets) = takes else { return valued(chance, names, code, takes) };
    if depth < 2 && chance.in_share(0.2) {
        return chain(chance, names, kind, depth).unwrap_or_else(|| one_common(chance, names));
    }
    let target = *chance.pick(targets);
    let name = names.of_kind(chance, target);
    match chance.below(8) {
        0 => (format!("{code}:{target}"), format!("«#{name}»")),
        1 => (format!("{code}:identifier"), "urn:mrn|A1".to_owned()),
        2 => (format!("{code}:missing"), chance.in_share(0.5).to_string()),
        3 | 4 => (code.to_owned(), format!("«#{name}»")),
        _ => (code.to_owned(), format!("«{name}»")),
    }
}

/// `subject:Patient.family=…`, for a type that refers to others.
fn chain(chance: &mut Chance, names: &Names, kind: &str, depth: usize) -> Option<(String, String)> {
    let all: Vec<_> = of(kind)
        .into_iter()
        .filter_map(|(_, code, takes)| if let Reference(targets) = takes { Some((*code, *targets)) } else { None })
        .collect();
    let (code, targets) = *(!all.is_empty()).then(|| chance.pick(&all))?;
    let target = *chance.pick(targets);
    let (rest, value) = end(chance, names, target, depth + 1);
    let typed = if targets.len() > 1 || chance.in_share(0.5) { format!("{code}:{target}") } else { code.to_owned() };
    Some((format!("{typed}.{rest}"), value))
}

/// The last part of a chain: often what only one of all resources that look alike has.
fn end(chance: &mut Chance, names: &Names, kind: &str, depth: usize) -> (String, String) {
    let identified = of(kind).into_iter().find(|(_, code, _)| *code == "identifier");
    match identified.filter(|_| chance.in_share(0.5)) {
        Some((_, code, takes)) => valued(chance, names, code, *takes),
        None => parameter(chance, names, kind, depth),
    }
}

fn valued(chance: &mut Chance, names: &Names, code: &str, takes: Takes) -> (String, String) {
    if chance.in_share(0.08) {
        return (format!("{code}:missing"), chance.in_share(0.5).to_string());
    }
    let modified = |modifier: &str| if modifier.is_empty() { code.to_owned() } else { format!("{code}:{modifier}") };
    match takes {
        Token(table) => {
            let modifier = *chance.pick(&["", "", "", "", "not", "text"]);
            let mut value = text(chance, names, table);
            if modifier == "text" {
                value = text(chance, names, &["display", "MARK", "measured"]);
            }
            (modified(modifier), value)
        }
        Text(table) => (modified(chance.pick::<&str>(&["", "", "contains", "exact"])), text(chance, names, table)),
        Day => {
            let prefix = *chance.pick(&["", "", "ge", "gt", "le", "lt", "ne", "sa", "eb", "ap"]);
            let day = *chance.pick(&["2020", "2020-01", "2020-01-15", "1980-03-15", "2020-01-15T10:00:00Z"]);
            (code.to_owned(), format!("{prefix}{day}"))
        }
        Quantity => {
            let prefix = *chance.pick(&["", "ge", "gt", "lt", "ne", "ap"]);
            let unit = *chance.pick(&["", "|http://unitsofmeasure.org|kg", "||kg"]);
            (code.to_owned(), format!("{prefix}{}{unit}", chance.pick(&["72.5", "70", "100"])))
        }
        Uri(table) => (modified(chance.pick::<&str>(&["", "", "below"])), text(chance, names, table)),
        Composite(table) => (code.to_owned(), text(chance, names, table)),
        Reference(_) => (code.to_owned(), format!("«{}»", names.any(chance))),
    }
}

/// Parameters of other types that lead to `kind`.
fn leading_to(kind: &str) -> Vec<&'static Parameter> {
    let leads = |takes: &Takes| matches!(takes, Reference(targets) if targets.contains(&kind));
    PARAMETERS.iter().filter(|(_, _, takes)| leads(takes)).collect()
}

/// `_has:Observation:patient:code=…`
fn has(chance: &mut Chance, names: &Names, kind: &str, depth: usize) -> (String, String) {
    let all = leading_to(kind);
    if all.is_empty() {
        return one_common(chance, names);
    }
    let (from, code, _) = **chance.pick(&all);
    let (rest, value) = if depth == 0 && chance.in_share(0.2) {
        has(chance, names, from, depth + 1)
    } else {
        end(chance, names, from, 1)
    };
    (format!("_has:{from}:{code}:{rest}"), value)
}

/// `_count`, `_sort`, `_include` and their like.
fn refinements(chance: &mut Chance, kind: &str) -> Vec<(String, String)> {
    let mut query: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: &str| query.push((name.to_owned(), value.to_owned()));
    if chance.in_share(0.4) {
        add("_count", &chance.between(0, 6).to_string());
    }
    if chance.in_share(0.3) {
        add("_total", chance.pick::<&str>(&["accurate", "accurate", "estimate", "none"]));
    }
    if chance.in_share(0.1) {
        add("_summary", chance.pick::<&str>(&["count", "count", "true", "text", "data"]));
    }
    if chance.in_share(0.05) {
        add("_elements", "identifier,status,code");
    }
    // Not by what has ids in it: these differ between worlds.
    let sortable: Vec<&str> = of(kind)
        .into_iter()
        .filter(|(_, _, takes)| matches!(takes, Token(_) | Text(_) | Day | Quantity))
        .map(|(_, code, _)| *code)
        .collect();
    if chance.in_share(0.25) && !sortable.is_empty() {
        let direction = if chance.in_share(0.5) { "-" } else { "" };
        add("_sort", &format!("{direction}{}", chance.pick(&sortable)));
    }
    let outward: Vec<&str> =
        of(kind).into_iter().filter(|(_, _, takes)| matches!(takes, Reference(_))).map(|(_, code, _)| *code).collect();
    if chance.in_share(0.2) && !outward.is_empty() {
        add("_include", &format!("{kind}:{}", chance.pick(&outward)));
    }
    if chance.in_share(0.08) {
        add("_include", "*");
    }
    if chance.in_share(0.08) {
        add(
            "_include:iterate",
            chance.pick::<&str>(&["Patient:organization", "Organization:partof", "Observation:has-member"]),
        );
    }
    let inward = leading_to(kind);
    if chance.in_share(0.2) && !inward.is_empty() {
        let (from, code, _) = **chance.pick(&inward);
        let name = if chance.in_share(0.2) { "_revinclude:iterate" } else { "_revinclude" };
        add(name, &format!("{from}:{code}"));
    }
    if chance.in_share(0.05) {
        add("_revinclude", "*");
    }
    query
}
