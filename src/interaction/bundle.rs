//! transaction and batch: `POST [base]` with a Bundle (FHIR R4 http.html#transaction).
//!
//! | situation | answer |
//! |---|---|
//! | transaction, all entries possible | 200, `transaction-response`, same order |
//! | transaction, one entry impossible | that entry's failure, nothing done |
//! | batch | 200, `batch-response`, each entry with its own status |
//! | another Bundle type, an entry without `request` | 400 |
//! | the same identity written twice in a transaction | 400 |
//!
//! The writes of a transaction are one change set on the write path: the PoC is told of all in one notification. Reads
//! are checked before and answered after the writes, so that they see them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use serde_json::{Value, json};

use super::{
    Engine, Failure, Stored,
    condition::{self, Condition},
    read, update,
    validate::{self, Verdict},
    write::{self, Expected, Fate, Op, Planned, Written},
};
use crate::{
    access::{Act, Caller, authorize},
    fhir::{
        instant,
        json::{Kind, Ref, quote},
        outcome::{IssueType, Outcome},
        reference,
        resource::Resource,
        types,
    },
};

/// What the entries of an answer carry besides their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Nothing,
    Resources,
    Outcomes,
}

/// The status line of a failure: the caller's protocol knows it.
pub type StatusOf<'a> = &'a (dyn Fn(&Failure) -> String + Send + Sync);

/// What one entry asks for.
enum Wish {
    Read { kind: String, id: String, version: Option<String> },
    Write(Box<Planned>),
}

/// What one entry got.
enum Got {
    Version(Stored),
    Written(Box<Written>),
}

/// Does the Bundle and returns the answer's JSON text.
pub async fn process(
    engine: &Engine,
    caller: &Caller,
    bundle: &Resource,
    detail: Detail,
    status: StatusOf<'_>,
) -> Result<String, Failure> {
    let root = bundle.root();
    let entries: Vec<_> = match root.get("entry") {
        None => Vec::new(),
        Some(list) if list.kind() == Kind::Array => list.items().collect(),
        Some(_) => return Err(fault(IssueType::Structure, "expected an array", "Bundle.entry")),
    };
    let most = engine.config.fhir.max_bundle_entries;
    if entries.len() > most {
        let text = format!("the Bundle has {} entries, at most {most} are taken", entries.len());
        return Err(Failure::TooLarge(Outcome::error(IssueType::TooCostly, text).at("Bundle.entry")));
    }
    match root.str("type").as_deref() {
        // Nothing is asked for, so nothing can be wrong, however the nothing is written.
        Some(kind @ ("transaction" | "batch")) if entries.is_empty() => Ok(response(&format!("{kind}-response"), &[])),
        Some("transaction") => transaction(engine, caller, bundle, &entries, detail, status).await,
        Some("batch") => batch(engine, caller, bundle, &entries, detail, status).await,
        _ => Err(fault(IssueType::Value, "the Bundle's type is transaction or batch", "Bundle.type")),
    }
}

fn fault(code: IssueType, text: impl Into<String>, at: impl Into<String>) -> Failure {
    Failure::BadRequest(Outcome::error(code, text).at(at))
}

async fn transaction(
    engine: &Engine,
    caller: &Caller,
    bundle: &Resource,
    entries: &[Ref<'_>],
    detail: Detail,
    status: StatusOf<'_>,
) -> Result<String, Failure> {
    let mut wishes = Vec::with_capacity(entries.len());
    let mut full_urls = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("Bundle.entry[{index}]");
        let mut wish = wish(engine, caller, *entry, &at)?;
        if let Wish::Write(planned) = &mut wish {
            let repeated = planned.full_url.as_ref().is_some_and(|url| !full_urls.insert(url.clone()));
            if repeated {
                return Err(fault(IssueType::Duplicate, "this fullUrl stands twice", format!("{at}.fullUrl")));
            }
            if let Op::Create { resource, .. } | Op::Update { resource, .. } = &planned.op {
                let parse = |kind: &str, query: &str| Condition::parse(engine, caller, kind, query);
                planned.lookups = condition::references(resource, &parse)?;
            }
        }
        wishes.push(wish);
    }
    for wish in &wishes {
        if let Wish::Read { .. } = wish {
            look(engine, caller, wish).await?;
        }
    }
    let planned = wishes.iter().enumerate().filter_map(|(index, wish)| match wish {
        Wish::Write(planned) => Some((index, planned.as_ref().clone())),
        Wish::Read { .. } => None,
    });
    let (writes, planned): (Vec<_>, Vec<_>) = planned.unzip();
    let verdict = validate::transaction(engine, bundle, &writes).await?;
    let written = if planned.is_empty() { Vec::new() } else { write::write(engine, caller, planned, verdict).await? };
    let mut written = written.into_iter();
    let mut answers = Vec::with_capacity(wishes.len());
    for wish in &wishes {
        let got = match wish {
            Wish::Write(_) => Ok(Got::Written(Box::new(written.next().ok_or(Failure::Internal)?))),
            // The writes are done: what cannot be read now (it was deleted here) is that entry's own answer.
            Wish::Read { .. } => look(engine, caller, wish).await,
        };
        answers.push(match got {
            Ok(got) => answer(&engine.base, got, detail),
            Err(failure) => failed(&failure, status),
        });
    }
    Ok(response("transaction-response", &answers))
}

