//! What decisions are made by besides the caller: what granular scopes mean, and which shared patients a person may reach.
//!
//! # Granular scopes
//!
//! The conditions of `patient/Observation.rs?category=…` are read as those of a search (FHIR R4 search.html), and a resource
//! fulfils them when that search would find it. That is judged at every read, search, history and write, over what the
//! search index holds of the resource in hand, so only conditions are granted that this can be judged by:
//!
//! | conditions | granted |
//! |---|---|
//! | search parameters of the type that the server has, common ones such as `_id`, `_tag`, `_profile` among them | yes |
//! | several parameters; several values of one (`a,b`) | yes: all of them; any of them |
//! | the modifiers `:exact`, `:contains`, `:identifier`, `:of-type`, `:missing=false`, `:[type]` | yes |
//! | a parameter that the server does not have, or a value it does not take | no |
//! | `:not`, `:missing=true`, `:not-in` | no: what is not in the index would be let through |
//! | `:in`, `:below`, `:above`, `:text` | no: what they mean changes with terminologies |
//! | chains, `_has`, `_list`, `_filter`, `_text`, `_content` | no: they depend on other resources, or on words |
//! | `_lastUpdated`, a date with `ap` | no: they depend on the time at which they are asked |
//! | parameters that say what is answered (`_include`, `_count`, …) | no |
//!
//! What is not granted is left out of the grant with its reason; the plain scope is never granted instead. Parameters come
//! with packages and may go: a token that holds conditions which can no longer be enforced gives nothing by them.
//!
//! # Shared patients
//!
//! An account alone gives access to nobody. Of the jurisdiction's shared data, whatever belongs to a patient is within a
//! person's reach only where
//!
//! - it is the patient in context;
//! - the account is linked with that very Patient;
//! - or `standalone.shared_patients` is `"practitioner"` and the account is linked with a Practitioner: then all are.
//!
//! This bounds what a person may pick ([`may_reach_all`]) and what `user/` scopes let through alike, within a launch and
//! without. What a launch (or the person's point-of-care system) holds is theirs to see, whoever it is about; what belongs
//! to no patient (Practitioner, Organization) is everybody's. `system/` scopes are not a person's.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use time::OffsetDateTime;

use crate::config::SharedPatients;
use crate::fhir::definition::registry::Registry;
use crate::fhir::search::{Filter, Handling, Lookup, Parameters, Prefix, Request, SearchLimits, condition};
use crate::smart::scope::{self, Conditions, ScopeSet};

/// Conditions whose meaning is kept; beyond these all are read anew.
const MOST_KNOWN: usize = 4096;

/// Search parameters in the conditions of one scope at most.
const MOST_PARAMETERS: usize = 20;

/// The modifiers of conditions that can be enforced, besides types.
const MODIFIERS: [&str; 5] = ["exact", "contains", "identifier", "of-type", "missing"];

/// Why conditions cannot be enforced, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotEnforceable(String);

/// Filters by type and conditions; `None`: not enforceable.
type Known = HashMap<(String, String), Option<Arc<[Filter]>>>;

