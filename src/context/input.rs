//! The shape of a `$set-context` request: `Parameters`, then the transaction Bundle. Every fault of a stage is
//! reported, each with its FHIRPath from the request's root; a misspelt parameter is refused, because a silently dropped
//! `patient` is a patient-safety fault.

use std::collections::{BTreeMap, HashSet};

use url::Url;

use crate::{
    fhir::{
        json::{Kind, Limits, Ref},
        outcome::{Issue, IssueType, Outcome},
        resource::Resource,
    },
    interaction::{
        Failure,
        condition::{self, Condition},
    },
};

/// A literal reference and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    pub reference: String,
    /// FHIRPath of the parameter.
    pub at: String,
}

/// One entry of the transaction Bundle.
#[derive(Clone, Debug)]
pub struct Entry {
    pub full_url: String,
    pub resource: Resource,
    pub condition: Option<Condition>,
    /// Its conditional references, by their text.
    pub lookups: BTreeMap<String, Condition>,
    /// FHIRPath of the entry.
    pub at: String,
}

/// A well-formed request.
#[derive(Clone, Debug, Default)]
pub struct Input {
    pub app_id: Option<Pointer>,
    pub patient: Option<Pointer>,
    pub encounter: Option<Pointer>,
    pub fhir_context: Vec<Pointer>,
    pub fhir_user: Option<Pointer>,
    pub need_patient_banner: Option<bool>,
    pub intent: Option<String>,
    pub smart_style_url: Option<String>,
    pub tenant: Option<String>,
    /// `None` when `resources` was not sent.
    pub entries: Option<Vec<Entry>>,
    /// What the validator warned of.
    pub advice: Vec<Issue>,
}

impl Input {
    /// Reads the request. `max_entries` bounds the Bundle (413); `parse` reads its conditions.
    pub fn read(
        request: &Resource,
        limits: &Limits,
        max_entries: usize,
        parse: &condition::Parse<'_>,
    ) -> Result<Self, Failure> {
        if request.type_name() != "Parameters" {
            let text = format!("$set-context takes a Parameters resource, not a {}", request.type_name());
            return Err(Failure::BadRequest(Outcome::error(IssueType::Structure, text).at(request.type_name())));
        }
        let mut reader = Reader { input: Self::default(), issues: Vec::new(), seen: HashSet::new(), bundle: None };
        reader.parameters(request.root());
        reader.require_something();
        let Reader { mut input, issues, bundle, .. } = reader;
        if let Some(outcome) = Outcome::of(issues) {
            return Err(Failure::BadRequest(outcome));
        }
        if let Some((bundle, at)) = bundle {
            input.entries = Some(read_bundle(bundle, &at, limits, max_entries, parse)?);
        }
        Ok(input)
    }
}

struct Reader<'d> {
    input: Input,
    issues: Vec<Issue>,
    seen: HashSet<String>,
    bundle: Option<(Ref<'d>, String)>,
}

impl<'d> Reader<'d> {
    fn fault(&mut self, code: IssueType, text: impl Into<String>, at: &str) {
        self.issues.push(Issue::error(code, text).at(at));
    }

    fn parameters(&mut self, root: Ref<'d>) {
        for (name, _) in root.members() {
            if !matches!(name.as_ref(), "resourceType" | "id" | "meta" | "implicitRules" | "language" | "parameter") {
                self.fault(IssueType::Structure, "not an element of Parameters", &format!("Parameters.{name}"));
            }
        }
        match root.get("parameter") {
            Some(list) if list.kind() == Kind::Array => {
                for (index, parameter) in list.items().enumerate() {
                    self.parameter(parameter, &format!("Parameters.parameter[{index}]"));
                }
            }
            Some(_) => self.fault(IssueType::Structure, "expected an array", "Parameters.parameter"),
            None => {}
        }
    }

    fn parameter(&mut self, parameter: Ref<'d>, at: &str) {
        let Some(name) = parameter.str("name") else {
            return self.fault(IssueType::Required, "expected an object with a name", at);
        };
        let values: Vec<_> = parameter
            .members()
            .filter(|(key, _)| !matches!(key.as_ref(), "name" | "id" | "extension") && !key.starts_with('_'))
            .collect();
        let [(key, value)] = values.as_slice() else {
            return self.fault(IssueType::Structure, format!("'{name}' needs exactly one value"), at);
        };
        if name != "fhirContext" && !self.seen.insert(name.clone().into_owned()) {
            return self.fault(IssueType::Duplicate, format!("'{name}' may be given once"), at);
        }
        let expected: &[&str] = match name.as_ref() {
            "appID" | "intent" | "tenant" => &["valueString"],
            "patient" | "encounter" | "fhirContext" | "fhirUser" => &["valueReference"],
            "need_patient_banner" => &["valueBoolean"],
            "smart_style_url" => &["valueUrl", "valueUri", "valueString"],
            "resources" => &["resource"],
            _ => {
                let text = format!("$set-context has no parameter '{name}' (names are case-sensitive)");
                return self.fault(IssueType::NotSupported, text, &format!("{at}.name"));
            }
        };
        if !expected.contains(&key.as_ref()) {
            let text = format!("'{name}' is given as {}, not as {key}", expected.join(" or "));
            return self.fault(IssueType::Structure, text, at);
        }
        self.value(&name, *value, &format!("{at}.{}", if name == "resources" { "resource" } else { "value" }));
    }

