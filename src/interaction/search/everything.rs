//! `Patient/[id]/$everything` (FHIR R4 patient-operation-everything.html): a search of the patient's compartment, as far as
//! the token may search it, that brings along what is referred to from there.
//!
//! | parameter | what is told |
//! |---|---|
//! | `start`, `end` | of the compartment, what has a [care date](CARE_DATES) in between, and what has none |
//! | `_since` | what was made or changed then or later |
//! | `_type` | resources of these types, of the compartment or referred to from it |
//! | `_count` | at most so many resources of the compartment on a page |
//!
//! What is not told because of `_type` or `_since` still leads to what it refers to: a Practitioner may have changed while no
//! Encounter did.

use time::OffsetDateTime;

use super::{Place, request};
use crate::{
    access::{Act, Caller, authorize},
    fhir::{
        instant,
        outcome::IssueType,
        search::{Comparison, Filter, Handling, Lookup, OF_THE_PROTOCOL, Only, Part, Prefix, Query, interval, parse},
        types,
    },
    interaction::{Engine, Failure},
};

/// When care was given or is planned, by type and search parameters: R4's own common parameter for that (clinical-date), and
/// its like of other types. Several dates of a resource are the ends of one time. What is not listed says who somebody is, or
/// when something was put on record or paid for.
const CARE_DATES: &[(&str, &[&str])] = &[
    ("AdverseEvent", &["date"]),
    ("AllergyIntolerance", &["date"]),
    ("Appointment", &["date"]),
    ("CarePlan", &["date"]),
    ("CareTeam", &["date"]),
    ("ChargeItem", &["occurrence"]),
    ("ClinicalImpression", &["date"]),
    ("Communication", &["sent", "received"]),
    ("CommunicationRequest", &["authored", "occurrence"]),
    ("Composition", &["date", "period"]),
    ("Condition", &["onset-date", "abatement-date", "recorded-date"]),
    ("Consent", &["date"]),
    ("DetectedIssue", &["identified"]),
    ("DeviceRequest", &["authored-on", "event-date"]),
    ("DiagnosticReport", &["date"]),
    ("DocumentReference", &["date", "period"]),
    ("Encounter", &["date"]),
    ("EpisodeOfCare", &["date"]),
    ("FamilyMemberHistory", &["date"]),
    ("Flag", &["date"]),
    ("Goal", &["start-date", "target-date"]),
    ("ImagingStudy", &["started"]),
    ("Immunization", &["date"]),
    ("List", &["date"]),
    ("Media", &["created"]),
    ("MedicationAdministration", &["effective-time"]),
    ("MedicationDispense", &["whenprepared", "whenhandedover"]),
    ("MedicationRequest", &["authoredon", "date"]),
    ("MedicationStatement", &["effective"]),
    ("NutritionOrder", &["datetime"]),
    ("Observation", &["date"]),
    ("Procedure", &["date"]),
    ("QuestionnaireResponse", &["authored"]),
    ("RequestGroup", &["authored"]),
    ("RiskAssessment", &["date"]),
    ("ServiceRequest", &["authored", "occurrence"]),
    ("Specimen", &["collected"]),
    ("SupplyRequest", &["date"]),
    ("VisionPrescription", &["datewritten"]),
];

/// The search that an `$everything` is.
pub fn query(engine: &Engine, caller: &Caller, id: &str, pairs: &[(String, String)]) -> Result<Query, Failure> {
    let asked = Asked::read(pairs)?;
    let mut search = vec![("_include".to_owned(), "*".to_owned())];
    search.extend(asked.count.iter().map(|count| ("_count".to_owned(), count.clone())));
    let place = Place::Compartment { compartment: "Patient".to_owned(), id: id.to_owned(), kind: None };
    let mut query = parse(&request(engine, Handling::Strict), place.level(), &search).map_err(Failure::BadRequest)?;
    for kind in &asked.only.types {
        may_be_told(caller, kind)?;
    }
    let mut refused = None;
    query.types.retain(|kind| match authorize(caller, Act::Search { kind }) {
        Ok(_) => true,
        Err(denied) => {
            refused = Some(denied);
            false
        }
    });
    if let Some(denied) = refused.filter(|_| query.types.is_empty()) {
        return Err(denied.into());
    }
    query.filters.extend(in_range(engine, &query.types, asked.start, asked.end));
    query.only = Some(asked.only);
    query.used = asked.used;
    Ok(query)
}

