//! The histories of a type and of the system, and the pages of all histories (R4, http.html#history).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation, patient};
use crate::support::answer::link;
use crate::support::server::{Options, TestServer};
use crate::support::session::Session;

fn organization(name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name})
}

async fn update(session: &Session, path: &str, resource: &Value) {
    let mut next = resource.clone();
    next["id"] = json!(path.split_once('/').unwrap().1);
    session.put(path, &next).await.expect(200);
}

async fn create(session: &Session, resource: &Value) -> String {
    let kind = resource["resourceType"].as_str().unwrap();
    format!("{kind}/{}", session.post(kind, resource).await.expect(201).id())
}

/// The entries of a page as `METHOD Type/id version`.
fn told(bundle: &Value) -> Vec<String> {
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("history")));
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let one = |entry: &Value| {
        let url = entry["fullUrl"].as_str().unwrap();
        let reference = url.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        let version = entry["response"]["etag"].as_str().unwrap();
        assert_eq!(entry.get("resource").is_none(), entry["request"]["method"] == "DELETE", "{entry}");
        format!("{} {}/{} {version}", entry["request"]["method"].as_str().unwrap(), reference[1], reference[0])
    };
    entries.map(one).collect()
}

async fn listed(session: &Session, path: &str) -> Vec<String> {
    told(&session.get(path).await.expect(200).json())
}

/// All pages from `path` on by the links of `relation`, each with what it tells.
async fn walk(session: &Session, path: &str, relation: &str) -> Vec<(Value, Vec<String>)> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(url) = next {
        assert!(pages.len() < 50, "the links go round in circles");
        let bundle = session.get(&url).await.expect(200).json();
        next = link(&bundle, relation);
        pages.push((bundle.clone(), told(&bundle)));
    }
    pages
}

fn flat(pages: &[(Value, Vec<String>)]) -> Vec<String> {
    pages.iter().flat_map(|(_, entries)| entries.clone()).collect()
}

#[tokio::test]
async fn the_history_of_a_type_holds_every_version_of_its_resources_and_no_other() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let one = create(&service, &organization("one")).await;
    let two = create(&service, &organization("two")).await;
    let location = create(&service, &json!({"resourceType": "Location", "name": "Room"})).await;
    update(&service, &one, &organization("one again")).await;
    service.delete(&two).await.expect(204);
    let expected = [
        format!("DELETE {two} W/\"2\""),
        format!("PUT {one} W/\"2\""),
        format!("POST {two} W/\"1\""),
        format!("POST {one} W/\"1\""),
    ];
    assert_eq!(listed(&service, "Organization/_history").await, expected);
    let mut all = expected.to_vec();
    all.insert(2, format!("POST {location} W/\"1\""));
    assert_eq!(listed(&service, "_history").await, all);
    assert_eq!(listed(&service, "Patient/_history").await, Vec::<String>::new());
    let bundle = service.get("Organization/_history").await.json();
    assert_eq!(bundle["total"], 4, "all are on one page");
    assert_eq!(bundle["entry"][1]["resource"]["name"], "one again");
    assert_eq!(bundle["entry"][0]["request"]["url"], two);
    assert_eq!(bundle["entry"][2]["request"]["url"], "Organization");
    assert_eq!(bundle["entry"][1]["response"]["status"], "200 OK");
    assert!(bundle["entry"][0]["response"]["lastModified"].is_string());
    service.get("Foo/_history").await.expect(404).expect_outcome();
    for (path, method) in [("Organization/_history", "POST"), ("_history", "DELETE")] {
        let answer = service.send(method, path, &[], None).await.expect(405).expect_outcome();
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
}

