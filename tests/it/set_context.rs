//! `$set-context`: every situation of the contract's section on it.

use serde_json::{Value, json};

use crate::fixtures::{SetContext, halo_sample, observation, patient};
use crate::support::poc::{HALO, Launch, PointOfCare, subscription};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::server::TestServer;

/// A server and a PoC whose Subscription is active.
pub async fn stage() -> (TestServer, PointOfCare, Receiver) {
    let server = TestServer::start().await;
    let (poc, receiver) = server.subscribed_poc("poc", 7).await;
    (server, poc, receiver)
}

/// What a failed call must not change.
async fn stored(server: &TestServer) -> [i64; 4] {
    [
        server.count("select count(*) from resource where type <> 'Subscription'").await,
        server.count("select count(*) from context").await,
        server.count("select count(*) from resource_history where type <> 'Subscription'").await,
        server.count("select count(*) from search_token left join resource using (tenant, key) where type is distinct from 'Subscription'").await,
    ]
}

fn parameter<'v>(output: &'v Value, name: &str) -> Vec<&'v Value> {
    output["parameter"].as_array().expect("parameters").iter().filter(|one| one["name"] == name).collect()
}

#[tokio::test]
async fn the_sample_of_halo_is_answered_as_the_output_profile_says() {
    let (server, poc, _receiver) = stage().await;
    let answer = poc.set_context(&halo_sample()).await.expect(200);
    assert!(answer.header("content-type").starts_with("application/fhir+json"));
    let output = answer.json();
    assert_eq!(output["resourceType"], "Parameters");
    let profile = format!("{HALO}StructureDefinition/set-context-output-parameters");
    assert_eq!(output["meta"]["profile"], json!([profile]));
    let names: Vec<_> =
        output["parameter"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["launchID", "resourcesResponse", "outcome"]);
    let launch_id = output["parameter"][0]["valueString"].as_str().unwrap();
    // 128 bits take 22 characters of base64url.
    assert!(launch_id.len() >= 22, "{launch_id}");
    assert!(launch_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{launch_id}");
    let outcome = &output["parameter"][2]["resource"];
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    for issue in outcome["issue"].as_array().unwrap() {
        assert!(issue["severity"] == "information" || issue["severity"] == "warning", "{issue}");
    }
    let bundle = &output["parameter"][1]["resource"];
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("transaction-response")));
    let entries = bundle["entry"].as_array().unwrap();
    let types = ["Encounter", "Patient", "Practitioner", "PractitionerRole", "Organization", "Location"];
    assert_eq!(entries.len(), types.len());
    for (entry, kind) in entries.iter().zip(types) {
        assert!(entry.get("request").is_none(), "{entry}");
        let full_url = entry["fullUrl"].as_str().unwrap();
        assert!(full_url.starts_with(&format!("{}/{kind}/", server.fhir)), "{full_url}");
        let response = &entry["response"];
        assert_eq!(response["status"], "201 Created");
        let id = full_url.rsplit('/').next().unwrap();
        assert_eq!(response["location"], format!("{kind}/{id}/_history/1"));
        assert_eq!(response["etag"], "W/\"1\"");
        let stored = poc.get(full_url).await.expect(200).json();
        assert_eq!(stored["meta"]["lastUpdated"], response["lastModified"]);
    }
}

#[tokio::test]
async fn references_between_entries_name_the_stored_resources() {
    let (_server, poc, _receiver) = stage().await;
    let launch = poc.launch(&halo_sample()).await;
    let encounter = poc.get(launch.first("Encounter")).await.expect(200).json();
    assert_eq!(encounter["subject"]["reference"], launch.first("Patient"));
    assert_eq!(encounter["participant"][0]["individual"]["reference"], launch.first("Practitioner"));
    assert_eq!(encounter["location"][0]["location"]["reference"], launch.first("Location"));
    assert_eq!(encounter["serviceProvider"]["reference"], launch.first("Organization"));
    let role = poc.get(launch.first("PractitionerRole")).await.expect(200).json();
    assert_eq!(role["practitioner"]["reference"], launch.first("Practitioner"));
    for one in &launch.created {
        let stored = poc.get(one).await.expect(200).text;
        assert!(!stored.contains("urn:uuid:"), "{stored}");
    }
}

