//! Seals of the audit trail: what was changed, removed, added, swapped or cut off is noticed, in the database and in a file;
//! and the operator's trace of a launch.

use std::sync::Arc;

use sofa::access::audit::chain::Wrong;
use sofa::access::audit::seal;
use sofa::clock::{Clock, SystemClock};
use sofa::secret::Sealer;
use sofa::store::audit::{Entry, Row};
use sofa::store::{self, Wall, audit_seal};
use sofa::token::key_set::KeySet;

use crate::cli;
use crate::fixtures::SetContext;
use crate::support::app::USUAL;
use crate::support::server::{Options, TestServer};

struct Trail {
    server: TestServer,
    keys: KeySet,
}

impl Trail {
    async fn new() -> Self {
        let server = TestServer::with(Options { without_workers: true, ..Options::default() }).await;
        let engine = &server.engine;
        let issuer = "https://sofa.example".to_owned();
        let keys = KeySet::open(engine.pool.clone(), engine.sealer.clone(), Arc::new(SystemClock), issuer).await;
        Self { keys: keys.expect("keys"), server }
    }

    async fn add(&self, details: &[&str]) {
        let rows = details.iter().map(|detail| {
            let entry =
                Entry { action: "read", outcome: "success", tenant: 7, detail: Some(detail), ..Entry::default() };
            Row::of(&entry, SystemClock.now())
        });
        self.server.engine.recorder.record(rows.collect()).await.expect("stored");
    }

    async fn seal(&self) -> usize {
        let engine = &self.server.engine;
        seal::seal(&engine.pool, &self.keys, &engine.sealer, SystemClock.now()).await.expect("sealed")
    }

    /// What is wrong, by the whole chain.
    async fn wrong(&self) -> Vec<Wrong> {
        let engine = &self.server.engine;
        seal::verify(&engine.pool, Some(&engine.sealer), None).await.expect("a walk").wrong
    }

