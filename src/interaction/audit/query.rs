//! The parameters of a search of the audit trail.

use time::{Duration, OffsetDateTime};

use super::event;
use crate::{
    fhir::{
        outcome::IssueType,
        search::interval,
        types::{is_id, is_resource},
    },
    interaction::Failure,
    store::audit::Test,
};

/// Those that are offered; R4's SearchParameters of AuditEvent and of every resource.
pub const PARAMETERS: [&str; 10] =
    ["_id", "date", "patient", "agent", "altid", "entity", "action", "outcome", "subtype", "address"];

/// What is asked for.
#[derive(Debug, Default)]
pub struct Asked {
    pub tests: Vec<Test>,
    pub count: Option<usize>,
}

impl Asked {
    /// Reads the parameters; 400 for what is not understood.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, Failure> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            if value.is_empty() || value.contains('\0') {
                return Err(refused(name, "a value"));
            }
            let test = match name.as_str() {
                "_count" => {
                    let count = value.parse().map_err(|_| refused(name, "a number"))?;
                    asked.count = Some(count);
                    continue;
                }
                // It is the order there is.
                "_sort" if value == "-date" || value == "-_lastUpdated" => continue,
                "_sort" => return Err(refused(name, "-date")),
                _ => test(name, value)?,
            };
            asked.tests.push(test);
        }
        Ok(asked)
    }
}

fn test(name: &str, value: &str) -> Result<Test, Failure> {
    let all = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
    // A token's system says nothing here: each element has one.
    let codes = || -> Vec<String> {
        value.split(',').map(|token| token.rsplit('|').next().unwrap_or_default().to_owned()).collect()
    };
    Ok(match name {
        "_id" => Test::Seq(all().iter().filter_map(|id| id.parse().ok()).collect()),
        "date" => date(value)?,
        "patient" | "patient:Patient" => {
            let id = |text: String| text.rsplit_once("Patient/").map_or(text.clone(), |(_, id)| id.to_owned());
            let ids: Vec<_> = all().into_iter().map(id).collect();
            if !ids.iter().all(|id| is_id(id)) {
                return Err(refused(name, "an id or Patient/[id]"));
            }
            Test::Patient(ids)
        }
        "agent" => Test::Agent(all()),
        "altid" | "agent:identifier" => Test::Agent(codes()),
        "entity" => entity(all())?,
        "action" => action(&codes()),
        "outcome" => Test::Outcome(codes().iter().map(|code: &String| event::outcome_of(code).to_owned()).collect()),
        "subtype" => Test::Action(codes().iter().flat_map(|code: &String| event::words_of(code)).collect()),
        "address" => Test::Address(all()),
        _ => {
            let known = PARAMETERS.join(", ");
            let text = format!("'{name}' is no parameter of the audit trail: those are {known}");
            return Err(Failure::bad_request(IssueType::NotSupported, text));
        }
    })
}

/// Resources, or ids of resources of whatever type.
fn entity(values: Vec<String>) -> Result<Test, Failure> {
    if values.iter().all(|value| is_id(value)) {
        return Ok(Test::EntityId(values));
    }
    let reference = |value: &String| {
        let mut parts = value.rsplitn(3, '/');
        let (id, kind) = (parts.next()?, parts.next()?);
        (is_resource(kind) && is_id(id)).then(|| format!("{kind}/{id}"))
    };
    let references: Option<_> = values.iter().map(reference).collect();
    references.map(Test::Entity).ok_or_else(|| refused("entity", "ids, or [type]/[id]"))
}

/// `C`, `R`, `U` and `D` are the words that are listed as such; whatever else happens is `E`.
fn action(codes: &[String]) -> Test {
    if codes.iter().any(|code| code == "E") {
        let others = ["C", "R", "U", "D"].into_iter().filter(|code| !codes.iter().any(|own| own == code));
        return Test::NotAction(others.flat_map(words).collect());
    }
    Test::Action(codes.iter().flat_map(|code| words(code)).collect())
}

fn words(code: &str) -> Vec<String> {
    event::ACTIONS.iter().filter(|(_, own)| *own == code).map(|(word, _)| (*word).to_owned()).collect()
}

fn date(value: &str) -> Result<Test, Failure> {
    let expected = "a date, with one of the prefixes eq, ge, gt, le, lt, sa and eb or none";
    let (prefix, text) = match value.get(..2) {
        Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_lowercase()) => (prefix, &value[2..]),
        _ => ("eq", value),
    };
    // Of a zone's plus, form encoding makes a space.
    let (low, high) = interval(&text.replace(' ', "+")).ok_or_else(|| refused("date", expected))?;
    let at = |micros| OffsetDateTime::UNIX_EPOCH.checked_add(Duration::microseconds(micros));
    let (low, high) = at(low).zip(at(high)).ok_or_else(|| refused("date", expected))?;
    Ok(match prefix {
        "eq" => Test::Within(Some(low), Some(high)),
        "ge" => Test::Within(Some(low), None),
        "gt" | "sa" => Test::Within(Some(high), None),
        "le" => Test::Within(None, Some(high)),
        "lt" | "eb" => Test::Within(None, Some(low)),
        _ => return Err(refused("date", expected)),
    })
}

fn refused(name: &str, expected: &str) -> Failure {
    Failure::bad_request(IssueType::Value, format!("{name}: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn read(query: &str) -> Option<Vec<Test>> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Asked::read(&pairs).ok().map(|asked| asked.tests)
    }

    #[test]
    fn each_parameter_is_a_test_of_rows() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (day, next) = (datetime!(2026-01-02 00:00 UTC), datetime!(2026-01-03 00:00 UTC));
        for (query, test) in [
            ("_id=7,8", Test::Seq(vec![7, 8])),
            ("_id=x", Test::Seq(vec![])),
            ("date=2026-01-02", Test::Within(Some(day), Some(next))),
            ("date=ge2026-01-02", Test::Within(Some(day), None)),
            ("date=gt2026-01-02", Test::Within(Some(next), None)),
            ("date=le2026-01-02", Test::Within(None, Some(next))),
            ("date=lt2026-01-02T00:00:00Z", Test::Within(None, Some(day))),
            ("patient=Patient/a,b", Test::Patient(texts(&["a", "b"]))),
            ("agent=app", Test::Agent(texts(&["app"]))),
            ("agent:identifier=http://x|app", Test::Agent(texts(&["app"]))),
            ("entity=Observation/1", Test::Entity(texts(&["Observation/1"]))),
            ("entity=http://h/fhir/Observation/1", Test::Entity(texts(&["Observation/1"]))),
            ("entity=1", Test::EntityId(texts(&["1"]))),
            ("action=D", Test::Action(texts(&["delete", "purge", "client-delete", "client-token-delete"]))),
            ("outcome=4", Test::Outcome(texts(&["refused"]))),
            ("subtype=login", Test::Action(texts(&["login"]))),
            ("address=10.0.", Test::Address(texts(&["10.0."]))),
        ] {
            assert_eq!(read(query), Some(vec![test]), "{query}");
        }
        assert_eq!(read("_count=5&_sort=-date"), Some(vec![]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for query in [
            "x=1",
            "patient.name=a",
            "_sort=date",
            "_count=x",
            "date=x",
            "date=ap2026",
            "date=ne2026",
            "date=",
            "patient=a b",
            "entity=Foo/1",
            "entity=a b",
            "_include=AuditEvent:patient",
            "_elements=id",
            "_has:x=1",
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }
}
