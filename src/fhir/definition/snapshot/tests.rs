//! Snapshots of small differentials on R4's types, and the faults of differentials that have none.

use crate::fhir::definition::{
    registry::Registry,
    source::Definitions,
    structure::{Element, Max, Rules, Structure},
};

const MANIFEST: &str = r#"{"name":"a.test","version":"1.0.0","fhirVersions":["4.0.1"]}"#;

/// A profile `http://x/{name}` on `base` (a type's name or a canonical) with these elements.
fn profile(name: &str, kind: &str, base: &str, elements: &str) -> String {
    let canonical =
        if base.contains(':') { base.to_owned() } else { format!("http://hl7.org/fhir/StructureDefinition/{base}") };
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://x/{name}","name":"{name}","kind":"resource",
        "abstract":false,"type":"{kind}","baseDefinition":"{canonical}","derivation":"constraint",
        "differential":{{"element":[{elements}]}}}}"#
    )
}

fn registry(profiles: &[String]) -> std::sync::Arc<Registry> {
    let files = profiles.iter().enumerate().map(|(at, text)| (format!("{at}.json"), text.as_str()));
    let files = files.chain([("package.json".to_owned(), MANIFEST)]);
    let definitions = Definitions::from_files(files.map(|(name, text)| (name, text.as_bytes().to_vec()))).unwrap();
    Registry::assemble(vec![definitions.package().unwrap()]).0
}

fn snapshot(kind: &str, elements: &str) -> Result<Structure, String> {
    let registry = registry(&[profile("p", kind, kind, elements)]);
    registry.snapshot("http://x/p").map(|made| (*made).clone())
}

