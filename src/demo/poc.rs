//! The simulated point-of-care system: what an EMR does to lend its launch to an app, over public HTTP only.
//!
//! It has a key and no FHIR server: it gets its token with `private_key_jwt` (SMART App Launch, Backend Services), subscribes to
//! HALO's topic, sets and clears contexts, and takes notifications at an address of its own (`receiver`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::{broadcast, watch};

use super::http::{Answer, Http};
use super::keys::ClientKey;
use super::sample;
use super::token::{Asker, client_credentials};
use crate::clock::SharedClock;

/// What the PoC asks for: HALO's two operations, its Subscriptions, and to look at what its contexts hold.
const SCOPE: &str = "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/set-context \
                     http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/clear-context \
                     system/Subscription.cruds system/*.rs";

/// How long the PoC waits for what must come at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the PoC is and as whom it calls.
pub struct Identity {
    /// The SoFA's FHIR base.
    pub fhir: String,
    /// Its client id.
    pub client_id: String,
    /// Its key.
    pub key: ClientKey,
    /// The PoC's own address, without a slash at the end.
    pub own_url: String,
    /// What a notification must carry in `Authorization`.
    pub receiver_secret: String,
}

/// The simulated PoC.
pub struct Poc {
    identity: Identity,
    http: Http,
    clock: SharedClock,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    feed: broadcast::Sender<String>,
}

/// What the PoC remembers.
#[derive(Default)]
struct State {
    token: Option<(String, Instant)>,
    launches: Vec<Launch>,
    notifications: Vec<Notification>,
    refuse_next: bool,
}

/// A context the PoC has set.
#[derive(Clone)]
pub struct Launch {
    /// The `launchID`.
    pub id: String,
    /// The answer of `$set-context`.
    pub answer: Value,
}

/// A notification as it came.
#[derive(Clone)]
pub struct Notification {
    /// When its body had been read, before it was answered.
    pub seen: Instant,
    /// The same, for people.
    pub at: OffsetDateTime,
    /// `handshake`, `event-notification`, `heartbeat`.
    pub kind: String,
    /// The numbers of its events.
    pub numbers: Vec<u64>,
    /// The resources it brought.
    pub resources: Vec<Value>,
    /// Whether the PoC took it.
    pub accepted: bool,
    /// The Bundle.
    pub bundle: Value,
}

impl Launch {
    /// The stored resource of one type: its id.
    pub fn stored(&self, resource_type: &str) -> Result<String> {
        let mut locations = self.locations();
        let found = locations.find_map(|location| {
            let mut parts = location.split('/');
            (parts.next() == Some(resource_type)).then(|| parts.next().unwrap_or_default().to_owned())
        });
        found.with_context(|| format!("$set-context stored no {resource_type}"))
    }

    /// The `response.location` of every entry: `Type/id/_history/version`.
    pub fn locations(&self) -> impl Iterator<Item = &str> {
        let parameters = self.answer["parameter"].as_array().into_iter().flatten();
        let entries = parameters.filter_map(|parameter| parameter["resource"]["entry"].as_array()).flatten();
        entries.filter_map(|entry| entry["response"]["location"].as_str())
    }
}

impl Poc {
    /// A PoC that has done nothing yet.
    pub fn new(identity: Identity, http: Http, clock: SharedClock) -> Arc<Self> {
        let (changes, _) = watch::channel(0);
        let (feed, _) = broadcast::channel(64);
        Arc::new(Self { identity, http, clock, state: Mutex::default(), changes, feed })
    }

    /// Who it is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A token by `client_credentials` with a signed assertion; kept until shortly before its end.
    pub async fn token(&self) -> Result<String> {
        let kept = self.state().token.clone();
        if let Some((token, until)) = kept
            && Instant::now() < until
        {
            return Ok(token);
        }
        let identity = &self.identity;
        let asker = Asker { client_id: &identity.client_id, key: &identity.key, scope: SCOPE };
        let answer = client_credentials(&self.http, &identity.fhir, &asker, self.clock.now()).await?;
        let token = answer["access_token"].as_str().context("a token answer without access_token")?.to_owned();
        let seconds = answer["expires_in"].as_u64().unwrap_or(60).saturating_sub(30);
        self.state().token = Some((token.clone(), Instant::now() + Duration::from_secs(seconds)));
        Ok(token)
    }

    /// Creates the Subscription; its id.
    pub async fn subscribe(&self) -> Result<String> {
        let endpoint = format!("{}/notifications", self.identity.own_url);
        let header = format!("Authorization: Bearer {}", self.identity.receiver_secret);
        let answer = self.post("Subscription", &sample::subscription(&endpoint, &header)).await?.expect(201)?.json()?;
        let id = answer["id"].as_str().context("a Subscription without id")?.to_owned();
        Ok(id)
    }

