//! Launches that begin at the app: whom a person may pick, what the app gets, and how it ends.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sofa::config::ConsentPolicy;
use sofa::store;
use sofa::store::client::{AuthMethod, Client, Role, Source};
use url::Url;

use crate::fixtures::{self, SetContext, halo_sample, observation, patient};
use crate::set_context::stage;
use crate::support::answer::Answer;
use crate::support::app::{Launched, SampleApp};
use crate::support::form::{Browser, Field, Form};
use crate::support::poc::PointOfCare;
use crate::support::server::TestServer;
use crate::support::world::{PASSWORD, REDIRECT, unregistered};

/// Everything that an app may be granted without a point-of-care system.
pub const REGISTERED: &str =
    "launch launch/patient launch/encounter openid fhirUser offline_access patient/*.cruds user/*.cruds";
const SCOPE: &str = "launch/patient patient/*.rs";

/// A person on the way from the app's request to its code.
pub struct Way<'a> {
    server: &'a TestServer,
    app: &'a SampleApp,
    browser: Browser,
    verifier: String,
    at: Url,
    page: Answer,
}

impl<'a> Way<'a> {
    /// Begins at the app and signs `user` in.
    pub async fn begin(server: &'a TestServer, app: &'a SampleApp, user: &str, scope: &str) -> Self {
        let mut this = Self::unsigned(server, app, scope, &[]).await;
        let mut form = Form::first(&this.at, &this.page.text).expect("a login form");
        form.fill(user, PASSWORD);
        this.page = this.browser.submit(&form).await;
        this
    }

    async fn unsigned(server: &'a TestServer, app: &'a SampleApp, scope: &str, more: &[(&str, &str)]) -> Self {
        let verifier = sofa::id::random_token();
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", &app.client_id),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "s"),
            ("aud", &server.fhir),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        parameters.extend(more);
        let at = Url::parse_with_params(&format!("{}/authorize", server.url), parameters).unwrap();
        let mut browser = Browser::new(server.http.clone());
        let page = browser.get(&at).await;
        Self { server, app, browser, verifier, at, page }
    }

    /// Sends the form of the page with these fields.
    async fn send(&mut self, action: &str, fields: &[(&str, &str)]) {
        let form = self.form(action, fields);
        self.page = self.browser.submit(&form).await;
    }

