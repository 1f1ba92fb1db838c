//! Parts of resources: `_summary` and `_elements` (FHIR R4 search.html#summary, #elements).
//!
//! What is kept is kept to the byte. The result is marked as incomplete with the tag `SUBSETTED`, so that nobody stores it
//! back as the whole.

use super::{
    definition::types::{Field, TypeId, Types, r4},
    json::{Kind, Ref, quote},
    resource::Resource,
    search::Summary,
};

const SUBSETTED: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED","display":"subsetted"}"#;

/// What is kept of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What R4 marks as summary, in backbone elements too.
    Summary,
    /// The narrative and what must be there.
    Text,
    /// Everything but the narrative.
    Data,
    /// These elements (`value` for any `value[x]`), and what must be there or changes the meaning of the rest.
    Elements(Vec<String>),
}

impl Keep {
    /// What `_summary` and `_elements` ask for; `None`: the whole.
    pub fn asked(summary: Option<Summary>, elements: &[String]) -> Option<Self> {
        if !elements.is_empty() {
            return Some(Self::Elements(elements.to_vec()));
        }
        match summary? {
            Summary::True => Some(Self::Summary),
            Summary::Text => Some(Self::Text),
            Summary::Data => Some(Self::Data),
            Summary::Count | Summary::False => None,
        }
    }

    fn keeps(&self, field: &Field) -> bool {
        let must = field.min > 0;
        match self {
            Self::Summary => must || field.is_summary,
            Self::Text => must || &*field.name == "text",
            Self::Data => &*field.name != "text",
            Self::Elements(names) => {
                // An element of an element stands for the whole: R4 speaks of the resource's own.
                let named = |name: &String| {
                    let own = name.split('.').next().unwrap_or_default();
                    own == &*field.element || own == &*field.name
                };
                must || field.is_modifier || names.iter().any(named)
            }
        }
    }
}

/// The JSON text of what is kept of `resource`.
pub fn subset(resource: &Resource, keep: &Keep) -> String {
    let types = r4();
    let mut out = format!("{{\"resourceType\":{}", quote(resource.type_name()));
    let Some(ty) = types.resource(resource.type_name()) else { return resource.text().to_owned() };
    let root = resource.root();
    if let Some(id) = root.get("id") {
        member(&mut out, "id", id.raw());
    }
    member(&mut out, "meta", &tagged(root.get("meta")));
    members(&mut out, types, ty, root, keep, true);
    out.push('}');
    out
}

fn member(out: &mut String, name: &str, text: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(&quote(name));
    out.push(':');
    out.push_str(text);
}

/// Appends the members of an object that are kept. It is as deep as the parser allows.
fn members(out: &mut String, types: &Types, ty: TypeId, object: Ref<'_>, keep: &Keep, is_root: bool) {
    for (name, value) in object.members() {
        if is_root && matches!(&*name, "resourceType" | "id" | "meta") {
            continue;
        }
        let Some(field) = types.field_named(ty, name.strip_prefix('_').unwrap_or(&name)) else { continue };
        let field = types.field(field);
        if !keep.keeps(field) {
            continue;
        }
        let is_backbone = types.ty(field.ty).name.contains('.');
        if *keep == Keep::Summary && is_backbone {
            member(out, &name, &backbone(types, field.ty, value, keep));
        } else {
            member(out, &name, value.raw());
        }
    }
}

fn backbone(types: &Types, ty: TypeId, value: Ref<'_>, keep: &Keep) -> String {
    let one = |object: Ref<'_>| {
        let mut out = "{".to_owned();
        if let Some(id) = object.get("id") {
            member(&mut out, "id", id.raw());
        }
        for (name, value) in object.members().filter(|(name, _)| name == "modifierExtension") {
            member(&mut out, &name, value.raw());
        }
        members(&mut out, types, ty, object, keep, false);
        out.push('}');
        // An element has content: where nothing of it is summary, it stays whole.
        if out == "{}" { object.raw().to_owned() } else { out }
    };
    if value.kind() == Kind::Array {
        format!("[{}]", value.items().map(one).collect::<Vec<_>>().join(","))
    } else {
        one(value)
    }
}

/// `meta` with the tag, once.
fn tagged(meta: Option<Ref<'_>>) -> String {
    let Some(meta) = meta else { return format!("{{\"tag\":[{SUBSETTED}]}}") };
    let mut out = "{".to_owned();
    let mut has_tags = false;
    for (name, value) in meta.members() {
        if name == "tag" && value.kind() == Kind::Array {
            has_tags = true;
            let mut tags: Vec<&str> =
                value.items().filter(|tag| tag.str("code").as_deref() != Some("SUBSETTED")).map(Ref::raw).collect();
            tags.push(SUBSETTED);
            member(&mut out, "tag", &format!("[{}]", tags.join(",")));
        } else {
            member(&mut out, &name, value.raw());
        }
    }
    if !has_tags {
        member(&mut out, "tag", &format!("[{SUBSETTED}]"));
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Doc, Limits};

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"text":{"status":"generated","div":"<div/>"},
        "name":[{"family":"A"}],"birthDate":"1970","_birthDate":{"id":"b"},"photo":[{"url":"u"}],"multipleBirthInteger":2,
        "contact":[{"gender":"male"}],"link":[{"other":{"reference":"Patient/q"},"type":"seealso"}]}"#;

    fn names(text: &str, keep: &Keep) -> Vec<String> {
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        let part = subset(&resource, keep);
        let doc = Doc::parse(&part, &Limits::default()).unwrap();
        assert_eq!(doc.root().get("meta").unwrap().get("tag").unwrap().items().count(), 1, "{part}");
        // What is a part already stays one.
        let again = subset(&Resource::parse(&part, &Limits::default()).unwrap(), keep);
        assert_eq!(again, part);
        doc.root().members().map(|(name, _)| name.into_owned()).collect()
    }

    #[test]
    fn each_part_has_its_elements() {
        let always = ["resourceType", "id", "meta"];
        for (keep, rest) in [
            (Keep::Summary, &["name", "birthDate", "_birthDate", "link"][..]),
            (Keep::Text, &["text"]),
            (Keep::Data, &["name", "birthDate", "_birthDate", "photo", "multipleBirthInteger", "contact", "link"]),
            // A link changes the meaning of the record.
            (
                Keep::Elements(vec!["multipleBirth".into(), "photo.url".into()]),
                &["photo", "multipleBirthInteger", "link"],
            ),
            (Keep::Elements(vec!["birthDate".into()]), &["birthDate", "_birthDate", "link"]),
        ] {
            assert_eq!(names(PATIENT, &keep), [&always[..], rest].concat(), "{keep:?}");
        }
    }

    #[test]
    fn what_must_be_there_stays_and_numbers_keep_their_digits() {
        let text = r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.50},"note":[{"text":"n"}]}"#;
        assert_eq!(names(text, &Keep::Text), ["resourceType", "meta", "status", "code"]);
        let resource = Resource::parse(text, &Limits::default()).unwrap();
        assert!(subset(&resource, &Keep::Summary).contains("1.50"));
        assert_eq!(Keep::asked(Some(Summary::False), &[]), None);
    }
}
