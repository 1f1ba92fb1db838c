//! Strings, URIs, dates, numbers, quantities, references, composites.

use super::*;
use crate::fhir::search::{Comparison, Part, Prefix, UnitTest, token, token_present, token_value};

#[test]
fn a_string_is_folded_unless_it_must_be_exact() {
    let parameter = id("Patient", "name");
    let folded = |text: &str| text.to_owned();
    assert_eq!(lookup("Patient", "name=M%C3%9CL ler"), Lookup::Begins { parameter, folded: folded("mul ler") });
    assert_eq!(lookup("Patient", "name:contains=%C3%89"), Lookup::Contains { parameter, folded: folded("e") });
    let exact = Lookup::Exact { parameter, folded: folded("mu, er"), exact: folded("Mü, Er") };
    assert_eq!(lookup("Patient", r"name:exact=M%C3%BC\, Er"), exact);
    let two = ["a", "b"].map(|text| Lookup::Begins { parameter, folded: folded(text) });
    assert_eq!(filter("Patient", "name=a,B"), Filter::Any(two.to_vec()));
    let long = "x".repeat(300);
    assert_eq!(lookup("Patient", &format!("name={long}")), Lookup::Begins { parameter, folded: "x".repeat(200) });
}

#[test]
fn every_kind_knows_whether_there_is_a_value() {
    for (type_name, code, part) in [
        ("Patient", "name", Part::String(id("Patient", "name"))),
        ("Patient", "gender", Part::Token(token_present(id("Patient", "gender")))),
        ("Patient", "birthdate", Part::Time(id("Patient", "birthdate"))),
        ("Patient", "organization", Part::Reference(id("Patient", "organization"))),
        ("Observation", "value-quantity", Part::Quantity(id("Observation", "value-quantity"))),
        ("RiskAssessment", "probability", Part::Quantity(id("RiskAssessment", "probability"))),
        ("ValueSet", "url", Part::String(id("ValueSet", "url"))),
        ("ValueSet", "_profile", Part::String(id("ValueSet", "_profile"))),
    ] {
        let present = vec![Lookup::Present(part)];
        assert_eq!(filter(type_name, &format!("{code}:missing=true")), Filter::None(present.clone()));
        assert_eq!(filter(type_name, &format!("{code}:missing=false")), Filter::Any(present));
        refused(type_name, &format!("{code}:missing=maybe"), "expected true or false");
        refused(type_name, &format!("{code}:missing=true,false"), "expected true or false");
        refused(type_name, &format!("{code}:nonsense=x"), "does not take the modifier 'nonsense'");
    }
    refused("Observation", "code-value-quantity:missing=true", "does not take the modifier");
    assert_eq!(filter("Patient", "_id:missing=true"), Filter::Nothing);
    assert_eq!(filters("Patient", "_lastUpdated:missing=false"), []);
    refused("Patient", "_id:not=1", "does not take the modifier");
    refused("Patient", "_text:contains=1", "does not take the modifier");
}

#[test]
fn a_modifier_of_another_kind_is_refused() {
    for (type_name, query) in [
        ("Patient", "name:in=x"),
        ("Patient", "name:text=x"),
        ("Patient", "name:Patient=x"),
        ("Patient", "birthdate:exact=2013"),
        ("Patient", "gender:exact=x"),
        ("Patient", "organization:exact=x"),
        ("Patient", "organization:below=x"),
        ("Patient", "organization:Patient=1"),
        ("ValueSet", "url:contains=x"),
        ("Observation", "value-quantity:not=5"),
        ("Observation", "code-value-quantity:exact=a$5"),
        ("Patient", "name:=x"),
        ("Patient", "name:EXACT=x"),
    ] {
        refused(type_name, query, "does not take the modifier");
    }
    let outcome = strict("Patient", "name:in=x").unwrap_err().to_json();
    assert_eq!(outcome["issue"][0]["expression"][0], "http.name:in");
    assert_eq!(outcome["issue"][0]["code"], "not-supported");
    assert!(outcome["issue"][0]["details"]["text"].as_str().unwrap().ends_with("it takes :missing, :exact, :contains"));
}

#[test]
fn uris_are_exact_or_stand_in_their_hierarchy() {
    let parameter = id("ValueSet", "url");
    for uri in ["http://acme.org/fhir/ValueSet/123", "urn:oid:1.2.3.4.5", "http://acme.org/A/"] {
        assert_eq!(lookup("ValueSet", &format!("url={uri}")), Lookup::Uri { parameter, uri: uri.to_owned() });
    }
    let below = Lookup::Below { parameter, uri: "http://acme.org/fhir".to_owned() };
    assert_eq!(lookup("ValueSet", "url:below=http://acme.org/fhir/"), below);
    let uris = ["http://a.b", "http://a.b/", "http://a.b/c", "http://a.b/c/", "http://a.b/c/d", "http://a.b/c/d/"];
    let above = Lookup::Above { parameter, uris: uris.map(str::to_owned).to_vec() };
    assert_eq!(lookup("ValueSet", "url:above=http://a.b/c/d"), above);
    for modifier in ["above", "below"] {
        for uri in ["urn:oid:1.2.3", "acme", "http://", "http:///"] {
            refused("ValueSet", &format!("url:{modifier}={uri}"), "a URL (no URN)");
        }
    }
    refused("ValueSet", &format!("url:above=http://a{}", "/b".repeat(64)), "segments");
    refused("ValueSet", &format!("url:above=http://{}", "a".repeat(2048)), "2048 bytes");
}

