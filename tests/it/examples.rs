//! HL7's official R4 examples: each is accepted, and is the same after a way through XML and back.
//!
//! `fixtures/examples.ndjson.gz` holds one to three examples of each type that has any: the smallest, the middle one and the
//! largest below 16 kB, white space between tokens left out. `.ci/examples` fetches the whole package
//! (`hl7.fhir.r4.examples` 4.0.1) and judges all 5,306 of its resources; the folder is named by `SOFA_R4_EXAMPLES`.

use std::fs;

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Kind, Limits, Ref};
use sofa::fhir::outcome::Severity;
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{Options, Validator};
use sofa::fhir::xml;

use crate::fixtures::examples;

/// Examples that break R4's rules, and how.
const DEFECTS: [(&str, &str); 33] = [
    ("ActivityDefinition-blood-tubes-supply.json", "txt-2: its narrative is an empty div"),
    ("ActivityDefinition-heart-valve-replacement.json", "txt-2: its narrative is an empty div"),
    ("Basic-referral.json", "shows modifier extensions that nobody knows, on purpose"),
    ("Bundle-10bb101f-a121-4264-a920-67be9cb82c74.json", "a fullUrl ends in pat12, the id is pat2"),
    ("Bundle-3a0707d3-549e-4467-b8b8-5a2ab3800efe.json", "a fullUrl ends in pat12, the id is pat2"),
    ("Bundle-b0a5e4277-83c4-4adb-87e2-e3efe3369b6f.json", "media types whose parameters have unquoted blanks"),
    ("Bundle-dataelements.json", "bdl-7: two entries with one fullUrl"),
    ("Bundle-lri-example.json", "fullUrls with a prefix that the ids do not have"),
    ("Bundle-valueset-expansions.json", "the extension translation where its context does not allow it"),
    ("DeviceMetric-example.json", "its parent leads to a DeviceDefinition, only a Device is allowed"),
    ("DeviceUseStatement-example.json", "its reason leads to a Procedure, which is not allowed"),
    ("EventDefinition-example.json", "txt-2: its narrative is an empty div"),
    ("ImplementationGuide-fhir.json", "has no name and no status"),
    ("MedicationRequest-medrx0301.json", "its performer is a Practitioner, only an Organization is allowed"),
    ("Observation-clinical-gender.json", "its performer is an Encounter"),
    ("Questionnaire-qs1.json", "items without linkId"),
    ("Questionnaire-zika-virus-exposure-assessment.json", "txt-2: its narrative is an empty div"),
    ("SearchParameter-codesystem-extensions-CodeSystem-author.json", "has no base"),
    ("SearchParameter-codesystem-extensions-CodeSystem-effective.json", "has no base"),
    ("SearchParameter-codesystem-extensions-CodeSystem-end.json", "has no base"),
    ("SearchParameter-codesystem-extensions-CodeSystem-keyword.json", "has no base"),
    ("SearchParameter-codesystem-extensions-CodeSystem-workflow.json", "has no base"),
    (
        "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json",
        "an id of 65 characters",
    ),
    ("SearchParameter-valueset-extensions-ValueSet-author.json", "has no base"),
    ("SearchParameter-valueset-extensions-ValueSet-effective.json", "has no base"),
    ("SearchParameter-valueset-extensions-ValueSet-end.json", "has no base"),
    ("SearchParameter-valueset-extensions-ValueSet-keyword.json", "has no base"),
    ("SearchParameter-valueset-extensions-ValueSet-workflow.json", "has no base"),
    ("StructureDefinition-Definition.json", "sdf-4: not abstract, and on no other definition"),
    ("StructureDefinition-Event.json", "sdf-4: not abstract, and on no other definition"),
    ("StructureDefinition-FiveWs.json", "sdf-4: not abstract, and on no other definition"),
    ("StructureDefinition-Request.json", "sdf-4: not abstract, and on no other definition"),
    ("ig-r4.json", "has no name and no status"),
];

/// Judges examples one by one.
struct Judge {
    validator: Validator,
    seen: Vec<String>,
    wrong: Vec<String>,
}