/// What decisions are made by.
pub struct Rules {
    parameters: Arc<Parameters>,
    registry: Arc<Registry>,
    /// The FHIR base URL.
    base: String,
    shared_patients: SharedPatients,
    known: RwLock<Known>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Rules {
    pub fn new(
        parameters: Arc<Parameters>,
        registry: Arc<Registry>,
        base: String,
        shared_patients: SharedPatients,
    ) -> Self {
        Self { parameters, registry, base, shared_patients, known: RwLock::default() }
    }

    /// The same with all search parameters of a registry.
    pub fn of(registry: Arc<Registry>, base: String, shared_patients: SharedPatients) -> Self {
        let (parameters, _) = Parameters::new(&registry);
        Self::new(Arc::new(parameters), registry, base, shared_patients)
    }

    /// The search parameters that conditions are judged by.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The scopes of the set that can be enforced.
    #[must_use]
    pub fn enforceable(&self, scopes: ScopeSet) -> ScopeSet {
        scopes.only_enforceable(|kind, conditions| self.filters(kind, conditions).is_some())
    }

    /// Why a scope cannot be enforced; `None` for those that can, and for what is no scope at all.
    pub fn refusal(&self, scope: &str) -> Option<NotEnforceable> {
        if let Some(malformed) = scope::malformed(scope) {
            return Some(NotEnforceable(malformed.to_string()));
        }
        let (kind, conditions) = scope::conditions(scope)?;
        self.read(&kind, &conditions).err()
    }

    /// Refuses the first scope of a list that cannot be enforced, with its reason.
    pub fn check_all(&self, scopes: &str) -> Result<(), NotEnforceable> {
        let refusal = |scope| Some(NotEnforceable(format!("scope {scope}: {}", self.refusal(scope)?)));
        scopes.split_ascii_whitespace().find_map(refusal).map_or(Ok(()), Err)
    }

    /// What is wrong with the first scope of a list that cannot be enforced, in the characters that an `error_description`
    /// may have (RFC 6749 section 5.2).
    pub fn explain(&self, scopes: &str) -> Option<String> {
        let told = self.check_all(scopes).err()?.to_string();
        let fits = |char: char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\');
        Some(told.chars().map(|char| if fits(char) { char } else { '?' }).collect())
    }

    /// What conditions on resources of a type mean; `None`: they cannot be enforced.
    pub fn filters(&self, kind: &str, conditions: &Conditions) -> Option<Arc<[Filter]>> {
        let key = (kind.to_owned(), conditions.as_str().to_owned());
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let filters: Option<Arc<[Filter]>> = self.read(kind, conditions).ok().map(Into::into);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Anybody can ask for other conditions without end.
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(key, filters.clone());
        filters
    }

    fn read(&self, kind: &str, conditions: &Conditions) -> Result<Vec<Filter>, NotEnforceable> {
        let mut number = 0;
        for (name, value) in conditions.pairs() {
            number += 1;
            self.check_name(kind, &name, &value).map_err(|why| NotEnforceable(format!("{name}: {why}")))?;
        }
        if number > MOST_PARAMETERS {
            return Err(NotEnforceable(format!("more than {MOST_PARAMETERS} conditions")));
        }
        let request = Request {
            parameters: &self.parameters,
            registry: &self.registry,
            base: &self.base,
            // Only `ap` asks for it, which is refused below.
            now: OffsetDateTime::UNIX_EPOCH,
            handling: Handling::Strict,
            limits: SearchLimits { max_values: 200, max_parameters: MOST_PARAMETERS, ..SearchLimits::default() },
        };
        let query = condition(&request, kind, conditions.as_str());
        let filters = query.map_err(|outcome| NotEnforceable(outcome.summary()))?.filters;
        match filters.iter().find_map(why_not) {
            Some(why) => Err(NotEnforceable(why.to_owned())),
            None => Ok(filters),
        }
    }

    /// Whether a parameter may stand in conditions at all; its value is looked at by whoever knows its kind.
    fn check_name(&self, kind: &str, name: &str, value: &str) -> Result<(), &'static str> {
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        match code {
            "_has" | "_list" => return Err("whether it holds depends on other resources"),
            "_filter" | "_text" | "_content" | "_query" => return Err("the server does not limit scopes by it"),
            "_lastUpdated" => return Err("it changes with every write"),
            "_id" => {}
            _ if code.contains('.') => return Err("whether it holds depends on other resources"),
            _ if self.parameters.find(kind, code).is_none() => return Err("the server has no such search parameter"),
            _ => {}
        }
        match modifier {
            Some("missing") if value != "false" => Err("only what the server knows of can be let through"),
            Some(known) if MODIFIERS.contains(&known) || crate::fhir::types::is_resource(known) => Ok(()),
            Some(_) => Err("the server does not limit scopes by this modifier"),
            None => Ok(()),
        }
    }
}

