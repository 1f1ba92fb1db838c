//! Worlds: servers that hold the data of some sides, and those who ask in them.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::cast::{Side, Who};
use super::data;
use super::request::Request;
use crate::fixtures::SetContext;
use crate::standalone::{REGISTERED, Way, is_resource};
use crate::support::app::WIDEST;
use crate::support::poc::PointOfCare;
use crate::support::receiver::Receiver;
use crate::support::server::{Options, TestServer};
use crate::support::session::Session;

/// A server with the data of some sides.
pub struct World {
    pub server: TestServer,
    pub sides: Vec<Side>,
    /// `mine.patient` to `Patient/0190…`
    pub names: BTreeMap<String, String>,
    /// Texts of a side, other than its marker and ids, that nobody else may be told: a launchID, a Subscription's id.
    pub secrets: Vec<(Side, String)>,
    /// The launchID of each side's launch.
    pub launches: BTreeMap<Side, String>,
    /// `next` links that the apps of a side were given, below the FHIR base.
    pub links: Vec<(Side, String)>,
    sessions: BTreeMap<Who, Session>,
    _receivers: Vec<Receiver>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    /// Names and values, in order of names.
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl World {
    /// Builds it. `full` is the world with everybody's data, in which the ids of those who are missing here can be looked up;
    /// none makes that world.
    pub async fn build(sides: &[Side], options: Options<'_>, full: Option<&Self>) -> Self {
        let mut world = Self {
            server: TestServer::with(options).await,
            sides: sides.to_vec(),
            names: BTreeMap::new(),
            secrets: Vec::new(),
            launches: BTreeMap::new(),
            links: Vec::new(),
            sessions: BTreeMap::new(),
            _receivers: Vec::new(),
        };
        let service = world.server.service("service").await;
        for (name, resource) in data::shared() {
            world.create(&service, &format!("shared.{name}"), &resource, full).await;
        }
        for side in [Side::Registered, Side::Neighbour] {
            if world.has(side) {
                for (name, resource) in data::registered(side) {
                    let text = resource.to_string().replace("«patient»", &format!("«{}.patient»", side.name()));
                    let resource = serde_json::from_str(&text).expect("JSON");
                    world.create(&service, &format!("{}.{name}", side.name()), &resource, full).await;
                }
            }
        }
        if world.has(Side::Registered) {
            world.standalone().await;
        }
        world.sessions.insert(Who::Nobody, world.server.stranger());
        world.sessions.insert(Who::Service, service);
        if world.has(Side::Mine) {
            world.point_of_care(full).await;
        }
        for (side, tenant) in [(Side::Colleague, 7), (Side::Foreign, 8)] {
            if world.has(side) {
                let poc = world.subscribed(side, tenant).await;
                let app = world.launch(&poc, side, full).await;
                world.cross(&app, side, "mine", full).await;
            }
        }
        if world.has(Side::Mine) {
            let app = world.sessions[&Who::UserApp].clone();
            world.cross(&app, Side::Mine, "foreign", full).await;
            world.cross(&app, Side::Mine, "next", full).await;
        }
        world
    }

    pub fn has(&self, side: Side) -> bool {
        self.sides.contains(&side)
    }

    /// The PoC of this world's `Mine` and `Next`, their apps and data.
    async fn point_of_care(&mut self, full: Option<&Self>) {
        let poc = self.subscribed(Side::Mine, 7).await;
        if self.has(Side::Next) {
            let app = self.launch(&poc, Side::Next, full).await;
            // `Mine` is not there yet; the shared data are.
            self.cross(&app, Side::Next, "registered", full).await;
        }
        let app = self.launch(&poc, Side::Mine, full).await;
        self.sessions.insert(Who::UserApp, app);
        let launch = self.launches[&Side::Mine].clone();
        let narrow = self.server.app("patient-app").await;
        let narrow = narrow.launch_with(&launch, "user-mine", "launch patient/*.cruds").await;
        let narrow = narrow.unwrap_or_else(|refused| panic!("{refused:?}"));
        self.sessions.insert(Who::PatientApp, narrow.session);
        let granular = self.server.app("granular-app").await;
        let scope = format!("launch {}", data::granular_scopes());
        let granular = granular.launch_with(&launch, "user-mine", &scope).await;
        let granular = granular.unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(granular.tokens["scope"], scope);
        self.sessions.insert(Who::GranularApp, granular.session);
        let own = json!({"resourceType": "Basic", "code": {"text": Side::Office.marker()}});
        if self.has(Side::Office) {
            self.create(&poc.session, "office.note", &own, full).await;
        }
        self.sessions.insert(Who::Poc, poc.session);
    }

    /// An app that somebody has launched by itself who is the patient of `Registered`.
    async fn standalone(&mut self) {
        self.server.user("registered", 0).await;
        is_resource(&self.server, "registered", &self.names["registered.patient"]).await;
        let app = self.server.app_with_scope("standalone-app", REGISTERED).await;
        let way = Way::begin(&self.server, &app, "registered", "launch/patient patient/*.cruds").await;
        self.sessions.insert(Who::Standalone, way.tokens().await.session);
    }

    async fn subscribed(&mut self, side: Side, tenant: i64) -> PointOfCare {
        let (poc, receiver) = self.server.subscribed_poc(&format!("poc-{}", side.marker()), tenant).await;
        let subscriptions = poc.get("Subscription/$status").await.expect(200).json();
        let status = &subscriptions["entry"][0]["resource"]["parameter"];
        let found = status.as_array().into_iter().flatten().find(|one| one["name"] == "subscription");
        let id = found.and_then(|one| one["valueReference"]["reference"].as_str()).expect("its Subscription");
        self.secrets.push((side, id.rsplit('/').next().unwrap_or_default().to_owned()));
        self._receivers.push(receiver);
        poc
    }

    /// Launches with the data of `side`; an app of it that may do everything has changed one resource and deleted another.
    async fn launch(&mut self, poc: &PointOfCare, side: Side, full: Option<&Self>) -> Session {
        let mut entries: Vec<(Side, &str, Value)> =
            data::launch(side).into_iter().map(|(name, resource)| (side, name, resource)).collect();
        if side == Side::Mine && self.has(Side::Relative) {
            let chart = data::chart(Side::Relative);
            entries.extend(chart.into_iter().map(|(name, resource)| (Side::Relative, name, resource)));
        }
        if side == Side::Mine && self.has(Side::Apart) {
            entries.extend(data::apart().into_iter().map(|(name, resource)| (Side::Apart, name, resource)));
        }
        let mut input = SetContext::default().reference("patient", &format!("urn:uuid:{}.patient", side.name()));
        input = input.reference("encounter", &format!("urn:uuid:{}.visit", side.name()));
        for (owner, name, resource) in &entries {
            let text = self.resolve_local(&resource.to_string(), *owner, full);
            let resource: Value = serde_json::from_str(&text).expect("JSON");
            input = input.entry(&format!("urn:uuid:{}.{name}", owner.name()), &resource);
        }
        let launch = poc.launch(&input.build()).await;
        for ((owner, name, _), reference) in entries.iter().zip(&launch.created) {
            self.names.insert(format!("{}.{name}", owner.name()), reference.clone());
        }
        self.launches.insert(side, launch.id.clone());
        self.secrets.push((side, launch.id.clone()));
        let user = format!("user-{}", side.name());
        self.server.user(&user, if side == Side::Foreign { 8 } else { 7 }).await;
        let app = self.server.app(&format!("app-{}", side.marker())).await;
        let app = app.launch_with(&launch.id, &user, WIDEST).await.unwrap_or_else(|refused| panic!("{refused:?}"));
        self.age(&app.session, side).await;
        if side == Side::Mine && self.has(Side::Apart) {
            self.age(&app.session, Side::Apart).await;
        }
        app.session
    }

    /// Gives the data of `side` a history, and finds a paging link.
    async fn age(&mut self, app: &Session, side: Side) {
        let weight = self.names[&format!("{}.weight", side.name())].clone();
        let mut body = app.get(&weight).await.expect(200).json();
        body["status"] = json!("amended");
        app.put(&weight, &body).await.expect(200);
        app.delete(&self.names[&format!("{}.gone", side.name())]).await;
        for listing in ["Observation?_count=1", "_history?_count=1", "Observation/_history?_count=1"] {
            let page = app.get(listing).await;
            let links = serde_json::from_str::<Value>(&page.text).unwrap_or_default()["link"].clone();
            let next = links.as_array().into_iter().flatten().find(|link| link["relation"] == "next");
            if let Some(url) = next.and_then(|link| link["url"].as_str()) {
                let below = url.strip_prefix(&self.server.fhir).unwrap_or(url).trim_start_matches('/');
                self.links.push((side, below.to_owned()));
            }
        }
    }

    /// Writes resources of `side` that refer to those of `to`; the server may refuse them.
    async fn cross(&mut self, app: &Session, side: Side, to: &str, full: Option<&Self>) {
        let name = |what: &str| format!("{to}.{what}");
        let about = data::crossing(side, &name("patient"), &name("visit"), &name("weight"));
        let linked = data::crossing_link(side, &name("patient"));
        let list = data::crossing_list(side, &[name("patient"), name("weight")]);
        let about = if to == "registered" {
            data::crossing(side, "registered.patient", &format!("{}.visit", side.name()), "registered.weight")
        } else {
            about
        };
        for (what, resource) in [("about", about), ("listing", list), ("linked", linked)] {
            let text = self.resolve(&resource.to_string(), full);
            let kind = resource["resourceType"].as_str().unwrap_or_default();
            let made = app.post(kind, &text).await;
            if made.status == 201 {
                self.names.insert(format!("{}.{what}-{to}", side.name()), format!("{kind}/{}", made.id()));
            }
        }
    }

    async fn create(&mut self, by: &Session, name: &str, resource: &Value, full: Option<&Self>) {
        let kind = resource["resourceType"].as_str().unwrap_or_default().to_owned();
        let text = self.resolve_local(&resource.to_string(), Side::Shared, full);
        let id = by.post(&kind, &text).await.expect(201).id();
        self.names.insert(name.to_owned(), format!("{kind}/{id}"));
    }

    /// `«patient»` becomes `urn:uuid:mine.patient`; the others are resolved.
    fn resolve_local(&self, text: &str, side: Side, full: Option<&Self>) -> String {
        let local = replace(text, |name| (!name.contains('.')).then(|| format!("urn:uuid:{}.{name}", side.name())));
        self.resolve(&local, full)
    }

    /// Puts references and ids for their names: `«mine.patient»` becomes `Patient/0190…`, `«#mine.patient»` the id alone,
    /// `«!foreign»` a launchID. What is missing here goes by its id in the full world.
    pub fn resolve(&self, text: &str, full: Option<&Self>) -> String {
        let elsewhere = full.unwrap_or(self);
        replace(text, |name| {
            if let Some(side) = name.strip_prefix('!') {
                return elsewhere.launches.get(&Side::of(side)).cloned();
            }
            let (bare, name) = name.strip_prefix('#').map_or((false, name), |name| (true, name));
            let reference = self.names.get(name).or_else(|| elsewhere.names.get(name))?;
            let id = reference.split_once('/').map_or(reference.as_str(), |(_, id)| id);
            Some(if bare { id.to_owned() } else { reference.clone() })
        })
    }

    /// Asks as `who`, without a wish that the answer be good.
    pub async fn ask(&self, who: Who, request: &Request, full: &Self) -> Answered {
        let asked = request.resolved(|text| self.resolve(text, Some(full)));
        let session = &self.sessions[&who];
        let url = if asked.path.is_empty() {
            self.server.fhir.clone()
        } else {
            format!("{}/{}", self.server.fhir, asked.path)
        };
        let method = Method::from_bytes(asked.method.as_bytes()).expect("a method");
        let mut sent = session.http.request(method, url);
        if let Some(token) = &session.token {
            sent = sent.bearer_auth(token);
        }
        for (name, value) in &asked.headers {
            sent = sent.header(*name, value);
        }
        if let Some(body) = &asked.body {
            sent = sent.body(body.clone());
        }
        let response = sent.send().await.unwrap_or_else(|error| panic!("{request}: {error:?}"));
        let status = response.status().as_u16();
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut headers: Vec<_> = response.headers().iter().map(header).collect();
        headers.sort();
        let text = response.text().await.unwrap_or_else(|error| panic!("{request}: {error:?}"));
        Answered { status, headers, text }
    }

    /// Every resource and context that is there, with its version: what must not change by the hand of others.
    pub async fn stored(&self) -> BTreeMap<String, String> {
        let resources =
            "select type || '/' || id, version || ' ' || method || ' ' || purged || ' ' || coalesce(body, '')
            from resource union all
            select 'context ' || id, coalesce(cleared_at::text, 'open') from context";
        let rows: Vec<(String, String)> =
            sqlx::query_as(resources).fetch_all(&self.server.db.pool).await.expect("rows");
        rows.into_iter().collect()
    }
}

/// Replaces each `«name»` for which `by` knows something.
fn replace(text: &str, by: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split('«');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('»').unwrap_or((part, ""));
        match by(name) {
            Some(found) => out.push_str(&found),
            None => out.push_str(&format!("«{name}»")),
        }
        out.push_str(rest);
    }
    out
}
