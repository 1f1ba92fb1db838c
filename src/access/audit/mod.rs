//! The audit trail as requests fill it, and who may read it (HALO R-006; IHE BALP).
//!
//! A write tells of itself in its own statement ([`crate::store::resource::put`]), what changes grants or contexts in its
//! own transaction. Everything else, above all what is read, is noted in the request's [`Trail`] by the interaction that
//! saw it, and goes to the [`Recorder`], which stores the notes of many requests in one statement. An answer leaves when
//! its notes are stored; if they cannot be, it does not leave at all (`audit.on_failure`).
//!
//! | what happened | rows |
//! |---|---|
//! | read, vread, search, history, `$everything`, `$status`, `$events`, `$validate` | one, with the patients it showed |
//! | a condition of a write | one, as of a search |
//! | entries of a batch or transaction | each as if alone |
//! | a request of somebody with a token that fails (401, 403, 404, 4xx, 5xx) | one, `refused` or `failed`, with the status |
//! | a request of a stranger that is refused (no token, a token that is not good) | one a minute of each kind, then a number |
//!
//! Decided: values of a query that could be content (names, codes, dates) are left out, hashed too: a hash of a name is
//! found by trying names. Which patients were shown is known all the same. The patients of a row are those whose record was
//! shown and those that it refers to.

mod address;
pub mod chain;
mod patients;
mod query;
mod recorder;
pub mod seal;
mod strangers;
mod trail;

pub use address::{act, address, refusal};
pub use patients::Patients;
pub use query::without_content;
pub use recorder::{NotStored, Recorder};
pub use trail::{Seen, Trail};

use super::{Caller, Denied};
use crate::{
    fhir::outcome::{IssueType, Outcome},
    smart::scope::{Letter, Level},
    store::{Wall, client::Role},
};

/// The type that the audit trail is shown as.
pub const AUDIT_EVENT: &str = "AuditEvent";

/// Leave to look at the audit trail: only [`auditor`] gives it.
#[derive(Clone, Debug)]
pub struct Auditor(Wall);

impl Auditor {
    /// Behind which wall to look: a point-of-care system's auditor sees what concerns its own organisation.
    pub const fn wall(&self) -> &Wall {
        &self.0
    }
}

/// Who may look: a backend service, or a point-of-care system by itself, whose scope names AuditEvent
/// (`system/AuditEvent.rs`).
pub fn auditor(caller: &Caller, letter: Letter) -> Result<Auditor, Denied> {
    let denied = |text: String| Err(Denied(Outcome::error(IssueType::Forbidden, text)));
    if !caller.scopes.names(Level::System, AUDIT_EVENT, letter) {
        return denied(format!("the audit trail needs a scope that names it: system/AuditEvent.{}", letter.as_char()));
    }
    match caller.role {
        Role::Service => Ok(Auditor(Wall::Auditor { tenant: None })),
        // Rows of no organisation are nobody's in particular.
        Role::Poc if caller.user_id.is_none() && caller.tenant > 0 => {
            Ok(Auditor(Wall::Auditor { tenant: Some(caller.tenant) }))
        }
        Role::Poc | Role::App => denied("the audit trail is for backend services and point-of-care systems".to_owned()),
    }
}
