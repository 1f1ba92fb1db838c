//! What the pages say: a struct for each page, filled in once per language, so that no text can be forgotten in one.

mod en;
mod fr;

use super::visitor::Language;

/// Everything, in one language.
pub struct Texts {
    /// The language's tag (BCP 47).
    pub lang: &'static str,
    pub login: Login,
    pub problem: Problem,
}

/// The login form.
pub struct Login {
    pub title: &'static str,
    pub wants: &'static str,
    pub name: &'static str,
    pub password: &'static str,
    pub sign_in: &'static str,
    pub cancel: &'static str,
    pub wrong: &'static str,
    pub too_many: &'static str,
    pub busy: &'static str,
}

/// The page that ends an authorization.
pub struct Problem {
    pub title: &'static str,
    pub unknown_client: &'static str,
    pub redirect_uri: &'static str,
    pub malformed: &'static str,
    pub form_gone: &'static str,
    pub unavailable: &'static str,
    pub too_many: &'static str,
    pub start_again: &'static str,
}

impl Language {
    /// The texts in this language.
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::French => &fr::TEXTS,
        }
    }
}
