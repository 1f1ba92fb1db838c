//! From a good authorization request to its code: the pages in between, and what each waits for.
//!
//! | page | shown when | file |
//! |---|---|---|
//! | sign-in | nobody suitable is signed in | [`super::login`], with the pages of [`super::local`] or [`super::federation`] |
//! | "continue as …?" | the launch is nobody's yet, or names the person but is of another organisation, and the person did not sign in for it just now | [`super::continue_as`] |
//! | choose | the app began the launch, and asks for a patient | [`super::picker`] |
//! | consent | the client's policy, or the app, asks for it | [`super::consent`] |
//!
//! The page of granted access ([`super::manage`]) has a form of the same kind, and a sign-in of its own.
//!
//! A row of `login_request` is the only state: which page, who has signed in, what was said so far. A form works when its
//! token, the browser's cookie, the page and, once somebody has signed in, the session cookie all fit that row; it moves
//! the row on, or uses it up together with making the code. Each page has a token of its own: of two posts of one page only
//! one does anything, and a button of a page that was left, whatever it stood for there, does nothing. Tokens of forms are
//! in bodies only, never in an address.

use axum::http::HeaderValue;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::Duration;

use super::approval::{self, Approval, Judged, SignedIn};
use super::authorize::{AuthorizationRequest, find_client};
use super::consent::{self, Agreement};
use super::form::Parameters;
use super::logout::After;
use super::page::{self, Problem};
use super::picker::Pick;
use super::recipient::{self, Recipient, Refusal};
use super::visitor::Visitor;
use super::{OauthState, continue_as, cookie, picker, session};
use crate::id::{random_token, token_digest};
use crate::smart::client::redirect_is_registered;
use crate::smart::scope::ScopeSet;
use crate::store;
use crate::store::flow::{Form, Stage, Step, Waiting};

/// How long a form waits for its person, over all its pages.
const FORM_LIFE: Duration = Duration::minutes(10);

/// What a person signs in for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To let an app in.
    Authorize(AuthorizationRequest),
    /// To see what apps may do.
    Manage,
    /// To sign out, and to go there.
    Logout(After),
}

/// What the person has said so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// That it is they who sit there, by signing in for this request or by saying so.
    pub present: bool,
    /// Where picking a patient stands.
    pub pick: Pick,
    /// The scopes that the consent page listed.
    pub shown: Option<String>,
}

/// Whether pages may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    Ask,
    /// `prompt=none`
    OnlyAnswer,
}

/// An authorization request whose user is known.
pub struct Flow {
    /// The token of its form and the page it stands on, once there is a form.
    form: Option<(String, Step)>,
    pub request: AuthorizationRequest,
    pub recipient: Recipient,
    pub signed_in: SignedIn,
    pub progress: Progress,
    /// What the person answered on the consent page, just now.
    pub agreement: Option<Agreement>,
}

impl Flow {
    /// A request that finds its user signed in already.
    pub fn begin(request: AuthorizationRequest, recipient: Recipient, signed_in: SignedIn) -> Self {
        Self { form: None, request, recipient, signed_in, progress: Progress::default(), agreement: None }
    }

    /// A request whose user has signed in for it, with the form that asked for it.
    pub fn signed_in(
        token: String,
        request: AuthorizationRequest,
        recipient: Recipient,
        signed_in: SignedIn,
        present: bool,
    ) -> Self {
        let form = Some((token, AFTER_SIGN_IN));
        Self {
            form,
            progress: Progress { present, ..Progress::default() },
            ..Self::begin(request, recipient, signed_in)
        }
    }
}

/// Where a form stands between the sign-in and its next page.
pub const AFTER_SIGN_IN: Step = Step::Continue;

/// The progress of a form whose person has said nothing.
pub fn nothing_said() -> Value {
    stored(&Progress::default())
}

/// The progress of a form whose person has signed in; `present`: for it, just now.
pub fn after_sign_in(present: bool) -> Value {
    stored(&Progress { present, ..Progress::default() })
}

fn stored(progress: &Progress) -> Value {
    serde_json::to_value(progress).unwrap_or_default()
}

