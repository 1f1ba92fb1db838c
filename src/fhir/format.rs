//! The two formats of FHIR and their names (R4 http.html#mime-type).

use mediatype::{MediaType, Name, ReadParams};

/// How a resource is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
}

impl Format {
    /// The media type of what this server sends.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/fhir+json; charset=utf-8",
            Self::Xml => "application/fhir+xml; charset=utf-8",
        }
    }

    /// The format that a media type without parameters names: FHIR's own, generic, or of earlier versions.
    pub fn named(essence: &str) -> Option<Self> {
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/fhir+json" | "application/json" | "text/json" | "application/json+fhir" => Some(Self::Json),
            "application/fhir+xml" | "application/xml" | "text/xml" | "application/xml+fhir" => Some(Self::Xml),
            _ => None,
        }
    }

    /// The format of a `Content-Type`: R4 in UTF-8, or nothing this server reads.
    pub fn of_content_type(text: &str) -> Option<Self> {
        let media_type = MediaType::parse(text.trim()).ok()?;
        Self::named(&media_type.essence().to_string()).filter(|_| in_utf8(&media_type) && is_r4(&media_type))
    }

    /// The format that `_format` asks for: `json`, `xml` or a media type.
    pub fn of_parameter(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "xml" => Some(Self::Xml),
            // In a query '+' stands for a space: application/fhir+json is often sent unescaped.
            _ => {
                let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
                Self::of_content_type(&format!("{}{parameters}", essence.trim().replace(' ', "+")))
            }
        }
    }
}

/// Whether a media type is that of a JSON Patch (RFC 6902), in UTF-8.
pub fn is_json_patch(text: &str) -> bool {
    MediaType::parse(text.trim()).is_ok_and(|media_type| {
        media_type.essence().to_string().eq_ignore_ascii_case(JSON_PATCH) && in_utf8(&media_type)
    })
}

/// The media type of a JSON Patch.
pub const JSON_PATCH: &str = "application/json-patch+json";

/// Whether a media type's `fhirVersion`, if there is one, is R4's.
pub fn is_r4(media_type: &MediaType<'_>) -> bool {
    let versions = media_type.params().filter(|(name, _)| name.as_str().eq_ignore_ascii_case("fhirVersion"));
    versions.into_iter().all(|(_, version)| matches!(&*version.unquoted_str(), "4.0" | "4.0.1"))
}

/// Whether a media type names no other charset than UTF-8.
fn in_utf8(media_type: &MediaType<'_>) -> bool {
    let charset = media_type.get_param(Name::new_unchecked("charset"));
    charset.is_none_or(|charset| {
        ["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(&charset.unquoted_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_patch_is_in_utf8() {
        for (text, is) in [
            ("application/json-patch+json", true),
            ("Application/JSON-Patch+JSON; charset=\"UTF-8\"", true),
            ("application/json-patch+json; charset=utf-16", false),
            ("application/json-patch+json;charset=iso-8859-1", false),
            ("application/json", false),
            ("application/json-patch+json, text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json_patch(text), is, "{text}");
        }
    }

    #[test]
    fn all_names_in_use_are_known() {
        for (text, format) in [
            ("application/fhir+json", Some(Format::Json)),
            ("Application/JSON;charset=UTF-8", Some(Format::Json)),
            ("text/json", Some(Format::Json)),
            ("application/json+fhir", Some(Format::Json)),
            ("application/fhir+xml; charset=\"utf-8\"; fhirVersion=4.0", Some(Format::Xml)),
            ("text/xml", Some(Format::Xml)),
            ("application/xml", Some(Format::Xml)),
            ("application/xml+fhir", Some(Format::Xml)),
            ("application/fhir+json; fhirVersion=\"4.0.1\"", Some(Format::Json)),
            ("application/fhir+json; FHIRVersion=4.3", None),
            ("application/fhir+json; fhirVersion=5.0", None),
            ("application/fhir+xml; charset=iso-8859-1", None),
            ("application/fhir+xml, application/fhir+json", None),
            ("application/fhir", None),
            ("xml", None),
            ("text/turtle", None),
            ("", None),
        ] {
            assert_eq!(Format::of_content_type(text), format, "{text}");
        }
        for (text, format) in [
            ("json", Some(Format::Json)),
            ("xml", Some(Format::Xml)),
            ("application/fhir+xml", Some(Format::Xml)),
            ("application/fhir xml", Some(Format::Xml)),
            ("application/xml fhir", Some(Format::Xml)),
            ("application/fhir json; fhirVersion=4.0", Some(Format::Json)),
            ("ttl", None),
            ("html", None),
            ("", None),
        ] {
            assert_eq!(Format::of_parameter(text), format, "{text}");
        }
    }
}
