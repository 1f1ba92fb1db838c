#![no_main]

use std::sync::LazyLock;

use sofa_fuzz::fhir::{
    definition::registry::Registry,
    search::{Handling, Level, Parameters, Request, SearchLimits, condition, parse},
};
use time::macros::datetime;

static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| Parameters::new(&Registry::built_in()).0);

// The first byte says where the query stands; what was used must be understood again, as the self link.
libfuzzer_sys::fuzz_target!(|input: &str| {
    let mut chars = input.chars();
    let level = match chars.next() {
        Some('o') => Level::Type("Observation"),
        Some('p') => Level::Type("Patient"),
        Some('v') => Level::Type("ValueSet"),
        Some('c') => Level::Compartment { type_name: "Patient", id: "1", kind: None },
        _ => Level::System,
    };
    let registry = Registry::built_in();
    let request = Request {
        parameters: &PARAMETERS,
        registry: &registry,
        base: "http://h/fhir",
        now: datetime!(2026-01-01 00:00 UTC),
        handling: Handling::Lenient,
        limits: SearchLimits::default(),
    };
    let pairs: Vec<(String, String)> = form_urlencoded::parse(chars.as_str().as_bytes()).into_owned().collect();
    if let Ok(found) = parse(&request, level, &pairs) {
        let again = parse(&request, level, &found.used).expect("what was used is understood again");
        assert_eq!((again.filters, again.sort, again.includes), (found.filters, found.sort, found.includes));
        assert!(again.ignored.is_empty());
    }
    let _ = condition(&request, "Patient", chars.as_str());
});
