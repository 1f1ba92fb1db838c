#![no_main]

use std::sync::LazyLock;

use sofa_fuzz::fhir::{
    json::{Doc, Limits},
    path::{Expression, Scope},
    tree::Tree,
};

static PATIENT: LazyLock<Doc> = LazyLock::new(|| {
    Doc::parse(include_str!("../../tests/bench/patient.json"), &Limits::default()).expect("the document is JSON")
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(expression) = Expression::parse(text) {
        let tree = Tree::of_resource(&PATIENT);
        let _ = expression.evaluate(&Scope::new(&tree, tree.root()));
    }
});
