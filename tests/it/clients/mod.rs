//! Client libraries that others wrote use the server: npm `fhirclient`, SMART's reference library, and `openid-client`, a
//! certified OpenID Connect relying party. They run in Node, pinned by a lock file, where the person's browser is ours; the
//! first of them in a real browser as well.

mod in_browser;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use sofa::config::ConsentPolicy;
use sofa::id::token_digest;
use sofa::store;
use sofa::store::client::{AuthMethod, Client, Role};
use sofa::store::initial_token::{self, InitialToken};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;
use url::Url;

use crate::fixtures::SetContext;
use crate::support::app::SampleApp;
use crate::support::form::Browser;
use crate::support::key::Key;
use crate::support::key_server::{KeyServer, Says};

use crate::support::server::TestServer;
use crate::support::world::{PASSWORD, REDIRECT, unregistered};

const SECRET: &str = "s3cret:with%and+plus";
const REGISTERED: &str = "launch launch/patient openid fhirUser offline_access patient/*.rs";
/// Keys are fetched from this machine, clients may register themselves.
const OPEN: &str = "[registry]\nallow_http = true\nallow_private_addresses = true\ndynamic = true\n";

/// The folder with the libraries, installed once; `None` without npm.
pub async fn libraries() -> Option<&'static Path> {
    static INSTALLED: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    INSTALLED.get_or_init(install).await.as_deref()
}

async fn install() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::read(home.join("tests/clients/package-lock.json")).unwrap();
    let done = folder.join("installed");
    for file in [".npmrc", "package.json", "package-lock.json", "launch.mjs", "in-browser.js", "provider.mjs"] {
        std::fs::copy(home.join("tests/clients").join(file), folder.join(file)).unwrap();
    }
    if std::fs::read(&done).is_ok_and(|installed| installed == lock) {
        return Some(folder);
    }
    let npm = Command::new("npm").args(["ci", "--omit=optional"]).current_dir(&folder).output().await;
    let Ok(output) = npm else {
        assert!(std::env::var_os("CI").is_none(), "no npm: install nodejs and npm");
        println!("skipped: no npm (install nodejs 18 or later and npm)");
        return None;
    };
    assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(done, lock).unwrap();
    Some(folder)
}

/// How a client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Basic,
    Es384,
    /// RS384, with its keys at an address.
    Rs384,
}

const KINDS: [Kind; 4] = [Kind::Public, Kind::Basic, Kind::Es384, Kind::Rs384];

/// Where a launch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Ehr,
    /// At the app: the patient is picked.
    App,
}

impl From {
    const BOTH: [Self; 2] = [Self::Ehr, Self::App];

    fn scope(self) -> &'static str {
        match self {
            Self::Ehr => "launch openid fhirUser offline_access patient/*.rs",
            Self::App => "launch/patient openid fhirUser offline_access patient/*.rs",
        }
    }
}

/// A server with a person, a PoC and a client of each kind.
struct Stage {
    server: TestServer,
    keys: KeyServer,
    es384: Key,
    rs384: Key,
    poc: crate::support::poc::PointOfCare,
    _receiver: crate::support::receiver::Receiver,
    /// An app of ours, in which the person opens launches.
    other: SampleApp,
    libraries: &'static Path,
}

impl Stage {
    async fn set() -> Option<Self> {
        let libraries = libraries().await?;
        let server = TestServer::configured(OPEN).await;
        let (es384, rs384) = (Key::es384("es"), Key::rs384("rs"));
        let keys = KeyServer::start(Says::keys(&[rs384.jwk()], "max-age=60")).await;
        let (poc, receiver) = server.subscribed_poc("poc", 7).await;
        server.user("julie", 7).await;
        let other = server.app("other").await;
        let stage = Self { server, keys, es384, rs384, poc, _receiver: receiver, other, libraries };
        for kind in KINDS {
            stage.server.register(&stage.client(&name(kind), Role::App, kind)).await;
        }
        Some(stage)
    }