    /// The form of the page, filled in.
    fn form(&self, action: &str, fields: &[(&str, &str)]) -> Form {
        let token = Form::first(&self.at, &self.page.text).expect("a form").fields.remove(0);
        assert_eq!(token.name, "request");
        let field = |(name, value): &(&str, &str)| Field {
            kind: String::new(),
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let fields = std::iter::once(token).chain(fields.iter().map(field)).collect();
        Form { action: self.at.join(action).unwrap(), method: "POST".to_owned(), fields }
    }

    pub async fn choose(&mut self, fields: &[(&str, &str)]) {
        self.send("choose", fields).await;
    }

    pub async fn search(&mut self, terms: &[(&str, &str)]) {
        self.choose(&[&[("action", "search")], terms].concat()).await;
    }

    /// What the buttons say, one line each.
    #[track_caller]
    fn offered(&self) -> Vec<String> {
        assert_eq!(self.page.status, 200, "{}", self.page.text);
        let buttons = self.page.text.split("<button name=\"choice\"").skip(1);
        buttons.map(|rest| rest.split("</button>").next().unwrap().replace("<br>", " ")).collect()
    }

    /// The names on the buttons.
    #[track_caller]
    fn names(&self) -> Vec<String> {
        let name = |button: String| button.split("<bdi>").nth(1).unwrap().split("</bdi>").next().unwrap().to_owned();
        self.offered().into_iter().map(name).collect()
    }

    /// What the app is told at the end.
    #[track_caller]
    fn back(&self) -> BTreeMap<String, String> {
        assert_eq!(self.page.status, 303, "{}", self.page.text);
        let location = Url::parse(self.page.header("location")).unwrap();
        assert!(location.as_str().starts_with(REDIRECT), "{location}");
        location.query_pairs().into_owned().collect()
    }

    #[track_caller]
    fn error(&self) -> String {
        self.back()["error"].clone()
    }

    pub async fn tokens(self) -> Launched {
        let code = self.back()["code"].clone();
        let tokens = self.app.exchange(&code, &self.verifier).await.expect(200).json();
        Launched { session: self.server.stranger().with_token(tokens["access_token"].as_str()), tokens }
    }
}

fn named(given: &str, family: &str, born: &str, number: &str) -> Value {
    json!({
        "resourceType": "Patient", "name": [{"family": family, "given": [given]}], "gender": "female", "birthDate": born,
        "identifier": [{"system": "urn:numbers", "value": number}],
    })
}

fn launch_of(patient: &Value) -> SetContext {
    SetContext::default().reference("patient", "urn:uuid:patient").entry("urn:uuid:patient", patient)
}

fn visit(class: &str, began: &str) -> Value {
    json!({
        "resourceType": "Encounter", "status": "in-progress", "subject": {"reference": "urn:uuid:patient"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": class, "display": class},
        "period": {"start": began},
    })
}

/// Links an account with a resource.
pub async fn is_resource(server: &TestServer, user: &str, reference: &str) {
    let update = sqlx::query("update user_account set fhir_user = $2 where name = $1").bind(user).bind(reference);
    update.execute(&server.db.pool).await.unwrap();
}

#[tokio::test]
async fn the_picker_offers_the_patients_of_ones_own_launches_and_no_others() {
    let (server, poc, _receiver) = stage().await;
    server.user_known_as("julie", 7, &[fixtures::JULIE]).await;
    server.user("max", 7).await;
    let (standing, app, other) =
        (server.app_with_scope("standing", REGISTERED).await, server.app("app").await, server.app("other").await);
    let own = poc.launch(&SetContext::patient("Own").build()).await;
    app.launch(&own.id, "julie").await;
    poc.launch(&halo_sample()).await;
    poc.launch(&SetContext::patient("Nobodys").build()).await;
    let theirs = poc.launch(&SetContext::patient("Theirs").build()).await;
    app.launch(&theirs.id, "max").await;
    let cleared = poc.launch(&SetContext::patient("Cleared").build()).await;
    app.launch(&cleared.id, "julie").await;
    poc.clear(&cleared.id).await.expect(200);
    let app_id = json!({"name": "appID", "valueString": "other"});
    let elsewhere = poc.launch(&SetContext::patient("Elsewhere").parameter(app_id).build()).await;
    other.launch(&elsewhere.id, "julie").await;
    let (foreign, _receiver) = server.subscribed_poc("foreign", 8).await;
    // Names the person: whoever knows a licence number can.
    foreign.launch(&halo_sample()).await;
    let way = Way::begin(&server, &standing, "julie", SCOPE).await;
    let names = way.names();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].contains("SMITH") || names[0].contains("Smith"), "{names:?}");
    assert_eq!(names[1], "Own");
    assert!(way.offered()[1].contains("1985-08-01"), "{:?}", way.offered());
    assert!(way.offered().iter().all(|button| button.contains("from The poc")), "{:?}", way.offered());
    server.user("nobody", 7).await;
    let way = Way::begin(&server, &standing, "nobody", SCOPE).await;
    assert!(way.names().is_empty());
}

