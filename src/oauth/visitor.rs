//! A person's browser, as far as the sign-in pages care.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

use super::OauthState;
use super::cookie::Cookies;
use crate::store::audit::Entry;
use crate::web::peer;

/// The languages of the pages; both are official in Canada.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

impl Language {
    /// The first language of a list of tags (`ui_locales`) that the pages speak.
    pub fn first(tags: &str) -> Option<Self> {
        tags.split_ascii_whitespace().find_map(|tag| match tag.split('-').next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "fr" => Some(Self::French),
            _ => None,
        })
    }

    /// Its tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// The preferred one of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        Self::preferred(headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default())
    }

    /// The preferred one of `Accept-Language` (RFC 9110 section 12.5.4); English when neither is named.
    pub fn preferred(header: &str) -> Self {
        let mut best = (0.0, Self::English);
        for item in header.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse).unwrap_or(0.0);
            let language = match tag.split('-').next() {
                Some("fr") => Self::French,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// What a request tells of the browser that sent it.
pub struct Visitor {
    pub language: Language,
    /// What the browser itself prefers.
    accepted: Language,
    pub cookies: Cookies,
    /// The network address; where the server does not know it, all visitors count as one.
    pub address: IpAddr,
    /// For the audit trail.
    pub request_id: Option<String>,
}

impl Visitor {
    /// A new authorization begins: in the language the app asks for, else in the browser's.
    pub fn speak(&mut self, asked: Option<Language>) {
        self.language = asked.unwrap_or(self.accepted);
    }
}

impl FromRequestParts<OauthState> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &OauthState) -> Result<Self, Infallible> {
        let cookies = Cookies::read(&parts.headers, state);
        Ok(Self {
            language: cookies.language().unwrap_or_else(|| Language::of(&parts.headers)),
            accepted: Language::of(&parts.headers),
            cookies,
            address: peer::of(&parts.extensions),
            request_id: request_id(&parts.headers).map(str::to_owned),
        })
    }
}

/// The id that the outermost layer gave to the request.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id").and_then(|value| value.to_str().ok())
}

/// Writes one audit row on its own, for what changes nothing else. A failure is logged and does not change the answer.
pub async fn record(state: &OauthState, entry: &Entry<'_>) {
    state.engine.recorder.note(entry, state.now()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_is_spoken_is_chosen() {
        for (tags, language) in [
            ("fr-CA en", Some(Language::French)),
            ("de EN-gb fr", Some(Language::English)),
            ("de", None),
            ("", None),
            ("french", None),
        ] {
            assert_eq!(Language::first(tags), language, "{tags}");
        }
    }

    #[test]
    fn the_heavier_of_the_two_languages_is_chosen() {
        for (header, language) in [
            ("", Language::English),
            ("de", Language::English),
            ("fr-CA", Language::French),
            ("fr;q=0.5, en;q=0.8", Language::English),
            ("de, fr;q=0.3", Language::French),
            ("en-CA,fr-CA", Language::English),
            ("fr;q=0", Language::English),
            ("fr;q=nonsense", Language::English),
        ] {
            assert_eq!(Language::preferred(header), language, "{header}");
        }
    }
}
