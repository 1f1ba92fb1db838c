#![no_main]

use sofa_fuzz::fhir::{json::Limits, xml};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(json) = xml::read(text, &Limits::default()) {
        sofa_fuzz::check(&json);
    }
});
