//! A query as the audit trail keeps it.

use crate::fhir::types::{is_id, is_resource};

/// Longer ones are cut.
const LONGEST: usize = 1000;

/// Parameters of the protocol: their values say how to answer, not about whom.
const OF_THE_ANSWER: [&str; 14] = [
    "_count",
    "_sort",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_include:iterate",
    "_revinclude:iterate",
    "_total",
    "_type",
    "_since",
    "_at",
    "_lastUpdated",
    "_contained",
];

/// Parameters whose values are ids.
const OF_IDS: [&str; 6] = ["_id", "patient", "subject", "encounter", "context", "_list"];

/// The parameters of a query with the values that can be no content of a record: how to answer, and ids. All others are
/// `…`.
pub fn without_content(pairs: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if text.len() > LONGEST {
            text.push_str("&…");
            break;
        }
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(name.chars().filter(|c| !c.is_control()).take(100));
        text.push('=');
        text.push_str(if is_kept(name, value) { value } else { "…" });
    }
    text
}

fn is_kept(name: &str, value: &str) -> bool {
    let is_plain = value.len() <= 200 && value.bytes().all(|byte| byte.is_ascii_graphic());
    let is_reference = |one: &str| one.split_once('/').is_some_and(|(kind, id)| is_resource(kind) && is_id(id));
    let ids = |known: fn(&str) -> bool| value.split(',').all(|one| known(one) || is_reference(one));
    is_plain && (OF_THE_ANSWER.contains(&name) || (OF_IDS.contains(&name) && ids(is_id)) || ids(|_| false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_and_the_manner_of_the_answer_are_kept() {
        for (query, kept) in [
            ("", ""),
            ("patient=p1", "patient=p1"),
            ("subject=Patient/p1,Patient/p2&_count=5", "subject=Patient/p1,Patient/p2&_count=5"),
            ("general-practitioner=Practitioner/7", "general-practitioner=Practitioner/7"),
            ("name=Smith", "name=…"),
            ("name:exact=Smith", "name:exact=…"),
            ("identifier=http://sys|123", "identifier=…"),
            ("patient.name=Smith", "patient.name=…"),
            ("patient=p 1", "patient=…"),
            ("_id=a,b", "_id=a,b"),
            ("birthdate=1970-01-01", "birthdate=…"),
            ("_content=cancer", "_content=…"),
            ("_has:Observation:patient:code=1234-5", "_has:Observation:patient:code=…"),
        ] {
            let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            assert_eq!(without_content(&pairs), kept, "{query}");
        }
    }

    #[test]
    fn a_long_query_is_cut() {
        let pairs = vec![("_id".to_owned(), "a".repeat(60)); 100];
        assert!(without_content(&pairs).len() < LONGEST + 200);
    }
}