#[tokio::test]
async fn references_by_oid_by_absolute_url_and_in_narrative_are_rewritten_but_canonicals_are_not() {
    let (_server, poc, _receiver) = stage().await;
    let mut observation = observation("urn:oid:1.2.3.4", "x");
    observation["encounter"] = json!({"reference": "https://emr.example.org/Encounter/77"});
    observation["text"] = json!({"status": "generated",
        "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:oid:1.2.3.4\">Jane</a></div>"});
    observation["extension"] = json!([
        {"url": "https://example.org/uri", "valueUri": "urn:oid:1.2.3.4"},
        {"url": "https://example.org/canonical", "valueCanonical": "urn:oid:1.2.3.4"},
    ]);
    let encounter = json!({"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
        "subject": {"reference": "urn:oid:1.2.3.4"}});
    let input = SetContext::default()
        .reference("patient", "urn:oid:1.2.3.4")
        .entry("urn:oid:1.2.3.4", &patient("Smith"))
        .entry("https://emr.example.org/Encounter/77", &encounter)
        .entry("urn:uuid:6a0c1c5e-5f0c-4d7a-9a43-000000000001", &observation);
    let launch = poc.launch(&input.build()).await;
    let stored = poc.get(launch.first("Observation")).await.expect(200).json();
    let patient = launch.first("Patient");
    assert_eq!(stored["subject"]["reference"], patient);
    assert_eq!(stored["encounter"]["reference"], launch.first("Encounter"));
    assert!(stored["text"]["div"].as_str().unwrap().contains(&format!("href=\"{patient}\"")), "{}", stored["text"]);
    assert_eq!(stored["extension"][0]["valueUri"], patient);
    assert_eq!(stored["extension"][1]["valueCanonical"], "urn:oid:1.2.3.4");
}

