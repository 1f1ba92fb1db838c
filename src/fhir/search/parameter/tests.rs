use super::*;
use crate::fhir::definition::source::Definitions;

fn r4() -> Parameters {
    let (parameters, warnings) = Parameters::new(&Registry::built_in());
    assert_eq!(warnings, Vec::<String>::new());
    parameters
}

#[test]
fn every_expression_of_r4_is_one() {
    let parameters = r4();
    for type_name in types::resource_types() {
        for parameter in parameters.of(type_name) {
            assert_eq!(parameter.has_rows(), parameter.expression().is_some(), "{type_name} {}", parameter.code);
            for part in &parameter.components {
                assert!(part.expression().is_some(), "{type_name} {}", parameter.code);
            }
        }
    }
}

#[test]
fn only_what_can_find_something_is_kept() {
    let parameters = r4();
    let code = parameters.find("Observation", "code").unwrap();
    assert_eq!(code.expression().unwrap().text(), "Observation.code");
    assert_eq!(code.first_elements(), ["code"]);
    let phone = parameters.find("Patient", "phone").unwrap();
    assert_eq!(phone.expression().unwrap().text(), "Patient.telecom.where(system='phone')");
    assert!(parameters.find("Patient", "code").is_none());
    assert!(parameters.find("Basic", "_tag").unwrap().has_rows());
    assert!(!parameters.find("Basic", "_id").unwrap().has_rows());
}

#[test]
fn a_path_of_elements_that_do_not_repeat_finds_one_value() {
    let parameters = r4();
    for (type_name, code, is_single) in [
        ("Patient", "birthdate", true),
        ("Observation", "date", true),
        ("Encounter", "date", true),
        ("RiskAssessment", "date", true),
        ("Patient", "name", false),
        ("CarePlan", "activity-date", false),
        ("Patient", "death-date", true),
        ("Patient", "deceased", false),
        ("Basic", "_tag", false),
        ("Basic", "_id", false),
    ] {
        assert_eq!(parameters.find(type_name, code).unwrap().is_single(), is_single, "{type_name} {code}");
    }
}

#[test]
fn compartments_name_known_parameters() {
    let parameters = r4();
    for ((compartment, type_name), codes) in compartments() {
        for code in codes {
            assert!(parameters.find(&type_name, &code).is_some(), "{compartment} {type_name} {code}");
        }
    }
    assert_eq!(parameters.compartments().len(), 5);
    assert_eq!(parameters.compartment("Patient", "Patient").unwrap(), [parameter_id("Patient", "link")]);
    assert_eq!(parameters.compartment("Patient", "Organization"), None);
    assert!(!parameters.compartment("Patient", "Observation").unwrap().is_empty());
}

#[test]
fn no_two_numbers_of_r4_are_the_same() {
    let parameters = r4();
    let mut numbers = vec![patient_compartment()];
    for parameter in types::resource_types().flat_map(|name| parameters.of(name)) {
        numbers.extend([parameter.id, parameter.text_id(), parameter.identifier_id()]);
        numbers.extend(parameter.components.iter().map(|part| part.id));
    }
    let count = numbers.len();
    assert!(count > 9000, "{count}");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
}

#[test]
fn every_type_has_what_all_have() {
    let parameters = r4();
    let codes: Vec<_> = parameters.common().map(|parameter| parameter.code.as_str()).collect();
    let all = ["_has", "_id", "_lastUpdated", "_list", "_profile", "_security", "_source", "_tag"];
    assert!(all.iter().all(|code| codes.contains(code)), "{codes:?}");
    for code in all {
        for type_name in types::resource_types() {
            let found = parameters.find(type_name, code).unwrap_or_else(|| panic!("{type_name} {code}"));
            assert!(std::ptr::eq(parameters.by_id(found.id).unwrap(), found));
        }
    }
    for code in LEFT_OUT.iter().chain(["_contained", "_containedType", "near"].iter()) {
        assert!(parameters.find("Location", code).is_none(), "{code}");
    }
}

#[test]
fn the_first_element_of_a_path_is_known_unless_something_is_computed() {
    for (expression, first) in [
        ("Observation.code", Some("code")),
        ("Patient.name.given", Some("name")),
        ("(Observation.value as Quantity)", Some("value")),
        ("Observation.value.as(Quantity).value", Some("value")),
        ("Observation.subject.where(resolve() is Patient)", Some("subject")),
        ("Patient.telecom.where(system='phone' and value.exists(')'))", Some("telecom")),
        ("Bundle.entry[0].resource", Some("entry")),
        ("Patient.extension('http://x').value", None),
        ("Patient.extension.where(url = 'http://x').value.ofType(code)", Some("extension")),
        ("Patient.deceased.exists() and Patient.deceased != false", None),
        ("Patient.name.count()", None),
        ("Patient.name.empty()", None),
        ("Patient.name.exists()", None),
        ("Patient.active = true", None),
        ("Patient.name.given & 'x'", None),
        ("Patient.name.where(use = 'usual'", None),
        ("Patient.children()", None),
        ("Patient", None),
        ("name.given", None),
        ("Resource.meta.tag", Some("meta")),
        ("DomainResource.text", Some("text")),
        ("Person.name", None),
    ] {
        let of = expression.trim_start_matches('(').split('.').next().unwrap_or_default();
        let type_name = if ["Observation", "Bundle"].contains(&of) { of } else { "Patient" };
        assert_eq!(first_element(expression, type_name).as_deref(), first, "{expression}");
    }
    assert_eq!(first_elements(&["Patient.name", "Patient.active = true"], "Patient"), [""; 0]);
    assert_eq!(first_elements(&["Patient.name", "Patient.active"], "Patient"), ["name", "active"]);
}

