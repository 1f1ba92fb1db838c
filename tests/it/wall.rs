//! The second wall: what Postgres itself shows, whatever a statement asks for.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sofa::config::RowLevelSecurity;
use sofa::store::{self, Wall};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::support::db::{PATIENCE_FOR_A_CONNECTION, TestDb, db};

/// The tables that hold content.
const TABLES: [&str; 3] = ["resource", "resource_history", "intent_change"];

const LIMITS: store::PoolLimits = store::PoolLimits {
    max_connections: 1,
    acquire_timeout: PATIENCE_FOR_A_CONNECTION,
    statement_timeout: Duration::from_secs(10),
};

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);
const C: Uuid = Uuid::from_u128(0xc);

fn launch(tenant: i64, context: Uuid) -> Wall {
    Wall::Launch { tenant, context }
}

fn poc(tenant: i64, client: &str) -> Wall {
    Wall::Poc { tenant, client: client.to_owned() }
}

/// Launches A and B of the PoC `p`, C of the PoC `q` of another organisation; A links something of B. Each resource has a
/// superseded version, each launch a waiting change.
async fn fill(db: &TestDb) {
    let sql = "
        insert into context (id, tenant, poc_client, launch_digest, created_at, expires_at)
        select id, tenant, client, decode(md5(id::text), 'hex'), now(), now() + interval '1 day' from (values
          ('00000000-0000-0000-0000-00000000000a'::uuid, 7, 'p'), ('00000000-0000-0000-0000-00000000000b', 7, 'p'),
          ('00000000-0000-0000-0000-00000000000c', 8, 'q')) as c (id, tenant, client);
        insert into resource (tenant, type, id, version, updated, method, context, poc_client, body)
        select tenant, 'Basic', id, 2, now(), 'PUT', context, client, '{}' from (values
          (0, 'shared', null::uuid, null),
          (7, 'of-a', '00000000-0000-0000-0000-00000000000a', 'p'),
          (7, 'of-b', '00000000-0000-0000-0000-00000000000b', 'p'),
          (7, 'linked', '00000000-0000-0000-0000-00000000000b', 'p'),
          (7, 'kept', null, 'p'),
          (8, 'of-c', '00000000-0000-0000-0000-00000000000c', 'q')) as r (tenant, id, context, client);
        insert into resource_history (tenant, type, id, version, updated, method, body)
        select tenant, type, id, 1, updated, 'POST', '{}' from resource;
        insert into context_link values ('00000000-0000-0000-0000-00000000000a', 7, 'Basic', 'linked');
        insert into intent (id, tenant, context, client_id, grant_id, process, state, created_at, deadline)
        select id, tenant, id, 'app', id, id, 'staged', now(), now() from context;
        insert into intent_change (intent, ord, tenant, type, id, version, updated, method, body)
        select id, 0, tenant, 'Basic', 'waits-' || right(id::text, 1), 1, now(), 'POST', '{}' from intent;";
    sqlx::raw_sql(sql).execute(&db.pool).await.unwrap();
}

async fn walled() -> (TestDb, PgPool) {
    let db = db().await;
    fill(&db).await;
    let pool = store::pool(db.options.clone(), &LIMITS);
    (db, pool)
}

async fn ids(conn: &mut PgConnection, table: &str) -> Result<Vec<String>, sqlx::Error> {
    let sql = AssertSqlSafe(format!("select id from {table} order by id"));
    sqlx::query_scalar(sql).fetch_all(conn).await
}