#[tokio::test]
async fn pages_forward_and_backward_show_every_version_once() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let mut paths = Vec::new();
    for number in 0..5 {
        paths.push(create(&service, &organization(&number.to_string())).await);
    }
    for path in &paths[..2] {
        update(&service, path, &organization("again")).await;
        update(&service, path, &organization("and again")).await;
    }
    service.delete(&paths[0]).await.expect(204);
    for (path, count) in [("Organization/_history", 10), ("_history", 10), (&*format!("{}/_history", paths[0]), 4)] {
        let whole = listed(&service, path).await;
        assert_eq!(whole.len(), count, "{path}");
        for size in [1, 3, 4, 10, 11] {
            let pages = walk(&service, &format!("{path}?_count={size}"), "next").await;
            assert_eq!(flat(&pages), whole, "{path} by {size}");
            assert_eq!(pages.len(), count.div_ceil(size), "{path} by {size}");
            assert!(pages.iter().all(|(_, entries)| entries.len() <= size));
            let (last, _) = pages.last().unwrap();
            let mut back = walk(&service, &link(last, "self").unwrap(), "previous").await;
            back.reverse();
            assert_eq!(flat(&back), whole, "{path} by {size}, backward");
            assert_eq!(link(&pages[0].0, "previous"), None);
            assert_eq!(link(last, "next"), None);
            if let Some(url) = link(&pages[0].0, "last") {
                let mut back = walk(&service, &url, "previous").await;
                back.reverse();
                assert_eq!(flat(&back), whole, "{path} by {size}, from the last page");
            }
            for (page, entries) in &pages {
                let first = service.get(&link(page, "first").unwrap()).await.expect(200).json();
                assert_eq!(told(&first), pages[0].1);
                let again = service.get(&link(page, "self").unwrap()).await.expect(200).json();
                assert_eq!(&told(&again), entries);
            }
        }
        let mut oldest = flat(&walk(&service, &format!("{path}?_count=3&_sort=_lastUpdated"), "next").await);
        oldest.reverse();
        assert_eq!(oldest, whole, "{path}, oldest first");
        let first = listed(&service, &format!("{path}?_count=1&_sort=_lastUpdated")).await;
        assert_eq!(first[0], whole[count - 1]);
        assert_eq!(listed(&service, &format!("{path}?_sort=-_lastUpdated")).await, whole);
        assert_eq!(listed(&service, &format!("{path}?_sort=none")).await, whole);
    }
    let instance = service.get(&format!("{}/_history?_count=1", paths[0])).await.expect(200).json();
    assert_eq!(instance["total"], 4, "of an instance all versions are counted");
    let none = service.get("Organization/_history?_count=0").await.expect(200).json();
    assert_eq!((none.get("entry"), link(&none, "next")), (None, None));
}

#[tokio::test]
async fn what_is_written_meanwhile_moves_no_page() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    for number in 0..4 {
        create(&service, &organization(&number.to_string())).await;
    }
    let whole = listed(&service, "Organization/_history").await;
    let first = service.get("Organization/_history?_count=2").await.expect(200).json();
    create(&service, &organization("new")).await;
    let second = service.get(&link(&first, "next").unwrap()).await.expect(200).json();
    assert_eq!([told(&first), told(&second)].concat(), whole);
}

