//! The Bundle of a history.

use serde_json::json;

use super::listing::Listing;
use crate::{
    fhir::{instant, json::quote},
    interaction::Failure,
    store::history::Version,
};

/// The Bundle as JSON text.
pub fn text(base: &str, links: &[(&str, String)], listing: &Listing) -> Result<String, Failure> {
    let links: Vec<_> = links.iter().map(|(relation, url)| json!({"relation": relation, "url": url})).collect();
    let mut head = json!({"resourceType": "Bundle", "type": "history", "timestamp": instant::format(listing.until)});
    if let Some(total) = listing.total {
        head["total"] = json!(total);
    }
    head["link"] = json!(links);
    let mut text = head.to_string();
    if !listing.versions.is_empty() {
        let entries: Vec<_> = listing.versions.iter().map(|version| entry(base, version)).collect();
        text.truncate(text.len() - 1);
        text.push_str(&format!(",\"entry\":[{}]}}", entries.join(",")));
    }
    Ok(text)
}

/// The stored text goes in as it is: its numbers keep their digits.
fn entry(base: &str, version: &Version) -> String {
    let (kind, id) = (&version.r#type, &version.id);
    let (url, status) = match version.method.as_str() {
        "POST" => (kind.clone(), "201 Created"),
        "DELETE" => (format!("{kind}/{id}"), "204 No Content"),
        _ => (format!("{kind}/{id}"), if version.version == 1 { "201 Created" } else { "200 OK" }),
    };
    let request = json!({"method": version.method, "url": url});
    let response = json!({
        "status": status,
        "etag": format!("W/\"{}\"", version.version),
        "lastModified": instant::format(version.updated),
    });
    let resource = version.body.as_ref().map(|body| format!(",\"resource\":{body}")).unwrap_or_default();
    let full_url = quote(&format!("{base}/{kind}/{id}"));
    format!("{{\"fullUrl\":{full_url}{resource},\"request\":{request},\"response\":{response}}}")
}
