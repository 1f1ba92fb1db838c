//! A FHIR NPM package as it is published: a `.tgz` or a folder of JSON files, read.
//!
//! What counts is `package.json` and the JSON resources beside it, whatever the case and form of their names. `.index.json`,
//! sub-folders (`example/`, `xml/`, `openapi/`) and resources that define nothing checkable are passed over. A file that
//! cannot be read is an error that names it: a deployment shall not run on half its definitions.

use std::{
    collections::HashSet,
    io::{Cursor, Read},
    sync::Arc,
};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::{
    parameter::SearchParameter,
    pristine,
    structure::{Kind, Structure, strings, text},
    terminology::{CodeSystem, ValueSet},
};
use crate::fhir::json::{Doc, Limits, Ref};

/// What cannot be read or does not fit together, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {what}")]
pub struct PackageError {
    /// The file, package or definition.
    pub subject: String,
    pub what: String,
}

impl PackageError {
    pub(super) fn new(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { subject: subject.into(), what: what.into() }
    }
}

/// `package.json`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `hl7.fhir.us.core`
    pub name: String,
    pub version: String,
    /// `4.0.1`; none: unsaid.
    pub fhir_versions: Vec<String>,
    /// Names and versions (`1.0.0`, `1.0.x`, `current`).
    pub dependencies: Vec<(String, String)>,
}

impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.name, self.version)
    }
}

/// Everything of a package that is used here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    pub manifest: Manifest,
    /// Sorted by URL and version, as all lists here.
    pub structures: Vec<Structure>,
    pub value_sets: Vec<ValueSet>,
    pub code_systems: Vec<CodeSystem>,
    pub parameters: Vec<SearchParameter>,
}

/// What one entry of a `.tgz` may unpack to, in bytes.
const MAX_ENTRY: u64 = 64 << 20;
/// What a `.tgz` may unpack to, in bytes.
const MAX_TOTAL: u64 = 1 << 30;
/// HL7's deepest code system nests 11 levels, two JSON levels each.
const LIMITS: Limits = Limits { depth: 128 };

impl Definitions {
    /// Reads a package from its files: names, with or without `package/` in front, and contents.
    pub fn from_files<N: AsRef<str>, B: AsRef<[u8]>>(
        files: impl IntoIterator<Item = (N, B)>,
    ) -> Result<Self, PackageError> {
        let mut reader = Reader::default();
        for (name, bytes) in files {
            reader.file(name.as_ref(), bytes.as_ref())?;
        }
        reader.finish()
    }

    /// Reads a package from the bytes of its `.tgz`. Links and folders in it are passed over.
    pub fn from_tgz(bytes: &[u8]) -> Result<Self, PackageError> {
        let broken = |error: std::io::Error| PackageError::new("archive", error.to_string());
        let mut archive = tar::Archive::new(GzDecoder::new(Cursor::new(bytes)).take(MAX_TOTAL));
        let mut reader = Reader::default();
        for entry in archive.entries().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if name.split(['/', '\\']).any(|part| part == "..") {
                return Err(PackageError::new(name, "a name in an archive must not lead out of it"));
            }
            if !entry.header().entry_type().is_file() || !is_read(&name) {
                continue;
            }
            if entry.size() > MAX_ENTRY {
                return Err(PackageError::new(name, format!("more than {} MiB", MAX_ENTRY >> 20)));
            }
            let mut content = Vec::new();
            entry.take(MAX_ENTRY).read_to_end(&mut content).map_err(broken)?;
            reader.file(&name, &content)?;
        }
        reader.finish()
    }
}

/// The name of a file that counts, without `package/`.
fn stem(name: &str) -> Option<&str> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let name = name.strip_prefix("package/").unwrap_or(name);
    let is_json = name.len() > 5 && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b".json");
    (is_json && !name.starts_with('.') && !name.contains('/')).then_some(name)
}

/// Whether a file of a package is read at all.
pub fn is_read(name: &str) -> bool {
    stem(name).is_some()
}

#[derive(Default)]
struct Reader {
    has_manifest: bool,
    read: Definitions,
}

