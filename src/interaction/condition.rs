//! Conditions of conditional creates: `If-None-Exist` and `Bundle.entry.request.ifNoneExist`, with `_id` and
//! `identifier` (FHIR R4 http.html#ccreate).

use std::collections::BTreeMap;

use super::{Failure, read::parsed};
use crate::{
    access::Permit,
    fhir::{
        outcome::IssueType,
        types::{is_id, is_resource},
    },
    store::{
        Tx,
        resource::{self as store, Current},
    },
};

/// Longest value of a condition, in bytes.
const MAX_VALUE: usize = 1024;

/// A parsed condition: every part must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    kind: String,
    /// (parameter, value), sorted: equal conditions are equal.
    parts: Vec<(Parameter, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parameter {
    Id,
    Identifier,
}

impl Condition {
    /// Parses a query such as `identifier=http://sys|123`. A leading `?` or `Type?` is tolerated.
    pub fn parse(kind: &str, query: &str) -> Result<Self, Failure> {
        let query = query.strip_prefix(kind).unwrap_or(query).trim_start_matches('?');
        let mut parts = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match name.as_ref() {
                "_id" => Parameter::Id,
                "identifier" => Parameter::Identifier,
                "_format" | "_pretty" => continue,
                _ => {
                    let text = format!("a condition on '{name}' is not supported: use identifier or _id");
                    return Err(Failure::bad_request(IssueType::NotSupported, text));
                }
            };
            let usable = match parameter {
                Parameter::Id => is_id(&value),
                Parameter::Identifier => {
                    !value.is_empty() && value != "|" && !value.contains(',') && value.len() <= MAX_VALUE
                }
            };
            if !usable {
                let text = format!("'{value}' is not one value of {name}, such as system|value");
                return Err(Failure::bad_request(IssueType::Value, text));
            }
            parts.push((parameter, value.into_owned()));
        }
        if parts.is_empty() || !is_resource(kind) {
            let text = "a condition needs at least one parameter, such as identifier=system|value";
            return Err(Failure::bad_request(IssueType::Value, text));
        }
        parts.sort();
        Ok(Self { kind: kind.to_owned(), parts })
    }

    /// The key that two equal conditional creates fight for.
    pub fn lock_key(&self) -> String {
        let parts: Vec<_> = self.parts.iter().map(|(parameter, value)| format!("{parameter:?}={value}")).collect();
        format!("{}?{}", self.kind, parts.join("&"))
    }

    /// The visible resources that match; more than one is as good as many.
    pub async fn matches(&self, tx: &mut Tx, permit: &Permit, engine: &super::Engine) -> Result<Vec<Current>, Failure> {
        let mut found: Option<BTreeMap<(i64, String), Current>> = None;
        for (parameter, value) in &self.parts {
            let rows = match parameter {
                Parameter::Id => {
                    let row = store::current(tx.conn(), permit.visible(), &self.kind, value).await?;
                    row.into_iter().filter(|row| row.body.is_some()).collect()
                }
                Parameter::Identifier => {
                    let (system, value) =
                        value.split_once('|').map_or((None, value.as_str()), |(system, value)| (Some(system), value));
                    store::by_identifier(tx.conn(), permit.visible(), &self.kind, system, value).await?
                }
            };
            let rows: BTreeMap<_, _> = rows.into_iter().map(|row| ((row.tenant, row.id.clone()), row)).collect();
            found = Some(match found {
                None => rows,
                Some(before) => before.into_iter().filter(|(key, _)| rows.contains_key(key)).collect(),
            });
        }
        let mut shown = Vec::new();
        for row in found.unwrap_or_default().into_values() {
            let body = parsed(engine, row.body.as_deref().unwrap_or_default())?;
            if permit.shows(&body, &row.id, &engine.base) {
                shown.push(row);
            }
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_conditions_fight_for_one_key() {
        let key = |query| Condition::parse("Patient", query).unwrap().lock_key();
        assert_eq!(key("identifier=a%7Cb&_id=1"), key("?_id=1&identifier=a|b"));
        assert_ne!(key("identifier=a|b"), key("identifier=a|c"));
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        for query in ["", "?", "name=x", "identifier=", "identifier=|", "identifier=a|b,c|d", "_id=a_b"] {
            assert!(matches!(Condition::parse("Patient", query), Err(Failure::BadRequest(_))), "{query}");
        }
    }
}
