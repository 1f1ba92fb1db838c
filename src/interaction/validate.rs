//! Validation of what is to be written, and the operation `$validate` (FHIR R4 resource-operation-validate.html).
//!
//! No write goes on without a [`Verdict`], and only this module makes one: [`write`](super::write) demands it.
//!
//! | situation | answer |
//! |---|---|
//! | conforms to R4, the profile of its type and the profiles it claims | a verdict, with the warnings for the client |
//! | any error | 422, every issue with its FHIRPath from the request's root |
//! | `$validate` | 200 and an OperationOutcome, whatever it says |

use crate::{
    access::Permit,
    fhir::{
        outcome::{Issue, IssueType, Outcome, Severity},
        resource::Resource,
        tree::Tree,
    },
    interaction::{Engine, Failure, read},
};

/// Documents longer than this are checked on a thread of their own, so that they delay nobody else.
const LONG: usize = 32 * 1024;

/// The word of the validator on the resources of one request, in their order.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// For each write, what its client should know although it may go on.
    pub(super) advice: Vec<Vec<Issue>>,
}

impl Verdict {
    /// What the clients should know, all together.
    pub(super) fn into_advice(self) -> Vec<Issue> {
        self.advice.into_iter().flatten().collect()
    }

    /// Content that is made while the write is settled is checked there ([`super::settle`]).
    pub const fn of_settled_content() -> Self {
        Self { advice: Vec::new() }
    }

    /// A delete brings no content.
    pub const fn of_a_delete() -> Self {
        Self { advice: Vec::new() }
    }
}

/// Checks one resource.
pub async fn one(engine: &Engine, resource: &Resource) -> Result<Verdict, Failure> {
    Ok(Verdict { advice: vec![accepted(issues(engine, resource, None).await?)?] })
}

/// Checks a transaction Bundle as a whole, so that references between its entries are understood. `writes` are the indices
/// of the entries that are written, in the order of the writes.
pub async fn transaction(engine: &Engine, bundle: &Resource, writes: &[usize]) -> Result<Verdict, Failure> {
    let advice = accepted(issues(engine, bundle, None).await?)?;
    Ok(Verdict { advice: by_entry(advice, writes) })
}

/// Checks a batch Bundle of `count` entries: each entry has a verdict of its own. A fault of the Bundle itself fails the
/// whole; what its invariants say of all entries together does not, for the entries are independent.
pub async fn batch(engine: &Engine, bundle: &Resource, count: usize) -> Result<Vec<Result<Verdict, Failure>>, Failure> {
    let mut entries = vec![Vec::new(); count];
    let mut faults = Vec::new();
    for issue in issues(engine, bundle, None).await? {
        match entry_of(&issue).and_then(|index| entries.get_mut(index)) {
            Some(entry) => entry.push(issue),
            None if is_error(&issue) && issue.code != IssueType::Invariant => faults.push(issue),
            None => {}
        }
    }
    if let Some(outcome) = Outcome::of(faults) {
        return Err(Failure::Unprocessable(outcome));
    }
    Ok(entries.into_iter().map(|issues| Ok(Verdict { advice: vec![accepted(issues)?] })).collect())
}

/// Checks a `$set-context` request: what is wrong with the request itself is 400, with a resource in it 422. Returns the
/// warnings.
pub async fn set_context(engine: &Engine, request: &Resource) -> Result<Vec<Issue>, Failure> {
    let (errors, rest): (Vec<_>, Vec<_>) = issues(engine, request, None).await?.into_iter().partition(is_error);
    let (inside, outside): (Vec<_>, Vec<_>) = errors.into_iter().partition(is_in_entry_resource);
    if let Some(outcome) = Outcome::of(outside) {
        return Err(Failure::BadRequest(outcome));
    }
    match Outcome::of(inside) {
        Some(outcome) => Err(Failure::Unprocessable(outcome)),
        None => accepted(rest),
    }
}

/// What `$validate` is asked for: `mode` of the R4 value set resource-validation-mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// No mode: the content alone.
    #[default]
    Content,
    Create,
    Update,
    Delete,
    /// Against the profile that was named.
    Profile,
}

impl Mode {
    /// The mode with this code.
    pub fn parse(code: &str) -> Result<Self, Failure> {
        Ok(match code {
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "profile" => Self::Profile,
            other => {
                let text = format!("mode '{other}' is none of create, update, delete, profile");
                return Err(Failure::bad_request(IssueType::Value, text));
            }
        })
    }
}

/// A `$validate` request.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    /// The resource; `None` at the instance level means the stored one.
    pub resource: Option<Resource>,
    pub mode: Mode,
    /// Canonical of a profile to check against besides.
    pub profile: Option<&'a str>,
}

/// `POST [base]/[type]/$validate`
pub async fn type_level(engine: &Engine, kind: &str, question: Question<'_>) -> Result<Outcome, Failure> {
    match question.mode {
        Mode::Update | Mode::Delete => {
            let text = "the modes update and delete are for an existing resource: POST [base]/[type]/[id]/$validate";
            Err(Failure::bad_request(IssueType::Invalid, text))
        }
        Mode::Content | Mode::Create | Mode::Profile => {
            let resource = question.resource.as_ref().ok_or_else(|| {
                Failure::bad_request(IssueType::Required, "expected a resource, alone or as the parameter 'resource'")
            })?;
            judged(engine, kind, resource, &question, None).await
        }
    }
}

