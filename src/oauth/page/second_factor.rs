//! The pages of the second factor: asking for a one-time password, setting up a device, and the recovery codes.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use qrcode::QrCode;
use qrcode::render::svg;

use super::Again;
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
{%- if let Some(message) = message %}
<p role="alert">{{ message }}</p>
{%- endif %}
<p id="hint">{{ t.hint }}</p>
<form method="post" action="second-factor">
<input type="hidden" name="request" value="{{ request }}">
<label for="code">{{ t.code }}</label>
<input id="code" name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" aria-describedby="hint" required>
<button name="action" value="go-on">{{ t.go_on }}</button>
{%- if is_for_app %}
<button name="action" value="cancel" formnovalidate>{{ t.cancel }}</button>
{%- endif %}
</form>
</main>
</body>
</html>
"#
)]
struct CodePage<'a> {
    lang: &'static str,
    t: &'static text::SecondFactor,
    request: &'a str,
    message: Option<&'static str>,
    is_for_app: bool,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ lang }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ t.enrol_title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ t.enrol_title }}</h1>
{%- if wrong %}
<p role="alert">{{ t.wrong }}</p>
{%- endif %}
<p>{{ t.enrol_scan }}</p>
<div role="img" aria-label="{{ t.enrol_picture }}">{{ picture|safe }}</div>
<p>{{ t.enrol_type }} <code id="secret">{{ typed }}</code></p>
<form method="post" action="enrol">
<input type="hidden" name="request" value="{{ request }}">
<label for="code">{{ t.enrol_code }}</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" spellcheck="false" required>
<button name="action" value="go-on">{{ t.go_on }}</button>
{%- if is_for_app %}
<button name="action" value="cancel" formnovalidate>{{ t.cancel }}</button>
{%- endif %}
</form>
</main>
</body>
</html>
"#
)]
struct EnrolPage<'a> {
    lang: &'static str,
    t: &'static text::SecondFactor,
    request: &'a str,
    picture: &'a str,
    typed: &'a str,
    wrong: bool,
    is_for_app: bool,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ lang }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ t.codes_title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ t.codes_title }}</h1>
<p>{{ t.codes_hint }}</p>
<ul>
{%- for code in codes %}
<li><code>{{ code }}</code></li>
{%- endfor %}
</ul>
<form method="post" action="enrol">
<input type="hidden" name="request" value="{{ request }}">
<button name="action" value="go-on">{{ t.codes_kept }}</button>
</form>
</main>
</body>
</html>
"#
)]
struct CodesPage<'a> {
    lang: &'static str,
    t: &'static text::SecondFactor,
    request: &'a str,
    codes: &'a [String],
}

/// Asks for a one-time password. `redirect_uri` is where the app will be told what comes of it, if one waits.
pub fn second_factor(language: Language, request: &str, redirect_uri: Option<&str>, again: Option<Again>) -> Response {
    let texts = language.texts();
    let t = &texts.second_factor;
    let (status, message) = match again {
        None => (StatusCode::OK, None),
        Some(Again::TooMany) => (StatusCode::TOO_MANY_REQUESTS, Some(texts.login.too_many)),
        Some(_) => (StatusCode::FORBIDDEN, Some(t.wrong)),
    };
    let page = CodePage { lang: texts.lang, t, request, message, is_for_app: redirect_uri.is_some() };
    show(status, &page, redirect_uri)
}

/// What the page that sets up a device needs.
#[derive(Clone, Copy)]
pub struct Enrol<'a> {
    pub language: Language,
    /// The token that names the form.
    pub request: &'a str,
    pub redirect_uri: Option<&'a str>,
    /// What the device reads.
    pub url: &'a str,
    /// What a person types instead.
    pub typed: &'a str,
    /// What was typed is not the device's password.
    pub wrong: bool,
}

/// Shows the secret to a device.
pub fn enrol(needs: &Enrol<'_>) -> Response {
    let texts = needs.language.texts();
    let page = EnrolPage {
        lang: texts.lang,
        t: &texts.second_factor,
        request: needs.request,
        picture: &picture(needs.url),
        typed: needs.typed,
        wrong: needs.wrong,
        is_for_app: needs.redirect_uri.is_some(),
    };
    show(if needs.wrong { StatusCode::FORBIDDEN } else { StatusCode::OK }, &page, needs.redirect_uri)
}

/// An SVG of our own making: it holds nothing of the address but squares.
fn picture(url: &str) -> String {
    let Ok(code) = QrCode::new(url.as_bytes()) else { return String::new() };
    let svg = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
    match svg.split_once("?>") {
        Some((_declaration, svg)) => svg.replacen("<svg ", "<svg aria-hidden=\"true\" ", 1),
        None => svg,
    }
}

/// Shows the recovery codes, once.
pub fn recovery_codes(language: Language, request: &str, redirect_uri: Option<&str>, codes: &[String]) -> Response {
    let texts = language.texts();
    let page = CodesPage { lang: texts.lang, t: &texts.second_factor, request, codes };
    show(StatusCode::OK, &page, redirect_uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_a_whole_svg_without_script_or_style() {
        let svg = picture("otpauth://totp/sofa:julie?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=sofa");
        assert!(svg.starts_with("<svg aria-hidden=\"true\" xmlns") && svg.ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("style") && !svg.contains("script") && !svg.contains("otpauth"));
        assert_eq!(picture(&"x".repeat(5000)), "", "too long for any picture");
    }
}
