//! "Continue as …?"

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::headers::show;
use crate::oauth::text;
use crate::oauth::visitor::Language;

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
<p>{{ t.signed_in_as }} <strong><bdi>{{ person }}</bdi></strong>.</p>
<p><strong><bdi>{{ client }}</bdi></strong> {{ t.wants }}
{%- if let Some(poc) = poc %} {{ t.launched_by }} <strong><bdi>{{ poc }}</bdi></strong>.{% endif %}</p>
<form method="post" action="continue">
<input type="hidden" name="request" value="{{ request }}">
<button name="action" value="continue">{{ t.go_on }} {{ person }}</button>
<button name="action" value="other">{{ t.other }}</button>
<button name="action" value="cancel">{{ t.cancel }}</button>
</form>
</main>
</body>
</html>
"#
)]
struct ContinuePage<'a> {
    lang: &'static str,
    t: &'static text::Continue,
    client: &'a str,
    request: &'a str,
    person: &'a str,
    poc: Option<&'a str>,
}

/// What the page needs.
#[derive(Clone, Copy, Debug)]
pub struct ContinueAs<'a> {
    pub language: Language,
    /// The client's name.
    pub client: &'a str,
    /// Where the browser will be sent after the form: the policy must allow it.
    pub redirect_uri: &'a str,
    /// The token that names the form.
    pub request: &'a str,
    /// Who is signed in.
    pub person: &'a str,
    /// The name of the point-of-care system that made the launch.
    pub poc: Option<&'a str>,
}

/// The page.
pub fn continue_as(needs: &ContinueAs<'_>) -> Response {
    let texts = needs.language.texts();
    let page = ContinuePage {
        lang: texts.lang,
        t: &texts.go_on,
        client: needs.client,
        request: needs.request,
        person: needs.person,
        poc: needs.poc,
    };
    show(StatusCode::OK, &page, Some(needs.redirect_uri))
}
