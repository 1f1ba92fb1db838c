//! The two cookies of the sign-in pages: both opaque random values, of which the database keeps digests only.

use axum::http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

use super::OauthState;
use crate::id::{random_token, token_digest};

/// Who has signed in here.
const SESSION: &str = "sofa_session";
/// Which browser was shown a login form: a form sent by another one (login CSRF) does not work.
const BROWSER: &str = "sofa_browser";

/// The cookies of a request.
pub struct Cookies {
    jar: CookieJar,
    https: bool,
}

impl Cookies {
    /// Reads them.
    pub fn read(headers: &HeaderMap, state: &OauthState) -> Self {
        Self { jar: CookieJar::from_headers(headers), https: state.is_https() }
    }

    /// The digest of the session cookie.
    pub fn session_digest(&self) -> Option<Vec<u8>> {
        self.value(SESSION).map(token_digest)
    }

    /// The digest of the browser cookie.
    pub fn browser_digest(&self) -> Option<Vec<u8>> {
        self.value(BROWSER).map(token_digest)
    }

    /// The digest of the browser cookie, and the header that sets it where it is missing.
    pub fn browser_or_new(&self) -> (Vec<u8>, Option<HeaderValue>) {
        match self.browser_digest() {
            Some(digest) => (digest, None),
            None => {
                let value = random_token();
                (token_digest(&value), self.header(BROWSER, &value))
            }
        }
    }

    /// The header that starts a session. It ends with the browser, and in the database: clinics share computers.
    pub fn start_session(&self, value: &str) -> Option<HeaderValue> {
        self.header(SESSION, value)
    }

    /// `__Host-` makes the browser itself insist on Secure, on no Domain and on Path=/.
    fn name(&self, name: &str) -> String {
        if self.https { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.jar.get(&self.name(name)).map(Cookie::value)
    }

    fn header(&self, name: &str, value: &str) -> Option<HeaderValue> {
        let cookie = Cookie::build((self.name(name), value))
            .path("/")
            .http_only(true)
            .secure(self.https)
            // Lax: a launch is a top-level navigation from another site, and must find the session.
            .same_site(SameSite::Lax);
        HeaderValue::from_str(&cookie.build().to_string()).ok()
    }
}

/// Adds a `Set-Cookie` header.
pub fn set(headers: &mut HeaderMap, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
}
