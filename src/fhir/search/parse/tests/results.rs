//! The parameters that say what is answered, and what becomes of unknown ones.

use super::*;
use crate::fhir::{
    outcome::{IssueType, Severity},
    search::{Direction, Include, Part, SortBy, SortKey, Summary, Total, token_present},
};

fn includes(query: &str) -> Vec<Include> {
    strict("Observation", query).unwrap().includes
}

#[test]
fn what_is_unknown_or_empty_is_left_out_or_refused() {
    let found = lenient("Patient", "name=a&bonkers=foobar&gender=&birthdate= &_sort=").unwrap();
    assert_eq!(found.used, pairs("name=a"));
    assert_eq!(found.filters.len(), 1);
    assert_eq!(found.ignored.len(), 4);
    let issue = &found.ignored[0];
    assert_eq!((issue.severity, issue.code), (Severity::Warning, IssueType::NotSupported));
    assert_eq!(issue.expression.as_deref(), Some("http.bonkers"));
    assert_eq!(issue.text, "bonkers: Patient has no search parameter 'bonkers'");
    let outcome = strict("Patient", "bonkers=foobar&name=a&gender=").unwrap_err();
    assert_eq!(outcome.issues().count(), 2);
    for query in
        ["_filter=a", "_contained=true", "_containedType=container", "=x", "Name=x", "_score=1", ".=x", ":=x", "a.b=c"]
    {
        left_out("Patient", query, "has no search parameter");
    }
    left_out("Patient", "name=,", "an empty value");
    left_out("Location", "near=1|2", "");
    // Every refusal is told at once.
    let outcome = strict("Patient", "birthdate=a&gender:exact=b&_count=-1").unwrap_err();
    assert_eq!(outcome.issues().count(), 3);
    refused("Patient", "_query=current-high-risk&name=x", "no named queries");
}

#[test]
fn an_empty_alternative_is_passed_over_when_lenient() {
    let found = lenient("Patient", "name=a,,b,").unwrap();
    assert!(matches!(&found.filters[0], Filter::Any(lookups) if lookups.len() == 2));
    assert!(strict("Patient", "name=a,,b").unwrap_err().summary().contains("an empty value"));
}

#[test]
fn a_sort_goes_by_several_keys() {
    let key = |by, direction| SortKey { by, direction };
    let found = strict("Patient", "_sort=-birthdate,gender&_sort=name,_id,-_lastUpdated,organization").unwrap();
    let (up, down) = (Direction::Ascending, Direction::Descending);
    assert_eq!(
        found.sort,
        [
            key(SortBy::Part(Part::Time(id("Patient", "birthdate"))), down),
            key(SortBy::Part(Part::Token(token_present(id("Patient", "gender")))), up),
            key(SortBy::Part(Part::String(id("Patient", "name"))), up),
            key(SortBy::Id, up),
            key(SortBy::Updated, down),
            key(SortBy::Part(Part::Reference(id("Patient", "organization"))), up),
        ]
    );
    for query in ["_sort=bonkers", "_sort=_score", "_sort=_text", "_sort=-"] {
        left_out("Patient", query, "");
    }
    left_out("Observation", "_sort=code-value-quantity", "has no order");
    let partly = lenient("Patient", "_sort=name,bonkers,-_id").unwrap();
    assert_eq!(partly.used, [("_sort".to_owned(), "name,-_id".to_owned())]);
    assert_eq!((partly.sort.len(), partly.ignored.len()), (2, 1));
    refused("Patient", "_sort:desc=name", "does not take the modifier");
    refused("Patient", &format!("_sort={}", ["_id"; 9].join(",")), "more than 8 keys");
    let several = parse(&request(Handling::Strict), Level::System, &pairs("_type=Patient,Group&_sort=_lastUpdated"));
    assert_eq!(several.unwrap().sort, [key(SortBy::Updated, up)]);
    let several = parse(&request(Handling::Strict), Level::System, &pairs("_type=Patient,Group&_sort=identifier"));
    assert!(several.unwrap_err().summary().contains("several types cannot be sorted"));
}

