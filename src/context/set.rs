//! `POST [base]/$set-context` (HALO CA:SoFA-1).
//!
//! | situation | answer |
//! |---|---|
//! | stored | 200, `Parameters` with `launchID`, `resourcesResponse`, `outcome` |
//! | Parameters or Bundle shape | 400, every fault with its FHIRPath |
//! | a resource against R4, the profile of its type or one it claims | 422, every issue with its FHIRPath |
//! | references, types, appID, patient and encounter that do not agree | 422, every fault |
//! | no active Subscription of this PoC | 422 |
//! | `ifNoneExist` matches several | 412 |
//! | the same `Idempotency-Key` again | the first answer; 422 with another body |
//!
//! All or nothing, in one transaction: resources, links, context. The PoC's own creates notify nobody.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    input::Input,
    rules::{self, Links, Target},
};
use crate::{
    access::{Caller, Permit, audit::Seen},
    fhir::{
        HALO, instant,
        json::Ref,
        outcome::{Issue, IssueType, Outcome},
        reference,
        resource::Resource,
    },
    id,
    interaction::{
        Engine, Failure,
        condition::Condition,
        read::parsed,
        validate,
        write::{self, Fate, Keys, Op, Patience, Planned, Written},
    },
    store::{self, Tx, audit, context::ContextRow, idempotency, intent},
};

/// How long an answer is kept for retries with the same `Idempotency-Key`.
pub const KEPT: Duration = Duration::hours(24);

/// A request with its optional `Idempotency-Key`.
pub struct Request<'a> {
    pub body: &'a Resource,
    pub idempotency_key: Option<&'a str>,
}

/// Sets a context and returns the answer's JSON text.
pub async fn set(engine: &Engine, caller: &Caller, permit: &Permit, request: Request<'_>) -> Result<String, Failure> {
    let key = request.idempotency_key.map(|key| Key {
        key: id::token_digest(key),
        request: id::token_digest(request.body.text()),
        client: &caller.client_id,
    });
    if let Some(key) = &key
        && let Some(answer) = key.first_answer(engine).await?
    {
        let detail = Some("the first answer to this Idempotency-Key".to_owned());
        permit.trail().note(Seen { action: "set-context", target: "$set-context".into(), detail, ..Seen::default() });
        return Ok(answer);
    }
    let condition = |kind: &str, query: &str| Condition::parse_under(engine, permit, kind, query);
    let most = engine.config.fhir.max_bundle_entries;
    let mut input = Input::read(request.body, &engine.limits(), most, &condition)?;
    input.advice = validate::set_context(engine, request.body).await?;
    let mut patience = Patience::new(engine);
    loop {
        match attempt(engine, caller, permit, &input, key.as_ref()).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => patience.wait(engine).await?,
            Err(failure @ Failure::Conflict(_)) => match &key {
                // Another request with this key was first: its answer is this one's.
                Some(key) => return key.first_answer(engine).await?.ok_or(failure),
                None => return Err(failure),
            },
            Err(other) => return Err(other),
        }
    }
}

struct Key<'a> {
    key: Vec<u8>,
    request: Vec<u8>,
    client: &'a str,
}

impl Key<'_> {
    fn purpose(&self) -> String {
        format!("idempotency.answer:{}", self.client)
    }

    async fn first_answer(&self, engine: &Engine) -> Result<Option<String>, Failure> {
        let mut conn = engine.pool.acquire().await?;
        let since = engine.now() - KEPT;
        let Some(kept) = idempotency::find(&mut conn, self.client, &self.key, since).await? else { return Ok(None) };
        if kept.request_digest != self.request {
            let text = "this Idempotency-Key was used with another request";
            return Err(Failure::Unprocessable(Outcome::error(IssueType::BusinessRule, text)));
        }
        let answer = engine.sealer.open(&self.purpose(), &kept.answer).ok().and_then(|a| String::from_utf8(a).ok());
        answer.map(Some).ok_or(Failure::Internal)
    }

    async fn keep(
        &self,
        tx: &mut Tx,
        engine: &Engine,
        context: Uuid,
        answer: &str,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let sealed = engine.sealer.seal(&self.purpose(), answer.as_bytes());
        let since = now - KEPT;
        Ok(idempotency::insert(tx, self.client, &self.key, &self.request, context, &sealed, now, since).await?)
    }
}