    fn client(&self, client_id: &str, role: Role, kind: Kind) -> Client {
        let usual = unregistered(client_id, role, 0, AuthMethod::None);
        let registered = Client {
            scope: if role == Role::App { REGISTERED } else { "system/*.rs" }.to_owned(),
            redirect_uris: if role == Role::App { vec![REDIRECT.to_owned()] } else { Vec::new() },
            consent: if role == Role::App { ConsentPolicy::Once } else { ConsentPolicy::Never },
            ..usual
        };
        let signs = AuthMethod::PrivateKeyJwt;
        match kind {
            Kind::Public => registered,
            Kind::Basic => Client {
                auth_method: AuthMethod::ClientSecretBasic,
                secret_digest: Some(token_digest(SECRET)),
                ..registered
            },
            Kind::Es384 => Client { auth_method: signs, jwks: Some(self.es384.jwks.clone()), ..registered },
            Kind::Rs384 => Client { auth_method: signs, jwks_uri: Some(self.keys.url.clone()), ..registered },
        }
    }

    /// What the script needs of a client and of a new launch.
    async fn scene(&self, library: &str, kind: Kind, from: From) -> (Value, String) {
        let launch = self.poc.launch(&SetContext::patient("Smith").build()).await;
        let patient = launch.first("Patient").trim_start_matches("Patient/").to_owned();
        let mut scene = json!({
            "as": library, "client": name(kind), "issuer": self.server.url, "fhir": self.server.fhir,
            "scope": from.scope(), "redirect": REDIRECT,
        });
        match from {
            From::Ehr => scene["launch"] = json!(launch.id),
            // Whose launch it is can be picked; the newest is offered first.
            From::App => drop(self.other.launch(&launch.id, "julie").await),
        }
        self.add_proof(&mut scene, kind);
        (scene, patient)
    }

    fn add_proof(&self, scene: &mut Value, kind: Kind) {
        match kind {
            Kind::Public => {}
            Kind::Basic => scene["secret"] = json!(SECRET),
            Kind::Es384 => scene["key"] = json!({"pem": self.es384.pem, "kid": "es", "alg": "ES384"}),
            Kind::Rs384 => {
                scene["key"] = json!({"pem": self.rs384.pem, "kid": "rs", "alg": "RS384"});
                scene["jwksUri"] = json!(self.keys.url);
            }
        }
    }

    /// Runs the script; a person of this browser goes where it sends them.
    async fn play(&self, scene: &Value) -> Value {
        let mut script = Command::new("node");
        script.arg("launch.mjs").current_dir(self.libraries).env("SOFA_SCENE", scene.to_string());
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut answers = script.stdin.take().unwrap();
        let mut said = BufReader::new(script.stdout.take().unwrap()).lines();
        while let Some(line) = said.next_line().await.unwrap() {
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let Some(url) = said["visit"].as_str() else { return said["result"].clone() };
            let url = Url::parse(url).unwrap();
            let mut browser = Browser::new(self.server.http.clone());
            let answer = browser.get(&url).await;
            let back = browser.go_on(url, answer, "julie", PASSWORD).await;
            let back = back.unwrap_or_else(|page| panic!("{scene}: {}", page.text));
            answers.write_all(format!("{back}\n").as_bytes()).await.unwrap();
        }
        panic!("the script ended early: {scene}");
    }
}

