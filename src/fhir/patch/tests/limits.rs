use std::time::{Duration, Instant};

use super::*;

fn operations(of: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", of.into_iter().collect::<Vec<_>>().join(","))
}

/// Far more than any of these takes, far less than without a limit.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn copies_of_copies_are_stopped() {
    let doubled = (0..60).map(|_| r#"{"op":"copy","from":"/extension","path":"/extension/-"}"#.to_owned());
    let before = r#"{"resourceType":"Patient","extension":[{"url":"a"}]}"#;
    // Each is one level deeper, too.
    assert!(unfitting_text(json(before, &operations(doubled))).contains("would be"));
    let doubled = (0..60).map(|n| {
        format!(r#"{{"op":"copy","from":"","path":"/k{n}"}},{{"op":"move","from":"/k{n}","path":"/extension/-"}}"#)
    });
    assert!(unfitting_text(json(before, &operations(doubled))).contains("would be"));
    let many = (0..1000).map(|n| format!(r#"{{"op":"copy","from":"/big","path":"/k{n}"}}"#));
    let big = "x".repeat(100_000);
    let told = unfitting_text(json(&format!(r#"{{"resourceType":"Patient","big":"{big}"}}"#), &operations(many)));
    assert!(told.contains("larger"), "{told}");
}

#[test]
fn skeletons_do_not_nest_without_end() {
    let skeleton = format!("{}1{}", "{\"x\":".repeat(60), "}".repeat(60));
    let deep = "/x".repeat(59);
    let nested = (0..330).map(|_| {
        format!(
            r#"{{"op":"add","path":"/b","value":{skeleton}}},{{"op":"move","from":"/a","path":"/b{deep}/y"}},{{"op":"move","from":"/b","path":"/a"}}"#
        )
    });
    let first = format!(r#"{{"op":"add","path":"/a","value":{skeleton}}}"#);
    let told = unfitting_text(json(PATIENT, &operations(std::iter::once(first).chain(nested))));
    assert!(told.contains("deeper than 64"), "{told}");
}

#[test]
fn what_a_patch_costs_is_bounded() {
    let begun = Instant::now();
    let zeros = vec!["0"; 1_000_000].join(",");
    let shifted = (0..990).map(|_| r#"{"op":"add","path":"/a/0","value":0}"#.to_owned());
    let wide = std::iter::once(format!(r#"{{"op":"add","path":"/a","value":[{zeros}]}}"#)).chain(shifted);
    assert!(unfitting_text(json(PATIENT, &operations(wide))).contains("steps"));
    let object: Vec<_> = (0..200_000).map(|n| format!("\"k{n}\":0")).collect();
    let object = object.join(",");
    let same = format!(
        r#"[{{"op":"add","path":"/a","value":{{{object}}}}},{{"op":"test","path":"/a","value":{{{object}}}}}]"#
    );
    assert!(json(PATIENT, &same).unwrap().contains("k199999"));
    let most = operations((0..1001).map(|_| r#"{"op":"test","path":"/id","value":"p"}"#.to_owned()));
    assert!(malformed_text(json(PATIENT, &most)).contains("at most 1000"));
    let long = format!(r#"{{"resourceType":"Patient","name":[{{"family":"{}"}}]}}"#, "x".repeat(1_000_000));
    let add = (
        "add",
        "Patient",
        r#"{"name":"name","valueString":"telecom"},{"name":"value","valueContactPoint":{"value":"1"}}"#,
    );
    assert!(unfitting_text(path(&long, &[add; 1000])).contains("steps"));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn an_ordinary_patch_of_a_large_resource_is_taken() {
    let names: Vec<_> = (0..30_000).map(|n| format!(r#"{{"family":"Family {n}","given":["a","b"]}}"#)).collect();
    let large = format!(r#"{{"resourceType":"Patient","name":[{}]}}"#, names.join(","));
    assert!(large.len() > 1_000_000);
    let renamed = (0..100).map(|n| format!(r#"{{"op":"replace","path":"/name/{n}/family","value":"new"}}"#));
    assert_eq!(json(&large, &operations(renamed)).unwrap().matches("\"new\"").count(), 100);
    let replace = ("replace", "Patient.name[29999].family", r#"{"name":"value","valueString":"new"}"#);
    assert!(path(&large, &[replace; 5]).unwrap().ends_with(r#"{"family":"new","given":["a","b"]}]}"#));
}
