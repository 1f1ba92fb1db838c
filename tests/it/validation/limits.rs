//! Hostile documents: what they cost grows with their size, and what is said of them has an end. Each has a size that an
//! effort in its square would make these tests hang.

use std::fmt::Write as _;

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Limits};
use sofa::fhir::outcome::{Issue, IssueType, Severity};
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{MAX_ISSUES, Options, Validator};

const MANY: usize = 100_000;

fn check(text: &str) -> Vec<Issue> {
    let doc = Doc::parse(text, &Limits::default()).unwrap();
    Validator::new(Registry::built_in(), Options::default()).check(&Tree::of_resource(&doc))
}

/// `count` parts, each made of its number, separated by commas.
fn many(count: usize, part: impl Fn(usize) -> String) -> String {
    let mut all = String::new();
    for number in 0..count {
        write!(all, "{}{}", if number > 0 { "," } else { "" }, part(number)).unwrap();
    }
    all
}

fn errors(issues: &[Issue]) -> usize {
    issues.iter().filter(|issue| issue.severity >= Severity::Error).count()
}

#[test]
fn a_document_is_told_of_a_thousand_issues() {
    let issues =
        check(&format!(r#"{{"resourceType":"Patient","name":[{}]}}"#, many(MANY, |_| r#"{"use":"x"}"#.to_owned())));
    assert_eq!(issues.len(), MAX_ISSUES + 1);
    let last = issues.last().unwrap();
    assert_eq!((last.severity, last.code), (Severity::Information, IssueType::TooCostly));
    // The recommended narrative is one more.
    assert_eq!(last.text, format!("{} more issues were found and left out", MANY + 1 - MAX_ISSUES));
}

#[test]
fn an_error_is_told_however_many_warnings_come_before_and_after() {
    let warnings = |count: usize| many(count, |_| r#"{"resource":{"resourceType":"Patient"}}"#.to_owned());
    let error = r#"{"resource":{"resourceType":"Patient","gender":"x"}}"#;
    for (before, after) in [(MAX_ISSUES - 1, 1), (MAX_ISSUES, 1), (MANY / 10, MANY / 10)] {
        let entries = format!("{},{error},{},{error}", warnings(before), warnings(after));
        let issues = check(&format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}"#));
        let places: Vec<_> = issues
            .iter()
            .filter(|issue| issue.severity >= Severity::Error)
            .filter_map(|issue| issue.expression.clone())
            .collect();
        let place = |at: usize| format!("Bundle.entry[{at}].resource.gender");
        assert_eq!(places, [place(before), place(before + after + 1)]);
        assert_eq!(issues.len(), MAX_ISSUES + 1);
    }
}

#[test]
fn many_elements_that_nobody_knows() {
    let issues = check(&format!(r#"{{"resourceType":"Patient",{}}}"#, many(MANY, |at| format!(r#""a{at}":1"#))));
    assert_eq!((issues.len(), errors(&issues)), (MAX_ISSUES + 1, MAX_ISSUES));
}

#[test]
fn many_identifiers_and_codings_are_fine() {
    let identifiers = many(MANY, |at| format!(r#"{{"system":"http://x","value":"{at}"}}"#));
    let codings = many(MANY, |at| format!(r#"{{"system":"http://x","code":"{at}"}}"#));
    let issues = check(&format!(
        r#"{{"resourceType":"Patient","identifier":[{identifiers}],"maritalStatus":{{"coding":[{codings}]}}}}"#
    ));
    // Not in the extensible set: one warning for all of them, and one for the narrative.
    assert_eq!((issues.len(), errors(&issues)), (2, 0));
    assert!(issues[1].text.len() < 300, "{}", issues[1].text);
    let parts =
        many(MANY, |at| format!(r#"{{"code":{{"coding":[{{"system":"http://x","code":"{at}"}}]}},"valueInteger":1}}"#));
    let codings = many(MANY, |at| format!(r#"{{"system":"http://y","code":"{at}"}}"#));
    // obs-7 compares all codes of components with all codes of the whole.
    let issues = check(&format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{codings}]}},"valueInteger":1,"component":[{parts}]}}"#
    ));
    assert_eq!(errors(&issues), 0, "{issues:?}");
}

#[test]
fn many_contained_resources_that_refer_to_one_another() {
    let count = MANY / 2;
    let contained = many(count, |at| {
        format!(
            r##"{{"resourceType":"Organization","id":"o{at}","name":"x","partOf":{{"reference":"#o{}"}}}}"##,
            (at + 1) % count
        )
    });
    let issues = check(&format!(r#"{{"resourceType":"Patient","contained":[{contained}]}}"#));
    assert_eq!(errors(&issues), 0);
    // Twice the same ids, half of them unused.
    let contained = many(count, |at| format!(r#"{{"resourceType":"Organization","id":"o{}","name":"x"}}"#, at / 2));
    let issues = check(&format!(r#"{{"resourceType":"Patient","contained":[{contained}]}}"#));
    assert_eq!((issues.len(), errors(&issues)), (MAX_ISSUES + 1, MAX_ISSUES));
}

#[test]
fn many_references_that_an_invariant_resolves() {
    // ctm-1 resolves each member.
    let members = many(MANY / 2, |at| {
        format!(r##"{{"member":{{"reference":"#p{at}"}},"onBehalfOf":{{"reference":"Organization/1"}}}}"##)
    });
    let contained = many(MANY / 2, |at| format!(r#"{{"resourceType":"Practitioner","id":"p{at}"}}"#));
    let issues =
        check(&format!(r#"{{"resourceType":"CareTeam","participant":[{members}],"contained":[{contained}]}}"#));
    assert_eq!(errors(&issues), 0);
}

#[test]
fn many_entries_that_refer_to_one_another() {
    let entries = many(MANY / 2, |at| {
        format!(
            r#"{{"fullUrl":"http://x/fhir/Observation/{at}","resource":{{"resourceType":"Observation","id":"{at}","status":"final","code":{{"text":"x"}},"hasMember":[{{"reference":"Observation/{}"}}]}}}}"#,
            at + 1
        )
    });
    assert_eq!(errors(&check(&format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}"#))), 0);
}

#[test]
fn a_long_chain_of_references_between_profiled_resources() {
    // The vital signs profile demands that its members conform to it, and so on.
    let vital = |at: usize, more: &str| {
        format!(
            r#"{{"fullUrl":"http://x/fhir/Observation/{at}","resource":{{"resourceType":"Observation","id":"{at}","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}},"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"text":"x"}},"subject":{{"reference":"Patient/1"}},"effectiveDateTime":"2020-01-01"{more}}}}}"#
        )
    };
    let chain = |count: usize| {
        many(count, |at| vital(at, &format!(r#","hasMember":[{{"reference":"Observation/{}"}}]"#, at + 1)))
    };
    let bundle =
        |entries: &str| check(&format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}"#));
    let count = MANY / 5;
    let good = format!("{},{}", chain(count), vital(count, r#","valueInteger":1"#));
    assert_eq!(errors(&bundle(&good)), 0);
    // The last one breaks vs-2; so does whatever leads to it, as far as it is followed.
    let bad = format!("{},{}", chain(3), vital(3, ""));
    let issues = bundle(&bad);
    let places: Vec<_> = issues
        .iter()
        .filter(|issue| issue.severity >= Severity::Error)
        .filter_map(|issue| issue.expression.as_deref())
        .collect();
    assert_eq!(
        places,
        [
            "Bundle.entry[0].resource.hasMember[0]",
            "Bundle.entry[1].resource.hasMember[0]",
            "Bundle.entry[2].resource.hasMember[0]",
            "Bundle.entry[3].resource",
        ]
    );
}

#[test]
fn deep_documents_end_at_the_limit_of_the_parser() {
    let nested = |depth: usize, open: &str, close: &str| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let deep = format!(
        r#"{{"resourceType":"Patient","extension":[{}]}}"#,
        nested(30, r#"{"url":"http://x/e","extension":["#, "]}").replacen(
            "[]",
            r#"[{"url":"http://x/e","valueCode":"x"}]"#,
            1
        )
    );
    assert_eq!(errors(&check(&deep)), 0);
    let deeper =
        format!(r#"{{"resourceType":"Patient","extension":[{}]}}"#, nested(MANY, r#"{"url":"e","extension":["#, "]}"));
    assert!(Doc::parse(&deeper, &Limits::default()).is_err());
    let items = nested(20, r#"{"linkId":"1","type":"group","item":["#, "]}").replacen(
        "[]",
        r#"[{"linkId":"2","type":"string"}]"#,
        1,
    );
    assert_eq!(
        errors(&check(&format!(r#"{{"resourceType":"Questionnaire","name":"X","status":"draft","item":[{items}]}}"#))),
        1
    );
}

#[test]
fn many_claims_are_judged_once_each() {
    let claims = many(MANY, |at| match at % 3 {
        0 => r#""http://hl7.org/fhir/StructureDefinition/bp""#.to_owned(),
        1 => r#""http://hl7.org/fhir/StructureDefinition/bp|4.0.1""#.to_owned(),
        _ => format!(r#""http://x/{at}""#),
    });
    let issues = check(&format!(r#"{{"resourceType":"Patient","meta":{{"profile":[{claims}]}}}}"#));
    assert_eq!((errors(&issues), issues.len()), (1, MAX_ISSUES + 1));
}

#[test]
fn many_items_of_a_questionnaire_a_code_system_and_a_guide() {
    let items = many(MANY, |at| format!(r#"{{"linkId":"{at}","type":"string"}}"#));
    assert_eq!(
        errors(&check(&format!(r#"{{"resourceType":"Questionnaire","name":"X","status":"draft","item":[{items}]}}"#))),
        0
    );
    let concepts = many(MANY, |at| format!(r#"{{"code":"{at}"}}"#));
    assert_eq!(
        errors(&check(&format!(
            r#"{{"resourceType":"CodeSystem","name":"X","status":"draft","content":"complete","concept":[{concepts}]}}"#
        ))),
        0
    );
    let groups = many(MANY / 10, |at| format!(r#"{{"id":"g{at}","name":"x"}}"#));
    let resources =
        many(MANY / 10, |at| format!(r#"{{"reference":{{"reference":"Patient/{at}"}},"groupingId":"g{at}"}}"#));
    let guide = format!(
        r#"{{"resourceType":"ImplementationGuide","url":"http://x","name":"X","status":"draft","packageId":"x.y","fhirVersion":["4.0.1"],"definition":{{"grouping":[{groups}],"resource":[{resources}]}}}}"#
    );
    assert_eq!(errors(&check(&guide)), 0);
}

#[test]
fn a_long_narrative_and_long_texts() {
    let text = "x".repeat(10 * MANY);
    let div = format!(r#"<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>"#, "<p>x</p>".repeat(MANY));
    let issues = check(&format!(
        r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"{div}"}},"name":[{{"text":"{text}"}}],"gender":"{text}"}}"#
    ));
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].expression.as_deref(), Some("Patient.gender"));
}
