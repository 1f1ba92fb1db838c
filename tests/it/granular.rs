//! Granular scopes: what their conditions let through, wherever resources are read, found, led to or written.

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry};
use crate::set_context::stage;
use crate::support::answer::Answer;
use crate::support::app::{Launched, SampleApp};
use crate::support::poc::Launch;
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// An Observation of laboratory (`is_lab`) or of vital signs.
fn measured(is_lab: bool, subject: &str) -> Value {
    let (category, code, unit, value, day, author) = match is_lab {
        true => ("laboratory", "4548-4", "%", 7, "2020-01-15", "lab"),
        false => ("vital-signs", "8867-4", "/min", 80, "2021-06-20", "ward"),
    };
    json!({
        "resourceType": "Observation",
        "meta": {"tag": [{"system": "urn:tag", "code": author}], "profile": [format!("http://example.org/{author}")]},
        "identifier": [{"system": format!("urn:{author}"), "value": "1"}],
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": subject},
        "performer": [{"reference": format!("urn:uuid:{author}")}],
        "effectiveDateTime": day,
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    })
}

fn report(result: &str) -> Value {
    json!({
        "resourceType": "DiagnosticReport", "status": "final", "subject": {"reference": "urn:uuid:patient"},
        "code": {"text": result}, "result": [{"reference": format!("urn:uuid:{result}")}],
    })
}

/// A launch of Smith with two Observations, each with its report, beside an Observation of somebody else.
struct Scene {
    server: TestServer,
    launch: Launch,
    app: SampleApp,
    _receiver: Receiver,
}

impl Scene {
    async fn set() -> Self {
        let (server, poc, receiver) = stage().await;
        server.user("user", 7).await;
        let doctor = |family: &str| json!({"resourceType": "Practitioner", "name": [{"family": family}]});
        let input = SetContext::patient("Smith")
            .entry("urn:uuid:measured", &measured(true, "urn:uuid:patient"))
            .entry("urn:uuid:felt", &measured(false, "urn:uuid:patient"))
            .entry("urn:uuid:lab", &doctor("Labman"))
            .entry("urn:uuid:ward", &doctor("Wardman"))
            .entry("urn:uuid:r1", &report("measured"))
            .entry("urn:uuid:r2", &report("felt"))
            .entry("urn:uuid:other", &crate::fixtures::patient("Other"))
            .entry("urn:uuid:theirs", &measured(true, "urn:uuid:other"))
            .build();
        let launch = poc.launch(&input).await;
        let app = server.app("app").await;
        Self { server, launch, app, _receiver: receiver }
    }

    fn path(&self, number: usize) -> &str {
        &self.launch.created[number]
    }

    /// The Observation of the laboratory, that of the ward, that of somebody else.
    fn observations(&self) -> [&str; 3] {
        [self.path(1), self.path(2), self.path(8)]
    }

    fn reports(&self) -> [&str; 2] {
        [self.path(5), self.path(6)]
    }

    async fn with(&self, scope: &str) -> Launched {
        let launched = self.app.launch_with(&self.launch.id, "user", &format!("launch {scope}")).await;
        launched.unwrap_or_else(|refused| panic!("{scope}: {refused:?}"))
    }
}

/// `Type/id` of the entries that are no outcome, sorted.
fn paths(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let entries = body["entry"].as_array().into_iter().flatten();
    let path = |entry: &Value| {
        let resource = &entry["resource"];
        let kind = resource["resourceType"].as_str().filter(|kind| *kind != "OperationOutcome")?;
        Some(format!("{kind}/{}", resource["id"].as_str()?))
    };
    let mut paths: Vec<_> = entries.filter_map(path).collect();
    paths.sort_unstable();
    paths
}

async fn found(session: &Session, path: &str) -> Vec<String> {
    paths(&session.get(path).await.expect(200))
}

fn sorted(paths: &[&str]) -> Vec<String> {
    let mut sorted: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
    sorted.sort_unstable();
    sorted
}

