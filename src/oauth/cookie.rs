//! The cookies of the sign-in pages: opaque random values, of which the database keeps digests only.
//!
//! They are `Lax`, so that no other site's page makes a browser send them with a form. In a frame (of a point-of-care system
//! whose pages may frame ours) browsers keep no such cookie: there they are `None` and `Partitioned` (CHIPS), which ties
//! them to the site around the frame. Forms are guarded in both by their own token and by where they come from.

use axum::http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use time::Duration;

use super::OauthState;
use super::visitor::Language;
use crate::id::{random_token, token_digest};

/// Who has signed in here.
const SESSION: &str = "sofa_session";
/// Which browser was shown a login form: a form sent by another one (login CSRF) does not work.
const BROWSER: &str = "sofa_browser";
/// In which browser somebody has signed in before: it signs nobody in, it only keeps the account open for this browser while
/// others guess at it (see [`super::throttle`]).
const KNOWN: &str = "sofa_known";
/// How long a browser is known after the last sign-in.
pub const KNOWN_FOR: Duration = Duration::days(180);

/// The language an app asked for, from page to page.
const LANGUAGE: &str = "sofa_language";

/// The cookies of a request.
pub struct Cookies {
    jar: CookieJar,
    https: bool,
    /// The page is shown in a frame of another one.
    framed: bool,
}

impl Cookies {
    /// Reads them.
    pub fn read(headers: &HeaderMap, state: &OauthState) -> Self {
        let framed = headers.get("sec-fetch-dest").is_some_and(|into| into == "iframe");
        Self { jar: CookieJar::from_headers(headers), https: state.is_https(), framed }
    }

    /// The digest of the session cookie.
    pub fn session_digest(&self) -> Option<Vec<u8>> {
        self.value(SESSION).map(token_digest)
    }

    /// The digest of the browser cookie.
    pub fn browser_digest(&self) -> Option<Vec<u8>> {
        self.value(BROWSER).map(token_digest)
    }

    /// The language that the last authorization asked for.
    pub fn language(&self) -> Option<Language> {
        self.value(LANGUAGE).and_then(Language::first)
    }

    /// The header that keeps a language until the next authorization, or forgets the one before.
    pub fn set_language(&self, language: Option<Language>) -> Option<HeaderValue> {
        match language {
            Some(language) => self.header(LANGUAGE, language.tag()),
            None => {
                self.value(LANGUAGE)?;
                let mut cookie = self.cookie(LANGUAGE, "");
                cookie.make_removal();
                HeaderValue::from_str(&cookie.to_string()).ok()
            }
        }
    }

    /// The digest of the cookie of a browser that is known.
    pub fn known_digest(&self) -> Option<Vec<u8>> {
        self.value(KNOWN).map(token_digest)
    }

    /// The digest of that cookie, and the header that sets it, for longer each time.
    pub fn known_or_new(&self) -> (Vec<u8>, Option<HeaderValue>) {
        let value = self.value(KNOWN).map_or_else(random_token, str::to_owned);
        let mut cookie = self.cookie(KNOWN, &value);
        cookie.set_max_age(KNOWN_FOR);
        (token_digest(&value), HeaderValue::from_str(&cookie.to_string()).ok())
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

    /// The header that takes the session away.
    pub fn end_session(&self) -> Option<HeaderValue> {
        let mut cookie = self.cookie(SESSION, "");
        cookie.make_removal();
        HeaderValue::from_str(&cookie.to_string()).ok()
    }

    /// `__Host-` makes the browser itself insist on Secure, on no Domain and on Path=/.
    fn name(&self, name: &str) -> String {
        if self.https { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.jar.get(&self.name(name)).map(Cookie::value)
    }

    fn header(&self, name: &str, value: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.cookie(name, value).to_string()).ok()
    }

    fn cookie<'a>(&self, name: &str, value: &'a str) -> Cookie<'a> {
        let cookie = Cookie::build((self.name(name), value)).path("/").http_only(true).secure(self.https);
        match self.framed && self.https {
            // In a frame only a cookie for the site around it is kept; it signs nobody in anywhere else.
            true => cookie.same_site(SameSite::None).partitioned(true),
            // Lax: a launch is a top-level navigation from another site, and must find the session.
            false => cookie.same_site(SameSite::Lax),
        }
        .build()
    }
}

/// Adds a `Set-Cookie` header.
pub fn set(headers: &mut HeaderMap, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
}
