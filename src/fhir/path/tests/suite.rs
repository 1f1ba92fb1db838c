//! HL7's suite for FHIRPath on R4 (tests-fhir-r4.xml of the FHIR test cases), without the cases that ask for static type
//! checks: this engine has none. `suite.json` lists input, focus, expression and items, or `null` where the text has to be
//! refused; the inputs are R4's examples without their narratives.

use super::*;

/// What this engine answers differently, and why.
const DIFFERENT: [(&str, &str); 14] = [
    ("(0).not() = true", "a single integer is true as a condition (N1 section 4.5)"),
    ("'1 day'.toQuantity() = 1 '{day}'", "an annotation of UCUM is no day"),
    ("4.0000 'g' = 4000.0 'mg'", "no conversion between UCUM units"),
    ("4 'g' ~ 4000 'mg'", "no conversion between UCUM units"),
    ("4 'g' != 4040 'mg'", "no conversion between UCUM units"),
    ("4 'g' ~ 4040 'mg'", "no conversion between UCUM units"),
    ("2.0 'cm' * 2.0 'm' = 0.040 'm2'", "no arithmetic of UCUM units"),
    ("4.0 'g' / 2.0 'm' = 2 'g/m'", "no arithmetic of UCUM units"),
    ("'\"1<2\"'.escape('json').unescape('json')", "not in N1"),
    ("'\\\\u0041B'.unescape('json')", "not in N1"),
    ("'\\\\\"1<2\\\\\"'.unescape('json')", "not in N1"),
    ("Observation.value != 185 'kg'", "no conversion between UCUM units"),
    ("1 'kg' < 2000 'g'", "no conversion between UCUM units"),
    ("1 'kg' <= 999 'g'", "no conversion between UCUM units"),
];

fn input(name: &str) -> &'static str {
    match name {
        "patient-example" => include_str!("patient-example.json"),
        "observation-example" => include_str!("observation-example.json"),
        "questionnaire-example" => include_str!("questionnaire-example.json"),
        "valueset-example-expansion" => include_str!("valueset-example-expansion.json"),
        "parameters-quantity-unit-text" => include_str!("parameters-quantity-unit-text.json"),
        other => panic!("no input {other}"),
    }
}

/// An item as the suite writes it: `boolean:true`, `HumanName:`.
fn written(tree: &Tree<'_>, item: &Item<'_>) -> String {
    let ty = match item {
        Item::Element(node) => tree.kind(*node).unwrap().name.to_string(),
        Item::Value(Value::Quantity(_)) => "Quantity".to_owned(),
        Item::Value(value) => {
            let name = value.system().name();
            name[..1].to_lowercase() + &name[1..]
        }
        Item::Target(_) | Item::Type(_) => String::new(),
    };
    format!("{ty}:{}", item.value(tree).map(|value| value.to_string()).unwrap_or_default())
}

#[test]
fn the_suite_of_hl7_passes_but_for_what_is_listed() {
    let suite = doc(include_str!("suite.json"));
    let mut differ = Vec::new();
    let mut count = 0;
    for case in suite.root().items() {
        let [name, focus, text, expected] = <[_; 4]>::try_from(case.items().collect::<Vec<_>>()).ok().unwrap();
        let (name, focus, text) = (name.as_str().unwrap(), focus.as_str().unwrap(), text.as_str().unwrap());
        let doc = doc(input(&name));
        let tree = Tree::of_resource(&doc);
        let root = Scope::new(&tree, tree.root());
        let focus = match &*focus {
            "" => tree.root(),
            path => Expression::parse(path).unwrap().evaluate(&root).unwrap().nodes().next().unwrap(),
        };
        let scope = Scope { now: Some(time::macros::datetime!(2026-01-02 03:04:05 UTC)), ..root.at(focus) };
        let expression = Expression::parse(&text);
        let found = expression.as_ref().ok().and_then(|expression| expression.evaluate(&scope).ok());
        let found = found.map(|items| items.iter().map(|item| written(&tree, item)).collect::<Vec<_>>());
        let expected = (expected.kind() != crate::fhir::json::Kind::Null)
            .then(|| expected.items().map(|item| item.as_str().unwrap().into_owned()).collect::<Vec<_>>());
        count += 1;
        let is_same = match (&found, &expected) {
            (Some(found), Some(expected)) => {
                // Some cases leave the type out.
                let same = |(found, expected): (&String, &String)| {
                    found == expected || (expected.starts_with(':') && found.ends_with(expected))
                };
                found.len() == expected.len() && found.iter().zip(expected).all(same)
            }
            (found, expected) => found == expected,
        };
        if !is_same {
            differ.push(text.into_owned());
        }
    }
    assert_eq!(count, 734);
    assert_eq!(differ, DIFFERENT.map(|(text, _)| text));
}
