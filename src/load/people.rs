//! Who is in the records, and where: Patient, Practitioner, PractitionerRole, Organization, Location.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::chance::Chance;
use super::codes::{SNOMED, SPECIALTIES};
use super::date;

/// A person's family name, given names and gender.
pub(super) struct Person {
    pub family: &'static str,
    pub given: Vec<&'static str>,
    pub gender: &'static str,
}

const FAMILIES: &[&str] = &[
    "Tremblay",
    "Smith",
    "Gagnon",
    "Roy",
    "Brown",
    "Côté",
    "Singh",
    "Bouchard",
    "Gauthier",
    "Wilson",
    "Morin",
    "Lavoie",
    "Martin",
    "Fortin",
    "Gagné",
    "Li",
    "Ouellet",
    "Pelletier",
    "Bélanger",
    "Lévesque",
    "Bergeron",
    "Leblanc",
    "Paquette",
    "Nguyen",
    "Campbell",
    "MacDonald",
    "Fraser",
    "O'Brien",
    "Patel",
    "Chen",
    "Müller",
    "Schröder",
    "García",
    "Hernández",
    "Kowalski",
    "Dubé",
    "Théberge",
    "Benoît",
    "Lefèbvre",
    "Beaulieu",
    "Poirier",
    "Whiteduck",
    "Cardinal",
    "Beardy",
    "Tootoo",
    "Kaur",
    "Ahmed",
    "Haddad",
    "Novák",
    "Szabó",
    "D'Amico",
    "Van der Meer",
    "Østergaard",
    "Þórsdóttir",
    "Saint-Pierre",
    "Lévis-Bourgault",
    "Okonkwo",
    "Yılmaz",
    "Petrović",
    "Çelik",
];
const WOMEN: &[&str] = &[
    "Marie",
    "Jane",
    "Emma",
    "Olivia",
    "Chloé",
    "Zoé",
    "Anne",
    "Élise",
    "Geneviève",
    "Sophie",
    "Hélène",
    "Priya",
    "Mei",
    "Fatima",
    "Isabelle",
    "Noémie",
    "Sarah",
    "Amélie",
    "Margaret",
    "Léa",
    "Renée",
    "Aïcha",
    "Nukilik",
    "Zofia",
    "Björk",
];
const MEN: &[&str] = &[
    "Jean",
    "John",
    "William",
    "Noah",
    "Liam",
    "François",
    "André",
    "Benoît",
    "Étienne",
    "Raphaël",
    "Mohammed",
    "Wei",
    "Arjun",
    "Jérôme",
    "Loïc",
    "David",
    "Michael",
    "Gaël",
    "José",
    "Ángel",
    "Søren",
    "Kai",
    "Tomasz",
    "Rémi",
    "Hervé",
];
/// City, province, the first part of its postal codes.
const CITIES: &[(&str, &str, &str)] = &[
    ("Toronto", "ON", "M5V"),
    ("Montréal", "QC", "H2X"),
    ("Vancouver", "BC", "V6B"),
    ("Calgary", "AB", "T2P"),
    ("Ottawa", "ON", "K1P"),
    ("Edmonton", "AB", "T5J"),
    ("Québec", "QC", "G1R"),
    ("Winnipeg", "MB", "R3C"),
    ("Hamilton", "ON", "L8P"),
    ("Halifax", "NS", "B3J"),
    ("Saskatoon", "SK", "S7K"),
    ("Trois-Rivières", "QC", "G9A"),
    ("St. John's", "NL", "A1C"),
    ("Moncton", "NB", "E1C"),
    ("Lévis", "QC", "G6V"),
    ("Iqaluit", "NU", "X0A"),
];
const STREETS: &[&str] = &[
    "Main Street",
    "rue Saint-Jean",
    "King Street West",
    "chemin Sainte-Foy",
    "Maple Avenue",
    "boulevard René-Lévesque",
];

impl Person {
    /// Somebody by chance.
    pub fn drawn(chance: &mut Chance) -> Self {
        let family = *chance.pick_skewed(FAMILIES);
        let woman = chance.in_share(0.51);
        let names = if woman { WOMEN } else { MEN };
        let mut given = vec![*chance.pick(names)];
        if chance.in_share(0.3) {
            given.push(*chance.pick(names));
        }
        Self { family, given, gender: if woman { "female" } else { "male" } }
    }

    /// Given names and family name.
    pub fn full(&self) -> String {
        format!("{} {}", self.given.join(" "), self.family)
    }

    fn name(&self) -> Value {
        json!({"use": "official", "text": self.full(), "family": self.family, "given": self.given})
    }
}

/// `digits` decimal digits that stand for `number`: no two numbers below 10^digits have the same.
fn digits(number: u64, digits: u32) -> String {
    let all = 10_u64.pow(digits);
    // Odd and no multiple of 5, so this permutes the numbers below a power of ten.
    let mixed = (u128::from(number % all) * 7_919_003 + 24_681) % u128::from(all);
    format!("{mixed:0width$}", width = digits as usize)
}

fn identifier(kind: &str, system: &str, value: &str) -> Value {
    let kind = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]});
    json!({"use": "official", "type": kind, "system": system, "value": value})
}