fn name(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

#[tokio::test]
async fn fhirclient_launches_reads_and_refreshes_as_each_kind_of_app() {
    let Some(stage) = Stage::set().await else { return };
    for (kind, from) in KINDS.into_iter().flat_map(|kind| From::BOTH.map(|from| (kind, from))) {
        let (mut scene, patient) = stage.scene("fhirclient", kind, from).await;
        // An `iss` with a slash at its end comes back as `aud` with one.
        if kind == Kind::Basic {
            scene["iss"] = json!(format!("{}/", stage.server.fhir));
        }
        let result = stage.play(&scene).await;
        assert_eq!(
            (&result["id"], &result["read"], &result["found"]),
            (&json!(patient), &json!(patient), &json!(1)),
            "{kind:?} {from:?}"
        );
        assert_eq!(result["scope"], from.scope().replace(" fhirUser", ""), "{kind:?}: julie is no resource");
        match kind {
            Kind::Public | Kind::Basic => {
                assert_eq!(result["refreshed"]["scope"], result["scope"], "{kind:?}");
                assert_eq!(result["rotated"], true, "{kind:?}");
            }
            // It sends no assertion then; a server that let it pass would believe anybody.
            Kind::Es384 | Kind::Rs384 => {
                assert!(result["refreshed"].get("unexpected").is_none(), "{kind:?}: {result}");
                assert_eq!(result["rotated"], false, "{kind:?}");
            }
        }
    }
    assert_eq!(stage.keys.count(), 1);
}

#[tokio::test]
async fn openid_client_signs_in_refreshes_introspects_and_revokes_as_each_kind_of_app() {
    let Some(stage) = Stage::set().await else { return };
    for (kind, from) in KINDS.into_iter().flat_map(|kind| From::BOTH.map(|from| (kind, from))) {
        let (scene, patient) = stage.scene("openid", kind, from).await;
        let result = stage.play(&scene).await;
        assert_eq!(
            (&result["patient"], &result["again"]),
            (&json!(patient), &json!(patient)),
            "{kind:?} {from:?}: {result}"
        );
        for yes in ["pkce", "same", "rotated"] {
            assert_eq!(result[yes], true, "{kind:?}: {yes}: {result}");
        }
        assert_eq!(result["active"], json!([true, false]), "{kind:?}: {result}");
        assert_eq!(result["replayed"]["error"], "invalid_grant", "{kind:?}: {result}");
    }
}

#[tokio::test]
async fn openid_client_acts_for_a_service_and_its_own_choice_of_audience_is_refused() {
    let Some(stage) = Stage::set().await else { return };
    for kind in [Kind::Es384, Kind::Rs384] {
        let client_id = format!("service-{}", name(kind));
        stage.server.register(&stage.client(&client_id, Role::Service, kind)).await;
        let mut scene =
            json!({"as": "service", "client": client_id, "issuer": stage.server.url, "scope": "system/*.rs user/*.rs"});
        stage.add_proof(&mut scene, kind);
        assert_eq!(stage.play(&scene).await, json!({"scope": "system/*.rs", "lasts": 300}), "{kind:?}");
        scene["issuerAsAudience"] = json!(true);
        let refused = stage.play(&scene).await;
        // The library stops at the challenge that comes with 401 and does not read the error code behind it.
        assert_eq!((&refused["status"], refused.get("unexpected")), (&json!(401), None), "{kind:?}: {refused}");
    }
}

#[tokio::test]
async fn openid_client_registers_itself_and_signs_in() {
    let Some(stage) = Stage::set().await else { return };
    let now = stage.server.now();
    let leave = InitialToken {
        label: "vendor".to_owned(),
        role: Role::App,
        tenant: 0,
        uses_left: 1,
        created_at: now,
        expires_at: now + time::Duration::hours(1),
    };
    let mut tx = store::begin(&stage.server.db.pool).await.unwrap();
    initial_token::insert(&mut tx, &token_digest("leave"), &leave).await.unwrap();
    tx.commit().await.unwrap();
    let (mut scene, patient) = stage.scene("register", Kind::Public, From::Ehr).await;
    scene["leave"] = json!("leave");
    let result = stage.play(&scene).await;
    assert!(result["client_id"].as_str().unwrap().starts_with("dyn-"), "{result}");
    assert_eq!((&result["patient"], &result["active"]), (&json!(patient), &json!([true, false])), "{result}");
}