/// Whether a type that is asked for could be among the answers: found in the compartment, or read along with it.
fn may_be_told(caller: &Caller, kind: &str) -> Result<(), Failure> {
    authorize(caller, Act::Search { kind }).or_else(|_| authorize(caller, Act::Read { kind, id: "" }))?;
    Ok(())
}

/// What is asked for.
#[derive(Default)]
struct Asked {
    /// In microseconds since 1970; what ends before it is left out.
    start: Option<i64>,
    /// What begins at it or later is left out.
    end: Option<i64>,
    count: Option<String>,
    only: Only,
    used: Vec<(String, String)>,
}

impl Asked {
    fn read(pairs: &[(String, String)]) -> Result<Self, Failure> {
        let mut asked = Self::default();
        for (name, value) in pairs.iter().filter(|(name, _)| !OF_THE_PROTOCOL.contains(&name.as_str())) {
            if name != "_type" && asked.used.iter().any(|(used, _)| used == name) {
                return Err(Failure::bad_request(IssueType::Value, format!("{name} may be given once")));
            }
            asked.take(name, value)?;
            asked.used.push((name.clone(), value.clone()));
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let wrong = |expected: &str| {
            Failure::bad_request(IssueType::Value, format!("{name}: expected {expected}, found '{value}'"))
        };
        // '+' of a time zone is often sent unescaped and arrives as a space.
        let time = value.replace(' ', "+");
        let date = || interval(&time).ok_or_else(|| wrong("a date such as 2026-01-02"));
        match name {
            "start" => self.start = Some(date()?.0),
            "end" => self.end = Some(date()?.1),
            "_since" => {
                let since = instant::parse(&time);
                let since = since.ok_or_else(|| wrong("an instant such as 2026-01-02T03:04:05Z"))?;
                self.only.since = Some(micros(since));
            }
            "_type" => {
                for kind in value.split(',') {
                    if !types::is_resource(kind) {
                        return Err(wrong("resource types of R4"));
                    }
                    self.only.types.push(kind.to_owned());
                }
            }
            "_count" => {
                let is_count =
                    value.bytes().all(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte != b'0');
                self.count = Some(value.to_owned()).filter(|_| is_count);
                self.count.as_ref().ok_or_else(|| wrong("a whole number from 1 on"))?;
            }
            _ => {
                let text = format!("$everything has no parameter '{name}': start, end, _since, _type or _count");
                return Err(Failure::bad_request(IssueType::NotSupported, text));
            }
        }
        Ok(())
    }
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// What has a care date before the end, and one after the start; or none.
fn in_range(engine: &Engine, types: &[String], start: Option<i64>, end: Option<i64>) -> Vec<Filter> {
    let dates = CARE_DATES.iter().filter(|(kind, _)| types.iter().any(|own| own == kind));
    let dates = dates.flat_map(|(kind, codes)| codes.iter().filter_map(|code| engine.parameters.find(kind, code)));
    let dates: Vec<i32> = dates.map(|parameter| parameter.id).collect();
    let ends = [start.map(|at| (Prefix::Gt, at)), end.map(|at| (Prefix::Lt, at))];
    let filters = ends.into_iter().flatten().map(|(prefix, at)| {
        let lookup = |parameter: &i32| {
            let comparison = Comparison { prefix, low: at, high: at };
            Lookup::Time { parameter: *parameter, comparison }
        };
        let present = |parameter: &i32| Lookup::Present(Part::Time(*parameter));
        Filter::Either(vec![
            Filter::Any(dates.iter().map(lookup).collect()),
            Filter::None(dates.iter().map(present).collect()),
        ])
    });
    filters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{
        definition::{parameter::Kind, registry::Registry},
        search::Parameters,
    };

    #[test]
    fn every_care_date_is_a_date_of_a_type_in_the_compartment() {
        let (parameters, _) = Parameters::new(&Registry::built_in());
        for (kind, codes) in CARE_DATES {
            assert!(parameters.compartment("Patient", kind).is_some(), "{kind}");
            for code in *codes {
                let kind_of = parameters.find(kind, code).map(|parameter| parameter.kind);
                assert_eq!(kind_of, Some(Kind::Date), "{kind}.{code}");
            }
        }
    }
}