#[test]
fn a_canonical_with_a_version_asks_for_both() {
    let url = Lookup::Uri { parameter: id("ValueSet", "url"), uri: "http://x/v".to_owned() };
    let version = tokens(&[token_value(id("ValueSet", "version"), "1.0")]);
    assert_eq!(filters("ValueSet", "url=http://x/v|1.0"), [Filter::Any(vec![url]), Filter::Any(vec![version])]);
    let profile = Lookup::Uri { parameter: id("Patient", "_profile"), uri: "http://x/p|1.0".to_owned() };
    assert_eq!(lookup("Patient", "_profile=http://x/p|1.0"), profile);
}

#[test]
fn every_prefix_of_a_date_is_understood() {
    let parameter = id("Patient", "birthdate");
    for (text, prefix) in PREFIXES {
        let Lookup::Time { parameter: found, comparison } = lookup("Patient", &format!("birthdate={text}1970-01-02"))
        else {
            panic!("{text}")
        };
        assert_eq!((found, comparison.prefix), (parameter, prefix));
        if prefix != Prefix::Ap {
            assert_eq!((comparison.low, comparison.high), (86_400_000_000, 172_800_000_000));
        }
    }
    let Filter::Updated(times) = filter("Patient", "_lastUpdated=gt2013-01-14T10:00:00+02:00,lt2012") else { panic!() };
    assert_eq!(times.iter().map(|time| time.prefix).collect::<Vec<_>>(), [Prefix::Gt, Prefix::Lt]);
    assert_eq!(times[0].low, 1_358_150_400_000_000);
    for value in ["abc", "gt", "2013-02-30", "2013-01-14T10", "xx2013", "23 May 2009"] {
        refused("Patient", &format!("birthdate={value}"), "a date such as");
        refused("Patient", &format!("_lastUpdated={value}"), "a date such as");
    }
}

#[test]
fn what_is_asked_of_the_one_date_of_a_resource_is_asked_at_once() {
    let found = filters("Observation", "date=ge2020&code=a&date=lt2021&date=ne2020-02");
    let [Filter::Any(span), Filter::Any(code)] = found.as_slice() else { panic!("{found:?}") };
    assert!(matches!(code.as_slice(), [Lookup::Tokens(_)]));
    let [Lookup::Span { parameter, comparisons }] = span.as_slice() else { panic!("{span:?}") };
    assert_eq!(*parameter, id("Observation", "date"));
    let prefixes: Vec<_> = comparisons.iter().map(|one| one.prefix).collect();
    assert_eq!(prefixes, [Prefix::Ge, Prefix::Lt, Prefix::Ne]);
    // Other parameters, alternatives, and what a resource may have several of.
    for (type_name, query) in [
        ("Observation", "date=ge2020,le2010&date=lt2021"),
        ("Observation", "date=ge2020&_lastUpdated=lt2021"),
        ("DiagnosticReport", "date=ge2020&issued=lt2021"),
        ("Communication", "sent=ge2020&received=lt2021"),
        ("CarePlan", "activity-date=ge2020&activity-date=lt2021"),
    ] {
        let found = filters(type_name, query);
        assert_eq!(found.len(), 2, "{type_name} {query}: {found:?}");
    }
}

#[test]
fn every_prefix_of_a_number_and_of_a_quantity_is_understood() {
    for (text, prefix) in PREFIXES {
        for (type_name, code) in [("RiskAssessment", "probability"), ("Observation", "value-quantity")] {
            let found = lookup(type_name, &format!("{code}={text}2.0"));
            let (low, high) = match prefix {
                Prefix::Eq | Prefix::Ne => ("1.95", "2.05"),
                Prefix::Ap => ("1.80", "2.20"),
                _ => ("2.0", "2.0"),
            };
            let comparison = Comparison { prefix, low: low.to_owned(), high: high.to_owned() };
            assert_eq!(found, Lookup::Quantity { parameter: id(type_name, code), comparison, unit: UnitTest::Any });
        }
    }
    let Lookup::Quantity { unit, .. } = lookup("Observation", "value-quantity=le5.4|http://unitsofmeasure.org|mg")
    else {
        panic!()
    };
    assert_eq!(unit, UnitTest::Coded { system: "http://unitsofmeasure.org".to_owned(), code: "mg".to_owned() });
    for value in ["x", "gt", "5.4|mg", "5.4|a|b|c", "1e101"] {
        refused("Observation", &format!("value-quantity={value}"), "expected");
    }
    refused("RiskAssessment", "probability=0.5|a|b", "a number such as");
}