/// Keeps a new form; gives its token, and the cookie that its browser needs, if it has none yet.
pub async fn keep(
    state: &OauthState,
    visitor: &Visitor,
    purpose: &Purpose,
    stage: Stage<'_>,
) -> store::Result<(String, Option<HeaderValue>)> {
    let token = random_token();
    let (browser_digest, new_cookie) = visitor.cookies.browser_or_new();
    let parameters = serde_json::to_value(purpose).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let form = Form { digest: &token_digest(&token), browser_digest: &browser_digest };
    let mut tx = store::begin(&state.engine.pool).await?;
    store::flow::insert(&mut tx, form, stage, &parameters, state.now() + FORM_LIFE).await?;
    store::flow::keep_the_newest(&mut tx, &browser_digest).await?;
    tx.commit().await?;
    Ok((token, new_cookie))
}

/// The row of a form that came back, with the form's token.
pub async fn find(
    state: &OauthState,
    visitor: &Visitor,
    form: &Parameters,
    step: Step,
) -> Result<(String, Purpose, Waiting), Problem> {
    let token = form.one("request").map_err(|_| Problem::Malformed)?.unwrap_or_default().to_owned();
    let browser_digest = visitor.cookies.browser_digest().ok_or(Problem::FormGone)?;
    let found = async {
        let mut conn = state.engine.pool.acquire().await?;
        let form = Form { digest: &token_digest(&token), browser_digest: &browser_digest };
        store::flow::find(&mut conn, form, step, state.now()).await
    };
    let waiting = found.await.map_err(|error| unavailable(&error))?.ok_or(Problem::FormGone)?;
    let purpose = serde_json::from_value(waiting.parameters.clone()).map_err(|_| Problem::FormGone)?;
    Ok((token, purpose, waiting))
}

/// The client of a request, and where to answer it: by its registration of today.
pub async fn recipient(state: &OauthState, request: &AuthorizationRequest) -> Result<Recipient, Problem> {
    let client = find_client(state, &request.client_id).await?;
    if !redirect_is_registered(&request.redirect_uri, &client.redirect_uris, client.loopback_redirects) {
        return Err(Problem::RedirectUri);
    }
    let frames = async {
        let mut conn = state.engine.pool.acquire().await?;
        store::client::frame_ancestors(&mut conn, request.context).await
    };
    Ok(Recipient {
        issuer: state.public_url().to_owned(),
        frames: frames.await.map_err(|error| unavailable(&error))?,
        client,
        redirect_uri: request.redirect_uri.clone(),
        state: Some(request.state.clone()),
        context: request.context,
    })
}

/// The request behind a form of a page that comes after the sign-in.
pub async fn take(state: &OauthState, visitor: &Visitor, form: &Parameters, step: Step) -> Result<Flow, Problem> {
    let (token, purpose, waiting) = find(state, visitor, form, step).await?;
    let Purpose::Authorize(request) = purpose else { return Err(Problem::FormGone) };
    let signed_in = signed_in(state, visitor, &waiting).await?;
    Ok(Flow {
        form: Some((token, step)),
        recipient: recipient(state, &request).await?,
        request,
        signed_in,
        progress: serde_json::from_value(waiting.choice).map_err(|_| Problem::FormGone)?,
        agreement: None,
    })
}

/// Who signed in for a form, if that session lives and is still this browser's.
pub async fn signed_in(state: &OauthState, visitor: &Visitor, waiting: &Waiting) -> Result<SignedIn, Problem> {
    let found = session::find(state, visitor).await.map_err(|error| unavailable(&error))?;
    let is_the_same = |found: &SignedIn| waiting.session_digest.as_ref() == Some(&found.session_digest);
    found.filter(is_the_same).ok_or(Problem::FormGone)
}

fn unavailable(error: &store::Error) -> Problem {
    tracing::error!(%error, "a form could not be looked up");
    Problem::Unavailable
}