/// Why a filter cannot be judged by what the index holds of one resource.
fn why_not(filter: &Filter) -> Option<&'static str> {
    let by_the_clock = |lookup: &Lookup| match lookup {
        Lookup::Time { comparison, .. } => comparison.prefix == Prefix::Ap,
        Lookup::Span { comparisons, .. } => comparisons.iter().any(|one| one.prefix == Prefix::Ap),
        _ => false,
    };
    match filter {
        Filter::Any(lookups) if lookups.iter().any(by_the_clock) => Some("what is near a date depends on the present"),
        Filter::Composite(groups) if groups.iter().flatten().any(by_the_clock) => {
            Some("what is near a date depends on the present")
        }
        Filter::Ids(_) | Filter::Any(_) | Filter::Composite(_) => None,
        Filter::Nothing => Some("no resource can have this value"),
        Filter::None(_) | Filter::OtherThan(_) => Some("only what the server knows of can be let through"),
        Filter::Updated(_) => Some("it changes with every write"),
        Filter::Chain(_) | Filter::Has(_) | Filter::List(_) | Filter::Compartment(_) | Filter::Either(_) => {
            Some("whether it holds depends on other resources")
        }
        Filter::Text(_) | Filter::Content(_) => Some("the server does not limit scopes by words"),
    }
}

/// Whether a person may reach every shared patient. `linked`: the resource that their account is linked with.
pub fn may_reach_all(policy: SharedPatients, linked: Option<&str>) -> bool {
    policy == SharedPatients::Practitioner && linked.is_some_and(|own| own.starts_with("Practitioner/"))
}

/// The bare id of the Patient that a person is, by their account.
pub fn own_patient(linked: Option<&str>) -> Option<&str> {
    linked?.strip_prefix("Patient/")
}

