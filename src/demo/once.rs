//! The whole story without a person: every step must do what HALO wants of it, or the run fails and names the step.

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use serde_json::Value;

use super::app::{App, Landing, Page};
use super::poc::{Launch, Notification};
use super::report::Report;
use super::sample;
use super::stage::Stage;

/// Where the app without a browser is sent back to. Nobody need listen there: the run reads the redirect itself.
const CALLBACK: &str = "http://127.0.0.1:1/callback";

/// A step's value and what is said about it.
type Done<T> = Result<(T, String)>;

/// Plays all steps on a stage that is up.
pub async fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    report.step("poc-token", poc_token(stage).await)?;
    let subscription = report.step("subscribe", subscribe(stage).await)?;
    report.step("handshake", handshake(stage, &subscription).await)?;
    let launch = report.step("set-context", set_context(stage).await)?;
    let mut app = report.step("discovery", discovery(stage).await)?;
    let page = report.step("launch", authorize(&mut app, &launch).await)?;
    let code = report.step("login", login(stage, &mut app, page).await)?;
    report.step("token", token(&mut app, &code, &launch).await)?;
    report.step("stranger-refused", stranger(stage, &launch).await)?;
    report.step("read", read(&app, &launch).await)?;
    let written = report.step("write", write(stage, &app, &launch).await)?;
    report.step("notified-first", notified_first(stage, &written).await)?;
    report.step("read-back", read_back(stage, &app, &written).await)?;
    report.step("refused-create", refused_create(stage, &app, &launch).await)?;
    report.step("refused-update", refused_update(stage, &app, &written).await)?;
    report.step("clear-context", clear_context(stage, &launch).await)?;
    report.step("token-dead", token_dead(&app, &written).await)?;
    report.step("data-gone", data_gone(stage, &launch, &written).await)?;
    Ok(())
}

async fn poc_token(stage: &Stage) -> Done<()> {
    stage.poc.token().await?;
    Ok(((), "client_credentials with private_key_jwt (ES384)".to_owned()))
}

async fn subscribe(stage: &Stage) -> Done<String> {
    let id = stage.subscribe().await?;
    let detail = format!("Subscription/{id}: rest-hook, full-resource");
    Ok((id, detail))
}

async fn handshake(stage: &Stage, subscription: &str) -> Done<()> {
    let handshake = stage.poc.until_active(subscription).await?;
    ensure!(handshake.numbers.is_empty(), "the handshake carries events");
    Ok(((), "the handshake came, the Subscription is active".to_owned()))
}

async fn set_context(stage: &Stage) -> Done<Launch> {
    let launch = stage.poc.set_context(None).await?;
    let locations: Vec<_> = launch.locations().collect();
    ensure!(locations.len() == 6, "six resources were sent, {} came back: {locations:?}", locations.len());
    let types: Vec<_> = locations.iter().map(|location| location.split('/').next().unwrap_or_default()).collect();
    let wanted = ["Patient", "Encounter", "Practitioner", "PractitionerRole", "Organization", "Location"];
    ensure!(types == wanted, "not in the order of the request: {types:?}");
    let detail = format!("6 resources stored; launchID of {} characters", launch.id.len());
    Ok((launch, detail))
}

async fn discovery(stage: &Stage) -> Done<App> {
    let app = App::launched(stage.http.clone(), &stage.fhir(), stage.public_client(), CALLBACK).await?;
    let detail = app.endpoint("authorization_endpoint")?.to_owned();
    Ok((app, detail))
}

async fn authorize(app: &mut App, launch: &Launch) -> Done<Page> {
    match app.authorize(&launch.id).await? {
        Landing::Login(page) => Ok((page, "PKCE S256; the login page came".to_owned())),
        Landing::Code(_) => bail!("a code came although nobody had signed in"),
        Landing::Refused(why) => bail!("the launch was refused: {why}"),
    }
}

async fn login(stage: &Stage, app: &mut App, page: Page) -> Done<String> {
    let user = stage.clinician();
    match app.sign_in(page, &user.name, &user.password).await? {
        Landing::Code(code) => Ok((code, format!("{} through the login form; back at the app with a code", user.name))),
        Landing::Refused(why) => bail!("refused: {why}"),
        Landing::Login(_) => bail!("still at a form"),
    }
}

