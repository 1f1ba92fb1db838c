//! `POST /consent`: what a person lets a client do (SMART App Launch 2.1.0, "App and server privacy"; best practices).
//!
//! | situation | answer |
//! |---|---|
//! | allowed, all of it or the scopes that stayed ticked | 303 to the app with its code; the grant has those scopes |
//! | refused, or nothing stayed ticked | 303 to the app with `access_denied` |
//! | form too old, sent before, of another page, browser or session | 400, a page |
//!
//! Whether the page is shown is the client's policy: never, always, or once and then only when something is asked for that
//! the person was not asked about. What was declined then is remembered too, and left out without asking; a person takes
//! an answer back on the page of granted access. `prompt=consent` shows the page whatever the policy.
//!
//! Two things make the policy stricter. Who gets the code of a public client at an address that any program of the device
//! can claim (`com.example.app:`, `http://127.0.0.1`) cannot be known, so people are asked each time (RFC 8252 section
//! 8.6); a client registered with patterns for a demonstration is excepted. And a point-of-care system is the own system of
//! the people of its organisation only: others are asked at least once.
//!
//! The launch itself (`launch`, `launch/…`) is told, not asked: who does not want it refuses the whole.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::OauthState;
use super::authorize::AuthorizationRequest;
use super::flow::{self, Flow};
use super::form::Parameters;
use super::page::{self, Candidate, ConsentForm, Item, Problem};
use super::recipient::Refusal;
use super::visitor::{Visitor, record};
use crate::config::ConsentPolicy;
use crate::smart::client::may_be_claimed;
use crate::smart::scope::ScopeSet;
use crate::store::audit::Entry;
use crate::store::client::{AuthMethod, Client, Role};
use crate::store::consent::Consent;
use crate::store::flow::Step;
use crate::store::user::User;
use crate::store::{self, Tx};

/// How the person's will is known.
#[derive(Clone, Debug)]
pub enum Agreement {
    /// Nobody is asked.
    Unasked,
    /// By an earlier answer, which declined these.
    Remembered { declined: Vec<String> },
    /// By the answer just given.
    Given { allowed: Vec<String>, declined: Vec<String> },
}

impl Agreement {
    /// What of `scope` the person lets the client have; `None` when that is nothing.
    pub fn apply(&self, scope: &ScopeSet) -> Option<ScopeSet> {
        let text = scope.to_string();
        let keeps = |one: &&str| match self {
            _ if is_told_only(one) => true,
            Self::Unasked => true,
            Self::Remembered { declined } => !declined.iter().any(|other| other == one),
            Self::Given { allowed, .. } => allowed.iter().any(|other| other == one),
        };
        let kept: Vec<_> = text.split(' ').filter(keeps).collect();
        let nothing = kept.iter().all(|one| is_told_only(one)) && !text.split(' ').all(is_told_only);
        (!nothing).then(|| ScopeSet::parse(&kept.join(" ")))
    }

    /// Keeps an answer just given, and notes it in the audit trail. `entry`: that of the code it leads to.
    pub async fn keep(&self, tx: &mut Tx, entry: &Entry<'_>, now: OffsetDateTime) -> store::Result<()> {
        let (Self::Given { allowed, declined }, Some(client), Some(user)) = (self, entry.client_id, entry.user_id)
        else {
            return Ok(());
        };
        let before = store::consent::lock(tx, user, client, now).await?;
        store::consent::put(tx, user, client, &merged(&before, allowed, declined), now).await?;
        let detail = format!("allowed {}, declined {}", allowed.len(), declined.len());
        let entry = Entry { action: "consent", outcome: "success", detail: Some(&detail), ..*entry };
        store::audit::append(tx.conn(), &entry, now).await
    }
}

