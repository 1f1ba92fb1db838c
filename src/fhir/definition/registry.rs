//! All definitions that apply, by canonical URL: R4 and the packages that come with the program or from the operator.
//!
//! Immutable and shared. A definition is decoded, and a value set expanded, when something first asks; after that an answer
//! costs one hash look-up. Where several packages define the same canonical, the operator's go before the built-in ones and
//! newer versions before older.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock},
};

use super::{
    expansion::{self, Expansion, Library},
    package::{self, Package, StructureHead},
    parameter::SearchParameter,
    snapshot::{self, Snapshots},
    source::PackageError,
    structure::Structure,
    terminology::{CodeSystem, ValueSet},
};

/// Value sets that import value sets that import….
const MAX_IMPORTS: usize = 8;
/// Profiles on profiles, and profiles on the types of their elements.
const MAX_BASES: usize = 24;

/// The definitions that apply.
#[derive(Debug)]
pub struct Registry {
    /// The operator's first, the built-in ones last.
    packages: Vec<Arc<Package>>,
    structures: Index<Structure>,
    value_sets: Index<Expansion>,
    code_systems: Index<CodeSystem>,
    parameters: OnceLock<Vec<Arc<SearchParameter>>>,
}

/// Definitions of one kind.
#[derive(Debug)]
struct Index<T> {
    by_url: HashMap<Box<str>, Vec<Slot<T>>>,
}

/// One definition, and what has been made of it.
#[derive(Debug)]
struct Slot<T> {
    version: Box<str>,
    package_version: Arc<str>,
    /// Index in [`Registry::packages`], and in that package.
    package: usize,
    place: usize,
    /// Or why it cannot be made.
    made: OnceLock<Result<Arc<T>, String>>,
}

impl<T> Index<T> {
    fn new<'p, H: 'p>(
        packages: &'p [Arc<Package>],
        heads: impl Fn(&'p Package) -> &'p [H],
        name: impl Fn(&'p H) -> (&'p str, &'p str),
    ) -> Self {
        let mut by_url: HashMap<Box<str>, Vec<Slot<T>>> = HashMap::new();
        for (package, from) in packages.iter().enumerate() {
            let package_version: Arc<str> = from.manifest().version.as_str().into();
            for (place, head) in heads(from).iter().enumerate() {
                let (url, version) = name(head);
                let (version, package_version) = (version.into(), Arc::clone(&package_version));
                let slot = Slot { version, package_version, package, place, made: OnceLock::new() };
                by_url.entry(url.into()).or_default().push(slot);
            }
        }
        Self { by_url }
    }

    /// The definition that a canonical (`url`, `url|version`, `url|major.minor`) leads to.
    fn find(&self, canonical: &str) -> Option<&Slot<T>> {
        let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
        self.version(url, version)
    }

    fn version(&self, url: &str, version: Option<&str>) -> Option<&Slot<T>> {
        let slots = self.by_url.get(url)?;
        let Some(wanted) = version else { return slots.first() };
        let starts = |slot: &&Slot<T>| slot.version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'));
        let is_of_package = |slot: &&Slot<T>| &*slot.package_version == wanted;
        let mut slots = slots.iter();
        slots.clone().find(|slot| &*slot.version == wanted).or_else(|| slots.clone().find(starts)).or_else(|| {
            // R4 binds `v3-NullFlavor|4.0.1`, which it publishes as version 2018-08-12.
            slots.find(is_of_package)
        })
    }
}

impl Registry {
    /// What the program itself brings.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Registry>> =
            LazyLock::new(|| Arc::new(Registry::index(vec![Arc::clone(package::r4())])));
        Arc::clone(&BUILT_IN)
    }

    /// The operator's packages before the built-in ones. The error names what is missing, and who refers to it.
    pub fn with(packages: Vec<Package>) -> Result<Arc<Self>, PackageError> {
        Ok(Arc::new(Self::loose(packages)))
    }

    /// The same, whatever is missing.
    pub(super) fn loose(packages: Vec<Package>) -> Self {
        let built_in = Self::built_in();
        Self::index(packages.into_iter().map(Arc::new).chain(built_in.packages.iter().cloned()).collect())
    }

    fn index(packages: Vec<Arc<Package>>) -> Self {
        Self {
            structures: Index::new(&packages, Package::structures, |one| (&one.url, &one.version)),
            value_sets: Index::new(&packages, Package::value_sets, |one| (&one.url, &one.version)),
            code_systems: Index::new(&packages, Package::code_systems, |one| (&one.url, &one.version)),
            parameters: OnceLock::new(),
            packages,
        }
    }

    /// The packages, those that win first.
    pub fn packages(&self) -> &[Arc<Package>] {
        &self.packages
    }

    /// The structure with its snapshot.
    pub fn structure(&self, canonical: &str) -> Option<Arc<Structure>> {
        self.made_structure(self.structures.find(canonical)?).ok()
    }

    /// The structure with its snapshot; the error says why there is none.
    pub fn snapshot(&self, canonical: &str) -> Result<Arc<Structure>, String> {
        let slot = self.structures.find(canonical).ok_or_else(|| format!("{canonical} is in no package"))?;
        self.made_structure(slot)
    }

    fn made_structure(&self, slot: &Slot<Structure>) -> Result<Arc<Structure>, String> {
        match slot.made.get() {
            Some(made) => made.clone(),
            None => Shelf::new(self).structure(slot),
        }
    }

    /// The definition of an extension.
    pub fn extension(&self, url: &str) -> Option<Arc<Structure>> {
        self.structure(url).filter(|structure| structure.is_extension())
    }

    /// All structures, without decoding them.
    pub fn structures(&self) -> impl Iterator<Item = &StructureHead> {
        self.packages.iter().flat_map(|package| package.structures())
    }

    /// The code system with this URL, maybe with a version.
    pub fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>> {
        self.decoded(self.code_systems.find(canonical)?)
    }

    fn decoded(&self, slot: &Slot<CodeSystem>) -> Option<Arc<CodeSystem>> {
        let read = || self.packages[slot.package].code_system(slot.place).map(Arc::new).ok_or_else(unreadable);
        slot.made.get_or_init(read).clone().ok()
    }

    /// The value set, ready to be asked.
    pub fn expansion(&self, canonical: &str) -> Option<Arc<Expansion>> {
        let slot = self.value_sets.find(canonical)?;
        match slot.made.get() {
            Some(made) => made.clone().ok(),
            None => Shelf::new(self).expand(slot).ok(),
        }
    }

    /// The search parameters; of several with one canonical, the one that wins.
    pub fn search_parameters(&self) -> impl Iterator<Item = &Arc<SearchParameter>> {
        let read = || {
            let index: Index<()> = Index::new(&self.packages, Package::parameters, |one| (&one.url, &one.version));
            let mut first: Vec<_> = index.by_url.values().filter_map(|slots| slots.first()).collect();
            first.sort_by_key(|slot| (slot.package, slot.place));
            let read = first.into_iter().filter_map(|slot| self.packages[slot.package].parameter(slot.place));
            read.map(Arc::new).collect()
        };
        self.parameters.get_or_init(read).iter()
    }
}

fn unreadable() -> String {
    "its compiled form cannot be read".to_owned()
}

/// The way of a definition that is being made to those it refers to.
struct Shelf<'r> {
    registry: &'r Registry,
    /// What is being made, by package and place.
    open: Vec<(usize, usize)>,
    /// Whether a reference had to be given up because it leads back or too deep: what was made then depends on where it
    /// began and is not kept.
    is_cut: bool,
}

