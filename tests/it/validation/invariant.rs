//! R4's invariants (conformance-rules.html#constraints): each one kept and broken.

use super::{Case, judge};

/// Judges documents of several types: start, members, issues.
fn judge_all(cases: &[(&str, &str, &[&str])]) {
    for (start, members, expected) in cases {
        let case: Case<'_> = (members, expected);
        judge(start, &[case]);
    }
}

const OBSERVATION: &str =
    r#""resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://x","code":"a"}]}"#;
const CONDITION: &str = r#""resourceType":"Condition","subject":{"reference":"Patient/1"}"#;
const APPOINTMENT: &str =
    r#""resourceType":"Appointment","participant":[{"status":"accepted","actor":{"reference":"Patient/1"}}]"#;
const ALLERGY: &str = r#""resourceType":"AllergyIntolerance","patient":{"reference":"Patient/1"}"#;
const QUESTIONNAIRE: &str = r#""resourceType":"Questionnaire","status":"draft""#;
const BASIC: &str = r#""resourceType":"Basic","code":{"text":"x"}"#;

#[test]
fn of_data_types() {
    let value = |value: &str| format!(r#""extension":[{{"url":"http://x/e",{value}}}]"#);
    let all: &[(&str, &str)] = &[
        (r#""valuePeriod":{"start":"2020-01","end":"2020-02"}"#, ""),
        (r#""valuePeriod":{"start":"2020-01-01","end":"2020-01-01"}"#, ""),
        (r#""valuePeriod":{"start":"2020"}"#, ""),
        // Of different precision: it cannot be told.
        (r#""valuePeriod":{"start":"2020-05-05","end":"2020"}"#, ""),
        (r#""valuePeriod":{"start":"2020-02","end":"2020-01"}"#, "per-1"),
        (r#""valuePeriod":{"start":"2020-01-01T10:00:00+01:00","end":"2020-01-01T09:30:00Z"}"#, ""),
        (r#""valuePeriod":{"start":"2020-01-01T10:00:00Z","end":"2020-01-01T10:30:00+01:00"}"#, "per-1"),
        (r#""valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"mg"}"#, ""),
        (r#""valueQuantity":{"value":1,"code":"mg"}"#, "qty-3"),
        (r#""valueRange":{"low":{"value":1},"high":{"value":2}}"#, ""),
        (r#""valueRange":{"low":{"value":2},"high":{"value":1}}"#, "rng-2"),
        (r#""valueRatio":{"numerator":{"value":1},"denominator":{"value":2}}"#, ""),
        (r#""valueRatio":{"numerator":{"value":1}}"#, "rat-1"),
        (r#""valueContactPoint":{"system":"phone","value":"1"}"#, ""),
        (r#""valueContactPoint":{"value":"1"}"#, "cpt-2"),
        (r#""valueAttachment":{"contentType":"text/plain","data":"YWJj"}"#, ""),
        (r#""valueAttachment":{"data":"YWJj"}"#, "att-1"),
        (r#""valueAge":{"value":1,"system":"http://unitsofmeasure.org","code":"a"}"#, ""),
        (r#""valueAge":{"value":-1,"system":"http://unitsofmeasure.org","code":"a"}"#, "age-1"),
        (r#""valueCount":{"value":2,"system":"http://unitsofmeasure.org","code":"1"}"#, ""),
        (r#""valueCount":{"value":2.5,"system":"http://unitsofmeasure.org","code":"1"}"#, "cnt-3"),
        (r#""valueTriggerDefinition":{"type":"named-event","name":"x"}"#, ""),
        (r#""valueTriggerDefinition":{"type":"named-event"}"#, "trd-3"),
    ];
    for (members, key) in all {
        let place = format!("invariant Basic.extension[0].value: {key}:");
        let expected: &[&str] = if key.is_empty() { &[] } else { &[&place] };
        judge(BASIC, &[(&value(members), expected)]);
    }
}

#[test]
fn of_expressions() {
    let value = |value: &str| {
        format!(r#""extension":[{{"url":"http://x/e","valueExpression":{{"language":"text/cql"{value}}}}}]"#)
    };
    let open = "information informational Basic.extension[0].value.language: bcp13.txt is not loaded";
    judge(
        BASIC,
        &[
            (&value(r#","expression":"1""#), &[open]),
            (&value(r#","reference":"http://x""#), &[open]),
            (&value(""), &["invariant Basic.extension[0].value: exp-1", open]),
        ],
    );
}

#[test]
fn what_has_no_result_is_not_true_unless_it_puts_values_in_order() {
    judge_all(&[
        (
            QUESTIONNAIRE,
            r#""item":[{"linkId":"1","type":"string","initial":[{"valueString":"a"},{"valueString":"b"}]}]"#,
            &["invariant Questionnaire.item[0]: que-13"],
        ),
        (
            r#""resourceType":"ValueSet","status":"draft""#,
            r#""expansion":{"timestamp":"2020","contains":[{"display":"x"}]}"#,
            &["invariant ValueSet.expansion.contains[0]: vsd-9"],
        ),
        (
            r#""resourceType":"Task","status":"draft","intent":"order""#,
            r#""authoredOn":"2020-05-05","lastModified":"2020""#,
            &[],
        ),
        (
            BASIC,
            r#""extension":[{"url":"http://x/e","valueRange":{"low":{"value":1,"unit":"a"},"high":{"value":2,"unit":"b"}}}]"#,
            &[],
        ),
    ]);
}

#[test]
fn of_timings() {
    let repeat =
        |repeat: &str| format!(r#""extension":[{{"url":"http://x/e","valueTiming":{{"repeat":{{{repeat}}}}}}}]"#);
    for (members, key) in [
        (r#""duration":1,"durationUnit":"h""#, ""),
        (r#""duration":1"#, "tim-1"),
        (r#""period":1"#, "tim-2"),
        (r#""duration":-1,"durationUnit":"h""#, "tim-4"),
        (r#""period":-1,"periodUnit":"h""#, "tim-5"),
        (r#""periodMax":1"#, "tim-6"),
        (r#""durationMax":1"#, "tim-7"),
        (r#""countMax":1"#, "tim-8"),
        (r#""count":1,"countMax":2"#, ""),
        (r#""offset":10,"when":["ACM"]"#, ""),
        (r#""offset":10"#, "tim-9"),
        (r#""offset":10,"when":["CM"]"#, "tim-9"),
        (r#""when":["ACM"],"timeOfDay":["10:00:00"]"#, "tim-10"),
    ] {
        let place = format!("invariant Basic.extension[0].value.repeat: {key}:");
        let expected: &[&str] = if key.is_empty() { &[] } else { &[&place] };
        judge(BASIC, &[(&repeat(members), expected)]);
    }
}

#[expect(clippy::too_many_lines, reason = "one table")]
#[test]
fn of_clinical_resources() {
    let verified = r#""verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"CODE"}]}"#;
    let wrong = verified.replace("CODE", "entered-in-error");
    let active = r#""clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}"#;
    let state = |code: &str| {
        format!(
            r#""clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"{code}"}}]}}"#
        )
    };
    let error = r#""verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]}"#;
    judge_all(&[
        (OBSERVATION, r#""valueInteger":1"#, &[]),
        (OBSERVATION, r#""dataAbsentReason":{"text":"x"}"#, &[]),
        (OBSERVATION, r#""valueInteger":1,"dataAbsentReason":{"text":"x"}"#, &["invariant Observation: obs-6"]),
        (OBSERVATION, r#""valueInteger":1,"component":[{"code":{"coding":[{"system":"http://x","code":"b"}]}}]"#, &[]),
        (
            OBSERVATION,
            r#""valueInteger":1,"component":[{"code":{"coding":[{"system":"http://x","code":"a"}]}}]"#,
            &["invariant Observation: obs-7"],
        ),
        (OBSERVATION, r#""referenceRange":[{"text":"x"}]"#, &[]),
        (
            OBSERVATION,
            r#""referenceRange":[{"type":{"text":"x"}}]"#,
            &["invariant Observation.referenceRange[0]: obs-3"],
        ),
        (ALLERGY, active, &[]),
        (ALLERGY, &wrong, &[]),
        (ALLERGY, "", &["invariant AllergyIntolerance: ait-1"]),
        (ALLERGY, &format!("{active},{wrong}"), &["invariant AllergyIntolerance: ait-2"]),
        (CONDITION, &state("active"), &[]),
        (CONDITION, &format!(r#"{},"abatementDateTime":"2020""#, state("resolved")), &[]),
        (CONDITION, &format!(r#"{},"abatementDateTime":"2020""#, state("active")), &["invariant Condition: con-4"]),
        (CONDITION, error, &[]),
        (CONDITION, &format!("{error},{}", state("active")), &["invariant Condition: con-5"]),
        (
            CONDITION,
            &format!(r#"{},"stage":[{{"type":{{"text":"x"}}}}]"#, state("active")),
            &["invariant Condition.stage[0]: con-1"],
        ),
        (
            CONDITION,
            &format!(
                r#"{},"evidence":[{{"id":"x","extension":[{{"url":"http://x/e","valueCode":"y"}}]}}]"#,
                state("active")
            ),
            &["invariant Condition.evidence[0]: con-2"],
        ),
        (
            r#""resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"reference":"Patient/1"},"occurrenceString":"x""#,
            r#""education":[{"documentType":"x"}]"#,
            &[],
        ),
        (
            r#""resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"reference":"Patient/1"},"occurrenceString":"x""#,
            r#""education":[{"publicationDate":"2020"}]"#,
            &["invariant Immunization.education[0]: imm-1"],
        ),
        (
            r#""resourceType":"FamilyMemberHistory","status":"partial","patient":{"reference":"Patient/1"},"relationship":{"text":"x"}"#,
            r#""ageString":"x","bornString":"x""#,
            &["invariant FamilyMemberHistory: fhs-1"],
        ),
        (
            r#""resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}"#,
            r#""code":{"text":"x"},"orderDetail":[{"text":"x"}]"#,
            &[],
        ),
        (
            r#""resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}"#,
            r#""orderDetail":[{"text":"x"}]"#,
            &["invariant ServiceRequest: prr-1"],
        ),
        (
            r#""resourceType":"Goal","lifecycleStatus":"active","description":{"text":"x"},"subject":{"reference":"Patient/1"}"#,
            r#""target":[{"detailString":"x"}]"#,
            &["invariant Goal.target[0]: gol-1"],
        ),
        (
            r#""resourceType":"MedicationDispense","status":"completed","medicationCodeableConcept":{"text":"x"}"#,
            r#""whenPrepared":"2020-01-02","whenHandedOver":"2020-01-03""#,
            &[],
        ),
        (
            r#""resourceType":"MedicationDispense","status":"completed","medicationCodeableConcept":{"text":"x"}"#,
            r#""whenPrepared":"2020-01-02","whenHandedOver":"2020-01-01""#,
            &["invariant MedicationDispense: mdd-1"],
        ),
        (
            r#""resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/1"}"#,
            r#""prediction":[{"probabilityDecimal":100}]"#,
            &[],
        ),
        (
            r#""resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/1"}"#,
            r#""prediction":[{"probabilityDecimal":100.5}]"#,
            &["invariant RiskAssessment.prediction[0]: ras-2"],
        ),
        (
            r#""resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}]"#,
            r#""policyRule":{"text":"x"}"#,
            &[],
        ),
        (
            r#""resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}]"#,
            "",
            &["invariant Consent: ppc-1"],
        ),
    ]);
}

#[expect(clippy::too_many_lines, reason = "one table")]
#[test]
fn of_administrative_resources() {
    let slot = r#""start":"2020-01-01T10:00:00Z","end":"2020-01-01T11:00:00Z""#;
    let patient = r#""resourceType":"Patient""#;
    let organization = r#""resourceType":"Organization""#;
    judge_all(&[
        (patient, r#""contact":[{"name":{"text":"x"}}]"#, &[]),
        (patient, r#""contact":[{"gender":"male"}]"#, &["invariant Patient.contact[0]: pat-1"]),
        (organization, r#""name":"x""#, &[]),
        (organization, r#""identifier":[{"value":"1"}]"#, &[]),
        (organization, "", &["invariant Organization: org-1"]),
        (
            organization,
            r#""name":"x","address":[{"use":"work"},{"use":"home"}]"#,
            &["invariant Organization.address[1]: org-2"],
        ),
        (
            organization,
            r#""name":"x","telecom":[{"system":"phone","value":"1","use":"home"}]"#,
            &["invariant Organization.telecom[0]: org-3"],
        ),
        (APPOINTMENT, &format!(r#""status":"booked",{slot}"#), &[]),
        (APPOINTMENT, r#""status":"proposed""#, &[]),
        (APPOINTMENT, r#""status":"booked""#, &["invariant Appointment: app-3"]),
        (APPOINTMENT, r#""status":"proposed","start":"2020-01-01T10:00:00Z""#, &["invariant Appointment: app-2"]),
        (APPOINTMENT, &format!(r#""status":"noshow",{slot},"cancelationReason":{{"text":"x"}}"#), &[]),
        (
            APPOINTMENT,
            &format!(r#""status":"booked",{slot},"cancelationReason":{{"text":"x"}}"#),
            &["invariant Appointment: app-4"],
        ),
        (
            r#""resourceType":"Appointment","status":"proposed""#,
            r#""participant":[{"status":"accepted"}]"#,
            &["invariant Appointment.participant[0]: app-1"],
        ),
        (
            r#""resourceType":"Task","status":"draft","intent":"order""#,
            r#""authoredOn":"2020-01-02","lastModified":"2020-01-03""#,
            &[],
        ),
        (
            r#""resourceType":"Task","status":"draft","intent":"order""#,
            r#""authoredOn":"2020-01-02","lastModified":"2020-01-01""#,
            &["invariant Task: inv-1"],
        ),
        (
            r#""resourceType":"List","status":"current""#,
            r#""mode":"working","entry":[{"date":"2020","item":{"display":"x"}}]"#,
            &[],
        ),
        (
            r#""resourceType":"List","status":"current""#,
            r#""mode":"working","emptyReason":{"text":"x"},"entry":[{"item":{"display":"x"}}]"#,
            &["invariant List: lst-1"],
        ),
        (
            r#""resourceType":"List","status":"current""#,
            r#""mode":"working","entry":[{"deleted":true,"item":{"display":"x"}}]"#,
            &["invariant List: lst-2"],
        ),
        (
            r#""resourceType":"List","status":"current""#,
            r#""mode":"snapshot","entry":[{"date":"2020","item":{"display":"x"}}]"#,
            &["invariant List: lst-3"],
        ),
        (
            r#""resourceType":"Group","type":"person""#,
            r#""actual":true,"member":[{"entity":{"reference":"Patient/1"}}]"#,
            &[],
        ),
        (
            r#""resourceType":"Group","type":"person""#,
            r#""actual":false,"member":[{"entity":{"reference":"Patient/1"}}]"#,
            &["invariant Group: grp-1"],
        ),
        (
            r#""resourceType":"Linkage""#,
            r#""item":[{"type":"source","resource":{"reference":"Patient/1"}}]"#,
            &["invariant Linkage: lnk-1"],
        ),
        (
            r#""resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2020","author":[{"display":"x"}],"title":"x""#,
            r#""section":[{"entry":[{"display":"x"}]}]"#,
            &[],
        ),
        (
            r#""resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2020","author":[{"display":"x"}],"title":"x""#,
            r#""section":[{"title":"x"}]"#,
            &["invariant Composition.section[0]: cmp-1"],
        ),
        (
            r#""resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2020","author":[{"display":"x"}],"title":"x""#,
            r#""section":[{"section":[{"emptyReason":{"text":"x"},"entry":[{"display":"x"}]}]}]"#,
            &["invariant Composition.section[0].section[0]: cmp-2"],
        ),
        (
            r#""resourceType":"CareTeam""#,
            r#""participant":[{"member":{"reference":"Practitioner/1"},"onBehalfOf":{"reference":"Organization/1"}}]"#,
            &[],
        ),
        (
            r#""resourceType":"CareTeam""#,
            r#""participant":[{"member":{"reference":"Patient/1"},"onBehalfOf":{"reference":"Organization/1"}}]"#,
            &["invariant CareTeam.participant[0]: ctm-1"],
        ),
    ]);
}

#[test]
fn of_questionnaires() {
    let item = |item: &str| format!(r#""item":[{{"linkId":"1",{item}}}]"#);
    judge_all(&[
        (QUESTIONNAIRE, &item(r#""type":"choice","answerOption":[{"valueString":"a"}]"#), &[]),
        (QUESTIONNAIRE, &item(r#""type":"group","item":[{"linkId":"2","type":"display","text":"x"}]"#), &[]),
        (
            QUESTIONNAIRE,
            &item(r#""type":"group","item":[{"linkId":"1","type":"display","text":"x"}]"#),
            &["invariant Questionnaire: que-2"],
        ),
        (QUESTIONNAIRE, &item(r#""type":"group""#), &["invariant Questionnaire.item[0]: que-1"]),
        (
            QUESTIONNAIRE,
            &item(r#""type":"display","text":"x","code":[{"system":"http://x","code":"y"}]"#),
            &["invariant Questionnaire.item[0]: que-3"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"choice","answerValueSet":"http://x","answerOption":[{"valueString":"a"}]"#),
            &["invariant Questionnaire.item[0]: que-4"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"boolean","answerOption":[{"valueString":"a"}]"#),
            &["invariant Questionnaire.item[0]: que-5"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"display","text":"x","required":true"#),
            &["invariant Questionnaire.item[0]: que-6"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"string","enableWhen":[{"question":"2","operator":"exists","answerBoolean":true}]"#),
            &[],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"string","enableWhen":[{"question":"2","operator":"exists","answerInteger":1}]"#),
            &["invariant Questionnaire.item[0].enableWhen[0]: que-7"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"group","item":[{"linkId":"2","type":"string"}],"initial":[{"valueString":"a"}]"#),
            &["invariant Questionnaire.item[0]: que-8"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"display","text":"x","readOnly":true"#),
            &["invariant Questionnaire.item[0]: que-9"],
        ),
        (QUESTIONNAIRE, &item(r#""type":"date","maxLength":5"#), &["invariant Questionnaire.item[0]: que-10"]),
        (
            QUESTIONNAIRE,
            &item(r#""type":"choice","answerOption":[{"valueString":"a"}],"initial":[{"valueString":"a"}]"#),
            &["invariant Questionnaire.item[0]: que-11"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"string","initial":[{"valueString":"a"},{"valueString":"b"}]"#),
            &["invariant Questionnaire.item[0]: que-13"],
        ),
        (
            QUESTIONNAIRE,
            &item(r#""type":"string","repeats":true,"initial":[{"valueString":"a"},{"valueString":"b"}]"#),
            &[],
        ),
        (
            r#""resourceType":"QuestionnaireResponse","status":"completed""#,
            r#""item":[{"linkId":"1","answer":[{"valueString":"a","item":[{"linkId":"2"}]}]}]"#,
            &[],
        ),
        (
            r#""resourceType":"QuestionnaireResponse","status":"completed""#,
            r#""item":[{"linkId":"1","answer":[{"valueString":"a"}],"item":[{"linkId":"2"}]}]"#,
            &["invariant QuestionnaireResponse.item[0]: qrs-1"],
        ),
    ]);
}

#[test]
fn of_definitions() {
    let set = r#""resourceType":"ValueSet","status":"draft""#;
    let system = r#""resourceType":"CodeSystem","status":"draft","content":"complete""#;
    judge_all(&[
        (set, r#""compose":{"include":[{"system":"http://x"}]}"#, &[]),
        (set, r#""compose":{"include":[{"version":"1"}]}"#, &["invariant ValueSet.compose.include[0]: vsd-1"]),
        (
            set,
            r#""compose":{"include":[{"valueSet":["http://x"],"concept":[{"code":"a"}]}]}"#,
            &["invariant ValueSet.compose.include[0]: vsd-2"],
        ),
        (
            set,
            r#""compose":{"include":[{"system":"http://x","concept":[{"code":"a"}],"filter":[{"property":"p","op":"=","value":"v"}]}]}"#,
            &["invariant ValueSet.compose.include[0]: vsd-3"],
        ),
        (system, r#""concept":[{"code":"a","concept":[{"code":"b"}]}]"#, &[]),
        (system, r#""concept":[{"code":"a","concept":[{"code":"a"}]}]"#, &["invariant CodeSystem: csd-1"]),
        (
            r#""resourceType":"OperationDefinition","name":"X","status":"draft","kind":"operation","code":"x","system":true,"type":false,"instance":false"#,
            r#""parameter":[{"name":"a","use":"in","min":0,"max":"1"}]"#,
            &["invariant OperationDefinition.parameter[0]: opd-1"],
        ),
        (
            r#""resourceType":"SearchParameter","url":"http://x","name":"X","status":"draft","description":"x","code":"x","base":["Patient"]"#,
            r#""type":"reference","chain":["a"]"#,
            &[],
        ),
        (
            r#""resourceType":"SearchParameter","url":"http://x","name":"X","status":"draft","description":"x","code":"x","base":["Patient"]"#,
            r#""type":"string","chain":["a"]"#,
            &["invariant SearchParameter: spd-2"],
        ),
        (
            r#""resourceType":"StructureDefinition","url":"http://x","name":"X","status":"draft","kind":"resource","abstract":false,"type":"Patient","derivation":"constraint""#,
            r#""baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[{"id":"Patient","path":"Patient"}]}"#,
            &[],
        ),
        (
            r#""resourceType":"StructureDefinition","url":"http://x","name":"X","status":"draft","kind":"resource","abstract":false,"type":"Patient","derivation":"constraint""#,
            r#""differential":{"element":[{"id":"Patient","path":"Patient"}]}"#,
            &["invariant StructureDefinition: sdf-4"],
        ),
    ]);
}

#[test]
fn a_guideline_is_a_warning() {
    judge_all(&[
        (r#""resourceType":"ValueSet","status":"draft""#, r#""name":"Good_1""#, &[]),
        (r#""resourceType":"ValueSet","status":"draft""#, r#""name":"b""#, &["warning invariant ValueSet: vsd-0"]),
        (
            r#""resourceType":"NutritionOrder","status":"active","intent":"order","patient":{"reference":"Patient/1"},"dateTime":"2020""#,
            "",
            &["warning invariant NutritionOrder: nor-1"],
        ),
    ]);
}
