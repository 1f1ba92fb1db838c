use std::collections::BTreeMap;

use super::*;
use crate::fhir::{
    definition::types::r4,
    json::{Doc, Limits},
};

fn doc(text: &str) -> Doc {
    Doc::parse(text, &Limits::default()).unwrap()
}

/// The items as text: values as `toString()` writes them, elements by their paths or values.
fn shown(tree: &Tree<'_>, items: &Collection<'_>) -> Vec<String> {
    let show = |item: &Item<'_>| match item {
        Item::Target(ty) => format!("-> {}", tree.types().ty(*ty).name),
        Item::Type(name) => format!("{}.{}", name.namespace, name.name),
        Item::Element(node) => Value::of(tree, *node).map_or_else(|| tree.path(*node), |value| value.to_string()),
        Item::Value(value) => value.to_string(),
    };
    items.iter().map(show).collect()
}

fn evaluated(tree: &Tree<'_>, text: &str) -> Vec<String> {
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let scope =
        Scope { now: Some(time::macros::datetime!(2026-01-02 03:04:05.678 UTC)), ..Scope::new(tree, tree.root()) };
    let found = expression.evaluate(&scope).unwrap_or_else(|error| panic!("{text}: {error}"));
    shown(tree, &found)
}

const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","active":true,
    "contained":[{"resourceType":"Organization","id":"o","name":"Org"}],
    "name":[{"use":"official","family":"Chalmers","given":["Peter","James"]},{"use":"usual","given":["Jim"]}],
    "telecom":[{"system":"phone","value":"1","rank":1},{"system":"phone","value":"2","rank":2}],
    "birthDate":"1974-12-25","_birthDate":{"extension":[{"url":"http://t","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
    "deceasedBoolean":false,"multipleBirthInteger":2,
    "managingOrganization":{"reference":"#o"},"generalPractitioner":[{"reference":"Practitioner/1"},{"reference":"urn:x","type":"Organization"}],
    "extension":[{"url":"http://q","valueQuantity":{"value":1.50,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}}]}"##;

#[test]
fn paths_functions_and_operators_give_what_the_language_says() {
    let doc = doc(PATIENT);
    let tree = Tree::of_resource(&doc);
    assert_eq!(tree.faults(), []);
    for (text, expected) in [
        ("name.given", "Peter|James|Jim"),
        ("Patient.name[1].given", "Jim"),
        ("Resource.id", "p"),
        ("Observation.id", ""),
        ("name.where(use = 'official').given.first()", "Peter"),
        ("name.select(given.count())", "2|1"),
        ("name.given.tail()", "James|Jim"),
        ("name.given.skip(2) | name.given.take(1)", "Jim|Peter"),
        ("name.given[0] + '-' & name.family & {}", "Peter-Chalmers"),
        ("deceased is Boolean", "true"),
        ("deceased.is(Boolean)", "false"),
        ("deceased.is(boolean) and deceased.is(FHIR.boolean)", "true"),
        ("multipleBirth as integer + 1", "3"),
        ("extension('http://q').value.ofType(Quantity).value", "1.50"),
        ("birthDate.extension('http://t').value", "1974-12-25T14:35:45-05:00"),
        ("birthDate = @1974-12-25", "true"),
        ("birthDate < @1974", ""),
        ("birthDate + 10 days", "1975-01-04"),
        ("managingOrganization.resolve().name", "Org"),
        ("generalPractitioner.where(resolve() is Practitioner).reference", "Practitioner/1"),
        ("generalPractitioner.resolve()", "-> Practitioner|-> Organization"),
        ("telecom.rank.aggregate($total + $this, 0)", "3"),
        ("telecom.where($index = 1).value", "2"),
        ("iif(active, 'yes', 'no')", "yes"),
        ("contained.descendants().count()", "2"),
        ("contained.name.select(%resource.id + $this + %rootResource.id)", "pOrgp"),
        ("%`vs-x` & %\"ext-y\"", "http://hl7.org/fhir/ValueSet/xhttp://hl7.org/fhir/StructureDefinition/y"),
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("-7 div 2 mod 2", "-1"),
        ("1 | 2 | 1 = 1", "false"),
        ("1.10 = 1.1 and 1.12 ~ 1.1 and 1.10.toString() = '1.10'", "true"),
        ("2147483647 + 1", ""),
        ("1 / 0", ""),
        ("@2015-02-04T14:34:28Z > @2015-02-04T14:34:28+01:00", "true"),
        ("@2015-02-04T14:34:28Z = @2015-02-04T14:34:28", ""),
        ("@2015-02-04T14:34:28Z > @2015-02-02T14:34:28", "true"),
        ("@T10:30 + 45 minutes", "11:15"),
        ("@2016-02-29 + 1 year", "2017-02-28"),
        ("4 'mg' = 4.0 'mg' and 7 days = 1 week", "true"),
        ("1 year = 1 'a'", ""),
        ("1 year ~ 1 'a'", "true"),
        ("'abc'.matches('B|c') and 'a\\nb'.matches('a.b')", "true"),
        ("'2020-x'.replaceMatches('(\\\\d+)-(x)', '$2$1y')", "x2020y"),
        ("'a,b'.split(',').join('+')", "a+b"),
        ("{}.not() or true", "true"),
        ("(true and {}) = true", ""),
        ("{} implies true", "true"),
        ("name.given contains 'Jim' and 'x' in name.given", "false"),
        ("now() = now() and today() = @2026-01-02", "true"),
        ("'T' ~ ' t '", "true"),
        ("(1 | 2) ~ (2 | 1)", "true"),
        ("active.type().name & 1.type().name", "booleanInteger"),
        ("'2 weeks'.toQuantity() = 14 'd'", "true"),
        ("name.repeat(given)", "Peter|James|Jim"),
        ("birthDate.hasValue() and name.hasValue().not()", "true"),
    ] {
        let expected: Vec<_> = expected.split('|').filter(|item| !item.is_empty()).map(str::to_owned).collect();
        assert_eq!(evaluated(&tree, text), expected, "{text}");
    }
}

#[test]
fn faulty_texts_are_refused_with_their_place() {
    for (text, at) in [
        ("", 0),
        ("name.", 5),
        ("name given", 5),
        ("(name", 5),
        ("name.first(1)", 13),
        ("name.nothing()", 13),
        ("a as Nothing", 12),
        ("1 +", 3),
        ("$that", 5),
        ("a and or b", 6),
    ] {
        assert_eq!(Expression::parse(text).unwrap_err().at, at, "{text}");
    }
}

#[test]
fn faulty_operands_are_errors() {
    let doc = doc(PATIENT);
    let tree = Tree::of_resource(&doc);
    for text in
        ["1 > 'a'", "name.given + 'a'", "name > 1", "'a' + 1", "name.single()", "%nothing", "'a'.matches('(')", "-'a'"]
    {
        let expression = Expression::parse(text).unwrap();
        assert!(expression.evaluate(&Scope::new(&tree, tree.root())).is_err(), "{text}");
    }
}

#[test]
fn every_constraint_of_r4_is_understood() {
    let texts: BTreeMap<&str, &str> = r4()
        .all()
        .flat_map(|(id, ty)| ty.constraints.iter().chain(r4().fields(id).flat_map(|(_, field)| &field.constraints)))
        .filter_map(|constraint| Some((constraint.expression.as_deref()?, constraint.key.as_str())))
        .collect();
    assert!(texts.len() > 190, "{}", texts.len());
    for (text, key) in texts {
        assert!(Expression::parse(text).is_ok(), "{key}: {text}: {:?}", Expression::parse(text));
    }
}

#[test]
fn plain_paths_have_steps() {
    let steps = |text: &str| Expression::parse(text).unwrap().steps();
    let child = |name: &str| Step::Child(name.to_owned());
    let quantity = r4().named("Quantity").unwrap();
    assert_eq!(steps("$this"), Some(vec![Step::This]));
    assert_eq!(steps("code.coding"), Some(vec![child("code"), child("coding")]));
    assert_eq!(steps("value.ofType(Quantity).unit"), Some(vec![child("value"), Step::OfType(quantity), child("unit")]));
    assert_eq!(
        steps("extension('u').value.resolve()"),
        Some(vec![Step::Extension("u".to_owned()), child("value"), Step::Resolve])
    );
    assert_eq!(steps("code.first()"), None);
}
