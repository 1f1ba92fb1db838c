//! Requests with names in place of ids, and how chance makes them.

use std::fmt;

use serde_json::{Value, json};
use sofa::load::Chance;

use super::cast::{Side, Who};
use super::data;
use super::probe::{PROBES, probe};
use super::search::{self, Names};

/// A request; `«mine.weight»` and the like in any part of it are put in for each world.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    /// Not yet encoded.
    pub query: Vec<(String, String)>,
    /// The query is sent as a form.
    pub form: bool,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
}

impl Request {
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), form: false, headers: Vec::new(), body: None }
    }

    fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// With a FHIR body.
    pub fn with_body(method: &'static str, path: impl Into<String>, body: &Value) -> Self {
        let headers = vec![("content-type", "application/fhir+json".to_owned())];
        Self { headers, body: Some(body.to_string()), ..Self::new(method, path) }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with another method and a body.
    pub fn of(self, method: &'static str, body: &Value) -> Self {
        Self { query: self.query, ..Self::with_body(method, self.path, body) }
    }

    fn asking(mut self, query: Vec<(String, String)>) -> Self {
        self.query = query;
        self
    }

    /// As it is sent: names put in, query encoded, the form in the body.
    pub fn resolved(&self, put_in: impl Fn(&str) -> String) -> Self {
        let pairs: Vec<(String, String)> =
            self.query.iter().map(|(name, value)| (put_in(name), put_in(value))).collect();
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let mut sent = Self {
            path: put_in(&self.path),
            query: Vec::new(),
            headers: self.headers.iter().map(|(name, value)| (*name, put_in(value))).collect(),
            body: self.body.as_deref().map(&put_in),
            ..self.clone()
        };
        if self.form {
            sent.headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
            sent.body = Some(encoded);
        } else if !encoded.is_empty() {
            sent.path = format!("{}?{encoded}", sent.path);
        }
        sent
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        let pairs: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !pairs.is_empty() {
            write!(f, "{}{}", if self.form { " form " } else { "?" }, pairs.join("&"))?;
        }
        for (name, value) in &self.headers {
            write!(f, "\n    {name}: {value}")?;
        }
        self.body.as_ref().map_or(Ok(()), |body| write!(f, "\n    {body}"))
    }
}

/// Makes requests for one of those who ask.
pub struct Maker<'a> {
    pub who: Who,
    pub chance: &'a mut Chance,
    pub names: &'a Names,
    /// Paging links of others, below the FHIR base.
    pub links: &'a [String],
}

