//! What the log must never hold, however talkative it is.

use crate::fixtures::SetContext;
use crate::support::process::Process;
use crate::support::world::PASSWORD;

#[tokio::test]
async fn a_whole_launch_leaves_no_secret_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("log");
    let server = Process::start_logging(&kept, &[("SOFA__LOG__FILTER", "trace")]).await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
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
    let log = std::fs::read_to_string(&kept).unwrap();
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