impl Reader {
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), PackageError> {
        let Some(stem) = stem(name) else { return Ok(()) };
        let error = |what: String| PackageError::new(name, what);
        let content = std::str::from_utf8(bytes).map_err(|error| PackageError::new(name, error.to_string()))?;
        let doc = Doc::parse(content, &LIMITS).map_err(|found| error(found.to_string()))?;
        if stem.eq_ignore_ascii_case("package.json") {
            self.has_manifest = true;
            self.read.manifest = Manifest::read(doc.root()).map_err(error)?;
            return Ok(());
        }
        self.resource(doc.root()).map_err(error)
    }

    fn resource(&mut self, resource: Ref<'_>) -> Result<(), String> {
        let read = &mut self.read;
        match text(resource, "resourceType").as_deref() {
            // A logical model describes no FHIR resource.
            Some("StructureDefinition") if text(resource, "kind").as_deref() == Some("logical") => {}
            Some("StructureDefinition") => read.structures.push(Structure::read(resource)?),
            Some("ValueSet") => read.value_sets.push(ValueSet::read(resource)?),
            Some("CodeSystem") => read.code_systems.extend(CodeSystem::read(resource)?),
            // Some of HL7's examples are broken, and no definitions anyway.
            Some("SearchParameter") if !pristine::is_standard_parameter(resource) => {}
            Some("SearchParameter") => read.parameters.push(SearchParameter::read(resource)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Definitions, PackageError> {
        let mut read = self.read;
        if !self.has_manifest {
            return Err(PackageError::new("package.json", "a package must have one"));
        }
        if pristine::is_r4(&read.manifest.name) {
            pristine::restrict(&mut read);
        }
        share_constraints(&mut read.structures);
        sort(&mut read.structures, |one| (&one.url, &one.version))?;
        sort(&mut read.value_sets, |one| (&one.url, &one.version))?;
        sort(&mut read.code_systems, |one| (&one.url, &one.version))?;
        sort(&mut read.parameters, |one| (&one.url, &one.version))?;
        Ok(read)
    }
}

/// Sorts by URL and version and drops repetitions; two different definitions of one thing are an error.
fn sort<T: PartialEq>(
    items: &mut Vec<T>,
    key: impl Fn(&T) -> (&String, &Option<String>) + Copy,
) -> Result<(), PackageError> {
    items.sort_by(|a, b| key(a).cmp(&key(b)));
    items.dedup();
    match items.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        Some(pair) => Err(PackageError::new(key(&pair[0]).0, "two files of the package define it differently")),
        None => Ok(()),
    }
}

/// Lets equal invariants be one.
pub(super) fn share_constraints(structures: &mut [Structure]) {
    let mut known = HashSet::new();
    for constraint in structures.iter_mut().flat_map(|one| &mut one.elements).flat_map(|one| &mut one.constraints) {
        match known.get(constraint) {
            Some(same) => *constraint = Arc::clone(same),
            None => {
                known.insert(Arc::clone(constraint));
            }
        }
    }
}

impl Manifest {
    fn read(manifest: Ref<'_>) -> Result<Self, String> {
        let required = |name: &str| text(manifest, name).ok_or_else(|| format!("expected the string {name}"));
        let mut fhir_versions = strings(manifest, "fhirVersions");
        fhir_versions.extend(strings(manifest, "fhir-version-list"));
        if !fhir_versions.is_empty() && !fhir_versions.iter().any(|version| version.starts_with("4.0")) {
            return Err(format!("the package is for FHIR {}, not for R4", fhir_versions.join(", ")));
        }
        let dependencies = manifest.get("dependencies").into_iter().flat_map(Ref::members);
        Ok(Self {
            name: required("name")?,
            version: required("version")?,
            fhir_versions,
            dependencies: dependencies
                .map(|(name, version)| (name.into_owned(), version.as_str().unwrap_or_default().into_owned()))
                .collect(),
        })
    }
}

impl Structure {
    /// Whether it defines one of R4's types rather than constraining one.
    pub fn is_type(&self) -> bool {
        !self.is_constraint && self.kind != Kind::Logical
    }

    /// Whether it is a profile on Extension.
    pub fn is_extension(&self) -> bool {
        self.is_constraint && self.type_name == "Extension"
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const MANIFEST: &str = r#"{"name":"a.b","version":"1.0.0","fhirVersions":["4.0.1"],"dependencies":{"c.d":"2.x"}}"#;
    const VALUE_SET: &str = r#"{"resourceType":"ValueSet","url":"http://x/v","compose":{"include":[{"system":"s"}]}}"#;

    fn read(files: &[(&str, &str)]) -> Result<Definitions, PackageError> {
        Definitions::from_files(files.iter().map(|(name, text)| (name, text.as_bytes())))
    }

    #[test]
    fn names_come_in_mixed_forms_and_only_the_package_folder_counts() {
        let files = [
            ("package/package.json", MANIFEST),
            ("package/valueset-V.JSON", VALUE_SET),
            ("package/.index.json", "{"),
            ("package/example/Patient-broken.json", "{"),
            ("package/xml/a.xml", "<"),
            ("package/Patient-p.json", r#"{"resourceType":"Patient"}"#),
        ];
        let found = read(&files).unwrap();
        assert_eq!(found.manifest.to_string(), "a.b#1.0.0");
        assert_eq!(found.manifest.dependencies, [("c.d".to_owned(), "2.x".to_owned())]);
        assert_eq!((found.value_sets.len(), found.structures.len()), (1, 0));
        assert_eq!(read(&files.map(|(name, text)| (name.trim_start_matches("package/"), text))).unwrap(), found);
    }

    #[test]
    fn what_is_broken_is_named() {
        let broken = |name, text| read(&[("package.json", MANIFEST), (name, text)]).unwrap_err().to_string();
        assert!(broken("a.json", "{").starts_with("a.json: line 1"));
        assert!(broken("a.json", r#"{"resourceType":"StructureDefinition"}"#).starts_with("a.json: expected"));
        assert!(broken("a.json", r#"{"resourceType":"SearchParameter","url":"http://x"}"#).starts_with("a.json: "));
        assert_eq!(read(&[]).unwrap_err().subject, "package.json");
        let r5 = r#"{"name":"a","version":"1","fhirVersions":["5.0.0"]}"#;
        assert!(read(&[("package.json", r5)]).unwrap_err().what.contains("FHIR 5.0.0"));
        let other = VALUE_SET.replace("\"s\"", "\"t\"");
        let twice = [("package.json", MANIFEST), ("a.json", VALUE_SET), ("b.json", &other)];
        assert_eq!(read(&twice).unwrap_err().subject, "http://x/v");
    }

    fn tgz(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_ustar();
            // Set by hand: the builder itself refuses names that lead out.
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(text.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        let mut encoder = builder.into_inner().unwrap();
        encoder.flush().unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_archive_reads_like_its_files_and_does_not_lead_out() {
        let files = [("package/package.json", MANIFEST), ("package/a.json", VALUE_SET)];
        assert_eq!(Definitions::from_tgz(&tgz(&files)).unwrap(), read(&files).unwrap());
        let out = Definitions::from_tgz(&tgz(&[("package/../../a.json", "{}")])).unwrap_err();
        assert_eq!(out.subject, "package/../../a.json");
        assert!(Definitions::from_tgz(b"no archive").is_err());
    }
}