    fn value(&mut self, name: &str, value: Ref<'d>, at: &str) {
        match name {
            "resources" => {
                if value.str("resourceType").as_deref() == Some("Bundle") {
                    self.bundle = Some((value, at.to_owned()));
                } else {
                    self.fault(IssueType::Structure, "'resources' is a Bundle", at);
                }
            }
            "need_patient_banner" => match value.as_bool() {
                Some(flag) => self.input.need_patient_banner = Some(flag),
                None => self.fault(IssueType::Value, "expected true or false", at),
            },
            "patient" | "encounter" | "fhirContext" | "fhirUser" => match value.str("reference") {
                Some(reference) if !reference.trim().is_empty() => {
                    let pointer = Pointer { reference: reference.into_owned(), at: at.to_owned() };
                    match name {
                        "patient" => self.input.patient = Some(pointer),
                        "encounter" => self.input.encounter = Some(pointer),
                        "fhirUser" => self.input.fhir_user = Some(pointer),
                        _ => self.input.fhir_context.push(pointer),
                    }
                }
                _ => {
                    let text = format!("'{name}' needs a literal reference, in valueReference.reference");
                    self.fault(IssueType::Required, text, &format!("{at}.reference"));
                }
            },
            _ => match value.as_str() {
                Some(text) if !text.trim().is_empty() => self.text(name, text.into_owned(), at),
                _ => self.fault(IssueType::Value, "expected a string that is not empty", at),
            },
        }
    }

    fn text(&mut self, name: &str, text: String, at: &str) {
        match name {
            "appID" => self.input.app_id = Some(Pointer { reference: text, at: at.to_owned() }),
            "intent" => self.input.intent = Some(text),
            "tenant" => self.input.tenant = Some(text),
            _ if Url::parse(&text).is_ok_and(|url| url.scheme() == "https" && url.has_host()) => {
                self.input.smart_style_url = Some(text);
            }
            _ => self.fault(IssueType::Value, "expected an absolute https URL", at),
        }
    }

    fn require_something(&mut self) {
        let input = &self.input;
        let any_reference = input.patient.is_some()
            || input.encounter.is_some()
            || input.fhir_user.is_some()
            || !input.fhir_context.is_empty();
        if self.issues.is_empty() && !any_reference && self.bundle.is_none() {
            let text = "expected at least one of patient, encounter, fhirContext, fhirUser and resources";
            self.fault(IssueType::Required, text, "Parameters");
        }
    }
}

fn read_bundle(
    bundle: Ref<'_>,
    at: &str,
    limits: &Limits,
    max_entries: usize,
    parse: &condition::Parse<'_>,
) -> Result<Vec<Entry>, Failure> {
    let mut issues = Vec::new();
    if bundle.str("type").as_deref() != Some("transaction") {
        issues.push(Issue::error(IssueType::Value, "the Bundle's type is transaction").at(format!("{at}.type")));
    }
    let list: Vec<_> = bundle.get("entry").into_iter().flat_map(Ref::items).collect();
    if bundle.get("entry").is_some_and(|entry| entry.kind() != Kind::Array) {
        issues.push(Issue::error(IssueType::Structure, "expected an array").at(format!("{at}.entry")));
    }
    if list.len() > max_entries {
        let text = format!("the Bundle has {} entries, at most {max_entries} are taken", list.len());
        return Err(Failure::TooLarge(Outcome::error(IssueType::TooCostly, text).at(format!("{at}.entry"))));
    }
    let mut seen = HashSet::new();
    let mut entries = Vec::with_capacity(list.len());
    for (index, entry) in list.into_iter().enumerate() {
        let at = format!("{at}.entry[{index}]");
        let before = issues.len();
        let read = read_entry(entry, &at, (limits, parse), &mut seen, &mut issues);
        if let (Some(read), true) = (read, issues.len() == before) {
            entries.push(read);
        }
    }
    Outcome::of(issues).map_or(Ok(entries), |outcome| Err(Failure::BadRequest(outcome)))
}