#[tokio::test]
async fn since_and_at_choose_versions_by_their_time() {
    let server = TestServer::with(Options { manual_clock: true, ..Options::default() }).await;
    let service = server.service("service").await;
    let start = server.now();
    let day = Duration::from_secs(86_400);
    // Tokens do not live for days.
    let renewed = async |name: &str| {
        server.advance(day);
        server.service(name).await
    };
    let one = create(&service, &organization("one")).await;
    let two = create(&service, &organization("two")).await;
    let service = renewed("second").await;
    update(&service, &one, &organization("one, second day")).await;
    let service = renewed("third").await;
    service.delete(&two).await.expect(204);
    let service = renewed("fourth").await;
    let time = |days: u32, seconds: i64| {
        sofa::fhir::instant::format(start + day * days + time::Duration::seconds(seconds)).replace('+', "%2B")
    };
    let date = |days: u32| time(days, 0)[..10].to_owned();
    let (first_one, first_two) = (format!("POST {one} W/\"1\""), format!("POST {two} W/\"1\""));
    let (second_one, deleted) = (format!("PUT {one} W/\"2\""), format!("DELETE {two} W/\"2\""));
    let both = |mut entries: Vec<String>| {
        entries.sort();
        entries
    };
    for (query, expected) in [
        (format!("_since={}", time(0, 0)), vec![&first_one, &first_two, &second_one, &deleted]),
        (format!("_since={}", time(1, 0)), vec![&second_one, &deleted]),
        (format!("_since={}", time(1, 1)), vec![&deleted]),
        (format!("_since={}", time(9, 0)), vec![]),
        (format!("_at={}", time(0, -1)), vec![]),
        (format!("_at={}", time(0, 1)), vec![&first_one, &first_two]),
        (format!("_at={}", time(1, 1)), vec![&second_one, &first_two]),
        (format!("_at={}", time(2, 1)), vec![&second_one]),
        (format!("_at={}", time(3, 0)), vec![&second_one]),
        (format!("_at={}", date(1)), vec![&first_one, &first_two, &second_one]),
        (format!("_at={}", date(2)), vec![&second_one, &first_two, &deleted]),
        (format!("_at={}&_since={}", date(2), time(1, 1)), vec![&deleted]),
    ] {
        let expected = both(expected.into_iter().cloned().collect());
        for path in ["Organization/_history", "_history"] {
            assert_eq!(both(listed(&service, &format!("{path}?{query}")).await), expected, "{path} {query}");
            let pages = walk(&service, &format!("{path}?{query}&_count=1"), "next").await;
            assert_eq!(both(flat(&pages)), expected, "{path} {query} by 1");
        }
        let of_one: Vec<_> = expected.into_iter().filter(|entry| entry.contains(&one)).collect();
        let instance = service.get(&format!("{one}/_history?{query}&_count=50")).await.expect(200).json();
        assert_eq!((both(told(&instance)), &instance["total"]), (of_one.clone(), &json!(of_one.len())), "{query}");
    }
}

#[tokio::test]
async fn a_list_narrows_a_history_to_what_it_names() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let one = create(&service, &organization("one")).await;
    let two = create(&service, &organization("two")).await;
    update(&service, &one, &organization("again")).await;
    let list = |references: &[&str]| {
        let entries: Vec<_> = references.iter().map(|one| json!({"item": {"reference": one}})).collect();
        json!({"resourceType": "List", "status": "current", "mode": "working", "entry": entries})
    };
    let id = |path: &str| path.split_once('/').unwrap().1.to_owned();
    let shared =
        create(&service, &list(&[&one, "https://example.org/fhir/Organization/x", "Organization/never"])).await;
    let expected = [format!("PUT {one} W/\"2\""), format!("POST {one} W/\"1\"")];
    for path in ["Organization/_history", "_history", &*format!("{one}/_history")] {
        let query = format!("{path}?_list={}", id(&shared));
        assert_eq!(listed(&service, &query).await, expected);
        assert_eq!(flat(&walk(&service, &format!("{query}&_count=1"), "next").await), expected, "{path} by 1");
    }
    for path in ["Patient/_history", &*format!("{two}/_history")] {
        assert_eq!(listed(&service, &format!("{path}?_list={}", id(&shared))).await, Vec::<String>::new());
    }
    assert_eq!(listed(&service, "Organization/_history?_list=never").await, Vec::<String>::new());
    // A List names what its reader may see, or nothing.
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let sample = server.app("app").await;
    let (mine, other) = (
        poc.launch(&SetContext::patient("Mine").build()).await,
        poc.launch(&SetContext::patient("Secret").build()).await,
    );
    let app = sample.launch(&mine.id, "user").await;
    let (jane, hidden) = (mine.first("Patient"), other.first("Patient"));
    let own = create(&app, &list(&[jane, hidden, &one])).await;
    let of_hers = format!("POST {jane} W/\"1\"");
    let query = format!("?_list={}", id(&own));
    assert_eq!(listed(&app, &format!("Patient/_history{query}")).await, std::slice::from_ref(&of_hers));
    let mut all = expected.to_vec();
    all.insert(0, of_hers);
    assert_eq!(listed(&app, &format!("_history{query}")).await, all);
    all.insert(0, format!("POST {hidden} W/\"1\""));
    assert_eq!(listed(&poc, &format!("_history{query}")).await, all, "the PoC holds both");
    let stranger = sample.launch(&other.id, "user").await;
    assert_eq!(listed(&stranger, &format!("_history{query}")).await, Vec::<String>::new());
}

