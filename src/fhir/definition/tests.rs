//! The built-in R4 against what HL7 published. These tests need files that are not part of the project, and are passed over
//! without them:
//!
//! - `SOFA_R4_PACKAGE`: HL7's package `hl7.fhir.r4.examples` 4.0.1, the `.tgz` that the asset is compiled from.
//! - `SOFA_R4_REFERENCE`: a folder with R4's definitions from another source: `structuredefinitions-4.0.1.json.gz` (an
//!   object of StructureDefinitions by URL), `valuesets-codesystems-4.0.1.json.gz` (an array) and
//!   `search-parameters-4.0.1.json.gz` (a Bundle).
//!
//! `SOFA_R4_PACKAGE=… SOFA_R4_REFERENCE=… cargo test --lib fhir::definition::tests`

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use flate2::read::GzDecoder;

use super::{
    package,
    parameter::SearchParameter,
    pristine,
    registry::Registry,
    source::{Definitions, Manifest},
    structure::{Element, Structure},
    terminology::{CodeSystem, ValueSet},
};
use crate::fhir::json::{Doc, Limits};

const LIMITS: Limits = Limits { depth: 128 };

/// The file or folder that a variable names.
fn given(variable: &str) -> Option<String> {
    let given = std::env::var(variable).ok();
    if given.is_none() {
        eprintln!("{variable} is not set: nothing to compare with");
    }
    given
}

fn reference(folder: &str, name: &str) -> Doc {
    let mut text = String::new();
    let file = fs::File::open(Path::new(folder).join(format!("{name}-4.0.1.json.gz"))).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Doc::parse(&text, &LIMITS).unwrap()
}

/// What two elements differ in.
fn differences(a: &Element, b: &Element) -> Vec<&'static str> {
    let types = |one: &Element| {
        let types = one.types.iter();
        types.map(|one| (one.code.clone(), one.profiles.clone(), one.target_profiles.clone())).collect::<Vec<_>>()
    };
    let constraints = |one: &Element| {
        let repaired = |key: &str| pristine::repaired_keys().any(|repaired| repaired == key);
        let constraints = one.constraints.iter().map(|one| {
            let expression = one.expression.clone().filter(|_| !repaired(&one.key));
            (one.key.clone(), one.is_error, one.human.clone(), expression)
        });
        let mut constraints: Vec<_> = constraints.collect();
        constraints.sort();
        constraints
    };
    let all = [
        ("path", a.path == b.path),
        ("sliceName", a.slice_name == b.slice_name),
        ("slicing", a.slicing == b.slicing),
        ("min", a.min == b.min),
        ("max", a.max == b.max),
        ("base", (&a.base_path, a.base_max) == (&b.base_path, b.base_max)),
        ("type", types(a) == types(b)),
        ("contentReference", a.content_reference == b.content_reference),
        ("fixed", a.fixed == b.fixed),
        ("pattern", a.pattern == b.pattern),
        ("minValue", a.min_value == b.min_value),
        ("maxValue", a.max_value == b.max_value),
        ("maxLength", a.max_length == b.max_length),
        ("constraint", constraints(a) == constraints(b)),
        ("binding", a.binding == b.binding),
        ("flags", (a.is_modifier, a.is_summary) == (b.is_modifier, b.is_summary)),
    ];
    all.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

#[test]
fn the_built_in_types_are_r4s_element_by_element() {
    let Some(folder) = given("SOFA_R4_REFERENCE") else { return };
    let types = package::r4().types();
    let doc = reference(&folder, "structuredefinitions");
    let mut elements = 0;
    for (url, official) in doc.root().members() {
        let official = Structure::read(official).unwrap();
        let ours = types.iter().find(|one| one.url == url).unwrap_or_else(|| panic!("{url} is missing"));
        assert_eq!(
            (&ours.version, ours.kind, ours.is_abstract, &ours.base, ours.elements.len()),
            (&official.version, official.kind, official.is_abstract, &official.base, official.elements.len()),
            "{url}"
        );
        for (ours, official) in ours.elements.iter().zip(&official.elements) {
            assert_eq!(differences(ours, official), [""; 0], "{}", official.id);
            elements += 1;
        }
    }
    assert_eq!((doc.root().members().count(), elements, types.len()), (209, 7675, 209));
}

