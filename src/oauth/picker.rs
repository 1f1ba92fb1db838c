//! `POST /choose`: the patient, and the visit, of a launch that begins at the app (SMART App Launch 2.1.0, "Launch App:
//! Standalone Launch").
//!
//! | a person may pick | and the app gets |
//! |---|---|
//! | the patient of a launch that is theirs, or of their organisation and names them, for this app or for any | access within that launch, for as long as it lives |
//! | themselves, when their account is linked with a shared Patient; no page is shown | read access to that compartment of the shared data |
//! | a shared Patient they search for, with `standalone.shared_patients = "practitioner"` and an account linked with a Practitioner | the same |
//!
//! Nobody else's: an account alone gives no access to anybody, and this server knows of no other relation between a person
//! and a patient than a launch. Shared patients are never listed without a search. Patients are looked up by the search
//! everybody uses, behind the wall of the launch or of the shared data.
//!
//! | situation | answer |
//! |---|---|
//! | a patient, or a visit, of the list | the next page, or 303 to the app with its code |
//! | search, or more of the list | the page again |
//! | something that was not offered, or cancelled | 303 to the app with `access_denied` |
//! | form too old, sent before, of another page, browser or session | 400, a page |

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::OauthState;
use super::flow::{self, Flow};
use super::form::Parameters;
use super::page::{self, Candidate, Chooser, Problem};
use super::recipient::Refusal;
use super::visitor::Visitor;
use crate::access::audit::Trail;
use crate::access::rules::{may_reach_all, own_patient};
use crate::access::{Caller, LaunchContext};
use crate::config::SharedPatients;
use crate::fhir::search::Handling;
use crate::interaction::Failure;
use crate::interaction::search::{Place, search};
use crate::store;
use crate::store::context::{ContextRow, Seeker};
use crate::store::flow::Step;
use crate::store::grant::Picked;
use crate::store::user::User;

/// A person's launches beyond these, the newest, are not offered.
const MOST_LAUNCHES: i64 = 100;
/// What is typed into a field of the search counts as far as here.
const LONGEST_TERM: usize = 200;

/// Where the picking stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pick {
    /// What the buttons of the page stand for, by their number.
    offered: Vec<Offer>,
    terms: Terms,
    /// How many of the person's launches are on earlier pages.
    skipped: usize,
    /// Where the search of shared patients goes on.
    next: Option<String>,
    pub choice: Option<Choice>,
    /// Whether the person has said which visit, or that there is none.
    visit_settled: bool,
}

/// A button.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Offer {
    context: Option<Uuid>,
    /// Bare id of a Patient or an Encounter.
    id: String,
}

/// What is searched for; empty texts are not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Terms {
    pub name: String,
    pub birthdate: String,
    pub identifier: String,
}

/// What the person has picked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// The launch in which the patient was found; `None` for the shared data.
    pub context: Option<Uuid>,
    pub patient: String,
    pub encounter: Option<String>,
}

impl Choice {
    /// As the grant keeps it.
    pub fn picked(&self) -> Picked {
        Picked { patient: self.patient.clone(), encounter: self.encounter.clone() }
    }
}