async fn batch(
    engine: &Engine,
    caller: &Caller,
    bundle: &Resource,
    entries: &[Ref<'_>],
    detail: Detail,
    status: StatusOf<'_>,
) -> Result<String, Failure> {
    let verdicts = validate::batch(engine, bundle, entries.len()).await?;
    let mut answers = Vec::with_capacity(entries.len());
    let full_urls: HashSet<_> = entries.iter().filter_map(|entry| entry.str("fullUrl")).collect();
    for ((index, entry), verdict) in entries.iter().enumerate().zip(verdicts) {
        let at = format!("Bundle.entry[{index}]");
        answers.push(match alone(engine, caller, *entry, &at, &full_urls, verdict).await {
            Ok(got) => answer(&engine.base, got, detail),
            Err(failure) => failed(&failure, status),
        });
    }
    Ok(response("batch-response", &answers))
}

/// One entry of a batch: as if it had been sent alone.
async fn alone(
    engine: &Engine,
    caller: &Caller,
    entry: Ref<'_>,
    at: &str,
    full_urls: &HashSet<Cow<'_, str>>,
    verdict: Result<Verdict, Failure>,
) -> Result<Got, Failure> {
    match wish(engine, caller, entry, at)? {
        Wish::Write(mut planned) => {
            // Entries of a batch are independent: no reference is rewritten, and one to another entry leads nowhere.
            let own = planned.full_url.take();
            let dangling = |found: &String| {
                reference::conditional(found).is_some()
                    || (own.as_ref() != Some(found) && full_urls.contains(found.as_str()))
            };
            if let Some(found) = references(&planned).into_iter().find(dangling) {
                let text = format!("in a batch, {found} leads nowhere: entries are independent; use a transaction");
                return Err(fault(IssueType::Invalid, text, format!("{at}.resource")));
            }
            Ok(Got::Written(Box::new(write::one(engine, caller, *planned, verdict?).await?)))
        }
        read => look(engine, caller, &read).await,
    }
}

/// The literal references of what is to be written.
fn references(planned: &Planned) -> Vec<String> {
    match &planned.op {
        Op::Create { resource, .. } | Op::Update { resource, .. } => {
            reference::all(resource).into_iter().map(|found| found.reference).collect()
        }
        Op::Delete { .. } => Vec::new(),
    }
}

async fn look(engine: &Engine, caller: &Caller, wish: &Wish) -> Result<Got, Failure> {
    let Wish::Read { kind, id, version } = wish else { return Err(Failure::Internal) };
    let permit = authorize(caller, Act::Read { kind, id })?;
    let stored = match version {
        None => read::read(engine, &permit, kind, id).await?,
        Some(version) => read::vread(engine, &permit, kind, id, version).await?,
    };
    Ok(Got::Version(stored))
}

/// Reads one entry and takes its leave.
fn wish(engine: &Engine, caller: &Caller, entry: Ref<'_>, at: &str) -> Result<Wish, Failure> {
    let request = entry.get("request").filter(|request| request.kind() == Kind::Object);
    let request =
        request.ok_or_else(|| fault(IssueType::Required, "every entry has a request", format!("{at}.request")))?;
    let method = request.str("method").unwrap_or_default();
    let url = request.str("url").unwrap_or_default();
    let at_url = format!("{at}.request.url");
    let url = url.strip_prefix(&engine.base).unwrap_or(&url).trim_start_matches('/');
    if url.contains(['?', '$']) {
        let text = "searches, conditional URLs and operations are not supported in Bundles";
        return Err(fault(IssueType::NotSupported, text, at_url));
    }
    let parts: Vec<_> = url.split('/').collect();
    let kind = parts.first().copied().unwrap_or_default();
    if !types::is_resource(kind) || parts.get(1).is_some_and(|id| !types::is_id(id)) {
        return Err(fault(IssueType::Value, format!("'{url}' is not Type or Type/id of R4"), at_url));
    }
    match (method.as_ref(), parts.as_slice()) {
        ("GET" | "HEAD", [_, id]) => Ok(Wish::Read { kind: kind.into(), id: (*id).into(), version: None }),
        ("GET" | "HEAD", [_, id, "_history", version]) => {
            Ok(Wish::Read { kind: kind.into(), id: (*id).into(), version: Some((*version).into()) })
        }
        ("POST", [_]) | ("PUT" | "DELETE", [_, _]) => {
            let op = write_op(engine, caller, entry, request, kind, parts.get(1).copied(), at)?;
            let act = match &op {
                Op::Create { condition, .. } => Act::Create { kind, conditional: condition.is_some() },
                Op::Update { .. } => Act::Update { kind },
                Op::Delete { .. } => Act::Delete { kind },
            };
            let permit = authorize(caller, act)?;
            let full_url = entry.str("fullUrl").map(Cow::into_owned).filter(|url| !url.is_empty());
            Ok(Wish::Write(Box::new(Planned {
                permit,
                op,
                full_url,
                at: Some(at.to_owned()),
                lookups: BTreeMap::new(),
            })))
        }
        _ => {
            let text = format!("{method} {url} is not supported in Bundles");
            Err(fault(IssueType::NotSupported, text, format!("{at}.request.method")))
        }
    }
}

fn write_op(
    engine: &Engine,
    caller: &Caller,
    entry: Ref<'_>,
    request: Ref<'_>,
    kind: &str,
    id: Option<&str>,
    at: &str,
) -> Result<Op, Failure> {
    let is_delete = request.str("method").as_deref() == Some("DELETE");
    let if_match = match request.str("ifMatch") {
        None => None,
        Some(tag) => {
            let number = tag.trim_start_matches("W/").trim_matches('"').parse().ok();
            let text = "ifMatch holds one version as an ETag, such as W/\"3\"";
            Some(number.ok_or_else(|| fault(IssueType::Value, text, format!("{at}.request.ifMatch")))?)
        }
    };
    if let (true, Some(id)) = (is_delete, id) {
        return Ok(Op::Delete { kind: kind.to_owned(), id: id.to_owned(), if_match });
    }
    let place = format!("{at}.resource");
    let value = entry.get("resource");
    let value = value.ok_or_else(|| fault(IssueType::Required, "this entry needs a resource", &place))?;
    let resource = Resource::parse(value.raw(), &engine.limits()).map_err(|issue| Failure::from(issue.at(&place)))?;
    if resource.type_name() != kind {
        let text = format!("the URL is for {kind}, the resource is a {}", resource.type_name());
        return Err(fault(IssueType::Invalid, text, place));
    }
    if let Some(id) = id {
        update::check_id(&resource, id).map_err(|_| {
            fault(IssueType::Value, format!("the resource's id is not the URL's id '{id}'"), format!("{place}.id"))
        })?;
        let expected = if_match.map(Expected::Version);
        return Ok(Op::Update { id: id.to_owned(), resource, expected });
    }
    let condition = request.str("ifNoneExist").map(|query| Condition::parse(engine, caller, kind, &query)).transpose();
    let condition = condition
        .map_err(|failure| fault(IssueType::Value, failure.outcome().summary(), format!("{at}.request.ifNoneExist")))?;
    Ok(Op::Create { resource, condition })
}

fn answer(base: &str, got: Got, detail: Detail) -> String {
    let (status, stored, shown, outcome) = match got {
        Got::Version(stored) => ("200 OK", Some(stored), true, None),
        Got::Written(written) => {
            let status = match written.fate {
                Fate::Created => "201 Created",
                Fate::Updated | Fate::Found => "200 OK",
                Fate::Deleted => "204 No Content",
            };
            // Advice is told whether or not outcomes were asked for.
            let outcome = (detail == Detail::Outcomes || !written.advice.is_empty()).then(|| written.outcome());
            (status, written.stored, detail == Detail::Resources, outcome)
        }
    };
    let mut response = json!({"status": status});
    let Some(stored) = stored else { return format!("{{\"response\":{response}}}") };
    let (kind, id, version) = (&stored.kind, &stored.id, stored.version);
    response["location"] = Value::from(format!("{base}/{kind}/{id}/_history/{version}"));
    response["etag"] = Value::from(format!("W/\"{version}\""));
    response["lastModified"] = Value::from(instant::format(stored.updated));
    if let Some(outcome) = outcome {
        response["outcome"] = outcome.to_json();
    }
    let full_url = quote(&format!("{base}/{kind}/{id}"));
    // The stored text goes in as it is: its numbers keep their digits.
    let resource = if shown { format!(",\"resource\":{}", stored.body) } else { String::new() };
    format!("{{\"fullUrl\":{full_url}{resource},\"response\":{response}}}")
}

fn failed(failure: &Failure, status: StatusOf<'_>) -> String {
    let response = json!({"status": status(failure), "outcome": failure.outcome().to_json()});
    format!("{{\"response\":{response}}}")
}

fn response(kind: &str, answers: &[String]) -> String {
    let entries = if answers.is_empty() { String::new() } else { format!(",\"entry\":[{}]", answers.join(",")) };
    format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\"{entries}}}")
}
