//! Of the resources of a type, those that may be touched: a union of shares, each whole or by whose they are and by
//! conditions. The statements of `store::search` look for them, and [`Limit::shows`] judges one in hand: both from the same
//! filters over the same index values, so that they agree.

use std::cell::OnceCell;

use super::{Filter, Parameters, Rows, Unstored};
use crate::fhir::{compartment, resource::Resource};

/// Which resources.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// All of them.
    Everything,
    /// Those of any of these shares; of none: nothing.
    AnyOf(Vec<Share>),
}

/// Those that are of somebody and fulfil all filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    pub whose: Whose,
    /// Each is one that [`Unstored::fulfils`] can judge.
    pub filters: Vec<Filter>,
}

/// Whose resources. Types that can belong to no patient (Practitioner, Organization) are nobody's, and so never left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Anybody's.
    Anybodys,
    /// In the compartment of the Patient with this bare id.
    Patient(String),
    /// Of the shared data in the compartment of one of these Patients; of other data anybody's.
    OfShared(Vec<String>),
}

/// A resource to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub resource: &'a Resource,
    /// The id under which it is or will be stored.
    pub id: &'a str,
    /// The server's base URL.
    pub base: &'a str,
    /// Whether it is or will be the jurisdiction's.
    pub is_shared: bool,
}

impl Whose {
    /// Whether patients matter in the data of this kind of owner.
    fn limits(&self, is_shared: bool) -> bool {
        match self {
            Self::Anybodys => false,
            Self::Patient(_) => true,
            Self::OfShared(_) => is_shared,
        }
    }

    /// Whether one of these patients is meant.
    fn holds(&self, patients: &[String]) -> bool {
        match self {
            Self::Anybodys => true,
            Self::Patient(own) => patients.contains(own),
            Self::OfShared(own) => patients.iter().any(|patient| own.contains(patient)),
        }
    }
}

impl Share {
    /// Without conditions.
    pub const fn of(whose: Whose) -> Self {
        Self { whose, filters: Vec::new() }
    }

    /// Whether `other` holds nothing that is not in this share.
    fn holds(&self, other: &Self) -> bool {
        self == other || (self.filters.is_empty() && (self.whose == Whose::Anybodys || self.whose == other.whose))
    }
}

impl Limit {
    /// The union of these shares.
    pub fn union(shares: impl IntoIterator<Item = Share>) -> Self {
        let mut kept: Vec<Share> = Vec::new();
        for share in shares {
            if share.filters.is_empty() && share.whose == Whose::Anybodys {
                return Self::Everything;
            }
            if !kept.iter().any(|own| own.holds(&share)) {
                kept.retain(|own| !share.holds(own));
                kept.push(share);
            }
        }
        Self::AnyOf(kept)
    }

