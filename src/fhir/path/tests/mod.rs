mod suite;

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
        ("'A\\tb' ~ 'a B' and 'ab' !~ 'a b'", "true"),
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

const INPUTS: [&str; 5] = [
    PATIENT,
    include_str!("patient-example.json"),
    include_str!("observation-example.json"),
    include_str!("questionnaire-example.json"),
    include_str!("valueset-example-expansion.json"),
];

#[test]
fn every_constraint_of_r4_holds_in_its_examples() {
    let mut count = 0;
    for text in INPUTS {
        let doc = doc(text);
        let tree = Tree::of_resource(&doc);
        let mut open = vec![tree.root()];
        while let Some(node) = open.pop() {
            open.extend(tree.children(node));
            let own = tree.kind(node).into_iter().flat_map(|ty| &ty.constraints);
            let constraints = own.chain(tree.field(node).into_iter().flat_map(|field| &field.constraints));
            // The best practice of having a narrative.
            for constraint in constraints.filter(|constraint| constraint.key != "dom-6") {
                let Some(expression) = &constraint.expression else { continue };
                let found = Expression::parse(expression).unwrap().test(&Scope::new(&tree, node));
                assert!(matches!(found, Ok(Some(true) | None)), "{}: {} {found:?}", tree.path(node), constraint.key);
                count += 1;
            }
        }
    }
    assert!(count > 500, "{count}");
}

