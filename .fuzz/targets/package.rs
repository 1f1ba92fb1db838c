#![no_main]

use sofa_fuzz::fhir::definition::{package::Package, registry::Registry, source::Definitions};

const MANIFEST: &[u8] = br#"{"name":"a","version":"1.0.0","fhirVersions":["4.0.1"]}"#;

/// One definition, an archive, or a compiled package: whichever the bytes happen to be.
fn fuzz(bytes: &[u8]) {
    let files = [("package.json", MANIFEST), ("StructureDefinition-a.json", bytes)];
    let read = Definitions::from_files(files).or_else(|_| Definitions::from_tgz(bytes));
    let package = read.map_err(|_| ()).and_then(|read| read.package().map_err(|_| ()));
    let package = package.or_else(|()| Package::open(bytes.to_vec()).map_err(|_| ()));
    let Ok(package) = package else { return };
    let (registry, _) = Registry::assemble(vec![package]);
    let urls: Vec<_> = registry.structures().filter(|one| one.is_constraint).map(|one| one.url.to_string()).take(3).collect();
    for url in urls {
        let _ = registry.snapshot(&url);
        let _ = registry.expansion(&url);
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz(bytes));
