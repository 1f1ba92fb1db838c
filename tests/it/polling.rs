//! Who polls a history by `_since` misses nothing (R4, http.html#history): a change that waits for its point-of-care system
//! is stored with the time of its staging, after others with later times.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fixtures::{SetContext, observation, patient};
use crate::support::answer::Answer;
use crate::support::app::Launched;
use crate::support::poc::{Launch, PointOfCare};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::server::TestServer;
use crate::support::session::Session;

struct Scene {
    server: TestServer,
    poc: PointOfCare,
    receiver: Receiver,
    /// Two launches of the PoC, each with its app.
    launches: [Launch; 2],
    apps: [Launched; 2],
}

impl Scene {
    async fn set(inputs: [Value; 2]) -> Self {
        let server = TestServer::configured("[delivery]\ntimeout = \"12s\"").await;
        let (poc, receiver) = server.subscribed_poc("poc", 7).await;
        server.user("user", 7).await;
        let sample = server.app("app").await;
        let launches = [poc.launch(&inputs[0]).await, poc.launch(&inputs[1]).await];
        let apps = [sample.launch(&launches[0].id, "user").await, sample.launch(&launches[1].id, "user").await];
        Self { server, poc, receiver, launches, apps }
    }

    /// What `meanwhile` gives while a write of the first app waits for the PoC, and the answer to that write once the PoC
    /// behaves as told.
    async fn while_waiting<T>(
        &self,
        write: impl Future<Output = Answer>,
        then: Behaviour,
        meanwhile: impl Future<Output = T>,
    ) -> (T, Answer) {
        let before = self.receiver.events().len();
        self.receiver.behave(Behaviour::Hang);
        let watched = async {
            self.receiver.wait_for(before + 1).await;
            let found = meanwhile.await;
            self.receiver.behave(then);
            found
        };
        let (answer, found) = tokio::join!(write, watched);
        (found, answer)
    }
}

fn two_patients() -> [Value; 2] {
    [SetContext::patient("Smith").build(), SetContext::patient("Jones").build()]
}

/// A new version of a Patient.
async fn rename(session: &Session, path: &str, family: &str) -> Answer {
    let mut renamed = patient(family);
    renamed["id"] = json!(path.split_once('/').unwrap().1);
    session.put(path, &renamed).await
}

async fn history(session: &Session, path: &str) -> Value {
    session.get(&path.replace('+', "%2B")).await.expect(200).json()
}

/// `Type/id version` of every entry.
fn told(bundle: &Value) -> BTreeSet<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let one = |entry: &Value| {
        let path = entry["fullUrl"].as_str().unwrap().rsplitn(3, '/').take(2).collect::<Vec<_>>();
        format!("{}/{} {}", path[1], path[0], entry["response"]["etag"].as_str().unwrap())
    };
    entries.map(one).collect()
}

/// The latest time among the entries.
fn latest(bundle: &Value) -> Option<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| entry["response"]["lastModified"].as_str().unwrap().to_owned()).max()
}

