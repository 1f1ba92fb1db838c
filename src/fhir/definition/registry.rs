//! All definitions that apply, by canonical URL: R4 and the packages that come with the program or from the operator.
//!
//! Immutable and shared. A definition is decoded, and a value set expanded, when something first asks; after that an answer
//! costs one hash look-up. Where several packages define the same canonical, the operator's go before the built-in ones and
//! newer versions before older.

mod references;

use std::{
    cmp::{Ordering, Reverse},
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
    /// How many are the operator's.
    operators: usize,
    structures: Index<Structure>,
    value_sets: Index<Expansion>,
    code_systems: Index<CodeSystem>,
    parameters: OnceLock<Vec<Arc<SearchParameter>>>,
    warnings: Vec<String>,
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

impl<T> Slot<T> {
    /// The lowest wins.
    fn rank(&self, operators: usize) -> (bool, Reverse<Version<'_>>, Reverse<Version<'_>>) {
        let newest = |version| Reverse(Version::of(version));
        (self.package >= operators, newest(&self.version), newest(&self.package_version))
    }
}

impl<T> Index<T> {
    /// Of `packages`, of which the first `operators` go before the others.
    fn new<'p, H: 'p>(
        packages: &'p [Arc<Package>],
        operators: usize,
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
        for slots in by_url.values_mut().filter(|slots| slots.len() > 1) {
            slots.sort_by(|a, b| a.rank(operators).cmp(&b.rank(operators)));
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
        // `1.1` is any 1.1; `1.1.0` is met by `1.1.0-sofa.1` where nothing else meets it.
        let starts =
            |slot: &&Slot<T>| slot.version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['.', '-']));
        let is_of_package = |slot: &&Slot<T>| &*slot.package_version == wanted;
        let mut slots = slots.iter();
        slots.clone().find(|slot| &*slot.version == wanted).or_else(|| slots.clone().find(starts)).or_else(|| {
            // R4 binds `v3-NullFlavor|4.0.1`, which it publishes as version 2018-08-12.
            slots.find(is_of_package)
        })
    }
}

/// A version's order: numbers by value, and what is marked as preliminary (`1.2.0-ballot`) before what is not.
#[derive(Debug, PartialEq, Eq)]
struct Version<'v> {
    numbers: Vec<Result<u64, &'v str>>,
    mark: Option<&'v str>,
}

