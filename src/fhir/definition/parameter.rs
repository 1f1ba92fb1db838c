//! One SearchParameter (FHIR R4 searchparameter.html), without prose and XPath.

use serde::{Deserialize, Serialize};

use super::structure::{flag, list, strings, text};
use crate::fhir::json::Ref;

/// `SearchParameter.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl Kind {
    /// The code of search-param-type.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::String,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "composite" => Self::Composite,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            "special" => Self::Special,
            _ => return None,
        })
    }
}

/// A SearchParameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchParameter {
    /// The canonical URL.
    pub url: String,
    pub version: Option<String>,
    pub name: String,
    /// What stands in a query: `birthdate`.
    pub code: String,
    /// The resource types it searches: `Patient`; `Resource` and `DomainResource` for all.
    pub base: Vec<String>,
    pub kind: Kind,
    /// FHIRPath, with the resource's type in front. R4's special parameters have none.
    pub expression: Option<String>,
    /// For references: the types they may lead to.
    pub targets: Vec<String>,
    /// `eq`, `ge`, …; empty: unsaid.
    pub comparators: Vec<String>,
    /// `exact`, `missing`, …; empty: unsaid.
    pub modifiers: Vec<String>,
    /// Whether several values may be given with commas; absent: unsaid.
    pub multiple_or: Option<bool>,
    /// Whether the parameter may be repeated; absent: unsaid.
    pub multiple_and: Option<bool>,
    /// The parameters that may follow it in a chain; empty: unsaid.
    pub chains: Vec<String>,
    /// For composites.
    pub components: Vec<Component>,
}

/// `SearchParameter.component`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The canonical URL of the parameter that this part is searched by.
    pub definition: String,
    /// FHIRPath from what the composite's own expression finds.
    pub expression: String,
}

impl SearchParameter {
    /// Reads a SearchParameter resource. The error says what is missing or wrong.
    pub fn read(resource: Ref<'_>) -> Result<Self, String> {
        let required = |name: &str| text(resource, name).ok_or_else(|| format!("expected the string {name}"));
        let kind = required("type")?;
        let base = strings(resource, "base");
        if base.is_empty() {
            return Err("expected at least one base".to_owned());
        }
        let maybe = |name: &str| resource.get(name).map(|_| flag(resource, name));
        let component = |one| {
            let part = |name: &str| text(one, name).ok_or_else(|| format!("a component has no {name}"));
            Ok::<_, String>(Component { definition: part("definition")?, expression: part("expression")? })
        };
        Ok(Self {
            url: required("url")?,
            version: text(resource, "version"),
            name: text(resource, "name").unwrap_or_default(),
            code: required("code")?,
            base,
            kind: Kind::named(&kind).ok_or_else(|| format!("type '{kind}' is not one of R4's SearchParamType"))?,
            expression: text(resource, "expression"),
            targets: strings(resource, "target"),
            comparators: strings(resource, "comparator"),
            modifiers: strings(resource, "modifier"),
            multiple_or: maybe("multipleOr"),
            multiple_and: maybe("multipleAnd"),
            chains: strings(resource, "chain"),
            components: list(Some(resource), "component").into_iter().map(component).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Doc, Limits};

    fn read(json: &str) -> Result<SearchParameter, String> {
        SearchParameter::read(Doc::parse(json, &Limits::default()).unwrap().root())
    }

    #[test]
    fn a_composite_keeps_its_parts() {
        let found = read(
            r#"{"url":"http://x/p","code":"code-value","base":["Observation"],"type":"composite","expression":"Observation",
                "multipleOr":false,"component":[{"definition":"http://x/code","expression":"code"}]}"#,
        )
        .unwrap();
        assert_eq!(found.kind, Kind::Composite);
        assert_eq!((found.multiple_or, found.multiple_and), (Some(false), None));
        assert_eq!(found.components[0].definition, "http://x/code");
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        let no_base = r#"{"url":"http://x/p","code":"a","type":"token"}"#;
        assert_eq!(read(no_base).unwrap_err(), "expected at least one base");
        let odd = r#"{"url":"http://x/p","code":"a","type":"odd","base":["Patient"]}"#;
        assert!(read(odd).unwrap_err().contains("'odd'"));
    }
}
