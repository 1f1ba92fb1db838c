//! References (R4 references.html): what a Reference leads to is of a type that its element allows, in whatever form the
//! reference is written.

use super::{judge, judge_by, package};

const OBSERVATION: &str = r#""resourceType":"Observation","status":"final","code":{"text":"x"}"#;
const REFUSED: &str = "structure Observation.subject: expected a reference to Patient or Group or Device or Location, not to Practitioner";

#[test]
fn the_type_that_a_reference_names_is_allowed() {
    judge(
        OBSERVATION,
        &[
            (r#""subject":{"reference":"Patient/1"}"#, &[]),
            (r#""subject":{"reference":"Patient/1/_history/2"}"#, &[]),
            (r#""subject":{"reference":"http://x/fhir/Patient/1"}"#, &[]),
            (r#""subject":{"reference":"https://x/a/b/fhir/Device/1/_history/2"}"#, &[]),
            (r#""subject":{"reference":"Patient?identifier=http://x|1"}"#, &[]),
            (r#""subject":{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}"#, &[]),
            (r#""subject":{"reference":"http://x/any/thing"}"#, &[]),
            // A URL has no white space (R4 references.html#literal).
            (r#""subject":{"reference":"Patient/1 "}"#, &["value Observation.subject: no white space"]),
            (r#""subject":{"reference":" "}"#, &["value Observation.subject: no white space"]),
            (r#""subject":{"reference":"http://x y"}"#, &["value Observation.subject: no white space"]),
            (r#""subject":{"reference":"Practitioner/1"}"#, &[REFUSED]),
            (r#""subject":{"reference":"Practitioner/1/_history/2"}"#, &[REFUSED]),
            (r#""subject":{"reference":"http://x/fhir/Practitioner/1"}"#, &[REFUSED]),
            (r#""subject":{"reference":"https://x/fhir/Practitioner/1/_history/2"}"#, &[REFUSED]),
            (r#""subject":{"reference":"Practitioner?identifier=1"}"#, &[REFUSED]),
            (r#""subject":{"reference":"Practitioner/1#x"}"#, &[REFUSED]),
        ],
    );
}

#[test]
fn reference_type_tells_the_type_and_does_not_contradict() {
    judge(
        OBSERVATION,
        &[
            (r#""subject":{"type":"Patient","identifier":{"value":"1"}}"#, &[]),
            (r#""subject":{"type":"Patient","reference":"Patient/1"}"#, &[]),
            (r#""subject":{"display":"x"}"#, &[]),
            (r#""subject":{"type":"Practitioner","identifier":{"value":"1"}}"#, &[REFUSED]),
            (
                r#""subject":{"type":"Group","reference":"Patient/1"}"#,
                &["structure Observation.subject: the reference leads to a Patient, but its type says Group"],
            ),
            (
                r#""subject":{"type":"http://hl7.org/fhir/StructureDefinition/Patient","reference":"Patient/1"}"#,
                &[
                    "warning code-invalid Observation.subject.type: is not in the value set",
                    "value Observation.subject.type: not an absolute URL",
                ],
            ),
            (
                r#""subject":{"type":"Foo","identifier":{"value":"1"}}"#,
                &[
                    "warning code-invalid Observation.subject.type: 'Foo' is not in the value set http://hl7.org/fhir/ValueSet/resource-types (extensible)",
                ],
            ),
        ],
    );
}

#[test]
fn any_type_is_allowed_where_r4_says_resource() {
    judge(
        r#""resourceType":"Basic","code":{"text":"x"}"#,
        &[(r#""subject":{"reference":"Binary/1"}"#, &[]), (r#""subject":{"reference":"Practitioner/1"}"#, &[])],
    );
}

fn bundle(reference: &str, base: &str) -> String {
    format!(
        r#""entry":[{{"fullUrl":"{base}Observation/1","resource":{{"resourceType":"Observation","id":"1","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{reference}"}}}}}},{{"fullUrl":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","resource":{{"resourceType":"Patient"}}}},{{"fullUrl":"urn:uuid:d757873d-ec9a-4326-a141-556f43239520","resource":{{"resourceType":"Practitioner"}}}},{{"fullUrl":"http://x/fhir/Patient/pr","resource":{{"resourceType":"Practitioner","id":"pr"}}}}]"#
    )
}

#[test]
fn inside_a_bundle_the_entry_itself_tells_the_type() {
    let refused = ["structure Bundle.entry[0].resource.subject: not to Practitioner"];
    let found = |reference, base, expected: &[&str]| {
        judge(r#""resourceType":"Bundle","type":"collection""#, &[(&bundle(reference, base), expected)]);
    };
    found("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "http://x/fhir/", &[]);
    found("urn:uuid:d757873d-ec9a-4326-a141-556f43239520", "http://x/fhir/", &refused);
    // A wrong fullUrl, to see that the entry counts and not the text of the reference.
    found("http://x/fhir/Patient/pr", "http://y/fhir/", &refused);
    found("Patient/pr", "http://x/fhir/", &refused);
    found("Patient/pr", "http://y/fhir/", &[]);
}

#[test]
fn a_profile_narrows_what_a_reference_may_lead_to() {
    let (main, target) = ("http://x/main", "http://x/target");
    let validator = package::profiles(&[
        package::profile(
            main,
            "Observation",
            &format!(
                r#"{{"id":"Observation.subject","path":"Observation.subject","type":[{{"code":"Reference","targetProfile":["{target}","http://hl7.org/fhir/StructureDefinition/Group"]}}]}},
                   {{"id":"Observation.encounter","path":"Observation.encounter","type":[{{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Encounter"],"aggregation":["contained"]}}]}}"#
            ),
        ),
        package::profile(target, "Patient", r#"{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}"#),
    ]);
    judge_by(
        &validator,
        &[main],
        OBSERVATION,
        &[
            // What is elsewhere is judged by its type alone.
            (r#""subject":{"reference":"Patient/1"}"#, &[]),
            (r#""subject":{"reference":"Group/1"}"#, &[]),
            (
                r#""subject":{"reference":"Device/1"}"#,
                &["structure Observation.subject: expected a reference to Patient or Group, not to Device"],
            ),
            (
                r#""subject":{"type":"Device","identifier":{"value":"1"}}"#,
                &["structure Observation.subject: expected a reference to Patient or Group, not to Device"],
            ),
            (
                r##""subject":{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p","birthDate":"1970"}]"##,
                &[],
            ),
            (
                r##""subject":{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p"}]"##,
                &["structure Observation.subject: what it leads to conforms to none of http://x/target"],
            ),
            (
                r##""encounter":{"reference":"#e"},"contained":[{"resourceType":"Encounter","id":"e","status":"planned","class":{"display":"x"}}]"##,
                &[],
            ),
            (
                r#""encounter":{"reference":"Encounter/1"}"#,
                &["structure Observation.encounter: expected a reference that is contained, not referenced"],
            ),
        ],
    );
}