fn address(chance: &mut Chance, place: &str) -> Value {
    let (city, state, postal) = *chance.pick_skewed(CITIES);
    let line = format!("{} {}", chance.between(1, 2400), chance.pick(STREETS));
    let letters = b"ABCEGHJKLMNPRSTVWXYZ";
    let code = format!("{postal} {}{}{}", chance.below(10), *chance.pick(letters) as char, chance.below(10));
    json!({"use": place, "line": [line], "city": city, "state": state, "postalCode": code, "country": "CA"})
}

fn phone(chance: &mut Chance, place: &str) -> Value {
    let number = format!("+1-{}-555-{:04}", chance.between(204, 905), chance.below(10_000));
    json!({"system": "phone", "value": number, "use": if chance.in_share(0.6) { "mobile" } else { place }})
}

/// The system of health card numbers.
pub(super) const HEALTH_CARD: &str = "https://fhir.infoway-inforoute.ca/NamingSystem/ca-on-patient-hcn";

/// Patient `number`, first seen at `seen`.
pub(super) fn patient(mut chance: Chance, number: u64, seen: OffsetDateTime, practitioner: &str, at: &str) -> Value {
    let person = Person::drawn(&mut chance);
    let born = seen - Duration::days(chance.between(0, 33_000));
    let mut identifiers = vec![identifier("JHN", HEALTH_CARD, &digits(number, 10))];
    if chance.in_share(0.8) {
        identifiers.push(identifier("MR", "urn:oid:2.16.840.1.113883.3.239.18", &format!("MR{}", digits(number, 8))));
    }
    let mut telecom = vec![phone(&mut chance, "home")];
    if chance.in_share(0.5) {
        telecom.push(json!({"system": "email", "value": format!("person{number}@example.org"), "use": "home"}));
    }
    let language = if chance.in_share(0.25) { "fr-CA" } else { "en-CA" };
    let married = if chance.in_share(0.5) { ("M", "Married") } else { ("S", "Never Married") };
    let mut body = json!({
        "identifier": identifiers,
        "active": true,
        "name": [person.name()],
        "telecom": telecom,
        "gender": person.gender,
        "birthDate": date(born),
        "address": [address(&mut chance, "home")],
        "maritalStatus": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": married.0, "display": married.1,
        }]},
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language}]}, "preferred": true}],
        "generalPractitioner": [{"reference": format!("Practitioner/{practitioner}")}],
        "managingOrganization": {"reference": format!("Organization/{at}")},
    });
    if chance.in_share(0.02) {
        body["deceasedBoolean"] = json!(true);
    }
    if chance.in_share(0.2) {
        body["text"] = super::narrative(&format!("{}, born {}, {}", person.full(), date(born), person.gender));
    }
    body
}

/// Practitioner `number`.
pub(super) fn practitioner(mut chance: Chance, number: u64) -> Value {
    let person = Person::drawn(&mut chance);
    let licence = "https://fhir.infoway-inforoute.ca/NamingSystem/ca-on-license-physician";
    json!({
        "identifier": [identifier("LN", licence, &digits(number, 6))],
        "active": true,
        "name": [person.name()],
        "telecom": [phone(&mut chance, "work")],
        "gender": person.gender,
        "qualification": [{"code": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v2-0360", "code": "MD", "display": "Doctor of Medicine",
        }]}}],
    })
}

/// The role in which `practitioner` works at `organization` and `location`.
pub(super) fn practitioner_role(mut chance: Chance, practitioner: &str, organization: &str, location: &str) -> Value {
    let (code, display) = *chance.pick_skewed(SPECIALTIES);
    json!({
        "active": true,
        "practitioner": {"reference": format!("Practitioner/{practitioner}")},
        "organization": {"reference": format!("Organization/{organization}")},
        "code": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/practitioner-role", "code": "doctor", "display": "Doctor",
        }]}],
        "specialty": [{"coding": [{"system": SNOMED, "code": code, "display": display}]}],
        "location": [{"reference": format!("Location/{location}")}],
    })
}

/// Organization `number`.
pub(super) fn organization(mut chance: Chance, number: u64) -> Value {
    let (city, _, _) = *chance.pick_skewed(CITIES);
    let kind = *chance.pick(&["Family Health Team", "Community Clinic", "Centre de santé", "General Hospital"]);
    json!({
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.3.239.1", "value": digits(number, 6)}],
        "active": true,
        "type": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov",
            "display": "Healthcare Provider",
        }]}],
        "name": format!("{city} {kind} {number}"),
        "telecom": [phone(&mut chance, "work")],
        "address": [address(&mut chance, "work")],
    })
}

/// Location `number`, run by `organization`.
pub(super) fn location(mut chance: Chance, number: u64, organization: &str) -> Value {
    let (latitude, longitude) = (chance.around(46.0, 2.5), chance.around(-79.0, 14.0));
    let rounded = |degrees: f64| (degrees * 1e4).round() / 1e4;
    json!({
        "status": "active",
        "name": format!("Clinic {number}"),
        "mode": "instance",
        "telecom": [phone(&mut chance, "work")],
        "address": address(&mut chance, "work"),
        "position": {"longitude": rounded(longitude), "latitude": rounded(latitude)},
        "managingOrganization": {"reference": format!("Organization/{organization}")},
    })
}
