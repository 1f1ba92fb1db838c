//! What a request asked for, by its method and path alone: for what did not come as far as an interaction.

use super::Seen;
use crate::fhir::types::{is_id, is_resource};

/// `Type/id`, `Type` and the like for the trail: what stands where neither a type nor an id does is `?`.
pub fn address(path: &str) -> String {
    let is_known = |part: &str| {
        let is_operation = part.strip_prefix('$').is_some_and(|name| OPERATIONS.contains(&name));
        is_resource(part) || is_id(part) || is_operation || ["_history", "_search", "*"].contains(&part)
    };
    let parts = path.split('/').filter(|part| !part.is_empty()).take(5);
    parts.map(|part| if is_known(part) { part } else { "?" }).collect::<Vec<_>>().join("/")
}

/// The act that a method and a path below the base stand for.
pub fn act(method: &str, path: &str) -> &'static str {
    let parts: Vec<_> = path.trim_matches('/').split('/').filter(|part| !part.is_empty()).collect();
    let last = parts.last().copied().unwrap_or_default();
    if last.starts_with('$') {
        let known = OPERATIONS.into_iter().find(|name| last.strip_prefix('$') == Some(name));
        return known.unwrap_or("operation");
    }
    match (method, parts.as_slice()) {
        (_, [.., "_search"]) => "search",
        ("GET" | "HEAD", [.., "_history"]) => "history",
        ("GET" | "HEAD", [.., "_history", _]) => "vread",
        ("GET" | "HEAD", [_, _]) => "read",
        ("GET" | "HEAD", _) => "search",
        ("POST", []) => "bundle",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "operation",
    }
}

const OPERATIONS: [&str; 9] =
    ["set-context", "clear-context", "validate", "everything", "meta", "meta-add", "meta-delete", "status", "events"];

/// That a request was refused, or failed, with this status.
pub fn refusal(method: &str, path: &str, status: &str) -> Seen {
    Seen {
        action: act(method, path),
        outcome: if status.starts_with('5') { "failed" } else { "refused" },
        target: address(path),
        detail: Some(status.to_owned()),
        ..Seen::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_act_is_told_by_method_and_path() {
        for (method, path, expected) in [
            ("GET", "/Patient/1", "read"),
            ("HEAD", "/Patient/1/", "read"),
            ("GET", "/Patient/1/_history/2", "vread"),
            ("GET", "/Patient/1/_history", "history"),
            ("GET", "/_history", "history"),
            ("GET", "/Patient", "search"),
            ("GET", "/", "search"),
            ("GET", "/Patient/1/Observation", "search"),
            ("POST", "/Patient/_search", "search"),
            ("POST", "/", "bundle"),
            ("POST", "/Patient", "create"),
            ("PUT", "/Patient/1", "update"),
            ("PATCH", "/Patient", "patch"),
            ("DELETE", "/Patient/1", "delete"),
            ("POST", "/$set-context", "set-context"),
            ("GET", "/Patient/1/$everything", "everything"),
            ("GET", "/Patient/1/$unheard-of", "operation"),
            ("TRACE", "/Patient", "operation"),
        ] {
            assert_eq!(act(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn an_address_holds_no_text_of_a_client() {
        for (path, expected) in [
            ("/Patient/1", "Patient/1"),
            ("/Patient/1/_history/2", "Patient/1/_history/2"),
            ("/Patient/1/*", "Patient/1/*"),
            ("/Patient/1/$everything", "Patient/1/$everything"),
            ("/Patient/1/J%C3%BCrg/", "Patient/1/?"),
            ("/Patient/1/_Smith", "Patient/1/?"),
            ("/Patient/1/$Smith", "Patient/1/?"),
            ("/", ""),
        ] {
            assert_eq!(address(path), expected, "{path}");
        }
    }
}
