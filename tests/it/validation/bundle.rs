//! Bundles (R4 bundle.html): bdl-1 to bdl-12, `fullUrl`, and the resources inside; Parameters.

use super::judge;

const BUNDLE: &str = r#""resourceType":"Bundle""#;
const PATIENT: &str = r#""resource":{"resourceType":"Patient"}"#;

#[test]
fn a_bundle_says_what_its_type_allows() {
    let entry = |members: &str| format!(r#""entry":[{{{members}}}]"#);
    let of = |ty: &str, members: &str| format!(r#""type":"{ty}",{}"#, entry(members));
    let request = r#""request":{"method":"GET","url":"Patient/1"}"#;
    let response = r#""response":{"status":"200"}"#;
    let both = |a: &str, b: &str| format!("{a},{b}");
    let document = r#""identifier":{"system":"http://x","value":"1"},"timestamp":"2020-01-01T00:00:00Z""#;
    let composition = r#""entry":[{"fullUrl":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","resource":{"resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2020","author":[{"display":"x"}],"title":"x"}}]"#;
    let header = r#""entry":[{"resource":{"resourceType":"MessageHeader","eventUri":"http://x","source":{"endpoint":"http://x"}}}]"#;
    judge(
        BUNDLE,
        &[
            (r#""type":"collection""#, &[]),
            (
                "",
                &[
                    "required Bundle.type: type is required",
                    "invariant Bundle: bdl-9",
                    "invariant Bundle: bdl-10",
                    "invariant Bundle: bdl-11",
                    "invariant Bundle: bdl-12",
                ],
            ),
            (r#""type":"list""#, &["code-invalid Bundle.type: 'list' is not in the value set"]),
            // bdl-1: total
            (r#""type":"searchset","total":0"#, &[]),
            (r#""type":"history","total":0"#, &[]),
            (r#""type":"collection","total":0"#, &["invariant Bundle: bdl-1"]),
            // bdl-2: entry.search
            (&of("searchset", &both(PATIENT, r#""search":{"mode":"match"}"#)), &[]),
            (&of("collection", &both(PATIENT, r#""search":{"mode":"match"}"#)), &["invariant Bundle: bdl-2"]),
            // bdl-3: entry.request
            (&of("batch", request), &[]),
            (&of("transaction", &both(PATIENT, r#""request":{"method":"POST","url":"Patient"}"#)), &[]),
            (&of("transaction", PATIENT), &["invariant Bundle: bdl-3"]),
            (&of("batch", PATIENT), &["invariant Bundle: bdl-3"]),
            (&of("collection", &both(PATIENT, request)), &["invariant Bundle: bdl-3"]),
            // bdl-4: entry.response
            (&of("batch-response", response), &[]),
            (&of("transaction-response", &both(PATIENT, response)), &[]),
            (&of("batch-response", PATIENT), &["invariant Bundle: bdl-4"]),
            (&of("searchset", &both(PATIENT, response)), &["invariant Bundle: bdl-4"]),
            (&of("history", &both(request, response)), &[]),
            (&of("history", PATIENT), &["invariant Bundle: bdl-3", "invariant Bundle: bdl-4"]),
            // bdl-5: an entry has something
            (&of("collection", r#""fullUrl":"http://x/fhir/Patient/1""#), &["invariant Bundle.entry[0]: bdl-5"]),
            // bdl-9 to bdl-11: documents
            (&format!(r#""type":"document",{document},{composition}"#), &[]),
            (&format!(r#""type":"document",{document},"entry":[{{{PATIENT}}}]"#), &["invariant Bundle: bdl-11"]),
            (
                &format!(r#""type":"document","identifier":{{"system":"http://x","value":"1"}},{composition}"#),
                &["invariant Bundle: bdl-10"],
            ),
            (
                &format!(
                    r#""type":"document","identifier":{{"value":"1"}},"timestamp":"2020-01-01T00:00:00Z",{composition}"#
                ),
                &["invariant Bundle: bdl-9"],
            ),
            (
                &format!(r#""type":"document","timestamp":"2020-01-01T00:00:00Z",{composition}"#),
                &["invariant Bundle: bdl-9"],
            ),
            // bdl-12: messages
            (&format!(r#""type":"message",{header}"#), &[]),
            (&of("message", PATIENT), &["invariant Bundle: bdl-12"]),
        ],
    );
}

fn entries(entries: &[(&str, &str)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(url, members)| format!(r#"{{"fullUrl":"{url}","resource":{{"resourceType":"Patient"{members}}}}}"#))
        .collect();
    format!(r#""type":"collection","entry":[{}]"#, entries.join(","))
}

#[test]
fn a_full_url_is_absolute_unique_and_ends_in_the_id() {
    judge(
        BUNDLE,
        &[
            (
                &entries(&[("http://x/fhir/Patient/1", r#","id":"1""#), ("http://x/fhir/Patient/2", r#","id":"2""#)]),
                &[],
            ),
            (&entries(&[("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", r#","id":"1""#)]), &[]),
            (&entries(&[("http://x/any/thing", r#","id":"1""#)]), &[]),
            (&entries(&[("http://x/fhir/Patient/1", "")]), &[]),
            // The same resource in two versions.
            (
                &entries(&[
                    ("http://x/fhir/Patient/1", r#","id":"1","meta":{"versionId":"1"}"#),
                    ("http://x/fhir/Patient/1", r#","id":"1","meta":{"versionId":"2"}"#),
                ]),
                &[],
            ),
            (
                &entries(&[("http://x/fhir/Patient/1", r#","id":"1""#), ("http://x/fhir/Patient/1", r#","id":"1""#)]),
                &["invariant Bundle: bdl-7"],
            ),
            (
                &entries(&[("http://x/fhir/Patient/1/_history/2", r#","id":"1""#)]),
                &["invariant Bundle.entry[0]: bdl-8"],
            ),
            (
                &entries(&[("Patient/1", r#","id":"1""#)]),
                &["invalid Bundle.entry[0].fullUrl: the fullUrl 'Patient/1' is not absolute"],
            ),
            (
                &entries(&[("http://x/fhir/Patient/2", r#","id":"1""#)]),
                &["invalid Bundle.entry[0].fullUrl: does not end in the resource's id '1'"],
            ),
            // Any type makes it the URL of a FHIR server (R4 references.html#regex).
            (
                &entries(&[("http://x/fhir/Device/2", r#","id":"1""#)]),
                &["invalid Bundle.entry[0].fullUrl: does not end in the resource's id '1'"],
            ),
        ],
    );
}

#[test]
fn the_resources_inside_are_judged_with_their_place() {
    let inside = |resource: &str| format!(r#""type":"collection","entry":[{{{PATIENT}}},{{"resource":{resource}}}]"#);
    judge(
        BUNDLE,
        &[
            (&inside(r#"{"resourceType":"Patient","gender":"male"}"#), &[]),
            (
                &inside(r#"{"resourceType":"Patient","gender":"m","foo":1}"#),
                &[
                    "structure Bundle.entry[1].resource.foo: Patient has no element",
                    "code-invalid Bundle.entry[1].resource.gender: 'm' is not",
                ],
            ),
            (
                &inside(r#"{"id":"x"}"#),
                &["structure Bundle.entry[1].resource: expected a resource with a resourceType"],
            ),
            (
                &inside(
                    r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Organization"}}]}"#,
                ),
                &["invariant Bundle.entry[1].resource.entry[0].resource: org-1"],
            ),
            // Each Bundle is judged by its own type.
            (
                &inside(
                    r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient"}}]}"#,
                ),
                &[],
            ),
            (
                &inside(
                    r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/bp"]}}"#,
                ),
                &[
                    "structure Bundle.entry[1].resource: the profile http://hl7.org/fhir/StructureDefinition/bp is for Observation, this is Patient",
                ],
            ),
        ],
    );
}

#[test]
fn parameters_hold_values_parts_or_resources() {
    judge(
        r#""resourceType":"Parameters""#,
        &[
            (
                r#""parameter":[{"name":"a","valueString":"x"},{"name":"b","resource":{"resourceType":"Patient"}},{"name":"c","part":[{"name":"d","valueCode":"x"}]}]"#,
                &[],
            ),
            (r#""parameter":[{"name":"a"}]"#, &["invariant Parameters.parameter[0]: inv-1"]),
            (
                r#""parameter":[{"name":"a","valueString":"x","resource":{"resourceType":"Patient"}}]"#,
                &["invariant Parameters.parameter[0]: inv-1"],
            ),
            (
                r#""parameter":[{"name":"a","valueString":"x","part":[{"name":"b","valueCode":"x"}]}]"#,
                &["invariant Parameters.parameter[0]: inv-1"],
            ),
            (r#""parameter":[{"valueString":"x"}]"#, &["required Parameters.parameter[0].name: name is required"]),
            (
                r#""parameter":[{"name":"b","resource":{"resourceType":"Patient","gender":"m"}}]"#,
                &["code-invalid Parameters.parameter[0].resource.gender: 'm' is not"],
            ),
            (
                r#""parameter":[{"name":"c","part":[{"name":"d","resource":{"resourceType":"Organization"}}]}]"#,
                &["invariant Parameters.parameter[0].part[0].resource: org-1"],
            ),
            (
                r##""parameter":[{"name":"b","resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}]"##,
                &["invariant Parameters.parameter[0].resource.managingOrganization: ref-1"],
            ),
        ],
    );
}
