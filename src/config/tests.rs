use super::*;

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sofa.toml");
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { env, ..Sources::default() }
}

fn refused(sources: Sources) -> String {
    load(sources).err().map(|error| error.to_string()).unwrap_or_default()
}

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn the_defaults_are_valid() {
    let config = load(Sources::default()).unwrap();
    assert_eq!(config.server.public_url, "http://localhost:8080");
    assert_eq!(config.server.fhir_base(), "http://localhost:8080/fhir");
    assert_eq!(config.context.ttl, Duration::from_hours(12));
    assert_eq!(config.fhir.update_create, UpdateCreate::Off);
    assert!(config.validation.packages.is_empty() && config.validation.package_cache.is_none());
    assert_eq!(config.validation.ca_core, CaCore::Enforce);
    assert_eq!(config.validation.unknown_profile, UnknownProfile::Warn);
    assert!(config.database.url.is_none() && config.context.resource_types.is_none());
}

#[test]
fn every_key_of_the_reference_has_a_comment() {
    let lines: Vec<&str> = DEFAULT.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        let above = lines[..at].iter().rev().find(|above| !above.contains(" = ") || above.starts_with('#')).unwrap();
        assert!(above.starts_with("# "), "no comment above {line}");
    }
}

#[test]
fn an_unknown_key_is_named_with_file_and_line() {
    let (_dir, sources) = file("[server]\nlisten = \"127.0.0.1:1\"\nlisen = 1\n");
    let message = refused(sources);
    assert!(message.contains("sofa.toml:3: server.lisen: unknown key; [server] has: listen, public_url"), "{message}");
    let (_dir, sources) = file("\n[servers]\nlisten = 1\n");
    assert!(refused(sources).contains("sofa.toml:3: servers.listen: unknown section"));
    let (_dir, sources) = file("listen = 1\n");
    assert!(refused(sources).contains("sofa.toml:1: listen: unknown section"));
    assert!(refused(env(&[("SOFA__SERVER__LISEN", "x")])).contains("SOFA__SERVER__LISEN: server.lisen: unknown key"));
}

#[test]
fn a_wrong_type_is_named_with_file_line_and_key() {
    for (text, wanted) in [
        ("[fhir]\nmax_depth = \"deep\"", "sofa.toml:2: fhir.max_depth: invalid type: string"),
        ("[context]\n\nttl = \"12 parsecs\"", "sofa.toml:3: context.ttl: "),
        ("[context]\nttl = 12", "sofa.toml:2: context.ttl: invalid type: integer"),
        ("[server]\nlisten = \"here\"", "sofa.toml:2: server.listen: invalid socket address"),
        ("[validation]\nca_core = \"maybe\"", "sofa.toml:2: validation.ca_core: unknown variant `maybe`"),
        (
            "[validation]\nunknown_profile = \"ignore\"",
            "sofa.toml:2: validation.unknown_profile: unknown variant `ignore`",
        ),
        ("[fhir]\nupdate_create = \"maybe\"", "sofa.toml:2: fhir.update_create: unknown variant `maybe`"),
        ("[delivery]\nallowed_hosts = [1]", "sofa.toml:2: delivery.allowed_hosts[0]: invalid type"),
        ("[server]\nlisten = ", "sofa.toml:2: not valid TOML"),
        ("[server\n", "sofa.toml:1: not valid TOML"),
    ] {
        let (_dir, sources) = file(text);
        let message = refused(sources);
        assert!(message.contains(wanted), "{message:?} does not contain {wanted:?}");
    }
    assert!(
        refused(env(&[("SOFA__FHIR__MAX_DEPTH", "deep")])).contains("fhir.max_depth: \"deep\" is not a whole number")
    );
}

#[test]
fn a_higher_layer_wins() {
    let (_dir, mut sources) =
        file("[server]\nlisten = \"127.0.0.1:1\"\n[context]\nttl = \"1h\"\n[log]\nfilter = \"debug\"\n");
    sources.env = env(&[
        ("SOFA__SERVER__LISTEN", "127.0.0.1:2"),
        ("SOFA__CONTEXT__TTL", "2h"),
        ("SOFA__DELIVERY__ALLOW_HTTP", "true"),
        ("SOFA__DELIVERY__ALLOWED_HOSTS", "a.example, b.example"),
        ("SOFA_PG_BIN", "/usr/bin"),
    ])
    .env;
    sources.flags = vec![Flag { name: "--listen", key: "server.listen", value: "127.0.0.1:3".to_owned() }];
    let config = load(sources).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.server.public_url, "http://localhost:3");
    assert_eq!(config.context.ttl, Duration::from_hours(2));
    assert_eq!(config.log.filter, "debug");
    assert!(config.delivery.allow_http);
    assert_eq!(config.delivery.allowed_hosts, ["a.example", "b.example"]);
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let (dir, sources) = file("");
    let secret = dir.path().join("url");
    std::fs::write(&secret, "postgres://u:hidden@db/sofa\n").unwrap();
    let text = format!("[database]\nurl_file = {:?}\n[security]\nmaster_key = {KEY:?}\n", secret.to_str().unwrap());
    std::fs::write(sources.file.as_ref().unwrap(), text).unwrap();
    let config = load(sources).unwrap();
    assert_eq!(config.database.url.as_ref().unwrap().expose(), "postgres://u:hidden@db/sofa");
    let shown = config.masked_toml();
    assert!(shown.contains("url = \"***\"") && shown.contains("master_key = \"***\""), "{shown}");
    assert!(!shown.contains("hidden") && !shown.contains(KEY) && !format!("{config:?}").contains("hidden"));
    assert!(shown.contains("ttl = \"12h\""), "{shown}");
}