#[tokio::test]
async fn what_is_picked_is_in_context_and_ends_with_its_launch() {
    let (server, poc, _receiver) = stage().await;
    server.user("julie", 7).await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let banner = json!({"name": "intent", "valueString": "for another app"});
    let (picked, other) = (
        poc.launch(&SetContext::patient("Picked").parameter(banner).build()).await,
        poc.launch(&SetContext::patient("Other").build()).await,
    );
    let app = server.app("app").await;
    app.launch(&picked.id, "julie").await;
    app.launch(&other.id, "julie").await;
    let mut way =
        Way::begin(&server, &standing, "julie", "launch/patient patient/*.cruds user/*.rs offline_access").await;
    let number = way.names().iter().position(|name| name == "Picked").unwrap().to_string();
    way.choose(&[("choice", &number)]).await;
    let launched = way.tokens().await;
    assert_eq!(launched.patient(), picked.first("Patient").split('/').nth(1).unwrap());
    assert_eq!(launched.tokens["scope"], "launch/patient patient/*.cruds user/*.rs offline_access");
    assert!(launched.tokens.get("intent").is_none(), "{}", launched.tokens);
    launched.get(picked.first("Patient")).await.expect(200);
    launched.get(other.first("Patient")).await.expect(404);
    launched.post("Observation", &observation(picked.first("Patient"), "80")).await.expect(201);
    let refreshed = standing.refresh(launched.tokens["refresh_token"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(refreshed["patient"], launched.tokens["patient"]);
    poc.clear(&picked.id).await.expect(200);
    launched.get(picked.first("Patient")).await.expect(401);
    standing.refresh(refreshed["refresh_token"].as_str().unwrap()).await.expect(400);
}

#[tokio::test]
async fn what_was_not_offered_is_refused() {
    let (server, poc, _receiver) = stage().await;
    server.user("julie", 7).await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let launch = poc.launch(&SetContext::patient("Own").build()).await;
    server.app("app").await.launch(&launch.id, "julie").await;
    for choice in ["1", "-1", launch.first("Patient"), "x"] {
        let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
        way.choose(&[("choice", choice)]).await;
        assert_eq!(way.error(), "access_denied", "{choice}");
    }
    for action in ["cancel", "no-visit", "allow"] {
        let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
        way.choose(&[("action", action)]).await;
        assert_eq!(way.error(), "access_denied", "{action}");
    }
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    let kept = (way.page.text.clone(), way.at.clone());
    for page in ["consent", "continue", "login"] {
        way.send(page, &[("action", "continue")]).await;
        assert_eq!(way.page.status, 400, "{page}");
        way.page.text.clone_from(&kept.0);
    }
    way.choose(&[("choice", "0")]).await;
    way.back();
    way.page.text = kept.0;
    way.choose(&[("choice", "0")]).await;
    assert_eq!(way.page.status, 400);
}

/// Three patients on two pages, with two visits each; gives the app that picks.
async fn three_patients(server: &TestServer, poc: &PointOfCare) -> SampleApp {
    server.user("julie", 7).await;
    let (standing, app) = (server.app_with_scope("standing", REGISTERED).await, server.app("app").await);
    for given in ["Jane", "John", "Ann"] {
        let launch = launch_of(&named(given, "Smith", "1980-01-02", given))
            .entry("urn:uuid:first", &visit("AMB", "2026-01-02T10:00:00Z"))
            .entry("urn:uuid:second", &visit("HH", "2026-03-04T10:00:00Z"));
        app.launch(&poc.launch(&launch.build()).await.id, "julie").await;
    }
    standing
}

#[tokio::test]
async fn a_button_of_a_page_that_was_left_chooses_nobody() {
    let server = TestServer::configured("standalone.page_size = 2").await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let standing = three_patients(&server, &poc).await;
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    assert_eq!(way.names(), ["Ann Smith", "John Smith"]);
    let left = way.form("choose", &[("choice", "0")]);
    way.choose(&[("action", "more")]).await;
    assert_eq!(way.names(), ["Jane Smith"]);
    assert_eq!(way.browser.submit(&left).await.status, 400, "it was another patient's button");
    way.choose(&[("choice", "0")]).await;
    let launched = way.tokens().await;
    let read = launched.get(&format!("Patient/{}", launched.patient())).await.expect(200).json();
    assert_eq!(read["name"][0]["given"][0], "Jane");
    let grants = "select count(*) from grant_row where client_id = 'standing'";
    assert_eq!(server.count(grants).await, 1);
}

#[tokio::test]
async fn a_patient_that_is_pressed_twice_chooses_no_visit_and_the_page_says_whose_visits_they_are() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let standing = three_patients(&server, &poc).await;
    let scope = "launch/patient launch/encounter patient/*.rs";
    let mut way = Way::begin(&server, &standing, "julie", scope).await;
    let press = way.form("choose", &[("choice", "0")]);
    way.page = way.browser.submit(&press).await;
    assert_eq!(way.names(), ["HH", "AMB"]);
    for told in ["Ann Smith", "1980-01-02", "The poc"] {
        assert!(way.page.text.contains(told), "{told}: {}", way.page.text);
    }
    assert_eq!(way.browser.submit(&press).await.status, 400);
    let again = [("action", "more"), ("action", "search"), ("action", "no-visit")];
    for field in again {
        let Form { action, method, fields } = way.form("choose", &[field]);
        let stale = Form { action, method, fields: [vec![press.fields[0].clone()], fields[1..].to_vec()].concat() };
        assert_eq!(way.browser.submit(&stale).await.status, 400, "{field:?}");
    }
    way.choose(&[("action", "no-visit")]).await;
    assert_eq!(way.tokens().await.tokens.get("encounter"), None);
}

#[tokio::test]
async fn of_two_patients_pressed_at_once_one_is_chosen_and_its_visits_are_shown() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let standing = three_patients(&server, &poc).await;
    let mut way = Way::begin(&server, &standing, "julie", "launch/patient launch/encounter patient/*.rs").await;
    let presses = ["0", "1"].map(|number| (way.browser.clone(), way.form("choose", &[("choice", number)])));
    let send = presses.map(|(mut browser, form)| async move { browser.submit(&form).await });
    let pages = futures_util::future::join_all(send).await;
    let statuses: Vec<_> = pages.iter().map(|page| page.status).collect();
    assert!(statuses == [200, 400] || statuses == [400, 200], "{statuses:?}");
    let (chosen, name) = if statuses[0] == 200 { (0, "Ann") } else { (1, "John") };
    way.page = pages.into_iter().nth(chosen).unwrap();
    assert!(way.page.text.contains(&format!("{name} Smith")), "{}", way.page.text);
    way.choose(&[("action", "no-visit")]).await;
    let launched = way.tokens().await;
    let read = launched.get(&format!("Patient/{}", launched.patient())).await.expect(200).json();
    assert_eq!(read["name"][0]["given"][0], name);
}

