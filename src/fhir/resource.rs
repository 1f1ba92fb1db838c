//! A resource: one parsed document known to carry an R4 `resourceType`.

use time::OffsetDateTime;

use super::{
    instant,
    json::{Doc, Edit, Kind, Limits, Ref, quote},
    outcome::{Issue, IssueType},
    types,
};

/// A parsed resource. Its source text is kept: what is stored and answered is that text with `id` and `meta` set.
#[derive(Clone, Debug)]
pub struct Resource {
    doc: Doc,
    type_name: String,
}

impl Resource {
    /// Parses a JSON resource. The issue says what was expected and where (status 400).
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, Issue> {
        let doc = Doc::parse(text, limits).map_err(|error| Issue::error(IssueType::Structure, error.to_string()))?;
        let root = doc.root();
        if root.kind() != Kind::Object {
            return Err(Issue::error(IssueType::Structure, "expected a JSON object with a resourceType"));
        }
        let type_name = root
            .str("resourceType")
            .ok_or_else(|| Issue::error(IssueType::Structure, "expected the string member resourceType"))?
            .into_owned();
        if !types::is_resource(&type_name) {
            let text = format!("resourceType '{type_name}' is not a resource type of FHIR R4");
            return Err(Issue::error(IssueType::Structure, text).at("resourceType"));
        }
        for name in ["id", "meta"] {
            let expected = if name == "id" { Kind::String } else { Kind::Object };
            if root.get(name).is_some_and(|value| value.kind() != expected) {
                let text = format!("expected {name} to be a JSON {expected:?}").to_lowercase();
                return Err(Issue::error(IssueType::Structure, text).at(format!("{type_name}.{name}")));
            }
        }
        Ok(Self { doc, type_name })
    }

    /// The `resourceType`.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The root object.
    pub fn root(&self) -> Ref<'_> {
        self.doc.root()
    }

    /// The document, for edits.
    pub const fn doc(&self) -> &Doc {
        &self.doc
    }

    /// The source text.
    pub fn text(&self) -> &str {
        self.doc.text()
    }

    /// The `id` the document itself carries.
    pub fn id(&self) -> Option<String> {
        self.root().str("id").map(std::borrow::Cow::into_owned)
    }

    /// The document with the server's `id`, `meta.versionId` and `meta.lastUpdated`; the rest of `meta` is kept, every
    /// other member is copied byte for byte.
    pub fn stamped(&self, id: &str, version: i64, updated: OffsetDateTime) -> String {
        let root = self.root();
        let mut out = String::with_capacity(self.text().len() + 128);
        out.push_str(&format!("{{\"resourceType\":{},\"id\":{}", quote(&self.type_name), quote(id)));
        let updated = instant::format(updated);
        out.push_str(&format!(",\"meta\":{{\"versionId\":\"{version}\",\"lastUpdated\":\"{updated}\""));
        if let Some(meta) = root.get("meta") {
            let kept = meta.members().filter(|(name, _)| {
                !matches!(name.as_ref(), "versionId" | "lastUpdated" | "_versionId" | "_lastUpdated")
            });
            push_members(&mut out, kept);
        }
        out.push('}');
        push_members(
            &mut out,
            root.members().filter(|(name, _)| !matches!(name.as_ref(), "resourceType" | "id" | "meta")),
        );
        out.push('}');
        out
    }

    /// The same resource with spans of its source replaced.
    pub fn edited(&self, edits: Vec<Edit>, limits: &Limits) -> Result<Self, Issue> {
        if edits.is_empty() { Ok(self.clone()) } else { Self::parse(&self.doc.edited(edits), limits) }
    }

    /// The source with root members set to JSON texts, or removed (`None`); every other byte of a member stays.
    pub fn with_members(&self, set: &[(&str, Option<String>)]) -> String {
        let mut out = format!("{{\"resourceType\":{}", quote(&self.type_name));
        let kept = self
            .root()
            .members()
            .filter(|(name, _)| name != "resourceType" && !set.iter().any(|(changed, _)| changed == name));
        push_members(&mut out, kept);
        for (name, value) in set {
            if let Some(value) = value {
                out.push_str(&format!(",{}:{value}", quote(name)));
            }
        }
        out.push('}');
        out
    }

    /// The values of `identifier`, as (system, value); an absent system is the empty string.
    pub fn identifiers(&self) -> Vec<(String, String)> {
        let found = self.root().at("identifier");
        found
            .into_iter()
            .filter_map(|one| {
                let value = one.str("value")?.into_owned();
                Some((one.str("system").unwrap_or_default().into_owned(), value))
            })
            .collect()
    }
}

fn push_members<'d>(out: &mut String, members: impl Iterator<Item = (std::borrow::Cow<'d, str>, Ref<'d>)>) {
    for (name, value) in members {
        out.push(',');
        out.push_str(&quote(&name));
        out.push(':');
        out.push_str(value.raw());
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn stamping_keeps_every_other_byte() {
        let text = r#"{ "resourceType":"Observation","id":"x","meta":{"versionId":"9","profile":["p"]},"valueQuantity":{"value":1.50,"n":12345678901234567890} }"#;
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        assert_eq!(
            resource.stamped("a", 2, datetime!(2026-01-02 03:04:05 UTC)),
            r#"{"resourceType":"Observation","id":"a","meta":{"versionId":"2","lastUpdated":"2026-01-02T03:04:05.000Z","profile":["p"]},"valueQuantity":{"value":1.50,"n":12345678901234567890}}"#
        );
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"resourceType":1}"#,
            r#"{"resourceType":"Foo"}"#,
            r#"{"resourceType":"Patient","id":1}"#,
            r#"{"resourceType":"Patient","meta":[]}"#,
        ] {
            assert!(Resource::parse(text, &Limits::default()).is_err(), "{text}");
        }
    }
}