impl<'r> Shelf<'r> {
    fn new(registry: &'r Registry) -> Self {
        Self { registry, open: Vec::new(), is_cut: false }
    }

    /// Makes what is in `slot` and keeps it. The cell is not locked meanwhile: two definitions that refer to each other
    /// would wait for one another.
    fn make<T>(
        &mut self,
        slot: &Slot<T>,
        most: usize,
        make: impl FnOnce(&mut Self, &Package) -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        if let Some(made) = slot.made.get() {
            return made.clone();
        }
        let place = (slot.package, slot.place);
        if self.open.contains(&place) || self.open.len() >= most {
            self.is_cut = true;
            return Err("it refers to itself, or too deep".to_owned());
        }
        self.open.push(place);
        let made = make(self, &self.registry.packages[slot.package]).map(Arc::new);
        self.open.pop();
        if self.is_cut && !self.open.is_empty() { made } else { slot.made.get_or_init(|| made).clone() }
    }

    fn expand(&mut self, slot: &Slot<Expansion>) -> Result<Arc<Expansion>, String> {
        self.make(slot, MAX_IMPORTS, |shelf, package| {
            let set: ValueSet = package.value_set(slot.place).ok_or_else(unreadable)?;
            Ok(expansion::expand(&set, shelf))
        })
    }

    fn structure(&mut self, slot: &Slot<Structure>) -> Result<Arc<Structure>, String> {
        self.make(slot, MAX_BASES, |shelf, package| {
            let structure = package.structure(slot.place).ok_or_else(unreadable)?;
            if structure.is_snapshot { Ok(structure) } else { snapshot::generate(&structure, shelf) }
        })
    }
}

impl Library for Shelf<'_> {
    fn code_system(&self, url: &str, version: Option<&str>) -> Option<(Arc<CodeSystem>, bool)> {
        let exact = version.and_then(|_| self.registry.code_systems.version(url, version));
        let slot = exact.or_else(|| self.registry.code_systems.version(url, None))?;
        Some((self.registry.decoded(slot)?, version.is_none() || exact.is_some()))
    }

    fn import(&mut self, canonical: &str) -> Result<Arc<Expansion>, String> {
        let found = self.registry.value_sets.find(canonical);
        let slot = found.ok_or_else(|| format!("the value set {canonical} is in no package"))?;
        self.expand(slot).map_err(|why| format!("the value set {canonical}: {why}"))
    }
}

