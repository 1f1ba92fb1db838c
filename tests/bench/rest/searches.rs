//! Searches: each kind of parameter, each way to refine the answer, and what clinicians ask for.
//!
//! "broad" matches a share of all there is, so its cost shows whether a page costs as much as the page or as the whole.

use super::row::Row;
use super::sample::Samples;

const LOINC: &str = "http%3A%2F%2Floinc.org";
const UCUM: &str = "http%3A%2F%2Funitsofmeasure.org";

pub fn rows() -> Vec<Row> {
    [tokens(), texts(), values(), references(), of_all(), refined(), granular()].into_iter().flatten().collect()
}

fn patient(samples: &Samples, number: u64) -> &str {
    samples.id("Patient", number)
}

/// A family name or a part of it, as it stands in a sampled Patient.
fn family(samples: &Samples, number: u64, letters: std::ops::Range<usize>) -> String {
    let name = samples.value("Patient", number, "/name/0/family");
    let part: String = name.as_str().unwrap_or_default().chars().skip(letters.start).take(letters.len()).collect();
    form_urlencoded::byte_serialize(part.as_bytes()).collect()
}

fn identifier(samples: &Samples, number: u64) -> String {
    let part = |member: &str| samples.text("Patient", number, &format!("/identifier/0/{member}"));
    format!("{}|{}", part("system"), part("value"))
}

/// The day of a sampled Observation and the day `days` later, as a range.
fn days(samples: &Samples, number: u64) -> String {
    let at = samples.value("Observation", number, "/effectiveDateTime");
    let month = at.as_str().and_then(|at| at.get(..7)).unwrap_or_default().to_owned();
    format!("date=ge{month}-01&date=lt{month}-08")
}

fn tokens() -> Vec<Row> {
    vec![
        Row::search("token: code, rare", |_, _| "Condition?code=24700007&_count=10".to_owned()),
        Row::search("token: code, broad", |_, _| "Observation?code=8867-4&_count=10".to_owned()),
        Row::search("token: system|code, broad", |_, _| format!("Observation?code={LOINC}|85354-9&_count=10")),
        Row::search("token: system|, broad", |_, _| format!("Observation?code={LOINC}|&_count=10")),
        Row::search("token: two joined", |_, _| {
            "Observation?category=laboratory&code=4548-4&status=final&_count=10".to_owned()
        }),
        Row::search("token: one of five", |_, _| {
            "Condition?code=24700007,26929004,84757009,34000006,49049000&_count=10".to_owned()
        }),
        Row::search("token: :not, broad", |_, _| "MedicationRequest?status:not=completed&_count=10".to_owned()),
        Row::search("token: :text", |_, _| "Condition?code:text=multiple&_count=10".to_owned()),
        Row::search("identifier", |samples, number| format!("Patient?identifier={}", identifier(samples, number))),
        Row::search("identifier without system", |samples, number| {
            format!("Patient?identifier={}", samples.text("Patient", number, "/identifier/0/value"))
        }),
    ]
}

fn texts() -> Vec<Row> {
    vec![
        Row::search("string: prefix", |samples, number| {
            format!("Patient?family={}&_count=10", family(samples, number, 0..4))
        }),
        Row::search("string: :exact", |samples, number| {
            format!("Patient?family:exact={}&_count=10", family(samples, number, 0..40))
        }),
        Row::search("string: :contains", |samples, number| {
            format!("Patient?name:contains={}&_count=10", family(samples, number, 1..5))
        }),
        Row::search("string: family and given", |samples, number| {
            let given = samples.text("Patient", number, "/name/0/given/0");
            format!("Patient?family={}&given={given}&_count=10", family(samples, number, 0..40))
        }),
        Row::search("uri: _profile, broad", |_, _| {
            "Observation?_profile=http://hl7.org/fhir/StructureDefinition/bp&_count=10".to_owned()
        }),
        Row::search("uri: _source", |_, _| "Condition?_source=urn:oid:2.16.840.1.113883.3.239.23&_count=10".to_owned()),
        Row::search("_text", |_, _| "DiagnosticReport?_text=vertigo&_count=10".to_owned()),
        Row::search("_content", |_, _| "Condition?_content=beekeeper&_count=10".to_owned()),
    ]
}

fn values() -> Vec<Row> {
    vec![
        Row::search("date: a week", |samples, number| format!("Observation?{}&_count=10", days(samples, number))),
        Row::search("date: open, broad", |_, _| "Observation?date=ge2010&_count=10".to_owned()),
        Row::search("date: birthdate", |samples, number| {
            format!("Patient?birthdate={}", samples.text("Patient", number, "/birthDate"))
        }),
        Row::search("quantity: above, broad", |_, _| {
            format!("Observation?value-quantity=gt80|{UCUM}|%2Fmin&_count=10")
        }),
        Row::search("quantity: rare", |_, _| format!("Observation?value-quantity=gt115|{UCUM}|kg&_count=10")),
        Row::search("composite: code and quantity", |_, _| {
            format!("Observation?code-value-quantity={LOINC}|4548-4$gt7&_count=10")
        }),
        Row::search("composite: component", |_, _| {
            format!("Observation?component-code-value-quantity={LOINC}|8480-6$gt150&_count=10")
        }),
        Row::search("missing: true", |_, _| "Condition?abatement-date:missing=true&_count=10".to_owned()),
        Row::search("missing: false", |_, _| "Encounter?reason-code:missing=false&_count=10".to_owned()),
    ]
}

