//! What happens in one visit: the Encounter and what is measured, found, prescribed and done in it.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::chance::Chance;
use super::codes::{
    ALLERGENS, BLOOD_PRESSURE_SHARE, Coded, DIAGNOSES, DIN, DOSES, DRUGS, LOINC, Measured, PANELS, PROCEDURES,
    REACTIONS, SMOKING, SNOMED, UCUM, VACCINES, VISITS, VITAL_SIGNS, WORDS,
};
use super::{Generated, Ids, instant, narrative};

/// One visit, and who takes part in it. The fields are bare ids.
pub(super) struct Visit {
    pub number: u64,
    pub at: OffsetDateTime,
    pub patient: String,
    pub practitioner: String,
    pub organization: String,
    pub location: String,
}

/// Collects what a visit leaves behind.
struct Record<'v> {
    visit: &'v Visit,
    ids: Ids,
    chance: Chance,
    encounter: String,
    made: Vec<Generated>,
}

const HL7: &str = "http://terminology.hl7.org/CodeSystem/";

fn coding(system: &str, (code, display): Coded) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}], "text": display})
}

/// A code of an HL7 code system: `condition-clinical`, `active`.
fn hl7(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("{HL7}{system}"), "code": code}]})
}

fn reference(kind: &str, id: &str) -> Value {
    json!({"reference": format!("{kind}/{id}")})
}

/// Everything of `visit`, each resource after those it refers to.
pub(super) fn resources(visit: &Visit, ids: Ids, chance: Chance) -> Vec<Generated> {
    let encounter = ids.id("Encounter", visit.number, 0);
    let mut record = Record { visit, ids, chance, encounter, made: Vec::with_capacity(12) };
    record.encounter();
    record.vital_signs();
    record.laboratory();
    record.diagnoses_and_drugs();
    if record.chance.in_share(0.25) {
        record.immunization();
    }
    if record.chance.in_share(0.125) {
        record.allergy();
    }
    if record.chance.in_share(0.167) {
        record.procedure();
    }
    record.made
}

