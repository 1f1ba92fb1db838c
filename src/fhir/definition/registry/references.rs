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

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub errors: Vec<PackageError>,
    pub warnings: Vec<String>,
}

/// Checks `registry.packages[..count]`.
pub(super) fn check(registry: &Registry, count: usize) -> Found {
    let mut found = Found::default();
    for package in &registry.packages[..count] {
        found.dependencies(registry, package.manifest());
        for (index, head) in package.structures().iter().enumerate() {
            let subject = format!("{}: {}", package.manifest(), head.url);
            let Some(structure) = package.structure(index) else { continue };
            let errors = found.errors.len();
            found.references(registry, &structure, &subject);
            // Otherwise the snapshot fails for what was just named.
            if !structure.is_snapshot && found.errors.len() == errors {
                let canonical = format!("{}|{}", head.url, head.version);
                let fault = registry.snapshot(&canonical).err().map(|what| PackageError::new(subject, what));
                found.errors.extend(fault);
            }
        }
        found.value_sets(registry, package);
    }
    found
}

impl Found {
    fn dependencies(&mut self, registry: &Registry, manifest: &Manifest) {
        for (name, version) in manifest.dependencies.iter().filter(|(name, _)| !pristine::is_r4(name)) {
            let given = registry.packages.iter().map(|package| package.manifest()).filter(|one| one.name == *name);
            let given: Vec<_> = given.collect();
            let is_optional = OPTIONAL.iter().any(|optional| name.starts_with(optional));
            let depends = format!("depends on the package {name}#{version}");
            match given.first() {
                None if is_optional => self.warnings.push(format!("{manifest}: {depends}, which is not given")),
                None => self.errors.push(PackageError::new(manifest.to_string(), depends + ", which is not given")),
                Some(_) if given.iter().any(|one| is_version(&one.version, version)) => {}
                Some(first) => self.warnings.push(format!("{manifest}: {depends}, but {first} is given")),
            }
        }
    }

    fn references(&mut self, registry: &Registry, structure: &Structure, subject: &str) {
        let is_lost = |canonical: &&String| registry.structures.find(canonical).is_none();
        let missing = |what: String| PackageError::new(subject, what + " is in no package");
        if let Some(base) = structure.base.as_ref().filter(is_lost) {
            self.errors.push(missing(format!("the base {base}")));
        }
        for element in &structure.elements {
            let id = &element.id;
            for profile in element.types.iter().flat_map(|one| &one.profiles).filter(is_lost) {
                let error = missing(format!("{id}: the profile {profile}"));
                // An extension of HL7's extension pack is named like R4's own.
                if profile.starts_with(R4) {
                    self.warnings.push(error.to_string());
                } else {
                    self.errors.push(error);
                }
            }
            for target in element.types.iter().flat_map(|one| &one.target_profiles).filter(is_lost) {
                self.warnings.push(missing(format!("{id}: the target {target}")).to_string());
            }
            if let Some(Binding { strength: Strength::Required, value_set: Some(set), .. }) = &element.binding
                && registry.value_sets.find(set).is_none()
            {
                self.warnings.push(missing(format!("{id}: the value set {set}")).to_string());
            }
        }
    }

    fn value_sets(&mut self, registry: &Registry, package: &Package) {
        for (index, head) in package.value_sets().iter().enumerate() {
            let compose = package.value_set(index).and_then(|set| set.compose);
            let parts = compose.iter().flat_map(|compose| compose.include.iter().chain(&compose.exclude));
            let imports = parts.flat_map(|part| &part.value_sets);
            for import in imports.filter(|import| registry.value_sets.find(import).is_none()) {
                let manifest = package.manifest();
                self.warnings.push(format!("{manifest}: {}: the value set {import} is in no package", head.url));
            }
        }
    }
}

/// Whether `version` is one that a dependency asks for: `1.0.0`, `1.0.x`, `current`.
fn is_version(version: &str, wanted: &str) -> bool {
    let is_open = matches!(wanted, "current" | "latest" | "dev" | "" | "*" | "x");
    is_open || version == wanted || wanted.strip_suffix(['x', '*']).is_some_and(|start| version.starts_with(start))
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