#[test]
fn the_built_in_terminology_and_search_parameters_are_r4s() {
    let Some(folder) = given("SOFA_R4_REFERENCE") else { return };
    let ours = package::r4().definitions();
    let mut different = Vec::new();
    for official in reference(&folder, "valuesets-codesystems").root().items() {
        let url = official.str("url").unwrap().into_owned();
        let is_same = if official.str("resourceType").as_deref() == Some("ValueSet") {
            ours.value_sets.iter().find(|one| one.url == url) == Some(&ValueSet::read(official).unwrap())
        } else {
            ours.code_systems.iter().find(|one| one.url == url) == CodeSystem::read(official).unwrap().as_ref()
        };
        if !is_same {
            different.push(url.rsplit('/').next().unwrap_or_default().to_owned());
        }
    }
    different.sort();
    // The package gives the examples another version, and has the whole of v2-0291, of which the other source has two codes.
    assert_eq!(different, ["example", "example-expansion", "example-extensional", "example-intensional", "v2-0291"]);
    let doc = reference(&folder, "search-parameters");
    let mut officials = Vec::new();
    for entry in doc.root().get("entry").unwrap().items() {
        officials.push(SearchParameter::read(entry.get("resource").unwrap()).unwrap());
    }
    officials.sort_by(|a, b| a.url.cmp(&b.url));
    assert_eq!(ours.parameters, officials);
}

#[test]
fn the_asset_is_what_the_package_compiles_to() {
    let Some(archive) = given("SOFA_R4_PACKAGE") else { return };
    let made = Definitions::from_tgz(&fs::read(archive).unwrap()).unwrap();
    assert!(made == package::r4().definitions(), "run: sofa package compile … --out capability/r4/definitions.bin");
}

/// Profiles of R4 whose published snapshot is not what their differential says, and how.
const INCONSISTENT: [(&str, &str); 6] = [
    // `component.valueQuantity` is taken for the element itself in the components, for a slice elsewhere.
    ("bp", "elements"),
    // A slice name on an element that is not sliced became part of the id.
    ("catalog", "elements"),
    // The nested extensions of `revision` are sliced and forbidden (max 0) at once.
    ("codesystem-history", "max"),
    // Two extensions are written out that nothing constrains within.
    ("elementdefinition-de", "elements"),
    // Slices of `condition` and `relationship`, which are not sliced.
    ("familymemberhistory-genetic", "no snapshot"),
    // The slice `Author` does not have the binding of what it slices; a content reference leads to a slice.
    ("provenance-relevant-history", "binding contentReference"),
];

/// Every profile and extension of the archive: as published, and with the differential alone.
fn profiles(archive: &str) -> Vec<(Structure, Structure)> {
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(archive).unwrap()));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.path().unwrap().to_string_lossy().contains("/StructureDefinition-") {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let doc = Doc::parse(&text, &LIMITS).unwrap();
        let root = doc.root();
        let is_profile = root.str("derivation").as_deref() == Some("constraint");
        if is_profile && ["snapshot", "differential"].iter().all(|view| root.get(view).is_some()) {
            let mut differential = Structure::read_view(root, "differential").unwrap();
            differential.version = Some("differential".to_owned());
            found.push((Structure::read(root).unwrap(), differential));
        }
    }
    found
}

#[test]
fn snapshots_of_r4s_profiles_come_out_as_published() {
    let Some(archive) = given("SOFA_R4_PACKAGE") else { return };
    let (officials, structures): (Vec<_>, Vec<_>) = profiles(&archive).into_iter().unzip();
    assert_eq!(officials.len(), 439);
    let manifest = Manifest { name: "differentials".into(), version: "1".into(), ..Manifest::default() };
    let definitions = Definitions { manifest, structures, ..Definitions::default() };
    let (registry, _) = Registry::assemble(vec![definitions.package().unwrap()]);
    let mut different = BTreeMap::new();
    for official in &officials {
        let name = official.url.rsplit('/').next().unwrap_or_default();
        let Ok(made) = registry.snapshot(&format!("{}|differential", official.url)) else {
            different.insert(name, "no snapshot".to_owned());
            continue;
        };
        let ids = |one: &Structure| one.elements.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        let mut found: Vec<_> =
            made.elements.iter().zip(&official.elements).flat_map(|(a, b)| differences(a, b)).collect();
        found.sort_unstable();
        found.dedup();
        if ids(&made) != ids(official) {
            different.insert(name, "elements".to_owned());
        } else if !found.is_empty() {
            different.insert(name, found.join(" "));
        }
    }
    assert_eq!(different, INCONSISTENT.map(|(name, how)| (name, how.to_owned())).into());
}