impl Maker<'_> {
    /// Request `number`: each third is aimed, the others are of any kind.
    pub fn request(&mut self, number: usize) -> Request {
        if number.is_multiple_of(3) {
            let number = number as u64 / 3;
            let hidden: Vec<Side> = hidden_from(self.who).filter(|side| *side != Side::Office).collect();
            // Another side with every round.
            let side = hidden[((number + number / PROBES) % hidden.len() as u64) as usize];
            return probe(number, side, self.who.writes());
        }
        match self.chance.below(100) {
            0..48 => self.search(),
            48..60 => self.instance(),
            60..66 => self.listing(),
            66..71 => self.operation(),
            71..75 => self.others_page(),
            75..93 => self.write(),
            _ => self.bundle(),
        }
    }

    /// Search, at any level, by either method.
    fn search(&mut self) -> Request {
        let kind = search::kind(self.chance);
        let mut query = search::query(self.chance, self.names, kind);
        let path = match self.chance.below(10) {
            0..7 => kind.to_owned(),
            7 => {
                query = search::common(self.chance, self.names);
                if self.chance.in_share(0.7) {
                    query.push(("_type".to_owned(), format!("{kind},{}", search::kind(self.chance))));
                }
                String::new()
            }
            _ => {
                let compartment =
                    *self.chance.pick(&["Patient", "Patient", "Patient", "Encounter", "Practitioner", "RelatedPerson"]);
                let id = self.names.of_kind(self.chance, compartment);
                let member = if self.chance.in_share(0.3) { "*" } else { kind };
                format!("«{id}»/{member}")
            }
        };
        if self.chance.in_share(0.15) {
            let search = if path.is_empty() { "_search".to_owned() } else { format!("{path}/_search") };
            return Request { form: true, ..Request::new("POST", search).asking(query) };
        }
        Request::get(path).asking(query)
    }

    /// Reading by id, in every way.
    fn instance(&mut self) -> Request {
        let name = self.names.any(self.chance);
        let path = format!("«{name}»");
        match self.chance.below(9) {
            0..3 => Request::get(path),
            3 => Request::new("HEAD", path),
            4 => Request::get(path).with("if-none-match", format!("W/\"{}\"", self.chance.between(1, 3))),
            5 => Request::get(path).with("accept", "application/fhir+xml"),
            6 => Request::get(path).asking(vec![("_summary".to_owned(), "true".to_owned())]),
            7 => Request::get(format!("{path}/_history/{}", self.chance.between(1, 4))),
            _ => Request::get(format!("{path}/_history")).asking(search::listing(self.chance)),
        }
    }

    /// Histories of types and of everything.
    fn listing(&mut self) -> Request {
        let kind = search::kind(self.chance);
        let path = if self.chance.in_share(0.6) { format!("{kind}/_history") } else { "_history".to_owned() };
        let mut query = search::listing(self.chance);
        if self.chance.in_share(0.2) {
            query.push(("_list".to_owned(), format!("«#{}»", self.names.of_kind(self.chance, "List"))));
        }
        Request::get(path).asking(query)
    }

    fn operation(&mut self) -> Request {
        let name = self.names.any(self.chance);
        match self.chance.below(9) {
            0 | 1 => Request::get(format!("«{}»/$everything", self.names.of_kind(self.chance, "Patient"))),
            2 => Request::get(format!("«{name}»/$meta")),
            3 => Request::get(format!("{}/$meta", search::kind(self.chance))),
            4 => Request::get(format!("«{name}»/$validate")),
            5 => {
                let body = json!({"resourceType": "Patient", "id": "«#foreign.patient»", "link": [{"other": {"reference": format!("«{name}»")}, "type": "seealso"}]});
                Request::with_body("POST", "Patient/$validate", &body)
            }
            6 => Request::get(format!("Subscription/«#{name}»/$status")),
            7 => Request::get(format!("Subscription/«#{name}»/$events")),
            _ => {
                let launch = *self.chance.pick(&["colleague", "foreign"]);
                let parameter = json!([{"name": "launchID", "valueString": format!("«!{launch}»")}]);
                Request::with_body(
                    "POST",
                    "$clear-context",
                    &json!({"resourceType": "Parameters", "parameter": parameter}),
                )
            }
        }
    }

    /// A paging link that somebody else was given.
    fn others_page(&mut self) -> Request {
        if self.links.is_empty() { self.listing() } else { Request::get(self.chance.pick(self.links).clone()) }
    }

    /// Something to write: like what there is, about anybody.
    fn resource(&mut self) -> Value {
        let mut about = |kind: &str| self.names.of_kind(self.chance, kind);
        let (subject, visit, member) = (about("Patient"), about("Encounter"), about("Observation"));
        let mut body = data::crossing(self.who.writes(), &subject, &visit, &member);
        if self.chance.in_share(0.6) {
            // So that it may be written under patient/ scopes.
            body["subject"] = json!({"reference": "«mine.patient»"});
        }
        body
    }

    /// A condition that finds one, several or nobody's.
    fn condition(&mut self, kind: &'static str) -> Vec<(String, String)> {
        let own = [
            ("identifier", "urn:mrn|A1".to_owned()),
            ("identifier", format!("urn:secret|{}", self.names.marker(self.chance))),
            ("_id", format!("«#{}»", self.names.of_kind(self.chance, kind))),
            ("_tag", format!("urn:tag|{}", self.names.marker(self.chance))),
        ];
        match self.chance.below(6) {
            at @ 0..4 => {
                let (name, value) = own[at as usize].clone();
                vec![(name.to_owned(), value)]
            }
            _ => search::condition(self.chance, self.names, kind),
        }
    }

    fn if_none_exist(&mut self, kind: &'static str) -> String {
        let pairs = self.condition(kind);
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    fn write(&mut self) -> Request {
        let body = self.resource();
        let name = self.names.of_kind(self.chance, "Observation");
        let path = format!("«{name}»");
        let mut update = body.clone();
        update["id"] = json!(format!("«#{name}»"));
        match self.chance.below(14) {
            0 | 1 => Request::with_body("POST", "Observation", &body),
            2 | 3 => Request::with_body("POST", "Observation", &body)
                .with("if-none-exist", self.if_none_exist("Observation")),
            4 => {
                let mut patient = data::chart(self.who.writes())[0].1.clone();
                patient["generalPractitioner"] = json!([]);
                drop(patient.as_object_mut().and_then(|patient| patient.remove("generalPractitioner")));
                Request::with_body("POST", "Patient", &patient).with("if-none-exist", self.if_none_exist("Patient"))
            }
            5 => Request::with_body("PUT", path, &update),
            6 => Request::with_body("PUT", path, &update)
                .with("if-match", format!("W/\"{}\"", self.chance.between(1, 3))),
            7 => Request::with_body("PUT", path, &update).with("if-none-match", "*"),
            8 => Request::with_body("PUT", "Observation", &body).asking(self.condition("Observation")),
            9 => self.patch(path),
            10 => {
                let condition = self.condition("Observation");
                self.patch("Observation".to_owned()).asking(condition)
            }
            11 => Request::new("DELETE", format!("«{}»", self.names.others(self.chance))),
            12 => Request::new("DELETE", format!("«{}»", self.names.others(self.chance))).with("if-match", "W/\"1\""),
            // By a marker of others: it must find nothing, and deletes little if it does.
            _ => {
                let tag = format!("urn:secret|{}", self.names.marker(self.chance));
                Request::new("DELETE", "Encounter").asking(vec![("identifier".to_owned(), tag)])
            }
        }
    }

    fn patch(&mut self, path: String) -> Request {
        let body = json!([{"op": "replace", "path": "/status", "value": "corrected"}]);
        let mut request = Request::with_body("PATCH", path, &body);
        request.headers = vec![("content-type", "application/json-patch+json".to_owned())];
        request
    }

    /// Batches that look, transactions whose references and conditions look.
    fn bundle(&mut self) -> Request {
        let entry = |method: &str, url: String| json!({"request": {"method": method, "url": url}});
        if self.chance.in_share(0.5) {
            let mut entries = Vec::new();
            for _ in 0..3 {
                let one = if self.chance.in_share(0.5) { self.search() } else { self.instance() };
                if one.method == "GET" {
                    entries.push(entry("GET", one.resolved(str::to_owned).path));
                }
            }
            let kind = if self.chance.in_share(0.7) { "batch" } else { "transaction" };
            let body = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
            return Request::with_body("POST", "", &body);
        }
        let mut body = self.resource();
        body["subject"] = json!({"reference": format!("Patient?{}", self.if_none_exist("Patient"))});
        let mut write = entry("POST", "Observation".to_owned());
        write["fullUrl"] = json!("urn:uuid:00000000-0000-4000-8000-000000000001");
        if self.chance.in_share(0.3) {
            write["request"]["ifNoneExist"] = json!(self.if_none_exist("Observation"));
        }
        write["resource"] = body;
        let look = entry("GET", format!("«{}»", self.names.any(self.chance)));
        let entries = if self.chance.in_share(0.2) { vec![write, look] } else { vec![write] };
        Request::with_body("POST", "", &json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    }
}

/// The sides of which nothing may be told to `who`.
pub fn hidden_from(who: Who) -> impl Iterator<Item = Side> {
    Side::ALL.into_iter().filter(move |side| !who.sees().contains(side))
}
