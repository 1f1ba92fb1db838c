//! What the audit trail holds after each kind of request: exactly the expected rows, with ids only, before the answer is
//! there; and what happens when it cannot be written.

use futures_util::future::join_all;
use serde_json::json;
use sofa::access::audit::Recorder;
use sofa::clock::{Clock, SystemClock};
use sofa::config::Config;
use sofa::store::audit::{Entry, Row};
use sofa::store::{self, PoolLimits};

use crate::fixtures::{SetContext, observation, patient};
use crate::support::app::{Launched, USUAL};
use crate::support::poc::{Launch, PointOfCare};
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;

/// A PoC, a launch of its own, and an app in it.
struct Scene {
    server: TestServer,
    poc: PointOfCare,
    _receiver: Receiver,
    launch: Launch,
    app: Launched,
    /// The number of the last row that is no part of the test.
    before: i64,
}

impl Scene {
    async fn with(config: &str) -> Self {
        let server = TestServer::configured(config).await;
        let (poc, receiver) = server.subscribed_poc("poc", 7).await;
        server.user("user", 7).await;
        let launch = poc.launch(&SetContext::patient("Smith").build()).await;
        let app = server.app("app").await.launch_with(&launch.id, "user", USUAL).await.expect("a launch");
        let mut scene = Self { server, poc, _receiver: receiver, launch, app, before: 0 };
        scene.forget().await;
        scene
    }

    /// Rows until now are no part of what follows.
    async fn forget(&mut self) {
        self.before = self.server.count("select coalesce(max(seq), 0) from audit").await;
    }

    /// `action outcome client target patients found detail` of the rows since, in their order; the launch's patient is `P`.
    async fn rows(&self) -> Vec<String> {
        let sql =
            "select concat_ws(' ', action, outcome, client_id, target, array_to_string(patients, ','), found::text,
            detail) from audit where seq > $1 order by seq";
        let rows: Vec<String> =
            sqlx::query_scalar(sql).bind(self.before).fetch_all(&self.server.db.pool).await.expect("rows");
        rows.into_iter().map(|row| row.replace(self.app.patient(), "P")).collect()
    }
}

#[tokio::test]
async fn each_kind_of_read_leaves_one_row_that_names_the_patient() {
    let mut scene = Scene::with("").await;
    let id = scene.app.post("Observation", &observation(scene.launch.first("Patient"), "x")).await.expect(201).id();
    let patient = scene.app.patient().to_owned();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (method, path, body, expected) in [
        ("GET", format!("Observation/{id}"), None, vec![format!("read success app Observation/{id} P")]),
        ("HEAD", format!("Observation/{id}"), None, vec![format!("read success app Observation/{id} P")]),
        ("GET", format!("Patient/{patient}"), None, vec!["read success app Patient/P P".to_owned()]),
        (
            "GET",
            format!("Observation/{id}/_history/1"),
            None,
            vec![format!("vread success app Observation/{id}/_history/1 P")],
        ),
        (
            "GET",
            format!("Observation/{id}/_history"),
            None,
            vec![format!("history success app Observation/{id}/_history P 1")],
        ),
        ("GET", "Observation".to_owned(), None, vec!["search success app Observation P 1".to_owned()]),
        ("GET", "Observation?code=none".to_owned(), None, vec!["search success app Observation 0".to_owned()]),
        ("POST", "Observation/_search".to_owned(), Some(""), vec!["search success app Observation P 1".to_owned()]),
        (
            "GET",
            format!("Patient/{patient}/Observation"),
            None,
            vec!["search success app Patient/P/Observation P 1".to_owned()],
        ),
        (
            "GET",
            format!("Patient/{patient}/$everything?_type=Observation"),
            None,
            vec!["everything success app Patient/P/$everything P 1".to_owned()],
        ),
        ("GET", format!("Observation/{id}/$meta"), None, vec![format!("read success app Observation/{id} P")]),
        ("GET", format!("Observation/{id}/$validate"), None, vec![format!("read success app Observation/{id} P")]),
    ] {
        scene.forget().await;
        scene.app.send(method, &path, &form, body.map(str::to_owned)).await.expect(200);
        assert_eq!(scene.rows().await, expected, "{method} {path}");
    }
    scene.forget().await;
    let basic = json!({"resourceType": "Basic", "code": {"text": "x"}});
    scene.app.post("Basic/$validate", &basic).await.expect(200);
    assert_eq!(scene.rows().await, ["validate success app Basic/$validate"]);
}