impl Terms {
    fn pairs(&self) -> Vec<(String, String)> {
        [("name", &self.name), ("birthdate", &self.birthdate), ("identifier", &self.identifier)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect()
    }
}

/// Whether the patient of this launch is the person's to pick.
pub fn is_open_to(context: &ContextRow, user: &User, named: impl FnOnce() -> bool) -> bool {
    match context.owner_user {
        Some(owner) => owner == user.id && (!context.owner_named || named()),
        None => context.owner_named && named(),
    }
}

/// Whether this person may have that shared patient.
pub fn may_have_shared(policy: SharedPatients, user: &User, patient: &str) -> bool {
    own_patient(user.fhir_user.as_deref()) == Some(patient) || may_search_shared(policy, user)
}

fn may_search_shared(policy: SharedPatients, user: &User) -> bool {
    may_reach_all(policy, user.fhir_user.as_deref())
}

/// The person as the patient, where the shared data knows them as one.
pub async fn own_record(state: &OauthState, flow: &Flow) -> Result<Option<Choice>, Refusal> {
    let Some(patient) = own_patient(flow.signed_in.user.fhir_user.as_deref()) else { return Ok(None) };
    let found = find(state, &shared(state, flow), "Patient", &[("_id".to_owned(), patient.to_owned())]).await?;
    let is_there = found.is_some_and(|found| !found.resources.is_empty());
    Ok(is_there.then(|| Choice { context: None, patient: patient.to_owned(), encounter: None }))
}

/// The patient that was picked, for the pages after that: whoever answers them sees whose chart it is.
pub async fn chosen_patient(state: &OauthState, flow: &Flow, pick: &Pick) -> Result<Option<Candidate>, Refusal> {
    let Some(choice) = &pick.choice else { return Ok(None) };
    let context = match choice.context {
        Some(id) => store::context::find(&mut *state.engine.pool.acquire().await?, id).await?,
        None => None,
    };
    let caller = context.as_ref().map_or_else(|| shared(state, flow), |context| within(state, flow, context));
    let found = find(state, &caller, "Patient", &[("_id".to_owned(), choice.patient.clone())]).await?;
    let Some(resource) = found.and_then(|found| found.resources.into_iter().next()) else { return Ok(None) };
    Ok(Some(match &context {
        Some(context) => Candidate {
            launched_at: Some(context.created_at),
            launched_from: store::client::name(&mut *state.engine.pool.acquire().await?, &context.poc_client).await?,
            ..candidate(&resource)
        },
        None => candidate(&resource),
    }))
}

/// What a page of the picker shows.
pub struct Listing {
    pub candidates: Vec<Candidate>,
    pub has_more: bool,
    /// The search was not understood.
    pub is_misunderstood: bool,
}

/// The patients to pick from, as far as this page goes; notes in `pick` what its buttons stand for.
pub async fn patients(state: &OauthState, flow: &Flow, pick: &mut Pick) -> Result<Listing, Refusal> {
    let mut listing = Listing { candidates: Vec::new(), has_more: false, is_misunderstood: false };
    pick.offered.clear();
    let size = state.engine.config.standalone.page_size;
    let terms = pick.terms.pairs();
    let mut skipped = 0;
    // A page that goes on in the shared data has shown all launches before.
    let contexts = if pick.next.is_some() { Vec::new() } else { launches(state, flow).await? };
    for context in &contexts {
        let Some(patient) = &context.patient else { continue };
        let pairs: Vec<_> = std::iter::once(("_id".to_owned(), patient.clone())).chain(terms.iter().cloned()).collect();
        let Some(found) = find(state, &within(state, flow, context), "Patient", &pairs).await? else {
            listing.is_misunderstood = true;
            return Ok(listing);
        };
        for resource in found.resources {
            if skipped < pick.skipped {
                skipped += 1;
            } else if listing.candidates.len() == size {
                listing.has_more = true;
                return Ok(listing);
            } else {
                pick.offered.push(Offer { context: Some(context.id), id: patient.clone() });
                let mut conn = state.engine.pool.acquire().await?;
                listing.candidates.push(Candidate {
                    launched_at: Some(context.created_at),
                    launched_from: store::client::name(&mut conn, &context.poc_client).await?,
                    ..candidate(&resource)
                });
            }
        }
    }
    if terms.is_empty() || !may_search_shared(state.engine.config.standalone.shared_patients, &flow.signed_in.user) {
        return Ok(listing);
    }
    let mut pairs = terms;
    pairs.push(("_count".to_owned(), size.to_string()));
    if let Some(next) = pick.next.take() {
        pairs = vec![("_page".to_owned(), next)];
    }
    let Some(found) = find(state, &shared(state, flow), "Patient", &pairs).await? else {
        listing.is_misunderstood = true;
        return Ok(listing);
    };
    for resource in found.resources {
        pick.offered.push(Offer { context: None, id: text(&resource, "id") });
        listing.candidates.push(candidate(&resource));
    }
    listing.has_more = found.next.is_some();
    pick.next = found.next;
    Ok(listing)
}

/// The visits of the patient that was picked; none when there is nothing to ask.
pub async fn visits(state: &OauthState, flow: &Flow, pick: &mut Pick) -> Result<Vec<Candidate>, Refusal> {
    pick.offered.clear();
    let Some(choice) = pick.choice.as_mut().filter(|_| !pick.visit_settled) else { return Ok(Vec::new()) };
    let context = match choice.context {
        Some(id) => store::context::find(&mut *state.engine.pool.acquire().await?, id).await?,
        None => None,
    };
    // A launch that names its visit is asked no further.
    if let Some(encounter) = context.as_ref().and_then(|context| context.encounter.clone()) {
        choice.encounter = Some(encounter);
        pick.visit_settled = true;
        return Ok(Vec::new());
    }
    let caller = context.as_ref().map_or_else(|| shared(state, flow), |context| within(state, flow, context));
    let size = state.engine.config.standalone.page_size.to_string();
    let pairs = [("patient", choice.patient.as_str()), ("_sort", "-date"), ("_count", &size)];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found = find(state, &caller, "Encounter", &pairs).await?.map(|found| found.resources).unwrap_or_default();
    pick.visit_settled = found.is_empty();
    pick.offered = found.iter().map(|one| Offer { context: choice.context, id: text(one, "id") }).collect();
    Ok(found.iter().map(visit).collect())
}

/// The person's launches with a patient, the newest first.
async fn launches(state: &OauthState, flow: &Flow) -> store::Result<Vec<ContextRow>> {
    let mut conn = state.engine.pool.acquire().await?;
    let (user, client) = (&flow.signed_in.user, &flow.recipient.client.client_id);
    let is_of_any = user.tenant == 0 && state.engine.config.context.unowned_by_any_organisation;
    let tenant = (!is_of_any).then_some(user.tenant);
    let seeker = Seeker { user: user.id, fhir_user: user.fhir_user.as_deref(), tenant };
    store::context::open_to(&mut conn, seeker, client, state.now(), MOST_LAUNCHES).await
}

/// The person, looking into the shared data.
fn shared(state: &OauthState, flow: &Flow) -> Caller {
    looking(state, flow, None, None)
}

/// The person, looking into a launch.
fn within(state: &OauthState, flow: &Flow, context: &ContextRow) -> Caller {
    let launch = LaunchContext { id: context.id, tenant: context.tenant, poc_client: context.poc_client.clone() };
    looking(state, flow, Some(launch), context.patient.as_deref())
}

fn looking(state: &OauthState, flow: &Flow, launch: Option<LaunchContext>, in_context: Option<&str>) -> Caller {
    let (client, user) = (&flow.recipient.client, &flow.signed_in.user);
    let reach = state.engine.rules.shared_patients(user.fhir_user.as_deref(), in_context);
    let mut caller = Caller::looking_for_a_patient(client.client_id.clone(), user.id, launch, reach);
    caller.leave_trail(&Trail::default());
    caller
}

/// What a search found.
struct Found {
    resources: Vec<Value>,
    next: Option<String>,
}

/// Searches; `None` when the search is not understood.
async fn find(
    state: &OauthState,
    caller: &Caller,
    kind: &str,
    pairs: &[(String, String)],
) -> Result<Option<Found>, Refusal> {
    let place = Place::Type(kind.to_owned());
    let found = search(&state.engine, caller, &place, pairs, Handling::Strict).await;
    let rows = caller.trail.rows(state.now(), caller.request_id.as_deref(), caller.address.as_deref());
    if state.engine.recorder.record(rows).await.is_err() {
        return Err(Refusal::NoList);
    }
    let bundle = match found {
        Ok(bundle) => bundle,
        // A paging link that has run out is a search that cannot go on.
        Err(Failure::BadRequest(_) | Failure::NotFound) => return Ok(None),
        Err(failure) => {
            tracing::error!(?failure, kind, "a search for the picker failed");
            return Err(Refusal::NoList);
        }
    };
    let Ok(mut bundle) = serde_json::from_str::<Value>(&bundle) else { return Err(Refusal::NoList) };
    let next = bundle["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next");
    let next = next.and_then(|link| link["url"].as_str()?.split_once("_page=")).map(|(_, token)| token.to_owned());
    let entries = bundle["entry"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let matches = entries.into_iter().filter(|entry| entry["search"]["mode"] == "match");
    Ok(Some(Found { resources: matches.map(|mut entry| entry["resource"].take()).collect(), next }))
}

fn text(resource: &Value, member: &str) -> String {
    resource[member].as_str().unwrap_or_default().to_owned()
}

/// A Patient by name, date of birth, gender and the first identifier: what tells namesakes apart.
fn candidate(patient: &Value) -> Candidate {
    let name = &patient["name"][0];
    let given = name["given"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let parts: Vec<_> = given.chain(name["family"].as_str()).collect();
    Candidate {
        title: name["text"].as_str().map_or_else(|| parts.join(" "), str::to_owned),
        born: patient["birthDate"].as_str().map(str::to_owned),
        gender: patient["gender"].as_str().map(str::to_owned),
        identifier: patient["identifier"][0]["value"].as_str().map(str::to_owned),
        ..Candidate::default()
    }
}

/// An Encounter by its type, its reason or its class, and when it began.
fn visit(encounter: &Value) -> Candidate {
    let said = [
        &encounter["type"][0]["text"],
        &encounter["type"][0]["coding"][0]["display"],
        &encounter["reasonCode"][0]["text"],
        &encounter["class"]["display"],
        &encounter["class"]["code"],
    ];
    Candidate {
        title: said.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned(),
        began: encounter["period"]["start"].as_str().map(str::to_owned),
        ..Candidate::default()
    }
}

/// The route of this page's form.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/choose", post(handler))
}

/// The page with patients.
pub fn patients_page(visitor: &Visitor, flow: &Flow, pick: &Pick, listing: &Listing, token: &str) -> Response {
    let client = flow.recipient.shown_name();
    page::chooser(&Chooser {
        terms: Some(&pick.terms),
        has_more: listing.has_more,
        is_misunderstood: listing.is_misunderstood,
        ..chooser(visitor, flow, &client, &listing.candidates, token)
    })
}

/// The page with the visits of that patient.
pub fn visits_page(
    visitor: &Visitor,
    flow: &Flow,
    patient: Option<&Candidate>,
    visits: &[Candidate],
    token: &str,
) -> Response {
    let client = flow.recipient.shown_name();
    page::chooser(&Chooser { patient, ..chooser(visitor, flow, &client, visits, token) })
}

fn chooser<'a>(
    visitor: &Visitor,
    flow: &'a Flow,
    client: &'a str,
    candidates: &'a [Candidate],
    token: &'a str,
) -> Chooser<'a> {
    Chooser {
        language: visitor.language,
        client,
        redirect_uri: &flow.recipient.redirect_uri,
        request: token,
        candidates,
        patient: None,
        terms: None,
        has_more: false,
        is_misunderstood: false,
    }
}

