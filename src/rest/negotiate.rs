//! Content negotiation (FHIR R4 http.html#mime-type): `_format`, else `Accept` by its q-values (RFC 9110 section 12.5.1),
//! else the format of the request's body, else JSON. `_format` and `_pretty` stand in the address, or in the form of a search
//! that is POSTed (http.html#search).
//!
//! The routes inside speak JSON. Here, in one place for answers and errors alike, it becomes XML for those who want that,
//! or is laid out for people (`_pretty`).

use std::sync::{Arc, OnceLock};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderValue, Method, Uri, header, response::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use mediatype::{MediaType, MediaTypeList, Name, ReadParams};

use super::{
    RestState,
    body::{FORM, essence, media_type},
    error::RestError,
    extract::Parameters,
};
use crate::{
    fhir::{
        format::{Format, is_r4},
        json::{Limits, pretty},
        xml,
    },
    interaction::Failure,
};

/// Parameters of the protocol, in every query; no interaction takes them for input.
const OF_THE_PROTOCOL: [&str; 2] = ["_format", "_pretty"];

/// An answer to a read: marks responses of routes that change nothing.
#[derive(Clone, Copy, Debug)]
pub struct Read;

/// What a form says of its answer. The form is read where it is known who sent it, so this is filled further in.
#[derive(Clone, Default)]
struct OfForm(Arc<OnceLock<Parameters>>);

/// Takes the protocol's parameters out of the form of the request that has these extensions.
pub fn take(form: Parameters, extensions: &Extensions) -> Parameters {
    let (own, others) = form.into_iter().partition(|(name, _)| OF_THE_PROTOCOL.contains(&name.as_str()));
    if let Some(OfForm(told)) = extensions.get() {
        // A form is read once.
        let _is_first = told.set(own);
    }
    others
}

/// What is asked of an answer.
struct Asked {
    /// The protocol's parameters: those of the address, then those of a form.
    parameters: Parameters,
    accept: String,
    /// The format of the request's body.
    body: Option<Format>,
}

impl Asked {
    fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let parameters = query.filter(|(name, _)| OF_THE_PROTOCOL.contains(&&**name));
        let parameters = parameters.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        Self { parameters, accept: accept.join(","), body: Format::of_content_type(media_type(headers)) }
    }

    /// A parameter's first value that is not empty.
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The format of the answer.
    fn format(&self) -> Result<Format, RestError> {
        if let Some(asked) = self.parameter("_format") {
            return Format::of_parameter(asked).ok_or_else(|| not_acceptable(asked));
        }
        let usual = self.body.unwrap_or(Format::Json);
        if self.accept.trim().is_empty() {
            return Ok(usual);
        }
        let (json, xml) = (quality(Format::Json, &self.accept), quality(Format::Xml, &self.accept));
        match json.cmp(&xml) {
            _ if json == 0 && xml == 0 => Err(not_acceptable(&self.accept)),
            std::cmp::Ordering::Greater => Ok(Format::Json),
            std::cmp::Ordering::Less => Ok(Format::Xml),
            std::cmp::Ordering::Equal => Ok(usual),
        }
    }
}

/// Answers in the format that was asked for; 406 if this server has none of those.
pub async fn middleware(State(state): State<RestState>, mut request: Request, next: Next) -> Response {
    let mut asked = Asked::of(request.headers(), request.uri());
    let of_form = OfForm::default();
    if *request.method() == Method::POST && essence(media_type(request.headers())) == FORM {
        // What it says is not known yet. Until then nothing is lost: no route that changes anything takes a form.
        request.extensions_mut().insert(of_form.clone());
    } else if let Err(error) = asked.format() {
        return varying(error.into_response());
    }
    if let Some(uri) = without_protocol(request.uri()) {
        *request.uri_mut() = uri;
    }
    let response = next.run(request).await;
    asked.parameters.extend(of_form.0.get().cloned().unwrap_or_default());
    let reads = response.extensions().get::<Read>().is_some();
    varying(match asked.format() {
        Err(error) => error.into_response(),
        Ok(Format::Xml) => in_xml(response, &state.engine.limits(), reads).await,
        Ok(Format::Json) if asked.parameter("_pretty") == Some("true") => for_people(response).await,
        Ok(Format::Json) => response,
    })
}

/// The answer, if it is JSON, with its text. Every answer is in memory already.
async fn json_text(response: Response) -> Result<(Parts, String), Response> {
    if response.headers().get(header::CONTENT_TYPE).is_none_or(|value| value != Format::Json.media_type()) {
        return Err(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map(Vec::from).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(|text| (parts, text)).ok_or_else(|| RestError::from(Failure::Internal).into_response())
}

async fn for_people(response: Response) -> Response {
    match json_text(response).await {
        Ok((mut parts, text)) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(pretty(&text)))
        }
        Err(other) => other,
    }
}

/// The answer in XML. A document that has no XML form is 406 to a reader; after a write it is sent as it is, for the write
/// has happened.
async fn in_xml(response: Response, limits: &Limits, reads: bool) -> Response {
    let (mut parts, json) = match json_text(response).await {
        Ok(parts) => parts,
        Err(other) => return other,
    };
    match xml::from_json(&json, limits) {
        Ok(xml) => {
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Xml.media_type()));
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(xml))
        }
        Err(not) if reads && parts.status.is_success() => {
            let refused = RestError::NotAcceptable(format!("{not}; ask for application/fhir+json"));
            Box::pin(in_xml(refused.into_response(), limits, false)).await
        }
        Err(not) => {
            tracing::warn!(%not, "an answer is sent in JSON instead of XML");
            Response::from_parts(parts, Body::from(json))
        }
    }
}