#[tokio::test]
async fn an_app_id_that_is_no_registered_app_is_refused() {
    let (server, poc, _receiver) = stage().await;
    server.poc("another-poc", 8).await;
    for unknown in ["nobody", "another-poc"] {
        let app_id = json!({"name": "appID", "valueString": unknown});
        let input = SetContext::default()
            .parameter(app_id)
            .reference("patient", "urn:uuid:p")
            .entry("urn:uuid:p", &patient("S"));
        poc.set_context(&input.build()).await.expect_outcome().expect(422).at("Parameters.parameter[0].value");
    }
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn a_deployment_may_demand_the_app_id() {
    let server = TestServer::configured("[context]\nrequire_app_id = true").await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.app("app").await;
    poc.set_context(&SetContext::patient("Smith").build()).await.expect_outcome().saying("appID").expect(422);
    let app_id = json!({"name": "appID", "valueString": "app"});
    poc.launch(&SetContext::patient("Smith").parameter(app_id).build()).await;
}

#[tokio::test]
async fn misshapen_parameters_are_refused_with_their_place() {
    let (server, poc, _receiver) = stage().await;
    let good = || SetContext::patient("Smith");
    let twice = |parameter: Value| good().parameter(parameter.clone()).parameter(parameter).build();
    let string = |name: &str| json!({"name": name, "valueString": "x"});
    // (why, input, where)
    let cases: Vec<(&str, Value, &str)> = vec![
        ("unknown name", good().parameter(string("colour")).build(), "Parameters.parameter[1].name"),
        ("name in another case", good().parameter(string("Intent")).build(), "Parameters.parameter[1].name"),
        ("name in another case", good().parameter(string("appId")).build(), "Parameters.parameter[1].name"),
        ("a second intent", twice(string("intent")), "Parameters.parameter[2]"),
        ("a second tenant", twice(string("tenant")), "Parameters.parameter[2]"),
        ("a second patient", good().reference("patient", "urn:uuid:patient").build(), "Parameters.parameter[1]"),
        (
            "a patient as text",
            SetContext::default().parameter(string("patient")).entry("urn:uuid:p", &patient("S")).build(),
            "Parameters.parameter[0]",
        ),
        ("a banner as text", good().parameter(string("need_patient_banner")).build(), "Parameters.parameter[1]"),
        (
            "an intent as boolean",
            good().parameter(json!({"name": "intent", "valueBoolean": true})).build(),
            "Parameters.parameter[1]",
        ),
        ("no value", good().parameter(json!({"name": "intent"})).build(), "Parameters.parameter[1]"),
        (
            "resources that are no Bundle",
            SetContext::default().parameter(json!({"name": "resources", "resource": patient("S")})).build(),
            "Parameters.parameter[0].resource",
        ),
    ];
    for (why, input, place) in cases {
        let answer = poc.set_context(&input).await;
        assert_eq!(answer.status, 400, "{why}: {}", answer.text);
        let found = answer.clone().expect_outcome().expressions();
        assert!(found.iter().any(|one| one.starts_with(place)), "{why}: {place} not in {found:?}");
    }
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn a_call_with_neither_reference_nor_resources_is_refused() {
    let (server, poc, _receiver) = stage().await;
    for empty in [json!([]), json!([{"name": "intent", "valueString": "x"}])] {
        poc.set_context(&json!({"resourceType": "Parameters", "parameter": empty})).await.expect(400).expect_outcome();
    }
    poc.set_context(&json!({"resourceType": "Parameters"})).await.expect(400).expect_outcome();
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn a_body_that_is_not_parameters_is_refused() {
    let (server, poc, _receiver) = stage().await;
    let sample = halo_sample();
    let bare_bundle = &sample["parameter"][9]["resource"];
    assert_eq!(bare_bundle["resourceType"], "Bundle");
    poc.set_context(bare_bundle).await.expect(400).expect_outcome().saying("Parameters");
    poc.set_context(&patient("Smith")).await.expect(400).expect_outcome();
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{\"resourceType\":\"Parameters\",\"resourceType\":\"Parameters\"}",
        "{\"parameter\":[]}",
    ] {
        poc.post("$set-context", &text).await.expect(400).expect_outcome();
    }
    let headers = [("content-type", "text/plain")];
    poc.send("POST", "$set-context", &headers, Some(sample.to_string())).await.expect(415).expect_outcome();
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn get_is_not_allowed() {
    let (_server, poc, _receiver) = stage().await;
    let answer = poc.get("$set-context").await.expect(405).expect_outcome();
    assert!(answer.header("allow").contains("POST"), "{:?}", answer.headers);
}

#[tokio::test]
async fn misshapen_bundles_are_refused_with_their_place() {
    let (server, poc, _receiver) = stage().await;
    let bundle = "Parameters.parameter[1].resource";
    let case = |change: &dyn Fn(&mut Value)| {
        let mut input = SetContext::patient("Smith").entry("urn:uuid:b", &patient("B")).build();
        change(&mut input["parameter"][1]["resource"]);
        input
    };
    let remove = |value: &mut Value, name: &str| drop(value.as_object_mut().unwrap().remove(name));
    let cases: Vec<(&str, Value, String)> = vec![
        ("a batch", case(&|b| b["type"] = json!("batch")), format!("{bundle}.type")),
        ("a collection", case(&|b| b["type"] = json!("collection")), format!("{bundle}.type")),
        ("no type", case(&|b| remove(b, "type")), bundle.to_owned()),
        (
            "PUT",
            case(&|b| b["entry"][1]["request"]["method"] = json!("PUT")),
            format!("{bundle}.entry[1].request.method"),
        ),
        ("no request", case(&|b| remove(&mut b["entry"][1], "request")), format!("{bundle}.entry[1]")),
        ("no fullUrl", case(&|b| remove(&mut b["entry"][1], "fullUrl")), format!("{bundle}.entry[1]")),
        (
            "a fullUrl twice",
            case(&|b| b["entry"][1]["fullUrl"] = json!("urn:uuid:patient")),
            format!("{bundle}.entry[1].fullUrl"),
        ),
        ("no resource", case(&|b| remove(&mut b["entry"][1], "resource")), format!("{bundle}.entry[1]")),
        (
            "another url",
            case(&|b| b["entry"][1]["request"]["url"] = json!("Observation")),
            format!("{bundle}.entry[1].request.url"),
        ),
        (
            "an url with id",
            case(&|b| b["entry"][1]["request"]["url"] = json!("Patient/1")),
            format!("{bundle}.entry[1].request.url"),
        ),
    ];
    for (why, input, place) in cases {
        let answer = poc.set_context(&input).await;
        assert_eq!(answer.status, 400, "{why}: {}", answer.text);
        let found = answer.clone().expect_outcome().expressions();
        assert!(found.iter().any(|one| one.starts_with(&place)), "{why}: {place} not in {found:?}");
    }
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn all_faults_of_a_stage_are_reported_together() {
    let (_server, poc, _receiver) = stage().await;
    let input = SetContext::patient("Smith")
        .parameter(json!({"name": "colour", "valueString": "x"}))
        .parameter(json!({"name": "shape", "valueString": "x"}))
        .build();
    let found = poc.set_context(&input).await.expect(400).expect_outcome().expressions().join(" ");
    assert!(found.contains("parameter[1]") && found.contains("parameter[2]"), "{found}");
}

#[tokio::test]
async fn types_outside_the_list_are_refused_by_name() {
    let (server, poc, receiver) = stage().await;
    for (kind, resource) in [
        ("Subscription", subscription(&receiver.url(), "empty")),
        ("CapabilityStatement", json!({"resourceType": "CapabilityStatement", "status": "draft"})),
        ("StructureDefinition", json!({"resourceType": "StructureDefinition", "status": "draft"})),
    ] {
        let input = SetContext::patient("Smith").entry("urn:uuid:x", &resource).build();
        poc.set_context(&input).await.expect(422).expect_outcome().saying(kind);
    }
    assert_eq!(stored(&server).await, [0; 4]);
    let server = TestServer::configured("[context]\nresource_types = [\"Patient\"]").await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x"));
    poc.set_context(&input.build()).await.expect(422).expect_outcome().saying("Observation");
    poc.launch(&SetContext::patient("Smith").build()).await;
}

#[tokio::test]
async fn parameters_point_at_resources_of_their_own_kind() {
    let (server, poc, _receiver) = stage().await;
    let observation = observation("urn:uuid:patient", "x");
    let with = |name: &str, target: &str| {
        SetContext::patient("Smith").entry("urn:uuid:obs", &observation).reference(name, target).build()
    };
    let misplaced =
        SetContext::default().reference("patient", "urn:uuid:obs").entry("urn:uuid:obs", &observation).build();
    for (why, input) in [
        ("an Observation as patient", misplaced),
        ("a Patient as encounter", with("encounter", "urn:uuid:patient")),
        ("an Observation as fhirUser", with("fhirUser", "urn:uuid:obs")),
        ("a Patient in fhirContext", with("fhirContext", "urn:uuid:patient")),
        ("a dangling fhirContext", with("fhirContext", "urn:uuid:nowhere")),
    ] {
        let answer = poc.set_context(&input).await.expect_outcome();
        assert!(answer.status == 400 || answer.status == 422, "{why}: {}: {}", answer.status, answer.text);
    }
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn an_encounter_of_another_patient_is_refused() {
    let (server, poc, _receiver) = stage().await;
    let encounter = json!({"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
        "subject": {"reference": "urn:uuid:other"}});
    let input = SetContext::patient("Smith")
        .entry("urn:uuid:other", &patient("Other"))
        .entry("urn:uuid:encounter", &encounter)
        .reference("encounter", "urn:uuid:encounter")
        .build();
    poc.set_context(&input).await.expect_issue(422, "business-rule");
    assert_eq!(stored(&server).await, [0; 4]);
}

#[tokio::test]
async fn a_reference_to_what_the_poc_may_not_see_is_refused_like_one_to_nothing() {
    let (server, poc, _receiver) = stage().await;
    let (rival, _theirs) = server.subscribed_poc("rival", 8).await;
    let secret = rival.launch(&SetContext::patient("Secret").build()).await;
    let before = stored(&server).await;
    let refer = |target: &str| SetContext::default().entry("urn:uuid:o", &observation(target, "x")).build();
    let theirs = poc.set_context(&refer(secret.first("Patient"))).await.expect(422).expect_outcome();
    let nowhere = poc.set_context(&refer("Patient/nowhere")).await.expect(422).expect_outcome();
    assert_eq!(
        theirs.at("Parameters.parameter[0].resource.entry[0].resource.subject.reference").issues()[0].code,
        nowhere.issues()[0].code
    );
    let by_parameter = SetContext::default().reference("patient", secret.first("Patient")).build();
    poc.set_context(&by_parameter).await.expect(422).expect_outcome();
    assert_eq!(stored(&server).await, before);
}

#[tokio::test]
async fn references_may_lead_to_shared_resources_and_to_the_pocs_own() {
    let (server, poc, _receiver) = stage().await;
    let service = server.service("service").await;
    let shared =
        service.post("Organization", &json!({"resourceType": "Organization", "name": "Ministry"})).await.expect(201);
    let organization = format!("Organization/{}", shared.id());
    let mut jane = patient("Smith");
    jane["managingOrganization"] = json!({"reference": organization});
    let input = SetContext::default()
        .reference("patient", "urn:uuid:p")
        .reference("fhirContext", &organization)
        .entry("urn:uuid:p", &jane);
    let first = poc.launch(&input.build()).await;
    let again = poc.launch(&SetContext::default().reference("patient", first.first("Patient")).build()).await;
    assert_ne!(first.id, again.id);
    server.user("user", 7).await;
    let app = server.app("app").await.launch(&again.id, "user").await;
    assert_eq!(format!("Patient/{}", app.patient()), first.first("Patient"));
}

#[tokio::test]
async fn if_none_exist_finds_what_is_there_and_creates_what_is_not() {
    let (server, poc, _receiver) = stage().await;
    let identified = |value: &str| {
        let mut one = patient("Smith");
        one["identifier"] = json!([{"system": "https://example.org/mrn", "value": value}]);
        one
    };
    let input = |value: &str| {
        SetContext::default()
            .reference("patient", "urn:uuid:p")
            .entry_if_none_exist(
                "urn:uuid:p",
                &identified(value),
                &format!("identifier=https://example.org/mrn|{value}"),
            )
            .entry("urn:uuid:o", &observation("urn:uuid:p", "x"))
            .build()
    };
    let first = Launch::read(&poc.set_context(&input("1")).await.expect(200).json());
    let output = poc.set_context(&input("1")).await.expect(200).json();
    let second = Launch::read(&output);
    assert_eq!(first.first("Patient"), second.first("Patient"));
    let entry = &parameter(&output, "resourcesResponse")[0]["resource"]["entry"][0];
    assert_eq!(entry["response"]["status"], "200 OK");
    assert_eq!(entry["response"]["location"], format!("{}/_history/1", first.first("Patient")));
    assert_eq!(entry["response"]["etag"], "W/\"1\"");
    let found = poc.get(second.first("Observation")).await.expect(200).json();
    assert_eq!(found["subject"]["reference"], first.first("Patient"), "references follow what was found");
    let third = poc.launch(&input("2")).await;
    assert_ne!(third.first("Patient"), first.first("Patient"));
    assert_eq!(server.count("select count(*) from resource where type = 'Patient'").await, 2);
}

#[tokio::test]
async fn if_none_exist_that_matches_several_is_refused() {
    let (server, poc, _receiver) = stage().await;
    let mut twin = patient("Twin");
    twin["identifier"] = json!([{"system": "https://example.org/mrn", "value": "1"}]);
    poc.launch(&SetContext::default().entry("urn:uuid:1", &twin).entry("urn:uuid:2", &twin).build()).await;
    let before = stored(&server).await;
    let query = "identifier=https://example.org/mrn|1";
    let input = SetContext::default()
        .entry("urn:uuid:o", &observation("urn:uuid:p", "x"))
        .entry_if_none_exist("urn:uuid:p", &twin, query)
        .build();
    let answer = poc.set_context(&input).await.expect(412).expect_outcome();
    assert!(
        answer.expressions().iter().any(|one| one.starts_with("Parameters.parameter[0].resource.entry[1]")),
        "{}",
        answer.text
    );
    assert_eq!(stored(&server).await, before);
}

#[tokio::test]
async fn if_none_exist_does_not_find_another_pocs_resource() {
    let (server, poc, _receiver) = stage().await;
    let (rival, _theirs) = server.subscribed_poc("rival", 8).await;
    let mut jane = patient("Smith");
    jane["identifier"] = json!([{"system": "https://example.org/mrn", "value": "1"}]);
    let query = "identifier=https://example.org/mrn|1";
    let theirs = rival.launch(&SetContext::default().entry("urn:uuid:p", &jane).build()).await;
    let ours = poc.launch(&SetContext::default().entry_if_none_exist("urn:uuid:p", &jane, query).build()).await;
    assert_ne!(theirs.first("Patient"), ours.first("Patient"));
}

#[tokio::test]
async fn without_an_active_subscription_nothing_is_set() {
    let server = TestServer::start().await;
    let poc = server.poc("poc", 7).await;
    let input = SetContext::patient("Smith").build();
    poc.set_context(&input).await.expect_issue(422, "business-rule").saying("Subscription");
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::status(500));
    let broken = poc.post("Subscription", &subscription(&receiver.url(), "full-resource")).await.expect(201).id();
    poc.until_status(&broken, "error").await;
    poc.set_context(&input).await.expect_issue(422, "business-rule");
    let (_rival, _theirs) = server.subscribed_poc("rival", 8).await;
    poc.set_context(&input).await.expect_issue(422, "business-rule");
    assert_eq!(stored(&server).await, [0; 4]);
    receiver.behave(Behaviour::Accept);
    let id = poc.subscribe(&receiver).await;
    poc.launch(&input).await;
    poc.delete(&format!("Subscription/{id}")).await.expect(204);
    poc.set_context(&input).await.expect_issue(422, "business-rule");
}

#[tokio::test]
async fn the_stages_come_in_their_order() {
    let server = TestServer::start().await;
    let poc = server.poc("poc", 7).await;
    // No Subscription (stage 6), a dangling reference (stage 5), a batch (stage 3), an unknown name (stage 2).
    let mut input =
        SetContext::default().reference("patient", "Patient/nowhere").entry("urn:uuid:p", &patient("S")).build();
    poc.set_context(&input).await.expect(422).at("Parameters.parameter[0].value");
    input["parameter"][1]["resource"]["type"] = json!("batch");
    poc.set_context(&input).await.expect(400).at("Parameters.parameter[1].resource.type");
    input["parameter"][0]["name"] = json!("patent");
    poc.set_context(&input).await.expect(400).at("Parameters.parameter[0].name");
}

#[tokio::test]
async fn the_pocs_own_creates_do_not_notify_it() {
    let (_server, poc, receiver) = stage().await;
    poc.launch(&halo_sample()).await;
    assert!(receiver.events().is_empty(), "{:?}", receiver.events());
}

#[tokio::test]
async fn every_call_makes_a_new_context_and_the_launch_id_is_stored_nowhere() {
    let (server, poc, _receiver) = stage().await;
    let input = SetContext::patient("Smith").build();
    let (first, second) = (poc.launch(&input).await, poc.launch(&input).await);
    assert_ne!(first.id, second.id);
    for id in [&first.id, &second.id] {
        let bits = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, id).unwrap().len() * 8;
        assert_eq!(bits, 256, "{id}");
    }
    assert_ne!(first.first("Patient"), second.first("Patient"));
    let kept: Vec<String> =
        sqlx::query_scalar("select context::text from context").fetch_all(&server.db.pool).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|row| !row.contains(&first.id) && !row.contains(&second.id)), "{kept:?}");
}

#[tokio::test]
async fn an_idempotency_key_makes_a_retry_return_the_first_answer() {
    let (server, poc, _receiver) = stage().await;
    let (rival, _theirs) = server.subscribed_poc("rival", 8).await;
    let input = SetContext::patient("Smith").build();
    let key = [("idempotency-key", "call-1")];
    let first = poc.send("POST", "$set-context", &key, Some(input.to_string())).await.expect(200);
    let retry = poc.send("POST", "$set-context", &key, Some(input.to_string())).await.expect(200);
    assert_eq!(first.text, retry.text);
    assert_eq!(server.count("select count(*) from context").await, 1);
    let another =
        poc.send("POST", "$set-context", &[("idempotency-key", "call-2")], Some(input.to_string())).await.expect(200);
    assert_ne!(another.text, first.text);
    let theirs = rival.send("POST", "$set-context", &key, Some(input.to_string())).await.expect(200);
    assert_ne!(theirs.text, first.text, "the key is each PoC's own");
    let other_body = SetContext::patient("Jones").build().to_string();
    let misused = poc.send("POST", "$set-context", &key, Some(other_body)).await.expect_outcome();
    assert!(misused.status == 409 || misused.status == 422, "{}", misused.status);
    let kept: Vec<String> = sqlx::query_scalar("select encode(answer, 'escape') from idempotency")
        .fetch_all(&server.db.pool)
        .await
        .unwrap();
    let launch = Launch::read(&first.json());
    assert!(kept.iter().all(|row| !row.contains(&launch.id)), "the kept answer is sealed");
}

#[tokio::test]
async fn a_retry_that_runs_beside_the_first_call_makes_no_second_context() {
    let (server, poc, _receiver) = stage().await;
    let input = SetContext::patient("Smith").build().to_string();
    let call = || poc.send("POST", "$set-context", &[("idempotency-key", "k")], Some(input.clone()));
    let (one, two, three) = tokio::join!(call(), call(), call());
    let answers: Vec<_> = [one, two, three].into_iter().filter(|answer| answer.status == 200).collect();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
    assert_eq!(server.count("select count(*) from context").await, 1);
}

#[tokio::test]
async fn only_a_poc_with_the_scope_may_call() {
    let (server, poc, _receiver) = stage().await;
    let input = SetContext::patient("Smith").build();
    let answer = server.stranger().post("$set-context", &input).await.expect(401).expect_outcome();
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{:?}", answer.headers);
    server.service("service").await.post("$set-context", &input).await.expect(403).expect_outcome();
    let clear_only = poc.scoped(&server, &format!("{HALO}OperationDefinition/clear-context")).await;
    clear_only.post("$set-context", &input).await.expect(403).expect_outcome();
    let alias = poc.scoped(&server, "Context.write").await;
    alias.post("$set-context", &input).await.expect(200);
    server.user("user", 7).await;
    let launch = poc.launch(&input).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    app.post("$set-context", &input).await.expect(403).expect_outcome();
}

#[tokio::test]
async fn the_style_url_is_an_absolute_https_url_of_any_uri_type() {
    let (_server, poc, _receiver) = stage().await;
    for value in ["valueUrl", "valueUri", "valueString"] {
        let style = json!({"name": "smart_style_url", value: "https://x.example.org/s.json"});
        poc.launch(&SetContext::patient("Smith").parameter(style).build()).await;
    }
    for wrong in ["style.json", "http://x.example.org/s.json", "javascript:alert(1)"] {
        let style = json!({"name": "smart_style_url", "valueUrl": wrong});
        let answer = poc.set_context(&SetContext::patient("Smith").parameter(style).build()).await.expect_outcome();
        assert!(answer.status == 400 || answer.status == 422, "{wrong}: {}", answer.status);
    }
}

#[tokio::test]
async fn what_was_sent_is_stored_digit_by_digit() {
    let (_server, poc, _receiver) = stage().await;
    let input = r#"{"resourceType":"Parameters","parameter":[{"name":"resources","resource":{"resourceType":"Bundle","type":"transaction",
        "entry":[{"fullUrl":"urn:uuid:o","request":{"method":"POST","url":"Observation"},"resource":{"resourceType":"Observation",
        "status":"final","code":{"text":"x"},"valueQuantity":{"value":1.0,"unit":"mmol/L"},"component":[{"code":{"text":"y"},
        "valueQuantity":{"value":123456789012345678901234567890.10}}]}}]}}]}"#;
    let launch = Launch::read(&poc.post("$set-context", &input).await.expect(200).json());
    let stored = poc.get(launch.first("Observation")).await.expect(200).text;
    assert!(stored.contains("\"value\":1.0,") && stored.contains("123456789012345678901234567890.10"), "{stored}");
}