#[test]
fn a_secret_of_a_higher_layer_replaces_the_file_form_of_a_lower_one() {
    let (_dir, mut sources) = file("[database]\nurl_file = \"/nonexistent\"\n");
    sources.env = env(&[("DATABASE_URL", "postgres://db/a"), ("SOFA__SECURITY__MASTER_KEY", KEY)]).env;
    assert_eq!(load(sources).unwrap().database.url.unwrap().expose(), "postgres://db/a");
    let both = env(&[
        ("DATABASE_URL", "postgres://db/a"),
        ("SOFA__DATABASE__URL", "postgres://db/b"),
        ("SOFA__SECURITY__MASTER_KEY", KEY),
    ]);
    assert_eq!(load(both).unwrap().database.url.unwrap().expose(), "postgres://db/b");
}

#[test]
fn contradictions_are_refused() {
    for (text, wanted) in [
        (
            "[database]\nurl = \"postgres://x/y\"\nurl_file = \"x\"",
            "sofa.toml:3: database.url_file: contradicts database.url",
        ),
        ("[server]\ntls_cert = \"a.pem\"", "sofa.toml:2: server.tls_cert: needs server.tls_key"),
        ("[search]\npage_size = 0", "sofa.toml:2: search.page_size: must be at least 1"),
        ("[search]\nmax_page_size = 49", "sofa.toml:2: search.max_page_size: must be from search.page_size to 10000"),
        (
            "[search]\nmax_page_size = 10001",
            "sofa.toml:2: search.max_page_size: must be from search.page_size to 10000",
        ),
        ("[server]\ntls_key = \"a.pem\"", "sofa.toml:2: server.tls_key: needs server.tls_cert"),
        ("[delivery]\nlease = \"5s\"", "sofa.toml:2: delivery.lease: (5s) must be longer than delivery.timeout (5s)"),
        ("[delivery]\nlock_wait = \"55s\"", "server.request_timeout: (1m) must be longer than delivery.timeout and"),
        ("[context]\nttl = \"1m\"", "context.launch_window: must not be longer than context.ttl"),
        ("[server]\npublic_url = \"http://x/\"", "sofa.toml:2: server.public_url: must not end with a slash"),
        ("[server]\npublic_url = \"x\"", "sofa.toml:2: server.public_url: "),
        (
            "[server]\npublic_url = \"http://sofa.example\"",
            "server.public_url: must begin with https:// off this machine",
        ),
        (
            "[server]\npublic_url = \"http://10.0.0.1:8080\"",
            "server.public_url: must begin with https:// off this machine",
        ),
        ("[server]\npublic_url = \"http://localhost.example\"", "server.public_url: must begin with https:// off this"),
        ("[oauth]\naccess_token_ttl = \"61m\"", "sofa.toml:2: oauth.access_token_ttl: must not be longer than 1h"),
        ("[oauth]\nservice_token_ttl = \"2h\"", "sofa.toml:2: oauth.service_token_ttl: must not be longer than 1h"),
        ("[oauth]\naccess_token_algorithm = \"HS256\"", "sofa.toml:2: oauth.access_token_algorithm: unknown variant"),
        ("[keys]\nrotate_every = \"1h\"", "sofa.toml:2: keys.rotate_every: must be 0s or at least 1day"),
        ("[security]\nmaster_key = \"c2hvcnQ=\"", "sofa.toml:2: security.master_key: must be 32 bytes in base64"),
        ("[database]\nurl = \"postgres://x/y\"", "security.master_key: is needed when database.url is set"),
        ("[database]\nurl = \"mysql://x/y\"", "sofa.toml:2: database.url: must begin with postgres://"),
        (
            "[validation]\npackages = [\"a.tgz\", \"a.tgz\"]",
            "sofa.toml:2: validation.packages: \"a.tgz\" is given twice",
        ),
        ("[validation]\npackages = [\"\"]", "sofa.toml:2: validation.packages: must not have an empty path"),
        ("[oauth]\ncode_ttl = \"1h\"", "sofa.toml:2: oauth.code_ttl: "),
        ("[oauth]\nrefresh_grace = \"2m\"", "sofa.toml:2: oauth.refresh_grace: must not be longer than 1m"),
        ("[oauth]\ngrant_lifetime = \"1h\"", "sofa.toml:2: oauth.grant_lifetime: must not be shorter than"),
        ("[server]\ntrusted_proxies = [\"10.0.0.0\"]", "sofa.toml:2: server.trusted_proxies[0]: "),
        ("[oauth]\nsession_ttl = \"0s\"", "sofa.toml:2: oauth.session_ttl: must be longer than zero"),
        ("[context]\nresource_types = [\"patient\"]", "sofa.toml:2: context.resource_types: \"patient\""),
        ("[log]\nfilter = \"a=b=c\"", "sofa.toml:2: log.filter: "),
    ] {
        let (_dir, sources) = file(text);
        let message = refused(sources);
        assert!(message.contains(wanted), "{message:?} does not contain {wanted:?}");
    }
}

#[test]
fn http_is_for_this_machine_or_who_insists() {
    for url in
        ["http://localhost:8080", "http://sofa.localhost", "http://127.0.0.1:1", "http://[::1]:1", "https://x.example"]
    {
        assert!(Config::from_toml(&format!("[server]\npublic_url = {url:?}")).is_ok(), "{url}");
    }
    assert!(Config::from_toml("[server]\npublic_url = \"http://x.example\"\ninsecure_public_url = true").is_ok());
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let shown = load(Sources::default()).unwrap().masked_toml();
    assert_eq!(Config::from_toml(&shown).unwrap().masked_toml(), shown);
}