/// `POST [base]/[type]/[id]/$validate`. The stored resource must be readable with `permit`.
pub async fn instance_level(
    engine: &Engine,
    permit: &Permit,
    (kind, id): (&str, &str),
    question: Question<'_>,
) -> Result<Outcome, Failure> {
    let stored = read::read(engine, permit, kind, id).await?;
    match (&question.resource, question.mode) {
        (_, Mode::Create) => {
            let text = format!("{kind}/{id} exists already: the mode create is for POST [base]/{kind}/$validate");
            Err(Failure::bad_request(IssueType::Invalid, text))
        }
        (_, Mode::Delete) => Ok(Issue::information(format!("{kind}/{id} is there and may be deleted")).into()),
        (Some(resource), _) => judged(engine, kind, resource, &question, Some(id)).await,
        (None, Mode::Update) => Err(Failure::bad_request(IssueType::Required, "the mode update needs a resource")),
        (None, _) => {
            let resource = read::parsed(engine, &stored.body)?;
            judged(engine, kind, &resource, &question, None).await
        }
    }
}

async fn judged(
    engine: &Engine,
    kind: &str,
    resource: &Resource,
    question: &Question<'_>,
    id: Option<&str>,
) -> Result<Outcome, Failure> {
    if question.mode == Mode::Profile && question.profile.is_none() {
        return Err(Failure::bad_request(IssueType::Required, "the mode profile needs the parameter 'profile'"));
    }
    let mut issues = Vec::new();
    if resource.type_name() != kind {
        let text = format!("the URL is for {kind}, the resource is a {}", resource.type_name());
        issues.push(Issue::error(IssueType::Invalid, text).at(resource.type_name()));
    }
    if let Some(id) = id.filter(|id| question.mode == Mode::Update && resource.id().as_deref() != Some(id)) {
        let text = format!("an update of {kind}/{id} carries that id");
        issues.push(Issue::error(IssueType::Value, text).at(format!("{}.id", resource.type_name())));
    }
    issues.extend(self::issues(engine, resource, question.profile).await?);
    let fine = || Issue::information("no issues: the resource is valid").into();
    Ok(Outcome::of(issues).unwrap_or_else(fine))
}

/// All issues of a document.
async fn issues(engine: &Engine, resource: &Resource, profile: Option<&str>) -> Result<Vec<Issue>, Failure> {
    if resource.text().len() <= LONG {
        return Ok(checked(engine, resource, profile));
    }
    let (engine, resource, profile) = (engine.clone(), resource.clone(), profile.map(str::to_owned));
    let work = tokio::task::spawn_blocking(move || checked(&engine, &resource, profile.as_deref()));
    work.await.map_err(|error| {
        tracing::error!(%error, "a validation ended without a result");
        Failure::Internal
    })
}

fn checked(engine: &Engine, resource: &Resource, profile: Option<&str>) -> Vec<Issue> {
    engine.validator.check_against(&Tree::of_resource(resource.doc()), profile.as_slice())
}

/// The warnings, if nothing is worse; otherwise 422 with everything.
fn accepted(mut issues: Vec<Issue>) -> Result<Vec<Issue>, Failure> {
    // dom-6 only recommends a narrative; nobody waits to hear so after every write.
    issues.retain(|issue| !issue.text.starts_with("dom-6:"));
    if issues.iter().any(is_error) {
        return Outcome::of(issues).map_or(Ok(Vec::new()), |outcome| Err(Failure::Unprocessable(outcome)));
    }
    Ok(issues.into_iter().filter(|issue| issue.severity == Severity::Warning).collect())
}

fn is_error(issue: &Issue) -> bool {
    issue.severity >= Severity::Error
}

/// Advice on the entries of a Bundle, by entry.
fn by_entry(advice: Vec<Issue>, writes: &[usize]) -> Vec<Vec<Issue>> {
    let mut told = vec![Vec::new(); writes.len()];
    for issue in advice {
        let index = entry_of(&issue).and_then(|index| writes.binary_search(&index).ok());
        if let Some(told) = index.and_then(|index| told.get_mut(index)) {
            told.push(issue);
        }
    }
    told
}

/// The index of the entry of a Bundle that an issue is about.
fn entry_of(issue: &Issue) -> Option<usize> {
    issue.expression.as_deref()?.strip_prefix("Bundle.entry[")?.split_once(']')?.0.parse().ok()
}

/// Whether an issue is about a resource in the Bundle of a `$set-context` request.
fn is_in_entry_resource(issue: &Issue) -> bool {
    let path = issue.expression.as_deref().unwrap_or_default();
    let entry = path.split_once("].resource.entry[").and_then(|(_, entry)| entry.split_once(']'));
    entry.is_some_and(|(_, rest)| rest == ".resource" || rest.starts_with(".resource."))
}
