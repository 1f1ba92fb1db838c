//! A load to measure with: FHIR R4 resources as a province's records would hold them, decided by a seed alone.
//!
//! They come as 20 years of visits in the order of their days, so one patient's data lie apart, as in a real
//! store. Shares: Observation 55 %, Encounter 12 %, Condition and MedicationRequest 8 % each, DiagnosticReport 5 %, Patient 4 %,
//! Immunization 3 %, Procedure 2 %, AllergyIntolerance 1.5 %; the rest are practitioners and places. Codes are drawn by Zipf: a few
//! are everywhere, most are rare. Every reference leads to a resource that came before, all are valid against R4 and CA
//! Core+, and nothing is kept but the visit at hand: a million resources need no more memory than ten.
//!
//! | Part | File |
//! |---|---|
//! | the stream, ids, dates | here |
//! | the same chance everywhere | `chance` |
//! | people and places | `people` |
//! | a visit and what it leaves behind | `visit` |
//! | what is written in records | `codes` |

mod chance;
mod codes;
mod people;
mod visit;

use std::collections::VecDeque;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, offset};
use time::{Duration, OffsetDateTime};

pub use self::chance::Chance;
use self::visit::Visit;

/// The day of the first visit.
const BEGIN: OffsetDateTime = datetime!(2005-07-01 00:00 -5);

/// The days from the first visit to the last.
const DAYS: u64 = 20 * 365;

/// A patient's visits, on average.
const VISITS_EACH: u64 = 3;

/// One resource.
#[derive(Clone, Debug)]
pub struct Generated {
    /// `Patient`
    pub kind: &'static str,
    pub id: String,
    /// The resource, `resourceType` first, then `id`.
    pub body: Value,
}

impl Generated {
    fn new(kind: &'static str, id: String, rest: &Value) -> Self {
        let mut body = json!({"resourceType": kind, "id": id});
        let members = rest.as_object().into_iter().flatten();
        members.for_each(|(name, value)| body[name] = value.clone());
        Self { kind, id, body }
    }