fn timestamp(bundle: &Value) -> String {
    bundle["timestamp"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_asks_since_the_last_version_told_misses_none_that_was_staged_before_it() {
    let scene = Scene::set(two_patients()).await;
    let (poc, subject) = (&scene.poc.session, scene.launches[0].first("Patient"));
    let begun = history(poc, "_history").await;
    let sent = observation(subject, "staged first");
    let write = scene.apps[0].post("Observation", &sent);
    let stored_second = format!("{subject} W/\"2\"");
    let (polls, answer) = scene
        .while_waiting(write, Behaviour::Accept, async {
            rename(poc, subject, "Smith-Jones").await.expect(200);
            let since = timestamp(&begun);
            let mut polls = Vec::new();
            for path in ["_history?x=y", "Patient/_history?x=y", &format!("_history?_since={since}")] {
                let poll = history(poc, path).await;
                assert!(!told(&poll).contains(&stored_second), "{path}: it would be the last one seen");
                polls.push(poll);
            }
            // Of one resource nothing waits that could be overtaken; and what is current is no matter of what comes next.
            assert!(told(&history(poc, &format!("{subject}/_history")).await).contains(&stored_second));
            let now = sofa::fhir::instant::format(scene.server.now());
            assert!(told(&history(poc, &format!("Patient/_history?_at={now}")).await).contains(&stored_second));
            polls
        })
        .await;
    let stored_first = format!("Observation/{} W/\"1\"", answer.expect(201).id());
    let both = BTreeSet::from([stored_first, stored_second.clone()]);
    for poll in polls {
        for since in [Some(timestamp(&poll)), latest(&poll)].into_iter().flatten() {
            let next = history(poc, &format!("_history?_since={since}")).await;
            assert!(told(&next).is_superset(&both), "{since}: {:?}", told(&next));
        }
    }
    let next = history(poc, "Patient/_history").await;
    assert!(told(&next).contains(&stored_second));
    assert!(latest(&next).unwrap() <= timestamp(&next));
}

#[tokio::test]
async fn what_is_refused_holds_nothing_back_any_more() {
    let scene = Scene::set(two_patients()).await;
    let (poc, subject) = (&scene.poc.session, scene.launches[0].first("Patient"));
    let sent = observation(subject, "refused");
    let write = scene.apps[0].post("Observation", &sent);
    let (held, answer) = scene
        .while_waiting(write, Behaviour::refuse(422, "no"), async {
            rename(poc, subject, "Smith-Jones").await.expect(200);
            history(poc, "_history").await
        })
        .await;
    answer.expect(422);
    let next = history(poc, &format!("_history?_since={}", timestamp(&held))).await;
    assert_eq!(told(&next), BTreeSet::from([format!("{subject} W/\"2\"")]));
}

#[tokio::test]
async fn nothing_is_held_back_by_what_its_reader_will_never_see() {
    let scene = Scene::set(two_patients()).await;
    let service = scene.server.service("service").await;
    let (other_poc, _receiver) = scene.server.subscribed_poc("other-poc", 7).await;
    let [first, second] = [&scene.launches[0], &scene.launches[1]].map(|launch| launch.first("Patient"));
    let sent = observation(first, "x");
    let write = scene.apps[0].post("Observation", &sent);
    let ((), answer) = scene
        .while_waiting(write, Behaviour::Accept, async {
            rename(&scene.poc, first, "Mine").await.expect(200);
            rename(&scene.poc, second, "Other").await.expect(200);
            let organization = json!({"resourceType": "Organization", "name": "x"});
            let shared = service.post("Organization", &organization).await.expect(201).id();
            let own = other_poc.post("Organization", &organization).await.expect(201).id();
            let (own, shared) = (format!("Organization/{own} W/\"1\""), format!("Organization/{shared} W/\"1\""));
            let (first, second) = (format!("{first} W/\"2\""), format!("{second} W/\"2\""));
            for (who, session, shown, hidden) in [
                ("its own launch", &scene.apps[0].session, vec![], vec![&first, &second, &shared]),
                ("its PoC", &scene.poc.session, vec![], vec![&first, &second, &shared]),
                ("another launch", &scene.apps[1].session, vec![&second, &shared], vec![&first]),
                ("another PoC", &other_poc.session, vec![&own, &shared], vec![&first, &second]),
                ("a service", &service, vec![&shared], vec![&first, &second, &own]),
            ] {
                let found = told(&history(session, "_history").await);
                assert!(shown.iter().all(|one| found.contains(*one)), "{who}: {found:?}");
                assert!(!hidden.iter().any(|one| found.contains(*one)), "{who}: {found:?}");
            }
        })
        .await;
    answer.expect(201);
}

#[tokio::test]
async fn a_change_of_what_another_launch_sees_holds_its_history_back_too() {
    let known = |family: &str| {
        let mut patient = patient(family);
        patient["identifier"] = json!([{"system": "mrn", "value": "1"}]);
        patient
    };
    let input = SetContext::default()
        .reference("patient", "urn:uuid:patient")
        .entry_if_none_exist("urn:uuid:patient", &known("Smith"), "identifier=mrn|1")
        .entry("urn:uuid:o", &observation("urn:uuid:patient", "x"))
        .build();
    let scene = Scene::set([input.clone(), input]).await;
    let shared = scene.launches[0].first("Patient").to_owned();
    assert_eq!(shared, scene.launches[1].first("Patient"), "one patient in both contexts");
    let mut renamed = known("Jones");
    renamed["id"] = json!(shared.split_once('/').unwrap().1);
    // The first launch changes what the second links; then the second what the first holds.
    for (writer, reader, version) in [(0, 1, 2), (1, 0, 3)] {
        let own = scene.launches[reader].first("Observation");
        let mut changed = observation(&shared, "changed");
        changed["id"] = json!(own.split_once('/').unwrap().1);
        let write = scene.apps[writer].put(&shared, &renamed);
        let (held, answer) = scene
            .while_waiting(write, Behaviour::Accept, async {
                scene.poc.put(own, &changed).await.expect(200);
                history(&scene.apps[reader], "_history").await
            })
            .await;
        answer.expect(200);
        let own = format!("{own} W/\"2\"");
        assert!(!told(&held).contains(&own), "{reader}: {:?}", told(&held));
        let next = told(&history(&scene.apps[reader], &format!("_history?_since={}", timestamp(&held))).await);
        assert_eq!(next, BTreeSet::from([own, format!("{shared} W/\"{version}\"")]), "{reader}");
    }
}

#[tokio::test]
async fn a_poller_sees_every_write_of_many_apps_at_once() {
    let scene = Scene::set(two_patients()).await;
    let (done, mut is_done) = watch::channel(false);
    let writers = (0..8).map(|writer| {
        let (app, launch) = (&scene.apps[writer % 2], &scene.launches[writer % 2]);
        async move {
            let mut made = Vec::new();
            for turn in 0..8 {
                let observation = observation(launch.first("Patient"), &format!("{writer}.{turn}"));
                let id = app.post("Observation", &observation).await.expect(201).id();
                made.push(format!("Observation/{id} W/\"1\""));
            }
            made
        }
    });
    let writing = async {
        let made: BTreeSet<_> = join_all(writers).await.into_iter().flatten().collect();
        done.send_replace(true);
        made
    };
    // From the last one seen on, again and again.
    let polling = async {
        let (mut seen, mut since) = (BTreeSet::new(), String::from("2020-01-01T00:00:00Z"));
        loop {
            let is_last = *is_done.borrow_and_update();
            let poll = history(&scene.poc, &format!("Observation/_history?_count=1000&_since={since}")).await;
            seen.extend(told(&poll));
            since = latest(&poll).unwrap_or(since);
            if is_last {
                return seen;
            }
        }
    };
    let (made, seen) = tokio::join!(writing, polling);
    assert_eq!(made.len(), 64);
    assert_eq!(seen, made);
}

#[tokio::test]
async fn the_versions_of_a_resource_are_stored_in_the_order_of_their_times() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let path = format!("Patient/{}", service.post("Patient", &patient("Smith")).await.expect(201).id());
    let updates = (0..30).map(|n| {
        let (service, path) = (service.clone(), path.clone());
        async move { rename(&service, &path, &n.to_string()).await.expect(200) }
    });
    join_all(updates).await;
    let overtaken =
        "with v as (select version, updated from resource union all select version, updated from resource_history)
        select count(*) from v join v n on n.version = v.version + 1 where n.updated < v.updated";
    assert_eq!(server.count("select max(version) from resource").await, 31);
    assert_eq!(server.count(overtaken).await, 0);
}