impl<'v> Version<'v> {
    fn of(version: &'v str) -> Self {
        let (numbers, mark) = version.split_once('-').map_or((version, None), |(numbers, mark)| (numbers, Some(mark)));
        Self { numbers: numbers.split('.').map(|part| part.parse().map_err(|_| part)).collect(), mark }
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let mark = |one: &Self| (one.mark.is_none(), one.mark.map(str::to_owned));
        self.numbers.cmp(&other.numbers).then_with(|| mark(self).cmp(&mark(other)))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Registry {
    /// What the program itself brings.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Registry>> =
            LazyLock::new(|| Arc::new(Registry::index(package::built_in().to_vec(), 0)));
        Arc::clone(&BUILT_IN)
    }

    /// The operator's packages before the built-in ones. The error names what is missing, and who refers to it.
    pub fn with(packages: Vec<Package>) -> Result<Arc<Self>, PackageError> {
        let (registry, errors) = Self::assemble(packages);
        errors.into_iter().next().map_or(Ok(registry), Err)
    }

    /// The same, with all that is missing told.
    pub fn assemble(packages: Vec<Package>) -> (Arc<Self>, Vec<PackageError>) {
        let count = packages.len();
        let packages = packages.into_iter().map(Arc::new).chain(package::built_in().iter().cloned());
        let mut registry = Self::index(packages.collect(), count);
        let found = references::check(&registry, count);
        registry.warnings = found.warnings;
        (Arc::new(registry), found.errors)
    }

    fn index(packages: Vec<Arc<Package>>, operators: usize) -> Self {
        Self {
            structures: Index::new(&packages, operators, Package::structures, |one| (&one.url, &one.version)),
            value_sets: Index::new(&packages, operators, Package::value_sets, |one| (&one.url, &one.version)),
            code_systems: Index::new(&packages, operators, Package::code_systems, |one| (&one.url, &one.version)),
            parameters: OnceLock::new(),
            warnings: Vec::new(),
            operators,
            packages,
        }
    }

    /// What of the operator's packages does not fit together and does no harm.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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
            let index: Index<()> =
                Index::new(&self.packages, self.operators, Package::parameters, |one| (&one.url, &one.version));
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
    use crate::fhir::definition::{expansion::Membership, source::Definitions, structure::Strength};

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

    fn package(name: &str, version: &str, more: &str, files: &[&str]) -> Package {
        let manifest = format!(r#"{{"name":"{name}","version":"{version}"{more}}}"#);
        let numbered = files.iter().enumerate().map(|(at, text)| (format!("{at}.json"), text.as_bytes()));
        let files = numbered.chain([("package.json".to_owned(), manifest.as_bytes())]);
        Definitions::from_files(files).unwrap().package().unwrap()
    }

    const SET: &str = r#"{"resourceType":"ValueSet","url":"http://hl7.org/fhir/ValueSet/administrative-gender",
        "compose":{"include":[{"system":"http://x","concept":[{"code":"z"}]}]}}"#;

    #[test]
    fn the_operators_definitions_win_and_newer_ones_before_older() {
        let newer = SET.replace("\"z\"", "\"y\"");
        let packages = vec![
            package("a", "1.9.0", "", &[SET]),
            package("a", "1.10.0", "", &[&newer]),
            package("a", "1.10.0-ballot", "", &[&SET.replace("\"z\"", "\"x\"")]),
        ];
        let registry = Registry::with(packages).unwrap();
        let codes = |version: &str| {
            let canonical = format!("http://hl7.org/fhir/ValueSet/administrative-gender{version}");
            registry.expansion(&canonical).map(|set| set.codes(9).join(" "))
        };
        assert_eq!(codes("").as_deref(), Some("y"));
        assert_eq!(codes("|1.9").as_deref(), Some("z"));
        assert_eq!(codes("|1.10.0-ballot").as_deref(), Some("x"));
        assert_eq!(codes("|4.0.1").as_deref(), Some("female male other unknown"));
        assert_eq!(codes("|3"), None);
        assert_eq!(registry.packages().len(), 3 + package::built_in().len());
    }

    #[test]
    fn what_a_package_lacks_is_named() {
        let fault = |more: &str, file: &str| {
            Registry::with(vec![package("a", "1", more, &[file])]).map(|made| made.warnings().to_vec())
        };
        let depends = |on: &str| format!(r#","dependencies":{{"{on}":"1.0.0"}}"#);
        let error = fault(&depends("b"), SET).unwrap_err();
        assert_eq!(error.to_string(), "a#1: depends on the package b#1.0.0, which is not given");
        assert_eq!(fault(&depends("hl7.fhir.r4.core"), SET).unwrap(), [""; 0]);
        assert_eq!(fault(&depends("hl7.terminology.r4"), SET).unwrap().len(), 1);
        let profile = |base: &str, element: &str| {
            format!(
                r#"{{"resourceType":"StructureDefinition","url":"http://x/p","name":"P","kind":"resource","type":"Patient",
                "derivation":"constraint","baseDefinition":"{base}","differential":{{"element":[{{"path":"Patient"}},{element}]}}}}"#
            )
        };
        let patient = "http://hl7.org/fhir/StructureDefinition/Patient";
        let error = fault("", &profile("http://x/lost", r#"{"path":"Patient.name"}"#)).unwrap_err();
        assert_eq!(error.to_string(), "a#1: http://x/p: the base http://x/lost is in no package");
        let typed = r#"{"path":"Patient.name","type":[{"code":"HumanName","profile":["http://x/lost"]}]}"#;
        let error = fault("", &profile(patient, typed)).unwrap_err();
        assert_eq!(error.what, "Patient.name: the profile http://x/lost is in no package");
        let bound = r#"{"path":"Patient.gender","binding":{"strength":"required","valueSet":"http://x/lost"}}"#;
        let warnings = fault("", &profile(patient, bound)).unwrap();
        assert_eq!(warnings, ["a#1: http://x/p: Patient.gender: the value set http://x/lost is in no package"]);
        let wrong = fault("", &profile(patient, r#"{"path":"Patient.nam"}"#)).unwrap_err();
        assert_eq!(wrong.to_string(), "a#1: http://x/p: element Patient.nam: 'nam' is no element of Patient");
    }

    #[test]
    fn every_built_in_structure_has_a_snapshot() {
        let registry = Registry::built_in();
        for head in registry.structures() {
            let made = registry.snapshot(&format!("{}|{}", head.url, head.version));
            assert!(made.is_ok_and(|made| made.is_snapshot), "{}", head.url);
        }
        let found = references::check(&registry, 2);
        assert!(found.errors.is_empty() && found.warnings.is_empty(), "{:?} {:?}", found.errors, found.warnings);
    }

    #[test]
    fn value_sets_that_import_each_other_come_to_an_end() {
        let set = |url: &str, import: &str| {
            format!(
                r#"{{"resourceType":"ValueSet","url":"http://x/{url}","compose":{{"include":[{{"valueSet":["http://x/{import}"]}},
                {{"system":"http://s","concept":[{{"code":"{url}"}}]}}]}}}}"#
            )
        };
        let registry = Registry::with(vec![package("a", "1", "", &[&set("a", "b"), &set("b", "a")])]).unwrap();
        for (from, other) in [("a", "b"), ("b", "a")] {
            let made = registry.expansion(&format!("http://x/{from}")).unwrap();
            assert_eq!(made.contains(None, from), Membership::Member);
            assert_eq!(made.contains(None, other), Membership::Member);
            assert!(matches!(made.contains(None, "z"), Membership::Unknown(_)));
        }
    }
}
