//! Parts of resources: `_summary` and `_elements` (FHIR R4 search.html#summary, #elements).
//!
//! What is kept is kept to the byte. The result is marked as incomplete with the tag `SUBSETTED`, so that nobody stores it
//! back as the whole.

use std::borrow::Cow;

use super::{
    definition::types::{Field, Kind as TypeKind, TypeId, Types, r4},
    json::{Kind, Ref, quote},
    resource::Resource,
    search::Summary,
};

const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const SUBSETTED: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED","display":"subsetted"}"#;

/// What is kept of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What R4 marks as summary, inside of elements too, and what must be there.
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
    let Some(ty) = types.resource(resource.type_name()) else { return resource.text().to_owned() };
    let root = resource.root();
    let mut kept = String::new();
    let mut contained = None;
    for (name, value) in root.members() {
        let field = types.field_named(ty, plain(&name)).map(|field| types.field(field));
        match field {
            None => {}
            Some(field) if matches!(&*field.name, "id" | "meta") => {}
            Some(field) if keep.keeps(field) => member(&mut kept, &name, &part(types, field, value, keep)),
            Some(field) if &*field.name == "contained" => contained = Some(value),
            Some(_) => {}
        }
    }
    // A reference to a contained resource does not lose it (invariant ref-1).
    if let Some(contained) = contained.filter(|_| kept.contains("\"#")) {
        member(&mut kept, "contained", contained.raw());
    }
    let mut out = format!("{{\"resourceType\":{}", quote(resource.type_name()));
    if let Some(id) = root.get("id") {
        member(&mut out, "id", id.raw());
    }
    member(&mut out, "meta", &tagged(root.get("meta")));
    if !kept.is_empty() {
        out.push(',');
        out.push_str(&kept);
    }
    out.push('}');
    out
}

/// The name without the `_` of a primitive's sibling.
fn plain(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

fn member(out: &mut String, name: &str, text: &str) {
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(&quote(name));
    out.push(':');
    out.push_str(text);
}

/// A member that is kept: as it is, but for a summary with its own summary only.
fn part<'d>(types: &Types, field: &Field, value: Ref<'d>, keep: &Keep) -> Cow<'d, str> {
    if *keep != Keep::Summary || types.ty(field.ty).kind != TypeKind::Complex {
        return Cow::Borrowed(value.raw());
    }
    match value.kind() {
        Kind::Array => {
            let items: Vec<_> = value.items().map(|item| summary(types, field.ty, item)).collect();
            Cow::Owned(format!("[{}]", items.join(",")))
        }
        _ => summary(types, field.ty, value),
    }
}

/// The summary of an element: an attachment without its data, say. It is as deep as the parser allows.
fn summary<'d>(types: &Types, ty: TypeId, element: Ref<'d>) -> Cow<'d, str> {
    let mut out = "{".to_owned();
    for (name, value) in element.members() {
        let Some(field) = types.field_named(ty, plain(&name)).map(|field| types.field(field)) else { continue };
        if &*field.name == "id" || Keep::Summary.keeps(field) {
            member(&mut out, &name, &part(types, field, value, &Keep::Summary));
        }
    }
    out.push('}');
    // An element has content: where nothing of it is summary, it stays whole.
    if out == "{}" { Cow::Borrowed(element.raw()) } else { Cow::Owned(out) }
}

/// `meta` with the tag, once.
fn tagged(meta: Option<Ref<'_>>) -> String {
    let Some(meta) = meta else { return format!("{{\"tag\":[{SUBSETTED}]}}") };
    let mut out = "{".to_owned();
    let mut has_tags = false;
    for (name, value) in meta.members() {
        if name == "tag" && value.kind() == Kind::Array {
            has_tags = true;
            let mut tags: Vec<&str> = value.items().filter(|tag| !is_subsetted(*tag)).map(Ref::raw).collect();
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

fn is_subsetted(tag: Ref<'_>) -> bool {
    tag.str("code").as_deref() == Some("SUBSETTED") && tag.str("system").as_deref() == Some(OBSERVATION_VALUE)
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

    fn part(text: &str, keep: &Keep) -> String {
        let part = subset(&Resource::parse(text, &Limits::default()).unwrap(), keep);
        part.replace(&format!(",\"meta\":{{\"tag\":[{SUBSETTED}]}}"), "")
    }

    #[test]
    fn a_summary_is_one_inside_of_elements_too() {
        let document = r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"text/plain","data":"aGk=","size":2},"format":{"code":"f"}},{"id":"c","extension":[{"url":"u"}],"attachment":{"data":"aGk="}}],"context":{"period":{"start":"2020"},"related":[{"reference":"Patient/1","extension":[{"url":"u"}]}]}}"#;
        assert_eq!(
            part(document, &Keep::Summary),
            r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"text/plain","size":2},"format":{"code":"f"}},{"id":"c","attachment":{"data":"aGk="}}],"context":{"period":{"start":"2020"}}}"#
        );
        assert_eq!(part(document, &Keep::Data), document);
        let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","text":{"status":"empty","div":"<div/>"},"photo":[{"data":"aGk="}]}}]}"#;
        assert_eq!(part(bundle, &Keep::Summary), bundle);
    }

    #[test]
    fn what_is_contained_stays_with_references_to_it() {
        let text = r##"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"}],"status":"final","code":{"text":"c"},"subject":{"reference":"#p"}}"##;
        let elements = |name: &str| Keep::Elements(vec![name.to_owned()]);
        for (keep, contains) in [
            (Keep::Summary, true),
            (Keep::Data, true),
            (elements("subject"), true),
            (elements("contained"), true),
            (elements("code"), false),
            (Keep::Text, false),
        ] {
            assert_eq!(part(text, &keep).matches(r#""contained""#).count(), usize::from(contains), "{keep:?}");
        }
    }

    #[test]
    fn a_label_of_another_system_is_no_mark() {
        let text = r#"{"resourceType":"Patient","meta":{"tag":[{"system":"urn:own","code":"SUBSETTED"},{"code":"a"}]},"text":{"status":"empty","div":"<div/>"}}"#;
        let told = part(text, &Keep::Data);
        assert!(
            told.contains(&format!(r#"[{{"system":"urn:own","code":"SUBSETTED"}},{{"code":"a"}},{SUBSETTED}]"#)),
            "{told}"
        );
    }
}
