//! References: their literal forms, and the rewriting of references between Bundle entries.

use std::collections::HashMap;

use super::{
    element::walk,
    json::{Edit, quote},
    resource::Resource,
    types::{is_id, is_resource},
};

/// `Type/id` out of a literal reference: relative, with or without `/_history/v`, or absolute under `base`.
pub fn local(reference: &str, base: &str) -> Option<(String, String)> {
    let relative = reference.strip_prefix(base).map_or(reference, |rest| rest.trim_start_matches('/'));
    let mut parts = relative.split('/');
    let (kind, id) = (parts.next()?, parts.next()?);
    let rest: Vec<_> = parts.collect();
    let versioned = matches!(rest.as_slice(), [] | ["_history", _]);
    (is_resource(kind) && is_id(id) && versioned).then(|| (kind.to_owned(), id.to_owned()))
}

/// `(Type, query)` of a conditional reference such as `Patient?identifier=http://sys|1`.
pub fn conditional(reference: &str) -> Option<(&str, &str)> {
    reference.split_once('?').filter(|(kind, _)| is_resource(kind))
}

/// A `Reference.reference` met in a resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// FHIRPath from the resource.
    pub path: String,
    /// The literal reference.
    pub reference: String,
}

/// Every `Reference.reference` of a resource, in source order.
pub fn all(resource: &Resource) -> Vec<Found> {
    let mut found = Vec::new();
    walk(resource.root(), &mut |leaf| {
        if leaf.holder == "Reference"
            && leaf.name == "reference"
            && let Some(reference) = leaf.value.as_str()
        {
            found.push(Found { path: leaf.path.to_owned(), reference: reference.into_owned() });
        }
    });
    found
}

/// What the references of one entry become: `targets` maps each entry's `fullUrl` to its new `Type/id`; `entry` is the
/// `fullUrl` of the entry the resource stands in, against which relative references are resolved (bundle.html#references).
///
/// Rewritten are `Reference.reference`, `uri`, `url`, `oid` and `uuid` elements and `href`/`src` in narrative;
/// `canonical` elements are not (http.html#trules).
pub fn rewrites(resource: &Resource, targets: &HashMap<String, String>, entry: &str) -> Vec<Edit> {
    if targets.is_empty() {
        return Vec::new();
    }
    let base = rest_base(entry, resource.type_name());
    let mut edits = Vec::new();
    walk(resource.root(), &mut |leaf| {
        let is_reference = leaf.holder == "Reference" && leaf.name == "reference";
        let Some(text) = leaf.value.as_str() else { return };
        let new = if is_reference {
            let (plain, fragment) = text.split_once('#').map_or((text.as_ref(), ""), |(plain, part)| (plain, part));
            let absolute = base.filter(|_| !plain.contains(':')).map(|base| format!("{base}{plain}"));
            let target = targets.get(plain).or_else(|| targets.get(&absolute?));
            target.map(|to| if fragment.is_empty() { to.clone() } else { format!("{to}#{fragment}") })
        } else if matches!(leaf.kind, "uri" | "url" | "oid" | "uuid") {
            targets.get(text.as_ref()).cloned()
        } else if leaf.kind == "xhtml" {
            in_narrative(&text, targets)
        } else {
            None
        };
        if let Some(new) = new {
            edits.push(Edit { span: leaf.value.span(), replacement: quote(&new) });
        }
    });
    edits
}

/// What the conditional references of a resource become: `targets` maps the text of each to a `Type/id`.
pub fn replacements(resource: &Resource, targets: &HashMap<String, String>) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk(resource.root(), &mut |leaf| {
        if leaf.holder == "Reference"
            && leaf.name == "reference"
            && let Some(to) = leaf.value.as_str().and_then(|text| targets.get(text.as_ref()))
        {
            edits.push(Edit { span: leaf.value.span(), replacement: quote(to) });
        }
    });
    edits
}

/// Whether a reference without its fragment leads to one of the Bundle's own entries.
pub fn resolves_inside(plain: &str, entry: &str, type_name: &str, is_entry: &dyn Fn(&str) -> bool) -> bool {
    let absolute = rest_base(entry, type_name).filter(|_| !plain.contains(':')).map(|base| format!("{base}{plain}"));
    is_entry(plain) || absolute.is_some_and(|url| is_entry(&url))
}

/// `http://server/base/` out of `http://server/base/Patient/1`, if the URL has that form.
fn rest_base<'u>(full_url: &'u str, type_name: &str) -> Option<&'u str> {
    let (rest, id) = full_url.rsplit_once('/')?;
    let base = rest.strip_suffix(type_name)?;
    (is_id(id) && base.ends_with('/')).then_some(base)
}

