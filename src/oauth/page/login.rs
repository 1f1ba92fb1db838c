//! The login form.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::headers::show;
use crate::oauth::federation::Offer;
use crate::oauth::text;
use crate::oauth::visitor::Language;

/// Why a login form is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The name or the password is wrong; which of them is not told.
    Wrong,
    /// Too many tries.
    TooMany,
    /// Too many people at once.
    Busy,
    /// The upstream provider cannot be reached.
    ProviderDown,
    /// It did not let the person in, or is not believed.
    ProviderRefused,
    /// It did, and there is no account here.
    NoAccount,
    /// The one-time password is wrong.
    WrongCode,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ lang }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ t.title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ t.title }}</h1>
{%- if let Some(client) = client %}
<p><strong><bdi>{{ client }}</bdi></strong> {{ t.wants }}</p>
{%- endif %}
{%- if let Some(message) = message %}
<p role="alert">{{ message }}</p>
{%- endif %}
<form method="post" action="login">
<input type="hidden" name="request" value="{{ request }}">
{%- if offer.local %}
<label for="name">{{ t.name }}</label>
<input id="name" name="name" value="{{ name }}" autocomplete="username" autocapitalize="none" spellcheck="false" required>
<label for="password">{{ t.password }}</label>
<input id="password" name="password" type="password" autocomplete="current-password"{% if !offer.by_name %} required{% endif %}>
<button name="action" value="sign-in">{{ t.sign_in }}</button>
{%- endif %}
{%- for provider in offer.providers %}
<button name="provider" value="{{ provider.id }}" formaction="login-with" formnovalidate>{{ t.sign_in_with }} {{ provider.name }}</button>
{%- endfor %}
{%- if client.is_some() %}
<button name="action" value="cancel" formnovalidate>{{ t.cancel }}</button>
{%- endif %}
</form>
</main>
</body>
</html>
"#
)]
struct LoginPage<'a> {
    lang: &'static str,
    t: &'static text::Login,
    client: Option<&'a str>,
    message: Option<&'static str>,
    request: &'a str,
    name: &'a str,
    offer: &'a Offer,
}

/// What a login form needs.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub language: Language,
    /// The name of the client that asks for it, if one does.
    pub client: Option<&'a str>,
    /// Where the browser will be sent after the form, if elsewhere: the policy must allow it.
    pub redirect_uri: Option<&'a str>,
    /// The token that names the authorization request.
    pub request: &'a str,
    /// What was typed before.
    pub name: &'a str,
    pub again: Option<Again>,
    /// The ways to sign in.
    pub offer: &'a Offer,
}

/// The login form. A wrong password is 403: 401 would demand a `WWW-Authenticate` challenge.
pub fn login(login: &Login<'_>) -> Response {
    let texts = login.language.texts();
    let t = &texts.login;
    let (status, message) = match login.again {
        None => (StatusCode::OK, None),
        Some(Again::Wrong | Again::WrongCode) => (StatusCode::FORBIDDEN, Some(t.wrong)),
        Some(Again::TooMany) => (StatusCode::TOO_MANY_REQUESTS, Some(t.too_many)),
        Some(Again::Busy) => (StatusCode::SERVICE_UNAVAILABLE, Some(t.busy)),
        Some(Again::ProviderDown) => (StatusCode::SERVICE_UNAVAILABLE, Some(t.provider_down)),
        Some(Again::ProviderRefused) => (StatusCode::FORBIDDEN, Some(t.provider_refused)),
        Some(Again::NoAccount) => (StatusCode::FORBIDDEN, Some(t.no_account)),
    };
    let page = LoginPage {
        lang: texts.lang,
        t,
        client: login.client,
        message,
        request: login.request,
        name: login.name,
        offer: login.offer,
    };
    show(status, &page, login.redirect_uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::federation::Choice;

    #[test]
    fn what_a_stranger_sends_is_escaped() {
        let t = &Language::French.texts().login;
        let provider = Choice { id: "\"x".to_owned(), name: "<b>".to_owned() };
        let offer = &Offer { providers: vec![provider], local: true, by_name: false };
        let (client, name) = (Some("<b>"), "'><script>");
        let page = LoginPage { lang: "fr", t, client, message: None, request: "\"x", name, offer };
        let html = page.render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("<script>") && !html.contains("\"\"x"));
    }
}