/// One try; `None` when a key of a conditional create is held by a waiting write, or what was found was cleared meanwhile.
async fn attempt(
    engine: &Engine,
    caller: &Caller,
    permit: &Permit,
    input: &Input,
    key: Option<&Key<'_>>,
) -> Result<Option<String>, Failure> {
    let context_id = id::new_uuid();
    let mut tx = store::begin_behind(&engine.pool, permit.wall()).await?;
    let mut issues = Vec::new();
    let links = rules::check(&mut tx, engine, permit, input, &mut issues).await?;
    unprocessable(std::mem::take(&mut issues))?;
    let entries = input.entries.as_deref().unwrap_or_default();
    let owned = permit.clone().for_context(context_id);
    let planned: Vec<_> = entries
        .iter()
        .map(|entry| Planned {
            permit: owned.clone(),
            op: Op::Create {
                resource: entry.resource.clone(),
                condition: entry.condition.clone().map(Box::new),
                only_new: false,
            },
            full_url: Some(entry.full_url.clone()),
            at: Some(entry.at.clone()),
            lookups: entry.lookups.clone(),
        })
        .collect();
    let keys = Keys::of(&planned)?;
    if !keys.lock(&mut tx, None).await? {
        return Ok(None);
    }
    let now = engine.now();
    let resolved = write::resolve(&mut tx, engine, &planned, now).await?;
    let stored = Stored { written: &resolved.written, engine };
    agreement(&stored, input, &links, &mut issues)?;
    unprocessable(issues)?;
    precondition(&mut tx, caller, now).await?;
    let launch_id = id::random_token();
    let context = context(&mut tx, &stored, caller, permit, input, &links, context_id, now).await?;
    store::context::insert(&mut tx, &context, &id::token_digest(&launch_id)).await?;
    write::commit(&mut tx, engine, caller, &resolved, &keys, now).await?;
    if !link(&mut tx, context_id, &resolved.written, links).await? {
        return Ok(None);
    }
    let answer = answer(engine, &launch_id, input, &resolved.written).to_string();
    if let Some(key) = key {
        key.keep(&mut tx, engine, context_id, &answer, now).await?;
    }
    let detail = format!("{} resources", resolved.changes.len());
    let entry = audit::Entry {
        action: "context-set",
        outcome: "success",
        context: Some(context_id),
        tenant: context.tenant,
        detail: Some(&detail),
        patients: context.patient.as_slice(),
        ..caller.entry()
    };
    audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(Some(answer))
}

fn unprocessable(issues: Vec<Issue>) -> Result<(), Failure> {
    Outcome::of(issues).map_or(Ok(()), |outcome| Err(Failure::Unprocessable(outcome)))
}

async fn precondition(tx: &mut Tx, caller: &Caller, now: OffsetDateTime) -> Result<(), Failure> {
    if intent::has_subscriber(tx.conn(), &caller.client_id, now).await? {
        return Ok(());
    }
    let text = format!(
        "this client has no active Subscription to {HALO}/SubscriptionTopic/sofa-content-update; first POST a \
         Subscription with that criteria and wait until its status is active"
    );
    Err(Failure::Unprocessable(Outcome::error(IssueType::BusinessRule, text)))
}

/// The request's targets as they will be stored.
struct Stored<'a> {
    written: &'a [Written],
    engine: &'a Engine,
}

impl Stored<'_> {
    /// `(type, id, content)` of a target.
    fn find(&self, target: &Target) -> Result<(String, String, Resource), Failure> {
        let (kind, id, body) = match target {
            Target::Entry(index) => {
                let stored = self.written.get(*index).and_then(|written| written.stored.as_ref());
                let stored = stored.ok_or(Failure::Internal)?;
                (&stored.kind, &stored.id, stored.body.as_str())
            }
            Target::Stored(row) => (&row.r#type, &row.id, row.body.as_deref().unwrap_or_default()),
        };
        Ok((kind.clone(), id.clone(), parsed(self.engine, body)?))
    }
}