fn at<'s>(structure: &'s Structure, id: &str) -> &'s Element {
    structure.elements.iter().find(|one| one.id == id).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn a_differential_that_says_nothing_gives_the_base() {
    let base = Registry::built_in().structure("http://hl7.org/fhir/StructureDefinition/Patient").unwrap();
    let made = snapshot("Patient", r#"{"path":"Patient"}"#).unwrap();
    assert!(made.is_snapshot && made.url == "http://x/p");
    assert_eq!(made.elements, base.elements);
}

#[test]
fn slices_are_made_of_what_they_slice_and_look_into_its_type() {
    let made = snapshot(
        "Patient",
        r#"{"path":"Patient"},
        {"id":"Patient.identifier","path":"Patient.identifier","min":1,
         "slicing":{"discriminator":[{"type":"value","path":"system"}],"rules":"open"}},
        {"id":"Patient.identifier:jhn","path":"Patient.identifier","sliceName":"jhn","max":"2","mustSupport":true},
        {"id":"Patient.identifier:jhn.system","path":"Patient.identifier.system","min":1,"fixedUri":"http://jhn"},
        {"id":"Patient.identifier:jhn/on","path":"Patient.identifier","sliceName":"jhn/on","max":"1"},
        {"id":"Patient.identifier:jhn/on.value","path":"Patient.identifier.value","min":1}"#,
    )
    .unwrap();
    let jhn = at(&made, "Patient.identifier:jhn");
    assert_eq!((jhn.min, jhn.max, jhn.must_support), (Some(0), Some(Max::Times(2)), true));
    let whole = at(&made, "Patient.identifier");
    assert_eq!((whole.min, &whole.slicing), (Some(1), &jhn.slicing), "it is sliced again by the same rules");
    assert_eq!(at(&made, "Patient.identifier:jhn/on").slicing, None);
    let system = at(&made, "Patient.identifier:jhn.system");
    assert_eq!((&*system.path, system.base_path.as_deref()), ("Patient.identifier.system", Some("Identifier.system")));
    let again = at(&made, "Patient.identifier:jhn/on.system");
    assert_eq!(again.fixed.as_ref().unwrap().json, "\"http://jhn\"", "a reslice has what its slice has");
    assert_eq!(at(&made, "Patient.identifier:jhn.value").min, Some(0));
    let order: Vec<_> = made.elements.iter().map(|one| one.id.as_str()).filter(|id| id.ends_with(".use")).collect();
    assert_eq!(order, ["Patient.identifier:jhn.use", "Patient.identifier:jhn/on.use"]);
}

#[test]
fn a_choice_is_sliced_by_type_and_named_by_one() {
    let value = |elements: &str| snapshot("Observation", &format!(r#"{{"path":"Observation"}},{elements}"#)).unwrap();
    let types = |one: &Element| one.types.iter().map(|one| one.code.clone()).collect::<Vec<_>>();
    let sliced = value(
        r#"{"id":"Observation.value[x]","path":"Observation.value[x]",
            "slicing":{"discriminator":[{"type":"type","path":"$this"}],"rules":"open"}},
           {"id":"Observation.value[x]:valueQuantity","path":"Observation.value[x]","sliceName":"valueQuantity"},
           {"id":"Observation.value[x]:valueQuantity.unit","path":"Observation.value[x].unit","min":1}"#,
    );
    assert_eq!(at(&sliced, "Observation.value[x]").types.len(), 11);
    assert_eq!(types(at(&sliced, "Observation.value[x]:valueQuantity")), ["Quantity"]);
    assert_eq!(at(&sliced, "Observation.value[x]:valueQuantity.unit").min, Some(1));
    let short =
        value(r#"{"path":"Observation.valueQuantity.unit","min":1},{"path":"Observation.valueString","min":0}"#);
    let choice = at(&short, "Observation.value[x]");
    assert_eq!(types(choice), ["Quantity", "string"]);
    assert_eq!(choice.slicing.as_ref().unwrap().rules, Rules::Closed);
    assert_eq!(at(&short, "Observation.value[x]:valueQuantity.unit").min, Some(1));
    let narrowed = value(
        r#"{"path":"Observation.value[x]","type":[{"code":"Quantity"}]},{"path":"Observation.value[x].unit","min":1}"#,
    );
    assert_eq!(at(&narrowed, "Observation.value[x].unit").min, Some(1));
}

#[test]
fn profiles_on_types_are_looked_into() {
    let registry = registry(&[
        profile(
            "e",
            "Extension",
            "Extension",
            r#"{"path":"Extension","constraint":[{"key":"e-1","severity":"error","human":"h","expression":"true"}]},
            {"path":"Extension.url","fixedUri":"http://x/e"},{"path":"Extension.value[x]","type":[{"code":"Coding"}]}"#,
        ),
        profile(
            "p",
            "Patient",
            "Patient",
            r#"{"path":"Patient"},
            {"id":"Patient.extension:e","path":"Patient.extension","sliceName":"e","type":[{"code":"Extension","profile":["http://x/e"]}]},
            {"id":"Patient.extension:e.value[x]","path":"Patient.extension.value[x]","min":1}"#,
        ),
        profile(
            "q",
            "Patient",
            "http://x/p",
            r#"{"path":"Patient"},
            {"id":"Patient.extension:e","path":"Patient.extension","sliceName":"e","min":1},{"path":"Patient.name","min":1}"#,
        ),
    ]);
    let made = registry.structure("http://x/q").unwrap();
    let value = at(&made, "Patient.extension:e.value[x]");
    assert_eq!((value.min, &*value.types[0].code), (Some(1), "Coding"));
    assert_eq!(at(&made, "Patient.extension:e.url").fixed.as_ref().unwrap().json, "\"http://x/e\"");
    let slice = at(&made, "Patient.extension:e");
    assert_eq!(slice.min, Some(1));
    assert!(slice.constraints.iter().any(|one| one.key == "e-1" && one.source.as_deref() == Some("http://x/e")));
    assert_eq!(at(&made, "Patient.extension").slicing.as_ref().unwrap().discriminators[0].path, "url");
}

#[test]
fn content_references_are_followed_as_deep_as_the_differential_goes() {
    let made = snapshot(
        "Questionnaire",
        r#"{"path":"Questionnaire"},{"path":"Questionnaire.item.item.item.linkId","maxLength":9}"#,
    )
    .unwrap();
    assert_eq!(at(&made, "Questionnaire.item.item.item.linkId").max_length, Some(9));
    assert_eq!(at(&made, "Questionnaire.item.item.linkId").max_length, None);
    let deepest = at(&made, "Questionnaire.item.item.item.item");
    assert_eq!(deepest.content_reference.as_deref(), Some("#Questionnaire.item"));
}

#[test]
fn a_profile_tightens_and_does_not_loosen() {
    let made = snapshot(
        "Observation",
        r#"{"path":"Observation"},{"path":"Observation.status","min":0,"max":"*",
            "constraint":[{"key":"x-1","severity":"error","human":"h","expression":"true"}]},
           {"path":"Observation.code","binding":{"strength":"required"}}"#,
    )
    .unwrap();
    let status = at(&made, "Observation.status");
    assert_eq!((status.min, status.max), (Some(1), Some(Max::Times(1))));
    let keys: Vec<_> = status.constraints.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["ele-1", "x-1"]);
    let value_set = at(&made, "Observation.code").binding.as_ref().unwrap().value_set.as_deref();
    assert_eq!(value_set, Some("http://hl7.org/fhir/ValueSet/observation-codes"));
}

#[test]
fn what_cannot_be_made_says_where_and_why() {
    let fault = |elements: &str| snapshot("Patient", &format!(r#"{{"path":"Patient"}},{elements}"#)).unwrap_err();
    assert_eq!(fault(r#"{"path":"Patient.nam"}"#), "element Patient.nam: 'nam' is no element of Patient");
    let unsliced = fault(r#"{"path":"Patient.name","sliceName":"a"}"#);
    assert_eq!(unsliced, "element Patient.name: it is slice 'a' of an element that is not sliced");
    let other = fault(r#"{"path":"Patient.name","type":[{"code":"Address"}]}"#);
    assert_eq!(other, "element Patient.name: the base does not allow the type Address");
    let deep = format!(r#"{{"path":"Patient{}"}}"#, ".extension".repeat(40));
    assert!(fault(&deep).contains("levels"));
    let circle = registry(&[
        profile("a", "Patient", "http://x/b", r#"{"path":"Patient"}"#),
        profile("b", "Patient", "http://x/a", r#"{"path":"Patient"}"#),
        profile("c", "Patient", "http://x/lost", r#"{"path":"Patient"}"#),
    ]);
    let refers = "the structure http://x/b: the structure http://x/a: it refers to itself, or too deep";
    assert_eq!(circle.snapshot("http://x/a").unwrap_err(), refers);
    assert!(circle.snapshot("http://x/c").unwrap_err().contains("http://x/lost is in no package"));
}