/// The token answer holds the context's values, one by one as `$set-context` answered them.
async fn token(app: &mut App, code: &str, launch: &Launch) -> Done<()> {
    app.exchange(code).await?;
    let tokens = &app.tokens;
    let expect = |name: &str, wanted: Value| {
        ensure!(tokens[name] == wanted, "the token answer's {name} is {}, not {wanted}", tokens[name]);
        Ok(())
    };
    expect("token_type", "Bearer".into())?;
    expect("patient", launch.stored("Patient")?.into())?;
    expect("encounter", launch.stored("Encounter")?.into())?;
    expect("need_patient_banner", true.into())?;
    expect("intent", "record-vital-signs".into())?;
    expect("tenant", "maple-street-clinic".into())?;
    let reference = |resource_type: &str| -> Result<Value> {
        Ok(serde_json::json!({ "reference": format!("{resource_type}/{}", launch.stored(resource_type)?) }))
    };
    expect("fhirContext", Value::Array(vec![reference("Organization")?, reference("Location")?]))?;
    ensure!(tokens.get("fhirUser").is_none(), "fhirUser belongs into the id_token");
    ensure!(tokens["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "no expires_in");
    let claims = app.id_token().await?;
    let wanted = format!("{}/Practitioner/{}", app.iss, launch.stored("Practitioner")?);
    ensure!(claims["fhirUser"] == wanted.as_str(), "the id_token's fhirUser is {}, not {wanted}", claims["fhirUser"]);
    Ok(((), "patient, encounter, fhirContext, fhirUser and the rest are those of $set-context".to_owned()))
}

/// Another clinician cannot take the launch over.
async fn stranger(stage: &Stage, launch: &Launch) -> Done<()> {
    let (mut app, _) = discovery(stage).await?;
    let (page, _) = authorize(&mut app, launch).await?;
    let other = stage.other_clinician();
    match app.sign_in(page, &other.name, &other.password).await? {
        Landing::Refused(why) if why.starts_with("access_denied") => Ok(((), format!("{}: access_denied", other.name))),
        Landing::Refused(why) => bail!("refused, but as {why}"),
        Landing::Code(_) | Landing::Login(_) => bail!("{} was not refused", other.name),
    }
}

async fn read(app: &App, launch: &Launch) -> Done<()> {
    let id = launch.stored("Patient")?;
    let patient = app.read(&format!("Patient/{id}")).await?.expect(200)?.json()?;
    let sent = sample::resource("Patient")?;
    for member in ["name", "birthDate", "gender", "address"] {
        ensure!(patient[member] == sent[member], "Patient.{member} is {}, not {}", patient[member], sent[member]);
    }
    let doctor = format!("Practitioner/{}", launch.stored("Practitioner")?);
    let reference = &patient["generalPractitioner"][0]["reference"];
    ensure!(reference == doctor.as_str(), "the reference {reference} was not rewritten to {doctor}");
    Ok(((), format!("Patient/{id}: Jane Smith")))
}

/// What an app's write left: the created resource and when the app heard of it.
struct Written {
    resource: Value,
    id: String,
    told: std::time::Instant,
}

async fn write(stage: &Stage, app: &App, launch: &Launch) -> Done<Written> {
    let (patient, encounter) = (launch.stored("Patient")?, launch.stored("Encounter")?);
    let heart_rate = sample::heart_rate(&patient, &encounter, 72, stage.now())?;
    let answer = app.write(Method::POST, "Observation", &heart_rate).await?.expect(201)?;
    let resource = answer.json()?;
    let id = resource["id"].as_str().context("the created Observation has no id")?.to_owned();
    let location = answer.header("location");
    ensure!(location.ends_with(&format!("/Observation/{id}/_history/1")), "Location is {location:?}");
    let detail = format!("201 Observation/{id}, 72 beats/minute");
    Ok((Written { resource, id, told: answer.at }, detail))
}

async fn notified_first(stage: &Stage, written: &Written) -> Done<()> {
    let notification = stage.poc.wait_for(|seen| seen.brings("Observation", &written.id)).await?;
    ensure!(notification.kind == "event-notification", "it came as {}", notification.kind);
    ensure!(notification.numbers == [1], "its numbers are {:?}, not 1", notification.numbers);
    ensure!(notification.resources.contains(&written.resource), "it brought another content than the app was answered");
    let Some(ahead) = written.told.checked_duration_since(notification.seen) else {
        bail!("the app had its 201 before the PoC had the notification");
    };
    Ok(((), format!("event 1 reached the PoC {} µs before the app's 201", ahead.as_micros())))
}

async fn read_back(stage: &Stage, app: &App, written: &Written) -> Done<()> {
    let path = format!("Observation/{}", written.id);
    let seen_by_app = app.read(&path).await?.expect(200)?.json()?;
    let seen_by_poc = stage.poc.get(&path).await?.expect(200)?.json()?;
    ensure!(seen_by_app == written.resource, "the app reads something else than it was answered");
    ensure!(seen_by_poc == written.resource, "the PoC reads something else than the app");
    Ok(((), "app and PoC read the same version 1".to_owned()))
}

/// The PoC refuses a new resource: the app is told, and nobody finds a trace of it.
async fn refused_create(stage: &Stage, app: &App, launch: &Launch) -> Done<()> {
    let (patient, encounter) = (launch.stored("Patient")?, launch.stored("Encounter")?);
    let heart_rate = sample::heart_rate(&patient, &encounter, 300, stage.now())?;
    stage.poc.refuse_next(true);
    app.write(Method::POST, "Observation", &heart_rate).await?.expect(422)?;
    let refused = stage.poc.wait_for(|seen| !seen.accepted).await?;
    let id = refused.resources.first().and_then(|resource| resource["id"].as_str());
    let id = id.context("the refused notification brought no resource")?;
    for path in
        [format!("Observation/{id}"), format!("Observation/{id}/_history"), format!("Observation/{id}/_history/1")]
    {
        app.read(&path).await?.expect(404)?;
        stage.poc.get(&path).await?.expect(404)?;
    }
    Ok(((), "422 to the app; read, vread and history know nothing of it".to_owned()))
}

/// The PoC refuses a new version: the old one stays the only one.
async fn refused_update(stage: &Stage, app: &App, written: &Written) -> Done<()> {
    let path = format!("Observation/{}", written.id);
    let mut changed = written.resource.clone();
    changed["valueQuantity"]["value"] = 301.into();
    stage.poc.refuse_next(true);
    app.write(Method::PUT, &path, &changed).await?.expect(422)?;
    ensure!(!stage.poc.refuses_next(), "the PoC was not asked");
    let now = app.read(&path).await?.expect(200)?.json()?;
    ensure!(now == written.resource, "the refused version is read");
    let history = app.read(&format!("{path}/_history")).await?.expect(200)?.json()?;
    let versions = history["entry"].as_array().map_or(0, Vec::len);
    ensure!(versions == 1 && history["total"] == 1, "history shows {versions} versions, total {}", history["total"]);
    app.read(&format!("{path}/_history/2")).await?.expect(404)?;
    Ok(((), "422 to the app; version 1 is still the only one".to_owned()))
}

async fn clear_context(stage: &Stage, launch: &Launch) -> Done<()> {
    let answer = stage.poc.clear_context(&launch.id).await?;
    let parameters = answer["parameter"].as_array().into_iter().flatten();
    let mut outcome =
        parameters.filter(|parameter| parameter["name"] == "outcome").map(|parameter| &parameter["resource"]);
    let outcome = outcome.next_back().context("$clear-context answered no outcome")?;
    let issue = &outcome["issue"][0];
    let text = issue["diagnostics"].as_str().or_else(|| issue["details"]["text"].as_str()).unwrap_or("200");
    Ok(((), text.to_owned()))
}

async fn token_dead(app: &App, written: &Written) -> Done<()> {
    app.read(&format!("Observation/{}", written.id)).await?.expect(401)?;
    let refreshed = app.refresh().await?.expect(400)?.json()?;
    ensure!(refreshed["error"] == "invalid_grant", "the refresh token answers {}", refreshed["error"]);
    Ok(((), "access token: 401; refresh token: invalid_grant".to_owned()))
}

async fn data_gone(stage: &Stage, launch: &Launch, written: &Written) -> Done<()> {
    let mut paths = vec![format!("Observation/{}/_history/1", written.id)];
    for location in launch.locations() {
        paths.push(location.to_owned());
    }
    for path in &paths {
        let current = path.split("/_history").next().unwrap_or_default();
        for path in [current, path] {
            let answer = stage.poc.get(path).await?.expect(410)?;
            ensure!(!answer.body.contains("Smith"), "{path} still holds content");
        }
    }
    Ok(((), format!("read and vread of {} resources: 410", paths.len())))
}

impl Notification {
    /// Whether it brought this resource.
    fn brings(&self, resource_type: &str, id: &str) -> bool {
        self.resources.iter().any(|resource| resource["resourceType"] == resource_type && resource["id"] == id)
    }
}
