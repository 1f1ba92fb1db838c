use time::macros::datetime;

use super::*;
use crate::fhir::search::{
    Chain, Comparison, Digest, Direction, Has, Include, Part, Prefix, SortBy, SortKey, Target, UnitTest, parameter_id,
    token, token_of_type, token_present, token_system, token_value,
};

fn with<T>(handling: Handling, run: impl FnOnce(&Request<'_>) -> T) -> T {
    let registry = Registry::built_in();
    let (parameters, _) = Parameters::new(&registry);
    run(&Request {
        parameters: &parameters,
        registry: &registry,
        base: "http://h/fhir",
        now: datetime!(2026-01-01 00:00 UTC),
        handling,
    })
}

fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn parsed(kind: &str, query: &str) -> Result<Query, String> {
    with(Handling::Strict, |request| {
        parse(request, Level::Type(kind), &pairs(query)).map_err(|outcome| outcome.summary())
    })
}

fn only(kind: &str, query: &str) -> Filter {
    let mut query = parsed(kind, query).unwrap();
    assert_eq!(query.filters.len(), 1);
    query.filters.pop().unwrap()
}

fn id(kind: &str, code: &str) -> i32 {
    parameter_id(kind, code)
}

fn tokens(digests: &[Digest]) -> Filter {
    Filter::Any(digests.iter().map(|digest| Lookup::Tokens(vec![*digest])).collect())
}

#[test]
fn tokens_are_asked_for_in_four_ways() {
    let code = id("Observation", "code");
    assert_eq!(only("Observation", "code=a"), tokens(&[token_value(code, "a")]));
    assert_eq!(only("Observation", "code=s|a"), tokens(&[token(code, "s", "a")]));
    assert_eq!(only("Observation", "code=|a"), tokens(&[token(code, "", "a")]));
    assert_eq!(only("Observation", "code=s|"), tokens(&[token_system(code, "s")]));
    assert_eq!(only("Observation", r"code=a,b\,c"), tokens(&[token_value(code, "a"), token_value(code, "b,c")]));
    assert_eq!(only("Observation", "code:not=a"), Filter::None(vec![Lookup::Tokens(vec![token_value(code, "a")])]));
    let identifier = id("Patient", "identifier");
    assert_eq!(only("Patient", "identifier:of-type=s|MR|7"), tokens(&[token_of_type(identifier, "s", "MR", "7")]));
    assert_eq!(
        only("Patient", "gender:missing=true"),
        Filter::None(vec![Lookup::Present(Part::Token(token_present(id("Patient", "gender"))))])
    );
    let Filter::Any(found) = only("Patient", "gender:in=http://hl7.org/fhir/ValueSet/administrative-gender") else {
        panic!()
    };
    assert!(
        matches!(&found[0], Lookup::Tokens(digests) if digests.contains(&token(id("Patient", "gender"), "", "female")))
    );
    for bad in ["code=|", "code=a|b|c", "code:exact=a", "code:in=http://nowhere", "code:below=a", "code:missing=maybe"]
    {
        assert!(parsed("Observation", bad).is_err(), "{bad}");
    }
}

#[test]
fn strings_are_folded() {
    let name = id("Patient", "name");
    assert_eq!(
        only("Patient", "name=M%C3%9CL"),
        Filter::Any(vec![Lookup::Begins { parameter: name, folded: "mul".into() }])
    );
    assert_eq!(
        only("Patient", "name:contains=%C3%89"),
        Filter::Any(vec![Lookup::Contains { parameter: name, folded: "e".into() }])
    );
    assert_eq!(
        only("Patient", "name:exact=M%C3%BC"),
        Filter::Any(vec![Lookup::Exact { parameter: name, folded: "mu".into(), exact: "Mü".into() }])
    );
    assert!(parsed("Patient", "name:in=x").is_err());
}

#[test]
fn quantities_have_units() {
    let value = id("Observation", "value-quantity");
    for (text, unit) in [
        ("5.4", UnitTest::Any),
        ("5.4||mg", UnitTest::CodeOrUnit("mg".into())),
        ("5.4|s|mg", UnitTest::Coded { system: "s".into(), code: "mg".into() }),
    ] {
        let comparison = Comparison { prefix: Prefix::Eq, low: "5.35".into(), high: "5.45".into() };
        let expected = Filter::Any(vec![Lookup::Quantity { parameter: value, comparison, unit }]);
        assert_eq!(only("Observation", &format!("value-quantity={text}")), expected);
    }
    for bad in ["5.4|mg", "x", "gt", "5.4|a|b|c"] {
        assert!(parsed("Observation", &format!("value-quantity={bad}")).is_err(), "{bad}");
    }
}

#[test]
fn references_are_local_or_elsewhere() {
    let subject = id("Observation", "subject");
    let one = |kind: Option<&str>, target: &str| {
        Filter::Any(vec![Lookup::References {
            parameter: subject,
            targets: vec![(kind.map(Into::into), target.into())],
        }])
    };
    assert_eq!(only("Observation", "subject=Patient/1"), one(Some("Patient"), "1"));
    assert_eq!(only("Observation", "subject=http://h/fhir/Patient/1"), one(Some("Patient"), "1"));
    assert_eq!(only("Observation", "subject:Patient=1"), one(Some("Patient"), "1"));
    assert_eq!(only("Observation", "subject=1"), one(None, "1"));
    assert_eq!(only("Observation", "subject=http://x/Patient/1"), one(Some(""), "http://x/Patient/1"));
    assert_eq!(
        only("Observation", "subject:identifier=s|1"),
        tokens(&[token(id("Observation", "subject:identifier"), "s", "1")])
    );
    for bad in ["subject=a_b", "subject:Practitioner=1", "subject:Patient=Group/1", "subject:nothing=1"] {
        assert!(parsed("Observation", bad).is_err(), "{bad}");
    }
}

#[test]
fn chains_lead_to_every_type_that_knows_the_parameter() {
    let Filter::Chain(Chain { targets, .. }) = only("Observation", "subject.name=x") else { panic!() };
    let names: Vec<_> = targets.iter().map(|target: &Target| target.type_name.as_str()).collect();
    assert_eq!(
        names,
        ["Device", "Location", "Patient"]
            .map(|name| name)
            .to_vec()
            .into_iter()
            .filter(|name| names.contains(name))
            .collect::<Vec<_>>()
    );
    assert!(names.contains(&"Patient"));
    let Filter::Chain(Chain { targets, .. }) = only("Observation", "subject:Patient.organization.name:exact=x") else {
        panic!()
    };
    assert!(matches!(&targets[0].filters[0], Filter::Chain(_)));
    let Filter::Has(Has { type_name, target_type, .. }) = only("Patient", "_has:Observation:patient:code=x") else {
        panic!()
    };
    assert_eq!((type_name.as_str(), target_type.as_str()), ("Observation", "Patient"));
    assert!(matches!(only("Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent=x"), Filter::Has(_)));
    for bad in [
        "subject.nothing=x",
        "code.name=x",
        "subject:Practitioner.name=x",
        "_has:Foo:patient:code=x",
        "_has:Observation=x",
        "nothing.name=x",
    ] {
        assert!(parsed("Observation", bad).is_err(), "{bad}");
    }
    let long = format!("{}name=x", "organization.partof.".repeat(1)) + &".partof".repeat(0);
    let deep = format!("Organization|{}name", "partof.".repeat(8));
    let (kind, name) = deep.split_once('|').unwrap();
    assert!(parsed(kind, &format!("{name}=x")).is_err());
    assert!(parsed("Patient", &long).is_ok());
}

#[test]
fn composites_have_all_their_parts() {
    let Filter::Composite(groups) = only("Observation", "code-value-quantity=s|a$gt5") else { panic!() };
    assert_eq!(groups[0][0], Lookup::Tokens(vec![token(id("Observation", "code-value-quantity#0"), "s", "a")]));
    assert!(matches!(&groups[0][1], Lookup::Quantity { comparison, .. } if comparison.prefix == Prefix::Gt));
    for bad in ["a", "a$", "a$1$2"] {
        assert!(parsed("Observation", &format!("code-value-quantity={bad}")).is_err(), "{bad}");
    }
}

#[test]
fn uris_have_relatives() {
    let url = id("ValueSet", "url");
    assert_eq!(
        only("ValueSet", "url:below=http://a/b/"),
        Filter::Any(vec![Lookup::Below { parameter: url, uri: "http://a/b".into() }])
    );
    let Filter::Any(above) = only("ValueSet", "url:above=http://a/b/c") else { panic!() };
    let expected = ["http://a/b/c", "http://a/b", "http://a"].map(String::from).to_vec();
    assert_eq!(above, [Lookup::Above { parameter: url, uris: expected }]);
}

#[test]
fn what_is_unknown_is_left_out_or_refused() {
    let query = "name=a&bonkers=foobar&gender=";
    let lenient = with(Handling::Lenient, |request| parse(request, Level::Type("Patient"), &pairs(query)).unwrap());
    assert_eq!(lenient.used, [("name".to_owned(), "a".to_owned())]);
    assert_eq!(lenient.ignored.len(), 2);
    assert!(parsed("Patient", query).unwrap_err().contains("bonkers"));
    for bad in [
        "birthdate=abc",
        "_count=-1",
        "_count=1&_count=2",
        "_lastUpdated=gt",
        "_sort=bonkers",
        "_total=x",
        "_summary=x",
    ] {
        assert!(parsed("Patient", bad).is_err(), "{bad}");
    }
}

#[test]
fn results_are_shaped_by_their_parameters() {
    let query = parsed("Patient", "_sort=-birthdate,_id&_count=5&_include=Patient:organization&_revinclude:iterate=Observation:subject:Patient&_elements=name,id").unwrap();
    let date = Part::Time(id("Patient", "birthdate"));
    assert_eq!(
        query.sort,
        [
            SortKey { by: SortBy::Part(date), direction: Direction::Descending },
            SortKey { by: SortBy::Id, direction: Direction::Ascending }
        ]
    );
    assert_eq!(query.count, Some(5));
    assert_eq!(query.elements, ["name", "id"]);
    assert_eq!(query.includes[0].parameters, [id("Patient", "organization")]);
    let expected = Include {
        source: Some("Observation".into()),
        parameters: vec![id("Observation", "subject")],
        target: Some("Patient".into()),
        iterate: true,
    };
    assert_eq!(query.revincludes, [expected]);
}

#[test]
fn a_system_search_knows_what_every_type_has() {
    with(Handling::Strict, |request| {
        let query = parse(request, Level::System, &pairs("_type=Patient,Group&_tag=a")).unwrap();
        assert_eq!(query.types, ["Group", "Patient"]);
        let Filter::Any(lookups) = &query.filters[0] else { panic!() };
        assert_eq!(lookups.len(), 2);
        assert!(parse(request, Level::System, &pairs("name=a")).is_err());
        assert!(parse(request, Level::System, &pairs("_lastUpdated=gt2020&_id=1")).is_ok());
        let member = Level::Compartment { type_name: "Patient", id: "1", kind: Some("Observation") };
        let query = parse(request, member, &pairs("code=a")).unwrap();
        assert!(matches!(&query.filters[0], Filter::Compartment(of) if of.parameters.len() == 1));
        let stranger = Level::Compartment { type_name: "Patient", id: "1", kind: Some("Organization") };
        assert!(parse(request, stranger, &[]).is_err());
    });
}

#[test]
fn a_condition_drops_nothing() {
    with(Handling::Lenient, |request| {
        for query in ["identifier=a|b", "?identifier=a|b", "Patient?identifier=a|b&birthdate=2020"] {
            assert!(condition(request, "Patient", query).is_ok(), "{query}");
        }
        for query in
            ["", "?", "bonkers=1", "identifier=a&bonkers=1", "identifier=a&_count=1", "_sort=name", "identifier="]
        {
            assert!(condition(request, "Patient", query).is_err(), "{query}");
        }
        assert!(condition(request, "Foo", "identifier=a").is_err());
    });
}

proptest::proptest! {
    #[test]
    fn no_query_is_too_odd(name in "[a-z_:.]{0,12}|_has:[A-Za-z:.]{0,20}|subject[:.a-zA-Z]{0,15}", value in ".{0,20}") {
        let _ = parsed("Observation", &form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish());
    }
}