#[tokio::test]
async fn conditions_of_every_kind_limit_reading_and_searching() {
    let scene = Scene::set().await;
    let [lab, ward, theirs] = scene.observations();
    let id = lab.split_once('/').unwrap().1;
    let performer = scene.path(3);
    for conditions in [
        format!("category={CATEGORY}|laboratory"),
        "category=laboratory,imaging&status=final".to_owned(),
        format!("category={CATEGORY}%7Claboratory"),
        "code=http://loinc.org|4548-4".to_owned(),
        "identifier=urn:lab|".to_owned(),
        "date=2020".to_owned(),
        "date=ge2019&date=lt2021".to_owned(),
        format!("performer={performer}"),
        format!("performer:Practitioner={}", performer.split_once('/').unwrap().1),
        "value-quantity=lt10|http://unitsofmeasure.org|%25".to_owned(),
        "code-value-quantity=http://loinc.org|4548-4$gt5".to_owned(),
        "_tag=urn:tag|lab".to_owned(),
        "_profile=http://example.org/lab".to_owned(),
        format!("_id={id},x"),
    ] {
        let scope = format!("patient/Observation.rs?{conditions}");
        let app = scene.with(&scope).await;
        assert_eq!(app.tokens["scope"], format!("launch {scope}"));
        for (path, status) in [(lab, 200), (ward, 404), (theirs, 404)] {
            app.get(path).await.expect(status);
            app.get(&format!("{path}/_history/1")).await.expect(status);
            app.get(&format!("{path}/_history")).await.expect(status);
            app.get(&format!("{path}/$meta")).await.expect(status);
        }
        let only = sorted(&[lab]);
        for listing in
            ["Observation", "Observation/_history", "_history", "Observation?_sort=-date", "?_type=Observation"]
        {
            assert_eq!(found(&app, listing).await, only, "{conditions}: {listing}");
        }
        assert_eq!(app.get("Observation?_summary=count").await.expect(200).json()["total"], 1, "{conditions}");
        assert_eq!(app.get("Observation?_total=accurate&_count=1").await.expect(200).json()["total"], 1);
        assert!(found(&app, "Observation?code=8867-4").await.is_empty(), "{conditions}");
        assert!(found(&app, &format!("Observation?_id={}", ward.split_once('/').unwrap().1)).await.is_empty());
        app.get("Patient").await.expect(403);
    }
}

#[tokio::test]
async fn what_is_left_out_leads_nowhere_and_is_not_brought_along() {
    let scene = Scene::set().await;
    let [lab, ward, _] = scene.observations();
    let [of_lab, of_ward] = scene.reports();
    let (whole, granular) = (
        scene.with("patient/DiagnosticReport.rs patient/Observation.rs").await,
        scene.with("patient/DiagnosticReport.rs patient/Observation.rs?category=laboratory").await,
    );
    for (path, with, without) in [
        (
            "DiagnosticReport?_include=DiagnosticReport:result",
            sorted(&[lab, ward, of_lab, of_ward]),
            sorted(&[lab, of_lab, of_ward]),
        ),
        ("DiagnosticReport?_include=*", sorted(&[lab, ward, of_lab, of_ward]), sorted(&[lab, of_lab, of_ward])),
        ("DiagnosticReport?result.status=final", sorted(&[of_lab, of_ward]), sorted(&[of_lab])),
        ("DiagnosticReport?result:Observation.code=8867-4", sorted(&[of_ward]), Vec::new()),
        ("DiagnosticReport?result.code:not=x", sorted(&[of_lab, of_ward]), sorted(&[of_lab])),
        (
            "Observation?_revinclude=DiagnosticReport:result",
            sorted(&[lab, ward, of_lab, of_ward]),
            sorted(&[lab, of_lab]),
        ),
        ("Observation?_has:DiagnosticReport:result:status=final", sorted(&[lab, ward]), sorted(&[lab])),
    ] {
        assert_eq!(found(&whole, path).await, with, "{path}");
        assert_eq!(found(&granular, path).await, without, "{path}");
    }
    // The other way round: reports are the ones that are limited.
    let reports = scene.with("patient/Observation.rs patient/DiagnosticReport.rs?code:text=x").await;
    assert_eq!(reports.tokens["scope"], "launch patient/Observation.rs", "words do not limit");
    let one = format!("patient/Observation.rs patient/DiagnosticReport.rs?result={lab}");
    let reports = scene.with(&one).await;
    assert_eq!(found(&reports, "Observation?_revinclude=DiagnosticReport:result").await, sorted(&[lab, ward, of_lab]));
    assert_eq!(found(&reports, "Observation?_has:DiagnosticReport:result:status=final").await, sorted(&[lab]));
    let everything = scene.with("patient/Patient.rs patient/Observation.rs?category=laboratory").await;
    let jane = scene.launch.first("Patient");
    assert_eq!(found(&everything, &format!("{jane}/$everything")).await, sorted(&[jane, lab]));
    assert_eq!(found(&everything, &format!("{jane}/Observation")).await, sorted(&[lab]));
}

