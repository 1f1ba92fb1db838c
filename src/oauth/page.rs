//! The pages people see: plain HTML forms without script, in English and French.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

use super::visitor::Language;

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
    /// The form is too old, was sent already, or was shown to another browser.
    FormGone,
    /// The server cannot do it now.
    Unavailable,
}

/// Why a login form is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The name or the password is wrong; which of them is not told.
    Wrong,
    /// Too many tries.
    TooMany,
    /// Too many people at once.
    Busy,
}

struct Texts {
    lang: &'static str,
    title: &'static str,
    wants: &'static str,
    name: &'static str,
    password: &'static str,
    sign_in: &'static str,
    cancel: &'static str,
    wrong: &'static str,
    too_many: &'static str,
    busy: &'static str,
    problem_title: &'static str,
    unknown_client: &'static str,
    redirect_uri: &'static str,
    malformed: &'static str,
    form_gone: &'static str,
    unavailable: &'static str,
    start_again: &'static str,
}

const ENGLISH: Texts = Texts {
    lang: "en",
    title: "Sign in",
    wants: "asks you to sign in.",
    name: "User name",
    password: "Password",
    sign_in: "Sign in",
    cancel: "Cancel",
    wrong: "The user name or the password is not right.",
    too_many: "Too many attempts. Wait a few minutes, then try again.",
    busy: "Many people are signing in at this moment. Try again.",
    problem_title: "This cannot be done",
    unknown_client: "The app is not known to this server.",
    redirect_uri: "The address to which the app wants to return is not registered for it.",
    malformed: "The request of the app is malformed.",
    form_gone: "This page is no longer valid.",
    unavailable: "The server cannot do this at the moment.",
    start_again: "Go back and start the app again. If it happens again, tell the people who support it.",
};

const FRENCH: Texts = Texts {
    lang: "fr",
    title: "Connexion",
    wants: "vous demande de vous connecter.",
    name: "Nom d’utilisateur",
    password: "Mot de passe",
    sign_in: "Se connecter",
    cancel: "Annuler",
    wrong: "Le nom d’utilisateur ou le mot de passe est incorrect.",
    too_many: "Trop de tentatives. Attendez quelques minutes, puis réessayez.",
    busy: "Beaucoup de personnes se connectent en ce moment. Réessayez.",
    problem_title: "Impossible de continuer",
    unknown_client: "Ce serveur ne connaît pas l’application.",
    redirect_uri: "L’adresse de retour demandée n’est pas enregistrée pour cette application.",
    malformed: "La demande de l’application est mal formée.",
    form_gone: "Cette page n’est plus valide.",
    unavailable: "Le serveur ne peut pas le faire en ce moment.",
    start_again: "Revenez en arrière et relancez l’application. Si cela se reproduit, prévenez son service de soutien.",
};

impl Language {
    const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ t.lang }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ t.title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ t.title }}</h1>
<p><strong>{{ client }}</strong> {{ t.wants }}</p>
{%- if let Some(message) = message %}
<p role="alert">{{ message }}</p>
{%- endif %}
<form method="post" action="login">
<input type="hidden" name="request" value="{{ request }}">
<label for="name">{{ t.name }}</label>
<input id="name" name="name" value="{{ name }}" autocomplete="username" autocapitalize="none" spellcheck="false" required>
<label for="password">{{ t.password }}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button name="action" value="sign-in">{{ t.sign_in }}</button>
<button name="action" value="cancel" formnovalidate>{{ t.cancel }}</button>
</form>
</main>
</body>
</html>
"#
)]
struct LoginPage<'a> {
    t: &'static Texts,
    client: &'a str,
    message: Option<&'static str>,
    request: &'a str,
    name: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ t.lang }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ t.problem_title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main>
<h1>{{ t.problem_title }}</h1>
<p role="alert">{{ message }}</p>
<p>{{ t.start_again }}</p>
</main>
</body>
</html>
"#
)]
struct ProblemPage {
    t: &'static Texts,
    message: &'static str,
}

/// What a login form needs.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub language: Language,
    /// The client's name.
    pub client: &'a str,
    /// Where the browser will be sent after the form: the policy must allow it.
    pub redirect_uri: &'a str,
    /// The token that names the authorization request.
    pub request: &'a str,
    /// What was typed before.
    pub name: &'a str,
    pub again: Option<Again>,
}

/// The login form. A wrong password is 403: 401 would demand a `WWW-Authenticate` challenge.
pub fn login(login: &Login<'_>) -> Response {
    let t = login.language.texts();
    let (status, message) = match login.again {
        None => (StatusCode::OK, None),
        Some(Again::Wrong) => (StatusCode::FORBIDDEN, Some(t.wrong)),
        Some(Again::TooMany) => (StatusCode::TOO_MANY_REQUESTS, Some(t.too_many)),
        Some(Again::Busy) => (StatusCode::SERVICE_UNAVAILABLE, Some(t.busy)),
    };
    let page = LoginPage { t, client: login.client, message, request: login.request, name: login.name };
    show(status, &page, Some(login.redirect_uri))
}

/// A page that ends here.
pub fn problem(language: Language, problem: Problem) -> Response {
    let t = language.texts();
    let (status, message) = match problem {
        Problem::UnknownClient => (StatusCode::BAD_REQUEST, t.unknown_client),
        Problem::RedirectUri => (StatusCode::BAD_REQUEST, t.redirect_uri),
        Problem::Malformed => (StatusCode::BAD_REQUEST, t.malformed),
        Problem::FormGone => (StatusCode::BAD_REQUEST, t.form_gone),
        Problem::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, t.unavailable),
    };
    show(status, &ProblemPage { t, message }, None)
}

fn show(status: StatusCode, page: &impl Template, redirect_uri: Option<&str>) -> Response {
    let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    for (name, value) in PAGE_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_policy(redirect_uri)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Browsers apply `form-action` to the redirect that follows a form too, so the app's own origin must be in it.
fn content_policy(redirect_uri: Option<&str>) -> String {
    let app = redirect_uri.and_then(|uri| Url::parse(uri).ok()).map(|url| match url.origin() {
        url::Origin::Tuple(..) => format!(" {}", url.origin().ascii_serialization()),
        url::Origin::Opaque(_) => format!(" {}:", url.scheme()),
    });
    format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{}; frame-ancestors 'none'; base-uri 'none'",
        app.unwrap_or_default()
    )
}

/// `GET /login.css`.
pub async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("login.css"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_the_form_end_at_the_app_and_nowhere_else() {
        assert!(content_policy(Some("https://app.example/cb?x=1")).contains("form-action 'self' https://app.example;"));
        assert!(content_policy(Some("http://127.0.0.1:9000/cb")).contains("form-action 'self' http://127.0.0.1:9000;"));
        assert!(content_policy(Some("com.example.app:/cb")).contains("form-action 'self' com.example.app:;"));
        assert!(content_policy(None).contains("form-action 'self';"));
    }

    #[test]
    fn what_a_stranger_sends_is_escaped() {
        let page = LoginPage { t: &FRENCH, client: "<b>", message: None, request: "\"x", name: "'><script>" };
        let html = page.render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("<script>") && !html.contains("\"\"x"));
    }
}
