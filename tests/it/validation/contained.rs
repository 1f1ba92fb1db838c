//! Contained resources (R4 domainresource.html, references.html#contained).

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Limits};
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{Options, Validator};

use super::{judge, said};

const PATIENT: &str = r#""resourceType":"Patient""#;
const USED: &str = r##""managingOrganization":{"reference":"#o"}"##;

fn patient(contained: &str) -> String {
    format!("{USED},\"contained\":[{contained}]")
}

#[test]
fn a_contained_resource_is_a_resource_with_its_own_rules() {
    judge(
        PATIENT,
        &[
            (&patient(r#"{"resourceType":"Organization","id":"o","name":"A"}"#), &[]),
            (
                &patient(r#"{"resourceType":"Organization","id":"o","foo":1,"name":"A"}"#),
                &["structure Patient.contained[0].foo: Organization has no element 'foo'"],
            ),
            (&patient(r#"{"resourceType":"Organization","id":"o"}"#), &["invariant Patient.contained[0]: org-1"]),
            (
                &patient(r#"{"resourceType":"Organisation","id":"o"}"#),
                &[
                    "structure Patient.contained[0].resourceType: 'Organisation' is not a resource type",
                    "invariant Patient.managingOrganization: ref-1",
                    "invariant Patient.contained[0]: dom-3",
                ],
            ),
        ],
    );
}

#[test]
fn a_contained_resource_contains_none_and_has_no_version_and_no_label() {
    judge(
        PATIENT,
        &[
            (&patient(r#"{"resourceType":"Organization","id":"o","name":"A","meta":{"tag":[{"code":"x"}]}}"#), &[]),
            (
                &patient(
                    r##"{"resourceType":"Organization","id":"o","name":"A","partOf":{"reference":"#p"},"contained":[{"resourceType":"Organization","id":"p","name":"B"}]}"##,
                ),
                &["invariant Patient: dom-2", "invariant Patient.contained[0].partOf: ref-1"],
            ),
            (
                &patient(r#"{"resourceType":"Organization","id":"o","name":"A","meta":{"versionId":"1"}}"#),
                &["invariant Patient: dom-4"],
            ),
            (
                &patient(
                    r#"{"resourceType":"Organization","id":"o","name":"A","meta":{"lastUpdated":"2020-01-01T00:00:00Z"}}"#,
                ),
                &["invariant Patient: dom-4"],
            ),
            (
                &patient(
                    r#"{"resourceType":"Organization","id":"o","name":"A","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}}"#,
                ),
                &["invariant Patient: dom-5"],
            ),
        ],
    );
}

#[test]
fn a_contained_resource_is_referred_to_or_refers() {
    judge(
        PATIENT,
        &[
            (
                r##""contained":[{"resourceType":"Organization","id":"o","name":"A"}]"##,
                &["invariant Patient.contained[0]: dom-3"],
            ),
            // Without an id nothing can refer to it.
            (
                r##""contained":[{"resourceType":"Organization","name":"A"}]"##,
                &["invariant Patient.contained[0]: dom-3"],
            ),
            // It refers to what contains it.
            (
                r##""contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"#"}}]"##,
                &[],
            ),
            // Another contained resource refers to it.
            (
                r##""managingOrganization":{"reference":"#a"},"contained":[{"resourceType":"Organization","id":"a","name":"A","partOf":{"reference":"#b"}},{"resourceType":"Organization","id":"b","name":"B"}]"##,
                &[],
            ),
            // A uri or canonical counts.
            (
                r##""contained":[{"resourceType":"Organization","id":"o","name":"A"}],"extension":[{"url":"http://x/e","valueUri":"#o"}]"##,
                &[],
            ),
            (
                r##""contained":[{"resourceType":"Organization","id":"o","name":"A"}],"extension":[{"url":"http://x/e","valueCanonical":"#o"}]"##,
                &[],
            ),
            (
                r##""contained":[{"resourceType":"Organization","id":"o","name":"A"}],"extension":[{"url":"http://x/e","valueString":"#o"}]"##,
                &["invariant Patient.contained[0]: dom-3"],
            ),
        ],
    );
}

#[test]
fn a_local_reference_leads_to_a_contained_resource_of_a_type_that_fits() {
    judge(
        PATIENT,
        &[
            (USED, &["invariant Patient.managingOrganization: ref-1"]),
            (
                &patient(r#"{"resourceType":"Organization","id":"p","name":"A"}"#),
                &["invariant Patient.managingOrganization: ref-1", "invariant Patient.contained[0]: dom-3"],
            ),
            (
                &patient(r#"{"resourceType":"Location","id":"o"}"#),
                &["structure Patient.managingOrganization: expected a reference to Organization, not to Location"],
            ),
            // Ids are one space within the outermost resource.
            (
                &patient(
                    r#"{"resourceType":"Organization","id":"o","name":"A"},{"resourceType":"Organization","id":"o","name":"B"}"#,
                ),
                &["structure Patient.contained[1].id: another contained resource has the id 'o'"],
            ),
        ],
    );
}

#[test]
fn each_entry_of_a_bundle_contains_its_own() {
    judge(
        r#""resourceType":"Bundle","type":"collection""#,
        &[
            (
                r##""entry":[{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"},"contained":[{"resourceType":"Organization","id":"o","name":"A"}]}},{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}]"##,
                &["invariant Bundle.entry[1].resource.managingOrganization: ref-1"],
            ),
            (
                r##""entry":[{"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"A"}]}}]"##,
                &["invariant Bundle.entry[0].resource.contained[0]: dom-3"],
            ),
        ],
    );
}

#[test]
fn a_missing_narrative_is_a_warning() {
    let validator = Validator::new(Registry::built_in(), Options::default());
    let doc = Doc::parse(r#"{"resourceType":"Patient","active":true}"#, &Limits::default()).unwrap();
    let found: Vec<_> = validator.check(&Tree::of_resource(&doc)).iter().map(said).collect();
    assert_eq!(found, ["warning invariant Patient: dom-6: A resource should have narrative for robust management"]);
}
