//! What reading, checking and converting costs, on one core: `cargo bench --bench validate`.
//!
//! "parse" reads JSON, "shape" adds the walk along R4's types, "validate" everything: primitives, bindings, invariants,
//! references, CA Core+ and claimed profiles. Compare figures of one run only.
#![allow(clippy::expect_used, reason = "the documents are the benchmark's own")]

use std::{hint::black_box, time::Instant};

use divan::{Bencher, counter::BytesCount};
use sofa::fhir::{
    definition::registry::Registry,
    json::{Doc, Limits},
    outcome::Severity,
    tree::Tree,
    validate::{Options, Validator},
    xml,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DOCUMENTS: [&str; 3] = ["patient", "observation", "bundle"];

fn document(name: &str) -> String {
    let (patient, observation) = (include_str!("patient.json").trim(), include_str!("observation.json").trim());
    match name {
        "patient" => patient.to_owned(),
        "observation" => observation.to_owned(),
        _ => {
            let entry = |at: usize| {
                let (kind, resource) =
                    if at.is_multiple_of(10) { ("Patient", patient) } else { ("Observation", observation) };
                let url = format!("urn:uuid:{at:08}-0000-4000-8000-000000000000");
                format!(r#"{{"fullUrl":"{url}","resource":{resource},"request":{{"method":"POST","url":"{kind}"}}}}"#)
            };
            let entries: Vec<_> = (0..100).map(entry).collect();
            format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
        }
    }
}

fn validator() -> Validator {
    Validator::new(Registry::built_in(), Options::built_in())
}

fn parsed(text: &str) -> Doc {
    Doc::parse(text, &Limits::default()).expect("the documents are JSON")
}

#[divan::bench(args = DOCUMENTS)]
fn a_parse(bencher: Bencher<'_, '_>, name: &str) {
    let text = document(name);
    bencher.counter(BytesCount::new(text.len())).bench(|| parsed(black_box(&text)));
}

#[divan::bench(args = DOCUMENTS)]
fn b_shape(bencher: Bencher<'_, '_>, name: &str) {
    let text = document(name);
    bencher.counter(BytesCount::new(text.len())).bench(|| Tree::of_resource(&parsed(black_box(&text))).len());
}

#[divan::bench(args = DOCUMENTS)]
fn c_validate(bencher: Bencher<'_, '_>, name: &str) {
    let (text, validator) = (document(name), validator());
    let issues = validator.check(&Tree::of_resource(&parsed(&text)));
    assert!(issues.iter().all(|issue| issue.severity < Severity::Error), "{issues:#?}");
    bencher
        .counter(BytesCount::new(text.len()))
        .bench(|| validator.check(&Tree::of_resource(&parsed(black_box(&text)))));
}

#[divan::bench(args = DOCUMENTS)]
fn d_write_xml(bencher: Bencher<'_, '_>, name: &str) {
    let doc = parsed(&document(name));
    let tree = Tree::of_resource(&doc);
    let size = xml::write(&tree).expect("the documents are R4").len();
    bencher.counter(BytesCount::new(size)).bench(|| xml::write(black_box(&tree)));
}

#[divan::bench(args = DOCUMENTS)]
fn e_read_xml(bencher: Bencher<'_, '_>, name: &str) {
    let doc = parsed(&document(name));
    let text = xml::write(&Tree::of_resource(&doc)).expect("the documents are R4");
    bencher.counter(BytesCount::new(text.len())).bench(|| xml::read(black_box(&text), &Limits::default()));
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default();
    pages * 4096.0 / 1e6
}

fn main() {
    let (memory, begun) = (resident(), Instant::now());
    let validator = validator();
    println!("definitions ready: {:.1} ms, {:.1} MB", begun.elapsed().as_secs_f64() * 1e3, resident() - memory);
    for name in DOCUMENTS {
        validator.check(&Tree::of_resource(&parsed(&document(name))));
    }
    println!("after the first documents: {:.1} MB", resident() - memory);
    divan::main();
}