#[tokio::test]
async fn the_consent_page_says_whom_the_person_has_picked() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    three_patients(&server, &poc).await;
    let client = Client {
        redirect_uris: vec![REDIRECT.to_owned()],
        scope: REGISTERED.to_owned(),
        consent: ConsentPolicy::Always,
        source: Source::Dynamic,
        ..unregistered("asking", Role::App, 0, AuthMethod::None)
    };
    server.register(&client).await;
    let asking = SampleApp::new(&server, "asking");
    let mut way = Way::begin(&server, &asking, "julie", SCOPE).await;
    assert!(way.page.text.contains("The asking (app.test)"), "nobody vetted its name: {}", way.page.text);
    way.choose(&[("choice", "1")]).await;
    for told in ["action=\"consent\"", "John Smith", "1980-01-02", "from The poc"] {
        assert!(way.page.text.contains(told), "{told}: {}", way.page.text);
    }
    assert!(!way.page.text.contains("Ann Smith"), "{}", way.page.text);
}

#[tokio::test]
async fn the_launches_of_a_system_that_is_shut_out_are_not_offered() {
    let (server, poc, _receiver) = stage().await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    server.user("julie", 7).await;
    let launch = poc.launch(&SetContext::patient("Own").build()).await;
    server.app("app").await.launch(&launch.id, "julie").await;
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    assert_eq!(way.names(), ["Own"]);
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    assert!(store::client::disable(&mut tx, &poc.client_id, server.now()).await.unwrap());
    tx.commit().await.unwrap();
    way.choose(&[("choice", "0")]).await;
    assert_eq!(way.error(), "invalid_request", "it was offered before");
    assert!(Way::begin(&server, &standing, "julie", SCOPE).await.names().is_empty());
}

#[tokio::test]
async fn a_launch_that_ends_while_the_list_is_shown_gives_no_code() {
    let (server, poc, _receiver) = stage().await;
    server.user("julie", 7).await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let launch = poc.launch(&SetContext::patient("Own").build()).await;
    server.app("app").await.launch(&launch.id, "julie").await;
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    assert_eq!(way.names(), ["Own"]);
    poc.clear(&launch.id).await.expect(200);
    way.choose(&[("choice", "0")]).await;
    assert_eq!(way.error(), "invalid_request");
}

#[tokio::test]
async fn patients_are_found_by_name_birth_date_and_identifier_over_pages() {
    let server = TestServer::configured("standalone.page_size = 2").await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("julie", 7).await;
    let (standing, app) = (server.app_with_scope("standing", REGISTERED).await, server.app("app").await);
    for one in [
        named("Jane", "Smith", "1980-01-01", "N-1"),
        named("John", "Smith", "1990-01-01", "N-2"),
        named("Ann", "Miller", "1980-01-01", "N-3"),
    ] {
        let launch = poc.launch(&launch_of(&one).build()).await;
        app.launch(&launch.id, "julie").await;
    }
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    assert_eq!(way.names(), ["Ann Miller", "John Smith"]);
    way.choose(&[("action", "more")]).await;
    assert_eq!(way.names(), ["Jane Smith"]);
    assert!(!way.page.text.contains("value=\"more\""));
    for (terms, names) in [
        (&[("name", "smith")][..], &["John Smith", "Jane Smith"][..]),
        (&[("birthdate", "1980-01-01")], &["Ann Miller", "Jane Smith"]),
        (&[("name", "smith"), ("birthdate", "1980-01-01")], &["Jane Smith"]),
        (&[("identifier", "N-3")], &["Ann Miller"]),
        (&[("identifier", "urn:numbers|N-2")], &["John Smith"]),
        (&[("name", "nobody")], &[]),
    ] {
        way.search(terms).await;
        assert_eq!(way.names(), names, "{terms:?}");
    }
    way.search(&[("birthdate", "yesterday")]).await;
    assert!(way.names().is_empty() && way.page.text.contains("role=\"alert\""), "{}", way.page.text);
    way.search(&[("name", "miller")]).await;
    way.choose(&[("choice", "0")]).await;
    let launched = way.tokens().await;
    let read = launched.get(&format!("Patient/{}", launched.patient())).await.expect(200).json();
    assert_eq!(read["name"][0]["family"], "Miller");
}