/// The next page, or the code.
pub async fn advance(state: &OauthState, visitor: &Visitor, flow: &mut Flow, may: May) -> Result<Response, Refusal> {
    let judged = judge(state, flow).await?;
    let user = &flow.signed_in.user;
    let may_become_anybodys = judged.context.as_ref().is_some_and(|context| !approval::is_spoken_for(context, user));
    if may_become_anybodys && flow.progress.pick.choice.is_none() && !flow.progress.present {
        return continue_page(state, visitor, flow, &judged, may).await;
    }
    if judged.lacks_patient {
        flow.progress.pick.choice = picker::own_record(state, flow).await?;
        if flow.progress.pick.choice.is_none() {
            return patients_page(state, visitor, flow, may).await;
        }
    }
    if let Some(page) = visits_page(state, visitor, flow, may).await? {
        return Ok(page);
    }
    let judged = judge(state, flow).await?;
    let (client, user) = (&flow.recipient.client, &flow.signed_in.user);
    let mut conn = state.engine.pool.acquire().await?;
    let agreement = match flow.agreement.take() {
        Some(answered) => answered,
        None => match consent::remembered(&mut conn, client, user, &flow.request, &judged.scope).await? {
            Some(remembered) => remembered,
            None => {
                let declined = consent::declined(&mut conn, client, user).await?;
                drop(conn);
                return consent_page(state, visitor, flow, &judged, &declined, may).await;
            }
        },
    };
    drop(conn);
    approve(state, visitor, flow, &agreement).await
}

async fn judge(state: &OauthState, flow: &Flow) -> Result<Judged, Refusal> {
    let (client, user) = (&flow.recipient.client, &flow.signed_in.user);
    let mut conn = state.engine.pool.acquire().await?;
    approval::judge(state, &mut conn, &flow.request, client, user, flow.progress.pick.choice.as_ref()).await
}

async fn approve(
    state: &OauthState,
    visitor: &Visitor,
    flow: &Flow,
    agreement: &Agreement,
) -> Result<Response, Refusal> {
    let digest = flow.form.as_ref().map(|(token, step)| (token_digest(token), *step));
    let approval = Approval {
        request: &flow.request,
        client: &flow.recipient.client,
        signed_in: &flow.signed_in,
        choice: flow.progress.pick.choice.as_ref(),
        agreement,
        form: digest.as_ref().map(|(digest, step)| (digest.as_slice(), *step)),
        request_id: visitor.request_id.as_deref(),
    };
    Ok(match approval::approve(state, &approval).await? {
        Some(code) => flow.recipient.answer(&[("code", &code)]),
        None => page::problem(visitor.language, Problem::FormGone),
    })
}

/// [`advance`] where pages may be shown and a refusal goes to the app.
pub async fn go_on(state: &OauthState, visitor: &Visitor, mut flow: Flow) -> Response {
    match advance(state, visitor, &mut flow, May::Ask).await {
        Ok(response) => response,
        Err(refusal) => refuse(state, visitor, &flow, &refusal).await,
    }
}

/// Tells the app that it was refused, and uses the form up.
pub async fn refuse(state: &OauthState, visitor: &Visitor, flow: &Flow, refusal: &Refusal) -> Response {
    match end(state, flow).await {
        Ok(true) => recipient::refuse(state, visitor, &flow.recipient, refusal, Some(flow.signed_in.user.id)).await,
        Ok(false) => page::problem(visitor.language, Problem::FormGone),
        Err(error) => page::problem(visitor.language, unavailable(&error)),
    }
}

