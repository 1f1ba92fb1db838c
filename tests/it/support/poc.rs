//! A point-of-care system: sets contexts, is notified, clears them.

use std::ops::Deref;
use std::time::Instant;

use serde_json::{Value, json};
use sofa::store::client::{AuthMethod, Client, Role};

use super::answer::Answer;
use super::key::Key;
use super::receiver::{PATIENCE, Receiver};

use super::session::Session;
use super::world::{World, unregistered};

/// HALO's canonical base.
pub const HALO: &str = "http://fhir.infoway-inforoute.ca/io/HALO/";

/// The topic apps' changes are told under.
pub const TOPIC: &str = "http://fhir.infoway-inforoute.ca/io/HALO/SubscriptionTopic/sofa-content-update";

/// Where the Backport guide's extensions are.
pub const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";

/// Everything a PoC may ask for.
pub const WIDEST: &str = "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/set-context \
    http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/clear-context system/*.cruds";

/// A registered PoC with a token.
pub struct PointOfCare {
    pub client_id: String,
    pub key: Key,
    pub session: Session,
}

impl Deref for PointOfCare {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl PointOfCare {
    /// Registers it and gets its token.
    pub async fn register(server: &World, client_id: &str, tenant: i64) -> Self {
        let key = Key::es384("poc-key");
        let client = Client {
            jwks: Some(key.jwks.clone()),
            scope: format!("{WIDEST} Context.write system/AuditEvent.rs"),
            ..unregistered(client_id, Role::Poc, tenant, AuthMethod::PrivateKeyJwt)
        };
        server.register(&client).await;
        let mut this = Self { client_id: client_id.to_owned(), key, session: server.stranger() };
        this.renew(server).await;
        this
    }

    /// Gets a new token, as when the old one has run out.
    pub async fn renew(&mut self, server: &World) {
        let answer = server.client_credentials(&self.client_id, &self.key, WIDEST).await.expect(200);
        self.session = self.session.with_token(answer.json()["access_token"].as_str());
    }

    /// A session of this PoC with another scope.
    pub async fn scoped(&self, server: &World, scope: &str) -> Session {
        let answer = server.client_credentials(&self.client_id, &self.key, scope).await.expect(200);
        self.session.with_token(answer.json()["access_token"].as_str())
    }

    /// Creates a full-resource Subscription to `receiver` and waits until it is active. Returns its id.
    pub async fn subscribe(&self, receiver: &Receiver) -> String {
        self.subscribe_with(receiver, &subscription(&receiver.url(), "full-resource")).await
    }

    /// Creates this Subscription and waits until it is active. Returns its id.
    pub async fn subscribe_with(&self, receiver: &Receiver, subscription: &Value) -> String {
        let before = receiver.received().iter().filter(|one| one.kind() == "handshake").count();
        let id = self.post("Subscription", subscription).await.expect(201).id();
        receiver.wait_for_handshakes(before + 1).await;
        self.until_status(&id, "active").await;
        id
    }

    /// Asks until the Subscription has this status. Each round is a request, so nothing is slept away.
    pub async fn until_status(&self, id: &str, status: &str) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.get(&format!("Subscription/{id}")).await.expect(200).json();
            if found["status"] == status {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "Subscription/{id} never became {status}: {found}");
        }
    }

    /// `$set-context`.
    pub async fn set_context(&self, parameters: &Value) -> Answer {
        self.post("$set-context", parameters).await
    }

    /// `$set-context` that must succeed.
    pub async fn launch(&self, parameters: &Value) -> Launch {
        Launch::read(&self.set_context(parameters).await.expect(200).json())
    }

    /// `$clear-context`.
    pub async fn clear(&self, launch_id: &str) -> Answer {
        self.post("$clear-context", &clear_parameters(launch_id)).await
    }
}

/// The input of `$clear-context`.
pub fn clear_parameters(launch_id: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "launchID", "valueString": launch_id}]})
}

/// What `$set-context` answered.
#[derive(Clone, Debug)]
pub struct Launch {
    pub id: String,
    /// `Type/id` of each entry, in order.
    pub created: Vec<String>,
}

impl Launch {
    /// Reads an output Parameters.
    #[track_caller]
    pub fn read(output: &Value) -> Self {
        let parameter = |name: &str| {
            let all = output["parameter"].as_array().into_iter().flatten();
            all.into_iter().find(|parameter| parameter["name"] == name)
        };
        let id = parameter("launchID").and_then(|one| one["valueString"].as_str()).expect("a launchID").to_owned();
        let entries = parameter("resourcesResponse").and_then(|one| one["resource"]["entry"].as_array());
        let location = |entry: &Value| entry["response"]["location"].as_str().expect("a location").to_owned();
        let bare = |location: String| location.split("/_history/").next().unwrap_or_default().to_owned();
        Self { id, created: entries.into_iter().flatten().map(location).map(bare).collect() }
    }

    /// `Type/id` of the first created resource of a type.
    #[track_caller]
    pub fn first(&self, type_name: &str) -> &str {
        let prefix = format!("{type_name}/");
        self.created.iter().find(|one| one.starts_with(&prefix)).expect("a created resource of that type")
    }
}

/// A Subscription to the content-update topic.
pub fn subscription(endpoint: &str, content: &str) -> Value {
    json!({
        "resourceType": "Subscription",
        "meta": {"profile": [format!("{BACKPORT}backport-subscription")]},
        "status": "requested",
        "reason": "to learn what apps write",
        "criteria": TOPIC,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": format!("{BACKPORT}backport-payload-content"), "valueCode": content}]},
        },
    })
}