#[tokio::test]
async fn parameters_are_checked_and_unknown_ones_left_out_of_the_links() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    create(&service, &organization("one")).await;
    for path in ["_history", "Organization/_history"] {
        for query in
            ["_since=yesterday", "_since=gt2026-01-01T00:00:00Z", "_count=1&_count=1", "_count=-1", "_at:x=2026"]
        {
            service.get(&format!("{path}?{query}")).await.expect(400).expect_outcome();
        }
        let lenient = service.get(&format!("{path}?bonkers=1&_count=7")).await.expect(200).json();
        assert_eq!(link(&lenient, "self").unwrap(), format!("{}/{path}?_count=7", server.fhir));
        let handle =
            async |how: &'static str| service.send("GET", &format!("{path}?bonkers=1"), &[("prefer", how)], None).await;
        handle("handling=strict").await.expect_issue(400, "not-supported");
        assert_eq!(handle("handling=lenient").await.expect(200).header("preference-applied"), "handling=lenient");
    }
}

#[tokio::test]
async fn a_history_shows_what_the_caller_may_see() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let shared = create(&service, &organization("shared")).await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let (other_poc, _other_receiver) = server.subscribed_poc("other-poc", 7).await;
    server.user("user", 7).await;
    let sample = server.app("app").await;
    let mut sides = Vec::new();
    for (poc, name) in [(&poc, "left"), (&poc, "right"), (&other_poc, "far")] {
        let launch = poc.launch(&SetContext::patient(&format!("Secret {name}")).build()).await;
        let app = sample.launch(&launch.id, "user").await;
        let jane = launch.first("Patient").to_owned();
        let seen = create(&app, &observation(&jane, &format!("secret {name}"))).await;
        update(&app, &seen, &observation(&jane, "changed")).await;
        sides.push((launch, app, jane, seen));
    }
    let all_of = |side: usize| {
        let (_, _, jane, seen) = &sides[side];
        vec![format!("PUT {seen} W/\"2\""), format!("POST {seen} W/\"1\""), format!("POST {jane} W/\"1\"")]
    };
    let of_everybody = format!("POST {shared} W/\"1\"");
    for (side, (_, app, _, _)) in sides.iter().enumerate() {
        let mut expected = all_of(side);
        assert_eq!(listed(app, "Observation/_history").await, expected[..2]);
        expected.push(of_everybody.clone());
        assert_eq!(listed(app, "_history").await, expected);
        assert_eq!(flat(&walk(app, "_history?_count=1", "next").await), expected);
        app.get("Subscription/_history").await.expect(403).expect_outcome();
    }
    let of_poc =
        |entries: Vec<String>| entries.into_iter().filter(|one| !one.contains("Subscription/")).collect::<Vec<_>>();
    let expected = [all_of(1), all_of(0), vec![of_everybody.clone()]].concat();
    assert_eq!(of_poc(listed(&poc, "_history").await), expected);
    assert_eq!(of_poc(flat(&walk(&poc, "_history?_count=2", "next").await)), expected);
    assert_eq!(listed(&poc, "Subscription/_history").await.len(), 2, "requested, then active");
    assert_eq!(of_poc(listed(&other_poc, "_history").await), [all_of(2), vec![of_everybody.clone()]].concat());
    assert_eq!(listed(&service, "_history").await, std::slice::from_ref(&of_everybody));
    server.stranger().get("_history").await.expect(401);
    // What a clear removed is in no history.
    poc.clear(&sides[0].0.id).await.expect(200);
    let left = [all_of(1), vec![of_everybody]].concat();
    assert_eq!(of_poc(listed(&poc, "_history").await), left);
    assert_eq!(listed(&poc, "Observation/_history").await, left[..2]);
}