/// The SQLSTATE of a refused statement.
fn refused<T: std::fmt::Debug>(done: Result<T, sqlx::Error>) -> String {
    done.unwrap_err().as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn each_wall_shows_its_own_resources_and_the_shared_ones() {
    let (_db, pool) = walled().await;
    let all = ["kept", "linked", "of-a", "of-b", "of-c", "shared"];
    let cases: [(Wall, &[&str], &[&str]); 9] = [
        (Wall::All, &all, &["waits-a", "waits-b", "waits-c"]),
        (launch(7, A), &["linked", "of-a", "shared"], &["waits-a"]),
        (launch(7, B), &["linked", "of-b", "shared"], &["waits-b"]),
        (launch(8, C), &["of-c", "shared"], &["waits-c"]),
        (poc(7, "p"), &["kept", "linked", "of-a", "of-b", "shared"], &[]),
        (poc(8, "q"), &["of-c", "shared"], &[]),
        (poc(7, "q'\\\""), &["shared"], &[]),
        (Wall::Service, &["shared"], &[]),
        (Wall::Shared, &["shared"], &[]),
    ];
    for (wall, resources, changes) in cases {
        let mut conn = store::read(&pool, &wall).await.unwrap();
        assert_eq!(ids(&mut conn, "resource").await.unwrap(), resources, "{wall:?}");
        assert_eq!(ids(&mut conn, "resource_history").await.unwrap(), resources, "{wall:?}");
        assert_eq!(ids(&mut conn, "intent_change").await.unwrap(), changes, "{wall:?}");
    }
}

#[tokio::test]
async fn nothing_is_seen_where_no_wall_was_said() {
    let (_db, pool) = walled().await;
    for round in ["never", "not any more"] {
        let mut conn = pool.acquire().await.unwrap();
        for table in TABLES {
            // Not even that there is nothing: an overlooked statement is to be noticed.
            let seen = ids(&mut conn, table).await;
            assert!(seen.is_err(), "{table}: {seen:?}, a wall was {round} said");
            // Also not what is shared, whatever the planner makes of it.
            let shared =
                AssertSqlSafe(format!("select 1 from {table} where tenant = 0 and type = 'Basic' and id = 'shared'"));
            let seen = sqlx::query_scalar::<_, i32>(shared).fetch_all(&mut *conn).await;
            assert!(!seen.as_ref().is_ok_and(|seen| !seen.is_empty()), "{table}: {seen:?}, a wall was {round} said");
        }
        drop(conn);
        let mut tx = store::begin(&pool).await.unwrap();
        assert!(ids(tx.conn(), "resource").await.is_err(), "a wall was {round} said");
        drop(tx);
        let mut tx = store::begin_behind(&pool, &Wall::All).await.unwrap();
        assert_eq!(ids(tx.conn(), "resource").await.unwrap().len(), 6);
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_carries_no_wall_to_its_next_user() {
    let (_db, pool) = walled().await;
    let is_clean = async || {
        let mut conn = pool.acquire().await.unwrap();
        let said: Option<String> = sqlx::query_scalar("select nullif(current_setting('sofa.wall', true), '')")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(said, None);
        assert!(ids(&mut conn, "resource").await.is_err());
        // Statements of one transaction have one time.
        let mut times = Vec::<String>::new();
        for _ in 0..2 {
            times.push(sqlx::query_scalar("select now()::text").fetch_one(&mut *conn).await.unwrap());
        }
        assert_ne!(times[0], times[1], "a transaction was left open");
    };
    // Dropped after use, in the middle of a statement, after a fault, and before it had begun.
    let mut conn = store::read(&pool, &launch(7, A)).await.unwrap();
    assert_eq!(ids(&mut conn, "resource").await.unwrap().len(), 3);
    drop(conn);
    is_clean().await;
    let mut conn = store::read(&pool, &Wall::All).await.unwrap();
    let slow =
        tokio::time::timeout(Duration::from_millis(20), sqlx::raw_sql("select pg_sleep(0.1)").execute(&mut *conn));
    assert!(slow.await.is_err());
    drop(conn);
    is_clean().await;
    let mut conn = store::read(&pool, &Wall::All).await.unwrap();
    assert!(sqlx::raw_sql("select 1/0").execute(&mut *conn).await.is_err());
    drop(conn);
    is_clean().await;
    for steps in 0..6 {
        while pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        let pool = pool.clone();
        let begin = tokio::spawn(async move { store::begin_behind(&pool, &Wall::All).await.map(drop) });
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        begin.abort();
        let _ended = begin.await;
        is_clean().await;
    }
}

#[tokio::test]
async fn a_reader_writes_nothing() {
    let (_db, pool) = walled().await;
    let mut conn = store::read(&pool, &Wall::All).await.unwrap();
    let done = sqlx::raw_sql("update resource set body = 'x'").execute(&mut *conn).await;
    assert_eq!(refused(done), "25006");
}

#[tokio::test]
async fn only_what_is_of_the_callers_own_is_written() {
    let (_db, pool) = walled().await;
    let insert = async |wall: &Wall, tenant: i64, context: Option<Uuid>, client: Option<&str>| {
        let mut tx = store::begin_behind(&pool, wall).await.unwrap();
        let sql = "insert into resource (tenant, type, id, version, updated, method, context, poc_client)
            values ($1, 'Basic', 'new', 1, now(), 'POST', $2, $3)";
        let query = sqlx::query(sql).bind(tenant).bind(context).bind(client);
        let done = query.execute(tx.conn()).await.map(|done| done.rows_affected());
        // Rolled back: each case stands alone.
        done.map_err(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
    };
    let no = || Err("42501".to_owned());
    let cases = [
        (launch(7, A), 7, Some(A), Some("p"), Ok(1)),
        (launch(7, A), 7, Some(B), Some("p"), no()),
        (launch(7, A), 8, Some(A), Some("p"), no()),
        (launch(7, A), 7, None, Some("p"), no()),
        (launch(7, A), 0, None, None, no()),
        (launch(7, A), 0, Some(A), None, no()),
        (poc(7, "p"), 7, Some(B), Some("p"), Ok(1)),
        (poc(7, "p"), 7, None, Some("p"), Ok(1)),
        (poc(7, "p"), 7, Some(B), Some("q"), no()),
        (poc(7, "p"), 8, None, Some("p"), no()),
        (poc(7, "p"), 0, None, None, no()),
        (Wall::Service, 0, None, None, Ok(1)),
        (Wall::Service, 7, None, Some("p"), no()),
        (Wall::Shared, 0, None, None, no()),
        (Wall::Shared, 7, Some(A), Some("p"), no()),
        (Wall::All, 8, Some(C), Some("q"), Ok(1)),
    ];
    for (wall, tenant, context, client, expected) in cases {
        assert_eq!(
            insert(&wall, tenant, context, client).await,
            expected,
            "{wall:?}: {tenant}, {context:?}, {client:?}"
        );
    }
}

#[tokio::test]
async fn what_is_hidden_is_neither_changed_nor_removed_nor_locked() {
    let (db, pool) = walled().await;
    let wall = launch(7, A);
    let rows = async |sql: &'static str| {
        let mut tx = store::begin_behind(&pool, &wall).await.unwrap();
        sqlx::query(sql).execute(tx.conn()).await.map(|done| done.rows_affected())
    };
    // Its own and what it links, and the shared one, which it may see but not change.
    assert_eq!(rows("update resource set body = 'x' where id <> 'shared'").await.unwrap(), 2);
    assert_eq!(refused(rows("update resource set body = 'x' where id = 'shared'").await), "42501");
    assert_eq!(refused(rows("update resource set tenant = 8 where id = 'of-a'").await), "42501");
    assert_eq!(rows("select 1 from resource where id = 'of-b' for update").await.unwrap(), 0);
    assert_eq!(rows("update resource_history set body = 'x' where id = 'of-b'").await.unwrap(), 0);
    let history = "insert into resource_history (tenant, type, id, version, updated, method)
        values (7, 'Basic', 'of-b', 9, now(), 'PUT')";
    assert_eq!(refused(rows(history).await), "42501");
    for table in ["delete from resource", "delete from resource_history"] {
        assert_eq!(rows(table).await.unwrap(), 0, "removing is for clearing and expiry");
    }
    let untouched = "select count(*) from resource where body = '{}'";
    assert_eq!(sqlx::query_scalar::<_, i64>(untouched).fetch_one(&db.pool).await.unwrap(), 6);
}

#[tokio::test]
async fn one_question_is_answered_across_the_wall() {
    let (_db, pool) = walled().await;
    let mut tx = store::begin_behind(&pool, &launch(7, A)).await.unwrap();
    for (tenant, id, taken) in [(7, "of-a", true), (7, "of-b", true), (8, "of-c", true), (7, "of-c", false)] {
        assert_eq!(store::resource::is_taken(tx.conn(), tenant, "Basic", id).await.unwrap(), taken, "{id}");
    }
    // The wall stands as before.
    assert_eq!(ids(tx.conn(), "resource").await.unwrap(), ["linked", "of-a", "shared"]);
}

#[tokio::test]
async fn a_superuser_works_as_a_role_that_can_only_read_and_write() {
    let (db, pool) = walled().await;
    let who = "select session_user::text, current_user::text, rolsuper or rolbypassrls or rolcreaterole or rolcanlogin
        from pg_roles where rolname = current_user";
    let mut conn = pool.acquire().await.unwrap();
    let (session, current, may): (String, String, bool) = sqlx::query_as(who).fetch_one(&mut *conn).await.unwrap();
    assert_eq!((session.as_str(), current.as_str(), may), (db.options.get_username(), store::wall::ROLE, false));
    for table in TABLES {
        let sql = AssertSqlSafe(format!("alter table {table} disable row level security"));
        assert_eq!(refused(sqlx::raw_sql(sql).execute(&mut *conn).await), "42501");
    }
    assert_eq!(refused(sqlx::raw_sql("drop policy wall on resource").execute(&mut *conn).await), "42501");
    assert_eq!(refused(sqlx::raw_sql("select * from _sqlx_migrations").execute(&mut *conn).await), "42501");
    // With it off, statements fail instead of looking past the policies.
    let off = "begin; set local sofa.wall = off; set local row_security = off; select * from resource";
    assert_eq!(refused(sqlx::raw_sql(off).execute(&mut *conn).await), "42501");
}

/// A role of this test, as which one can connect; its name.
async fn role(db: &TestDb, rights: &str) -> String {
    let name = format!("r_{}", sofa::id::new_uuid().simple());
    sqlx::raw_sql(AssertSqlSafe(format!("create role {name} login {rights}"))).execute(&db.pool).await.unwrap();
    name
}

async fn drop_role(db: &TestDb, name: &str) {
    let sql = AssertSqlSafe(format!("drop owned by {name}; drop role {name}"));
    sqlx::raw_sql(sql).execute(&db.pool).await.unwrap();
}

/// A migrated schema of its own for `role`, so that it is the owner of its tables.
async fn own_schema(db: &TestDb, role: &str) -> PgConnectOptions {
    let sql = AssertSqlSafe(format!("create schema {role} authorization {role}"));
    sqlx::raw_sql(sql).execute(&db.pool).await.unwrap();
    let options = db.options.clone().username(role).options([("search_path", "\"$user\"")]);
    let owner = store::owner_pool(options.clone(), &LIMITS);
    store::migrate(&owner).await.unwrap();
    owner.close().await;
    options
}

#[tokio::test]
async fn an_ordinary_owner_of_the_tables_stands_behind_the_wall_as_it_is() {
    let db = db().await;
    let name = role(&db, "nosuperuser").await;
    let options = own_schema(&db, &name).await;
    let owner = store::owner_pool(options.clone(), &LIMITS);
    store::wall::raise(&owner).await.unwrap();
    let pool = store::pool(options, &LIMITS);
    let mut tx = store::begin_behind(&pool, &Wall::Service).await.unwrap();
    let current: String = sqlx::query_scalar("select current_user::text").fetch_one(tx.conn()).await.unwrap();
    assert_eq!(current, name);
    let insert =
        "insert into resource (tenant, type, id, version, updated, method) values (0, 'Basic', 'x', 1, now(), 'POST')";
    sqlx::raw_sql(insert).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(&mut store::read(&pool, &Wall::Shared).await.unwrap(), "resource").await.unwrap(), ["x"]);
    assert!(ids(&mut pool.acquire().await.unwrap(), "resource").await.is_err());
    assert!(ids(&mut owner.acquire().await.unwrap(), "resource").await.is_err());
    pool.close().await;
    owner.close().await;
    drop_role(&db, &name).await;
}

#[tokio::test]
async fn a_superuser_with_a_schema_of_its_own_finds_its_tables_behind_the_wall() {
    let db = db().await;
    let name = role(&db, "superuser").await;
    let options = own_schema(&db, &name).await;
    let owner = store::owner_pool(options.clone(), &LIMITS);
    store::wall::raise(&owner).await.unwrap();
    owner.close().await;
    let pool = store::pool(options, &LIMITS);
    let mut conn = store::read(&pool, &Wall::All).await.unwrap();
    let home = "select current_user::text, 'resource'::regclass::text, (select relnamespace::regnamespace::text
        from pg_class where oid = 'resource'::regclass)";
    let (current, _, schema): (String, String, String) = sqlx::query_as(home).fetch_one(&mut *conn).await.unwrap();
    assert_eq!((current.as_str(), schema.as_str()), (store::wall::ROLE, name.as_str()));
    drop(conn);
    pool.close().await;
    drop_role(&db, &name).await;
}

#[tokio::test]
async fn a_role_that_bypasses_policies_and_may_make_roles_works_as_one_that_does_not() {
    let db = db().await;
    let name = role(&db, "bypassrls createrole").await;
    let options = own_schema(&db, &name).await;
    // From Postgres 16 on only who made a role, or was given it, may give it: here that was another.
    let admin = format!(
        "do $$ begin if current_setting('server_version_num')::int >= 160000 then grant {} to {name} with admin option; end if; end $$",
        store::wall::ROLE
    );
    sqlx::raw_sql(AssertSqlSafe(admin)).execute(&db.pool).await.unwrap();
    let owner = store::owner_pool(options.clone(), &LIMITS);
    store::wall::raise(&owner).await.unwrap();
    owner.close().await;
    let pool = store::pool(options, &LIMITS);
    let mut conn = store::read(&pool, &Wall::All).await.unwrap();
    let current: String = sqlx::query_scalar("select current_user::text").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(current, store::wall::ROLE);
    drop(conn);
    pool.close().await;
    drop_role(&db, &name).await;
}

#[tokio::test]
async fn a_role_that_bypasses_policies_and_can_make_no_other_is_told_so() {
    let db = db().await;
    let name = role(&db, "bypassrls").await;
    let options = own_schema(&db, &name).await;
    let owner = store::owner_pool(options.clone(), &LIMITS);
    let error = store::wall::raise(&owner).await.unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("database.row_level_security"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    owner.close().await;
    drop_role(&db, &name).await;
    assert_eq!(sofa::config::Config::for_tests("").database.row_level_security, RowLevelSecurity::Require);
}

#[tokio::test]
async fn the_program_does_not_start_without_the_wall_unless_it_is_told_to() {
    let db = db().await;
    let name = role(&db, "bypassrls").await;
    let options = own_schema(&db, &name).await;
    let url = db.url.replace(&format!("user={}", db.options.get_username()), &format!("user={name}"));
    assert!(url.contains(options.get_username()));
    let list = |security: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sofa"));
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        command.args(["client", "list"]).env_remove("SOFA_CONFIG");
        command
            .env("DATABASE_URL", format!("{url}&options[search_path]={name}"))
            .env("SOFA__SECURITY__MASTER_KEY", key);
        let output = command.env("SOFA__DATABASE__ROW_LEVEL_SECURITY", security).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (works, told) = list("require");
    assert!(!works && told.contains("row-level security would not hold") && told.contains(&name), "{told}");
    let (works, told) = list("off");
    assert!(works, "{told}");
    drop_role(&db, &name).await;
}

#[tokio::test]
async fn many_replicas_and_databases_raise_the_wall_at_once() {
    let (left, right) = tokio::join!(db(), db());
    let raise = async |db: &TestDb| {
        let owner = store::owner_pool(db.options.clone(), &LIMITS);
        let done = store::wall::raise(&owner).await;
        owner.close().await;
        done.unwrap();
    };
    for db in [&left, &right] {
        let sql = "revoke all on all tables in schema public from sofa_walled";
        sqlx::raw_sql(sql).execute(&db.pool).await.unwrap();
    }
    tokio::join!(raise(&left), raise(&left), raise(&right), raise(&left), raise(&right));
    for db in [&left, &right] {
        fill(db).await;
        let pool = store::pool(db.options.clone(), &LIMITS);
        assert_eq!(ids(&mut store::read(&pool, &poc(8, "q")).await.unwrap(), "resource").await.unwrap().len(), 2);
    }
}

/// The plan of a statement behind a wall.
async fn plan(pool: &PgPool, sql: &'static str) -> String {
    let mut conn = store::read(pool, &launch(7, A)).await.unwrap();
    let lines: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(format!("explain (costs off) {sql}"))).fetch_all(&mut *conn).await.unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn conditions_reach_the_indexes_through_the_wall() {
    let (db, pool) = walled().await;
    let many = "insert into resource (tenant, type, id, version, updated, method, context, poc_client, body)
        select 7, 'Basic', 'r' || n, 1, now() + n * interval '1 s', 'POST',
          ('00000000-0000-0000-0000-' || lpad((n % 1000)::text, 12, '0'))::uuid, 'p', '{}' from generate_series(1, 20000) n;
        insert into resource_history (tenant, type, id, version, updated, method, body)
        select tenant, type, id, 1, updated, 'POST', '{}' from resource where id like 'r%';
        analyze";
    sqlx::raw_sql(many).execute(&db.pool).await.unwrap();
    let cases = [
        (
            "select * from resource where tenant = 7 and type = 'Basic' and id = 'x'",
            "((tenant = 7) AND (type = 'Basic'::text) AND (id = 'x'::text))",
        ),
        ("select * from resource where tenant = 7 and key > 5 order by key limit 1", "((tenant = 7) AND (key > 5))"),
        (
            "select * from resource where tenant = 7 and updated >= to_timestamp('1'::numeric) order by updated limit 1",
            "((tenant = 7) AND (updated >= ",
        ),
        (
            "select * from resource where context = '00000000-0000-0000-0000-00000000000a' and not purged and type = 'Basic'",
            "((context = '00000000-0000-0000-0000-00000000000a'::uuid) AND (type = 'Basic'::text))",
        ),
        (
            "select * from resource_history where tenant = 7 and type = 'Basic' and id = 'x' and version = 1",
            "((tenant = 7) AND (type = 'Basic'::text) AND (id = 'x'::text) AND (version = 1))",
        ),
    ];
    for (sql, condition) in cases {
        let plan = plan(&pool, sql).await;
        assert!(plan.contains(&format!("Index Cond: {condition}")), "{sql}\n{plan}");
    }
    let plan = plan(&pool, "select * from resource").await;
    assert!(plan.contains("InitPlan"), "asked for once in a statement:\n{plan}");
}

#[tokio::test]
async fn locks_and_presence_work_behind_the_wall() {
    let (db, pool) = walled().await;
    let mut presence = store::presence::Presence::announce(&pool, A).await.unwrap();
    presence.check().await.unwrap();
    let seen = "select count(*) from pg_locks where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())";
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(seen).fetch_one(&mut *conn).await.unwrap(), 1);
    let limit: String = sqlx::query_scalar("show statement_timeout").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(limit, "10s");
    drop(conn);
    // A connection beside the pool, as presence has one, sees what the connecting role sees; it is asked nothing.
    let mut beside = db.options.connect().await.unwrap();
    assert_eq!(ids(&mut beside, "resource").await.unwrap().len(), 6);
    beside.close().await.unwrap();
}

/// Who sees everything: what goes on in nobody's name, and what ends a write or a context.
#[test]
fn all_resources_are_seen_by_background_work_only() {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("Wall::All")) {
                let below = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    let known = [
        // Where a test has taken the wall down.
        "access/caller.rs",
        "context/clear.rs",
        "context/expiry.rs",
        "interaction/search/reindex.rs",
        "interaction/subscription/handshake.rs",
        "interaction/subscription/mod.rs",
        "interaction/write/apply.rs",
    ];
    assert_eq!(found, known);
}

/// What is asked for when one wall, or both, were taken down on purpose.
#[cfg(debug_assertions)]
mod taken_down {
    use sofa::access::Walls;

    use crate::isolation::{Side, assert_unreachable, side};
    use crate::support::server::{Options, TestServer};

    /// Two launches of one organisation, and one of another.
    async fn sides(without_code: bool, without_database: bool) -> (TestServer, [Side; 3]) {
        let walls = Walls { without_code, without_database };
        let server = TestServer::with(Options { walls, ..Options::default() }).await;
        let sides = tokio::join!(side(&server, "left", 7), side(&server, "right", 7), side(&server, "far", 8));
        (server, sides.into())
    }

    #[tokio::test]
    async fn one_wall_is_enough() {
        for (without_code, without_database) in [(true, false), (false, true)] {
            let (_server, [left, right, far]) = sides(without_code, without_database).await;
            for other in [&right, &far] {
                for reference in [other.launch.first("Patient"), other.written.as_str()] {
                    assert_unreachable(&left.app, reference).await;
                    assert_unreachable(&left.poc, reference).await;
                }
                for listing in
                    ["Observation", "Observation/_history", "_history", "Patient?_revinclude=*", "?_type=Patient"]
                {
                    let told = left.app.get(listing).await.expect(200);
                    assert!(
                        !told.text.contains("Secret right") && !told.text.contains("Secret far"),
                        "{listing}: {}",
                        told.text
                    );
                    assert!(
                        listing.contains("Patient") || told.text.contains("secret left"),
                        "{listing}: {}",
                        told.text
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn without_either_every_way_is_open() {
        let (_server, [left, right, far]) = sides(true, true).await;
        for (other, name) in [(&right, "right"), (&far, "far")] {
            let reference = &other.written;
            let ways = [
                reference.clone(),
                format!("{reference}/_history"),
                format!("{reference}/_history/1"),
                "Observation".to_owned(),
                "Observation?subject:Patient.identifier=urn:mrn|".to_owned() + name,
                "Observation/_history".to_owned(),
                "_history".to_owned(),
                format!("{}&_revinclude=*", other.launch.first("Patient").replace('/', "?_id=")),
            ];
            for way in ways {
                let told = left.app.get(&way).await.expect(200);
                assert!(told.text.contains(&format!("secret {name}")), "{way}");
            }
        }
    }
}
