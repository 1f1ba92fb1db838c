//! The page on which an authorization ends that cannot even be refused to the app.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::headers::show;
use crate::oauth::text;
use crate::oauth::visitor::Language;

/// What a page says when an authorization cannot even be refused to the app, or a sign-in cannot be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such client, or a disabled one.
    UnknownClient,
    /// `redirect_uri` is missing or not registered: answering there would hand the code to a stranger (RFC 6749
    /// section 4.1.2.1).
    RedirectUri,
    /// A parameter that says where to answer is there more than once, or the body is not a form.
    Malformed,
    /// The request is refused, and nobody vetted where the app would be told so.
    Refused,
    /// The form is too old, was sent already, or was shown to another browser.
    FormGone,
    /// The server cannot do it now.
    Unavailable,
    /// The address asks too often.
    TooMany,
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
<p role="alert">{{ message }}</p>
<p>{{ t.start_again }}</p>
</main>
</body>
</html>
"#
)]
struct ProblemPage {
    lang: &'static str,
    t: &'static text::Problem,
    message: &'static str,
}

/// A page that ends here.
pub fn problem(language: Language, problem: Problem) -> Response {
    let texts = language.texts();
    let t = &texts.problem;
    let (status, message) = match problem {
        Problem::UnknownClient => (StatusCode::BAD_REQUEST, t.unknown_client),
        Problem::RedirectUri => (StatusCode::BAD_REQUEST, t.redirect_uri),
        Problem::Malformed => (StatusCode::BAD_REQUEST, t.malformed),
        Problem::Refused => (StatusCode::BAD_REQUEST, t.refused),
        Problem::FormGone => (StatusCode::BAD_REQUEST, t.form_gone),
        Problem::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, t.unavailable),
        Problem::TooMany => (StatusCode::TOO_MANY_REQUESTS, t.too_many),
    };
    show(status, &ProblemPage { lang: texts.lang, t, message }, None)
}