#[tokio::test]
async fn several_scopes_of_a_type_unite() {
    let scene = Scene::set().await;
    let [lab, ward, theirs] = scene.observations();
    for (scope, expected) in [
        ("patient/Observation.rs?category=laboratory patient/Observation.rs", sorted(&[lab, ward])),
        ("patient/Observation.rs?category=laboratory patient/*.rs", sorted(&[lab, ward])),
        (
            "patient/Observation.rs?category=laboratory patient/Observation.rs?category=vital-signs",
            sorted(&[lab, ward]),
        ),
        ("patient/Observation.rs?category=laboratory user/Observation.rs", sorted(&[lab, ward, theirs])),
        (
            "patient/Observation.rs?category=vital-signs user/Observation.rs?category=laboratory",
            sorted(&[lab, ward, theirs]),
        ),
        ("user/Observation.rs?category=laboratory", sorted(&[lab, theirs])),
        ("patient/Observation.rs?category=imaging", Vec::new()),
    ] {
        let app = scene.with(scope).await;
        let searched = app.get("Observation").await.expect(200);
        if scope.contains("patient/*") {
            assert_eq!(found(&app, "Observation").await, expected);
        } else {
            assert_eq!(paths(&searched), expected, "{scope}");
        }
        for path in [lab, ward, theirs] {
            let status = if expected.iter().any(|one| one == path) { 200 } else { 404 };
            app.get(path).await.expect(status);
        }
    }
    // Each letter has its own limit.
    let app = scene.with("patient/Observation.r?category=laboratory patient/Observation.s").await;
    assert_eq!(found(&app, "Observation").await, sorted(&[lab, ward]));
    app.get(ward).await.expect(404);
    app.get(lab).await.expect(200);
}

/// `path` as it is, with one change.
fn changed(session_body: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut body = session_body.clone();
    change(&mut body);
    body
}

fn move_out(body: &mut Value) {
    body["category"][0]["coding"][0]["code"] = json!("vital-signs");
}

#[tokio::test]
async fn both_states_of_a_change_must_fulfil_the_conditions() {
    let scene = Scene::set().await;
    let [lab, ward, theirs] = scene.observations();
    let jane = scene.launch.first("Patient").to_owned();
    let whole = scene.with("patient/Observation.cruds").await;
    let app = scene.with("patient/Observation.rs patient/Observation.cud?category=laboratory").await;
    let (of_lab, of_ward) = (whole.get(lab).await.json(), whole.get(ward).await.json());
    // create
    let fresh =
        |is_lab| changed(&measured(is_lab, &jane), |body| drop(body.as_object_mut().unwrap().remove("performer")));
    app.post("Observation", &fresh(false)).await.expect_issue(403, "forbidden");
    let made = app.post("Observation", &fresh(true)).await.expect(201);
    let made = format!("Observation/{}", made.id());
    // update: what it was, what it becomes
    app.put(lab, &changed(&of_lab, |body| body["status"] = json!("amended"))).await.expect(200);
    app.put(lab, &changed(&of_lab, move_out)).await.expect_issue(403, "forbidden");
    app.put(ward, &of_ward).await.expect_issue(403, "forbidden");
    app.put(ward, &changed(&of_lab, |body| body["id"] = of_ward["id"].clone())).await.expect(403);
    app.put(theirs, &changed(&of_lab, |body| body["id"] = json!(theirs.split_once('/').unwrap().1))).await.expect(405);
    // patch
    let patch = |code: &str| json!([{"op": "replace", "path": "/category/0/coding/0/code", "value": code}]).to_string();
    let headers = [("content-type", "application/json-patch+json")];
    app.send("PATCH", lab, &headers, Some(patch("vital-signs"))).await.expect_issue(403, "forbidden");
    app.send("PATCH", ward, &headers, Some(patch("laboratory"))).await.expect_issue(403, "forbidden");
    app.send("PATCH", lab, &headers, Some(patch("laboratory"))).await.expect(200);
    // delete
    app.delete(ward).await.expect_issue(403, "forbidden");
    app.delete(&made).await.expect(204);
    assert_eq!(whole.get(ward).await.expect(200).json()["meta"]["versionId"], "1");
    assert_eq!(whole.get(lab).await.json()["category"][0]["coding"][0]["code"], "laboratory");
    // by the elements of meta, through the operation on them
    let tagged = scene.with("patient/Observation.rus?_tag=urn:tag|lab").await;
    let tag = json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "urn:tag", "code": "lab"}]}}]});
    tagged.post(&format!("{lab}/$meta-delete"), &tag).await.expect_issue(403, "forbidden");
    tagged.post(&format!("{ward}/$meta-add"), &tag).await.expect(404);
}

