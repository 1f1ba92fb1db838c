use std::{
    collections::{BTreeSet, HashSet},
    io::Read,
    sync::LazyLock,
};

use flate2::read::GzDecoder;

use super::*;
use crate::fhir::{
    definition::{registry::Registry, source::Definitions},
    json::{Doc, Limits},
    search::{Digest, QuantityRow, fold, interval, token, token_of_type, token_present, token_system, token_value},
};

const BASE: &str = "http://h/fhir";
static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| Parameters::new(&Registry::built_in()).0);

fn resource(json: &str) -> Resource {
    Resource::parse(json, &Limits { depth: 100 }).unwrap_or_else(|issue| panic!("{issue:?} in {json}"))
}

/// The rows of a resource of this type with these members.
fn rows(type_name: &str, members: &str) -> Rows {
    let comma = if members.is_empty() { "" } else { "," };
    PARAMETERS.extract(&resource(&format!(r#"{{"resourceType":"{type_name}"{comma}{members}}}"#)), "1", BASE)
}

fn id(type_name: &str, code: &str) -> i32 {
    parameter_id(type_name, code)
}

fn has(rows: &Rows, digest: Digest) -> bool {
    rows.tokens.iter().any(|row| row.digest == digest && row.slot == 0)
}

fn strings(rows: &Rows, parameter: i32) -> Vec<&str> {
    rows.strings.iter().filter(|row| row.parameter == parameter).map(|row| &*row.folded).collect()
}

fn references(rows: &Rows, parameter: i32) -> Vec<(&str, &str)> {
    let of = rows.references.iter().filter(|row| row.parameter == parameter);
    of.map(|row| (&*row.target_type, &*row.target_id)).collect()
}

fn quantities(rows: &Rows, parameter: i32) -> Vec<&QuantityRow> {
    rows.quantities.iter().filter(|row| row.parameter == parameter).collect()
}

#[test]
fn a_token_is_found_in_every_way_it_can_be_asked_for() {
    // Members, parameter; (system, code) that are found; those that are not.
    type Pairs<'p> = &'p [(&'p str, &'p str)];
    let cases: &[(&str, &str, &str, Pairs<'_>, Pairs<'_>)] = &[
        (
            "Observation",
            "code",
            r#""code":{"coding":[{"system":"http://loinc.org","code":"8480-6"},{"code":"x"}]}"#,
            &[("http://loinc.org", "8480-6"), ("", "x")],
            &[("", "8480-6"), ("http://loinc.org", "x"), ("http://loinc.org", "8480-6 ")],
        ),
        ("Encounter", "class", r#""class":{"system":"s","code":"AMB"}"#, &[("s", "AMB")], &[("s", "amb"), ("", "AMB")]),
        ("Patient", "identifier", r#""identifier":[{"system":"s","value":"1"}]"#, &[("s", "1")], &[("", "1")]),
        (
            "Patient",
            "gender",
            r#""gender":"male""#,
            &[("", "male"), ("http://hl7.org/fhir/administrative-gender", "male")],
            &[("http://hl7.org/fhir/administrative-gender", "female")],
        ),
        (
            "Patient",
            "gender",
            r#""gender":"manly""#,
            &[("", "manly")],
            &[("http://hl7.org/fhir/administrative-gender", "manly")],
        ),
        (
            "Patient",
            "active",
            r#""active":true"#,
            &[("http://terminology.hl7.org/CodeSystem/special-values", "true")],
            &[("http://terminology.hl7.org/CodeSystem/special-values", "false")],
        ),
        (
            "Patient",
            "deceased",
            r#""deceasedDateTime":"2020""#,
            &[("http://terminology.hl7.org/CodeSystem/special-values", "true")],
            &[],
        ),
        (
            "Patient",
            "deceased",
            r#""id":"x""#,
            &[("http://terminology.hl7.org/CodeSystem/special-values", "false")],
            &[],
        ),
        (
            "Patient",
            "phone",
            r#""telecom":[{"system":"phone","value":"1 2"},{"system":"email","value":"a@b"}]"#,
            &[("phone", "1 2")],
            &[("email", "a@b")],
        ),
        (
            "Patient",
            "email",
            r#""telecom":[{"system":"email","value":"Ann@X.ORG"}]"#,
            &[("email", "ann@x.org")],
            &[("email", "Ann@X.ORG")],
        ),
        ("Patient", "_tag", r#""meta":{"tag":[{"system":"s","code":"c"}]}"#, &[("s", "c")], &[("", "c")]),
        (
            "Composition",
            "confidentiality",
            r#""confidentiality":"N""#,
            &[("", "N"), ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "N")],
            &[],
        ),
    ];
    for (type_name, code, members, found, lost) in cases {
        let rows = rows(type_name, members);
        let id = id(type_name, code);
        for (system, value) in *found {
            assert!(has(&rows, token(id, system, value)), "{code} {system}|{value}");
            assert!(has(&rows, token_value(id, value)), "{code} {value}");
            assert_eq!(has(&rows, token_system(id, system)), !system.is_empty(), "{code} {system}|");
        }
        for (system, value) in *lost {
            assert!(!has(&rows, token(id, system, value)), "{code} {system}|{value}");
        }
        assert!(has(&rows, token_present(id)), "{code}");
    }
}

#[test]
fn the_type_of_an_identifier_has_its_own_token() {
    let typed = r#""identifier":[{"type":{"text":"Health card","coding":[{"system":"t","code":"JHN"},{"system":"t"}]},"system":"s","value":"1"},
        {"type":{"coding":[{"system":"t","code":"MR"}]},"system":"s"}]"#;
    let rows = rows("Patient", typed);
    let id = id("Patient", "identifier");
    assert!(has(&rows, token_of_type(id, "t", "JHN", "1")));
    for (system, code, value) in [("t", "MR", "1"), ("t", "MR", ""), ("t", "", "1"), ("s", "JHN", "1")] {
        assert!(!has(&rows, token_of_type(id, system, code, value)), "{system} {code} {value}");
    }
    assert!(has(&rows, token_system(id, "s")));
    assert_eq!(strings(&rows, parameter_id("Patient", "identifier:text")), ["health card"]);
}

#[test]
fn a_parameter_has_a_value_where_anything_of_it_is_known() {
    let id = id("Observation", "code");
    for (code, sort) in [
        (r#"{"coding":[{"code":"b"},{"code":"a","display":"A"}],"text":"0"}"#, Some("a")),
        (r#"{"text":"Blood Pressure"}"#, Some("blood pressure")),
        (r#"{"coding":[{"display":"É"}]}"#, Some("e")),
        (r#"{"coding":[{"system":"s"}]}"#, Some("")),
        (
            r#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}"#,
            None,
        ),
    ] {
        let rows = rows("Observation", &format!(r#""code":{code}"#));
        let present: Vec<_> = rows.tokens.iter().filter(|row| row.digest == token_present(id)).collect();
        assert_eq!(
            present.iter().map(|row| row.sort.as_deref()).collect::<Vec<_>>(),
            Vec::from_iter(sort.map(Some)),
            "{code}"
        );
    }
    assert!(!has(&rows("Observation", ""), token_present(id)));
    // What a composite has found is none of its neighbour's.
    let component = r#""component":[{"code":{"coding":[{"code":"c"}]},"valueCodeableConcept":{"text":"v"}}]"#;
    assert!(!has(&rows("Observation", component), token_present(id)));
}

#[test]
fn the_texts_behind_tokens_are_searched_apart() {
    let members = r#""code":{"coding":[{"code":"a","display":"Systolic"}],"text":"Blóod  Pressure"},"category":[{"text":"Vital"}]"#;
    let rows = rows("Observation", members);
    assert_eq!(strings(&rows, id("Observation", "code:text")), ["systolic", "blood pressure"]);
    assert_eq!(strings(&rows, id("Observation", "category:text")), ["vital"]);
    assert_eq!(strings(&rows, id("Observation", "status:text")), [""; 0]);
    assert!(rows.strings.iter().all(|row| row.slot == 0));
}

#[test]
fn names_and_addresses_are_searched_by_each_of_their_parts() {
    let name = r#""name":[{"use":"official","text":"Dr. Ann Lévesque","family":"Lévesque","given":["Ann","Mary"],"prefix":["Dr."],"suffix":["MD"]}]"#;
    let found = rows("Patient", name);
    assert_eq!(strings(&found, id("Patient", "name")), ["dr. ann levesque", "levesque", "ann", "mary", "dr.", "md"]);
    assert_eq!(strings(&found, id("Patient", "given")), ["ann", "mary"]);
    assert_eq!(strings(&found, id("Patient", "family")), ["levesque"]);
    let exact = found.strings.iter().find(|row| row.parameter == id("Patient", "family")).unwrap();
    assert_eq!((&*exact.exact, exact.is_least, exact.is_greatest), ("Lévesque", true, true));
    let address = r#""address":[{"use":"home","text":"1 Main St, Ottawa","line":["1 Main St"],"city":"Ottawa","district":"D","state":"ON","postalCode":"K1A","country":"CA"}]"#;
    let found = rows("Patient", address);
    let parts = ["1 main st, ottawa", "1 main st", "ottawa", "d", "on", "k1a", "ca"];
    assert_eq!(strings(&found, id("Patient", "address")), parts);
    assert_eq!(strings(&found, id("Patient", "address-city")), ["ottawa"]);
    assert!(has(&found, token(id("Patient", "address-use"), "http://hl7.org/fhir/address-use", "home")));
}

#[test]
fn the_ends_of_several_values_are_marked_once() {
    let rows = rows("Patient", r#""name":[{"given":["b","a","c","a"]}]"#);
    let of: Vec<_> = rows.strings.iter().filter(|row| row.parameter == id("Patient", "given")).collect();
    let ends: Vec<_> = of.iter().map(|row| (&*row.folded, row.is_least, row.is_greatest)).collect();
    assert_eq!(ends, [("b", false, false), ("a", true, false), ("c", false, true)]);
}

#[test]
fn long_texts_are_cut_and_nothing_is_a_row_without_letters() {
    let long = "ab ".repeat(1000);
    let rows = rows("Patient", &format!(r#""name":[{{"family":"{long}","given":["","\u0301"," "]}}]"#));
    let of: Vec<_> = rows.strings.iter().filter(|row| row.parameter == id("Patient", "family")).collect();
    assert_eq!((of[0].folded.chars().count(), of[0].exact.chars().count(), of.len()), (FOLDED, EXACT, 1));
    assert!(strings(&rows, id("Patient", "given")).is_empty());
}

#[test]
fn dates_stand_for_the_time_of_their_precision() {
    let span = |low: &str, high: &str| (interval(low).unwrap().0, interval(high).unwrap().1);
    let cases = [
        ("Patient", "birthdate", r#""birthDate":"1970-03""#, Some(span("1970-03", "1970-03"))),
        ("Patient", "birthdate", r#""birthDate":"1970-13""#, None),
        ("Patient", "birthdate", r#""_birthDate":{"id":"a"}"#, None),
        (
            "Observation",
            "date",
            r#""effectiveDateTime":"2020-01-01T10:00:00-05:00""#,
            Some(span("2020-01-01T15:00:00Z", "2020-01-01T15:00:00Z")),
        ),
        (
            "Observation",
            "date",
            r#""effectiveInstant":"2020-01-01T10:00:00.5Z""#,
            Some(span("2020-01-01T10:00:00.5Z", "2020-01-01T10:00:00.5Z")),
        ),
        ("Observation", "date", r#""effectivePeriod":{"start":"2020","end":"2021-02"}"#, Some(span("2020", "2021-02"))),
        ("Observation", "date", r#""effectivePeriod":{"start":"2020"}"#, Some((span("2020", "2020").0, i64::MAX))),
        (
            "Observation",
            "date",
            r#""effectivePeriod":{"end":"2020","_start":{"id":"a"}}"#,
            Some((i64::MIN, span("2020", "2020").1)),
        ),
        ("Observation", "date", r#""effectivePeriod":{"start":"2020","end":"x"}"#, None),
        ("Observation", "date", r#""effectivePeriod":{"id":"a"}"#, None),
        (
            "Observation",
            "date",
            r#""effectiveTiming":{"event":["2021","2019-05-01"]}"#,
            Some(span("2019-05-01", "2021")),
        ),
        (
            "Observation",
            "date",
            r#""effectiveTiming":{"event":["2021"],"repeat":{"boundsPeriod":{"start":"2020","end":"2020-06"}}}"#,
            Some(span("2020", "2021")),
        ),
        ("Observation", "date", r#""effectiveTiming":{"repeat":{"boundsDuration":{"value":1},"frequency":1}}"#, None),
        ("Condition", "onset-date", r#""onsetAge":{"value":5,"code":"a","system":"http://unitsofmeasure.org"}"#, None),
        ("Condition", "onset-date", r#""onsetDateTime":"2011""#, Some(span("2011", "2011"))),
    ];
    for (type_name, code, members, expected) in cases {
        let rows = rows(type_name, members);
        let of = rows.times.iter().filter(|row| row.parameter == id(type_name, code));
        let found: Vec<_> = of.map(|row| (row.low, row.high, row.is_least, row.is_greatest)).collect();
        assert_eq!(found, Vec::from_iter(expected.map(|(low, high)| (low, high, true, true))), "{members}");
    }
}

#[test]
fn numbers_and_quantities_keep_their_digits_and_open_ends() {
    let ucum = r#""system":"http://unitsofmeasure.org","code":"mg""#;
    type Ends<'e> = Option<(Option<&'e str>, Option<&'e str>, &'e str, &'e str)>;
    let cases: [(&str, &str, String, Ends<'_>); 15] = [
        (
            "Observation",
            "value-quantity",
            format!(r#""valueQuantity":{{"value":5.40,{ucum},"unit":"mg"}}"#),
            Some((Some("5.40"), Some("5.40"), "http://unitsofmeasure.org", "mg")),
        ),
        (
            "Observation",
            "value-quantity",
            r#""valueQuantity":{"value":-1E-3}"#.into(),
            Some((Some("-1E-3"), Some("-1E-3"), "", "")),
        ),
        (
            "Observation",
            "value-quantity",
            r#""valueQuantity":{"value":5,"comparator":"<"}"#.into(),
            Some((None, Some("5"), "", "")),
        ),
        (
            "Observation",
            "value-quantity",
            r#""valueQuantity":{"value":5,"comparator":">="}"#.into(),
            Some((Some("5"), None, "", "")),
        ),
        ("Observation", "value-quantity", r#""valueQuantity":{"unit":"mg"}"#.into(), None),
        ("Observation", "value-quantity", r#""valueQuantity":{"value":"abc"}"#.into(), None),
        ("Observation", "value-quantity", r#""valueQuantity":{"value":1e99999}"#.into(), None),
        (
            "Observation",
            "value-quantity",
            r#""valueSampledData":{"origin":{"value":1},"period":1,"dimensions":1}"#.into(),
            None,
        ),
        (
            "Condition",
            "onset-age",
            format!(r#""onsetRange":{{"low":{{"value":1,{ucum}}},"high":{{"value":2}}}}"#),
            Some((Some("1"), Some("2"), "http://unitsofmeasure.org", "mg")),
        ),
        (
            "Condition",
            "onset-age",
            format!(r#""onsetRange":{{"high":{{"value":2,{ucum}}}}}"#),
            Some((None, Some("2"), "http://unitsofmeasure.org", "mg")),
        ),
        ("Condition", "onset-age", r#""onsetAge":{"value":3}"#.into(), Some((Some("3"), Some("3"), "", ""))),
        (
            "Invoice",
            "totalgross",
            r#""totalGross":{"value":9.99,"currency":"CAD"}"#.into(),
            Some((Some("9.99"), Some("9.99"), "urn:iso:std:iso:4217", "CAD")),
        ),
        (
            "RiskAssessment",
            "probability",
            r#""prediction":[{"probabilityDecimal":0.50}]"#.into(),
            Some((Some("0.50"), Some("0.50"), "", "")),
        ),
        ("ImmunizationRecommendation", "date", r#""date":"2020""#.into(), None),
        (
            "MolecularSequence",
            "variant-start",
            r#""variant":[{"start":7}]"#.into(),
            Some((Some("7"), Some("7"), "", "")),
        ),
    ];
    for (type_name, code, members, expected) in cases {
        let rows = rows(type_name, &members);
        let found = quantities(&rows, id(type_name, code));
        let found: Vec<_> =
            found.iter().map(|row| (row.low.as_deref(), row.high.as_deref(), &*row.system, &*row.code)).collect();
        assert_eq!(found, Vec::from_iter(expected), "{members}");
    }
}

#[test]
fn a_reference_leads_to_a_resource_here_or_to_a_url() {
    let subject = id("Observation", "subject");
    for (reference, expected) in [
        (r#""reference":"Patient/1""#, &[("Patient", "1")][..]),
        (r#""reference":"Patient/1/_history/2""#, &[("Patient", "1")]),
        (r#""reference":"http://h/fhir/Patient/1""#, &[("Patient", "1")]),
        (r#""reference":"http://h/fhir/Patient/1/_history/2""#, &[("Patient", "1")]),
        (r#""reference":"http://h/fhir2/Patient/1""#, &[("", "http://h/fhir2/Patient/1")]),
        (
            r#""reference":"http://o/Patient/1/_history/2""#,
            &[("", "http://o/Patient/1/_history/2"), ("", "http://o/Patient/1")],
        ),
        (r#""reference":"urn:uuid:1""#, &[("", "urn:uuid:1")]),
        (r##""reference":"#a""##, &[("", "")]),
        (r#""display":"Ann""#, &[("", "")]),
        (r#""identifier":{"system":"s","value":"1"}"#, &[("", "")]),
    ] {
        let rows = rows("Observation", &format!(r#""subject":{{{reference}}}"#));
        assert_eq!(references(&rows, subject), expected, "{reference}");
    }
    assert!(references(&rows("Observation", r#""status":"final""#), subject).is_empty());
}

#[test]
fn only_references_to_the_type_that_the_expression_asks_for_count() {
    for (subject, is_patient) in [
        (r#"{"reference":"Patient/1"}"#, true),
        (r#"{"reference":"Group/1"}"#, false),
        (r#"{"reference":"urn:uuid:1","type":"Patient"}"#, true),
        (r#"{"reference":"urn:uuid:1"}"#, false),
    ] {
        let rows = rows("Observation", &format!(r#""subject":{subject}"#));
        assert_eq!(references(&rows, id("Observation", "patient")).len(), usize::from(is_patient), "{subject}");
        assert_eq!(references(&rows, id("Observation", "subject")).len(), 1, "{subject}");
    }
}

#[test]
fn the_identifier_of_a_reference_is_a_token() {
    let rows = rows("Observation", r#""subject":{"identifier":{"system":"s","value":"1"}}"#);
    let of = id("Observation", "subject:identifier");
    assert!(has(&rows, token(of, "s", "1")) && has(&rows, token_value(of, "1")) && has(&rows, token_system(of, "s")));
    assert!(!has(&rows, token_present(id("Observation", "subject"))));
}

#[test]
fn a_canonical_is_found_with_and_without_its_version() {
    let members = |url: &str| format!(r#""questionnaire":"{url}""#);
    let of = id("QuestionnaireResponse", "questionnaire");
    for (url, expected) in [
        ("http://x/q", &[("", "http://x/q")][..]),
        ("http://x/q|1.0", &[("", "http://x/q|1.0"), ("", "http://x/q")]),
        ("http://h/fhir/Questionnaire/1", &[("Questionnaire", "1")]),
        ("http://h/fhir/Questionnaire/1|2", &[("Questionnaire", "1")]),
        ("#q", &[("", "")]),
    ] {
        assert_eq!(references(&rows("QuestionnaireResponse", &members(url)), of), expected, "{url}");
    }
    let rows = rows("Patient", r#""meta":{"profile":["http://x/p|1.0","http://x/q"],"source":"urn:a|b#c"}"#);
    assert_eq!(strings(&rows, id("Patient", "_profile")), ["http://x/p|1.0", "http://x/p", "http://x/q"]);
    assert_eq!(strings(&rows, id("Patient", "_source")), ["urn:a|b#c"]);
}

#[test]
fn a_uri_stands_as_it_is() {
    let rows = rows("ValueSet", r#""url":"http://X/Ä b""#);
    let row = rows.strings.iter().find(|row| row.parameter == id("ValueSet", "url")).unwrap();
    assert_eq!((&*row.folded, &*row.exact), ("http://X/Ä b", "http://X/Ä b"));
}

#[test]
fn a_document_refers_to_its_composition_by_the_url_of_the_entry() {
    let bundle = |full_url: &str, kind: &str| {
        format!(r#""type":"document","entry":[{{{full_url}"resource":{{"resourceType":"{kind}","id":"c"}}}}]"#)
    };
    let of = id("Bundle", "composition");
    let found = |full_url: &str, kind: &str| rows("Bundle", &bundle(full_url, kind));
    let here = found(r#""fullUrl":"http://h/fhir/Composition/c","#, "Composition");
    assert_eq!(references(&here, of), [("Composition", "c")]);
    let elsewhere = found(r#""fullUrl":"urn:uuid:1","#, "Composition");
    assert_eq!(references(&elsewhere, of), [("", "urn:uuid:1")]);
    assert_eq!(references(&found("", "Composition"), of), [("", "")]);
    let patient = found(r#""fullUrl":"http://h/fhir/Patient/c","#, "Patient");
    assert!(references(&patient, of).is_empty() && references(&patient, id("Bundle", "message")).is_empty());
}

#[test]
fn the_parts_of_a_composite_share_a_slot() {
    let component = |code: &str, value: &str| {
        format!(r#"{{"code":{{"coding":[{{"system":"s","code":"{code}"}}]}},"valueQuantity":{{"value":{value}}}}}"#)
    };
    let members = format!(r#""component":[{},{}]"#, component("a", "1"), component("b", "2"));
    let found = rows("Observation", &members);
    let composite = |code: &str, part: usize| id("Observation", &format!("{code}#{part}"));
    for (code, value, other) in [("a", "1", "2"), ("b", "2", "1")] {
        let digest = token(composite("component-code-value-quantity", 0), "s", code);
        let slots: Vec<_> = found.tokens.iter().filter(|row| row.digest == digest).map(|row| row.slot).collect();
        let [slot] = slots[..] else { panic!("{slots:?}") };
        assert!(slot > 0);
        let of = quantities(&found, composite("component-code-value-quantity", 1));
        assert!(of.iter().any(|row| row.slot == slot && row.low.as_deref() == Some(value)));
        assert!(!of.iter().any(|row| row.slot == slot && row.low.as_deref() == Some(other)));
        assert!(of.iter().all(|row| !row.is_least && !row.is_greatest));
    }
    // Of the resource itself, and of its components, where the expression says both.
    let members = format!(r#""code":{{"coding":[{{"code":"x"}}]}},"valueQuantity":{{"value":9}},{members}"#);
    let both = rows("Observation", &members);
    assert_eq!(quantities(&both, composite("code-value-quantity", 1)).len(), 1);
    assert_eq!(quantities(&both, composite("combo-code-value-quantity", 1)).len(), 3);
    let dated = rows("Observation", r#""code":{"text":"x"},"valueDateTime":"2020""#);
    assert_eq!(dated.times.iter().filter(|row| row.parameter == composite("code-value-date", 1)).count(), 1);
    let related =
        rows("DocumentReference", r#""relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/2"}}]"#);
    assert_eq!(references(&related, id("DocumentReference", "relationship#0")), [("DocumentReference", "2")]);
    let replaces = token_value(id("DocumentReference", "relationship#1"), "replaces");
    assert!(related.tokens.iter().any(|row| row.digest == replaces && row.slot == 1));
}

#[test]
fn more_instances_than_there_are_slots_are_left_out() {
    let component = r#"{"code":{"coding":[{"code":"a"}]}}"#;
    let many = vec![component; 40_000].join(",");
    let rows = rows("Observation", &format!(r#""code":{{"coding":[{{"code":"z"}}]}},"component":[{many}]"#));
    assert!(rows.tokens.iter().all(|row| row.slot >= 0));
    assert!(has(&rows, token_present(id("Observation", "code"))));
}

#[test]
fn words_are_those_that_people_read() {
    let rows = rows(
        "Patient",
        r#""text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ann <b>Lévesque</b></p></div>"},
           "gender":"female","name":[{"family":"Doe"}],"photo":[{"contentType":"image/png","data":"AAAA","title":"Portrait"}],
           "contained":[{"resourceType":"Organization","name":"Clinic"}]"#,
    );
    assert_eq!(rows.narrative, "ann levesque");
    assert_eq!(rows.content, "ann levesque doe portrait clinic");
}

#[test]
fn words_have_a_limit_after_folding() {
    let rows = rows("Patient", &format!(r#""name":[{{"family":"{0}"}},{{"family":"{0}"}}]"#, "ﷺ".repeat(100_000)));
    assert!((200_000..=256 * 1024).contains(&rows.content.len()));
}

#[test]
fn whom_a_resource_belongs_to_is_always_told() {
    let of = |rows: &Rows| {
        references(rows, patient_compartment()).into_iter().map(|(kind, id)| format!("{kind}/{id}")).collect::<Vec<_>>()
    };
    assert_eq!(of(&rows("Patient", "")), ["Patient/1"]);
    assert!(of(&rows("Organization", "")).is_empty());
    let twice =
        r#""subject":{"reference":"Patient/7"},"performer":[{"reference":"Patient/7"},{"reference":"Patient/8"}]"#;
    assert_eq!(of(&rows("Observation", twice)), ["Patient/7", "Patient/8"]);
    // However much else there is.
    let members: Vec<_> = (0..30_000).map(|at| format!(r#"{{"item":{{"reference":"Observation/{at}"}}}}"#)).collect();
    let list = format!(r#""subject":{{"reference":"Patient/7"}},"entry":[{}]"#, members.join(","));
    let rows = rows("List", &list);
    assert_eq!(rows.references.len(), MOST_ROWS + 1);
    assert_eq!(of(&rows), ["Patient/7"]);
}

#[test]
fn the_rows_of_one_kind_have_a_limit() {
    let coding: Vec<_> = (0..30_000).map(|at| format!(r#"{{"system":"s","code":"{at}"}}"#)).collect();
    let rows = rows("Observation", &format!(r#""status":"final","code":{{"coding":[{}]}}"#, coding.join(",")));
    assert_eq!(rows.tokens.iter().filter(|row| row.sort.is_none()).count(), MOST_ROWS);
    for code in ["code", "status", "combo-code"] {
        assert!(has(&rows, token_present(id("Observation", code))), "{code}");
    }
}

#[test]
fn values_of_the_wrong_shape_have_no_rows() {
    for members in [
        r#""name":"x","gender":{"a":1},"birthDate":5,"identifier":[["x"]],"active":"true""#,
        r#""link":[{"other":"Patient/1"}],"meta":{"tag":"x","profile":"http://x"}"#,
        r#""telecom":[null],"deceasedBoolean":"x","extension":[{}]"#,
    ] {
        let rows = rows("Patient", members);
        assert!(rows.strings.iter().all(|row| !row.folded.contains('{')), "{members}");
    }
}

#[test]
fn an_operators_expression_may_compute_its_values() {
    let parameter = |code: &str, kind: &str, expression: &str| {
        format!(
            r#"{{"resourceType":"SearchParameter","url":"http://o/{code}","name":"x","code":"{code}","base":["Patient"],
                "type":"{kind}","expression":"{expression}"}}"#
        )
    };
    let files = [
        parameter("names", "number", "Patient.name.count()"),
        parameter("initial", "string", "Patient.name.given.first().substring(0,1)"),
        parameter("nameless", "token", "Patient.name.empty()"),
        parameter("born", "date", "Patient.extension('http://o/e').value"),
        parameter("kin", "token", "Patient.contact.relationship"),
    ];
    let numbered = files.iter().enumerate().map(|(at, text)| (format!("{at}.json"), text.as_bytes()));
    let manifest = ("package.json".to_owned(), &br#"{"name":"o","version":"1"}"#[..]);
    let package = Definitions::from_files(numbered.chain([manifest])).unwrap().package().unwrap();
    let (parameters, warnings) = Parameters::new(&Registry::with(vec![package]).unwrap());
    assert_eq!(warnings, [""; 0]);
    let of =
        |members: &str| parameters.extract(&resource(&format!(r#"{{"resourceType":"Patient"{members}}}"#)), "1", BASE);
    let named = of(r#","name":[{"given":["Éva"]},{"text":"x"}],"extension":[{"url":"http://o/e","valueDate":"2020"}]"#);
    assert_eq!(quantities(&named, id("Patient", "names"))[0].low.as_deref(), Some("2"));
    assert_eq!(strings(&named, id("Patient", "initial")), ["e"]);
    assert!(has(&named, token_value(id("Patient", "nameless"), "false")));
    assert_eq!(named.times.iter().filter(|row| row.parameter == id("Patient", "born")).count(), 1);
    // Where the element that a path begins with is not there, computed values are.
    let nameless = of("");
    assert_eq!(quantities(&nameless, id("Patient", "names"))[0].low.as_deref(), Some("0"));
    assert!(has(&nameless, token_value(id("Patient", "nameless"), "true")));
}

/// HL7's official examples, one to three of each type.
fn examples() -> Vec<(String, Resource)> {
    let mut lines = String::new();
    let packed = include_bytes!("../../../../tests/it/fixtures/examples.ndjson.gz");
    GzDecoder::new(&packed[..]).read_to_string(&mut lines).unwrap();
    let example = |line: &str| {
        let doc = Doc::parse(line, &Limits { depth: 100 }).unwrap();
        (doc.root().str("file").unwrap().into_owned(), resource(doc.root().get("resource").unwrap().raw()))
    };
    lines.lines().map(example).collect()
}

#[test]
fn the_official_examples_give_rows_that_can_be_stored() {
    let mut kinds = BTreeSet::new();
    for (file, resource) in examples() {
        let rows = PARAMETERS.extract(&resource, "1", BASE);
        let tokens: HashSet<_> = rows.tokens.iter().map(|row| (row.digest, row.slot)).collect();
        assert_eq!(tokens.len(), rows.tokens.len(), "{file}");
        assert_eq!(rows.references.iter().collect::<HashSet<_>>().len(), rows.references.len(), "{file}");
        for row in &rows.strings {
            assert!(row.folded.len() <= 2000 && !row.folded.is_empty() && !row.folded.contains('{'), "{file} {row:?}");
        }
        let known =
            |id: i32| PARAMETERS.by_id(id).map(|parameter| (parameter.type_name.clone(), parameter.code.clone()));
        kinds.extend(rows.strings.iter().filter_map(|row| known(row.parameter)));
        kinds.extend(rows.times.iter().filter_map(|row| known(row.parameter)));
        kinds.extend(rows.quantities.iter().filter_map(|row| known(row.parameter)));
        kinds.extend(rows.references.iter().filter_map(|row| known(row.parameter)));
        assert_eq!(rows.narrative, fold(&rows.narrative), "{file}");
        assert!(rows.content.starts_with(&rows.narrative), "{file}");
    }
    assert!(kinds.len() > 600, "{}", kinds.len());
}

#[test]
fn no_expression_of_r4_fails_on_the_official_examples() {
    for (file, resource) in examples() {
        let tree = Tree::of_resource(resource.doc());
        for parameter in PARAMETERS.of(resource.type_name()) {
            let Some(expression) = parameter.expression() else { continue };
            let found = expression.evaluate(&Scope::new(&tree, tree.root()));
            let found = found.unwrap_or_else(|error| panic!("{file} {}: {error}", parameter.code));
            // What is left out because its first element is not there has nothing.
            let first = parameter.first_elements();
            if !first.is_empty() && !first.iter().any(|name| tree.child(tree.root(), name).is_some()) {
                assert!(found.is_empty(), "{file} {}", parameter.code);
            }
        }
    }
}
