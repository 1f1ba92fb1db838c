//! The program as its operator uses it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::db::{TestDb, db};

pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub fn sofa(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sofa"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOFA__") {
            command.env_remove(name);
        }
    }
    command.env_remove("DATABASE_URL").env_remove("SOFA_CONFIG").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub fn with(db: &TestDb, arguments: &[&str], input: &str) -> Output {
    run(sofa(arguments).env("DATABASE_URL", &db.url).env("SOFA__SECURITY__MASTER_KEY", KEY), input)
}

pub fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_configuration_stops_the_start_and_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nlissten = \"127.0.0.1:8080\"\n").unwrap();
    let output = run(&mut sofa(&["--config", file.path().to_str().unwrap(), "check-config"]), "");
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains(&format!("{}:2: server.lissten: unknown key", file.path().display())));
}

#[test]
fn the_effective_configuration_is_shown_without_secrets() {
    let mut command = sofa(&["check-config"]);
    command.env("DATABASE_URL", "postgres://u:hidden@db/x").env("SOFA__SECURITY__MASTER_KEY", KEY);
    let shown = out(&run(command.env("SOFA__CONTEXT__TTL", "2h"), ""));
    assert!(shown.contains("ttl = \"2h\"") && shown.contains("url = \"***\""), "{shown}");
    assert!(!shown.contains("hidden") && !shown.contains(KEY));
}

#[tokio::test]
async fn clients_are_registered_listed_and_disabled() {
    let db = db().await;
    let add = ["client", "add", "chart", "--role", "app", "--redirect-uri", "https://app.example/cb"];
    let added = out(&with(&db, &[&add[..], &["--auth", "client_secret_basic"]].concat(), ""));
    let secret = added.lines().find_map(|line| line.strip_prefix("client_secret: ")).unwrap();
    assert_eq!(secret.len(), 43);
    let again = with(&db, &add, "");
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("there is a client chart already"));
    out(&with(&db, &["client", "disable", "chart"], ""));
    let listed: Value = serde_json::from_str(&out(&with(&db, &["client", "list", "--json"], ""))).unwrap();
    assert_eq!(listed[0]["client_id"], "chart");
    assert_eq!(listed[0]["enabled"], false);
    assert_eq!(listed[0]["origins"][0], "https://app.example");
    let refused = with(&db, &["client", "add", "clinic", "--role", "poc"], "");
    assert!(err(&refused).contains("tenant"), "{}", err(&refused));
}

#[tokio::test]
async fn passwords_come_through_standard_input_and_are_stored_as_argon2id() {
    let db = db().await;
    out(&with(
        &db,
        &["user", "add", "jones", "--tenant", "1", "--fhir-user", "Practitioner/1"],
        "seven green lamps dance\n",
    ));
    let hash = "select password_hash from user_account where name = 'jones'";
    let first: String = sqlx::query_scalar(hash).fetch_one(&db.pool).await.unwrap();
    assert!(first.starts_with("$argon2id$"));
    out(&with(&db, &["user", "passwd", "Jones"], "nine blue doors whisper\n"));
    let second: String = sqlx::query_scalar(hash).fetch_one(&db.pool).await.unwrap();
    assert_ne!(first, second);
    let short = with(&db, &["user", "add", "smith", "--any-organisation"], "short\n");
    assert!(err(&short).contains("at least 12 characters"), "{}", err(&short));
    let listed = out(&with(&db, &["user", "list"], ""));
    assert!(listed.contains("jones") && listed.contains("Practitioner/1") && !listed.contains("argon2"));
}

#[tokio::test]
async fn a_person_belongs_somewhere_or_expressly_anywhere() {
    let db = db().await;
    for (flags, told) in [
        (&[][..], "--tenant <TENANT>|--any-organisation"),
        (&["--tenant", "1", "--any-organisation"], "cannot be used with"),
        (&["--tenant", "0"], "a number above 0"),
    ] {
        let refused = with(&db, &[&["user", "add", "jones"], flags].concat(), "seven green lamps dance\n");
        assert!(!refused.status.success() && err(&refused).contains(told), "{}", err(&refused));
    }
    out(&with(&db, &["user", "add", "jones", "--any-organisation"], "seven green lamps dance\n"));
    let tenants: Vec<i64> = sqlx::query_scalar("select tenant from user_account").fetch_all(&db.pool).await.unwrap();
    assert_eq!(tenants, [0]);
}

