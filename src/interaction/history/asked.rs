//! The parameters of a history (FHIR R4 http.html#history).

use time::OffsetDateTime;

use crate::{
    config,
    fhir::{
        instant,
        outcome::IssueType,
        search::{Handling, interval},
        types,
    },
    interaction::Failure,
};

/// How many versions a page has: when nothing is said, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub usual: i64,
    pub most: i64,
}

impl From<&config::Search> for Sizes {
    fn from(config: &config::Search) -> Self {
        let size = |size| i64::try_from(size).unwrap_or(i64::MAX - 1);
        Self { usual: size(config.page_size), most: size(config.max_page_size) }
    }
}

/// What part of a history is asked for, in what order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `_count`: versions on a page.
    pub count: i64,
    /// `_since`: only versions made at or after this instant.
    pub since: Option<OffsetDateTime>,
    /// `_at`: only versions that were current at some time in `[low, high)`.
    pub at: Option<(OffsetDateTime, Option<OffsetDateTime>)>,
    /// `_list`: only resources that this List names.
    pub list: Option<String>,
    /// `_sort=_lastUpdated`: oldest first.
    pub oldest_first: bool,
    /// The parameters that were used, as they were given.
    pub used: Vec<(String, String)>,
}

impl Asked {
    /// Reads a query. Each parameter stands once and takes neither prefixes nor modifiers.
    pub fn read(pairs: &[(String, String)], handling: Handling, sizes: Sizes) -> Result<Self, Failure> {
        let strict = handling == Handling::Strict;
        let mut asked = Self {
            count: sizes.usual.min(sizes.most),
            since: None,
            at: None,
            list: None,
            oldest_first: false,
            used: Vec::new(),
        };
        for (name, value) in pairs {
            let known = ["_count", "_since", "_at", "_list", "_sort"].into_iter().find(|known| {
                name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.']))
            });
            match known {
                Some(known) if known != name => {
                    return Err(bad(IssueType::NotSupported, format!("{known} takes no modifier in a history")));
                }
                Some(_) if !value.is_empty() => asked.take(name, value, sizes.most)?,
                _ if strict && value.is_empty() => return Err(bad(IssueType::Value, format!("{name} has no value"))),
                _ if strict => {
                    let text = format!("a history has no parameter '{name}': _count, _since, _at, _list or _sort");
                    return Err(bad(IssueType::NotSupported, text));
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str, most: i64) -> Result<(), Failure> {
        if self.used.iter().any(|(used, _)| used == name) {
            return Err(bad(IssueType::Value, format!("{name} may be given once")));
        }
        // '+' of a time zone is often sent unescaped and arrives as a space.
        let time = value.replace(' ', "+");
        let read = match name {
            "_count" => {
                let count = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().unwrap_or(most));
                count.map(|count: i64| self.count = count.min(most))
            }
            "_since" => instant::parse(&time).map(|since| self.since = Some(since)),
            "_at" => interval(&time).and_then(|(low, high)| {
                let time = |micros: i64| OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok();
                // What ends with the calendar does not end.
                time(low).map(|low| self.at = Some((low, time(high))))
            }),
            "_list" => {
                let id = value.strip_prefix("List/").unwrap_or(value);
                types::is_id(id).then(|| self.list = Some(id.to_owned()))
            }
            _ => {
                self.oldest_first = value == "_lastUpdated";
                ["_lastUpdated", "-_lastUpdated", "none"].contains(&value).then_some(())
            }
        };
        read.ok_or_else(|| bad(IssueType::Value, format!("'{value}' is not {}", expected(name))))?;
        self.used.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The used parameters as a query, with its question mark.
    pub fn query(&self) -> String {
        if self.used.is_empty() {
            return String::new();
        }
        format!("?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.used).finish())
    }
}

fn expected(name: &str) -> &'static str {
    match name {
        "_count" => "a whole number",
        "_since" => "an instant such as 2026-01-02T03:04:05Z",
        "_at" => "a date or time such as 2026-01-02 or 2026-01-02T03:04:05Z",
        "_list" => "the id of a List",
        _ => "_lastUpdated, -_lastUpdated or none",
    }
}

fn bad(code: IssueType, text: String) -> Failure {
    Failure::bad_request(code, text)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use Handling::{Lenient, Strict};

    fn read(query: &str, handling: Handling) -> Result<Asked, Failure> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Asked::read(&pairs, handling, Sizes { usual: 20, most: 100 })
    }

    #[test]
    fn the_parameters_are_understood() {
        let asked =
            read("_count=5&_since=2026-01-02T03:04:05%2B01:00&_at=2026&_list=a&_sort=_lastUpdated", Strict).unwrap();
        assert_eq!((asked.count, asked.oldest_first, asked.list.as_deref()), (5, true, Some("a")));
        assert_eq!(asked.since, Some(datetime!(2026-01-02 02:04:05 UTC)));
        assert_eq!(asked.at, Some((datetime!(2026-01-01 0:00 UTC), Some(datetime!(2027-01-01 0:00 UTC)))));
        assert_eq!(
            asked.query(),
            "?_count=5&_since=2026-01-02T03%3A04%3A05%2B01%3A00&_at=2026&_list=a&_sort=_lastUpdated"
        );
        assert_eq!(read("_since=2026-01-02T03:04:05+01:00", Strict).unwrap().since, asked.since);
        assert_eq!(read("_count=99999999999999999999", Strict).unwrap().count, 100);
        assert_eq!(read("", Strict).unwrap().query(), "");
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for query in [
            "_count=-1",
            "_count=x",
            "_count=1.0",
            "_count=+1",
            "_since=2026-01-02",
            "_since=gt2026-01-02T03:04:05Z",
            "_at=gt2026",
            "_at=x",
            "_list=a_b",
            "_sort=name",
            "_count=1&_count=2",
            "_since:missing=true",
            "_at:x=1",
            "_count.x=1",
        ] {
            for handling in [Lenient, Strict] {
                assert!(matches!(read(query, handling), Err(Failure::BadRequest(_))), "{query}");
            }
        }
    }

    #[test]
    fn what_is_unknown_is_ignored_unless_that_is_refused() {
        for query in ["bonkers=1", "_summary=true", "_counts=1", "_since=", "_sorting:x=1"] {
            let asked = read(query, Lenient).unwrap();
            assert_eq!((asked.used, asked.count), (Vec::new(), 20), "{query}");
            assert!(matches!(read(query, Strict), Err(Failure::BadRequest(_))), "{query}");
        }
    }
}