#[test]
fn counts_totals_and_summaries_are_given_once() {
    let found = strict("Patient", "_count=0&_total=accurate&_summary=count").unwrap();
    assert_eq!((found.count, found.total, found.summary), (Some(0), Some(Total::Accurate), Some(Summary::Count)));
    assert_eq!(strict("Patient", "_count=99999999999999999999").unwrap().count, Some(u32::MAX));
    for (text, total) in [("none", Total::None), ("estimate", Total::Estimate)] {
        assert_eq!(strict("Patient", &format!("_total={text}")).unwrap().total, Some(total));
    }
    for (text, summary) in
        [("true", Summary::True), ("text", Summary::Text), ("data", Summary::Data), ("false", Summary::False)]
    {
        assert_eq!(strict("Patient", &format!("_summary={text}")).unwrap().summary, Some(summary));
    }
    for query in ["_count=1&_count=1", "_total=none&_total=none", "_summary=true&_summary=true"] {
        refused("Patient", query, "may be given once");
    }
    for query in ["_count=-1", "_count=a", "_count=1.5", "_count=%2B5", "_total=x", "_summary=x", "_summary=TRUE"] {
        refused("Patient", query, "expected");
    }
    refused("Patient", "_count:exact=1", "does not take the modifier");
}

#[test]
fn elements_are_those_of_the_type() {
    let found = strict("Observation", "_elements=id,status,value&_elements=valueQuantity,id").unwrap();
    assert_eq!(found.elements, ["id", "status", "value", "valueQuantity"]);
    left_out("Patient", "_elements=bonkers", "is no element");
    let partly = lenient("Patient", "_elements=name,bonkers").unwrap();
    assert_eq!((partly.elements, partly.used), (vec!["name".to_owned()], pairs("_elements=name")));
}

#[test]
fn summary_gives_way_to_elements_and_does_not_go_with_includes() {
    let both = lenient("Patient", "_summary=true&_elements=name").unwrap();
    assert_eq!((both.summary, both.used, both.ignored.len()), (None, pairs("_elements=name"), 1));
    assert!(strict("Patient", "_summary=true&_elements=name").is_err());
    assert!(strict("Patient", "_summary=count&_elements=name").is_ok());
    refused("Patient", "_summary=text&_include=Patient:organization", "together with _include");
    refused("Patient", "_summary=text&_revinclude=Observation:subject", "together with _include");
}

#[test]
fn includes_name_a_reference_parameter() {
    let subject = vec![id("Observation", "subject")];
    let include = |target: Option<&str>, iterate| Include {
        source: Some("Observation".to_owned()),
        parameters: subject.clone(),
        target: target.map(str::to_owned),
        iterate,
    };
    assert_eq!(includes("_include=Observation:subject"), [include(None, false)]);
    assert_eq!(includes("_include=Observation:subject:Patient"), [include(Some("Patient"), false)]);
    assert_eq!(includes("_include:iterate=Observation:subject"), [include(None, true)]);
    assert_eq!(includes("_include:recurse=Observation:subject"), [include(None, true)]);
    assert_eq!(strict("Patient", "_revinclude=Observation:subject").unwrap().revincludes, [include(None, false)]);
    assert_eq!(
        strict("Patient", "_revinclude:iterate=Observation:subject").unwrap().revincludes,
        [include(None, true)]
    );
    let all = includes("_include=Observation:*").remove(0);
    assert!(
        all.parameters.contains(&id("Observation", "performer"))
            && !all.parameters.contains(&id("Observation", "code"))
    );
    let of_groups = includes("_include=Observation:*:Group").remove(0);
    assert!(
        of_groups.parameters.contains(&subject[0]) && !of_groups.parameters.contains(&id("Observation", "encounter"))
    );
    let any = includes("_include=*").remove(0);
    assert_eq!((any.source, any.parameters), (None, all.parameters));
    let iterated = includes("_include:iterate=*").remove(0);
    assert!(iterated.parameters.contains(&id("Patient", "organization")));
    let reverse = strict("Patient", "_revinclude=*").unwrap().revincludes.remove(0);
    assert!(reverse.parameters.contains(&id("Provenance", "target")));
}

#[test]
fn includes_of_what_is_unknown_are_left_out_and_malformed_ones_refused() {
    for value in [
        "Foo:subject",
        "Observation:bonkers",
        "Observation:code",
        "Observation:subject:Foo",
        "Observation:encounter:Patient",
        "*:*",
    ] {
        left_out("Observation", &format!("_include={value}"), "");
        left_out("Observation", &format!("_revinclude={value}"), "");
    }
    for value in ["Observation", "a:b:c:d"] {
        refused("Observation", &format!("_include={value}"), "[type]:[parameter]");
    }
    refused("Observation", "_include:exact=Observation:subject", "does not take the modifier");
}

#[test]
fn the_self_link_asks_for_the_same_again() {
    let query = "name=a,b&bonkers=1&_sort=name,bonkers&_summary=true&_elements=name&_include=Patient:organization&_count=5&gender=";
    let found = lenient("Patient", query).unwrap();
    let again = parse(&request(Handling::Strict), Level::Type("Patient"), &found.used).unwrap();
    assert_eq!(again, Query { ignored: Vec::new(), ..found });
}