/// What may neither be read nor found is not there, also for who may change what fulfils other conditions.
#[tokio::test]
async fn what_may_not_be_seen_is_written_to_as_what_is_not_there() {
    let scene = Scene::set().await;
    let [_, ward, _] = scene.observations();
    let of_ward = scene.with("patient/Observation.r").await.get(ward).await.json();
    let app = scene.with("patient/Observation.cruds?category=laboratory").await;
    let never = "Observation/00000000-0000-7000-8000-000000000000";
    let headers = [("content-type", "application/json-patch+json")];
    let patch = json!([{"op": "replace", "path": "/status", "value": "amended"}]).to_string();
    for (hidden, absent) in [
        (app.delete(ward).await, app.delete(never).await),
        (
            app.send("PATCH", ward, &headers, Some(patch.clone())).await,
            app.send("PATCH", never, &headers, Some(patch.clone())).await,
        ),
        (
            app.put(ward, &of_ward).await,
            app.put(never, &changed(&of_ward, |body| body["id"] = json!(never.split_once('/').unwrap().1))).await,
        ),
        (
            app.send("DELETE", ward, &[("if-match", "W/\"1\"")], None).await,
            app.send("DELETE", never, &[("if-match", "W/\"1\"")], None).await,
        ),
    ] {
        assert_eq!((hidden.status, &hidden.text), (absent.status, &absent.text), "{}", hidden.asked);
    }
    scene.with("patient/Observation.r").await.get(ward).await.expect(200);
}

#[tokio::test]
async fn conditional_writes_and_bundles_keep_to_the_conditions_too() {
    let scene = Scene::set().await;
    let [lab, ward, _] = scene.observations();
    let jane = scene.launch.first("Patient").to_owned();
    let fresh = |is_lab: bool| {
        changed(&measured(is_lab, &jane), |body| drop(body.as_object_mut().unwrap().remove("performer")))
    };
    let app = scene.with("patient/Observation.cruds?category=laboratory").await;
    let create = async |body: &Value, condition: &str| {
        app.send("POST", "Observation", &[("if-none-exist", condition)], Some(body.to_string())).await
    };
    // What is left out is not found: so nothing tells that it is there, and a new one may be made beside it.
    create(&fresh(true), "identifier=urn:lab|1").await.expect(200);
    create(&fresh(false), "identifier=urn:none|1").await.expect_issue(403, "forbidden");
    let beside = changed(&fresh(true), |body| body["identifier"][0]["system"] = json!("urn:ward"));
    create(&beside, "identifier=urn:ward|1").await.expect(201);
    app.put("Observation?identifier=urn:lab|1", &changed(&fresh(true), move_out)).await.expect_issue(403, "forbidden");
    app.put("Observation?identifier=urn:lab|1", &fresh(true)).await.expect(200);
    app.put("Observation?identifier=urn:none|1", &fresh(false)).await.expect_issue(403, "forbidden");
    app.delete("Observation?identifier=urn:ward|2").await.expect(204);
    // Found by a wider leave to search, and not to be deleted.
    let wide = scene.with("patient/Observation.s patient/Observation.d?category=laboratory").await;
    wide.delete("Observation?code=8867-4").await.expect_issue(403, "forbidden");
    // Each entry of a batch; one of a transaction fails it.
    let entries = [
        entry("", "GET", lab, None),
        entry("", "GET", ward, None),
        entry("", "POST", "Observation", Some(&fresh(true))),
        entry("", "POST", "Observation", Some(&fresh(false))),
    ];
    let answer = app.post("", &bundle("batch", &entries)).await.expect(200).json();
    let statuses: Vec<_> = answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["response"]["status"].as_str().unwrap()[..3].to_owned())
        .collect();
    assert_eq!(statuses, ["200", "404", "201", "403"]);
    let before = found(&app, "Observation").await.len();
    app.post("", &bundle("transaction", &entries[2..])).await.expect_issue(403, "forbidden");
    assert_eq!(found(&app, "Observation").await.len(), before);
    // A reference that looks for what the transaction makes finds it under the same conditions.
    let report = json!({
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"}, "subject": {"reference": jane},
        "result": [{"reference": "Observation?identifier=urn:new|1"}],
    });
    let new = |is_lab| changed(&fresh(is_lab), |body| body["identifier"][0]["system"] = json!("urn:new"));
    let both =
        scene.with("patient/DiagnosticReport.c patient/Observation.c patient/Observation.s?category=laboratory").await;
    for (is_lab, status) in [(false, 412), (true, 200)] {
        let entries = [
            entry("urn:uuid:1", "POST", "Observation", Some(&new(is_lab))),
            entry("", "POST", "DiagnosticReport", Some(&report)),
        ];
        both.post("", &bundle("transaction", &entries)).await.expect(status);
    }
}

