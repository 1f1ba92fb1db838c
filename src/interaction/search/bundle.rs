//! The `searchset` Bundle (FHIR R4 bundle.html#searchset).

use serde_json::{Value, json};

use crate::{
    fhir::{
        json::quote,
        outcome::{Issue, Outcome},
        search::Query,
        subset::{Keep, subset},
    },
    interaction::{Engine, Failure, read::parsed},
    store::resource::Current,
};

/// A Bundle in the making.
pub struct Searchset {
    head: Value,
    entries: Vec<String>,
}

impl Searchset {
    /// An empty one.
    pub fn new(total: Option<i64>, links: &[(&str, String)]) -> Self {
        let mut head = json!({"resourceType": "Bundle", "type": "searchset"});
        if let Some(total) = total {
            head["total"] = json!(total);
        }
        head["link"] = links.iter().map(|(relation, url)| json!({"relation": relation, "url": url})).collect();
        Self { head, entries: Vec::new() }
    }

    /// Adds a resource; its text goes in as it is: numbers keep their digits.
    pub fn entry(&mut self, base: &str, row: &Current, body: &str, mode: &str) {
        let url = quote(&format!("{base}/{}/{}", row.r#type, row.id));
        self.entries.push(format!("{{\"fullUrl\":{url},\"resource\":{body},\"search\":{{\"mode\":\"{mode}\"}}}}"));
    }

    /// Adds what the client should know.
    pub fn outcome(&mut self, issues: Vec<Issue>) {
        if let Some(outcome) = Outcome::of(issues) {
            let outcome = outcome.to_json();
            self.entries.push(format!("{{\"resource\":{outcome},\"search\":{{\"mode\":\"outcome\"}}}}"));
        }
    }

    /// The whole as JSON text.
    pub fn text(self) -> String {
        let mut text = self.head.to_string();
        if !self.entries.is_empty() {
            text.pop();
            text.push_str(",\"entry\":[");
            text.push_str(&self.entries.join(","));
            text.push_str("]}");
        }
        text
    }
}

/// The address of a search at `url` with these parameters.
pub fn link(url: &str, used: &[(String, String)]) -> String {
    if used.is_empty() {
        return url.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(used).finish();
    format!("{url}?{query}")
}

/// What `_summary` and `_elements` leave of a match, and `_summary` of what is included: `_elements` are those of what was
/// searched (search.html#elements).
pub fn kept(engine: &Engine, query: &Query, body: String, is_match: bool) -> Result<String, Failure> {
    let elements = if is_match { query.elements.as_slice() } else { &[] };
    match Keep::asked(query.summary, elements) {
        Some(keep) => Ok(subset(&parsed(engine, &body)?, &keep)),
        None => Ok(body),
    }
}
