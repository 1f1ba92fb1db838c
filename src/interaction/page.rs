//! Paging links (FHIR R4 http.html#paging): where a listing goes on, as a token that only its caller can use.
//!
//! A listing (of a history, of a search) is paged by key, not by number: a page's links hold the listing's parameters and
//! the last (first) row of the page, so that nothing is lost or shown twice while others write. The token is sealed:
//! opaque, unforgeable, and bound to the kind of listing and to the client, user and launch that it was made for. In other
//! hands, or for another listing, it is answered like what does not exist. What its caller may see is decided anew with
//! every page; a token holds no leave.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::{Engine, Failure};
use crate::{access::Caller, secret::Sealer};

/// The name of the query parameter that carries a token.
pub const PARAMETER: &str = "_page";

/// The layout of what is sealed. A link made by a program with another one is answered like what does not exist.
const LAYOUT: u8 = 1;

/// One page of a listing: what was asked for, and where in the listing the page stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Page<P, C> {
    /// What was asked for.
    pub parameters: P,
    /// Where the page begins.
    pub cursor: C,
}

impl<P: Serialize + DeserializeOwned, C: Serialize + DeserializeOwned> Page<P, C> {
    /// The token: base64url. `listing` names the kind of listing, such as `history Patient`: whatever is part of the
    /// link's path belongs into it.
    pub fn token(&self, engine: &Engine, caller: &Caller, listing: &str) -> Result<String, Failure> {
        seal(&engine.sealer, &purpose(caller, listing), self)
    }

    /// The page behind a token; 404 when it was not made by [`Page::token`] for this caller and listing.
    pub fn of_token(engine: &Engine, caller: &Caller, listing: &str, token: &str) -> Result<Self, Failure> {
        open(&engine.sealer, &purpose(caller, listing), token).ok_or(Failure::NotFound)
    }
}

fn seal<T: Serialize>(sealer: &Sealer, purpose: &str, page: &T) -> Result<String, Failure> {
    let plain = postcard::to_stdvec(page).map_err(|error| {
        tracing::error!(%error, "a page cannot be written down");
        Failure::Internal
    })?;
    Ok(URL_SAFE_NO_PAD.encode(sealer.seal_link(purpose, &plain)))
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

    type History = Page<Vec<(String, String)>, (i64, String)>;

    fn page() -> History {
        Page { parameters: vec![("_since".into(), "2026".into())], cursor: (-7, "ä".into()) }
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