fn references() -> Vec<Row> {
    vec![
        Row::search("reference: of a patient", |samples, number| {
            format!("Observation?patient={}&_count=10", patient(samples, number))
        }),
        Row::search("reference: Type/id", |samples, number| {
            format!("Observation?encounter=Encounter/{}", samples.id("Encounter", number))
        }),
        Row::search("reference: of a practitioner", |samples, number| {
            format!("Encounter?participant=Practitioner/{}&_count=10", samples.id("Practitioner", number))
        }),
        Row::search("compartment: a type", |samples, number| {
            format!("Patient/{}/Observation?_count=10", patient(samples, number))
        }),
        Row::search("compartment: all", |samples, number| format!("Patient/{}/*?_count=10", patient(samples, number))),
        Row::search("chain: by identifier", |samples, number| {
            format!("Observation?patient.identifier={}&_count=10", identifier(samples, number))
        }),
        Row::search("chain: by family", |samples, number| {
            format!("Encounter?subject:Patient.family={}&_count=10", family(samples, number, 0..40))
        }),
        Row::search("chain: two deep", |samples, number| {
            format!("Observation?encounter.patient.identifier={}&_count=10", identifier(samples, number))
        }),
        Row::search("_has: rare", |_, _| "Patient?_has:Condition:patient:code=24700007&_count=10".to_owned()),
        Row::search("_has: broad", |_, _| "Patient?_has:Observation:patient:code=8867-4&_count=10".to_owned()),
        Row::search("_include", |samples, number| {
            let id = samples.id("Observation", number);
            format!("Observation?_id={id}&_include=Observation:patient&_include=Observation:encounter")
        }),
        Row::search("_include of ten", |_, _| {
            "Observation?code=4548-4&_count=10&_include=Observation:patient".to_owned()
        }),
        Row::search("_revinclude", |samples, number| {
            format!("Encounter?_id={}&_revinclude=Observation:encounter", samples.id("Encounter", number))
        }),
    ]
}

fn of_all() -> Vec<Row> {
    vec![
        Row::search("_id: one", |samples, number| format!("Observation?_id={}", samples.id("Observation", number))),
        Row::search("_id: ten", |samples, number| {
            let ids: Vec<&str> = (0..10).map(|at| samples.id("Observation", number * 10 + at)).collect();
            format!("Observation?_id={}", ids.join(","))
        }),
        Row::search("_lastUpdated, broad", |_, _| "Observation?_lastUpdated=gt2020-01-01&_count=10".to_owned()),
        Row::search("no parameter", |_, _| "Observation?_count=10".to_owned()),
        Row::search("system, two types", |_, _| "?_type=Immunization,Procedure&_count=10".to_owned()),
        Row::search("_tag", |_, _| "Observation?_tag=http://example.org/tags|imported&_count=10".to_owned()),
    ]
}

fn refined() -> Vec<Row> {
    vec![
        Row::search("_sort=-date of a patient", |samples, number| {
            format!("Observation?patient={}&_sort=-date&_count=10", patient(samples, number))
        }),
        Row::search("_sort=-date, broad", |_, _| "Observation?code=8867-4&_sort=-date&_count=10".to_owned()),
        Row::search("_sort=family, all", |_, _| "Patient?_sort=family&_count=10".to_owned()),
        Row::search("_sort=-_lastUpdated", |_, _| "Observation?_sort=-_lastUpdated&_count=10".to_owned()),
        Row::search("_total=accurate, broad", |_, _| "Observation?code=8867-4&_total=accurate&_count=10".to_owned()),
        Row {
            finds: false,
            ..Row::search("_summary=count, broad", |_, _| "Observation?code=8867-4&_summary=count".to_owned())
        },
        Row::search("_elements", |_, _| "Patient?_elements=name,birthDate&_count=10".to_owned()),
        Row { next_page: true, ..Row::search("next page", |_, _| "Observation?code=8867-4&_count=10".to_owned()) },
        Row {
            next_page: true,
            ..Row::search("next page, sorted", |_, _| "Observation?code=8867-4&_sort=-date&_count=10".to_owned())
        },
        Row::search("$everything, a page", |samples, number| {
            format!("Patient/{}/$everything?_count=10", patient(samples, number))
        }),
        Row::search("a chart's last results", |samples, number| {
            let patient = patient(samples, number);
            format!("Observation?patient={patient}&category=laboratory&date=ge2010&_sort=-date&_count=50")
        }),
        Row::search("a chart's visits", |samples, number| {
            let patient = patient(samples, number);
            format!("Encounter?patient={patient}&status=finished&_sort=-date&_count=20&_include=Encounter:location")
        }),
    ]
}

/// Under a granular scope: beside the same searches above, its conditions should cost little.
fn granular() -> Vec<Row> {
    const LABORATORY: &str = "system/Observation.rs?category=laboratory system/Patient.rs";
    vec![
        Row::search("granular: nothing asked", |_, _| "Observation?_count=10".to_owned()).under(LABORATORY),
        Row::search("granular: code", |_, _| "Observation?code=4548-4&_count=10".to_owned()).under(LABORATORY),
        Row::search("granular: of a patient", |samples, number| {
            format!("Observation?patient={}&_count=10", patient(samples, number))
        })
        .under(LABORATORY),
        Row::search("granular: _revinclude", |samples, number| {
            format!("Patient?_id={}&_revinclude=Observation:patient", patient(samples, number))
        })
        .under(LABORATORY),
    ]
}