impl Judge {
    fn new() -> Self {
        let validator = Validator::new(Registry::built_in(), Options::default());
        Self { validator, seen: Vec::new(), wrong: Vec::new() }
    }

    fn example(&mut self, file: &str, text: &str) {
        self.seen.push(file.to_owned());
        let doc = Doc::parse(text, &Limits::default()).unwrap_or_else(|error| panic!("{file}: {error}"));
        let issues = self.validator.check(&Tree::of_resource(&doc));
        let mut errors = issues.iter().filter(|issue| issue.severity >= Severity::Error);
        let defect = DEFECTS.iter().find(|(name, _)| *name == file);
        match (errors.next(), defect) {
            (Some(error), None) => self.wrong.push(format!("{file}: {} at {:?}", error.text, error.expression)),
            (None, Some((_, reason))) => self.wrong.push(format!("{file} is accepted now; it was excepted: {reason}")),
            _ => {}
        }
        if let Err(why) = round_trip(&doc) {
            self.wrong.push(format!("{file}: {why}"));
        }
    }

    fn finish(self) -> Vec<String> {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        self.seen
    }
}

/// From JSON to XML to JSON nothing changes, and from XML to JSON to XML not a byte.
fn round_trip(doc: &Doc) -> Result<(), String> {
    let written = xml::write(&Tree::of_resource(doc)).map_err(|not| format!("has no XML form: {not:?}"))?;
    let read = xml::read(&written, &Limits::default()).map_err(|issues| format!("its XML is not read: {issues:?}"))?;
    let again = Doc::parse(&read, &Limits::default()).map_err(|error| error.to_string())?;
    if let Some(place) = difference(doc.root(), again.root()) {
        return Err(format!("differs after XML: {place}"));
    }
    let second = xml::write(&Tree::of_resource(&again)).map_err(|not| format!("has no XML form any more: {not:?}"))?;
    if second == written { Ok(()) } else { Err("its XML differs the second time".to_owned()) }
}

/// Where two documents differ. Members may stand in any order; numbers have the same digits.
fn difference(a: Ref<'_>, b: Ref<'_>) -> Option<String> {
    let is_alike = match a.kind() {
        Kind::Object => {
            let lost = a.members().find_map(|(name, one)| match b.get(&name) {
                None => Some(format!("{name} is lost")),
                Some(other) => difference(one, other),
            });
            if lost.is_some() {
                return lost;
            }
            b.kind() == Kind::Object && a.values().count() == b.values().count()
        }
        Kind::Array => {
            let different = a.items().zip(b.items()).find_map(|(one, other)| difference(one, other));
            if different.is_some() {
                return different;
            }
            b.kind() == Kind::Array && a.items().count() == b.items().count()
        }
        Kind::String => a.as_str() == b.as_str(),
        _ => a.raw() == b.raw(),
    };
    let shortened = |one: Ref<'_>| one.raw().chars().take(200).collect::<String>();
    (!is_alike).then(|| format!("{} became {}", shortened(a), shortened(b)))
}

#[test]
fn a_sample_of_every_type_is_accepted_and_survives_xml() {
    let mut judge = Judge::new();
    for (file, text) in examples() {
        judge.example(&file, &text);
    }
    assert_eq!(judge.finish().len(), 288);
}

#[test]
fn the_whole_package_is_accepted_and_survives_xml() {
    let Some(folder) = std::env::var_os("SOFA_R4_EXAMPLES") else {
        eprintln!("not run: SOFA_R4_EXAMPLES names no folder; .ci/examples fetches the package and runs this");
        return;
    };
    let mut judge = Judge::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.ends_with(".json") && !file.starts_with('.') && file != "package.json" {
            judge.example(&file, &fs::read_to_string(&path).unwrap());
        }
    }
    let seen = judge.finish();
    assert_eq!(seen.len(), 5306);
    for (file, _) in DEFECTS {
        assert!(seen.iter().any(|one| one == file), "{file} is excepted and not there");
    }
}