#[tokio::test]
async fn an_app_that_wants_the_visit_has_it_picked_unless_the_launch_says_it() {
    let (server, poc, _receiver) = stage().await;
    server.user("julie", 7).await;
    let (standing, app) = (server.app_with_scope("standing", REGISTERED).await, server.app("app").await);
    let scope = "launch/patient launch/encounter patient/*.rs";
    let open = SetContext::patient("Open")
        .entry("urn:uuid:first", &visit("AMB", "2026-01-02T10:00:00Z"))
        .entry("urn:uuid:second", &visit("HH", "2026-03-04T10:00:00Z"));
    let launch = poc.launch(&open.build()).await;
    app.launch(&launch.id, "julie").await;
    let mut way = Way::begin(&server, &standing, "julie", scope).await;
    way.choose(&[("choice", "0")]).await;
    assert_eq!(way.names(), ["HH", "AMB"]);
    way.choose(&[("choice", "1")]).await;
    let launched = way.tokens().await;
    let encounter = launched.tokens["encounter"].as_str().expect("an encounter").to_owned();
    assert_eq!(format!("Encounter/{encounter}"), launch.first("Encounter"));
    assert_eq!(launched.tokens["scope"], scope);
    let mut way = Way::begin(&server, &standing, "julie", scope).await;
    way.choose(&[("choice", "0")]).await;
    way.choose(&[("choice", "2")]).await;
    assert_eq!(way.error(), "access_denied");
    let mut way = Way::begin(&server, &standing, "julie", scope).await;
    way.choose(&[("choice", "0")]).await;
    way.choose(&[("action", "no-visit")]).await;
    let without = way.tokens().await;
    assert_eq!(
        (without.tokens.get("encounter"), &without.tokens["scope"]),
        (None, &json!("launch/patient patient/*.rs"))
    );
    let said = SetContext::patient("Said").entry("urn:uuid:visit", &visit("AMB", "2026-01-02T10:00:00Z"));
    let launch = poc.launch(&said.reference("encounter", "urn:uuid:visit").build()).await;
    app.launch(&launch.id, "julie").await;
    let mut way = Way::begin(&server, &standing, "julie", scope).await;
    assert_eq!(way.names(), ["Said", "Open"]);
    way.choose(&[("choice", "0")]).await;
    let launched = way.tokens().await;
    assert_eq!(format!("Encounter/{}", launched.tokens["encounter"].as_str().unwrap()), launch.first("Encounter"));
}

#[tokio::test]
async fn a_patient_gets_their_own_shared_record_to_read_and_nothing_else() {
    let (server, poc, _receiver) = stage().await;
    let service = server.service("service").await;
    let own = service.post("Patient", &patient("Own")).await.expect(201).id();
    let other = service.post("Patient", &patient("Other")).await.expect(201).id();
    let launch = poc.launch(&SetContext::patient("Launched").build()).await;
    server.user("jane", 0).await;
    is_resource(&server, "jane", &format!("Patient/{own}")).await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let way = Way::begin(&server, &standing, "jane", "launch/patient patient/*.cruds user/*.rs openid").await;
    let launched = way.tokens().await;
    assert_eq!(
        (launched.patient(), &launched.tokens["scope"]),
        (own.as_str(), &json!("launch/patient patient/*.rs openid"))
    );
    launched.get(&format!("Patient/{own}")).await.expect(200);
    launched.get(&format!("Patient/{other}")).await.expect(404);
    launched.get(launch.first("Patient")).await.expect(404);
    let found = launched.get("Patient").await.expect(200).json();
    let ids: Vec<_> =
        found["entry"].as_array().unwrap().iter().filter(|one| one["search"]["mode"] == "match").collect();
    assert_eq!((ids.len(), &ids[0]["resource"]["id"]), (1, &json!(own)));
    launched.post("Observation", &observation(&format!("Patient/{own}"), "80")).await.expect(403);
    let mut changed = patient("Changed");
    changed["id"] = json!(own);
    launched.put(&format!("Patient/{own}"), &changed).await.expect(403);
    launched.delete(&format!("Patient/{own}")).await.expect(403);
    // An account that is linked with nobody's record has nobody to pick.
    server.user("gone", 0).await;
    is_resource(&server, "gone", "Patient/never-stored").await;
    assert!(Way::begin(&server, &standing, "gone", SCOPE).await.names().is_empty());
}