impl Record<'_> {
    /// Adds a resource; gives its id.
    fn add(&mut self, kind: &'static str, mut body: Value) -> String {
        let id = self.ids.id(kind, self.visit.number, self.made.len() as u64);
        self.mark(&mut body);
        self.made.push(Generated::new(kind, id.clone(), &body));
        id
    }

    /// Where it came from, for some: `meta.source`, `meta.tag`.
    fn mark(&mut self, body: &mut Value) {
        let draw = self.chance.unit();
        if draw < 0.15 {
            body["meta"]["source"] = json!("urn:oid:2.16.840.1.113883.3.239.23");
        } else if draw < 0.20 {
            body["meta"]["tag"] = json!([{"system": "http://example.org/tags", "code": "imported"}]);
        } else if draw < 0.202 {
            body["meta"]["security"] = hl7("v3-Confidentiality", "R")["coding"].clone();
        }
    }

    fn subject(&self) -> Value {
        reference("Patient", &self.visit.patient)
    }

    fn practitioner(&self) -> Value {
        reference("Practitioner", &self.visit.practitioner)
    }

    /// The visit's time and `minutes` later.
    fn after(&self, minutes: i64) -> String {
        instant(self.visit.at + Duration::minutes(minutes))
    }

    /// A few words of a note.
    fn note(&mut self) -> String {
        let length = self.chance.between(6, 24);
        let words: Vec<&str> = (0..length).map(|_| *self.chance.pick_skewed(WORDS)).collect();
        words.join(" ")
    }

    fn encounter(&mut self) {
        let (kind, (class, display)) = *self.chance.pick_skewed(VISITS);
        let minutes = if class == "IMP" { self.chance.between(1_440, 14_400) } else { self.chance.between(10, 90) };
        let reason = *self.chance.pick_skewed(DIAGNOSES);
        let body = json!({
            "identifier": [{"system": "urn:oid:2.16.840.1.113883.3.239.7", "value": format!("V{:09}", self.visit.number)}],
            "status": "finished",
            "class": {"system": format!("{HL7}v3-ActCode"), "code": class, "display": display},
            "type": [coding(SNOMED, kind)],
            "subject": self.subject(),
            "participant": [{"type": [hl7("v3-ParticipationType", "ATND")], "individual": self.practitioner()}],
            "period": {"start": self.after(0), "end": self.after(minutes)},
            "reasonCode": [coding(SNOMED, reason)],
            "location": [{"location": reference("Location", &self.visit.location)}],
            "serviceProvider": reference("Organization", &self.visit.organization),
        });
        self.add("Encounter", body);
    }

    /// What all Observations of this visit have.
    fn observation(&mut self, category: &str, code: Coded) -> Value {
        json!({
            "status": "final",
            "category": [hl7("observation-category", category)],
            "code": coding(LOINC, code),
            "subject": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "effectiveDateTime": self.after(5),
            "performer": [self.practitioner()],
        })
    }

    fn quantity(&mut self, what: &Measured) -> Value {
        let scale = 10_f64.powi(what.decimals);
        let value = (self.chance.around(what.mean, what.spread).max(0.1) * scale).round() / scale;
        // A whole number is written as one.
        let value = if what.decimals == 0 { json!(value as i64) } else { json!(value) };
        json!({"value": value, "unit": what.unit, "system": UCUM, "code": what.unit})
    }

    fn vital_signs(&mut self) {
        if self.chance.in_share(BLOOD_PRESSURE_SHARE) {
            self.blood_pressure();
        }
        for (share, profile, what) in VITAL_SIGNS {
            if self.chance.in_share(*share) {
                let mut body = self.observation("vital-signs", (what.code, what.display));
                body["meta"] = json!({"profile": [format!("http://hl7.org/fhir/StructureDefinition/{profile}")]});
                body["valueQuantity"] = self.quantity(what);
                self.add("Observation", body);
            }
        }
        if self.chance.in_share(0.2) {
            let mut body = self.observation("social-history", ("72166-2", "Tobacco smoking status"));
            body["valueCodeableConcept"] = coding(SNOMED, *self.chance.pick_skewed(SMOKING));
            self.add("Observation", body);
        }
    }

    fn blood_pressure(&mut self) {
        let mut body = self.observation("vital-signs", ("85354-9", "Blood pressure panel with all children optional"));
        body["meta"] = json!({"profile": ["http://hl7.org/fhir/StructureDefinition/bp"]});
        let parts = [("8480-6", "Systolic blood pressure", 128.0), ("8462-4", "Diastolic blood pressure", 79.0)];
        let components = parts.map(|(code, display, mean)| {
            let what = Measured { code, display, unit: "mm[Hg]", mean, spread: 12.0, decimals: 0 };
            json!({"code": coding(LOINC, (code, display)), "valueQuantity": self.quantity(&what)})
        });
        body["component"] = json!(components);
        self.add("Observation", body);
    }

    /// A panel of results with its report.
    fn laboratory(&mut self) {
        if !self.chance.in_share(0.417) {
            return;
        }
        let (panel, measured) = self.chance.pick_skewed(PANELS);
        // Later measurements of a panel are left out more often.
        let wanted = self.chance.between(3, 9) as usize;
        let mut results = Vec::new();
        for what in measured.iter().take(wanted) {
            let mut body = self.observation("laboratory", (what.code, what.display));
            body["issued"] = json!(self.after(600));
            let value = self.quantity(what);
            let (low, high) = (what.mean - what.spread, what.mean + what.spread);
            let found = value["value"].as_f64().unwrap_or(what.mean);
            let flag = if found < low {
                "L"
            } else if found > high {
                "H"
            } else {
                "N"
            };
            body["interpretation"] = json!([hl7("v3-ObservationInterpretation", flag)]);
            body["valueQuantity"] = value;
            let id = self.add("Observation", body);
            results.push(reference("Observation", &id));
        }
        let mut body = json!({
            "identifier": [{"system": "urn:oid:2.16.840.1.113883.3.239.9", "value": format!("L{:09}", self.visit.number)}],
            "status": "final",
            "category": [hl7("v2-0074", "LAB")],
            "code": coding(LOINC, *panel),
            "subject": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "effectiveDateTime": self.after(5),
            "issued": self.after(610),
            "performer": [reference("Organization", &self.visit.organization)],
            "result": results,
        });
        if self.chance.in_share(0.5) {
            let conclusion = self.note();
            body["text"] = narrative(&format!("{}: {conclusion}", panel.1));
            body["conclusion"] = json!(conclusion);
        }
        self.add("DiagnosticReport", body);
    }

    fn diagnoses_and_drugs(&mut self) {
        let mut found = None;
        if self.chance.in_share(0.667) {
            found = Some(self.condition());
        }
        if self.chance.in_share(0.667) {
            self.medication_request(found.as_deref());
        }
    }

    fn condition(&mut self) -> String {
        let resolved = self.chance.in_share(0.4);
        let began = self.visit.at - Duration::days(self.chance.between(0, 700));
        let mut body = json!({
            "clinicalStatus": hl7("condition-clinical", if resolved { "resolved" } else { "active" }),
            "verificationStatus": hl7("condition-ver-status", "confirmed"),
            "category": [hl7("condition-category", "encounter-diagnosis")],
            "code": coding(SNOMED, *self.chance.pick_skewed(DIAGNOSES)),
            "subject": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "onsetDateTime": instant(began),
            "recordedDate": self.after(15),
            "recorder": self.practitioner(),
        });
        if resolved {
            body["abatementDateTime"] = json!(self.after(20_000));
        }
        if self.chance.in_share(0.3) {
            body["note"] = json!([{"text": self.note()}]);
        }
        self.add("Condition", body)
    }

    fn medication_request(&mut self, condition: Option<&str>) {
        let (text, times) = *self.chance.pick_skewed(DOSES);
        let mut body = json!({
            "status": *self.chance.pick_skewed(&["completed", "active", "stopped", "cancelled"]),
            "intent": "order",
            "medicationCodeableConcept": coding(DIN, *self.chance.pick_skewed(DRUGS)),
            "subject": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "authoredOn": self.after(18),
            "requester": self.practitioner(),
            "dosageInstruction": [{
                "text": text,
                "timing": {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
            }],
            "dispenseRequest": {
                "numberOfRepeatsAllowed": self.chance.below(5),
                "quantity": {"value": times * 30, "unit": "{unit}", "system": UCUM, "code": "{unit}"},
            },
        });
        if let Some(condition) = condition {
            body["reasonReference"] = json!([reference("Condition", condition)]);
        }
        self.add("MedicationRequest", body);
    }

    fn immunization(&mut self) {
        let body = json!({
            "status": "completed",
            "vaccineCode": coding("http://hl7.org/fhir/sid/cvx", *self.chance.pick_skewed(VACCINES)),
            "patient": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "occurrenceDateTime": self.after(20),
            "primarySource": true,
            "lotNumber": format!("LOT{:05}", self.chance.below(4_000)),
            "performer": [{"actor": self.practitioner()}],
        });
        self.add("Immunization", body);
    }

    fn allergy(&mut self) {
        let body = json!({
            "clinicalStatus": hl7("allergyintolerance-clinical", "active"),
            "verificationStatus": hl7("allergyintolerance-verification", "confirmed"),
            "criticality": *self.chance.pick_skewed(&["low", "high", "unable-to-assess"]),
            "code": coding(SNOMED, *self.chance.pick_skewed(ALLERGENS)),
            "patient": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "recordedDate": self.after(8),
            "recorder": self.practitioner(),
            "reaction": [{"manifestation": [coding(SNOMED, *self.chance.pick_skewed(REACTIONS))]}],
        });
        self.add("AllergyIntolerance", body);
    }

    fn procedure(&mut self) {
        let minutes = self.chance.between(10, 200);
        let mut body = json!({
            "status": "completed",
            "code": coding(SNOMED, *self.chance.pick_skewed(PROCEDURES)),
            "subject": self.subject(),
            "encounter": reference("Encounter", &self.encounter),
            "performedPeriod": {"start": self.after(10), "end": self.after(10 + minutes)},
            "performer": [{"actor": self.practitioner()}],
            "location": reference("Location", &self.visit.location),
        });
        if self.chance.in_share(0.4) {
            body["note"] = json!([{"text": self.note()}]);
        }
        self.add("Procedure", body);
    }
}
