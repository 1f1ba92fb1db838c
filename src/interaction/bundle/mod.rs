//! transaction and batch: `POST [base]` with a Bundle (FHIR R4 http.html#transaction).
//!
//! | situation | answer |
//! |---|---|
//! | transaction, all entries possible | 200, `transaction-response`, same order |
//! | transaction, one entry impossible | that entry's failure, nothing done |
//! | batch | 200, `batch-response`, each entry with its own status |
//! | another Bundle type, an entry without `request` | 400 |
//! | the same identity written twice in a transaction, also by conditions | 400 |
//! | a conditional reference that matches none or several of what is stored after the transaction | 412 |
//! | an operation, or a path that is none of an interaction | 400 |
//!
//! The writes of a transaction are one change set on the write path: the PoC is told of all in one notification. Reads and
//! searches are checked before and answered after the writes, so that they see them.

mod answer;
mod entry;

use std::{borrow::Cow, collections::HashSet};

use super::{
    Engine, Failure, condition, history, read, search,
    settle::{self, Ask},
    validate::{self, Verdict},
    write::Op,
};
use crate::{
    access::{Act, Caller, audit, authorize},
    fhir::{
        json::{Kind, Ref},
        outcome::{IssueType, Outcome},
        reference,
        resource::Resource,
        search::Handling,
    },
};
use answer::{Got, answer, failed, response};
use entry::{Look, Sight, Wish, wish};

/// What the entries of an answer carry besides their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Nothing,
    Resources,
    Outcomes,
}

/// The status line of a failure: the caller's protocol knows it.
pub type StatusOf<'a> = &'a (dyn Fn(&Failure) -> String + Send + Sync);

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
        if let Wish::Write(asked) = &mut wish {
            let repeated = asked.full_url.as_ref().is_some_and(|url| !full_urls.insert(url.clone()));
            if repeated {
                return Err(fault(IssueType::Duplicate, "this fullUrl stands twice", format!("{at}.fullUrl")));
            }
            if let Some(resource) = content(&asked.ask) {
                let parse = |kind: &str, query: &str| condition::Condition::parse(engine, caller, kind, query);
                asked.lookups = condition::references(resource, &parse)?;
            }
        }
        wishes.push(wish);
    }
    for wish in &wishes {
        if let Wish::Look(look) = wish {
            may_look(engine, caller, look).await?;
        }
    }
    let asked = wishes.iter().enumerate().filter_map(|(index, wish)| match wish {
        Wish::Write(asked) => Some((index, asked.as_ref().clone())),
        Wish::Look(_) => None,
    });
    let (places, asked): (Vec<_>, Vec<_>) = asked.unzip();
    let verdict = validate::transaction(engine, bundle, &places).await?;
    let written =
        if asked.is_empty() { Vec::new() } else { settle::write_all(engine, caller, &asked, verdict).await? };
    let mut written = written.into_iter();
    let mut answers = Vec::with_capacity(wishes.len());
    for (wish, entry) in wishes.iter().zip(entries) {
        let got = match wish {
            Wish::Write(_) => Ok(Got::Written(Box::new(written.next().ok_or(Failure::Internal)?))),
            // The writes are done: what cannot be read now (it was deleted here) is that entry's own answer.
            Wish::Look(look) => self::look(engine, caller, look).await,
        };
        answers.push(match got {
            Ok(got) => answer(&engine.base, got, detail),
            Err(failure) => {
                note(engine, caller, *entry, &status(&failure));
                failed(&failure, status)
            }
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
            Err(failure) => {
                note(engine, caller, *entry, &status(&failure));
                failed(&failure, status)
            }
        });
    }
    Ok(response("batch-response", &answers))
}