#[tokio::test]
async fn ids_and_meta_of_the_input_are_no_parameters() {
    let (_server, poc, _receiver) = stage().await;
    let mut input = SetContext::patient("Smith").build();
    input["id"] = json!("mine");
    input["meta"] = json!({"profile": [format!("{HALO}StructureDefinition/set-context-input-parameters")]});
    input["parameter"][1]["resource"]["id"] = json!("my-bundle");
    input["parameter"][1]["resource"]["entry"][0]["resource"]["id"] = json!("my-patient");
    let launch = poc.launch(&input).await;
    assert_ne!(launch.first("Patient"), "Patient/my-patient");
}

#[tokio::test]
async fn a_call_is_refused_whole_when_one_of_many_resources_is_wrong() {
    let (server, poc, _receiver) = stage().await;
    let mut input = SetContext::patient("Smith");
    for number in 0..50 {
        let target = if number == 37 { "Patient/nowhere" } else { "urn:uuid:patient" };
        input = input.entry(&format!("urn:uuid:{number}"), &observation(target, "x"));
    }
    let refused = poc.set_context(&input.build()).await.expect(422).expect_outcome();
    assert_eq!(refused.expressions(), ["Parameters.parameter[1].resource.entry[38].resource.subject.reference"]);
    assert_eq!(stored(&server).await, [0; 4]);
}