    /// Waits until the handshake has come and the SoFA calls the Subscription active.
    pub async fn until_active(&self, subscription: &str) -> Result<Notification> {
        let handshake = self.wait_for(|seen| seen.kind == "handshake").await?;
        let begun = Instant::now();
        loop {
            let answer = self.get(&format!("Subscription/{subscription}")).await?.expect(200)?.json()?;
            match answer["status"].as_str() {
                Some("active") => return Ok(handshake),
                Some("requested") if begun.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(10)).await,
                other => bail!("after its handshake the Subscription is {other:?}: {}", answer["error"]),
            }
        }
    }

    /// Deletes a Subscription that an earlier run left behind, if it is still there.
    pub async fn unsubscribe(&self, subscription: &str) -> Result<()> {
        let url = format!("{}/Subscription/{subscription}", self.identity.fhir);
        let request = self.http.request(Method::DELETE, &url).bearer_auth(self.token().await?);
        let answer = self.http.send(request).await?;
        if matches!(answer.status, 200 | 204 | 404 | 410) { Ok(()) } else { answer.expect(204).map(drop) }
    }

    /// Sets HALO's sample context, for `app` only when given.
    pub async fn set_context(&self, app: Option<&str>) -> Result<Launch> {
        let answer = self.post("$set-context", &sample::set_context(app)?).await?.expect(200)?.json()?;
        let mut parameters = answer["parameter"].as_array().into_iter().flatten();
        let id = parameters.find(|parameter| parameter["name"] == "launchID");
        let id = id.and_then(|parameter| parameter["valueString"].as_str()).context("no launchID came back")?;
        let launch = Launch { id: id.to_owned(), answer: answer.clone() };
        self.state().launches.push(launch.clone());
        self.tell(&json!({ "type": "launches", "open": self.open_launches() }));
        Ok(launch)
    }

    /// Clears one context; the SoFA's answer.
    pub async fn clear_context(&self, launch: &str) -> Result<Value> {
        let body = json!({
            "resourceType": "Parameters",
            "parameter": [{ "name": "launchID", "valueString": launch }]
        });
        let answer = self.post("$clear-context", &body).await?;
        // 410: it expired, so it is as cleared as it can be.
        let answer = if answer.status == 410 { answer } else { answer.expect(200)? };
        self.state().launches.retain(|open| open.id != launch);
        self.tell(&json!({ "type": "launches", "open": self.open_launches() }));
        answer.json()
    }

    /// Clears every context that is open; how many there were.
    pub async fn clear_all(&self) -> Result<usize> {
        let open: Vec<String> = self.state().launches.iter().map(|launch| launch.id.clone()).collect();
        for launch in &open {
            self.clear_context(launch).await?;
        }
        Ok(open.len())
    }

    /// How many contexts are open.
    pub fn open_launches(&self) -> usize {
        self.state().launches.len()
    }

    /// GET, as the PoC, a path under the FHIR base.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.http.read(&format!("{}/{path}", self.identity.fhir), &self.token().await?).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}/{path}", self.identity.fhir);
        self.http.write(Method::POST, &url, &self.token().await?, body).await
    }

    /// Decides whether the next event notification is refused.
    pub fn refuse_next(&self, refuse: bool) {
        self.state().refuse_next = refuse;
        self.tell(&json!({ "type": "refuse", "on": refuse }));
    }

    /// Whether the next event notification will be refused.
    pub fn refuses_next(&self) -> bool {
        self.state().refuse_next
    }

    /// Takes or refuses what came to the receiver, and remembers it; whether it was taken.
    pub fn receive(&self, bundle: Value) -> Result<bool> {
        let mut notification = Notification::read(bundle, self.clock.now())?;
        let is_event = notification.kind == "event-notification";
        {
            let mut state = self.state();
            // Sent again because our answer got lost: the same number names the same change.
            if is_event && state.notifications.iter().any(|old| old.accepted && old.numbers == notification.numbers) {
                return Ok(true);
            }
            notification.accepted = !(is_event && std::mem::take(&mut state.refuse_next));
            state.notifications.push(notification.clone());
        }
        if is_event && !notification.accepted {
            self.tell(&json!({ "type": "refuse", "on": false }));
        }
        self.tell(&notification.shown());
        Ok(notification.accepted)
    }

    /// All notifications so far, oldest first.
    pub fn notifications(&self) -> Vec<Notification> {
        self.state().notifications.clone()
    }

    /// Waits for a notification that fits (one that already came counts).
    pub async fn wait_for(&self, fits: impl Fn(&Notification) -> bool) -> Result<Notification> {
        let mut changes = self.changes.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                let found = self.state().notifications.iter().find(|seen| fits(seen)).cloned();
                if let Some(found) = found {
                    return Ok(found);
                }
                changes.changed().await?;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.map_err(|_| anyhow!("no such notification came"))?
    }

    /// What happens from now on, as JSON texts for the page.
    pub fn feed(&self) -> broadcast::Receiver<String> {
        self.feed.subscribe()
    }

    fn tell(&self, event: &Value) {
        let _nobody_looks = self.feed.send(event.to_string());
        self.changes.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notification {
    /// Reads a notification Bundle (Backport guide, R4: the first entry is a Parameters).
    fn read(bundle: Value, at: OffsetDateTime) -> Result<Self> {
        let seen = Instant::now();
        let entries = bundle["entry"].as_array().context("a notification without entries")?;
        let status = entries.first().map(|entry| &entry["resource"]);
        let status = status.filter(|first| first["resourceType"] == "Parameters");
        let parameters = status.and_then(|first| first["parameter"].as_array()).context("no subscription status")?;
        let kind = parameters.iter().find(|parameter| parameter["name"] == "type");
        let kind = kind.and_then(|parameter| parameter["valueCode"].as_str()).context("no notification type")?;
        let events = parameters.iter().filter(|parameter| parameter["name"] == "notification-event");
        let parts = events.filter_map(|event| event["part"].as_array()).flatten();
        let numbers = parts.filter(|part| part["name"] == "event-number");
        let numbers = numbers.filter_map(|part| part["valueString"].as_str()?.parse().ok()).collect();
        let resources = entries.iter().skip(1).filter_map(|entry| entry.get("resource").cloned()).collect();
        Ok(Self { seen, at, kind: kind.to_owned(), numbers, resources, accepted: true, bundle })
    }

    /// What the page is told of it.
    pub fn shown(&self) -> Value {
        json!({
            "type": "notification",
            "kind": self.kind,
            "numbers": self.numbers,
            "at": self.at.unix_timestamp_nanos() / 1_000_000,
            "accepted": self.accepted,
            "resources": self.resources,
            "bundle": self.bundle,
        })
    }
}