/// An answer laid over the one before: what was not asked about this time stays.
fn merged(before: &Consent, allowed: &[String], declined: &[String]) -> Consent {
    let join = |old: &str, new: &[String], other: &[String]| {
        let kept = old.split_ascii_whitespace().filter(|one| !new.iter().chain(other).any(|asked| asked == one));
        kept.chain(new.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    };
    Consent { scope: join(&before.scope, allowed, declined), refused: join(&before.refused, declined, allowed) }
}

/// What a launch brings along.
fn is_told_only(scope: &str) -> bool {
    scope == "launch" || scope.starts_with("launch/")
}

/// How the person's will is known without asking; `None` when the page must be shown.
pub async fn remembered(
    conn: &mut PgConnection,
    client: &Client,
    user: &User,
    request: &AuthorizationRequest,
    scope: &ScopeSet,
) -> store::Result<Option<Agreement>> {
    match policy(client, user, &request.redirect_uri) {
        _ if request.ask_consent => Ok(None),
        ConsentPolicy::Never => Ok(Some(Agreement::Unasked)),
        ConsentPolicy::Always => Ok(None),
        ConsentPolicy::Once => {
            let before = store::consent::find(conn, user.id, &client.client_id).await?;
            Ok(before.and_then(|before| covered(&before, scope)))
        }
    }
}

/// The client's policy, as far as it can be followed for this person and this address.
fn policy(client: &Client, user: &User, redirect_uri: &str) -> ConsentPolicy {
    let is_unproven = client.auth_method == AuthMethod::None && !client.loopback_redirects;
    match client.consent {
        _ if is_unproven && may_be_claimed(redirect_uri) => ConsentPolicy::Always,
        ConsentPolicy::Never if client.role == Role::Poc && client.tenant != user.tenant => ConsentPolicy::Once,
        policy => policy,
    }
}

/// The earlier answer, where it speaks of everything that is asked for now and leaves something of it.
fn covered(before: &Consent, scope: &ScopeSet) -> Option<Agreement> {
    let agreed = ScopeSet::parse(&before.scope);
    let declined: Vec<_> = before.refused.split_ascii_whitespace().map(str::to_owned).collect();
    let is_answered = |one: &str| {
        is_told_only(one) || declined.iter().any(|other| other == one) || ScopeSet::parse(one).is_within(&agreed)
    };
    let answered = scope.to_string().split(' ').all(is_answered);
    let remembered = Agreement::Remembered { declined };
    (answered && remembered.apply(scope).is_some()).then_some(remembered)
}

/// What the person has declined before: shown, not ticked.
pub async fn declined(conn: &mut PgConnection, client: &Client, user: &User) -> store::Result<Vec<String>> {
    let before = store::consent::find(conn, user.id, &client.client_id).await?.unwrap_or_default();
    Ok(before.refused.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The route of this page's form.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/consent", post(handler))
}

/// The page.
pub fn page(
    visitor: &Visitor,
    flow: &Flow,
    scope: &ScopeSet,
    declined: &[String],
    patient: Option<&Candidate>,
    token: &str,
) -> Response {
    let texts = visitor.language.texts();
    let text = scope.to_string();
    let (told, asked): (Vec<&str>, Vec<&str>) = text.split(' ').partition(|scope| is_told_only(scope));
    let items = asked.iter().map(|scope| Item {
        scope,
        sentence: texts.scopes.sentence(scope),
        ticked: !declined.iter().any(|other| other == scope),
    });
    let page = page::consent(&ConsentForm {
        language: visitor.language,
        client: &flow.recipient.shown_name(),
        redirect_uri: &flow.recipient.redirect_uri,
        request: token,
        person: &flow.signed_in.user.display_name,
        patient,
        items: items.collect(),
        told: told.iter().map(|scope| texts.scopes.sentence(scope)).collect(),
    });
    page::framed_by(page, &flow.recipient.frames)
}

/// `POST /consent`.
async fn handler(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let mut flow = match flow::take(&state, &visitor, &form, Step::Consent).await {
        Ok(flow) => flow,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let Some(shown) = flow.progress.shown.take() else { return page::problem(visitor.language, Problem::FormGone) };
    let ticked: Vec<&str> = form.all("scope").collect();
    let asked = shown.split(' ').filter(|scope| !is_told_only(scope)).map(str::to_owned);
    let (allowed, declined): (Vec<_>, Vec<_>) = asked.partition(|scope| ticked.contains(&scope.as_str()));
    let agreement = Agreement::Given { allowed, declined };
    let leaves_something = agreement.apply(&ScopeSet::parse(&shown)).is_some();
    if form.one("action").ok().flatten() != Some("allow") || !leaves_something {
        let entry = Entry {
            action: "consent",
            outcome: "refused",
            client_id: Some(&flow.recipient.client.client_id),
            user_id: Some(flow.signed_in.user.id),
            context: flow.request.context,
            tenant: flow.recipient.client.tenant,
            request_id: visitor.request_id.as_deref(),
            ..Entry::default()
        };
        record(&state, &entry).await;
        return flow::refuse(&state, &visitor, &flow, &Refusal::Cancelled).await;
    }
    flow.agreement = Some(agreement);
    flow::go_on(&state, &visitor, flow).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    fn consent(scope: &str, refused: &str) -> Consent {
        Consent { scope: scope.into(), refused: refused.into() }
    }

    #[test]
    fn an_agreement_takes_away_and_never_adds() {
        let scope = ScopeSet::parse("launch openid patient/*.rs user/*.rs");
        let given = |allowed: &str| Agreement::Given { allowed: words(allowed), declined: Vec::new() };
        let applied = |agreement: &Agreement| agreement.apply(&scope).map(|scope| scope.to_string());
        assert_eq!(applied(&Agreement::Unasked).unwrap(), scope.to_string());
        assert_eq!(applied(&given("openid patient/*.rs")).unwrap(), "launch openid patient/*.rs");
        assert_eq!(applied(&given("openid patient/*.cruds system/*.rs")).unwrap(), "launch openid");
        assert_eq!(applied(&given("")), None);
        assert_eq!(applied(&given("launch user/*.cruds")), None);
        let remembered = Agreement::Remembered { declined: words("user/*.rs openid") };
        assert_eq!(applied(&remembered).unwrap(), "launch patient/*.rs");
        assert_eq!(
            Agreement::Unasked.apply(&ScopeSet::parse("launch launch/patient")).unwrap().to_string(),
            "launch launch/patient"
        );
    }

    #[test]
    fn the_policy_is_stricter_where_nobody_knows_who_asks() {
        let app = |auth_method, consent| Client { auth_method, consent, ..Client::new("app", Role::App) };
        let user = User { tenant: 7, ..User::new("u", "") };
        for (auth_method, consent, uri, followed) in [
            (AuthMethod::None, ConsentPolicy::Once, "https://app.example/cb", ConsentPolicy::Once),
            (AuthMethod::None, ConsentPolicy::Never, "https://app.example/cb", ConsentPolicy::Never),
            (AuthMethod::None, ConsentPolicy::Once, "com.example.app:/cb", ConsentPolicy::Always),
            (AuthMethod::None, ConsentPolicy::Never, "com.example.app:/cb", ConsentPolicy::Always),
            (AuthMethod::None, ConsentPolicy::Once, "http://127.0.0.1:9000/cb", ConsentPolicy::Always),
            (AuthMethod::None, ConsentPolicy::Once, "http://[::1]:9000/cb", ConsentPolicy::Always),
            (AuthMethod::None, ConsentPolicy::Never, "http://localhost/cb", ConsentPolicy::Always),
            (AuthMethod::PrivateKeyJwt, ConsentPolicy::Once, "com.example.app:/cb", ConsentPolicy::Once),
            (AuthMethod::ClientSecretBasic, ConsentPolicy::Never, "http://127.0.0.1/cb", ConsentPolicy::Never),
        ] {
            assert_eq!(policy(&app(auth_method, consent), &user, uri), followed, "{auth_method:?} {uri}");
        }
        let demonstration = Client { loopback_redirects: true, ..app(AuthMethod::None, ConsentPolicy::Never) };
        assert_eq!(policy(&demonstration, &user, "http://127.0.0.1:1/"), ConsentPolicy::Never);
        let poc = |tenant| Client { tenant, ..Client::new("poc", Role::Poc) };
        assert_eq!(policy(&poc(7), &user, "https://poc.example/cb"), ConsentPolicy::Never);
        assert_eq!(policy(&poc(8), &user, "https://poc.example/cb"), ConsentPolicy::Once);
        let anywhere = User { tenant: 0, ..user };
        assert_eq!(policy(&poc(7), &anywhere, "https://poc.example/cb"), ConsentPolicy::Once);
        let always = Client { consent: ConsentPolicy::Always, ..poc(7) };
        assert_eq!(policy(&always, &anywhere, "https://poc.example/cb"), ConsentPolicy::Always);
    }

    #[test]
    fn only_what_was_answered_wholly_is_not_asked_again() {
        let before = consent("openid patient/*.rs", "user/*.rs");
        for (asked, is_known) in [
            ("launch openid patient/*.rs", true),
            ("patient/Observation.r openid", true),
            ("openid user/*.rs", true),
            ("user/*.rs", false),
            ("patient/*.cruds", false),
            ("openid fhirUser", false),
            ("user/*.r openid", false),
            ("patient/*.rs offline_access", false),
        ] {
            assert_eq!(covered(&before, &ScopeSet::parse(asked)).is_some(), is_known, "{asked}");
        }
    }

    #[test]
    fn a_later_answer_counts_for_what_it_was_asked_about() {
        let before = consent("openid patient/*.rs", "user/*.rs");
        let after = merged(&before, &words("user/*.rs"), &words("openid"));
        assert_eq!(after, consent("patient/*.rs user/*.rs", "openid"));
    }
}
