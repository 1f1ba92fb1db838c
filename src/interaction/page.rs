//! Paging links (FHIR R4 http.html#paging): where a listing goes on, as a token that only its caller can use.
//!
//! A listing (of a history, of a search) is paged by key, not by number: a page's links hold the listing's parameters and
//! the last (first) row of the page, so that nothing is lost or shown twice while others write. The token is sealed:
//! opaque, unforgeable, and bound to the kind of listing and to the client, user and launch that it was made for. In other
//! hands, or for another listing, it is answered like what does not exist. What its caller may see is decided anew with
//! every page; a token holds no leave.
//!
//! Parameters that would make a link longer than [`LONGEST`] (those of a long form, POSTed) are kept in the store, sealed
//! for the same caller, and the token names them. They are forgotten when no link of them was followed for [`KEPT`], and
//! with a launch when its context ends.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use time::Duration;

use super::{Engine, Failure};
use crate::{access::Caller, secret::Sealer, store::search_page as store};

/// The name of the query parameter that carries a token.
pub const PARAMETER: &str = "_page";

/// The longest token, and the longest query that stands in a link, in bytes: what lies between a client and this server
/// may take no longer addresses.
pub const LONGEST: usize = 4096;

/// How long kept parameters wait for a link of theirs to be followed.
pub const KEPT: Duration = Duration::hours(24);

/// The layout of what is sealed. A link made by a program with another one is answered like what does not exist.
const LAYOUT: u8 = 2;

/// The name of kept parameters.
pub type Digest = [u8; 32];

/// One page of a listing: what was asked for, and where in the listing the page stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<P, C> {
    /// What was asked for.
    pub parameters: P,
    /// Under what name the parameters are kept, if they are.
    pub kept: Option<Digest>,
    /// Where the page begins.
    pub cursor: C,
}

/// What stands in a token.
#[derive(Serialize, Deserialize)]
struct Token<P, C> {
    asked: Asked<P>,
    cursor: C,
}

#[derive(Serialize, Deserialize)]
enum Asked<P> {
    Here(P),
    Kept(Digest),
}

/// A listing in the hands of one caller.
pub struct Listing<'a> {
    engine: &'a Engine,
    caller: &'a Caller,
    purpose: String,
}

impl<'a> Listing<'a> {
    /// `name` says which listing, as `history Patient`: whatever is part of the link's path belongs into it.
    pub fn new(engine: &'a Engine, caller: &'a Caller, name: &str) -> Self {
        Self { engine, caller, purpose: purpose(caller, name) }
    }

    /// The page behind a token; 404 when it was not made for this caller and listing, or waited too long.
    pub async fn page<P, C>(&self, token: &str) -> Result<Page<P, C>, Failure>
    where
        P: DeserializeOwned,
        C: DeserializeOwned,
    {
        let Token { asked, cursor } = open(&self.engine.sealer, &self.purpose, token).ok_or(Failure::NotFound)?;
        let (parameters, kept) = match asked {
            Asked::Here(parameters) => (parameters, None),
            Asked::Kept(digest) => (self.kept(&digest).await?, Some(digest)),
        };
        Ok(Page { parameters, kept, cursor })
    }

    async fn kept<P: DeserializeOwned>(&self, digest: &Digest) -> Result<P, Failure> {
        let now = self.engine.now();
        let mut conn = self.engine.pool.acquire().await?;
        let sealed = store::take_up(&mut conn, digest, now, now - KEPT).await?.ok_or(Failure::NotFound)?;
        let plain = self.engine.sealer.open(&self.purpose, &sealed).map_err(|_| Failure::NotFound)?;
        postcard::from_bytes(&plain).map_err(|_| Failure::NotFound)
    }

    async fn keep<P: Serialize>(&self, parameters: &P) -> Result<Digest, Failure> {
        let plain = written(parameters)?;
        let digest = Sha256::new().chain_update(&self.purpose).chain_update([0]).chain_update(&plain);
        let digest: Digest = digest.finalize().into();
        let sealed = self.engine.sealer.seal(&self.purpose, &plain);
        let context = self.caller.launch.as_ref().map(|launch| launch.id);
        let mut conn = self.engine.pool.acquire().await?;
        store::keep(&mut conn, &digest, &sealed, context, self.engine.now()).await?;
        Ok(digest)
    }
}

/// The links of one answer.
pub struct Links<'a, P> {
    pub listing: &'a Listing<'a>,
    /// What was asked for.
    pub parameters: P,
    /// Under what name it is kept already.
    pub kept: Option<Digest>,
}

impl<P: Serialize> Links<'_, P> {
    /// The token of a link: base64url.
    pub async fn token<C: Serialize>(&mut self, cursor: &C) -> Result<String, Failure> {
        let Listing { engine, purpose, .. } = self.listing;
        if self.kept.is_none() {
            let token = seal(&engine.sealer, purpose, &Token { asked: Asked::Here(&self.parameters), cursor })?;
            if token.len() <= LONGEST {
                return Ok(token);
            }
        }
        let digest = match self.kept {
            Some(digest) => digest,
            None => self.listing.keep(&self.parameters).await?,
        };
        self.kept = Some(digest);
        seal(&engine.sealer, purpose, &Token { asked: Asked::<P>::Kept(digest), cursor })
    }
}

fn written<T: Serialize>(what: &T) -> Result<Vec<u8>, Failure> {
    postcard::to_stdvec(what).map_err(|error| {
        tracing::error!(%error, "a page cannot be written down");
        Failure::Internal
    })
}

fn seal<T: Serialize>(sealer: &Sealer, purpose: &str, token: &T) -> Result<String, Failure> {
    Ok(URL_SAFE_NO_PAD.encode(sealer.seal_link(purpose, &written(token)?)))
}

fn open<T: DeserializeOwned>(sealer: &Sealer, purpose: &str, token: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    postcard::from_bytes(&sealer.open_link(purpose, &sealed).ok()?).ok()
}

/// What a token is bound to. Quoted, so that no two differ only in where one part ends.
fn purpose(caller: &Caller, listing: &str) -> String {
    let launch = caller.launch.as_ref().map(|launch| launch.id);
    format!("page {LAYOUT} of {listing:?} for {:?} {:?} {launch:?}", caller.client_id, caller.user_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    type History = (Vec<(String, String)>, (i64, String));

    fn page() -> History {
        (vec![("_since".into(), "2026".into())], (-7, "ä".into()))
    }

    #[test]
    fn a_token_leads_back_to_its_page() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let token = seal(&sealer, "a", &page()).unwrap();
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert_eq!(open::<History>(&sealer, "a", &token), Some(page()));
        assert_ne!(seal(&sealer, "a", &page()).unwrap(), token, "two tokens tell nothing about each other");
    }

    #[test]
    fn a_token_is_of_no_use_elsewhere() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let token = seal(&sealer, "a", &page()).unwrap();
        assert_eq!(open::<History>(&sealer, "b", &token), None);
        assert_eq!(open::<History>(&Sealer::new(&[8; 32]).unwrap(), "a", &token), None);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(open::<History>(&sealer, "a", std::str::from_utf8(&changed).unwrap()), None, "byte {at}");
        }
        for broken in ["", "A", "====", "ä", &token[1..], &token[..token.len() - 4]] {
            assert_eq!(open::<History>(&sealer, "a", broken), None, "{broken}");
        }
        // What is sealed for storage is no token.
        let stored = URL_SAFE_NO_PAD.encode(sealer.seal("a", &postcard::to_stdvec(&page()).unwrap()));
        assert_eq!(open::<History>(&sealer, "a", &stored), None);
    }
}