/// The parameters with these definitions of an operator's: each is (url, members).
fn with(definitions: &[(&str, &str)]) -> (Parameters, Vec<String>) {
    let of = |(url, members): &(&str, &str)| {
        format!(r#"{{"resourceType":"SearchParameter","url":"{url}","name":"x",{members}}}"#)
    };
    let files: Vec<_> = definitions.iter().map(of).collect();
    let numbered = files.iter().enumerate().map(|(at, text)| (format!("{at}.json"), text.as_bytes()));
    let manifest = ("package.json".to_owned(), &br#"{"name":"o","version":"1"}"#[..]);
    let package = Definitions::from_files(numbered.chain([manifest])).unwrap().package().unwrap();
    Parameters::new(&Registry::with(vec![package]).unwrap())
}

#[test]
fn an_operators_definition_goes_before_r4s() {
    let birth = r#""code":"birthdate","base":["Patient"],"type":"date","expression":"Patient.deceased.as(dateTime)""#;
    let (parameters, warnings) = with(&[("http://o/birth", birth)]);
    assert_eq!(warnings, [""; 0]);
    let found = parameters.find("Patient", "birthdate").unwrap();
    assert_eq!((&*found.url, found.id), ("http://o/birth", parameter_id("Patient", "birthdate")));
    assert_ne!(found.definition, r4().find("Patient", "birthdate").unwrap().definition);
    assert_eq!(parameters.find("Person", "birthdate").unwrap().url, r4().find("Person", "birthdate").unwrap().url);
    // By R4's own canonical, too.
    let (parameters, _) = with(&[("http://hl7.org/fhir/SearchParameter/individual-birthdate", birth)]);
    assert_eq!(
        parameters.find("Patient", "birthdate").unwrap().expression().unwrap().text(),
        "Patient.deceased.as(dateTime)"
    );
    assert!(parameters.find("Person", "birthdate").is_none());
}

#[test]
fn an_operators_parameter_may_be_of_all_types() {
    let tagged =
        r#""code":"tagged","base":["Resource"],"type":"token","expression":"Resource.meta.tag","modifier":["not"]"#;
    let noted = r#""code":"noted","base":["DomainResource"],"type":"string","expression":"DomainResource.extension('http://o/n').value""#;
    let (parameters, warnings) = with(&[("http://o/t", tagged), ("http://o/n", noted)]);
    assert_eq!(warnings, [""; 0]);
    assert!(parameters.find("Binary", "tagged").is_some() && parameters.find("Binary", "noted").is_none());
    assert!(parameters.find("Patient", "noted").is_some());
    assert!(parameters.common().any(|parameter| parameter.code == "tagged"));
    assert_eq!(parameters.find("Patient", "tagged").unwrap().modifiers(), [Modifier::Not]);
    assert!(parameters.find("Patient", "_tag").unwrap().modifiers().contains(&Modifier::OfType));
}

#[test]
fn what_cannot_be_used_is_told_and_left_out() {
    let part = r#""component":[{"definition":"http://o/lost","expression":"code"}]"#;
    let composite =
        format!(r#""code":"c","base":["Observation"],"type":"composite","expression":"Observation",{part}"#);
    let bare = r#""code":"c","base":["Observation"],"type":"composite","expression":"Observation""#;
    for (members, reason) in [
        (r#""code":"a","base":["Patient"],"type":"token","expression":"Patient.(""#, "byte"),
        (r#""code":"a","base":["Patient"],"type":"token""#, "it has no expression"),
        (
            r#""code":"a","base":["Patients"],"type":"token","expression":"Patients.x""#,
            "Patients is not a resource type",
        ),
        (r#""code":"near","base":["Location"],"type":"special","expression":"Location.position""#, "does not do near"),
        (r#""code":"_filter","base":["Resource"],"type":"token","expression":"Resource.id""#, "does not do _filter"),
        (
            r#""code":"a:text","base":["Patient"],"type":"token","expression":"Patient.active""#,
            "a:text cannot stand in a query",
        ),
        (&composite, "http://o/lost is in no package"),
        (bare, "without components"),
    ] {
        let (parameters, warnings) = with(&[("http://o/p", members)]);
        assert_eq!(warnings.len(), 1, "{members}: {warnings:?}");
        assert!(warnings[0].starts_with("http://o/p: ") && warnings[0].contains(reason), "{warnings:?}");
        let all = types::resource_types().flat_map(|name| parameters.of(name));
        assert!(all.into_iter().all(|parameter| parameter.url != "http://o/p"), "{members}");
    }
    let one = r#""code":"a","base":["Patient"],"type":"token","expression":"Patient.active""#;
    let (parameters, warnings) = with(&[("http://o/1", one), ("http://o/2", one)]);
    assert_eq!(warnings, ["http://o/2: http://o/1 has already defined the parameter a of Patient"]);
    assert_eq!(parameters.find("Patient", "a").unwrap().url, "http://o/1");
}