/// Tells the audit trail that an entry failed, with the status that it is answered with.
fn note(engine: &Engine, caller: &Caller, entry: Ref<'_>, status: &str) {
    let Some(request) = entry.get("request") else { return };
    let (method, url) = (request.str("method").unwrap_or_default(), request.str("url").unwrap_or_default());
    let path = url.strip_prefix(&engine.base).unwrap_or(&url).split('?').next().unwrap_or_default();
    caller.trail.note(audit::refusal(&method, path, status.split(' ').next().unwrap_or_default()));
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
        Wish::Write(mut asked) => {
            // Entries of a batch are independent: no reference is rewritten, and one to another entry leads nowhere.
            let own = asked.full_url.take();
            let dangling = |found: &String| {
                reference::conditional(found).is_some()
                    || (own.as_ref() != Some(found) && full_urls.contains(found.as_str()))
            };
            let references = content(&asked.ask).map(reference::all).unwrap_or_default();
            if let Some(found) = references.into_iter().map(|found| found.reference).find(dangling) {
                let text = format!("in a batch, {found} leads nowhere: entries are independent; use a transaction");
                return Err(fault(IssueType::Invalid, text, format!("{at}.resource")));
            }
            // Its answers are its own: a 404 is a 404.
            asked.at = None;
            Ok(Got::Written(Box::new(settle::write(engine, caller, *asked, verdict?).await?)))
        }
        Wish::Look(look) => self::look(engine, caller, &look).await,
    }
}

/// The content that an entry brings.
const fn content(ask: &Ask) -> Option<&Resource> {
    match ask {
        Ask::Plain(Op::Create { resource, .. } | Op::Update { resource, .. }) | Ask::Update { resource, .. } => {
            Some(resource)
        }
        Ask::Plain(Op::Delete { .. } | Op::Nothing) | Ask::Delete { .. } | Ask::Patch { .. } => None,
    }
}

/// Fails where the entry could not be answered before the writes of its transaction either.
async fn may_look(engine: &Engine, caller: &Caller, look: &Look) -> Result<(), Failure> {
    match &look.at {
        Sight::Search { place, pairs } => search::check(engine, caller, place, pairs),
        // What is not there may be made by this transaction only under an id that nobody can know yet.
        Sight::Read { .. } | Sight::Version { .. } => self::look(engine, caller, look).await.map(drop),
        Sight::History { kind, id, pairs } => {
            history::check(engine, caller, history_of(kind.as_deref(), id.as_deref()), pairs).await
        }
    }
}

async fn look(engine: &Engine, caller: &Caller, look: &Look) -> Result<Got, Failure> {
    let got = seen(engine, caller, &look.at).await?;
    Ok(if look.is_head { got.without_body() } else { got })
}

async fn seen(engine: &Engine, caller: &Caller, at: &Sight) -> Result<Got, Failure> {
    match at {
        Sight::Read { kind, id, unless, pairs } => {
            let permit = authorize(caller, Act::Read { kind, id })?;
            let stored = read::read(engine, &permit, kind, id).await?;
            let stored = read::part(engine, stored, pairs)?;
            Ok(if unless.holds(&stored) { Got::Unchanged(stored) } else { Got::Version(stored) })
        }
        Sight::Version { kind, id, version, pairs } => {
            let permit = authorize(caller, Act::Read { kind, id })?;
            let stored = read::vread(engine, &permit, kind, id, version).await?;
            Ok(Got::Version(read::part(engine, stored, pairs)?))
        }
        Sight::Search { place, pairs } => {
            Ok(Got::Bundle(search::search(engine, caller, place, pairs, Handling::Lenient).await?))
        }
        Sight::History { kind, id, pairs } => {
            let place = history_of(kind.as_deref(), id.as_deref());
            Ok(Got::Bundle(history::history(engine, caller, place, pairs, Handling::Lenient).await?))
        }
    }
}

const fn history_of<'a>(kind: Option<&'a str>, id: Option<&'a str>) -> history::Place<'a> {
    match (kind, id) {
        (Some(kind), Some(id)) => history::Place::Instance { kind, id },
        (Some(kind), None) => history::Place::Type(kind),
        _ => history::Place::System,
    }
}