#[tokio::test]
async fn shared_patients_are_found_by_practitioners_where_the_operator_says_so() {
    for (policy, fhir_user, is_found) in [
        ("none", "Practitioner/p", false),
        ("practitioner", "Practitioner/p", true),
        ("practitioner", "RelatedPerson/p", false),
    ] {
        let server = TestServer::configured(&format!("standalone.shared_patients = \"{policy}\"")).await;
        let service = server.service("service").await;
        let shared = service.post("Patient", &patient("Shared")).await.expect(201).id();
        service.post("Patient", &patient("Stranger")).await.expect(201);
        server.user("julie", 7).await;
        is_resource(&server, "julie", fhir_user).await;
        let standing = server.app_with_scope("standing", REGISTERED).await;
        let mut way = Way::begin(&server, &standing, "julie", "launch/patient patient/*.rs user/*.rs").await;
        assert!(way.names().is_empty(), "never without a search");
        way.search(&[("name", "shared")]).await;
        assert_eq!(way.names().len(), usize::from(is_found), "{policy} {fhir_user}");
        if is_found {
            way.choose(&[("choice", "0")]).await;
            let launched = way.tokens().await;
            assert_eq!(
                (launched.patient(), &launched.tokens["scope"]),
                (shared.as_str(), &json!("launch/patient patient/*.rs"))
            );
            launched.get(&format!("Patient/{shared}")).await.expect(200);
        }
    }
}

#[tokio::test]
async fn shared_patients_come_in_pages_too() {
    let server = TestServer::configured("[standalone]\nshared_patients = \"practitioner\"\npage_size = 2").await;
    let service = server.service("service").await;
    for number in 0..3 {
        service.post("Patient", &named("Jane", &format!("Smith{number}"), "1980-01-01", "N")).await.expect(201);
    }
    server.user("julie", 7).await;
    is_resource(&server, "julie", "Practitioner/p").await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    way.search(&[("name", "smith")]).await;
    let mut names = way.names();
    assert_eq!(names.len(), 2);
    way.choose(&[("action", "more")]).await;
    names.extend(way.names());
    names.sort();
    assert_eq!(names, ["Jane Smith0", "Jane Smith1", "Jane Smith2"]);
}

#[tokio::test]
async fn a_standalone_launch_is_offered_if_and_only_if_it_works() {
    for enabled in [true, false] {
        let server = TestServer::configured(&format!("standalone.enabled = {enabled}")).await;
        let document = server.stranger().get(".well-known/smart-configuration").await.expect(200).json();
        for capability in ["launch-standalone", "context-standalone-patient", "context-standalone-encounter"] {
            let offered = document["capabilities"].as_array().unwrap().contains(&json!(capability));
            assert_eq!(offered, enabled, "{capability}");
        }
        let standing = server.app_with_scope("standing", REGISTERED).await;
        let way = Way::unsigned(&server, &standing, SCOPE, &[]).await;
        if enabled {
            assert!(way.page.text.contains("type=\"password\""), "{}", way.page.text);
        } else {
            assert_eq!(way.error(), "invalid_scope");
        }
        for (scope, error) in [("user/*.rs", "invalid_scope"), ("launch launch/patient", "invalid_request")] {
            assert_eq!(Way::unsigned(&server, &standing, scope, &[]).await.error(), error, "{scope}");
        }
    }
}

#[tokio::test]
async fn an_app_that_wants_no_page_gets_no_patient() {
    let (server, _poc, _receiver) = stage().await;
    server.user("julie", 7).await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let mut way = Way::begin(&server, &standing, "julie", SCOPE).await;
    assert!(way.names().is_empty());
    let url = Url::parse_with_params(way.at.as_str(), [("prompt", "none")]).unwrap();
    way.page = way.browser.get(&url).await;
    assert_eq!(way.error(), "interaction_required");
}
