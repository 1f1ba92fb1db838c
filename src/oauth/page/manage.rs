//! What clients may do for a person, with a button each to end it.

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
<main class="wide">
<h1>{{ t.title }}</h1>
<p>{{ t.signed_in_as }} <strong>{{ person }}</strong>.</p>
{%- if clients.is_empty() %}
<p>{{ t.none }}</p>
{%- endif %}
{%- for client in clients %}
<section aria-labelledby="client-{{ loop.index }}">
<h2 id="client-{{ loop.index }}"><bdi>{{ client.name }}</bdi></h2>
{%- if !client.may.is_empty() %}
<p>{{ t.may }}</p>
<ul>
{%- for sentence in client.may %}
<li>{{ sentence }}</li>
{%- endfor %}
</ul>
{%- endif %}
{%- if !client.declined.is_empty() %}
<p>{{ t.declined }}</p>
<ul>
{%- for sentence in client.declined %}
<li>{{ sentence }}</li>
{%- endfor %}
</ul>
{%- endif %}
{%- if client.uses.is_empty() %}
<p>{{ t.unused }}</p>
{%- else %}
<ul>
{%- for one in client.uses %}
<li>{{ t.since }} <time datetime="{{ one.since }}">{{ one.since }}</time>{% if let Some(poc) = one.launched_from %}, {{ t.launched_from }} <bdi>{{ poc }}</bdi>{% endif %}</li>
{%- endfor %}
</ul>
{%- endif %}
<form method="post" action="manage/end">
<input type="hidden" name="request" value="{{ request }}">
<input type="hidden" name="client" value="{{ client.id }}">
<button aria-label="{{ t.end }}: {{ client.name }}">{{ t.end }}</button>
</form>
</section>
{%- endfor %}
</main>
</body>
</html>
"#
)]
struct ManagePage<'a> {
    lang: &'static str,
    t: &'static text::Manage,
    person: &'a str,
    request: &'a str,
    clients: &'a [Access],
}

/// A client, and what it may do.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub id: String,
    pub name: String,
    /// As sentences.
    pub may: Vec<String>,
    /// As sentences.
    pub declined: Vec<String>,
    pub uses: Vec<Use>,
}

/// Something that a client holds.
#[derive(Clone, Debug)]
pub struct Use {
    /// RFC 3339.
    pub since: String,
    /// The name of the point-of-care system of its launch.
    pub launched_from: Option<String>,
}

/// What the page needs.
#[derive(Clone, Copy, Debug)]
pub struct Manage<'a> {
    pub language: Language,
    /// Who looks.
    pub person: &'a str,
    /// The token that names the forms.
    pub request: &'a str,
    pub clients: &'a [Access],
}

/// The page.
pub fn manage(needs: &Manage<'_>) -> Response {
    let texts = needs.language.texts();
    let page = ManagePage {
        lang: texts.lang,
        t: &texts.manage,
        person: needs.person,
        request: needs.request,
        clients: needs.clients,
    };
    show(StatusCode::OK, &page, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_registered_is_escaped() {
        let bad = || "\"'><b>".to_owned();
        let one = Use { since: bad(), launched_from: Some(bad()) };
        let client = Access { id: bad(), name: bad(), may: vec![bad()], declined: vec![bad()], uses: vec![one] };
        let t = &Language::English.texts().manage;
        let page = ManagePage { lang: "en", t, person: "<b>", request: "\"x", clients: &[client] };
        let html = page.render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("\"\"x"), "{html}");
    }
}