    /// Somebody who owns the database does this, without what stands in the way.
    async fn tamper(&self, sql: &'static str) {
        let all = ["alter table audit disable trigger all", "alter table audit_seal disable trigger all", sql];
        for sql in all {
            sqlx::raw_sql(sql).execute(&self.server.db.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
}

/// Three seals: rows 1–2, 3 (4 was never stored), 5–6; row 7 is not sealed.
async fn sealed() -> Trail {
    let trail = Trail::new().await;
    trail.add(&["a", "b"]).await;
    assert_eq!(trail.seal().await, 2);
    trail.add(&["c"]).await;
    let mut tx = store::begin(&trail.server.db.pool).await.unwrap();
    store::audit::append(tx.conn(), &Entry { action: "x", outcome: "success", ..Entry::default() }, SystemClock.now())
        .await
        .unwrap();
    drop(tx);
    // The rollback is sent by the pool; the number is used all the same.
    assert_eq!(trail.seal().await, 1);
    trail.add(&["d", "e"]).await;
    assert_eq!(trail.seal().await, 2);
    assert_eq!(trail.seal().await, 0, "nothing is sealed twice");
    trail.add(&["f"]).await;
    trail
}

#[tokio::test]
async fn an_untouched_trail_is_as_it_was_sealed() {
    let trail = sealed().await;
    let engine = &trail.server.engine;
    let walk = seal::verify(&engine.pool, Some(&engine.sealer), None).await.unwrap();
    assert_eq!(walk.wrong, []);
    assert_eq!((walk.sealed, walk.end()), (5, (3, 1)));
    assert_eq!(walk.keys.len(), 1);
    trail.keys.rotate().await.unwrap();
    trail.seal().await;
    let walk = seal::verify(&engine.pool, Some(&engine.sealer), None).await.unwrap();
    assert_eq!((walk.wrong.as_slice(), walk.keys.len()), ([].as_slice(), 2), "seals outlive their keys");
}

#[tokio::test]
async fn whatever_is_done_to_rows_or_seals_is_noticed() {
    let rows = |number, first, last| Wrong::Rows { number, first, last };
    let whole = async |trail: &Trail| trail.wrong().await;
    for (sql, expected) in [
        ("update audit set detail = 'z' where seq = 2", vec![rows(1, 1, 2)]),
        ("update audit set at = at + interval '1 second' where seq = 3", vec![rows(2, 3, 3)]),
        ("update audit set tenant = 8 where seq = 5", vec![rows(3, 4, 6)]),
        ("update audit set patients = '{}' where seq = 1", vec![rows(1, 1, 2)]),
        ("delete from audit where seq = 1", vec![rows(1, 1, 2)]),
        ("delete from audit where seq in (5, 6)", vec![rows(3, 4, 6)]),
        (
            "insert into audit (seq, at, action, outcome, tenant) overriding system value values (4, now(), 'x', 'success', 0)",
            vec![rows(3, 4, 6)],
        ),
        (
            "update audit a set detail = b.detail, at = b.at from audit b where a.seq in (1, 2) and b.seq = 3 - a.seq",
            vec![rows(1, 1, 2)],
        ),
        ("update audit_seal set rows = 3 where number = 1", vec![rows(1, 1, 2), Wrong::Signature(1)]),
        ("delete from audit_seal where number = 2", vec![Wrong::Missing(2), rows(3, 4, 6)]),
        ("update audit_seal set proof = '\\x00' where number = 3", vec![Wrong::Proof(3)]),
        ("update audit_seal set jws = jws || 'x' where number = 1", vec![Wrong::Signature(1)]),
        (
            "update audit_seal set public_key = jsonb_set(public_key, '{n}', '\"AQAB\"') where number = 1",
            vec![Wrong::Signature(1)],
        ),
    ] {
        let trail = sealed().await;
        trail.tamper(sql).await;
        let found = whole(&trail).await;
        for wrong in &expected {
            assert!(found.contains(wrong), "{sql}: {wrong:?} not in {found:?}");
        }
    }
}

#[tokio::test]
async fn seals_of_another_master_key_are_noticed_also_when_all_else_fits() {
    let trail = sealed().await;
    let engine = &trail.server.engine;
    let thief = Sealer::new(&[9; 32]).unwrap();
    // The whole chain is made anew, with rows that were changed and a key that was made for it.
    trail.tamper("truncate audit_seal; update audit set detail = 'z' where seq = 2").await;
    seal::seal(&trail.server.db.pool, &trail.keys, &thief, SystemClock.now()).await.unwrap();
    let without = seal::verify(&engine.pool, None, None).await.unwrap();
    assert_eq!(without.wrong, [], "the chain fits itself");
    let kids = Some(vec!["another-key".to_owned()]);
    assert_eq!(seal::verify(&engine.pool, None, kids).await.unwrap().wrong, [Wrong::Key(1)]);
    assert_eq!(trail.wrong().await, [Wrong::Proof(1)]);
}

#[tokio::test]
async fn a_row_that_is_still_being_stored_is_waited_for() {
    let trail = Trail::new().await;
    let mut tx = store::begin(&trail.server.db.pool).await.unwrap();
    let entry = Entry { action: "slow", outcome: "success", ..Entry::default() };
    store::audit::append(tx.conn(), &entry, SystemClock.now()).await.unwrap();
    trail.add(&["fast"]).await;
    assert_eq!(trail.seal().await, 0, "a lower number may come");
    tx.commit().await.unwrap();
    assert_eq!(trail.seal().await, 2);
    assert_eq!(trail.wrong().await, []);
}

#[tokio::test]
async fn replicas_make_one_chain_while_rows_come_in() {
    let trail = Trail::new().await;
    let add = async {
        for round in 0..30 {
            trail.add(&[&format!("row {round}"), "x", "y"]).await;
        }
    };
    let replica = async {
        for _ in 0..12 {
            trail.seal().await;
        }
    };
    tokio::join!(add, replica, async {
        for _ in 0..12 {
            trail.seal().await;
        }
    });
    trail.seal().await;
    assert_eq!(trail.wrong().await, []);
    let mut conn = store::read(&trail.server.engine.pool, &Wall::Auditor { tenant: None }).await.unwrap();
    let last = audit_seal::last(&mut conn).await.unwrap().unwrap();
    assert_eq!(last.last_seq, audit_seal::highest(&mut conn).await.unwrap());
    assert_eq!(trail.server.count("select sum(rows)::bigint from audit_seal").await, 90);
}

/// The exported lines, and where to write changed ones.
fn exported(trail: &Trail, arguments: &[&str]) -> Vec<String> {
    let text = cli::out(&cli::with(&trail.server.db, &[&["audit", "export"], arguments].concat(), ""));
    text.lines().map(str::to_owned).collect()
}

fn verified(trail: &Trail, lines: &[String], arguments: &[&str]) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.join("\n") + "\n").unwrap();
    let path = file.path().to_str().unwrap();
    let output = cli::with(&trail.server.db, &[&["audit", "verify", path], arguments].concat(), "");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &cli::err(&output))
}