/// A version that was within the conditions once is shown where the resource still is; a version that is not, nowhere.
#[tokio::test]
async fn versions_are_judged_each_by_itself() {
    let scene = Scene::set().await;
    let [lab, ward, _] = scene.observations();
    let whole = scene.with("patient/Observation.cruds").await;
    let (of_lab, of_ward) = (whole.get(lab).await.json(), whole.get(ward).await.json());
    whole.put(lab, &changed(&of_lab, move_out)).await.expect(200);
    whole.put(lab, &of_lab).await.expect(200);
    let into = changed(&of_ward, |body| body["category"][0]["coding"][0]["code"] = json!("laboratory"));
    whole.put(ward, &into).await.expect(200);
    whole.put(ward, &of_ward).await.expect(200);
    let app = scene.with("patient/Observation.rs?category=laboratory").await;
    for (version, status) in [(1, 200), (2, 404), (3, 200)] {
        app.get(&format!("{lab}/_history/{version}")).await.expect(status);
    }
    for version in 1..=3 {
        app.get(&format!("{ward}/_history/{version}")).await.expect(404);
    }
    let versions = async |path: &str| {
        let history = app.get(path).await.expect(200).json();
        assert_ne!(history["total"], 3, "{history}");
        let entries = history["entry"].as_array().unwrap().iter();
        entries.map(|one| one["resource"]["meta"]["versionId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&format!("{lab}/_history")).await, ["3", "1"]);
    // A deleted one by what it was.
    whole.delete(lab).await.expect(204);
    whole.delete(ward).await.expect(204);
    app.get(lab).await.expect(410);
    app.get(ward).await.expect(404);
}

#[tokio::test]
async fn what_cannot_be_enforced_is_withheld_with_its_reason_and_never_widened() {
    let scene = Scene::set().await;
    for (conditions, why) in [
        ("bogus=1", "no such search parameter"),
        ("code:in=http://hl7.org/fhir/ValueSet/observation-codes", "modifier"),
        ("code:not=x", "modifier"),
        ("patient.birthdate=1990", "other resources"),
        ("_has:Observation:patient:code=x", "other resources"),
        ("_filter=x", "limit scopes by it"),
        ("_lastUpdated=gt2020", "every write"),
        ("date=ap2020", "present"),
        ("value-quantity=x", "value-quantity"),
        ("category", "name=value"),
        ("category=x&_count=1", "no such search parameter"),
    ] {
        let scope = format!("patient/Observation.rs?{conditions}");
        let alone = scene.app.launch_with(&scene.launch.id, "user", &format!("launch openid {scope}")).await;
        let app = alone.unwrap_or_else(|refused| panic!("{scope}: {refused:?}"));
        assert_eq!(app.tokens["scope"], "launch openid", "{scope}");
        app.get("Observation").await.expect(403);
        let withheld: Value = sqlx::query_scalar("select withheld from grant_row order by created_at desc limit 1")
            .fetch_one(&scene.server.db.pool)
            .await
            .unwrap();
        let told = withheld[&scope].as_str().unwrap_or_default();
        assert!(told.starts_with("not-enforceable: ") && told.contains(why), "{scope}: {withheld}");
    }
    for scope in ["patient/*.rs?_tag=x", "patient/Observation.read?category=x"] {
        let app = scene.with(&format!("{scope} patient/Patient.r")).await;
        assert_eq!(app.tokens["scope"], "launch patient/Patient.r");
        app.get("Observation").await.expect(403);
    }
    // A token from a time when there was such a parameter: it gives nothing by it.
    let app = scene.with("patient/Observation.rs patient/Observation.r?category=laboratory").await;
    app.get(scene.observations()[0]).await.expect(200);
}

#[tokio::test]
async fn conditions_survive_registration_refresh_and_introspection_as_they_are() {
    let scene = Scene::set().await;
    let [lab, ward, _] = scene.observations();
    let lab_scope = format!("patient/Observation.rs?category={CATEGORY}|laboratory");
    let registered = format!("launch offline_access patient/Patient.r {lab_scope}");
    let narrow = scene.server.app_with_scope("narrow", &registered).await;
    for (asked, expected) in [
        ("patient/Observation.rs", lab_scope.clone()),
        ("patient/*.rs", format!("patient/Patient.r {lab_scope}")),
        ("patient/Observation.cruds", lab_scope.clone()),
        (
            "patient/Observation.rs?status=final",
            format!("patient/Observation.rs?status=final&category={CATEGORY}|laboratory"),
        ),
    ] {
        let app = narrow.launch_with(&scene.launch.id, "user", &format!("launch {asked}")).await.expect("a launch");
        assert_eq!(app.tokens["scope"], format!("launch {expected}"), "{asked}");
        app.get(lab).await.expect(200);
        app.get(ward).await.expect(404);
    }
    let app = narrow.launch_with(&scene.launch.id, "user", &registered).await.expect("a launch");
    let granted = app.tokens["scope"].as_str().unwrap().to_owned();
    assert_eq!(granted, registered);
    let again = narrow.refresh(app.tokens["refresh_token"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(again["scope"], granted);
    let refreshed = app.with_token(again["access_token"].as_str());
    refreshed.get(lab).await.expect(200);
    refreshed.get(ward).await.expect(404);
    let form = [("token", again["access_token"].as_str().unwrap())];
    let request = scene.server.http.post(format!("{}/introspect", scene.server.url)).form(&form);
    let told: Value = request.bearer_auth(form[0].1).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["scope"], granted);
}

#[tokio::test]
async fn services_are_held_to_conditions_as_well() {
    let server = TestServer::start().await;
    let writer = server.service("writer").await;
    let jane = format!("Patient/{}", writer.post("Patient", &crate::fixtures::patient("Jane")).await.expect(201).id());
    let mut made = Vec::new();
    for is_lab in [true, false] {
        let body = changed(&measured(is_lab, &jane), |body| drop(body.as_object_mut().unwrap().remove("performer")));
        made.push(format!("Observation/{}", writer.post("Observation", &body).await.expect(201).id()));
    }
    let scope = format!("system/Observation.cruds?category={CATEGORY}|laboratory");
    let reader = server.service_with("reader", &format!("{scope} system/Observation.rs?bogus=1")).await;
    reader.get(&made[0]).await.expect(200);
    reader.get(&made[1]).await.expect(404);
    assert_eq!(found(&reader, "Observation").await, [made[0].clone()]);
    assert_eq!(found(&reader, "Observation/_history").await, [made[0].clone()]);
    let out = changed(&measured(false, &jane), |body| drop(body.as_object_mut().unwrap().remove("performer")));
    reader.post("Observation", &out).await.expect_issue(403, "forbidden");
    reader.get(&jane).await.expect(403);
    let withheld: Value = sqlx::query_scalar("select withheld from grant_row where client_id = 'reader'")
        .fetch_one(&server.db.pool)
        .await
        .unwrap();
    assert!(withheld["system/Observation.rs?bogus=1"].as_str().unwrap().starts_with("not-enforceable"), "{withheld}");
}
