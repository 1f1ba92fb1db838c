//! The picker: patients with a search, or visits.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::headers::show;
use crate::oauth::picker::Terms;
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
<title>{{ title }}</title>
<link rel="stylesheet" href="login.css">
</head>
<body>
<main class="wide">
<h1>{{ title }}</h1>
<p><strong><bdi>{{ client }}</bdi></strong> {{ wants }}</p>
{%- if let Some(patient) = patient %}
<p>{{ t.patient }} <strong><bdi>{{ patient.title }}</bdi></strong>{% for detail in patient.details %}<br><bdi>{{ detail }}</bdi>{% endfor %}</p>
{%- endif %}
{%- if let Some(message) = message %}
<p role="alert">{{ message }}</p>
{%- endif %}
{%- if let Some(terms) = terms %}
<form method="post" action="choose" role="search">
<input type="hidden" name="request" value="{{ request }}">
<label for="name">{{ t.name }}</label>
<input id="name" name="name" value="{{ terms.name }}" autocomplete="off">
<label for="birthdate">{{ t.birthdate }}</label>
<input id="birthdate" name="birthdate" type="date" value="{{ terms.birthdate }}" autocomplete="off">
<label for="identifier">{{ t.identifier }}</label>
<input id="identifier" name="identifier" value="{{ terms.identifier }}" autocomplete="off">
<button name="action" value="search">{{ t.search }}</button>
</form>
{%- endif %}
<form method="post" action="choose">
<input type="hidden" name="request" value="{{ request }}">
{%- if entries.is_empty() %}
<p>{{ nothing }}</p>
{%- else %}
<ul class="candidates" aria-label="{{ title }}">
{%- for entry in entries %}
<li><button name="choice" value="{{ loop.index0 }}"><strong><bdi>{{ entry.title }}</bdi></strong>{% for detail in entry.details %}<br><bdi>{{ detail }}</bdi>{% endfor %}</button></li>
{%- endfor %}
</ul>
{%- endif %}
{%- if has_more %}
<button name="action" value="more">{{ t.more }}</button>
{%- endif %}
{%- if terms.is_none() %}
<button name="action" value="no-visit">{{ t.no_visit }}</button>
{%- endif %}
<button name="action" value="cancel">{{ t.cancel }}</button>
</form>
</main>
</body>
</html>
"#
)]
struct ChooserPage<'a> {
    lang: &'static str,
    t: &'static text::Chooser,
    title: &'static str,
    wants: &'static str,
    nothing: &'static str,
    message: Option<&'static str>,
    client: &'a str,
    request: &'a str,
    terms: Option<&'a Terms>,
    patient: Option<Entry>,
    entries: Vec<Entry>,
    has_more: bool,
}

/// A patient or a visit in words.
pub struct Entry {
    pub title: String,
    pub details: Vec<String>,
}

/// A patient or a visit, as far as it is told.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// May be empty.
    pub title: String,
    pub born: Option<String>,
    /// FHIR's code.
    pub gender: Option<String>,
    pub identifier: Option<String>,
    /// When the visit began.
    pub began: Option<String>,
    /// When the launch was made in which the patient was found.
    pub launched_at: Option<OffsetDateTime>,
    /// The name of the point-of-care system that made it.
    pub launched_from: Option<String>,
}

/// What the page needs.
#[derive(Clone, Copy, Debug)]
pub struct Chooser<'a> {
    pub language: Language,
    /// The client's name.
    pub client: &'a str,
    /// Where the browser will be sent after the form: the policy must allow it.
    pub redirect_uri: &'a str,
    /// The token that names the form.
    pub request: &'a str,
    pub candidates: &'a [Candidate],
    /// Whose visits they are.
    pub patient: Option<&'a Candidate>,
    /// What was searched for; `None` where visits are picked.
    pub terms: Option<&'a Terms>,
    pub has_more: bool,
    /// The search was not understood.
    pub is_misunderstood: bool,
}

/// The page.
pub fn chooser(needs: &Chooser<'_>) -> Response {
    show(StatusCode::OK, &filled_in(needs), Some(needs.redirect_uri))
}

fn filled_in<'a>(needs: &Chooser<'a>) -> ChooserPage<'a> {
    let texts = needs.language.texts();
    let t = &texts.chooser;
    let is_patients = needs.terms.is_some();
    ChooserPage {
        lang: texts.lang,
        t,
        title: if is_patients { t.patients_title } else { t.visits_title },
        wants: if is_patients { t.wants_patient } else { t.wants_visit },
        nothing: t.nothing,
        message: needs.is_misunderstood.then_some(t.misunderstood),
        client: needs.client,
        request: needs.request,
        terms: needs.terms,
        patient: needs.patient.map(|patient| entry(patient, t)),
        entries: needs.candidates.iter().map(|candidate| entry(candidate, t)).collect(),
        has_more: needs.has_more,
    }
}

/// What tells a candidate from others.
pub fn entry(candidate: &Candidate, t: &text::Chooser) -> Entry {
    let gender = candidate.gender.as_deref().map(|gender| match gender {
        "female" => t.female.to_owned(),
        "male" => t.male.to_owned(),
        _ => t.other_gender.to_owned(),
    });
    let born = candidate.born.as_ref().map(|born| format!("{} {born}", t.born));
    let person: Vec<_> = [born, gender, candidate.identifier.clone()].into_iter().flatten().collect();
    let launched =
        candidate.launched_at.and_then(|at| at.format(&Rfc3339).ok()).map(|at| format!("{} {at}", t.open_since));
    let from = candidate.launched_from.as_ref().map(|poc| format!("{} {poc}", t.opened_from));
    let launched = launched.map(|at| [Some(at), from].into_iter().flatten().collect::<Vec<_>>().join(" "));
    let began = candidate.began.as_ref().map(|at| format!("{} {at}", t.began));
    let person = (!person.is_empty()).then(|| person.join(" · "));
    Entry {
        title: if candidate.title.is_empty() { t.unnamed.to_owned() } else { candidate.title.clone() },
        details: [person, began, launched].into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_chart_or_a_person_says_is_escaped() {
        let bad = || "\"'><b>".to_owned();
        let candidate = Candidate {
            title: bad(),
            born: Some(bad()),
            identifier: Some(bad()),
            began: Some(bad()),
            launched_at: Some(OffsetDateTime::UNIX_EPOCH),
            launched_from: Some(bad()),
            ..Candidate::default()
        };
        let terms = Terms { name: bad(), birthdate: bad(), identifier: bad() };
        let needs = Chooser {
            language: Language::English,
            client: "<b>",
            redirect_uri: "https://app.example/cb",
            request: "\"x",
            candidates: std::slice::from_ref(&candidate),
            patient: Some(&candidate),
            terms: Some(&terms),
            has_more: true,
            is_misunderstood: true,
        };
        let html = filled_in(&needs).render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("\"\"x"), "{html}");
    }

    #[test]
    fn who_has_no_name_is_told_so() {
        let t = &Language::French.texts().chooser;
        let told = entry(&Candidate { gender: Some("female".into()), ..Candidate::default() }, t);
        assert_eq!((told.title.as_str(), told.details), (t.unnamed, vec![t.female.to_owned()]));
    }
}