#[tokio::test]
async fn a_row_says_who_where_from_and_by_which_grant() {
    let scene = Scene::with("").await;
    let patient = scene.launch.first("Patient");
    scene.app.send("GET", patient, &[("x-request-id", "my-request")], None).await.expect(200);
    let told =
        "select count(*) from audit a join grant_row g on g.id = a.grant_id join user_account u on u.id = a.user_id
      where a.action = 'read' and a.request_id = 'my-request' and a.address = '127.0.0.1' and a.client_id = 'app'
        and u.name = 'user' and a.context = g.context_id and a.tenant = 7";
    assert_eq!(scene.server.count(told).await, 1);
}

#[tokio::test]
async fn refusals_of_known_callers_are_rows_with_their_status() {
    let mut scene = Scene::with("").await;
    let (other, _receiver) = scene.server.subscribed_poc("other-poc", 8).await;
    let foreign = other.launch(&SetContext::patient("Jones").build()).await;
    let foreign = foreign.first("Patient");
    let narrow = scene.server.app_with_scope("narrow", "launch patient/Observation.rs").await;
    let own = scene.poc.launch(&SetContext::patient("Smith").build()).await;
    let narrow = narrow.launch_with(&own.id, "user", "launch patient/Observation.rs").await.expect("a launch");
    let body = json!({"resourceType": "Patient"});
    for (session, method, path, status, expected) in [
        (
            &narrow.session,
            "GET",
            own.first("Patient").to_owned(),
            403,
            format!("read refused narrow {} 403", own.first("Patient")),
        ),
        (&scene.app.session, "GET", foreign.to_owned(), 404, format!("read refused app {foreign} 404")),
        (
            &scene.app.session,
            "GET",
            format!("{foreign}/_history"),
            404,
            format!("history refused app {foreign}/_history 404"),
        ),
        (&narrow.session, "POST", "Patient".to_owned(), 403, "create refused narrow Patient 403".to_owned()),
        (
            &scene.app.session,
            "GET",
            "Observation?_count=x".to_owned(),
            400,
            "search refused app Observation 400".to_owned(),
        ),
        (
            &scene.app.session,
            "POST",
            "$set-context".to_owned(),
            403,
            "set-context refused app $set-context 403".to_owned(),
        ),
    ] {
        scene.before = scene.server.count("select max(seq) from audit").await;
        let body = (method == "POST").then(|| body.to_string());
        let answer = session.send(method, &path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_eq!(scene.rows().await, [expected], "{method} {path}");
    }
}

#[tokio::test]
async fn strangers_and_dead_tokens_are_rows_too_but_not_one_each() {
    let mut scene = Scene::with("").await;
    let patient = scene.launch.first("Patient").to_owned();
    let stranger = scene.server.stranger();
    for _ in 0..20 {
        stranger.get(&patient).await.expect(401);
        stranger.with_token(Some("nonsense")).get(&patient).await.expect(401);
    }
    let expected = ["access refused no token", "access refused a token that is not good"];
    assert_eq!(scene.rows().await, expected);
    scene.poc.clear(&scene.launch.id).await.expect(200);
    scene.forget().await;
    for _ in 0..20 {
        scene.app.get(&patient).await.expect(401);
    }
    assert_eq!(scene.rows().await, ["access refused app a token whose grant has ended"]);
    let now = SystemClock.now();
    assert_eq!(scene.server.engine.recorder.write_counts(now, true).await, Ok(3));
    let rows = scene.rows().await;
    assert!(rows.iter().any(|row| row == "access refused no token (and 19 more like it)"), "{rows:?}");
}

#[tokio::test]
async fn entries_of_a_batch_and_conditions_of_writes_are_told_as_if_alone() {
    let mut scene = Scene::with("").await;
    let patient = scene.launch.first("Patient").to_owned();
    let entry = |method: &str, url: &str| json!({"request": {"method": method, "url": url}});
    let bundle =
        |kind: &str, entries: Vec<serde_json::Value>| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let batch =
        bundle("batch", vec![entry("GET", &patient), entry("GET", "Observation/none"), entry("GET", "Observation")]);
    scene.app.post("", &batch).await.expect(200);
    let expected = [
        "read success app Patient/P P".to_owned(),
        "read refused app Observation/none 404".to_owned(),
        "search success app Observation 0".to_owned(),
    ];
    assert_eq!(scene.rows().await, expected);
    scene.forget().await;
    let transaction = bundle("transaction", vec![entry("GET", &patient), entry("GET", &patient)]);
    scene.app.post("", &transaction).await.expect(200);
    assert_eq!(scene.rows().await, expected[..1], "it looks twice, and twice for each");
    scene.forget().await;
    let mut body = observation(&patient, "x");
    body["identifier"] = json!([{"system": "http://s", "value": "SECRET"}]);
    let create = async || {
        let headers = [("if-none-exist", "identifier=http://s|SECRET")];
        scene.app.send("POST", "Observation", &headers, Some(body.to_string())).await
    };
    let id = create().await.expect(201).id();
    create().await.expect(200);
    let mut rows = scene.rows().await;
    rows.sort();
    let expected = [
        format!("create success app Observation/{id}/_history/1 P"),
        format!("read success app Observation/{id} P"),
        "search success app Observation".to_owned(),
        "search success app Observation".to_owned(),
    ];
    assert_eq!(rows, expected);
    let leaks = "select count(*) from audit where audit::text like '%SECRET%'";
    assert_eq!(scene.server.count(leaks).await, 0);
}

#[tokio::test]
async fn a_row_holds_neither_content_nor_names_nor_secrets() {
    let scene = Scene::with("").await;
    let patient = scene.launch.first("Patient");
    for path in [patient.to_owned(), "Patient?name=Smith&_count=5".to_owned(), "Patient?family:exact=Smith".to_owned()]
    {
        scene.app.get(&path).await.expect(200);
    }
    let token = scene.app.token.clone().unwrap();
    let rows: Vec<String> =
        sqlx::query_scalar("select audit::text from audit").fetch_all(&scene.server.db.pool).await.unwrap();
    let words = ["Smith", "Dr user", &scene.launch.id, &token, "correct horse"];
    let leaks: Vec<_> = rows.iter().filter(|row| words.iter().any(|word| row.contains(word))).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let kept = "select count(*) from audit where query = 'name=…&_count=5'";
    assert_eq!(scene.server.count(kept).await, 1);
}

#[tokio::test]
async fn reads_can_be_left_out_and_refusals_cannot() {
    let scene = Scene::with("audit.reads = false").await;
    scene.app.get(scene.launch.first("Patient")).await.expect(200);
    scene.app.get("Observation").await.expect(200);
    assert!(scene.rows().await.is_empty());
    scene.app.get("Observation/none").await.expect(404);
    assert_eq!(scene.rows().await, ["read refused app Observation/none 404"]);
}

/// The table is away: every insert fails.
async fn break_the_trail(server: &TestServer) {
    sqlx::raw_sql("alter table audit rename to audit_gone").execute(&server.db.pool).await.expect("renamed");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_shown() {
    let scene = Scene::with("").await;
    break_the_trail(&scene.server).await;
    for path in [scene.launch.first("Patient"), "Observation", "Observation/_history"] {
        let answer = scene.app.get(path).await.expect_issue(503, "transient").saying("audit trail");
        assert!(!answer.text.contains("Smith") && !answer.header("retry-after").is_empty());
    }
    scene.server.stranger().get("metadata").await.expect(200);
}

#[tokio::test]
async fn an_operator_may_prefer_answers_without_a_row() {
    let scene = Scene::with("audit.on_failure = \"allow\"").await;
    break_the_trail(&scene.server).await;
    scene.app.get(scene.launch.first("Patient")).await.expect(200);
}

#[tokio::test]
async fn two_hundred_reads_at_once_lose_no_row_and_share_statements() {
    let scene = Scene::with("").await;
    let patient = scene.launch.first("Patient");
    let read = async |number: usize| {
        let id = format!("parallel-{number}");
        scene.app.send("GET", patient, &[("x-request-id", &id)], None).await.expect(200);
    };
    join_all((0..200).map(read)).await;
    let distinct =
        "select count(distinct request_id) from audit where request_id like 'parallel-%' and action = 'read'";
    assert_eq!(scene.server.count(distinct).await, 200);
    assert_eq!(scene.server.count("select count(*) from audit where request_id like 'parallel-%'").await, 200);
    let statements = "select count(distinct xmin::text) from audit where request_id like 'parallel-%'";
    assert!(scene.server.count(statements).await < 150, "rows of requests at the same time are stored together");
}

fn row(detail: &str) -> Row {
    Row::of(&Entry { action: "read", outcome: "success", detail: Some(detail), ..Entry::default() }, SystemClock.now())
}

#[tokio::test]
async fn a_recorder_says_that_the_database_is_away_and_works_when_it_is_back() {
    let server = TestServer::start().await;
    let config = Config::for_tests("");
    let pool = store::pool(server.db.options.clone(), &PoolLimits::from(&config.database));
    let recorder = Recorder::new(pool.clone(), config.audit.clone());
    let rename = async |sql: &'static str| sqlx::raw_sql(sql).execute(&server.db.pool).await.expect("renamed");
    rename("alter table audit rename to audit_gone").await;
    let all = join_all((0..20).map(|number| recorder.record(vec![row(&number.to_string())]))).await;
    assert!(all.iter().all(Result::is_err));
    rename("alter table audit_gone rename to audit").await;
    recorder.record(vec![row("first"), row("second")]).await.expect("stored");
    let details: Vec<String> =
        sqlx::query_scalar("select detail from audit where detail in ('first', 'second') order by seq")
            .fetch_all(&server.db.pool)
            .await
            .unwrap();
    assert_eq!(details, ["first", "second"]);
    pool.close().await;
    assert!(recorder.record(vec![row("third")]).await.is_err());
}

#[tokio::test]
async fn nobody_who_serves_requests_changes_removes_or_empties() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    service.post("Patient", &patient("x")).await.expect(201);
    for sql in [
        "update audit set detail = 'x'",
        "delete from audit",
        "truncate audit",
        "truncate audit cascade",
        "update audit_seal set rows = 0",
        "delete from audit_seal",
        "truncate audit_seal",
    ] {
        // As the program, which stands behind the wall, and as whoever owns the table.
        for pool in [&server.engine.pool, &server.db.pool] {
            let refused = sqlx::raw_sql(sql).execute(pool).await;
            assert!(refused.is_err(), "{sql}");
        }
    }
    let drop = sqlx::raw_sql("alter table audit disable trigger all").execute(&server.engine.pool).await;
    assert!(drop.is_err(), "the program cannot take the triggers away");
    assert!(server.count("select count(*) from audit").await > 0);
}

#[tokio::test]
async fn rows_are_seen_behind_their_wall_only() {
    let server = TestServer::start().await;
    for tenant in [7, 8] {
        let (poc, _receiver) = server.subscribed_poc(&format!("poc-{tenant}"), tenant).await;
        poc.launch(&SetContext::patient("Smith").build()).await;
    }
    let all = server.count("select count(*) from audit").await;
    let seen = async |wall: store::Wall| {
        let mut conn = store::read(&server.engine.pool, &wall).await.expect("a connection");
        let sql = "select coalesce(sum(1), 0), count(distinct tenant), coalesce(max(tenant), 0) from audit";
        sqlx::query_as::<_, (i64, i64, i64)>(sql).fetch_one(&mut *conn).await.expect("a count")
    };
    assert_eq!(seen(store::Wall::All).await.0, all);
    assert_eq!(seen(store::Wall::Auditor { tenant: None }).await.0, all);
    let (count, tenants, tenant) = seen(store::Wall::Auditor { tenant: Some(7) }).await;
    assert!(count > 0 && count < all && (tenants, tenant) == (1, 7));
    for wall in [store::Wall::Shared, store::Wall::Service, store::Wall::Poc { tenant: 7, client: "poc-7".into() }] {
        assert_eq!(seen(wall.clone()).await.0, 0, "{wall:?}");
    }
    let mut tx = store::begin(&server.engine.pool).await.expect("a transaction");
    let unsaid = sqlx::query("select 1 from audit").execute(tx.conn()).await;
    assert!(unsaid.is_err(), "who does not say behind which wall it looks sees nothing");
}
