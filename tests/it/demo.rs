//! `sofa demo --once`, as a script would call it.

use std::process::{Command, Output};

use serde_json::Value;

/// What the story must tell, in this order.
const STEPS: [&str; 20] = [
    "start",
    "poc-token",
    "subscribe",
    "handshake",
    "set-context",
    "discovery",
    "launch",
    "login",
    "token",
    "stranger-refused",
    "read",
    "write",
    "notified-first",
    "read-back",
    "refused-create",
    "refused-update",
    "clear-context",
    "token-dead",
    "data-gone",
    "stop",
];

async fn demo(arguments: &'static [&'static str]) -> Output {
    let run = move || Command::new(env!("CARGO_BIN_EXE_sofa")).args(["demo", "--port", "0"]).args(arguments).output();
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

fn steps(output: &Output) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["steps"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_story_without_a_person_does_every_step() {
    let output = demo(&["--once", "--json"]).await;
    let steps = steps(&output);
    let failed: Vec<_> = steps.iter().filter(|step| step["ok"] != true).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}\n{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    assert!(steps.iter().all(|step| step["ms"].is_u64() && step["detail"].is_string()));
}

#[tokio::test]
async fn a_step_that_fails_is_named_and_fails_the_run() {
    let output = demo(&["--once", "--json", "--data-dir", "/dev/null/nowhere"]).await;
    let steps = steps(&output);
    assert_eq!((steps.len(), &steps[0]["name"], &steps[0]["ok"]), (1, &"start".into(), &false.into()));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the step start failed") && said.contains("/dev/null/nowhere"), "{said}");
}