impl Snapshots for Shelf<'_> {
    fn snapshot(&mut self, canonical: &str) -> Result<Arc<Structure>, String> {
        let found = self.registry.structures.find(canonical);
        let slot = found.ok_or_else(|| format!("the structure {canonical} is in no package"))?;
        self.structure(slot).map_err(|why| format!("the structure {canonical}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::definition::{expansion::Membership, structure::Strength};

    fn contains(set: &str, system: Option<&str>, code: &str) -> &'static str {
        match Registry::built_in().expansion(set).unwrap().contains(system, code) {
            Membership::Member => "yes",
            Membership::NotMember => "no",
            Membership::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn a_canonical_may_carry_a_version_or_the_beginning_of_one() {
        let registry = Registry::built_in();
        let url = "http://hl7.org/fhir/StructureDefinition/Patient";
        for found in [url.to_owned(), format!("{url}|4.0.1"), format!("{url}|4.0"), format!("{url}|4")] {
            assert_eq!(registry.structure(&found).unwrap().name, "Patient", "{found}");
        }
        for lost in [format!("{url}|4.0.2"), format!("{url}|4.0.1.1"), format!("{url}|"), "http://x".to_owned()] {
            assert!(registry.structure(&lost).is_none(), "{lost}");
        }
        assert!(registry.extension("http://hl7.org/fhir/StructureDefinition/patient-nationality").is_some());
        assert!(registry.extension(url).is_none());
    }

    #[test]
    fn the_required_value_sets_of_r4_are_all_there_and_closed_but_four() {
        let registry = Registry::built_in();
        let types = package::r4().types();
        let bindings = types.iter().flat_map(|one| &one.elements).filter_map(|one| one.binding.as_ref());
        let required =
            bindings.filter(|one| one.strength == Strength::Required).filter_map(|one| one.value_set.as_ref());
        let mut required: Vec<_> = required.collect();
        required.sort_unstable();
        required.dedup();
        assert_eq!(required.len(), 224);
        let open = required.into_iter().filter(|set| registry.expansion(set).is_none_or(|set| !set.is_closed()));
        let open: Vec<_> = open.map(|set| set.trim_start_matches("http://hl7.org/fhir/ValueSet/")).collect();
        assert_eq!(
            open,
            ["currencies|4.0.1", "mimetypes|4.0.1", "ucum-units|4.0.1", "http://loinc.org/vs/LL379-9|4.0.1"]
        );
    }

    #[test]
    fn r4s_value_sets_are_answered() {
        let set = |name: &str| format!("http://hl7.org/fhir/ValueSet/{name}");
        let cases = [
            (set("administrative-gender|4.0.1"), None, "female", "yes"),
            (set("administrative-gender"), None, "Female", "no"),
            (set("administrative-gender"), Some("http://hl7.org/fhir/administrative-gender"), "male", "yes"),
            (set("administrative-gender"), Some("http://x"), "male", "no"),
            (set("mimetypes"), None, "application/fhir+json; charset=utf-8", "yes"),
            (set("mimetypes"), None, "pdf", "no"),
            (set("currencies"), None, "CAD", "yes"),
            (set("currencies"), None, "CA$", "no"),
            (set("ucum-units"), Some("http://unitsofmeasure.org"), "mg/dL", "unknown"),
            (set("all-languages"), None, "fr-CA", "yes"),
            (set("all-languages"), None, "fr_CA", "no"),
            (set("observation-codes"), Some("http://loinc.org"), "8480-6", "unknown"),
            (set("iso3166-1-3"), Some("urn:iso:std:iso:3166"), "CAN", "unknown"),
            (set("iso3166-1-3"), Some("urn:iso:std:iso:3166"), "CA", "no"),
            (set("resource-types"), None, "Patient", "yes"),
            (set("patient-contactrelationship"), Some("http://terminology.hl7.org/CodeSystem/v2-0131"), "N", "yes"),
            (set("patient-contactrelationship"), Some("http://terminology.hl7.org/CodeSystem/v2-0131"), "O", "no"),
            (
                "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode".to_owned(),
                Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
                "AMB",
                "yes",
            ),
        ];
        for (set, system, code, expected) in cases {
            assert_eq!(contains(&set, system, code), expected, "{code} in {set}");
        }
    }

    #[test]
    fn the_search_parameters_are_r4s() {
        let registry = Registry::built_in();
        assert_eq!(registry.search_parameters().count(), 1375);
        let birthdate = registry.search_parameters().find(|one| one.url.ends_with("/individual-birthdate")).unwrap();
        assert_eq!(birthdate.base, ["Patient", "Person", "RelatedPerson"]);
    }
}
