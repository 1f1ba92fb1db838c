//! Whether packages fit together: what an operator's package refers to and is not there.
//!
//! Without a base or a profile on a type nothing can be checked, so that is an error. Value sets, the targets of references
//! and HL7's packages of later terminology and extensions are often left out on purpose: that is a warning.

use super::Registry;
use crate::fhir::definition::{
    package::Package,
    pristine,
    source::{Manifest, PackageError},
    structure::{Binding, Strength, Structure},
    types::R4,
};

/// Packages that may be missing: R4 has the older form of what is in them.
const OPTIONAL: [&str; 2] = ["hl7.terminology", "hl7.fhir.uv.extensions"];

/// Checks `registry.packages[..count]`; gives warnings.
pub(super) fn check(registry: &Registry, count: usize) -> Result<Vec<String>, PackageError> {
    let mut warnings = Vec::new();
    for package in &registry.packages[..count] {
        dependencies(registry, package.manifest(), &mut warnings)?;
        for (index, head) in package.structures().iter().enumerate() {
            let subject = || format!("{}: {}", package.manifest(), head.url);
            let Some(structure) = package.structure(index) else { continue };
            references(registry, &structure, &subject(), &mut warnings)?;
            if !structure.is_snapshot {
                let canonical = format!("{}|{}", head.url, head.version);
                registry.snapshot(&canonical).map_err(|what| PackageError::new(subject(), what))?;
            }
        }
        value_sets(registry, package, &mut warnings);
    }
    Ok(warnings)
}

fn dependencies(registry: &Registry, manifest: &Manifest, warnings: &mut Vec<String>) -> Result<(), PackageError> {
    for (name, version) in manifest.dependencies.iter().filter(|(name, _)| !pristine::is_r4(name)) {
        let mut given =
            registry.packages.iter().map(|package| package.manifest()).filter(|one| one.name == *name).peekable();
        let is_optional = OPTIONAL.iter().any(|optional| name.starts_with(optional));
        match given.peek() {
            None if is_optional => {
                warnings.push(format!("{manifest}: depends on {name}#{version}, which is not given"))
            }
            None => {
                return Err(PackageError::new(
                    manifest.to_string(),
                    format!("depends on the package {name}#{version}, which is not given"),
                ));
            }
            Some(first) => {
                let first = first.to_string();
                if !given.any(|one| is_version(&one.version, version)) {
                    warnings.push(format!("{manifest}: depends on {name}#{version}, but {first} is given"));
                }
            }
        }
    }
    Ok(())
}

/// Whether `version` is one that a dependency asks for: `1.0.0`, `1.0.x`, `current`.
fn is_version(version: &str, wanted: &str) -> bool {
    let is_open = matches!(wanted, "current" | "latest" | "dev" | "" | "*" | "x");
    is_open || version == wanted || wanted.strip_suffix(['x', '*']).is_some_and(|start| version.starts_with(start))
}

fn references(
    registry: &Registry,
    structure: &Structure,
    subject: &str,
    warnings: &mut Vec<String>,
) -> Result<(), PackageError> {
    let is_there = |canonical: &str| registry.structures.find(canonical).is_some();
    let missing =
        |what: &str, canonical: &str| PackageError::new(subject, format!("{what} {canonical} is in no package"));
    if let Some(base) = structure.base.as_ref().filter(|base| !is_there(base)) {
        return Err(missing("the base", base));
    }
    for element in &structure.elements {
        for one in &element.types {
            for profile in one.profiles.iter().filter(|profile| !is_there(profile)) {
                let error = missing(&format!("{}: the profile", element.id), profile);
                // An extension of HL7's extension pack is named like R4's own.
                if !profile.starts_with(R4) {
                    return Err(error);
                }
                warnings.push(error.to_string());
            }
            for target in one.target_profiles.iter().filter(|target| !is_there(target)) {
                warnings.push(missing(&format!("{}: the target", element.id), target).to_string());
            }
        }
        if let Some(Binding { strength: Strength::Required, value_set: Some(set), .. }) = &element.binding
            && registry.value_sets.find(set).is_none()
        {
            warnings.push(missing(&format!("{}: the value set", element.id), set).to_string());
        }
    }
    Ok(())
}

fn value_sets(registry: &Registry, package: &Package, warnings: &mut Vec<String>) {
    for (index, head) in package.value_sets().iter().enumerate() {
        let compose = package.value_set(index).and_then(|set| set.compose);
        let parts = compose.iter().flat_map(|compose| compose.include.iter().chain(&compose.exclude));
        for import in parts.flat_map(|part| &part.value_sets) {
            if registry.value_sets.find(import).is_none() {
                let manifest = package.manifest();
                warnings.push(format!("{manifest}: {}: the value set {import} is in no package", head.url));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_may_leave_its_version_open() {
        for (version, wanted) in [("1.0.3", "1.0.3"), ("1.0.3", "1.0.x"), ("1.0.3", "1.x"), ("2.0.0", "current")] {
            assert!(is_version(version, wanted), "{version} {wanted}");
        }
        for (version, wanted) in [("1.0.3", "1.0.4"), ("1.1.0", "1.0.x"), ("10.0.0", "1.x")] {
            assert!(!is_version(version, wanted), "{version} {wanted}");
        }
    }
}
