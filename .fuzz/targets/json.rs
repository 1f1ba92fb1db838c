#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| sofa_fuzz::check(text));
