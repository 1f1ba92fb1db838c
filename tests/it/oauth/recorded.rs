//! What the audit trail is told of the authorization server's refusals: whoever guesses secrets, codes or tokens is seen,
//! and fills no table.

use std::time::Duration;

use super::{Oauth, SECRET, basic, exchange, with};

/// `action outcome client detail` of rows of these actions, in their order.
async fn rows(server: &Oauth, actions: &[&str]) -> Vec<String> {
    let sql =
        "select concat_ws(' ', action, outcome, client_id, detail) from audit where action = any($1) order by seq";
    sqlx::query_scalar(sql).bind(actions).fetch_all(&server.db.pool).await.unwrap()
}

#[tokio::test]
async fn a_run_of_guessed_secrets_is_seen() {
    let server = Oauth::start().await;
    let form = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    for number in 0..40 {
        let header = basic("basic", &format!("guess-{number}"));
        server.post("/token", &form, &[("authorization", &header)]).await.refused(401, "invalid_client");
    }
    let reason = "the client is unknown or could not be authenticated";
    assert_eq!(rows(&server, &["client-auth"]).await, [format!("client-auth refused basic {reason}")]);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.write_counts().await, 1);
    assert_eq!(
        rows(&server, &["client-auth"]).await[1],
        format!("client-auth refused basic {reason} (and 39 more like it)")
    );
    let leaks = "select count(*) from audit where audit::text like '%guess-%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(leaks).fetch_one(&server.db.pool).await.unwrap(), 0);
}

#[tokio::test]
async fn a_name_that_is_no_clients_is_not_kept() {
    let server = Oauth::start().await;
    let header = basic("Jane Smith", "x");
    let form = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    server.post("/token", &form, &[("authorization", &header)]).await.refused(401, "invalid_client");
    let rows = rows(&server, &["client-auth"]).await;
    assert_eq!(rows, ["client-auth refused the client is unknown or could not be authenticated"]);
}

#[tokio::test]
async fn each_refusal_is_told_once_with_its_reason() {
    let server = Oauth::start().await;
    for _ in 0..5 {
        let wrong = with(&exchange("no-such-code"), &[("client_id", "app")]);
        server.token(&wrong).await.refused(400, "invalid_grant");
        server.token(&[("grant_type", "password"), ("client_id", "app")]).await.refused(400, "unsupported_grant_type");
        server.post("/introspect", &[("token", "x")], &[("authorization", "Bearer nonsense")]).await.expect(401);
        server.post("/introspect", &[("token", "x")], &[]).await.refused(401, "invalid_client");
        server.post("/revoke", &[("token", "x")], &[("authorization", &basic("basic", "wrong"))]).await.expect(401);
        server.post("/userinfo", &[], &[("authorization", "Bearer nonsense")]).await.expect(401);
    }
    let told = rows(&server, &["token-refused", "introspect", "client-auth", "userinfo", "token-revoke"]).await;
    assert_eq!(
        told,
        [
            "token-refused refused app the code is unknown, expired or of another client",
            "token-refused refused app this grant type is not supported",
            "introspect refused the bearer token is not valid",
            "client-auth refused client authentication is missing",
            "client-auth refused basic the client is unknown or could not be authenticated",
            "userinfo refused a token that is not good",
        ]
    );
}

#[tokio::test]
async fn a_refused_code_is_told_with_its_launch() {
    let server = Oauth::start().await;
    let (launch, context) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, "launch patient/*.rs").await;
    let verifier = "x".repeat(43);
    let wrong = with(&exchange(&code), &[("client_id", "app"), ("code_verifier", &verifier)]);
    server.token(&wrong).await.refused(400, "invalid_grant");
    let told = "select detail from audit where action = 'token-refused' and context = $1";
    let told: String = sqlx::query_scalar(told).bind(context.id).fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(told, "code_verifier does not fit the code_challenge");
}

#[tokio::test]
async fn what_succeeds_is_no_refusal() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch openid patient/*.rs offline_access").await;
    let access = tokens["access_token"].as_str().unwrap();
    let asker = basic("basic", SECRET);
    server.post("/introspect", &[("token", access)], &[("authorization", &asker)]).await.expect(200);
    let refused = "select count(*) from audit where outcome <> 'success'";
    assert_eq!(sqlx::query_scalar::<_, i64>(refused).fetch_one(&server.db.pool).await.unwrap(), 0);
    let told: String = sqlx::query_scalar("select detail from audit where action = 'launch'")
        .fetch_one(&server.db.pool)
        .await
        .unwrap();
    assert_eq!(
        told,
        "asked: launch openid patient/*.rs offline_access; granted: launch openid patient/*.rs offline_access; withheld: "
    );
}
