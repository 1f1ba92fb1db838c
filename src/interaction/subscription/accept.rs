//! create, update and delete of a Subscription by the PoC that owns it. They take the ordinary write path; this is what
//! happens beside it, in the same transaction.
//!
//! | situation | answer |
//! |---|---|
//! | any rule of the Backport guide or of this version broken | 422, every fault at its element, nothing stored |
//! | created | 201, `requested` (or `off`, if asked for); the handshake follows after the commit |
//! | updated: other channel, or asked for `requested`/`active` out of another status | `requested`; a new handshake |
//! | updated: `off` | `off`, nothing more is sent |
//! | deleted | nothing more is sent; its numbers stay known |

use std::borrow::Cow;

use time::OffsetDateTime;

use super::{
    handshake::{self, Handshake},
    show::View,
    spec_of, status_of,
};
use crate::{
    fhir::{
        outcome::{Issue, Outcome},
        resource::Resource,
    },
    interaction::{
        Engine, Failure,
        read::parsed,
        write::{Fate, Op, Planned, Written},
    },
    store::{
        Tx,
        subscription::{self as store, New, Row},
    },
    subscription::{document, header::Headers, request::Request, status::Status},
};

/// The Subscriptions among the writes of one request, judged.
#[derive(Default)]
pub(in crate::interaction) struct Accepted {
    asked: Vec<Asked>,
    handshakes: Vec<Handshake>,
}

/// What one create or update asks for.
struct Asked {
    /// Where it stands among the writes.
    index: usize,
    request: Request,
    status: Status,
    before: Option<Row>,
}

/// Judges every Subscription among `planned`, before anything is resolved. Returns the writes to go on with: the
/// Subscriptions in them carry the server's status and masked headers.
pub(in crate::interaction) async fn accept<'p>(
    tx: &mut Tx,
    engine: &Engine,
    planned: &'p [Planned],
    now: OffsetDateTime,
) -> Result<(Cow<'p, [Planned]>, Accepted), Failure> {
    let mut accepted = Accepted::default();
    let mut writes = Cow::Borrowed(planned);
    for (index, plan) in planned.iter().enumerate() {
        let before = lock(tx, plan).await?;
        let Some(resource) = plan.op.resource().filter(|resource| resource.type_name() == "Subscription") else {
            continue;
        };
        let request = Request::read(resource, engine.outbound.guard(), &engine.base, now);
        let request = request.map_err(|faults| Failure::Unprocessable(placed(&faults, plan.at.as_deref())))?;
        let spec = before.as_ref().map(spec_of).transpose()?;
        let current = before.as_ref().map(|row| status_of(row, now)).zip(spec.as_ref().map(|spec| &spec.channel));
        let status = request.next(current);
        let error = before.as_ref().and_then(|row| row.error.as_deref()).filter(|_| status == Status::Error);
        let stored = parsed(engine, &document::stored(resource, status, error))?;
        writes.to_mut()[index].op = plan.op.clone().with_resource(stored);
        accepted.asked.push(Asked { index, request, status, before });
    }
    Ok((writes, accepted))
}

/// Locks the row of the Subscription that a write changes: always before its resource, so that two never wait for each
/// other.
async fn lock(tx: &mut Tx, plan: &Planned) -> Result<Option<Row>, Failure> {
    let id = match &plan.op {
        Op::Update { id, resource, .. } if resource.type_name() == "Subscription" => id,
        Op::Delete { kind, id, .. } if kind == "Subscription" => id,
        _ => return Ok(None),
    };
    let owner = plan.permit.owner();
    let Some(client) = &owner.poc_client else { return Ok(None) };
    Ok(store::find_for_update(tx, owner.tenant, client, id).await?)
}