    /// `Patient/01830…`
    pub fn reference(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

/// `total` resources; the same seed and total give the same ones.
pub fn resources(seed: u64, total: u64) -> Resources {
    // One in a hundred is a practitioner or a role, half as many places.
    let practitioners = (total / 200).max(2);
    let organizations = (total / 1_000).max(1);
    let locations = (total / 500).max(1);
    let visits = (total * 12 / 100).max(1);
    let ids = Ids { seed };
    Resources {
        ids,
        left: total,
        visits,
        practitioners,
        organizations,
        locations,
        next: Next::Organization(0),
        ready: VecDeque::new(),
    }
}

/// The stream.
#[derive(Debug)]
pub struct Resources {
    ids: Ids,
    left: u64,
    visits: u64,
    practitioners: u64,
    organizations: u64,
    locations: u64,
    next: Next,
    /// Made and not yet taken: one visit's at most.
    ready: VecDeque<Generated>,
}

/// What is made next: places and people first, then the visits.
#[derive(Clone, Copy, Debug)]
enum Next {
    Organization(u64),
    Location(u64),
    Practitioner(u64),
    Visit(u64),
}

impl Iterator for Resources {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        self.left = self.left.checked_sub(1)?;
        while self.ready.is_empty() {
            self.advance();
        }
        self.ready.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl Resources {
    fn advance(&mut self) {
        let ids = self.ids;
        self.next = match self.next {
            Next::Organization(number) if number < self.organizations => {
                self.ready.push_back(ids.place("Organization", number, |chance| people::organization(chance, number)));
                Next::Organization(number + 1)
            }
            Next::Organization(_) => Next::Location(0),
            Next::Location(number) if number < self.locations => {
                let owner = ids.id("Organization", 0, number % self.organizations);
                self.ready.push_back(ids.place("Location", number, |chance| people::location(chance, number, &owner)));
                Next::Location(number + 1)
            }
            Next::Location(_) => Next::Practitioner(0),
            Next::Practitioner(number) if number < self.practitioners => {
                self.practitioner(number);
                Next::Practitioner(number + 1)
            }
            Next::Practitioner(_) => Next::Visit(0),
            Next::Visit(number) => {
                self.visit(number);
                Next::Visit(number + 1)
            }
        };
    }

    fn practitioner(&mut self, number: u64) {
        let ids = self.ids;
        let (clinic, room) = (number % self.organizations, number % self.locations);
        let practitioner = ids.place("Practitioner", number, |chance| people::practitioner(chance, number));
        let (organization, location) = (ids.id("Organization", 0, clinic), ids.id("Location", 0, room));
        let role = ids.place("PractitionerRole", number, |chance| {
            people::practitioner_role(chance, &practitioner.id, &organization, &location)
        });
        self.ready.extend([practitioner, role]);
    }

    fn visit(&mut self, number: u64) {
        let mut chance = Chance::of(self.ids.seed, Ids::kind("visit"), number);
        let day = Duration::days((DAYS * number / self.visits) as i64);
        let at = BEGIN + day + Duration::minutes(chance.between(8 * 60, 18 * 60));
        let known = number / VISITS_EACH;
        let is_new = number.is_multiple_of(VISITS_EACH);
        // Some come often: the square favours those with low numbers.
        let patient = if is_new { known } else { (chance.unit().powi(2) * (known + 1) as f64) as u64 };
        let practitioner = chance.below(self.practitioners);
        let visit = Visit {
            number,
            at,
            patient: self.ids.patient(patient),
            practitioner: self.ids.id("Practitioner", 0, practitioner),
            organization: self.ids.id("Organization", 0, practitioner % self.organizations),
            location: self.ids.id("Location", 0, practitioner % self.locations),
        };
        if is_new {
            let person = Chance::of(self.ids.seed, Ids::kind("person"), patient);
            let body = people::patient(person, patient, at, &visit.practitioner, &visit.organization);
            self.ready.push_back(Generated::new("Patient", visit.patient.clone(), &body));
        }
        self.ready.extend(visit::resources(&visit, self.ids, chance));
    }
}

/// Ids that can be told from a seed and a number.
#[derive(Clone, Copy, Debug)]
struct Ids {
    seed: u64,
}

impl Ids {
    /// A number for a name.
    fn kind(name: &str) -> u64 {
        name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    }

    /// In the form of a UUID version 7, ordered by visit as the server's own are by time.
    fn id(self, kind: &str, visit: u64, number: u64) -> String {
        let mut chance = Chance::of(self.seed ^ visit, Self::kind(kind), number);
        let (when, low, high) = (0x0183_0000_0000 + visit, chance.draw(), chance.draw());
        format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            when >> 16,
            when & 0xFFFF,
            high & 0xFFF,
            0x8000 | (low & 0x3FFF),
            low >> 16
        )
    }

    fn patient(self, number: u64) -> String {
        self.id("Patient", number * VISITS_EACH, 0)
    }

    fn place(self, kind: &'static str, number: u64, body: impl FnOnce(Chance) -> Value) -> Generated {
        let chance = Chance::of(self.seed, Self::kind(kind), number);
        Generated::new(kind, self.id(kind, 0, number), &body(chance))
    }
}

/// `2014-03-09T14:05:00-05:00`
fn instant(at: OffsetDateTime) -> String {
    // Years of four digits and whole minutes of offset are always written.
    at.to_offset(offset!(-5)).format(&Rfc3339).unwrap_or_default()
}

/// `2014-03-09`
fn date(at: OffsetDateTime) -> String {
    at.date().to_string()
}

/// A narrative of one paragraph.
fn narrative(text: &str) -> Value {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{escaped}</p></div>")})
}

#[cfg(test)]
mod tests;