#[tokio::test]
async fn a_paging_link_is_of_no_use_to_anybody_else() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    for user in ["user", "colleague"] {
        server.user(user, 7).await;
    }
    let (sample, second) = (server.app("app").await, server.app("second").await);
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = sample.launch(&launch.id, "user").await;
    for text in ["a", "b"] {
        create(&app, &observation(launch.first("Patient"), text)).await;
    }
    let elsewhere = poc.launch(&SetContext::patient("Jones").build()).await;
    let of_other_launch = sample.launch(&elsewhere.id, "colleague").await;
    let of_other_app = second.launch(&launch.id, "user").await;
    let again = sample.launch(&launch.id, "user").await;
    for listing in ["Observation/_history?_count=1", "_history?_count=1", "Observation?_count=1", "?_count=1"] {
        let first = app.get(listing).await.expect(200).json();
        let next = link(&first, "next").unwrap();
        let page = app.get(&next).await.expect(200).json();
        assert_eq!(again.get(&next).await.expect(200).json()["entry"], page["entry"], "a new token, the same caller");
        for (who, stranger) in [("poc", &poc.session), ("launch", &of_other_launch), ("app", &of_other_app)] {
            let refused = stranger.get(&next).await.expect_issue(404, "not-found");
            assert!(!refused.text.contains("Observation/"), "{listing} as {who}: {}", refused.text);
        }
    }
    let first = app.get("Observation/_history?_count=1").await.expect(200).json();
    let next = link(&first, "next").unwrap();
    let (path, token) = next.split_once("?_page=").unwrap();
    for wrong in [
        format!("{}/Patient/_history?_page={token}", server.fhir),
        format!("{}/_history?_page={token}", server.fhir),
        format!("{}/Observation?_page={token}", server.fhir),
        format!("{path}?_page={}", &token[1..]),
        format!("{path}?_page="),
    ] {
        let answer = app.get(&wrong).await;
        assert!(matches!(answer.status, 404 | 200), "{wrong}: {}", answer.status);
        assert!(answer.status == 404 || wrong.ends_with('='), "{wrong}");
    }
}

#[tokio::test]
async fn patient_scopes_judge_every_version_by_its_own_patient() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let service = server.service("service").await;
    server.user("user", 7).await;
    let input = SetContext::patient("Smith")
        .entry("urn:uuid:other", &patient("Secret brother"))
        .entry("urn:uuid:o1", &observation("urn:uuid:patient", "hers"))
        .entry("urn:uuid:o2", &observation("urn:uuid:other", "secret"))
        .build();
    let launch = poc.launch(&input).await;
    let [jane, brother, hers, his] = &launch.created[..] else { panic!("{launch:?}") };
    // Shared data about somebody else: more than one page of it.
    for _ in 0..3 {
        create(&service, &observation("Patient/nobody", "secret")).await;
    }
    // Hers becomes his, and is deleted then; another of hers is deleted as hers.
    update(&poc, hers, &observation(brother, "secret")).await;
    poc.delete(hers).await.expect(204);
    let gone = create(&poc, &observation(jane, "hers too")).await;
    let app = server.app("app").await.launch_with(&launch.id, "user", "launch patient/*.cruds").await.unwrap();
    let more = create(&app, &observation(jane, "more")).await;
    app.delete(&more).await.expect(204);
    let expected = [format!("DELETE {more} W/\"2\""), format!("POST {more} W/\"1\""), format!("POST {hers} W/\"1\"")];
    let entries = listed(&app, "Observation/_history").await;
    assert_eq!(entries, expected, "not {his}, and not {gone}, which belongs to no launch");
    for size in 1..4 {
        let pages = walk(&app, &format!("Observation/_history?_count={size}"), "next").await;
        assert_eq!(flat(&pages), expected, "by {size}");
        let mut back = walk(&app, &link(&pages[0].0, "self").unwrap(), "next").await;
        assert_eq!(flat(&back), expected);
        if let Some(last) = link(&pages[0].0, "last") {
            back = walk(&app, &last, "previous").await;
            back.reverse();
            assert_eq!(flat(&back), expected, "by {size}, backward");
        }
    }
    let text = app.get("_history").await.expect(200).text;
    assert!(!text.contains("ecret"), "{text}");
}

