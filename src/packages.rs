//! The operator's FHIR packages: read from disk, compiled, and kept compiled for the next start.
//!
//! A compiled package is kept under the SHA-256 of its files and of the program's version: whatever changes, another name is
//! looked up. A kept file that is damaged is made anew; one that cannot be written costs time at the next start, no more.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};

use crate::{
    clock::SharedClock,
    config,
    fhir::{
        definition::{
            package::Package,
            registry::Registry,
            source::{self, Definitions, PackageError},
        },
        validate::{Enforcement, Now, Options, Validator},
    },
};

/// The definitions that apply: what is built in, and the packages that the configuration names. The error names the file or
/// package and what is wrong with it.
pub fn load(config: &config::Validation) -> Result<Arc<Registry>, PackageError> {
    if config.packages.is_empty() {
        return Ok(Registry::built_in());
    }
    let cache = config.package_cache.as_deref();
    let packages = config.packages.iter().map(|path| open(path, cache)).collect::<Result<_, _>>()?;
    let registry = Registry::with(packages)?;
    for warning in registry.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(registry)
}

/// The validator that the configuration asks for.
pub fn validator(config: &config::Validation, clock: SharedClock) -> Result<Validator, PackageError> {
    let type_profiles = match config.ca_core {
        config::CaCore::Enforce => Enforcement::Enforce,
        config::CaCore::Warn => Enforcement::Warn,
        config::CaCore::Off => Enforcement::Off,
    };
    let reject_unknown_profiles = config.unknown_profile == config::UnknownProfile::Reject;
    let registry = load(config)?;
    if !config.packages.is_empty() {
        for unreadable in Validator::unreadable(&registry) {
            tracing::warn!("{unreadable}; it is not checked");
        }
    }
    let now: Now = Arc::new(move || clock.now());
    let options = Options { type_profiles, reject_unknown_profiles, now: Some(now), ..Options::built_in() };
    Ok(Validator::new(registry, options))
}

/// Opens a package: a `.tgz`, or a folder with `package.json` in it or in its sub-folder `package`.
pub fn open(path: &Path, cache: Option<&Path>) -> Result<Package, PackageError> {
    let files = Files::read(path)?;
    let kept = cache.map(|cache| cache.join(files.name()));
    if let Some(package) = kept.as_deref().and_then(|kept| Package::open(fs::read(kept).ok()?).ok()) {
        return Ok(package);
    }
    let failed = |what: String| PackageError { subject: path.display().to_string(), what };
    let bytes = files.definitions(path)?.encode().map_err(failed)?;
    if let Some(kept) = kept
        && let Err(error) = keep(&kept, &bytes)
    {
        tracing::warn!("{}: the compiled package cannot be kept: {error}", kept.display());
    }
    Package::open(bytes).map_err(failed)
}

/// Reads a package's definitions, as [`open`] does.
pub fn definitions(path: &Path) -> Result<Definitions, PackageError> {
    Files::read(path)?.definitions(path)
}

/// What a package was read from.
enum Files {
    Archive(Vec<u8>),
    /// Names and contents, sorted.
    Folder(Vec<(String, Vec<u8>)>),
}

impl Files {
    fn read(path: &Path) -> Result<Self, PackageError> {
        let failed = |at: &Path, error: std::io::Error| PackageError {
            subject: at.display().to_string(),
            what: error.to_string(),
        };
        if !path.is_dir() {
            return fs::read(path).map(Self::Archive).map_err(|error| failed(path, error));
        }
        let inner = path.join("package");
        let folder = if inner.join("package.json").is_file() { inner } else { path.to_owned() };
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let entry = entry.map_err(|error| failed(&folder, error))?.path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if source::is_read(&name) && entry.is_file() {
                files.push((name, fs::read(&entry).map_err(|error| failed(&entry, error))?));
            }
        }
        files.sort();
        Ok(Self::Folder(files))
    }

    /// The name of the file that keeps the compiled package.
    fn name(&self) -> PathBuf {
        let mut digest = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(env!("CARGO_PKG_VERSION").as_bytes());
        match self {
            Self::Archive(bytes) => add(bytes),
            Self::Folder(files) => files.iter().for_each(|(name, bytes)| {
                add(name.as_bytes());
                add(bytes);
            }),
        }
        let hex: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}.package").into()
    }

    fn definitions(&self, path: &Path) -> Result<Definitions, PackageError> {
        let read = match self {
            Self::Archive(bytes) => Definitions::from_tgz(bytes),
            Self::Folder(files) => Definitions::from_files(files.iter().map(|(name, bytes)| (name, bytes))),
        };
        read.map_err(|error| PackageError {
            subject: format!("{}: {}", path.display(), error.subject),
            what: error.what,
        })
    }
}

/// Writes beside and renames, so that nobody ever reads half a file.
fn keep(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _gone = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{"name":"a","version":"1.0.0","fhirVersions":["4.0.1"]}"#;
    const SET: &str = r#"{"resourceType":"ValueSet","url":"http://x/v","compose":{"include":[{"system":"http://s"}]}}"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn validation(path: &Path) -> config::Validation {
        let mut validation = crate::config::Config::for_tests("").validation;
        validation.packages = vec![path.to_owned()];
        validation
    }

    #[test]
    fn a_folder_is_read_with_or_without_its_inner_package_folder() {
        let flat =
            folder(&[("package.json", MANIFEST), ("v.json", SET), ("example/broken.json", "{"), ("notes.txt", "")]);
        let inner = folder(&[("package/package.json", MANIFEST), ("package/v.json", SET), ("other.json", "{")]);
        for folder in [flat, inner] {
            let registry = load(&validation(folder.path())).unwrap();
            assert!(registry.expansion("http://x/v").is_some());
            assert!(registry.structure("http://hl7.org/fhir/StructureDefinition/Patient").is_some());
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let broken = folder(&[("package.json", MANIFEST), ("v.json", "{")]);
        let error = load(&validation(broken.path())).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: v.json: line 1", broken.path().display())), "{error}");
        let lost = broken.path().join("lost.tgz");
        assert!(load(&validation(&lost)).unwrap_err().subject.ends_with("lost.tgz"));
    }

    #[test]
    fn a_compiled_package_is_kept_and_a_damaged_one_made_anew() {
        let from = folder(&[("package.json", MANIFEST), ("v.json", SET)]);
        let kept = tempfile::tempdir().unwrap();
        let cache = kept.path().join("deep/er");
        let first = open(from.path(), Some(&cache)).unwrap();
        let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&file).unwrap();
        // What is kept is used: here it is another package's.
        let other = Definitions::from_files([("package.json", MANIFEST.replace("1.0.0", "9.9.9"))]).unwrap();
        fs::write(&file, other.encode().unwrap()).unwrap();
        assert_eq!(open(from.path(), Some(&cache)).unwrap().manifest().version, "9.9.9");
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(open(from.path(), Some(&cache)).unwrap().definitions(), first.definitions());
        assert_eq!(fs::read(&file).unwrap(), bytes);
        fs::write(from.path().join("v.json"), SET.replace("http://x/v", "http://x/w")).unwrap();
        assert_eq!(open(from.path(), Some(&cache)).unwrap().value_sets()[0].url, "http://x/w");
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 2);
    }
}
