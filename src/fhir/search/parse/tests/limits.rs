//! What is too much, and what is merely odd.

use proptest::prelude::*;

use super::*;
use crate::fhir::outcome::IssueType;

fn costly(level: Level<'_>, query: &str) {
    let outcome = parse(&request(Handling::Lenient), level, &pairs(query));
    let is_costly = |issue: &Issue| issue.code == IssueType::TooCostly;
    assert!(outcome.is_err_and(|outcome| outcome.issues().all(is_costly)), "{query:.100}");
}

#[test]
fn a_query_has_so_many_parameters_and_a_parameter_so_many_values() {
    assert!(lenient("Patient", &["name=a"; 100].join("&")).is_ok());
    costly(Level::Type("Patient"), &["name=a"; 101].join("&"));
    assert!(lenient("Patient", &format!("_id={}", ["a"; 3000].join(","))).is_ok());
    costly(Level::Type("Patient"), &format!("_id={}", ["a"; 5001].join(",")));
    costly(Level::Type("Patient"), &format!("name={}", ["a"; 5001].join(",")));
}

#[test]
fn a_chain_leads_over_so_many_references() {
    assert!(lenient("Organization", &format!("{}name=x", "partof.".repeat(4))).is_ok());
    costly(Level::Type("Organization"), &format!("{}name=x", "partof.".repeat(5)));
    let has = "_has:Organization:partof:";
    assert!(lenient("Organization", &format!("{}name=x", has.repeat(4))).is_ok());
    costly(Level::Type("Organization"), &format!("{}name=x", has.repeat(5)));
    costly(Level::Type("Organization"), &format!("{}name=x", has.repeat(100_000)));
}

#[test]
fn the_whole_query_makes_so_many_look_ups() {
    // 146 types, each with 1,000 alternatives.
    let tags = format!("_tag={}", ["a"; 1000].join(","));
    assert!(lenient("Patient", &tags).is_ok());
    costly(Level::System, &tags);
    // A long text costs by its length.
    costly(Level::System, &vec![format!("_profile=http://{}", "a".repeat(60_000)); 10].join("&"));
    // Types on types on types: 9 of them behind each part-of.
    let chain = "part-of.part-of.part-of.part-of._id=a";
    assert!(lenient("Observation", chain).is_ok());
    costly(Level::Type("Observation"), &[chain; 100].join("&"));
    costly(Level::System, &["_has:Provenance:target:_id=a"; 10].join("&"));
    let above = format!("url:above=http://a{}", "/b".repeat(60));
    assert!(lenient("ValueSet", &above).is_ok());
    costly(Level::Type("ValueSet"), &vec![above; 200].join("&").replace("&url:above=", ","));
}

#[test]
fn the_same_include_is_made_once() {
    let found = lenient("Patient", &["_revinclude=*&_include=Patient:organization"; 40].join("&")).unwrap();
    assert_eq!((found.includes.len(), found.revincludes.len()), (1, 1));
}

fn name() -> impl Strategy<Value = String> {
    let code = prop_oneof![
        Just("name"),
        Just("birthdate"),
        Just("code"),
        Just("value-quantity"),
        Just("subject"),
        Just("patient"),
        Just("url"),
        Just("code-value-quantity"),
        Just("_id"),
        Just("_lastUpdated"),
        Just("_tag"),
        Just("_text"),
        Just("_list"),
        Just("_sort"),
        Just("_include"),
        Just("_count"),
        Just("_elements"),
        Just("_type"),
        Just("identifier"),
        Just("focus"),
        Just("probability"),
    ];
    let modifier = prop_oneof![
        Just(""),
        Just(":exact"),
        Just(":missing"),
        Just(":not"),
        Just(":in"),
        Just(":below"),
        Just(":above"),
        Just(":of-type"),
        Just(":Patient"),
        Just(":identifier"),
        Just(":text"),
        Just(":iterate"),
        Just(":"),
        Just("::"),
    ];
    let link = prop_oneof![
        Just(""),
        Just("subject."),
        Just("patient."),
        Just("subject:Patient."),
        Just("_has:Observation:subject:"),
        Just("_has:"),
        Just("."),
    ];
    (proptest::collection::vec(link, 0..4), code, modifier)
        .prop_map(|(links, code, modifier)| format!("{}{code}{modifier}", links.concat()))
}

fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("2013-01"),
        Just("T10:00"),
        Just("1.5"),
        Just("e"),
        Just("ge"),
        Just("ap"),
        Just("|"),
        Just(","),
        Just("$"),
        Just("\\"),
        Just("http://h/fhir/"),
        Just("Patient/1"),
        Just("urn:"),
        Just(":"),
        Just("/"),
        Just("*"),
        Just(" "),
        Just("é"),
        Just("true"),
        Just("-"),
        Just("Observation:subject"),
        Just("\u{10FFFF}"),
        Just("http://hl7.org/fhir/ValueSet/administrative-gender"),
    ];
    prop_oneof![proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat()), any::<String>()]
}

fn level(number: u8) -> Level<'static> {
    match number {
        0 => Level::Type("Observation"),
        1 => Level::Type("Patient"),
        2 => Level::System,
        3 => Level::Compartment { type_name: "Patient", id: "1", kind: None },
        4 => Level::Compartment { type_name: "Patient", id: "1", kind: Some("Observation") },
        _ => Level::Type("Foo"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_query_is_too_odd(given in proptest::collection::vec((name(), value()), 0..4), number in 0..6_u8) {
        let level = level(number);
        if let Ok(found) = parse(&request(Handling::Lenient), level, &given) {
            // What was used is used again, and nothing else was.
            let again = parse(&request(Handling::Strict), level, &found.used);
            let known = found.used.iter().all(|(_, value)| !value.split(',').any(|one| one.trim().is_empty()));
            if known {
                let again = again.map_err(|outcome| TestCaseError::fail(outcome.summary()))?;
                prop_assert_eq!(&again.filters, &found.filters);
                prop_assert_eq!(&again.sort, &found.sort);
            }
        }
        let (name, value) = given.first().cloned().unwrap_or_default();
        let _ = condition(&request(Handling::Strict), "Patient", &format!("{name}={value}"));
    }

    #[test]
    fn any_text_may_stand_in_a_condition(text in any::<String>()) {
        let _ = condition(&request(Handling::Strict), "Patient", &text);
    }

    #[test]
    fn any_value_of_a_string_comes_through_its_escapes(text in "[a-z,|$\\\\]{1,20}") {
        let escaped: String = text.chars().flat_map(|char| {
            let before = matches!(char, ',' | '|' | '$' | '\\').then_some('\\');
            before.into_iter().chain([char])
        }).collect();
        let given = [("name:exact".to_owned(), escaped)];
        let found = parse(&request(Handling::Strict), Level::Type("Patient"), &given).unwrap();
        let Filter::Any(lookups) = &found.filters[0] else { panic!() };
        let is_it = matches!(&lookups[..], [Lookup::Exact { exact, .. }] if *exact == text);
        prop_assert!(is_it);
    }
}
