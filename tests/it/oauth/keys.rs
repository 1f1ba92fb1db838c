//! The signing keys: how they follow each other, and what becomes of one that is withdrawn.

use sofa::config::SigningAlgorithm;
use sofa::store::key::{self, State};

use super::*;

async fn published(server: &Oauth) -> Vec<String> {
    let keys = server.get("/jwks").await.json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid_of(token: &Value) -> String {
    jsonwebtoken::decode_header(token.as_str().unwrap()).unwrap().kid.unwrap()
}

/// A second process on the same database that only verifies.
async fn replica(server: &Oauth) -> KeySet {
    KeySet::open(server.engine.pool.clone(), sealer(), server.clock.clone(), ISSUER.to_owned()).await.unwrap()
}

async fn is_believed(keys: &KeySet, server: &Oauth, tokens: &Value) -> bool {
    keys.verify_access(tokens["access_token"].as_str().unwrap(), FHIR, server.clock.now()).await.is_ok()
}

#[tokio::test]
async fn a_withdrawn_key_is_believed_nowhere_a_minute_later() {
    let server = Oauth::start().await;
    let elsewhere = replica(&server).await;
    let tokens = server.tokens("launch openid patient/*.rs offline_access").await;
    let kid = kid_of(&tokens["access_token"]);
    assert!(is_believed(&elsewhere, &server, &tokens).await);
    assert!(server.keys.withdraw(&kid).await.unwrap());
    assert!(!server.is_alive(tokens["access_token"].as_str().unwrap()).await, "here at once");
    assert!(!published(&server).await.contains(&kid));
    server.clock.advance(Duration::from_secs(60));
    assert!(!is_believed(&elsewhere, &server, &tokens).await, "elsewhere without ever signing");
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let renewed = server.token(&form).await.expect(200).json();
    assert_ne!(kid_of(&renewed["access_token"]), kid);
    assert!(is_believed(&elsewhere, &server, &renewed).await);
    assert_eq!(published(&server).await.len(), 2, "one signs, one waits");
    assert!(!server.keys.withdraw(&kid).await.unwrap(), "once");
    assert!(!server.keys.withdraw("nobody").await.unwrap());
}

#[tokio::test]
async fn a_waiting_or_retired_key_can_be_withdrawn_too() {
    let server = Oauth::start().await;
    let before = published(&server).await;
    assert!(server.keys.withdraw(&before[1]).await.unwrap());
    let after = published(&server).await;
    assert_eq!((after.len(), &after[0]), (2, &before[0]));
    assert_ne!(after[1], before[1]);
    server.keys.rotate().await.unwrap();
    assert!(server.keys.withdraw(&before[0]).await.unwrap());
    assert_eq!(published(&server).await.len(), 2);
}

#[tokio::test]
async fn a_retired_key_is_published_for_two_days_and_no_longer() {
    let server = Oauth::start().await;
    let old = published(&server).await[0].clone();
    server.keys.rotate().await.unwrap();
    server.clock.advance(Duration::from_secs(48 * 3600 - 1));
    assert!(published(&server).await.contains(&old));
    server.clock.advance(Duration::from_secs(61));
    assert!(!published(&server).await.contains(&old));
}

#[tokio::test]
async fn keys_are_rotated_when_they_have_signed_long_enough_and_by_one_replica() {
    let server = Oauth::start_with("keys.rotate_every = \"30days\"").await;
    let before = published(&server).await;
    // Both are of the same moment, so their order says nothing.
    let signs = kid_of(&server.tokens("launch patient/*.rs").await["access_token"]);
    let every = Duration::from_secs(30 * 86_400);
    assert_eq!(server.keys.rotate_after(every).await.unwrap(), 0);
    server.clock.advance(every);
    let (one, other) = (replica(&server).await, replica(&server).await);
    let (first, second) = tokio::join!(one.rotate_after(every), other.rotate_after(every));
    assert_eq!(first.unwrap() + second.unwrap(), 1);
    server.clock.advance(Duration::from_secs(60));
    let after = published(&server).await;
    assert_eq!((after.len(), &after[..2]), (3, &before[..]));
    let tokens = server.tokens("launch patient/*.rs").await;
    let signs_now = kid_of(&tokens["access_token"]);
    assert!(signs_now != signs && before.contains(&signs_now), "the one that waited signs");
    assert_eq!(server.keys.rotate_after(every).await.unwrap(), 0, "a young key stays");
}

#[tokio::test]
async fn access_tokens_may_be_signed_with_an_elliptic_curve_and_id_tokens_stay_with_rsa() {
    let server = Oauth::start_with("oauth.access_token_algorithm = \"ES384\"").await;
    let tokens = server.tokens("launch openid patient/*.rs").await;
    let algorithm = |name: &str| jsonwebtoken::decode_header(tokens[name].as_str().unwrap()).unwrap().alg;
    assert_eq!((algorithm("access_token"), algorithm("id_token")), (Algorithm::ES384, Algorithm::RS256));
    assert!(server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    let keys = server.get("/jwks").await.json();
    let algorithms: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(algorithms.iter().filter(|name| **name == "ES384").count(), 2, "{algorithms:?}");
    assert_eq!(algorithms.iter().filter(|name| **name == "RS256").count(), 2, "{algorithms:?}");
    for key in keys["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none() && key["use"] == "sig", "{key}");
    }
    let elsewhere = replica(&server).await;
    assert!(is_believed(&elsewhere, &server, &tokens).await, "whatever that process signs with itself");
    let back = elsewhere.with_access_tokens(SigningAlgorithm::Rs256).await.unwrap();
    assert!(is_believed(&back, &server, &tokens).await);
    let mut conn = server.db.pool.acquire().await.unwrap();
    let stored = key::list(&mut conn, server.clock.now()).await.unwrap();
    assert_eq!(stored.iter().filter(|key| key.state == State::Active).count(), 2);
}

#[tokio::test]
async fn a_token_that_names_another_algorithm_than_its_keys_is_not_believed() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch patient/*.rs").await;
    let (head, rest) = tokens["access_token"].as_str().unwrap().split_once('.').unwrap();
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    for algorithm in ["none", "HS256", "RS384", "PS256", "ES384"] {
        let mut changed = head.clone();
        changed["alg"] = json!(algorithm);
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(changed.to_string()));
        assert!(server.keys.verify_access(&forged, FHIR, server.clock.now()).await.is_err(), "{algorithm}");
    }
}
