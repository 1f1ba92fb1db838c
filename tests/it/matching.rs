//! What is decided in memory about a condition is what Postgres finds: every kind of condition, over HL7's examples.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sofa::fhir::definition::parameter::Kind;
use sofa::fhir::json::Limits;
use sofa::fhir::resource::Resource;
use sofa::fhir::search::{
    Filter, Handling, Limit, Modifier, Parameter, Rows, Unstored, condition, patient_compartment,
};
use sofa::interaction::search::request;
use sofa::store::resource::Visible;
use sofa::store::search::{Reach, Window, page};
use sofa::store::{self, Wall};

use crate::fixtures::examples;
use crate::support::server::TestServer;

const KINDS: [&str; 6] = ["Patient", "Observation", "Encounter", "ValueSet", "RiskAssessment", "MedicationRequest"];
const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
/// Values tried for each parameter, modifier and prefix.
const VALUES: usize = 2;

/// The texts and numbers of a document.
fn leaves(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| leaves(value, found)),
        Value::Array(items) => items.iter().for_each(|value| leaves(value, found)),
        Value::String(text) if (1..60).contains(&text.len()) => drop(found.insert(text.clone())),
        Value::Number(number) => drop(found.insert(number.to_string())),
        _ => {}
    }
}

/// What a parameter of this kind is asked for, out of what stands in the documents.
fn values(kind: Kind, leaves: &BTreeSet<String>) -> Vec<String> {
    let is_date = |text: &str| text.len() >= 4 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
    let is_of_kind = |text: &&String| match kind {
        Kind::Number | Kind::Quantity => text.parse::<f64>().is_ok(),
        Kind::Date => is_date(text) && text.parse::<f64>().is_err(),
        Kind::Uri => text.starts_with("http"),
        Kind::Reference => text.contains('/') && !text.contains(' '),
        Kind::Token => !text.contains(' ') && !text.contains('/'),
        Kind::String | Kind::Composite | Kind::Special => true,
    };
    let all: Vec<_> = leaves.iter().filter(is_of_kind).collect();
    let step = (all.len() / VALUES).max(1);
    all.into_iter().step_by(step).map(|text| text.replace(['|', '$', ',', '\\'], "")).collect()
}

/// The questions about one parameter.
fn questions(parameter: &Parameter, leaves: &BTreeSet<String>) -> Vec<String> {
    let code = &parameter.code;
    let mut questions = vec![format!("{code}:missing=true"), format!("{code}:missing=false")];
    for value in values(parameter.kind, leaves) {
        let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        match parameter.kind {
            Kind::Number | Kind::Date => questions.extend(PREFIXES.map(|prefix| format!("{code}={prefix}{value}"))),
            Kind::Quantity => {
                questions.extend(PREFIXES.map(|prefix| format!("{code}={prefix}{value}")));
                questions.extend(["mg", "%25", "mmHg"].map(|unit| format!("{code}={value}||{unit}")));
            }
            _ => questions.push(format!("{code}={value}")),
        }
        for modifier in parameter.modifiers() {
            if matches!(modifier, Modifier::Exact | Modifier::Contains | Modifier::Not | Modifier::Text)
                || (parameter.kind == Kind::Uri && matches!(modifier, Modifier::Below | Modifier::Above))
            {
                questions.push(format!("{code}:{}={value}", modifier.code()));
            }
        }
    }
    questions
}

/// The examples of these types, as they are stored: id, text, rows by type.
async fn stored(server: &TestServer) -> BTreeMap<&'static str, Vec<(String, Value, i64, Rows)>> {
    let service = server.service("service").await;
    let mut stored: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, text) in examples() {
        let resource = Resource::parse(&text, &Limits::default()).unwrap();
        let Some(kind) = KINDS.into_iter().find(|kind| *kind == resource.type_name()) else { continue };
        let made = service.post(kind, &text).await;
        if made.status != 201 {
            continue;
        }
        let resource = Resource::parse(&made.text, &Limits::default()).unwrap();
        let rows = server.engine.parameters.extract(&resource, &made.id(), &server.engine.base);
        let updated = sofa::fhir::instant::parse(made.json()["meta"]["lastUpdated"].as_str().unwrap()).unwrap();
        let micros = i64::try_from(updated.unix_timestamp_nanos() / 1000).unwrap();
        stored.entry(kind).or_default().push((made.id(), made.json(), micros, rows));
    }
    stored
}

#[tokio::test]
async fn what_is_decided_in_memory_is_what_the_store_finds() {
    let server = TestServer::start().await;
    let stored = stored(&server).await;
    assert!(stored.len() == KINDS.len() && stored.values().all(|all| all.len() > 1), "too few examples are stored");
    let types = sofa::fhir::types::resource_types().map(|kind| (kind.to_owned(), Limit::Everything)).collect();
    let reach = Reach { visible: Visible::default(), types, patients: patient_compartment() };
    let mut conn = store::read(&server.engine.pool, &Wall::Shared).await.unwrap();
    let (mut told_apart, mut wrong) = (0, Vec::new());
    for (kind, resources) in stored {
        let mut texts = BTreeSet::new();
        resources.iter().for_each(|(_, document, ..)| leaves(document, &mut texts));
        let mut questions: Vec<_> =
            server.engine.parameters.of(kind).flat_map(|parameter| questions(parameter, &texts)).collect();
        questions.push(format!("_id={},x", resources[0].0));
        if kind == "Observation" {
            questions.extend(
                ["a$1", "8480-6$lt120", "8480-6$gt50", "8462-4$ge1||mmHg"]
                    .map(|value| format!("component-code-value-quantity={value}")),
            );
        }
        for question in questions {
            let Ok(query) = condition(&request(&server.engine, Handling::Strict), kind, &question) else { continue };
            let window = Window { size: 1000, cursor: None, backward: false };
            let (found, _) = page(&mut conn, &reach, &query.types, &query.filters, &[], window).await.unwrap();
            let found: BTreeSet<_> = found.into_iter().map(|found| found.current.id).collect();
            let decided = resources.iter().filter_map(|(id, _, updated, rows)| {
                let unstored = Unstored { id, updated: *updated, rows };
                match unstored.fulfils(&query.filters) {
                    None if matches!(
                        query.filters.as_slice(),
                        [Filter::Text(_) | Filter::Content(_) | Filter::List(_)]
                    ) =>
                    {
                        found.contains(id).then(|| id.clone())
                    }
                    decided => decided.expect("a decision").then(|| id.clone()),
                }
            });
            let decided: BTreeSet<_> = decided.collect();
            told_apart += usize::from(!found.is_empty() && found.len() < resources.len());
            if decided != found {
                wrong.push(format!("{kind}?{question}: {decided:?}, not {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(told_apart > 200, "only {told_apart} questions tell resources apart");
}
