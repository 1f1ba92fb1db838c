//! What a search may look at: leave for every type that it touches.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    access::{Act, Caller, Permit, authorize},
    fhir::{
        search::{Query, patient_compartment},
        types,
    },
    interaction::Failure,
    store::search::Reach,
};

/// The leave for every type that a search touches.
#[derive(Clone, Debug)]
pub struct Leave {
    permits: BTreeMap<String, Permit>,
    /// Types that the search touches beside those it searches and that this caller may not search: whatever depends on
    /// them is not found.
    pub withheld: BTreeSet<String>,
    /// What the statements are built with.
    pub reach: Reach,
}

impl Leave {
    /// Takes leave for a query. 403 when a type that it names is not the caller's to search; a search of all types, or of
    /// all in a compartment, is a search of those that are.
    pub fn take(caller: &Caller, query: &Query) -> Result<Self, Failure> {
        let (mut permits, mut denied) = (BTreeMap::new(), None);
        let searched: Vec<&str> = match query.types.as_slice() {
            [] => types::resource_types().collect(),
            named => named.iter().map(String::as_str).collect(),
        };
        for kind in searched {
            match authorize(caller, Act::Search { kind }) {
                Ok(permit) => drop(permits.insert(kind.to_owned(), permit)),
                Err(refusal) if query.is_open => denied = Some(refusal),
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let mut withheld = BTreeSet::new();
        for kind in query.touched() {
            if permits.contains_key(kind) {
                continue;
            }
            match authorize(caller, Act::Search { kind }) {
                Ok(permit) => drop(permits.insert(kind.to_owned(), permit)),
                Err(_) => drop(withheld.insert(kind.to_owned())),
            }
        }
        match (permits.values().next().cloned(), denied) {
            (Some(any), _) => Ok(Self { reach: reach(&any, &permits), permits, withheld }),
            (None, Some(refusal)) => Err(refusal.into()),
            (None, None) => Err(Failure::Internal),
        }
    }

    /// One leave for every type.
    pub fn under(permit: &Permit) -> Self {
        let permits: BTreeMap<_, _> = types::resource_types().map(|kind| (kind.to_owned(), permit.clone())).collect();
        Self { reach: reach(permit, &permits), permits, withheld: BTreeSet::new() }
    }

    /// Leave for what may be brought along: what the caller may read.
    pub fn to_read(caller: &Caller) -> Option<Self> {
        let may = types::resource_types().filter_map(|kind| {
            let permit = authorize(caller, Act::Read { kind, id: "" }).ok()?;
            Some((kind.to_owned(), permit))
        });
        let permits: BTreeMap<_, _> = may.collect();
        let any = permits.values().next().cloned()?;
        Some(Self { reach: reach(&any, &permits), permits, withheld: BTreeSet::new() })
    }

    /// The leave for one type.
    pub fn of(&self, kind: &str) -> Option<&Permit> {
        self.permits.get(kind)
    }

    /// Every type that may be looked at.
    pub fn types(&self) -> Vec<String> {
        self.permits.keys().cloned().collect()
    }
}

/// All permits of one caller look at the same rows.
fn reach(any: &Permit, permits: &BTreeMap<String, Permit>) -> Reach {
    let limit = |(kind, permit): (&String, &Permit)| (kind.clone(), permit.limit().for_type(kind));
    Reach {
        visible: any.visible().clone(),
        types: permits.iter().map(limit).collect(),
        patients: patient_compartment(),
    }
}