/// Uses the form up. `false` when it already was.
async fn end(state: &OauthState, flow: &Flow) -> store::Result<bool> {
    let Some((token, step)) = &flow.form else { return Ok(true) };
    let mut tx = store::begin(&state.engine.pool).await?;
    let ended = store::flow::end(&mut tx, &token_digest(token), *step).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Takes the form back to the sign-in; gives its token, or `None` when it was used meanwhile.
pub async fn back_to_sign_in(state: &OauthState, flow: &Flow) -> store::Result<Option<String>> {
    let Some((token, step)) = &flow.form else { return Ok(None) };
    let stage = Stage { step: Step::SignIn, signed_in: None, choice: &nothing_said() };
    turn_over(state, token, *step, stage).await
}

async fn continue_page(
    state: &OauthState,
    visitor: &Visitor,
    flow: &Flow,
    judged: &Judged,
    may: May,
) -> Result<Response, Refusal> {
    if may == May::OnlyAnswer {
        return Err(Refusal::InteractionRequired);
    }
    let poc = match &judged.context {
        Some(context) => store::client::find(&mut *state.engine.pool.acquire().await?, &context.poc_client).await?,
        None => None,
    };
    stand(state, visitor, flow, Step::Continue, &flow.progress, |token| {
        continue_as::page(visitor, flow, poc.as_ref().map(|poc| poc.name.as_str()), token)
    })
    .await
}

async fn patients_page(state: &OauthState, visitor: &Visitor, flow: &Flow, may: May) -> Result<Response, Refusal> {
    if may == May::OnlyAnswer {
        return Err(Refusal::InteractionRequired);
    }
    let mut progress = flow.progress.clone();
    let listing = picker::patients(state, flow, &mut progress.pick).await?;
    stand(state, visitor, flow, Step::Choose, &progress, |token| {
        picker::patients_page(visitor, flow, &progress.pick, &listing, token)
    })
    .await
}

/// The page that asks which visit, where the app wants to know and there is a choice.
async fn visits_page(
    state: &OauthState,
    visitor: &Visitor,
    flow: &mut Flow,
    may: May,
) -> Result<Option<Response>, Refusal> {
    let is_wanted = ScopeSet::parse(&flow.request.asked)
        .within(&ScopeSet::parse(&flow.recipient.client.scope))
        .has("launch/encounter");
    if flow.progress.pick.choice.is_none() || !is_wanted {
        return Ok(None);
    }
    let mut pick = flow.progress.pick.clone();
    let visits = picker::visits(state, flow, &mut pick).await?;
    flow.progress.pick = pick;
    if visits.is_empty() {
        return Ok(None);
    }
    if may == May::OnlyAnswer {
        return Err(Refusal::InteractionRequired);
    }
    let patient = picker::chosen_patient(state, flow, &flow.progress.pick).await?;
    let page = stand(state, visitor, flow, Step::Choose, &flow.progress, |token| {
        picker::visits_page(visitor, flow, patient.as_ref(), &visits, token)
    });
    page.await.map(Some)
}

async fn consent_page(
    state: &OauthState,
    visitor: &Visitor,
    flow: &Flow,
    judged: &Judged,
    declined: &[String],
    may: May,
) -> Result<Response, Refusal> {
    if may == May::OnlyAnswer {
        return Err(Refusal::ConsentRequired);
    }
    let patient = picker::chosen_patient(state, flow, &flow.progress.pick).await?;
    let progress = Progress { shown: Some(judged.scope.to_string()), ..flow.progress.clone() };
    stand(state, visitor, flow, Step::Consent, &progress, |token| {
        consent::page(visitor, flow, &judged.scope, declined, patient.as_ref(), token)
    })
    .await
}

/// Puts the form on a page, and shows it.
async fn stand(
    state: &OauthState,
    visitor: &Visitor,
    flow: &Flow,
    step: Step,
    progress: &Progress,
    show: impl FnOnce(&str) -> Response,
) -> Result<Response, Refusal> {
    let signed_in = Some((flow.signed_in.user.id, flow.signed_in.session_digest.as_slice()));
    let stage = Stage { step, signed_in, choice: &stored(progress) };
    let Some((token, from)) = &flow.form else {
        let purpose = Purpose::Authorize(flow.request.clone());
        let (token, new_cookie) = keep(state, visitor, &purpose, stage).await?;
        let mut response = show(&token);
        cookie::set(response.headers_mut(), new_cookie);
        return Ok(response);
    };
    Ok(match turn_over(state, token, *from, stage).await? {
        Some(next) => show(&next),
        None => page::problem(visitor.language, Problem::FormGone),
    })
}

/// Moves a form to another page; gives the token of that page, or `None` when the form was used meanwhile.
async fn turn_over(state: &OauthState, token: &str, from: Step, stage: Stage<'_>) -> store::Result<Option<String>> {
    let next = random_token();
    let mut tx = store::begin(&state.engine.pool).await?;
    let moved = store::flow::turn_over(&mut tx, &token_digest(token), from, &token_digest(&next), stage).await?;
    tx.commit().await?;
    Ok(moved.then_some(next))
}
