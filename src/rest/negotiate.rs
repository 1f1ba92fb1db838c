//! Content negotiation (FHIR R4 http.html#mime-type): `Accept` with q-values, `_format`, and the `fhirVersion`
//! parameter. This version speaks JSON; what asks for anything else only is told so with 406.

use axum::{
    extract::Request,
    http::{HeaderMap, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::RestError;

/// Refuses a request whose answer could not be read by the client.
pub async fn middleware(request: Request, next: Next) -> Response {
    match check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), RestError> {
    let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "_format")
        .map(|(_, value)| value.into_owned());
    if let Some(format) = asked {
        // In a query '+' stands for a space: application/fhir+json is often sent unescaped.
        let format = format.replace(' ', "+");
        return if format == "json" || is_json(&format) { Ok(()) } else { Err(not_acceptable(&format)) };
    }
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    if accept.trim().is_empty() || accept.split(',').any(accepts_json) {
        return Ok(());
    }
    Err(not_acceptable(&accept))
}

fn not_acceptable(asked: &str) -> RestError {
    RestError::NotAcceptable(format!("this server answers in application/fhir+json (R4, 4.0), not in {asked}"))
}

fn accepts_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let mime = parts.next().unwrap_or_default();
    let refused = parts.clone().filter_map(|part| part.strip_prefix("q=")).any(|q| q.parse() == Ok(0.0_f32));
    !refused && (matches!(mime, "*/*" | "application/*" | "text/*") || is_json(range))
}

/// Whether a media type is JSON of R4, in any of the names in use.
pub fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let mime = parts.next().unwrap_or_default().to_ascii_lowercase();
    let names = ["application/fhir+json", "application/json", "application/json+fhir", "text/json"];
    let version_fits = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("fhirVersion"))
        .all(|(_, version)| matches!(version.trim_matches('"'), "4.0" | "4.0.1"));
    names.contains(&mime.as_str()) && version_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_among_the_acceptable() {
        let accepts = |accept: &'static str, uri: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            check(&headers, &uri.parse().unwrap()).is_ok()
        };
        for good in
            ["*/*", "application/json", "application/fhir+xml;q=0.9, application/fhir+json", "text/html, */*;q=0.1"]
        {
            assert!(accepts(good, "/Patient/1"), "{good}");
        }
        for bad in [
            "application/fhir+xml",
            "application/fhir+json;q=0",
            "application/fhir+json; fhirVersion=4.3",
            "text/turtle",
        ] {
            assert!(!accepts(bad, "/Patient/1"), "{bad}");
        }
        assert!(accepts("application/fhir+xml", "/Patient/1?_format=json"));
        assert!(accepts("application/fhir+xml", "/Patient/1?_format=application/fhir+json"));
        assert!(!accepts("application/fhir+json", "/Patient/1?_format=xml"));
    }
}
