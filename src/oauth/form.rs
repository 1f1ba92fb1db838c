//! OAuth parameters: form-encoded, each at most once, and absent when empty (RFC 6749 sections 3.1 and 3.2).

use std::fmt;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

use super::error::{Code, Failure};

/// The parameters of a query or a form body, in order.
#[derive(Clone, Default)]
pub struct Parameters(Vec<(String, String)>);

impl fmt::Debug for Parameters {
    /// The names alone: values are codes, tokens and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A parameter that is there more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated(pub &'static str);

impl Parameters {
    /// Reads `application/x-www-form-urlencoded` text. A parameter without a value counts as absent, and so does one with
    /// a NUL character, which nothing stored can equal.
    pub fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty() && !value.contains('\0')).collect())
    }

    /// What a form that waits would send: its token.
    pub fn of_form(token: &str) -> Self {
        Self(vec![("request".to_owned(), token.to_owned())])
    }

    /// The value of a parameter.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Repeated(name)),
            (value, None) => Ok(value),
        }
    }

    /// Every value of a parameter that may be there more than once: ticked boxes.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The parameters of a request to an endpoint for clients.
#[derive(Clone, Debug)]
pub struct Form(Parameters);

impl Form {
    /// A parameter that may be absent.
    pub fn optional(&self, name: &'static str) -> Result<Option<&str>, Failure> {
        let refuse = |Repeated(name)| Failure::new(Code::InvalidRequest, format!("{name} is there more than once"));
        self.0.one(name).map_err(refuse)
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.optional(name)?.ok_or_else(|| Failure::new(Code::InvalidRequest, format!("{name} is missing")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !is_form(&request) {
            let text = "the body must be application/x-www-form-urlencoded";
            return Err(Failure::new(Code::InvalidRequest, text));
        }
        let body = Bytes::from_request(request, state).await;
        let body =
            body.map_err(|_| Failure::new(Code::InvalidRequest, "the body could not be read or is too large"))?;
        Ok(Self(Parameters::parse(&body)))
    }
}

/// Whether the body is a form, whatever charset is named.
pub fn is_form(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_holds_no_value() {
        let form = Form(Parameters::parse(b"grant_type=refresh_token&refresh_token=s3cret"));
        assert_eq!(format!("{form:?}"), "Form([\"grant_type\", \"refresh_token\"])");
    }

    #[test]
    fn a_repeated_parameter_is_an_error_and_an_empty_one_is_absent() {
        let parameters = Parameters::parse(b"a=1&b=&c=x%20y&a=2");
        assert_eq!(parameters.one("a"), Err(Repeated("a")));
        assert_eq!(parameters.one("b"), Ok(None));
        assert_eq!(parameters.one("c"), Ok(Some("x y")));
        assert_eq!(parameters.one("d"), Ok(None));
    }
}