/// One pass over the text, whatever it holds.
fn in_narrative(xhtml: &str, targets: &HashMap<String, String>) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for (at, _) in xhtml.match_indices('=') {
        if !(xhtml[..at].ends_with("href") || xhtml[..at].ends_with("src")) {
            continue;
        }
        let value = &xhtml[at + 1..];
        let Some(mark) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
        // No target is longer than this, so a missing end quote costs no scan of the whole rest.
        let Some(end) = value.bytes().skip(1).take(MAX_URL).position(|byte| byte == mark as u8) else { continue };
        if let Some(target) = targets.get(&value[1..=end]) {
            out.push_str(&xhtml[copied..=at + 1]);
            out.push_str(target);
            copied = at + 2 + end;
        }
    }
    (copied > 0).then(|| {
        out.push_str(&xhtml[copied..]);
        out
    })
}

/// Longest URL in narrative that is looked at.
const MAX_URL: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::Limits;

    #[test]
    fn literal_references_are_understood() {
        let base = "http://localhost/fhir";
        let patient = Some(("Patient".to_owned(), "1".to_owned()));
        for good in ["Patient/1", "Patient/1/_history/2", "http://localhost/fhir/Patient/1"] {
            assert_eq!(local(good, base), patient, "{good}");
        }
        for bad in ["patient/1", "Patient", "Patient/1/x", "http://other/Patient/1", "urn:uuid:1", "#a", "Patient/a_b"]
        {
            assert_eq!(local(bad, base), None, "{bad}");
        }
    }

    #[test]
    fn references_are_rewritten_where_r4_says_so_and_not_in_canonicals() {
        let text = r##"{"resourceType":"QuestionnaireResponse","questionnaire":"urn:uuid:1","subject":{"reference":"urn:uuid:1"},
          "text":{"status":"generated","div":"<div><a href=\"urn:uuid:1\">x</a> urn:uuid:1</div>"},
          "extension":[{"url":"urn:uuid:1x","valueUri":"urn:uuid:1"},{"url":"x","valueString":"urn:uuid:1"}],
          "contained":[{"resourceType":"Observation","subject":{"reference":"urn:uuid:1#part"}}]}"##;
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        let targets = HashMap::from([("urn:uuid:1".to_owned(), "Patient/9".to_owned())]);
        let new = resource.edited(rewrites(&resource, &targets, "urn:uuid:2"), &Limits::default()).unwrap();
        let root = new.root();
        assert_eq!(root.str("questionnaire").unwrap(), "urn:uuid:1");
        assert_eq!(root.at("subject.reference")[0].as_str().unwrap(), "Patient/9");
        assert_eq!(root.at("text.div")[0].as_str().unwrap(), "<div><a href=\"Patient/9\">x</a> urn:uuid:1</div>");
        assert_eq!(root.at("extension.valueUri")[0].as_str().unwrap(), "Patient/9");
        assert_eq!(root.at("extension.valueString")[0].as_str().unwrap(), "urn:uuid:1");
        assert_eq!(root.at("contained.subject.reference")[0].as_str().unwrap(), "Patient/9#part");
    }

    #[test]
    fn conditional_references_are_replaced_where_they_are_references() {
        let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient?a=1","display":"Patient?a=1"},
          "extension":[{"url":"x","valueUri":"Patient?a=1"}],"performer":[{"reference":"Patient?a=2"}]}"#;
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        let targets = HashMap::from([("Patient?a=1".to_owned(), "Patient/9".to_owned())]);
        let new = resource.edited(replacements(&resource, &targets), &Limits::default()).unwrap();
        assert_eq!(new.text(), text.replacen("Patient?a=1", "Patient/9", 1));
        assert_eq!(conditional("Patient?a=1"), Some(("Patient", "a=1")));
        assert_eq!(conditional("Foo?a=1"), None);
    }

    #[test]
    fn relative_references_are_resolved_against_the_entry() {
        let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient/7"}}"#;
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        let targets = HashMap::from([("http://poc/fhir/Patient/7".to_owned(), "Patient/9".to_owned())]);
        assert_eq!(rewrites(&resource, &targets, "http://poc/fhir/Observation/1").len(), 1);
        assert_eq!(rewrites(&resource, &targets, "urn:uuid:2").len(), 0);
        assert_eq!(all(&resource)[0].path, "Observation.subject.reference");
    }

    #[test]
    fn a_hostile_narrative_costs_no_more_than_its_size() {
        let targets = HashMap::from([("urn:uuid:1".to_owned(), "Patient/9".to_owned())]);
        for piece in ["href=", "href=\"", "src='", "=", "href=\"urn:uuid:2\""] {
            assert_eq!(in_narrative(&piece.repeat(2_000_000 / piece.len()), &targets), None);
        }
        let two = "<a href='urn:uuid:1'/><img src=\"urn:uuid:1\"/>é";
        assert_eq!(in_narrative(two, &targets).unwrap(), "<a href='Patient/9'/><img src=\"Patient/9\"/>é");
    }
}