/// Faults of an entry are told from the Bundle's root.
fn placed(faults: &Outcome, entry: Option<&str>) -> Outcome {
    let Some(entry) = entry else { return faults.clone() };
    let issues = faults.issues().map(|issue| {
        let path = issue.expression.as_deref().unwrap_or_default();
        let rest = path.strip_prefix("Subscription").unwrap_or(path);
        Issue::clone(issue).at(format!("{entry}.resource{rest}"))
    });
    Outcome::of(issues.collect()).unwrap_or_else(|| faults.clone())
}

impl Accepted {
    /// Stores the engine's side of what was written, and gives the owner's answer its true headers.
    pub(in crate::interaction) async fn record(
        &mut self,
        tx: &mut Tx,
        engine: &Engine,
        planned: &[Planned],
        written: &mut [Written],
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        for plan in planned {
            if let (Op::Delete { kind, id, .. }, Some(client)) = (&plan.op, &plan.permit.owner().poc_client)
                && kind == "Subscription"
            {
                store::delete(tx, plan.permit.owner().tenant, client, id, now).await?;
            }
        }
        for asked in &self.asked {
            let (Some(plan), Some(written)) = (planned.get(asked.index), written.get_mut(asked.index)) else {
                continue;
            };
            if let Some(handshake) = asked.record(tx, engine, plan, written, now).await? {
                self.handshakes.push(handshake);
            }
        }
        Ok(())
    }

    /// Sends the handshakes. Only after the commit: the receiver may ask for the Subscription at once.
    pub(in crate::interaction) fn begin(self, engine: &Engine) {
        for handshake in self.handshakes {
            tokio::spawn(handshake::run(engine.clone(), handshake));
        }
    }
}

impl Asked {
    async fn record(
        &self,
        tx: &mut Tx,
        engine: &Engine,
        plan: &Planned,
        written: &mut Written,
        now: OffsetDateTime,
    ) -> Result<Option<Handshake>, Failure> {
        let owner = plan.permit.owner();
        let (Some(stored), Some(client)) = (&mut written.stored, &owner.poc_client) else { return Ok(None) };
        if written.fate == Fate::Found {
            let view = View::of(tx.conn(), engine, &plan.permit, &stored.kind, &stored.id).await?;
            stored.body = view.body(stored.version, std::mem::take(&mut stored.body));
            return Ok(None);
        }
        let (tenant, id, version) = (owner.tenant, stored.id.as_str(), stored.version);
        let lines = self.request.headers.clone();
        let sealed = self.before.as_ref().and_then(|row| row.headers.as_deref());
        let before = sealed.and_then(|sealed| Headers::open(&engine.sealer, tenant, id, sealed));
        let headers = match before {
            Some(before) => before.followed_by(lines, version),
            None => Headers::new(lines, version),
        };
        let new = New {
            tenant,
            id,
            client_id: client,
            status: self.status.as_str(),
            error: self.before.as_ref().and_then(|row| row.error.as_deref()).filter(|_| self.status == Status::Error),
            spec: serde_json::to_value(&self.request.spec).map_err(|_| Failure::Internal)?,
            headers: headers.seal(&engine.sealer, tenant, id),
            ends_at: self.request.spec.end,
        };
        store::put(tx, &new, now).await?;
        written.advice.extend(self.request.advice.iter().cloned());
        let handshake = Handshake { tenant, client: client.clone(), id: id.to_owned(), version };
        stored.body = document::shown_to_owner(&stored.body, &self.request.headers);
        Ok((self.status == Status::Requested).then_some(handshake))
    }
}

impl Op {
    /// The content it brings; none for a delete.
    pub fn resource(&self) -> Option<&Resource> {
        match self {
            Self::Create { resource, .. } | Self::Update { resource, .. } => Some(resource),
            Self::Delete { .. } | Self::Nothing => None,
        }
    }

    fn with_resource(mut self, new: Resource) -> Self {
        match &mut self {
            Self::Create { resource, .. } | Self::Update { resource, .. } => *resource = new,
            Self::Delete { .. } | Self::Nothing => {}
        }
        self
    }
}
