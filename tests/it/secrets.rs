//! What the log must never hold, however talkative it is.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::fixtures::SetContext;
use crate::set_context::stage;
use crate::support::world::PASSWORD;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// One thread does everything in such a test, so what it logs is the server's whole log.
#[tokio::test]
async fn a_whole_launch_leaves_no_secret_in_the_log() {
    let kept = Kept::default();
    let everything = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(kept.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(everything);
    let (server, poc, _receiver) = stage().await;
    server.user("julie", 7).await;
    let launch = poc.launch(&SetContext::patient("Zachariassen").build()).await;
    let app = server.app("app").await;
    let verifier = sofa::id::random_token();
    let scope = "launch openid offline_access patient/*.rs";
    let code =
        app.authorize(&verifier, &launch.id, "julie", scope).await.unwrap_or_else(|refused| panic!("{refused:?}"));
    let tokens = app.exchange(&code, &verifier).await.expect(200).json();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let renewed = app.refresh(&text("refresh_token")).await.expect(200).json();
    let session = server.stranger().with_token(Some(&text("access_token")));
    session.get(&format!("Patient/{}", text("patient"))).await.expect(200);
    session.get("Patient?name=Zachariassen").await.expect(200);
    session.with_token(Some("a.bad.token-of-nobody")).get("Patient").await.expect(401);
    app.exchange(&code, &verifier).await.expect(400);
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("path=\"/token\"") && log.contains("path=\"/login\""), "the server's spans are in it");
    let poc_token = poc.token.clone().unwrap();
    let secrets = [
        ("the launchID", launch.id.clone()),
        ("the code", code),
        ("the verifier", verifier),
        ("the access token", text("access_token")),
        ("the refresh token", text("refresh_token")),
        ("the ID token", text("id_token")),
        ("the second access token", renewed["access_token"].as_str().unwrap().to_owned()),
        ("the point-of-care system's token", poc_token),
        ("a bad token", "token-of-nobody".to_owned()),
        ("the password", PASSWORD.to_owned()),
        ("the patient's name", "Zachariassen".to_owned()),
        ("a cookie", "sofa_session=".to_owned()),
    ];
    for (what, secret) in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{what} is in the log: {}", line.unwrap_or_default());
    }
}