/// The encounter must be the patient's, when both are given.
fn agreement(stored: &Stored<'_>, input: &Input, links: &Links, issues: &mut Vec<Issue>) -> Result<(), Failure> {
    let (Some(patient), Some(encounter)) = (&links.patient, &links.encounter) else { return Ok(()) };
    let (_, patient, _) = stored.find(patient)?;
    let (.., encounter) = stored.find(encounter)?;
    let subject = encounter.root().at("subject.reference").into_iter().find_map(Ref::as_str);
    let subject = subject.and_then(|subject| reference::local(&subject, &stored.engine.base));
    if subject != Some(("Patient".to_owned(), patient)) {
        let at = input.encounter.as_ref().map(|pointer| pointer.at.clone()).unwrap_or_default();
        let text = "the subject of the encounter in context is not the patient in context";
        issues.push(Issue::error(IssueType::BusinessRule, text).at(at));
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "a row from all that is known")]
async fn context(
    tx: &mut Tx,
    stored: &Stored<'_>,
    caller: &Caller,
    permit: &Permit,
    input: &Input,
    links: &Links,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<ContextRow, Failure> {
    let bare = |target: &Option<Target>| target.as_ref().map(|t| stored.find(t).map(|(_, id, _)| id)).transpose();
    let mut fhir_context = Vec::new();
    for target in &links.fhir_context {
        let (kind, id, _) = stored.find(target)?;
        fhir_context.push(format!("{kind}/{id}"));
    }
    let (fhir_user, owner_identifiers) = match &links.fhir_user {
        None => (None, Vec::new()),
        Some(target) => {
            let (user, identifiers) = person(tx, stored, permit, target).await?;
            (Some(user), identifiers)
        }
    };
    Ok(ContextRow {
        id,
        tenant: permit.owner().tenant,
        poc_client: caller.client_id.clone(),
        app_id: input.app_id.as_ref().map(|app| app.reference.clone()),
        patient: bare(&links.patient)?,
        encounter: bare(&links.encounter)?,
        fhir_context,
        fhir_user,
        need_patient_banner: input.need_patient_banner,
        intent: input.intent.clone(),
        smart_style_url: input.smart_style_url.clone(),
        launch_tenant: input.tenant.clone(),
        owner_user: caller.user_id,
        owner_named: input.fhir_user.is_some(),
        owner_identifiers,
        created_at: now,
        expires_at: now + stored.engine.config.context.ttl,
        cleared_at: None,
    })
}

/// The launching person: `Type/id` and identifiers. A PractitionerRole stands for its Practitioner, where that is known
/// (clients know the type Practitioner better), with the identifiers of both.
async fn person(
    tx: &mut Tx,
    stored: &Stored<'_>,
    permit: &Permit,
    target: &Target,
) -> Result<(String, Vec<(String, String)>), Failure> {
    let (kind, id, resource) = stored.find(target)?;
    let mut identifiers = resource.identifiers();
    let mut user = format!("{kind}/{id}");
    if kind == "PractitionerRole" {
        let practitioner = resource.root().at("practitioner.reference").into_iter().find_map(Ref::as_str);
        let practitioner = practitioner.and_then(|one| reference::local(&one, &stored.engine.base));
        if let Some((kind, id)) = practitioner.filter(|(kind, _)| kind == "Practitioner") {
            let new = stored.written.iter().filter_map(|written| written.stored.as_ref());
            let new = new.filter(|one| one.kind == kind && one.id == id).map(|one| one.body.clone()).next();
            let body = match new {
                Some(body) => Some(body),
                None => store::resource::current(tx.conn(), permit.visible(), &kind, &id).await?.and_then(|r| r.body),
            };
            if let Some(body) = body {
                identifiers.extend(parsed(stored.engine, &body)?.identifiers());
                user = format!("{kind}/{id}");
            }
        }
    }
    // An identifier without a system identifies nobody beyond one document.
    identifiers.retain(|(system, _)| !system.is_empty());
    Ok((user, identifiers))
}

/// What was found rather than made becomes visible in the context, without belonging to it. `false` when some of it was
/// cleared meanwhile.
async fn link(tx: &mut Tx, context: Uuid, written: &[Written], links: Links) -> Result<bool, Failure> {
    let mut targets = links.stored;
    for one in written.iter().filter(|one| one.fate == Fate::Found && one.tenant != 0) {
        if let Some(stored) = &one.stored {
            targets.insert((one.tenant, stored.kind.clone(), stored.id.clone()));
        }
    }
    if targets.is_empty() {
        return Ok(true);
    }
    Ok(store::resource::link(tx, context, &targets.into_iter().collect::<Vec<_>>()).await?)
}

fn answer(engine: &Engine, launch_id: &str, input: &Input, written: &[Written]) -> Value {
    let mut parameters = vec![json!({"name": "launchID", "valueString": launch_id})];
    if input.entries.is_some() {
        let entries: Vec<_> = written.iter().filter_map(|one| entry(engine, one)).collect();
        let profile = format!("{HALO}/StructureDefinition/set-context-transaction-response-bundle");
        let mut bundle =
            json!({"resourceType": "Bundle", "meta": {"profile": [profile]}, "type": "transaction-response"});
        if !entries.is_empty() {
            bundle["entry"] = Value::Array(entries);
        }
        parameters.push(json!({"name": "resourcesResponse", "resource": bundle}));
    }
    let outcome = Outcome::from(Issue::information("the context was set")).followed_by(input.advice.iter().cloned());
    parameters.push(json!({"name": "outcome", "resource": outcome.to_json()}));
    let profile = format!("{HALO}/StructureDefinition/set-context-output-parameters");
    json!({"resourceType": "Parameters", "meta": {"profile": [profile]}, "parameter": parameters})
}

fn entry(engine: &Engine, written: &Written) -> Option<Value> {
    let stored = written.stored.as_ref()?;
    let (kind, id, version) = (&stored.kind, &stored.id, stored.version);
    let status = if written.fate == Fate::Found { "200 OK" } else { "201 Created" };
    Some(json!({
        "fullUrl": format!("{}/{kind}/{id}", engine.base),
        "response": {
            "status": status,
            "location": format!("{kind}/{id}/_history/{version}"),
            "etag": format!("W/\"{version}\""),
            "lastModified": instant::format(stored.updated),
        },
    }))
}