/// `POST /choose`.
async fn handler(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let mut flow = match flow::take(&state, &visitor, &form, Step::Choose).await {
        Ok(flow) => flow,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let Ok(said) = Said::read(&form) else { return page::problem(visitor.language, Problem::Malformed) };
    let page_size = state.engine.config.standalone.page_size;
    match flow.progress.pick.hear(said, page_size) {
        Ok(()) => flow::go_on(&state, &visitor, flow).await,
        Err(refusal) => flow::refuse(&state, &visitor, &flow, &refusal).await,
    }
}

/// What a form of the picker says.
enum Said {
    Chosen(String),
    Search(Terms),
    More,
    NoVisit,
    Cancel,
}

impl Said {
    fn read(form: &Parameters) -> Result<Self, super::form::Repeated> {
        let field =
            |name| Ok(form.one(name)?.unwrap_or_default().trim().chars().take(LONGEST_TERM).collect::<String>());
        if let Some(number) = form.one("choice")? {
            return Ok(Self::Chosen(number.to_owned()));
        }
        Ok(match form.one("action")? {
            Some("search") => Self::Search(Terms {
                name: field("name")?,
                birthdate: field("birthdate")?,
                identifier: field("identifier")?,
            }),
            Some("more") => Self::More,
            Some("no-visit") => Self::NoVisit,
            _ => Self::Cancel,
        })
    }
}

impl Pick {
    /// Takes in what was said.
    fn hear(&mut self, said: Said, page_size: usize) -> Result<(), Refusal> {
        match said {
            Said::Chosen(number) => {
                let offer = number.parse::<usize>().ok().and_then(|number| self.offered.get(number).cloned());
                let Offer { context, id } = offer.ok_or(Refusal::NotOffered)?;
                match &mut self.choice {
                    None => self.choice = Some(Choice { context, patient: id, encounter: None }),
                    Some(choice) => {
                        choice.encounter = Some(id);
                        self.visit_settled = true;
                    }
                }
            }
            Said::Search(terms) if self.choice.is_none() => *self = Self { terms, ..Self::default() },
            // More of the shared data is behind the link that the page noted.
            Said::More if self.choice.is_none() && self.next.is_none() => self.skipped += page_size,
            Said::More if self.choice.is_none() => {}
            Said::NoVisit if self.choice.is_some() => self.visit_settled = true,
            Said::Search(_) | Said::More | Said::NoVisit | Said::Cancel => return Err(Refusal::Cancelled),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offering(ids: &[&str]) -> Pick {
        let offer = |id: &&str| Offer { context: Some(Uuid::from_u128(1)), id: (*id).to_owned() };
        Pick { offered: ids.iter().map(offer).collect(), ..Pick::default() }
    }

    #[test]
    fn only_what_was_offered_can_be_chosen() {
        for number in ["2", "-1", "x", "", "18446744073709551616", "p-1"] {
            let mut pick = offering(&["p-1", "p-2"]);
            assert!(matches!(pick.hear(Said::Chosen(number.into()), 20), Err(Refusal::NotOffered)), "{number}");
        }
        let mut pick = offering(&["p-1", "p-2"]);
        pick.hear(Said::Chosen("1".into()), 20).unwrap();
        assert_eq!(pick.choice.unwrap().patient, "p-2");
    }

    #[test]
    fn what_belongs_to_another_page_cancels() {
        let mut before = offering(&["p-1"]);
        assert!(matches!(before.hear(Said::NoVisit, 20), Err(Refusal::Cancelled)));
        let mut after = offering(&["p-1"]);
        after.hear(Said::Chosen("0".into()), 20).unwrap();
        assert!(matches!(after.hear(Said::More, 20), Err(Refusal::Cancelled)));
        assert!(matches!(after.hear(Said::Search(Terms::default()), 20), Err(Refusal::Cancelled)));
        after.hear(Said::NoVisit, 20).unwrap();
        assert!(after.visit_settled);
    }

    #[test]
    fn shared_patients_are_for_themselves_and_by_policy_for_practitioners() {
        let user = |fhir_user: &str| User { fhir_user: Some(fhir_user.into()), ..User::new("u", "") };
        for (policy, user, may) in [
            (SharedPatients::None, user("Patient/1"), true),
            (SharedPatients::None, user("Patient/2"), false),
            (SharedPatients::None, user("Practitioner/1"), false),
            (SharedPatients::Practitioner, user("Practitioner/1"), true),
            (SharedPatients::Practitioner, user("PractitionerRole/1"), false),
            (SharedPatients::Practitioner, user("Patient/2"), false),
            (SharedPatients::Practitioner, User::new("u", ""), false),
        ] {
            assert_eq!(may_have_shared(policy, &user, "1"), may, "{policy:?} {:?}", user.fhir_user);
        }
    }

    #[test]
    fn a_patient_is_told_by_what_tells_namesakes_apart() {
        let patient = json!({
            "name": [{"family": "Smith", "given": ["Jane", "Ann"]}], "birthDate": "1980-01-02", "gender": "female",
            "identifier": [{"system": "urn:jhn", "value": "4711"}],
        });
        let told = candidate(&patient);
        assert_eq!(told.title, "Jane Ann Smith");
        assert_eq!((told.born.as_deref(), told.identifier.as_deref()), (Some("1980-01-02"), Some("4711")));
        assert_eq!(candidate(&json!({"name": [{"text": "Dr X", "family": "X"}]})).title, "Dr X");
        assert_eq!(candidate(&json!({})).title, "");
    }
}