fn varying(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn not_acceptable(asked: &str) -> RestError {
    let text =
        format!("this server answers in application/fhir+json and application/fhir+xml (R4, 4.0), not in {asked}");
    RestError::NotAcceptable(text)
}

/// How much `accept` likes a format, in thousandths: what the most specific of its matching ranges says.
fn quality(format: Format, accept: &str) -> u16 {
    let ranges = MediaTypeList::new(accept).filter_map(Result::ok);
    let matching = ranges.filter(is_r4).filter_map(|range| Some((specificity(format, &range)?, weight(&range))));
    matching.max().map_or(0, |(_, weight)| weight)
}

fn specificity(format: Format, range: &MediaType<'_>) -> Option<u8> {
    let essence = range.essence().to_string();
    match essence.as_str() {
        "*/*" => Some(0),
        // FHIR's own types, and the generic ones that they answer to.
        "application/*" | "text/*" => Some(1),
        _ => (Format::named(&essence) == Some(format)).then_some(2),
    }
}

/// `q`, in thousandths; what is no weight counts as none.
fn weight(range: &MediaType<'_>) -> u16 {
    let Some(q) = range.get_param(Name::new_unchecked("q")) else { return 1000 };
    let (whole, fraction) = q.as_str().split_once('.').unwrap_or((q.as_str(), ""));
    let thousandths = (fraction.len() <= 3).then(|| format!("{fraction:0<3}")).and_then(|text| text.parse().ok());
    match (whole, thousandths) {
        ("0", Some(thousandths)) => thousandths,
        _ => 1000,
    }
}

/// The address without the protocol's own parameters, if it has any.
fn without_protocol(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    let of_protocol = |pair: &&str| {
        let mut names = form_urlencoded::parse(pair.as_bytes()).map(|(name, _)| name);
        names.next().is_some_and(|name| OF_THE_PROTOCOL.contains(&&*name))
    };
    query.split('&').find(of_protocol)?;
    let kept = query.split('&').filter(|pair| !of_protocol(pair)).collect::<Vec<_>>().join("&");
    let path = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{kept}", uri.path()) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &'static str, uri: &str, body: Option<Format>) -> Option<Format> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Asked { body, ..Asked::of(&headers, &uri.parse().unwrap()) }.format().ok()
    }

    #[test]
    fn the_format_liked_best_is_taken() {
        const JSON: Option<Format> = Some(Format::Json);
        const XML: Option<Format> = Some(Format::Xml);
        for (accept, body, format) in [
            ("", None, JSON),
            ("", XML, XML),
            ("*/*", XML, XML),
            ("*/*", None, JSON),
            ("application/json", XML, JSON),
            ("application/fhir+xml", None, XML),
            ("application/fhir+xml", JSON, XML),
            ("Application/FHIR+XML; charset=utf-8", None, XML),
            ("text/xml", None, XML),
            ("application/xml+fhir", None, XML),
            ("application/fhir+xml;q=0.9, application/fhir+json", XML, JSON),
            ("application/fhir+xml, application/fhir+json;q=0.999", JSON, XML),
            ("application/fhir+json;q=0.1, */*;q=0.05", None, JSON),
            ("application/fhir+json;q=0.1, */*;q=0.5", None, XML),
            ("application/fhir+json;q=0, */*", JSON, XML),
            ("application/fhir+json;q=0.000, application/*;q=0.001", JSON, XML),
            ("application/fhir+json;q=0", None, None),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", None, XML),
            ("text/html, */*;q=0.1", None, JSON),
            ("text/html;level=\"1,2\", application/fhir+xml", None, XML),
            ("nonsense, application/fhir+xml", None, XML),
            ("application/fhir+xml; fhirVersion=4.0", None, XML),
            ("application/fhir+xml; fhirVersion=5.0, application/fhir+json;q=0.1", None, JSON),
            ("application/fhir+json; fhirVersion=4.3", None, None),
            ("text/turtle", None, None),
            ("text/html", None, None),
            ("*/*;q=0", None, None),
        ] {
            assert_eq!(asked(accept, "/Patient/1", body), format, "{accept} {body:?}");
        }
    }

    #[test]
    fn the_parameter_goes_before_the_header() {
        for (query, format) in [
            ("_format=json", Some(Format::Json)),
            ("_format=xml", Some(Format::Xml)),
            ("a=b&_format=application/fhir+xml", Some(Format::Xml)),
            ("_format=application%2Ffhir%2Bjson", Some(Format::Json)),
            ("_format=text/xml&_format=json", Some(Format::Xml)),
            ("_format=", Some(Format::Xml)),
            ("_format=ttl", None),
            ("_format=html", None),
        ] {
            assert_eq!(asked("application/fhir+xml", &format!("/Patient/1?{query}"), None), format, "{query}");
        }
    }

    #[test]
    fn the_protocols_parameters_go_no_further() {
        for (given, left) in [
            ("/a?_format=xml", Some("/a")),
            ("/a?x=%20+b&_format=xml&_pretty=true&_formats=1&y", Some("/a?x=%20+b&_formats=1&y")),
            ("/a?%5fformat=xml", Some("/a")),
            ("/a?x=_format", None),
            ("/a", None),
        ] {
            let uri = without_protocol(&given.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(uri.as_deref(), left, "{given}");
        }
    }
}
