//! The embedded Postgres: durable, private, gone with the server, back after a kill.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sofa::config;
use sofa::embedded::Embedded;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};

use crate::support::db::place;

/// Names the data folder to the child process of a test.
const CHILD: &str = "SOFA_TEST_EMBEDDED_CHILD";

/// A folder that the user who runs Postgres can pass through.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("sofa-embedded").tempdir_in(place()).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn at(folder: &Path) -> config::Embedded {
    config::Embedded { data_dir: Some(folder.to_owned()), bin_dir: None }
}

async fn write(options: &PgConnectOptions, value: &str) {
    let mut connection = options.connect().await.unwrap();
    sqlx::query("create table if not exists kept (value text)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into kept values ($1)").bind(value).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn read(options: &PgConnectOptions) -> Vec<String> {
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::query("select value from kept order by 1").fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn postmaster(folder: &Path) -> Option<rustix::process::Pid> {
    let text = std::fs::read_to_string(folder.join("pg/pgdata/postmaster.pid")).ok()?;
    rustix::process::Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn data_outlives_the_server_and_no_port_is_opened() {
    let folder = folder();
    let first = Embedded::start(&at(folder.path())).await.unwrap();
    assert!(first.initialised());
    let options = first.ensure_database("sofa").await.unwrap();
    write(&options, "a").await;
    let mut connection = options.connect().await.unwrap();
    for (setting, wanted) in
        [("listen_addresses", ""), ("fsync", "on"), ("synchronous_commit", "on"), ("TimeZone", "UTC")]
    {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut connection).await.unwrap();
        assert_eq!(value, wanted, "{setting}");
    }
    drop(connection);
    let key = first.master_key().unwrap().expose().clone();
    drop(first);
    assert!(postmaster(folder.path()).is_none(), "Postgres is gone when the drop returns");

    let second = Embedded::start(&at(folder.path())).await.unwrap();
    assert!(!second.initialised());
    assert_eq!(&key, second.master_key().unwrap().expose());
    assert_eq!(read(&second.ensure_database("sofa").await.unwrap()).await, ["a"]);
    let emptied = second.recreate_database("sofa").await.unwrap();
    assert!(sqlx::query("select from kept").execute(&mut emptied.connect().await.unwrap()).await.is_err());
}

#[tokio::test]
async fn only_its_owner_can_enter_the_folder() {
    let folder = folder();
    let _running = Embedded::start(&at(folder.path())).await.unwrap();
    let mode = folder.path().join("pg").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_second_user_of_the_folder_gets_the_running_one() {
    let folder = folder();
    let first = Embedded::start(&at(folder.path())).await.unwrap();
    let second = Embedded::start(&at(folder.path())).await.unwrap();
    assert!(first.ended().is_some() && second.ended().is_none());
    write(&second.ensure_database("sofa").await.unwrap(), "b").await;
    drop(second);
    assert_eq!(read(&first.connect_options("sofa").unwrap()).await, ["b"]);
}

/// Not a test: what the tests below run in another process, to kill it.
#[tokio::test]
async fn child_process() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let embedded = Embedded::start(&at(Path::new(&folder))).await.unwrap();
    write(&embedded.ensure_database("sofa").await.unwrap(), "child").await;
    std::fs::write(Path::new(&folder).join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

async fn child(folder: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "embedded::child_process", "--nocapture"]).env(CHILD, folder);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the child writes", || folder.join("ready").exists()).await;
    child
}

#[tokio::test]
async fn postgres_ends_when_the_server_is_killed() {
    let folder = folder();
    let mut server = child(folder.path()).await;
    assert!(postmaster(folder.path()).is_some());
    server.kill().unwrap();
    server.wait().unwrap();
    eventually("Postgres ends", || postmaster(folder.path()).is_none()).await;
}

#[tokio::test]
async fn a_start_right_after_a_kill_waits_for_the_old_postgres() {
    let folder = folder();
    let mut server = child(folder.path()).await;
    server.kill().unwrap();
    server.wait().unwrap();
    let embedded = Embedded::start(&at(folder.path())).await.unwrap();
    assert_eq!(read(&embedded.connect_options("sofa").unwrap()).await, ["child"]);
}

#[tokio::test]
async fn a_crash_of_everything_leaves_a_stale_pid_file_that_does_no_harm() {
    let folder = folder();
    let mut server = child(folder.path()).await;
    let pid = postmaster(folder.path()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let stale = folder.path().join("pg/pgdata/postmaster.pid");
    // The worst case: the number now belongs to a living process that is no Postgres.
    let text = std::fs::read_to_string(&stale).unwrap();
    std::fs::write(&stale, text.replacen(&pid.as_raw_nonzero().to_string(), &std::process::id().to_string(), 1))
        .unwrap();
    let embedded = Embedded::start(&at(folder.path())).await.unwrap();
    assert_eq!(read(&embedded.connect_options("sofa").unwrap()).await, ["child"]);
}

#[tokio::test]
async fn a_folder_without_postgres_is_refused_in_one_sentence() {
    let folder = folder();
    let config = config::Embedded { bin_dir: Some(folder.path().join("bin")), ..at(folder.path()) };
    let error = Embedded::start(&config).await.err().unwrap();
    let message = format!("{error:#}");
    assert!(message.starts_with("embedded.bin_dir cannot be used: ") && message.ends_with("`initdb` and `postgres`"));
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_with_the_package_that_helps() {
    let folder = folder();
    drop(Embedded::start(&at(folder.path())).await.unwrap());
    std::fs::write(folder.path().join("pg/pgdata/PG_VERSION"), "9\n").unwrap();
    let error = Embedded::start(&at(folder.path())).await.err().unwrap();
    assert!(format!("{error:#}").contains("made by Postgres 9"), "{error:#}");
    assert!(format!("{error:#}").contains("postgresql-9"), "{error:#}");
}
