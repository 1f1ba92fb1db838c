//! The cases follow HL7's own (fhir-test-cases, r4/patch) where those say something.

use super::*;

fn value(json: &str) -> String {
    format!(r#"{{"name":"value",{json}}}"#)
}

fn named(name: &str, json: &str) -> String {
    format!(r#"{{"name":"name","valueString":"{name}"}},{}"#, value(json))
}

fn at(index: usize, json: &str) -> String {
    format!(r#"{{"name":"index","valueInteger":{index}}},{}"#, value(json))
}

fn between(from: usize, to: usize) -> String {
    format!(r#"{{"name":"source","valueInteger":{from}}},{{"name":"destination","valueInteger":{to}}}"#)
}

#[track_caller]
fn becomes(before: &str, operations: &[(&str, &str, &str)], after: &str) {
    match path(before, operations) {
        Ok(text) => assert_eq!(text, after, "{operations:?}"),
        Err(refused) => panic!("{operations:?}: {refused:?}"),
    }
}

/// A Patient with this content.
fn patient(content: &str) -> String {
    format!(r#"{{"resourceType":"Patient"{}{content}}}"#, if content.is_empty() { "" } else { "," })
}

#[test]
fn nothing_to_do_is_done() {
    let same = parameters(PATIENT, r#"{"resourceType":"Parameters"}"#).unwrap();
    assert_eq!(same, PATIENT);
}

#[test]
fn elements_are_added_replaced_and_deleted() {
    let in_contact = |content: &str| patient(&format!(r#""contact":[{content}]"#));
    let marital = |text: &str| patient(&format!(r#""maritalStatus":{{"text":"{text}"}}"#));
    for (kind, target, parts, before, after) in [
        // A primitive, at the root and below.
        (
            "add",
            "Patient",
            named("birthDate", r#""valueDate":"1930-01-01""#),
            patient(""),
            patient(r#""birthDate":"1930-01-01""#),
        ),
        (
            "replace",
            "Patient.birthDate",
            value(r#""valueDate":"1930""#),
            patient(r#""birthDate":"1920""#),
            patient(r#""birthDate":"1930""#),
        ),
        ("delete", "Patient.birthDate", String::new(), patient(r#""birthDate":"1920""#), patient("")),
        ("delete", "Patient.birthDate", String::new(), patient(""), patient("")),
        (
            "add",
            "Patient.contact[0]",
            named("gender", r#""valueCode":"male""#),
            in_contact(r#"{"name":{"text":"n"}}"#),
            in_contact(r#"{"name":{"text":"n"},"gender":"male"}"#),
        ),
        (
            "replace",
            "Patient.contact[0].gender",
            value(r#""valueCode":"male""#),
            in_contact(r#"{"gender":"female"}"#),
            in_contact(r#"{"gender":"male"}"#),
        ),
        (
            "delete",
            "Patient.contact[0].gender",
            String::new(),
            in_contact(r#"{"name":{"text":"n"},"gender":"male"}"#),
            in_contact(r#"{"name":{"text":"n"}}"#),
        ),
        // A complex type, and one inside.
        ("add", "Patient", named("maritalStatus", r#""valueCodeableConcept":{"text":"m"}"#), patient(""), marital("m")),
        (
            "replace",
            "Patient.maritalStatus",
            value(r#""valueCodeableConcept":{"text":"n"}"#),
            marital("m"),
            marital("n"),
        ),
        ("replace", "Patient.maritalStatus.text", value(r#""valueString":"n""#), marital("m"), marital("n")),
        ("delete", "Patient.maritalStatus", String::new(), marital("m"), patient("")),
        // A backbone element, in parts.
        (
            "add",
            "Patient",
            named("contact", r#""part":[{"name":"name","valueHumanName":{"text":"n"}}]"#),
            patient(""),
            in_contact(r#"{"name":{"text":"n"}}"#),
        ),
        (
            "add",
            "Patient",
            named(
                "contact",
                r#""part":[{"name":"telecom","valueContactPoint":{"value":"1"}},{"name":"gender","valueCode":"male"},{"name":"telecom","valueContactPoint":{"value":"2"}}]"#,
            ),
            patient(""),
            in_contact(r#"{"telecom":[{"value":"1"},{"value":"2"}],"gender":"male"}"#),
        ),
        ("delete", "Patient.contact[0]", String::new(), in_contact(r#"{"gender":"male"}"#), patient("")),
        (
            "replace",
            "Patient.contact",
            value(r#""part":[{"name":"gender","valueCode":"male"}]"#),
            in_contact(r#"{"name":{"text":"n"}}"#),
            in_contact(r#"{"gender":"male"}"#),
        ),
        // Types that every value fits as well.
        ("add", "Patient", named("gender", r#""valueString":"male""#), patient(""), patient(r#""gender":"male""#)),
        (
            "add",
            "Patient",
            named("deceasedDateTime", r#""valueDate":"2020""#),
            patient(""),
            patient(r#""deceasedDateTime":"2020""#),
        ),
        (
            "replace",
            "Patient.text.div",
            value(r#""valueString":"<div/>""#),
            patient(r#""text":{"div":"<p/>"}"#),
            patient(r#""text":{"div":"<div/>"}"#),
        ),
    ] {
        becomes(&before, &[(kind, target, &parts)], &after);
    }
}

#[test]
fn choices_resources_and_extensions_are_elements_too() {
    for (kind, target, parts, before, after) in [
        // A choice.
        (
            "add",
            "Patient",
            named("deceased", r#""valueBoolean":true"#),
            patient(""),
            patient(r#""deceasedBoolean":true"#),
        ),
        (
            "add",
            "Patient",
            named("deceasedBoolean", r#""valueBoolean":true"#),
            patient(""),
            patient(r#""deceasedBoolean":true"#),
        ),
        (
            "replace",
            "Patient.deceased",
            value(r#""valueDateTime":"2020""#),
            patient(r#""deceasedBoolean":true,"_deceasedBoolean":{"id":"a"}"#),
            patient(r#""deceasedDateTime":"2020""#),
        ),
        ("delete", "Patient.deceased", String::new(), patient(r#""deceasedBoolean":true"#), patient("")),
        // A resource in a resource.
        (
            "add",
            "Patient",
            named("contained", r#""resource":{"resourceType":"Basic","id":"b"}"#),
            patient(""),
            patient(r#""contained":[{"resourceType":"Basic","id":"b"}]"#),
        ),
        (
            "replace",
            "Patient.contained[0].id",
            value(r#""valueId":"c""#),
            patient(r#""contained":[{"resourceType":"Basic","id":"b"}]"#),
            patient(r#""contained":[{"resourceType":"Basic","id":"c"}]"#),
        ),
        (
            "delete",
            "Patient.contained",
            String::new(),
            patient(r#""contained":[{"resourceType":"Basic","id":"b"}]"#),
            patient(""),
        ),
        // An extension has no value[x] of its own in Parameters.
        (
            "add",
            "Patient",
            named("extension", r#""part":[{"name":"url","valueUri":"urn:x"},{"name":"value","valueDecimal":1.50}]"#),
            patient(""),
            patient(r#""extension":[{"url":"urn:x","valueDecimal":1.50}]"#),
        ),
    ] {
        becomes(&before, &[(kind, target, &parts)], &after);
    }
}

#[test]
fn lists_are_added_to_and_put_in_order() {
    let all = |values: &[&str]| {
        let items: Vec<_> = values.iter().map(|value| format!(r#"{{"value":"{value}"}}"#)).collect();
        if items.is_empty() { patient("") } else { patient(&format!(r#""identifier":[{}]"#, items.join(","))) }
    };
    let new = r#""valueIdentifier":{"value":"new"}"#;
    let (path, item) = ("Patient.identifier", |n: usize| format!("Patient.identifier[{n}]"));
    for (kind, target, parts, before, after) in [
        ("add", "Patient".to_owned(), named("identifier", new), vec![], vec!["new"]),
        ("add", "Patient".to_owned(), named("identifier", new), vec!["1"], vec!["1", "new"]),
        ("insert", path.to_owned(), at(2, new), vec!["1", "2"], vec!["1", "2", "new"]),
        ("insert", path.to_owned(), at(1, new), vec!["1", "2"], vec!["1", "new", "2"]),
        ("insert", path.to_owned(), at(0, new), vec!["1", "2"], vec!["new", "1", "2"]),
        ("insert", path.to_owned(), at(0, new), vec![], vec!["new"]),
        ("delete", item(0), String::new(), vec!["1", "2", "3"], vec!["2", "3"]),
        ("delete", item(1), String::new(), vec!["1", "2", "3"], vec!["1", "3"]),
        ("delete", item(2), String::new(), vec!["1", "2", "3"], vec!["1", "2"]),
        ("delete", item(3), String::new(), vec!["1", "2", "3"], vec!["1", "2", "3"]),
        ("delete", format!("{path}.where(value = '2')"), String::new(), vec!["1", "2", "3"], vec!["1", "3"]),
        ("replace", item(1), value(new), vec!["1", "2", "3"], vec!["1", "new", "3"]),
        (
            "replace",
            format!("{path}.where(value = '2').value"),
            value(r#""valueString":"x""#),
            vec!["1", "2"],
            vec!["1", "x"],
        ),
        ("move", path.to_owned(), between(3, 1), vec!["1", "2", "3", "4"], vec!["1", "4", "2", "3"]),
        ("move", path.to_owned(), between(3, 0), vec!["1", "2", "3", "4"], vec!["4", "1", "2", "3"]),
        ("move", path.to_owned(), between(3, 2), vec!["1", "2", "3", "4"], vec!["1", "2", "4", "3"]),
        ("move", path.to_owned(), between(0, 3), vec!["1", "2", "3", "4"], vec!["2", "3", "4", "1"]),
        ("move", path.to_owned(), between(0, 0), vec!["1"], vec!["1"]),
    ] {
        becomes(&all(&before), &[(kind, &target, &parts)], &all(&after));
    }
    let reversed = [("move", path, &*between(3, 0)), ("move", path, &between(3, 1)), ("move", path, &between(3, 2))];
    becomes(&all(&["1", "2", "3", "4"]), &reversed, &all(&["4", "3", "2", "1"]));
    let swapped = [
        ("replace", &*format!("{path}[0].value"), &*value(r#""valueString":"2""#)),
        ("replace", &format!("{path}[1].value"), &value(r#""valueString":"1""#)),
    ];
    becomes(&all(&["1", "2"]), &swapped, &all(&["2", "1"]));
}

#[test]
fn what_does_not_fit_is_refused() {
    for (kind, target, parts, told) in [
        ("replace", "Patient.gender", value(r#""valueCode":"male""#), "finds nothing"),
        ("replace", "Patient.name", value(r#""valueHumanName":{"family":"C"}"#), "finds 2 elements"),
        ("delete", "Patient.name", String::new(), "finds 2 elements"),
        ("delete", "Patient", String::new(), "cannot be deleted"),
        ("replace", "Patient", value(r#""valueString":"y""#), "cannot be replaced"),
        ("replace", "1 + 1", value(r#""valueInteger":2"#), "no element"),
        ("replace", "Patient.name.single()", value(r#""valueInteger":2"#), "single"),
        ("replace", "now()", value(r#""valueInteger":2"#), "now"),
        ("add", "Patient.contact", named("gender", r#""valueCode":"male""#), "finds nothing"),
        ("add", "Patient", named("active", r#""valueBoolean":true"#), "there is active already"),
        ("add", "Patient", named("multipleBirth", r#""valueBoolean":true"#), "there is multipleBirth already"),
        ("add", "Patient", named("bogus", r#""valueBoolean":true"#), "no element 'bogus'"),
        ("add", "Patient.active", named("x", r#""valueString":"y""#), "no element 'x'"),
        // Types.
        (
            "add",
            "Patient",
            named("deceased", r#""valueQuantity":{"value":1}"#),
            "does not take a value of type Quantity",
        ),
        ("add", "Patient", named("birthDate", r#""valueString":"1930-01-01""#), "does not take a value of type string"),
        (
            "add",
            "Patient",
            named("maritalStatus", r#""valueHumanName":{"text":"x"}"#),
            "does not take a value of type HumanName",
        ),
        ("add", "Patient", named("gender", r#""part":[{"name":"x","valueString":"y"}]"#), "does not take parts"),
        ("add", "Patient", named("contact", r#""valueString":"y""#), "does not take a value of type string"),
        (
            "add",
            "Patient",
            named("contact", r#""part":[{"name":"gender","valueCode":"male"},{"name":"gender","valueCode":"male"}]"#),
            "stands twice",
        ),
        (
            "add",
            "Patient",
            named("contact", r#""part":[{"name":"x","valueCode":"male"}]"#),
            "Patient.contact has no element 'x'",
        ),
        ("add", "Patient", named("name", r#""resource":{"resourceType":"Basic"}"#), "does not take a resource"),
        ("add", "Patient", named("deceased", r#""part":[{"name":"x","valueCode":"male"}]"#), "does not take parts"),
        // Lists.
        ("insert", "Patient.name", at(3, r#""valueHumanName":{"family":"C"}"#), "beyond the end"),
        ("insert", "Patient.name[0]", at(0, r#""valueHumanName":{"family":"C"}"#), "one whole list"),
        ("insert", "Patient.name.given", at(0, r#""valueHumanName":{"family":"C"}"#), "does not take"),
        ("insert", "Patient.active", at(0, r#""valueBoolean":true"#), "one whole list"),
        ("insert", "Patient.gender", at(0, r#""valueCode":"male""#), "no list"),
        ("insert", "Patient.contact", at(1, r#""part":[{"name":"gender","valueCode":"male"}]"#), "no list"),
        ("insert", "Patient.name.suffix", at(0, r#""valueString":"x""#), "finds 2 elements"),
        ("move", "Patient.name", between(0, 2), "indices 0 to 1"),
        ("move", "Patient.name", between(2, 0), "indices 0 to 1"),
        ("move", "Patient.contact", between(0, 0), "no list"),
        ("move", "Patient.name.where(family = 'A')", between(0, 0), "one whole list"),
    ] {
        let text = unfitting_text(path(PATIENT, &[(kind, target, &parts)]));
        assert!(text.contains(told), "{kind} {target}: {text}");
    }
    // One that does not fit undoes the others.
    let told = unfitting_text(path(PATIENT, &[("delete", "Patient.active", ""), ("delete", "Patient.name", "")]));
    assert!(told.contains("2 elements"), "{told}");
}

#[test]
fn what_is_no_patch_is_refused_before_it_is_tried() {
    for (kind, target, parts, told) in [
        ("merge", "Patient.gender", String::new(), "not 'merge'"),
        ("replace", "Patient.gender", String::new(), "expected the part value"),
        ("replace", "Patient.gender", r#"{"name":"value"}"#.to_owned(), "a value[x], a resource or parts"),
        ("replace", "Patient..", value(r#""valueCode":"male""#), "no FHIRPath"),
        ("add", "Patient", value(r#""valueCode":"male""#), "expected the part name"),
        ("insert", "Patient.name", value(r#""valueCode":"male""#), "expected the part index"),
        (
            "insert",
            "Patient.name",
            format!(r#"{{"name":"index","valueInteger":-1}},{}"#, value(r#""valueCode":"x""#)),
            "from 0",
        ),
        ("move", "Patient.name", r#"{"name":"source","valueInteger":0}"#.to_owned(), "expected the part destination"),
        ("delete", "Patient.name", r#"{"name":"bogus","valueString":"x"}"#.to_owned(), "no part 'bogus'"),
        ("delete", "Patient.name", r#"{"name":"path","valueString":"x"}"#.to_owned(), "stands twice"),
        ("add", "Patient", named("name", r#""valueHumanName":{"fámily":"x"}"#), "no element"),
        ("add", "Patient", named("name", r#""valueHumanName":{"given":"x"}"#), "array"),
    ] {
        let text = malformed_text(path(PATIENT, &[(kind, target, &parts)]));
        assert!(text.contains(told), "{kind} {target}: {text}");
    }
    for document in [
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"operations"}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"operation"}]}"#,
        r#"{"resourceType":"Parameters","parameter":{"name":"operation"}}"#,
    ] {
        malformed_text(parameters(PATIENT, document));
    }
}

#[test]
fn a_primitive_and_its_sibling_are_one_element() {
    let given = |content: &str| patient(&format!(r#""name":[{{{content}}}]"#));
    let both = given(r#""given":["x","y"],"_given":[null,{"id":"g"}]"#);
    let path = "Patient.name.given";
    for (kind, target, parts, after) in [
        ("delete", "Patient.name.given[0]", String::new(), given(r#""given":["y"],"_given":[{"id":"g"}]"#)),
        ("delete", "Patient.name.given[1]", String::new(), given(r#""given":["x"]"#)),
        ("delete", "Patient.name.given[1].id", String::new(), given(r#""given":["x","y"]"#)),
        ("replace", "Patient.name.given[1]", value(r#""valueString":"z""#), given(r#""given":["x","z"]"#)),
        (
            "replace",
            "Patient.name.given[0]",
            value(r#""valueString":"z","_valueString":{"id":"v"}"#),
            given(r#""given":["z","y"],"_given":[{"id":"v"},{"id":"g"}]"#),
        ),
        (
            "replace",
            "Patient.name.given[0]",
            value(r#""_valueString":{"id":"v"}"#),
            given(r#""given":[null,"y"],"_given":[{"id":"v"},{"id":"g"}]"#),
        ),
        (
            "insert",
            path,
            at(0, r#""valueString":"m""#),
            given(r#""given":["m","x","y"],"_given":[null,null,{"id":"g"}]"#),
        ),
        (
            "insert",
            path,
            at(2, r#""valueString":"m""#),
            given(r#""given":["x","y","m"],"_given":[null,{"id":"g"},null]"#),
        ),
        ("move", path, between(1, 0), given(r#""given":["y","x"],"_given":[{"id":"g"},null]"#)),
        (
            "add",
            "Patient.name",
            named("given", r#""valueString":"z""#),
            given(r#""given":["x","y","z"],"_given":[null,{"id":"g"},null]"#),
        ),
    ] {
        becomes(&both, &[(kind, target, &parts)], &after);
    }
    becomes(&both, &[("delete", "Patient.name.given[1]", ""), ("delete", "Patient.name.given[0]", "")], &patient(""));
    let only_beside = given(r#""_given":[{"id":"g"}]"#);
    let z = value(r#""valueString":"z""#);
    becomes(&only_beside, &[("replace", "Patient.name.given", &z)], &given(r#""given":["z"]"#));
    becomes(
        &only_beside,
        &[("insert", path, &at(0, r#""valueString":"z""#))],
        &given(r#""_given":[null,{"id":"g"}],"given":["z",null]"#),
    );
    becomes(&only_beside, &[("delete", "Patient.name.given.id", "")], &patient(""));
}

#[test]
fn extensions_of_primitives_are_elements_too() {
    let absent = r#"{"extension":[{"url":"urn:absent","valueCode":"unknown"}]}"#;
    let extension =
        named("extension", r#""part":[{"name":"url","valueUri":"urn:absent"},{"name":"value","valueCode":"unknown"}]"#);
    let born = patient(r#""birthDate":"1930""#);
    let marked = patient(&format!(r#""birthDate":"1930","_birthDate":{absent}"#));
    becomes(&born, &[("add", "Patient.birthDate", &extension)], &marked);
    becomes(&marked, &[("delete", "Patient.birthDate.extension", "")], &born);
    becomes(&marked, &[("delete", "Patient.birthDate", "")], &patient(""));
    becomes(
        &marked,
        &[("replace", "Patient.birthDate", &value(r#""valueDate":"1931""#))],
        &patient(r#""birthDate":"1931""#),
    );
    let code = value(r#""valueCode":"masked""#);
    becomes(&marked, &[("replace", "Patient.birthDate.extension.value", &code)], &marked.replace("unknown", "masked"));
    let only = patient(&format!(r#""_birthDate":{absent}"#));
    becomes(
        &only,
        &[("replace", "Patient.birthDate", &value(r#""valueDate":"1931""#))],
        &patient(r#""birthDate":"1931""#),
    );
    becomes(&only, &[("delete", "Patient.birthDate.extension", "")], &patient(""));
    let new = named("birthDate", &format!(r#""_valueDate":{absent}"#));
    becomes(&patient(""), &[("add", "Patient", &new)], &only);
}

#[test]
fn what_is_left_without_content_goes_too() {
    let deep = patient(r#""active":true,"contact":[{"name":{"given":["x"]}},{"name":{"_given":[{"id":"a"}]}}]"#);
    let first = patient(r#""active":true,"contact":[{"name":{"_given":[{"id":"a"}]}}]"#);
    becomes(&deep, &[("delete", "Patient.contact[0].name.given", "")], &first);
    becomes(&first, &[("delete", "Patient.contact.name.given.id", "")], &patient(r#""active":true"#));
}

#[test]
fn numbers_keep_their_digits() {
    let before = r#"{"resourceType":"Observation","valueQuantity":{"value":1.500},"component":[{"valueQuantity":{"value":12345678901234567890.10}}]}"#;
    let unit = named("unit", r#""valueString":"kg""#);
    becomes(before, &[("add", "Observation.value", &unit)], &before.replace("1.500}", "1.500,\"unit\":\"kg\"}"));
    let number = value(r#""valueDecimal":0.10"#);
    becomes(before, &[("replace", "Observation.value.value", &number)], &before.replace("1.500", "0.10"));
    let whole = value(r#""valueInteger":7"#);
    becomes(before, &[("replace", "Observation.value.value", &whole)], &before.replace("1.500", "7"));
    let other = value(r#""valueQuantity":{"value":2.00}"#);
    becomes(before, &[("replace", "Observation.value", &other)], &before.replace("1.500", "2.00"));
}