    /// What this or `other` holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::AnyOf(left), Self::AnyOf(right)) => Self::union(left.into_iter().chain(right)),
            _ => Self::Everything,
        }
    }

    /// The Patient in whose compartment all of it is, if it is one.
    pub fn only_patient(&self) -> Option<&str> {
        let Self::AnyOf(shares) = self else { return None };
        let mut patients = shares.iter().map(|share| match &share.whose {
            Whose::Patient(own) => Some(own.as_str()),
            Whose::Anybodys | Whose::OfShared(_) => None,
        });
        let first = patients.next()??;
        patients.all(|other| other == Some(first)).then_some(first)
    }

    /// Whether it leaves anything out of the data of this kind of owner.
    pub fn is_limited(&self, is_shared: bool) -> bool {
        match self {
            Self::Everything => false,
            Self::AnyOf(shares) => {
                !shares.iter().any(|share| share.filters.is_empty() && !share.whose.limits(is_shared))
            }
        }
    }

    /// The same, for looking at resources of this type.
    #[must_use]
    pub fn for_type(&self, type_name: &str) -> Self {
        match self {
            Self::AnyOf(shares) if !compartment::has_patients(type_name) => {
                let open = |share: &Share| Share { whose: Whose::Anybodys, filters: share.filters.clone() };
                Self::union(shares.iter().map(open))
            }
            other => other.clone(),
        }
    }

    /// Whether this resource may be looked at.
    pub fn shows(&self, parameters: Option<&Parameters>, candidate: &Candidate<'_>) -> bool {
        let belongs = compartment::has_patients(candidate.resource.type_name());
        self.holds(parameters, candidate, |whose| belongs && whose.limits(candidate.is_shared))
    }

    /// Whether this resource may be written: what belongs to no patient is outside of every compartment.
    pub fn takes(&self, parameters: Option<&Parameters>, candidate: &Candidate<'_>) -> bool {
        self.holds(parameters, candidate, |whose| whose.limits(candidate.is_shared))
    }

    /// Without parameters nothing fulfils a condition.
    fn holds(
        &self,
        parameters: Option<&Parameters>,
        candidate: &Candidate<'_>,
        asks_whose: impl Fn(&Whose) -> bool,
    ) -> bool {
        let Self::AnyOf(shares) = self else { return true };
        let Candidate { resource, id, base, .. } = *candidate;
        let (patients, rows) = (OnceCell::new(), OnceCell::<Option<Rows>>::new());
        shares.iter().any(|share| {
            if asks_whose(&share.whose)
                && !share.whose.holds(patients.get_or_init(|| compartment::patients(resource, id, base)))
            {
                return false;
            }
            if share.filters.is_empty() {
                return true;
            }
            let rows = rows.get_or_init(|| Some(parameters?.extract(resource, id, base)));
            let fulfils = |rows| (Unstored { id, updated: 0, rows }).fulfils(&share.filters);
            rows.as_ref().and_then(fulfils) == Some(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{definition::registry::Registry, json::Limits, search::Digest, search::Lookup};

    fn only(id: &str) -> Filter {
        Filter::Ids(vec![id.to_owned()])
    }

    fn share(whose: Whose, filters: &[Filter]) -> Share {
        Share { whose, filters: filters.to_vec() }
    }

    fn patient(id: &str) -> Whose {
        Whose::Patient(id.to_owned())
    }

    fn shows(limit: &Limit, text: &str, is_shared: bool) -> [bool; 2] {
        let (parameters, _) = Parameters::new(&Registry::built_in());
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        let candidate = Candidate { resource: &resource, id: "1", base: "http://h/fhir", is_shared };
        [limit.shows(Some(&parameters), &candidate), limit.takes(Some(&parameters), &candidate)]
    }

    const OF_A: &str =
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}"#;
    const DOCTOR: &str = r#"{"resourceType":"Practitioner"}"#;

    #[test]
    fn a_whole_share_swallows_its_parts() {
        let (all, whole) = (share(Whose::Anybodys, &[]), share(patient("a"), &[]));
        let (part, other) = (share(patient("a"), &[only("1")]), share(patient("b"), &[only("1")]));
        assert_eq!(Limit::union([part.clone(), all.clone()]), Limit::Everything);
        assert_eq!(Limit::union([part.clone(), whole.clone(), part.clone()]), Limit::AnyOf(vec![whole.clone()]));
        assert_eq!(Limit::union([whole.clone(), other.clone()]), Limit::AnyOf(vec![whole.clone(), other.clone()]));
        assert_eq!(Limit::union([part.clone(), part.clone()]), Limit::AnyOf(vec![part.clone()]));
        let left = Limit::union([part]).or(Limit::union([other.clone()]));
        assert_eq!(left.clone().or(Limit::union([all])), Limit::Everything);
        assert!(matches!(&left, Limit::AnyOf(shares) if shares.len() == 2));
        assert!(!Limit::Everything.is_limited(true) && left.is_limited(false));
    }

    #[test]
    fn nothing_is_no_limit_that_shows_anything() {
        assert_eq!(shows(&Limit::AnyOf(Vec::new()), OF_A, false), [false; 2]);
        assert!(Limit::AnyOf(Vec::new()).is_limited(false));
    }

    #[test]
    fn patients_and_conditions_hold_together_within_a_share_and_apart_between_two() {
        let of_a = share(patient("a"), &[only("1")]);
        assert_eq!(shows(&Limit::union([of_a.clone()]), OF_A, false), [true; 2]);
        assert_eq!(shows(&Limit::union([share(patient("a"), &[only("2")])]), OF_A, false), [false; 2]);
        assert_eq!(shows(&Limit::union([share(patient("b"), &[only("1")])]), OF_A, false), [false; 2]);
        let either = Limit::union([share(patient("b"), &[]), of_a]);
        assert_eq!(shows(&either, OF_A, false), [true; 2]);
    }

    #[test]
    fn what_belongs_to_no_patient_is_shown_and_not_taken() {
        assert_eq!(shows(&Limit::union([share(patient("a"), &[])]), DOCTOR, false), [true, false]);
        assert_eq!(shows(&Limit::union([share(patient("a"), &[only("2")])]), DOCTOR, false), [false; 2]);
        let limit = Limit::union([share(patient("a"), &[]), share(Whose::Anybodys, &[only("1")])]);
        assert_eq!(limit.for_type("Practitioner"), Limit::Everything);
        assert_eq!(limit.for_type("Observation"), limit);
    }

    #[test]
    fn only_of_the_shared_data_some_patients_are_left_out() {
        let limit = Limit::union([share(Whose::OfShared(vec!["b".into(), "c".into()]), &[])]);
        assert_eq!(shows(&limit, OF_A, true), [false; 2]);
        assert_eq!(shows(&limit, OF_A, false), [true; 2]);
        assert_eq!(shows(&limit, DOCTOR, true), [true, false]);
        assert!(limit.is_limited(true) && !limit.is_limited(false));
        let limit = Limit::union([share(Whose::OfShared(vec!["b".into(), "a".into()]), &[])]);
        assert_eq!(shows(&limit, OF_A, true), [true; 2]);
    }

    #[test]
    fn without_parameters_no_condition_is_fulfilled() {
        let resource = Resource::parse(OF_A, &Limits::default()).unwrap();
        let candidate = Candidate { resource: &resource, id: "1", base: "", is_shared: false };
        let token = Filter::Any(vec![Lookup::Tokens(vec![Digest([0; 16])])]);
        for filter in [token, only("1"), Filter::Nothing, Filter::Text("x".into())] {
            let limit = Limit::union([share(Whose::Anybodys, &[filter])]);
            assert!(!limit.shows(None, &candidate));
        }
    }
}