#[tokio::test]
async fn a_file_is_checked_without_the_database() {
    let trail = sealed().await;
    let lines = exported(&trail, &[]);
    assert_eq!(lines.len(), 6 + 3, "{lines:#?}");
    let (is_good, said) = verified(&trail, &lines, &[]);
    assert!(is_good && said.contains("5 rows up to seal 3") && said.contains("1 rows are not sealed yet"), "{said}");
    assert!(verified(&trail, &lines, &["--at-least", "3"]).0);
    assert!(!verified(&trail, &lines, &["--at-least", "4"]).0, "the end is missing");
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        verified(&trail, &lines, &[])
    };
    for (name, change) in [
        (
            "changed",
            &(|lines: &mut Vec<String>| lines[0] = lines[0].replace("\"a\"", "\"z\"")) as &dyn Fn(&mut Vec<String>),
        ),
        ("removed", &|lines| drop(lines.remove(1))),
        ("added", &|lines| lines.insert(1, lines[0].replace("\"seq\":1", "\"seq\":2"))),
        ("swapped", &|lines| lines.swap(0, 1)),
        ("a seal less", &|lines| drop(lines.remove(4))),
        ("a seal and its rows less", &|lines| drop(lines.drain(3..5))),
    ] {
        let (is_good, said) = changed(change);
        assert!(!is_good, "{name}: {said}");
    }
    let jwks = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(jwks.path(), trail.keys.published().await.unwrap().to_string()).unwrap();
    let path = jwks.path().to_str().unwrap().to_owned();
    assert!(verified(&trail, &lines, &["--jwks", &path]).0);
    std::fs::write(jwks.path(), "{\"keys\":[]}").unwrap();
    assert!(!verified(&trail, &lines, &["--jwks", &path]).0, "the key is none of these");
    let since = exported(&trail, &["--since", "2999-01-01T00:00:00Z"]);
    assert!(since.is_empty());
    let until = exported(&trail, &["--until", "2999-01-01T00:00:00Z"]);
    assert_eq!(until, lines);
}

#[tokio::test]
async fn the_database_is_checked_by_command() {
    let trail = sealed().await;
    let said = cli::out(&cli::with(&trail.server.db, &["audit", "verify"], ""));
    assert!(said.contains("5 rows up to seal 3 are as they were sealed"), "{said}");
    trail.tamper("delete from audit where seq = 1").await;
    let output = cli::with(&trail.server.db, &["audit", "verify"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("rows were changed, removed or added"));
}

#[tokio::test]
async fn the_trace_of_a_launch_tells_what_was_asked_granted_withheld_and_refused() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    server.user("stranger", 8).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app_with_scope("app", "launch openid patient/*.rs").await;
    let refused = app.launch_with(&launch.id, "stranger", USUAL).await;
    assert!(refused.is_err());
    let launched =
        app.launch_with(&launch.id, "user", "launch openid patient/*.rs patient/*.cud").await.expect("a launch");
    launched.get(launch.first("Patient")).await.expect(200);
    launched.get("Observation/none").await.expect(404);
    poc.clear(&launch.id).await.expect(200);
    let told = cli::out(&cli::with(&server.db, &["audit", "launch", &launch.id], ""));
    for part in [
        "by poc of organisation 7",
        "cleared",
        "context-set",
        "refused  authorize",
        "asked: launch openid patient/*.rs patient/*.cud; granted: launch openid patient/*.rs; withheld: patient/*.cud (",
        "success  token",
        "success  read",
        "refused  read",
        "context-clear",
    ] {
        assert!(told.contains(part), "{part:?} not in {told}");
    }
    assert!(!told.contains("Smith") && !told.contains(&launch.id), "{told}");
    let id = told.lines().next().unwrap().split_whitespace().last().unwrap().to_owned();
    assert_eq!(cli::out(&cli::with(&server.db, &["audit", "launch", &id], "")), told, "also by the context's id");
    let unknown = cli::with(&server.db, &["audit", "launch", "nonsense"], "");
    assert!(cli::err(&unknown).contains("no such launch"));
}
