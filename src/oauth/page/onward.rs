//! The page that leads to another server: it goes on by itself, and has a link for those whose browser does not.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use url::Url;

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
<meta http-equiv="refresh" content="0; url={{ url }}">
<title>{{ t.title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ t.title }}</h1>
<p><a href="{{ url }}">{{ t.go_on }} {{ host }}</a></p>
</main>
</body>
</html>
"#
)]
struct OnwardPage<'a> {
    lang: &'static str,
    t: &'static text::Onward,
    url: &'a str,
    host: &'a str,
}

/// Leads to `url`, an address of our own making at a configured server.
pub fn onward(language: Language, url: &Url) -> Response {
    let texts = language.texts();
    let page =
        OnwardPage { lang: texts.lang, t: &texts.onward, url: url.as_str(), host: url.host_str().unwrap_or_default() };
    show(StatusCode::OK, &page, None)
}