#[tokio::test]
async fn a_page_looks_at_so_many_versions_only_and_the_next_one_goes_on() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x")).build();
    let launch = poc.launch(&input).await;
    // Newer than hers: much about others.
    sqlx::query(
        "insert into resource (tenant, type, id, version, updated, method, body)
         select 0, 'Observation', 'o' || n, 1, now() + interval '1 hour' + n * interval '1 second', 'POST',
           '{\"resourceType\":\"Observation\",\"subject\":{\"reference\":\"Patient/nobody\"}}' from generate_series(1, 6000) n",
    )
    .execute(&server.db.pool)
    .await
    .unwrap();
    let app = server.app("app").await.launch_with(&launch.id, "user", "launch patient/*.cruds").await.unwrap();
    let hers = [format!("POST {} W/\"1\"", launch.first("Observation"))];
    for query in ["_count=1", "_count=100"] {
        let pages = walk(&app, &format!("Observation/_history?{query}"), "next").await;
        assert_eq!(flat(&pages), hers, "{query}");
        assert_eq!(pages[0].1, Vec::<String>::new(), "the first page ends before hers");
        let last = link(&pages[0].0, "last").unwrap();
        assert_eq!(listed(&app, &last).await, hers, "{query}");
    }
}

#[tokio::test]
async fn a_history_of_the_system_needs_leave_to_search_something() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x")).build();
    let sample = server.app("app").await;
    for (scope, statuses, kinds) in [
        ("launch patient/*.r", [403, 403, 403], vec![]),
        ("launch patient/Observation.s", [200, 200, 403], vec!["Observation"]),
        ("launch patient/Observation.rs patient/Patient.s", [200, 200, 200], vec!["Observation", "Patient"]),
    ] {
        let launch = poc.launch(&input).await;
        let app = sample.launch_with(&launch.id, "user", scope).await.unwrap();
        let mut answers = Vec::new();
        for path in ["_history", "Observation/_history", "Patient/_history"] {
            answers.push(app.get(path).await);
        }
        assert_eq!([answers[0].status, answers[1].status, answers[2].status], statuses, "{scope}");
        if answers[0].status == 200 {
            let found: BTreeSet<_> = told(&answers[0].json())
                .into_iter()
                .map(|entry| entry.split(['/', ' ']).nth(1).unwrap().to_owned())
                .collect();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), kinds, "{scope}");
        }
    }
}

#[tokio::test]
async fn conditional_interactions_appear_as_plain_ones() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let mut one = organization("one");
    one["identifier"] = json!([{"system": "urn:o", "value": "1"}]);
    let condition = "identifier=urn:o|1";
    let created =
        service.send("POST", "Organization", &[("if-none-exist", condition)], Some(one.to_string())).await.expect(201);
    let path = format!("Organization/{}", created.id());
    service.put(&format!("Organization?{condition}"), &one).await.expect(200);
    let patch = json!([{"op": "replace", "path": "/name", "value": "x"}]).to_string();
    let kind = [("content-type", "application/json-patch+json")];
    service.send("PATCH", &format!("Organization?{condition}"), &kind, Some(patch)).await.expect(200);
    service.delete(&format!("Organization?{condition}")).await.expect(204);
    let bundle = service.get("Organization/_history").await.expect(200).json();
    let requests: Vec<_> = bundle["entry"].as_array().unwrap().iter().map(|entry| entry["request"].clone()).collect();
    let plain = |method: &str, url: &str| json!({"method": method, "url": url});
    let expected = [plain("DELETE", &path), plain("PUT", &path), plain("PUT", &path), plain("POST", "Organization")];
    assert_eq!(requests, expected);
}

#[tokio::test]
async fn histories_are_there_in_xml() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let one = create(&service, &organization("one")).await;
    service.delete(&one).await.expect(204);
    for path in ["_history", "Organization/_history", &*format!("{one}/_history")] {
        let answer = service.get(&format!("{path}?_format=xml&_count=1")).await.expect(200);
        assert!(answer.header("content-type").starts_with("application/fhir+xml"));
        assert!(
            answer.text.contains("<type value=\"history\"/>") && answer.text.contains("<method value=\"DELETE\"/>")
        );
        assert!(answer.text.contains("<relation value=\"next\"/>"), "{}", answer.text);
    }
}