fn read_entry(
    entry: Ref<'_>,
    at: &str,
    (limits, parse): (&Limits, &condition::Parse<'_>),
    seen: &mut HashSet<String>,
    issues: &mut Vec<Issue>,
) -> Option<Entry> {
    let mut fault = |code, text: String, place: &str| issues.push(Issue::error(code, text).at(format!("{at}.{place}")));
    let full_url = entry.str("fullUrl").unwrap_or_default().into_owned();
    if full_url.is_empty() {
        fault(IssueType::Required, "every entry has a fullUrl".into(), "fullUrl");
    } else if !is_full_url(&full_url) {
        fault(IssueType::Value, "expected urn:uuid:…, urn:oid:… or an absolute URL".into(), "fullUrl");
    } else if !seen.insert(full_url.clone()) {
        fault(IssueType::Duplicate, format!("the fullUrl {full_url} stands twice"), "fullUrl");
    }
    let request = entry.get("request");
    let method = request.and_then(|request| request.str("method"));
    if method.as_deref() != Some("POST") {
        fault(IssueType::Value, "the method of every entry is POST".into(), "request.method");
    }
    let resource = match entry.get("resource").map(|value| Resource::parse(value.raw(), limits)) {
        None => {
            fault(IssueType::Required, "every entry has a resource".into(), "resource");
            return None;
        }
        Some(Err(issue)) => {
            let place = issue.expression.as_deref().map_or_else(
                || "resource".into(),
                |path| format!("resource.{}", path.split_once('.').map_or(path, |(_, rest)| rest)),
            );
            fault(issue.code, issue.text, &place);
            return None;
        }
        Some(Ok(resource)) => resource,
    };
    let url = request.and_then(|request| request.str("url")).unwrap_or_default();
    if url != resource.type_name() {
        let text = format!("the url of this entry is the type of its resource, {}", resource.type_name());
        fault(IssueType::Value, text, "request.url");
    }
    let condition = match request.and_then(|request| request.str("ifNoneExist")) {
        None => None,
        Some(query) => match parse(resource.type_name(), &query) {
            Ok(condition) => Some(condition),
            Err(failure) => {
                fault(IssueType::Value, failure.outcome().summary(), "request.ifNoneExist");
                return None;
            }
        },
    };
    let lookups = match condition::references(&resource, parse) {
        Ok(lookups) => lookups,
        Err(failure) => {
            fault(IssueType::Value, failure.outcome().summary(), "resource");
            return None;
        }
    };
    Some(Entry { full_url, resource, condition, lookups, at: at.to_owned() })
}

fn is_full_url(text: &str) -> bool {
    match text.split_once(':') {
        Some(("urn", rest)) => {
            // What follows is the sender's; it only has to name the entry within this Bundle.
            let name = rest.strip_prefix("uuid:").or_else(|| rest.strip_prefix("oid:"));
            name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        }
        Some(("http" | "https", _)) => Url::parse(text).is_ok_and(|url| url.has_host()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Input, Failure> {
        let request = Resource::parse(text, &Limits::default()).unwrap();
        Input::read(&request, &Limits::default(), 10, &|_, _| Err(Failure::NotFound))
    }

    fn faults(text: &str) -> Vec<String> {
        let Err(Failure::BadRequest(outcome)) = read(text) else { panic!("accepted {text}") };
        outcome.issues().map(|issue| issue.expression.clone().unwrap()).collect()
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let text = r#"{"resourceType":"Parameters","parameter":[
          {"name":"Patient","valueReference":{"reference":"Patient/1"}},
          {"name":"intent","valueString":"a"},{"name":"intent","valueString":"b"},
          {"name":"patient","valueString":"x"},
          {"name":"smart_style_url","valueUrl":"http://a"},
          {"name":"encounter","valueReference":{"display":"x"}},
          {"valueString":"x"},
          {"name":"appID"}]}"#;
        assert_eq!(
            faults(text),
            [
                "Parameters.parameter[0].name",
                "Parameters.parameter[2]",
                "Parameters.parameter[3]",
                "Parameters.parameter[4].value",
                "Parameters.parameter[5].value.reference",
                "Parameters.parameter[6]",
                "Parameters.parameter[7]",
            ]
        );
    }

    #[test]
    fn a_request_without_reference_or_resources_is_refused() {
        assert_eq!(faults(r#"{"resourceType":"Parameters"}"#), ["Parameters"]);
        assert_eq!(
            faults(r#"{"resourceType":"Parameters","parameter":[{"name":"intent","valueString":"x"}]}"#),
            ["Parameters"]
        );
    }

    #[test]
    fn the_bundle_has_one_shape() {
        let bundle = |inner: &str| {
            format!(r#"{{"resourceType":"Parameters","parameter":[{{"name":"resources","resource":{inner}}}]}}"#)
        };
        let place = "Parameters.parameter[0].resource";
        let bad = bundle(
            r#"{"resourceType":"Bundle","type":"batch","entry":[
             {"resource":{"resourceType":"Patient"},"request":{"method":"PUT","url":"Patient/1"}},
             {"fullUrl":"urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e5f","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
             {"fullUrl":"urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e5f","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
             {"fullUrl":"Patient/1","resource":{"resourceType":"Foo"},"request":{"method":"POST","url":"Foo"}}]}"#,
        );
        let expected = [
            ".type",
            ".entry[0].fullUrl",
            ".entry[0].request.method",
            ".entry[0].request.url",
            ".entry[2].fullUrl",
            ".entry[3].fullUrl",
            ".entry[3].resource.resourceType",
        ];
        assert_eq!(faults(&bad), expected.map(|end| format!("{place}{end}")));
        assert!(read(&bundle(r#"{"resourceType":"Bundle","type":"transaction"}"#)).is_ok());
    }
}
