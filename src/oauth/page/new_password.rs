//! The page on which a person chooses another password.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::headers::show;
use crate::oauth::text;
use crate::oauth::visitor::Language;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The two are not the same.
    Differ,
    Length,
    /// It is made of the person's name.
    Name,
    Guessable,
    /// It is the one that has to go.
    Same,
    /// Too many people at once.
    Busy,
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
{%- if let Some(message) = message %}
<p role="alert">{{ message }}</p>
{%- endif %}
<p id="hint">{{ t.hint }} {{ shortest }} {{ t.characters }}</p>
<form method="post" action="new-password">
<input type="hidden" name="request" value="{{ request }}">
<label for="password">{{ t.password }}</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="{{ shortest }}" aria-describedby="hint" required>
<label for="again">{{ t.again }}</label>
<input id="again" name="again" type="password" autocomplete="new-password" required>
<button name="action" value="change">{{ t.change }}</button>
{%- if is_for_app %}
<button name="action" value="cancel" formnovalidate>{{ t.cancel }}</button>
{%- endif %}
</form>
</main>
</body>
</html>
"#
)]
struct PasswordPage<'a> {
    lang: &'static str,
    t: &'static text::NewPassword,
    request: &'a str,
    message: Option<&'static str>,
    shortest: usize,
    is_for_app: bool,
}

/// The page. `redirect_uri` is where the app will be told what comes of it, if one waits.
pub fn new_password(
    language: Language,
    request: &str,
    redirect_uri: Option<&str>,
    shortest: usize,
    unfit: Option<Unfit>,
) -> Response {
    let texts = language.texts();
    let t = &texts.new_password;
    let message = unfit.map(|unfit| match unfit {
        Unfit::Differ => t.differ,
        Unfit::Length => t.length,
        Unfit::Name => t.name,
        Unfit::Guessable => t.guessable,
        Unfit::Same => t.same,
        Unfit::Busy => texts.login.busy,
    });
    let status = match unfit {
        None => StatusCode::OK,
        Some(Unfit::Busy) => StatusCode::SERVICE_UNAVAILABLE,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = PasswordPage { lang: texts.lang, t, request, message, shortest, is_for_app: redirect_uri.is_some() };
    show(status, &page, redirect_uri)
}