#[tokio::test]
async fn a_new_password_is_no_easy_one() {
    let db = db().await;
    let add = ["user", "add", "jones.the.doctor", "--tenant", "1"];
    for (password, told) in [
        ("short one!1", "too short"),
        ("passwordpassword", "too easy to guess"),
        ("xx Jones.The.Doctor xx", "made of the person's name"),
    ] {
        let refused = with(&db, &add, &format!("{password}\n"));
        assert!(!refused.status.success() && err(&refused).contains(told), "{password}: {}", err(&refused));
    }
    out(&with(&db, &add, "seven green lamps dance\n"));
    let weak = with(&db, &["user", "passwd", "jones.the.doctor"], "passwordpassword\n");
    assert!(!weak.status.success() && err(&weak).contains("too easy to guess"), "{}", err(&weak));
}

#[tokio::test]
async fn a_person_who_cannot_get_in_is_helped_by_an_operator() {
    let db = db().await;
    out(&with(&db, &["user", "add", "jones", "--tenant", "1"], "seven green lamps dance\n"));
    let state = "select password_hash, must_change, second_factor from user_account";
    let read = async || -> (String, bool, String) { sqlx::query_as(state).fetch_one(&db.pool).await.unwrap() };
    let before = read().await;
    let printed = out(&with(&db, &["user", "reset", "jones", "--print-once"], ""));
    let password = printed.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
    assert_eq!(password.len(), 23, "{password}");
    let after = read().await;
    assert!(before.0 != after.0 && !before.1 && after.1);
    let quiet = out(&with(&db, &["user", "reset", "jones"], "nine blue doors whisper\n"));
    assert!(!quiet.contains("nine blue"), "{quiet}");
    out(&with(&db, &["user", "set", "jones", "--second-factor", "required"], ""));
    assert_eq!(read().await.2, "required");
    for (arguments, told) in [
        (&["user", "reset", "nobody", "--print-once"][..], "there is no user nobody"),
        (&["user", "second-factor", "reset", "jones"], "jones has no second factor"),
        (&["user", "set", "jones", "--second-factor", "sometimes"], "usual, required or off"),
        (&["user", "identities", "nobody"], "there is no user nobody"),
    ] {
        let refused = with(&db, arguments, "");
        assert!(!refused.status.success() && err(&refused).contains(told), "{arguments:?}: {}", err(&refused));
    }
    assert!(out(&with(&db, &["user", "identities", "jones"], "")).contains("no upstream provider knows jones"));
    let link =
        "insert into upstream_identity select 'https://up.example', 's-1', id, 'up', now(), now() from user_account";
    sqlx::query(link).execute(&db.pool).await.unwrap();
    assert!(out(&with(&db, &["user", "identities", "jones", "--unlink"], "")).contains("https://up.example  s-1"));
    assert!(out(&with(&db, &["user", "identities", "jones"], "")).contains("no upstream provider knows jones"));
    let factor = "insert into second_factor select id, '\\x00', now(), 0 from user_account";
    sqlx::query(factor).execute(&db.pool).await.unwrap();
    out(&with(&db, &["user", "second-factor", "reset", "jones"], ""));
    let left: i64 = sqlx::query_scalar("select count(*) from second_factor").fetch_one(&db.pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn people_are_changed_disabled_enabled_and_deleted() {
    let db = db().await;
    for name in ["jones", "smith"] {
        out(&with(
            &db,
            &["user", "add", name, "--tenant", "1", "--identifier", "urn:x|1"],
            "seven green lamps dance\n",
        ));
    }
    let listed = || -> Value { serde_json::from_str(&out(&with(&db, &["user", "list", "--json"], ""))).unwrap() };
    let set = ["user", "set", "JONES", "--name", "Dr.Jones", "--tenant", "2", "--identifier", "urn:x|2"];
    out(&with(&db, &[&set[..], &["--fhir-user", "Practitioner/2"]].concat(), ""));
    let people = listed();
    let jones = people.as_array().unwrap().iter().find(|one| one["name"] == "Dr.Jones").unwrap();
    assert_eq!(
        (&jones["tenant"], &jones["identifiers"][0], &jones["fhir_user"]),
        (&2.into(), &"urn:x|2".into(), &"Practitioner/2".into())
    );
    for (arguments, told) in [
        (&["user", "set", "dr.jones"][..], "nothing to change"),
        (&["user", "set", "dr.jones", "--name", "SMITH"], "there is a user SMITH already"),
        (&["user", "set", "dr.jones", "--fhir-user", "Device/1"], "--fhir-user"),
        (&["user", "set", "nobody", "--tenant", "1"], "there is no user nobody"),
        (&["user", "disable", "nobody"], "there is no user nobody"),
        (&["user", "delete", "nobody"], "there is no user nobody"),
    ] {
        let refused = with(&db, arguments, "");
        assert!(!refused.status.success() && err(&refused).contains(told), "{arguments:?}: {}", err(&refused));
    }
    out(&with(&db, &["user", "disable", "smith"], ""));
    assert!(listed().as_array().unwrap().iter().any(|one| one["name"] == "smith" && one["enabled"] == false));
    out(&with(&db, &["user", "enable", "smith"], ""));
    assert!(listed().as_array().unwrap().iter().all(|one| one["enabled"] == true));
    out(&with(&db, &["user", "delete", "smith"], ""));
    assert_eq!(listed().as_array().unwrap().len(), 1);
    let trail = "select action from audit where action like 'user-%' order by seq";
    let trail: Vec<String> = sqlx::query_scalar(trail).fetch_all(&db.pool).await.unwrap();
    assert_eq!(trail, ["user-add", "user-add", "user-change", "user-disable", "user-enable", "user-delete"]);
}

#[tokio::test]
async fn rotating_keys_lets_the_next_one_sign() {
    let db = db().await;
    let states = "select state from signing_key order by created_at";
    out(&with(&db, &["key", "rotate"], ""));
    let states: Vec<String> = sqlx::query_scalar(states).fetch_all(&db.pool).await.unwrap();
    assert_eq!(states, ["retired", "active", "next"]);
}

#[tokio::test]
async fn a_key_is_listed_and_withdrawn_by_its_id() {
    let db = db().await;
    let listed = out(&with(&db, &["key", "list"], ""));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(!listed.to_lowercase().contains("private"), "{listed}");
    let active = listed.lines().find(|line| line.contains("active")).unwrap();
    let kid = active.split_whitespace().next().unwrap();
    out(&with(&db, &["key", "retire", kid], ""));
    let after = out(&with(&db, &["key", "list"], ""));
    assert!(!after.contains(kid) && after.lines().count() == 2, "{after}");
    let gone = with(&db, &["key", "retire", kid], "");
    assert!(!gone.status.success() && err(&gone).contains("there is no key"), "{}", err(&gone));
}

#[tokio::test]
async fn the_index_is_made_anew_and_it_is_told_of_how_much() {
    let db = db().await;
    assert_eq!(out(&with(&db, &["reindex"], "")), "indexed 0 resources\n");
    sqlx::query("insert into resource (tenant, type, id, version, updated, method, body) values (0, 'Basic', 'a', 1, now(), 'POST', $1)")
        .bind(r#"{"resourceType":"Basic","id":"a","code":{"text":"found"}}"#)
        .execute(&db.pool)
        .await
        .unwrap();
    assert_eq!(out(&with(&db, &["reindex"], "")), "indexed 1 resources\n");
    let texts: Vec<String> = sqlx::query_scalar("select folded from search_string").fetch_all(&db.pool).await.unwrap();
    assert_eq!(texts, ["found"]);
    let missing = with(&db, &["reindex", "--config", "/nowhere/sofa.toml"], "");
    assert!(!missing.status.success() && err(&missing).contains("/nowhere/sofa.toml"), "{}", err(&missing));
}

#[test]
fn nobody_answers_is_not_healthy() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = run(sofa(&["healthcheck"]).env("SOFA__SERVER__LISTEN", free.to_string()), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_package_is_compiled_to_the_same_bytes_as_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("halo.bin");
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/capability/halo");
    let told = out(&run(&mut sofa(&["package", "compile", built_in, "--out", made.to_str().unwrap()]), ""));
    assert!(told.starts_with("sofa.halo#"), "{told}");
    assert_eq!(std::fs::read(made).unwrap(), std::fs::read(format!("{built_in}/package.bin")).unwrap());
}

#[test]
fn what_is_wrong_with_a_package_is_told_and_fails_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = |dependencies: &str| {
        let text = format!(r#"{{"name":"a","version":"1.0.0","dependencies":{{{dependencies}}}}}"#);
        std::fs::write(folder.path().join("package.json"), text).unwrap();
    };
    let path = folder.path().to_str().unwrap();
    manifest(r#""hl7.fhir.r4.core":"4.0.1","b":"2.0.0""#);
    let checked = run(&mut sofa(&["package", "check", path]), "");
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8(checked.stdout).unwrap();
    assert!(told.contains("error: a#1.0.0: depends on the package b#2.0.0, which is not given"), "{told}");
    let listed = run(sofa(&["package", "list"]).env("SOFA__VALIDATION__PACKAGES", path), "");
    assert!(err(&listed).contains("a#1.0.0: depends on the package b#2.0.0"), "{}", err(&listed));
    manifest(r#""hl7.fhir.r4.core":"4.0.1""#);
    assert!(out(&run(&mut sofa(&["package", "check", path]), "")).contains("a#1.0.0: 0 structures"));
    let listed = out(&run(sofa(&["package", "list"]).env("SOFA__VALIDATION__PACKAGES", path), ""));
    let names: Vec<_> = listed.lines().filter_map(|line| line.split_once('#')).map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "sofa.ca-core", "sofa.halo", "hl7.fhir.r4.examples"]);
}

/// A folder with one valid and two faulty resources, in the three forms.
fn payloads() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.json", r#"{"resourceType":"Patient","birthDate":"2023-02-30","nickname":"x"}"#);
    write("b.xml", r#"<Patient xmlns="http://hl7.org/fhir"><gender value="unknown"/></Patient>"#);
    write("c.ndjson", "{\"resourceType\":\"Patient\"}\n\n{\"resourceType\":\"Patient\",\"gender\":\"x\"}\n");
    write("d.txt", "none of ours");
    folder
}

#[test]
fn files_are_validated_without_a_server() {
    let folder = payloads();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let checked = run(&mut sofa(&["validate", "--quiet", folder.path().to_str().unwrap()]), "");
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8(checked.stdout).unwrap();
    let (json, lines) = (path("a.json"), path("c.ndjson"));
    assert!(told.contains(&format!("{json}: error: Patient.birthDate: \"2023-02-30\" is no date")), "{told}");
    assert!(told.contains(&format!("{json}: error: Patient.nickname: ")), "{told}");
    assert!(told.contains(&format!("{lines}:3: error: Patient.gender: ")), "{told}");
    assert!(told.ends_with("4 resources, 2 invalid\n") && !told.contains("warning"), "{told}");
    let fine = out(&run(&mut sofa(&["validate", &path("b.xml")]), ""));
    assert!(fine.contains("1 resources, 0 invalid") && fine.contains("warning: Patient: dom-6"), "{fine}");
}

#[test]
fn outcomes_are_printed_as_json_a_line() {
    let folder = payloads();
    let checked = run(&mut sofa(&["validate", "--json", folder.path().to_str().unwrap()]), "");
    assert_eq!(checked.status.code(), Some(1));
    let lines: Vec<Value> =
        String::from_utf8(checked.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["outcome"]["resourceType"] == "OperationOutcome"));
}

#[test]
fn profiles_of_packages_are_checked_and_unknown_ones_named() {
    let folder = payloads();
    let package = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(package.path().join(name), text).unwrap();
    write("package.json", r#"{"name":"a","version":"1.0.0","fhirVersions":["4.0.1"]}"#);
    write(
        "StructureDefinition-p.json",
        r#"{"resourceType":"StructureDefinition","url":"http://x/p","name":"P","status":"active","kind":"resource",
            "abstract":false,"type":"Patient","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient",
            "derivation":"constraint","differential":{"element":[{"id":"Patient.name","path":"Patient.name","min":1}]}}"#,
    );
    let file = folder.path().join("b.xml");
    let (file, package) = (file.to_str().unwrap(), package.path().to_str().unwrap());
    let checked = run(&mut sofa(&["validate", "--package", package, "--profile", "http://x/p", file]), "");
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8(checked.stdout).unwrap();
    assert!(told.contains("error: Patient.name: expected at least 1 name, found 0 (profile http://x/p)"), "{told}");
    let checked = run(&mut sofa(&["validate", "--profile", "http://x/p", file]), "");
    assert!(!checked.status.success() && err(&checked).contains("the profile http://x/p is not loaded"));
    let checked = run(&mut sofa(&["validate", "nothing-here.json"]), "");
    assert!(!checked.status.success() && err(&checked).contains("cannot read nothing-here.json"), "{}", err(&checked));
}

#[tokio::test]
async fn a_server_does_not_start_without_a_package_it_was_told_of() {
    let db = db().await;
    let folder = tempfile::tempdir().unwrap();
    let manifest = r#"{"name":"a","version":"1.0.0","fhirVersions":["4.0.1"],"dependencies":{"b":"2.0.0"}}"#;
    std::fs::write(folder.path().join("package.json"), manifest).unwrap();
    for (package, expected) in [
        (folder.path().to_str().unwrap(), "a#1.0.0: depends on the package b#2.0.0"),
        ("/nowhere/x.tgz", "/nowhere/x.tgz"),
    ] {
        let mut serve = sofa(&["serve"]);
        serve.env("DATABASE_URL", &db.url).env("SOFA__SECURITY__MASTER_KEY", KEY);
        let output =
            run(serve.env("SOFA__SERVER__LISTEN", "127.0.0.1:0").env("SOFA__VALIDATION__PACKAGES", package), "");
        assert!(!output.status.success() && err(&output).contains(expected), "{}", err(&output));
    }
}
