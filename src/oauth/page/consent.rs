//! What a client may do: each scope as a sentence with a box.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::chooser::{Candidate, Entry, entry};
use super::headers::show;
use crate::oauth::text;
use crate::oauth::visitor::Language;
use crate::smart::client::destination;

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
<p>{{ t.signed_in_as }} <strong><bdi>{{ person }}</bdi></strong>. {{ t.returns_to }} <strong><bdi>{{ destination }}</bdi></strong>.</p>
{%- if let Some(patient) = patient %}
<p>{{ t.patient }} <strong><bdi>{{ patient.title }}</bdi></strong>{% for detail in patient.details %}<br><bdi>{{ detail }}</bdi>{% endfor %}</p>
{%- endif %}
<form method="post" action="consent">
<input type="hidden" name="request" value="{{ request }}">
{%- if !items.is_empty() %}
<fieldset aria-describedby="hint">
<legend><strong><bdi>{{ client }}</bdi></strong> {{ t.wants }}</legend>
{%- for item in items %}
<div class="choice">
<input type="checkbox" id="scope-{{ loop.index }}" name="scope" value="{{ item.scope }}" aria-describedby="code-{{ loop.index }}"{% if item.ticked %} checked{% endif %}>
<label for="scope-{{ loop.index }}">{{ item.sentence }}</label>
<code id="code-{{ loop.index }}">{{ item.scope }}</code>
</div>
{%- endfor %}
</fieldset>
<p id="hint">{{ t.hint }}</p>
{%- endif %}
{%- if !told.is_empty() %}
<p>{{ t.told }}</p>
<ul>
{%- for sentence in told %}
<li>{{ sentence }}</li>
{%- endfor %}
</ul>
{%- endif %}
<button name="action" value="allow">{{ t.allow }}</button>
<button name="action" value="refuse">{{ t.refuse }}</button>
</form>
</main>
</body>
</html>
"#
)]
struct ConsentPage<'a> {
    lang: &'static str,
    t: &'static text::Consent,
    client: &'a str,
    request: &'a str,
    person: &'a str,
    destination: String,
    patient: Option<Entry>,
    items: &'a [Item<'a>],
    told: &'a [String],
}

/// A scope with its box.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    pub scope: &'a str,
    pub sentence: String,
    pub ticked: bool,
}

/// What the page needs.
#[derive(Clone, Debug)]
pub struct ConsentForm<'a> {
    pub language: Language,
    /// The client's name.
    pub client: &'a str,
    /// Where the browser will be sent after the form: the policy must allow it.
    pub redirect_uri: &'a str,
    /// The token that names the form.
    pub request: &'a str,
    /// Who is asked.
    pub person: &'a str,
    /// Whom the person has picked.
    pub patient: Option<&'a Candidate>,
    pub items: Vec<Item<'a>>,
    /// What comes along and cannot be declined by itself, as sentences.
    pub told: Vec<String>,
}

/// The page.
pub fn consent(needs: &ConsentForm<'_>) -> Response {
    let texts = needs.language.texts();
    let page = ConsentPage {
        lang: texts.lang,
        t: &texts.consent,
        client: needs.client,
        request: needs.request,
        person: needs.person,
        destination: destination(needs.redirect_uri),
        patient: needs.patient.map(|patient| entry(patient, &texts.chooser)),
        items: &needs.items,
        told: &needs.told,
    };
    show(StatusCode::OK, &page, Some(needs.redirect_uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_sends_is_escaped() {
        let texts = Language::French.texts();
        let item = Item { scope: "\"><b>", sentence: "<i>".into(), ticked: true };
        let page = ConsentPage {
            lang: "fr",
            t: &texts.consent,
            client: "<b>",
            request: "\"x",
            person: "<b>",
            destination: "<b>".into(),
            patient: Some(Entry { title: "<b>".into(), details: vec!["<i>".into()] }),
            items: &[item],
            told: &["<b>".into()],
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains("\"\"x"), "{html}");
    }
}