#[test]
fn references_name_type_and_id_or_a_url() {
    let parameter = id("Observation", "subject");
    for (query, kind, target) in [
        ("subject=23", None, "23"),
        ("subject=Patient/23", Some("Patient"), "23"),
        ("subject=Patient/23/_history/2", Some("Patient"), "23"),
        ("subject:Patient=23", Some("Patient"), "23"),
        ("subject:Patient=Patient/23", Some("Patient"), "23"),
        ("subject=http://h/fhir/Patient/23", Some("Patient"), "23"),
        ("subject=http://other/fhir/Patient/23", Some(""), "http://other/fhir/Patient/23"),
        (
            "subject=urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
            Some(""),
            "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
        ),
    ] {
        let targets = vec![(kind.map(str::to_owned), target.to_owned())];
        assert_eq!(lookup("Observation", query), Lookup::References { parameter, targets }, "{query}");
    }
    let targets = vec![(Some("Patient".to_owned()), "1".to_owned()), (Some("Patient".to_owned()), "2".to_owned())];
    let patient = Lookup::References { parameter: id("Observation", "patient"), targets };
    assert_eq!(lookup("Observation", "patient=1,Patient/2"), patient);
    let questionnaire = id("QuestionnaireResponse", "questionnaire");
    let targets = vec![(Some(String::new()), "http://x/q|2".to_owned())];
    let canonical = Lookup::References { parameter: questionnaire, targets };
    assert_eq!(lookup("QuestionnaireResponse", "questionnaire=http://x/q|2"), canonical);
    let identifier = tokens(&[token(id("Observation", "subject:identifier"), "http://acme.org/mrn", "123456")]);
    assert_eq!(lookup("Observation", "subject:identifier=http://acme.org/mrn|123456"), identifier);
    for value in ["a_b", "Foo/1", "Patient/", "#p", "Patient/1/2"] {
        refused("Observation", &format!("subject={}", value.replace('#', "%23")), "expected");
    }
    refused("Observation", "subject:Patient=Group/1", "another type");
    refused("Observation", "subject:Practitioner=1", "does not take the modifier");
}

#[test]
fn the_parts_of_a_composite_are_of_their_own_kinds() {
    let part = |index: u8| id("Observation", &format!("code-value-quantity#{index}"));
    let group = |code: &str, value: &str| {
        let comparison = Comparison { prefix: Prefix::Gt, low: value.to_owned(), high: value.to_owned() };
        let unit = UnitTest::CodeOrUnit("m$l".to_owned());
        vec![
            tokens(&[token(part(0), "http://loinc.org", code)]),
            Lookup::Quantity { parameter: part(1), comparison, unit },
        ]
    };
    let query = r"code-value-quantity=http://loinc.org|a\,b$gt5.4||m\$l,http://loinc.org|c$gt6||m\$l";
    assert_eq!(filter("Observation", query), Filter::Composite(vec![group("a,b", "5.4"), group("c", "6")]));
    for (value, text) in
        [("a", "2 parts"), ("a$1$2", "2 parts"), ("a$", "a number"), ("$5", "[code]"), ("a$b", "a number")]
    {
        refused("Observation", &format!("code-value-quantity={value}"), text);
    }
}

#[test]
fn a_backslash_escapes_separators_only() {
    let parameter = id("Patient", "name");
    assert_eq!(lookup("Patient", r"name=a\,b"), Lookup::Begins { parameter, folded: "a,b".to_owned() });
    assert_eq!(lookup("Patient", r"name=a\\b"), Lookup::Begins { parameter, folded: r"a\b".to_owned() });
    for query in [r"name=xx\xx", r"name=x\", r"gender=a\b", r"birthdate=2013\-01", r"organization=a\b", r"_id=a\b"] {
        refused("Patient", query, "a backslash only before");
    }
}

#[test]
fn what_every_resource_has_stands_in_its_own_row() {
    assert_eq!(filter("Patient", "_id=a,b-1,a_b"), Filter::Ids(vec!["a".to_owned(), "b-1".to_owned()]));
    assert_eq!(filter("Patient", "_id=a_b"), Filter::Nothing);
    assert_eq!(filter("Patient", "_text=Bone OR Liver"), Filter::Text("bone or liver".to_owned()));
    let either = ["a", "b"].map(|text| Filter::Content(text.to_owned()));
    assert_eq!(filter("Patient", "_content=a,b"), Filter::Either(either.to_vec()));
    assert_eq!(filter("Patient", "_list=42"), Filter::List("42".to_owned()));
    assert_eq!(filter("Patient", "_list=List/42"), Filter::List("42".to_owned()));
    refused("Patient", "_list=$current-allergies", "the id of a List");
    let source = Lookup::Uri { parameter: id("Patient", "_source"), uri: "http://s".to_owned() };
    assert_eq!(lookup("Patient", "_source=http://s"), source);
    let tag = tokens(&[token(id("Patient", "_tag"), "http://acme.org/codes", "needs-review")]);
    assert_eq!(lookup("Patient", "_tag=http://acme.org/codes|needs-review"), tag);
}
