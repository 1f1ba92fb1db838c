//! "Sign out?", and what is said when that is done.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::headers::show;
use crate::oauth::text;
use crate::oauth::visitor::Language;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    SignedOut,
    StillSignedIn,
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
<p>{{ t.signed_in_as }} <strong>{{ person }}</strong>. {{ t.consequence }}</p>
<form method="post" action="sign-out">
<input type="hidden" name="request" value="{{ request }}">
<button name="action" value="sign-out">{{ t.sign_out }}</button>
<button name="action" value="stay">{{ t.stay }}</button>
</form>
</main>
</body>
</html>
"#
)]
struct SignOutPage<'a> {
    lang: &'static str,
    t: &'static text::SignOut,
    person: &'a str,
    request: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ lang }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ title }}</h1>
<p role="status">{{ message }}</p>
</main>
</body>
</html>
"#
)]
struct FarewellPage {
    lang: &'static str,
    title: &'static str,
    message: &'static str,
}

/// Asks `person` whether to sign out. `uri` is where the browser will be sent then: the policy must allow it.
pub fn sign_out(language: Language, person: &str, request: &str, uri: Option<&str>) -> Response {
    let texts = language.texts();
    show(StatusCode::OK, &SignOutPage { lang: texts.lang, t: &texts.sign_out, person, request }, uri)
}

/// A page that ends here.
pub fn farewell(language: Language, farewell: Farewell) -> Response {
    let texts = language.texts();
    let t = &texts.sign_out;
    let (title, message) = match farewell {
        Farewell::SignedOut => (t.signed_out, t.close),
        Farewell::StillSignedIn => (t.still, t.close),
    };
    show(StatusCode::OK, &FarewellPage { lang: texts.lang, title, message }, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped() {
        let t = &Language::English.texts().sign_out;
        let html = SignOutPage { lang: "en", t, person: "<b>", request: "\"x" }.render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("\"\"x"));
    }
}