impl Rules {
    /// The shared patients within a person's reach; `None`: all.
    pub fn shared_patients(&self, linked: Option<&str>, in_context: Option<&str>) -> Option<Vec<String>> {
        if may_reach_all(self.shared_patients, linked) {
            return None;
        }
        let mut patients: Vec<String> =
            [own_patient(linked), in_context].into_iter().flatten().map(str::to_owned).collect();
        patients.dedup();
        Some(patients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(policy: SharedPatients) -> Rules {
        Rules::of(Registry::built_in(), "http://h/fhir".into(), policy)
    }

    #[test]
    fn what_a_resource_alone_decides_can_be_enforced() {
        let rules = rules(SharedPatients::None);
        for scope in [
            "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
            "patient/Observation.cruds?category=laboratory,vital-signs&status=final",
            "user/Observation.r?_id=a,b",
            "user/Observation.r?_tag=urn:t|x&_profile=http://p&_security=R",
            "system/Observation.s?date=ge2020&date=lt2021",
            "system/Observation.s?value-quantity=gt5|http://unitsofmeasure.org|kg",
            "system/Observation.s?code-value-quantity=a$gt5",
            "patient/Observation.rs?performer=Practitioner/1",
            "patient/Observation.rs?performer:Practitioner=1",
            "patient/Observation.rs?subject:identifier=urn:s|1",
            "patient/Patient.rs?name=Smith",
            "patient/Patient.rs?family:exact=Smith&given:contains=a",
            "patient/Patient.rs?identifier:of-type=urn:s|MR|1",
            "patient/Patient.rs?birthdate:missing=false",
        ] {
            assert_eq!(rules.refusal(scope), None, "{scope}");
            assert_eq!(rules.enforceable(ScopeSet::parse(scope)).to_string(), scope);
        }
        // No granular scope: not a matter of this.
        for scope in ["patient/Observation.rs", "patient/*.*", "launch", "nonsense", "patient/Foo.rs?x=1"] {
            assert_eq!(rules.refusal(scope), None, "{scope}");
        }
    }

    #[test]
    fn whatever_else_decides_is_refused_with_its_reason() {
        let rules = rules(SharedPatients::None);
        for (conditions, why) in [
            ("bogus=1", "no such search parameter"),
            ("Category=x", "no such search parameter"),
            ("category=x&bogus=1", "no such search parameter"),
            ("Observation?category=x", "no such search parameter"),
            ("?category=x", "no such search parameter"),
            ("_format=json", "no such search parameter"),
            ("category=x&_format=json", "no such search parameter"),
            ("category=x&_page=1", "no such search parameter"),
            ("_type=Patient", "no such search parameter"),
            ("_include=Observation:subject", "no such search parameter"),
            ("_count=5", "no such search parameter"),
            ("_summary=true", "no such search parameter"),
            ("_lastUpdated=gt2020", "every write"),
            ("patient.birthdate=1990", "other resources"),
            ("subject:Patient.name=x", "modifier"),
            ("_has:Observation:patient:code=x", "other resources"),
            ("_list=1", "other resources"),
            ("_filter=code%20eq%20x", "limit scopes by it"),
            ("_text=x", "limit scopes by it"),
            ("_content=x", "limit scopes by it"),
            ("_query=x", "limit scopes by it"),
            ("code:in=http://hl7.org/fhir/ValueSet/observation-codes", "modifier"),
            ("code:not-in=http://hl7.org/fhir/ValueSet/observation-codes", "modifier"),
            ("code:below=x", "modifier"),
            ("code:above=x", "modifier"),
            ("code:text=x", "modifier"),
            ("code:not=x", "modifier"),
            ("code:missing=true", "knows of"),
            ("code:missing=maybe", "knows of"),
            ("code:bogus=x", "modifier"),
            ("code:exact=x", "modifier"),
            ("date=ap2020", "present"),
            ("date=nodate", "date"),
            ("value-quantity=x", "number"),
            ("_id=%20%20", "value"),
            ("_id=***", "no resource can"),
        ] {
            let scope = format!("patient/Observation.rs?{conditions}");
            let told = rules.refusal(&scope).map(|why| why.to_string()).unwrap_or_default();
            assert!(told.contains(why), "{scope}: {told:?}");
            assert!(rules.enforceable(ScopeSet::parse(&scope)).is_empty(), "{scope}");
        }
        let many = vec!["code=x"; MOST_PARAMETERS + 1].join("&");
        assert!(rules.refusal(&format!("patient/Observation.rs?{many}")).is_some());
        let told = rules.check_all("launch patient/*.rs patient/*.rs?_tag=x").unwrap_err().to_string();
        assert!(told.starts_with("scope patient/*.rs?_tag=x: ") && told.contains("all types"), "{told}");
        let told = rules.explain("patient/Observation.rs?%22%C3%A9=x").unwrap();
        assert_eq!(told, "scope patient/Observation.rs?%22%C3%A9=x: ??: the server has no such search parameter");
        assert_eq!(rules.check_all("launch patient/*.rs nonsense patient/Observation.rs?code=x"), Ok(()));
    }

    #[test]
    fn what_is_known_is_bounded_and_stays_right() {
        let rules = rules(SharedPatients::None);
        let of = |code: usize| scope::conditions(&format!("patient/Observation.rs?code=c{code}")).unwrap().1;
        for code in 0..MOST_KNOWN + 10 {
            assert!(rules.filters("Observation", &of(code)).is_some());
        }
        assert!(rules.known.read().unwrap().len() <= MOST_KNOWN);
        assert_eq!(rules.filters("Observation", &of(0)), rules.filters("Observation", &of(0)));
        assert_ne!(rules.filters("Observation", &of(0)), rules.filters("Observation", &of(1)));
        assert!(rules.filters("Location", &of(0)).is_none(), "a Location has no code");
    }

    #[test]
    fn a_person_reaches_the_patient_in_context_themself_and_by_policy_all() {
        for (policy, linked, expected) in [
            (SharedPatients::None, None, Some(vec!["p"])),
            (SharedPatients::None, Some("Practitioner/1"), Some(vec!["p"])),
            (SharedPatients::None, Some("Patient/q"), Some(vec!["q", "p"])),
            (SharedPatients::None, Some("Patient/p"), Some(vec!["p"])),
            (SharedPatients::Practitioner, Some("Practitioner/1"), None),
            (SharedPatients::Practitioner, Some("PractitionerRole/1"), Some(vec!["p"])),
            (SharedPatients::Practitioner, Some("Patient/q"), Some(vec!["q", "p"])),
            (SharedPatients::Practitioner, None, Some(vec!["p"])),
        ] {
            let found = rules(policy).shared_patients(linked, Some("p"));
            let expected: Option<Vec<String>> = expected.map(|ids| ids.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{policy:?} {linked:?}");
        }
        assert_eq!(rules(SharedPatients::None).shared_patients(None, None), Some(Vec::new()));
    }
}