#[test]
fn every_search_parameter_of_r4_is_understood() {
    let package = crate::fhir::definition::package::r4();
    let texts: Vec<_> = (0..package.parameters().len())
        .filter_map(|index| package.parameter(index))
        .flat_map(|one| one.expression.into_iter().chain(one.components.into_iter().map(|part| part.expression)))
        .collect();
    assert!(texts.len() > 1_300, "{}", texts.len());
    for text in texts {
        let expression = Expression::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for input in INPUTS {
            let doc = doc(input);
            let tree = Tree::of_resource(&doc);
            let found = expression.evaluate(&Scope::new(&tree, tree.root()));
            assert!(found.is_ok(), "{text}: {found:?}");
        }
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

#[test]
fn a_memo_changes_no_answer() {
    let doc = doc(PATIENT);
    let tree = Tree::of_resource(&doc);
    let memo = Memo::default();
    for text in [
        "managingOrganization.resolve().name",
        "managingOrganization.all(reference.substring(1) in %rootResource.contained.id)",
        "name.given.where($this in %resource.name[0].given)",
        "name.exclude(%context.name)",
        "contained.where(id in %resource.contained.id)",
    ] {
        let expression = Expression::parse(text).unwrap();
        for focus in [tree.root(), tree.child(tree.root(), "contained").unwrap(), tree.root()] {
            let plain = Scope::new(&tree, focus);
            let shared = Scope { memo: Some(&memo), ..plain };
            let found = |scope: &Scope<'_, '_>| shown(&tree, &expression.evaluate(scope).unwrap());
            assert_eq!(found(&plain), found(&shared), "{text}");
        }
    }
}

#[test]
fn an_evaluation_costs_no_more_than_its_budget() {
    let doc = doc(PATIENT);
    let tree = Tree::of_resource(&doc);
    let all = "descendants()";
    let nested = format!(
        "{all}.where({all}.where({all}.where({all}.where({all}.exists(id = 'x')).exists()).exists()).exists())"
    );
    for text in
        [nested.as_str(), "repeat($this | $this.length().toString())", "name.select($this.repeat(given + 'x' | $this))"]
    {
        let Ok(expression) = Expression::parse(text) else { panic!("{text}") };
        let started = std::time::Instant::now();
        let _ = expression.evaluate(&Scope::new(&tree, tree.root()));
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{text}");
    }
    let endless = Expression::parse("(1).repeat(iif($this < 2147483647, $this + 1))").unwrap();
    assert_eq!(endless.evaluate(&Scope::new(&tree, tree.root())).unwrap_err(), EvalError::TooCostly);
}

#[test]
fn big_documents_take_time_in_proportion() {
    let of = |count: usize| {
        let contained: Vec<_> = (0..count)
            .map(|i| format!(r##"{{"resourceType":"Organization","id":"o{i}","partOf":{{"reference":"#o{i}"}}}}"##))
            .collect();
        doc(&format!(r#"{{"resourceType":"Patient","contained":[{}]}}"#, contained.join(",")))
    };
    let (small, big) = (of(500), of(4_000));
    // How much of the budget it takes, which time is in proportion to.
    let cost = |doc: &Doc, text: &str| {
        let tree = Tree::of_resource(doc);
        let expression = Expression::parse(text).unwrap();
        let takes = |budget: u64| expression.evaluate(&Scope { budget, ..Scope::new(&tree, tree.root()) }).is_ok();
        let (mut low, mut high) = (0, 100_000_000);
        while low + 1 < high {
            let middle = u64::midpoint(low, high);
            if takes(middle) { high = middle } else { low = middle }
        }
        assert!(high < 90_000_000, "{text}");
        high
    };
    for text in [
        "contained.where(('#' + id in %resource.descendants().reference).not()).empty()",
        "contained.id.isDistinct() and contained.distinct().count() > 1",
        "(contained.id | contained.partOf.reference).count()",
        "contained.intersect(contained).exclude(contained).empty()",
        "contained.subsetOf(%resource.contained)",
        "repeat(contained).count()",
    ] {
        let (small, big) = (cost(&small, text), cost(&big, text));
        assert!(big < small * 10, "{text}: {small}, {big}");
    }
}

#[test]
fn the_deepest_expressions_fit_on_the_stack() {
    let doc = doc(PATIENT);
    let tree = Tree::of_resource(&doc);
    for (open, middle, close) in [
        ("(", "id", ")"),
        ("iif(true, ", "id", ")"),
        ("where(", "id.exists()", ")"),
        ("name.select($this.", "given", ")"),
        ("-", "1", ""),
        ("", "id", ".first()"),
        ("", "id", ".children()"),
        ("", "id", "[0]"),
        ("", "1", " + 1"),
        ("", "id", " or id"),
        ("", "id", " | id"),
        ("id.exists() implies (", "true", ")"),
        ("contained.all(", "id.exists()", ") = true"),
        ("contained.exists((", "id.exists()", ") = true)"),
    ] {
        let text = |depth: usize| format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
        for depth in 1..200 {
            if let Ok(expression) = Expression::parse(&text(depth)) {
                let _ = expression.evaluate(&Scope::new(&tree, tree.root()));
            } else {
                assert!(depth > 30, "{}", text(depth));
            }
        }
        assert!(text(100_000).len() > 64 * 1024 && Expression::parse(&text(100_000)).is_err());
        assert!(Expression::parse(&text(3_000)).is_ok() == matches!(close, " or id" | " | id"), "{}", text(1));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_parser_or_the_evaluation(text in r"[a-z0-9.,()\[\]'`@$%|&+*/<>=~! :-]{0,40}") {
        parse_and_evaluate(&text);
    }

    #[test]
    fn no_sentence_breaks_the_evaluation(
        words in proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 1..12)
    ) {
        parse_and_evaluate(&words.concat());
    }
}

const WORDS: [&str; 48] = [
    "name",
    "given",
    ".",
    ".",
    ".",
    "(",
    ")",
    "[0]",
    " and ",
    " | ",
    " + ",
    " - ",
    " * ",
    " / ",
    " div ",
    " mod ",
    " < ",
    " = ",
    " ~ ",
    " in ",
    "where(",
    "select(",
    "iif(",
    "first()",
    "count()",
    "exists()",
    "substring(",
    "2147483647",
    "79228162514264337593543950335",
    "0.0000000000000000000000000001",
    "'a\\u00e9'",
    "@0001-01-01",
    "@9999-12-31T23:59:59.999+14:00",
    "@T00:00",
    "1 year",
    "9999999 months",
    "3 'mg'",
    "$this",
    "$index",
    "{}",
    "true",
    "power(",
    "round(",
    "exp()",
    "ln()",
    "toQuantity()",
    "toDate()",
    "repeat(",
];

fn parse_and_evaluate(text: &str) {
    let Ok(expression) = Expression::parse(text) else { return };
    let doc = doc(PATIENT);
    let tree = Tree::of_resource(&doc);
    if let Ok(found) = expression.evaluate(&Scope::new(&tree, tree.root())) {
        let _ = shown(&tree, &found);
    }
    let _ = expression.steps();
}
