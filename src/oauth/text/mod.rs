//! What the pages say: a struct for each page, filled in once per language, so that no text can be forgotten in one.

mod en;
mod fr;
mod kind;
mod scope;

use super::visitor::Language;

pub use scope::Scopes;

/// Everything, in one language.
pub struct Texts {
    /// The language's tag (BCP 47).
    pub lang: &'static str,
    pub login: Login,
    pub second_factor: SecondFactor,
    pub new_password: NewPassword,
    pub go_on: Continue,
    pub chooser: Chooser,
    pub consent: Consent,
    pub scopes: Scopes,
    pub manage: Manage,
    pub sign_out: SignOut,
    pub onward: Onward,
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
    pub sign_in_with: &'static str,
    pub provider_down: &'static str,
    pub provider_refused: &'static str,
    pub no_account: &'static str,
}

/// The second factor.
pub struct SecondFactor {
    pub title: &'static str,
    pub hint: &'static str,
    pub code: &'static str,
    pub go_on: &'static str,
    pub cancel: &'static str,
    pub wrong: &'static str,
    pub enrol_title: &'static str,
    pub enrol_scan: &'static str,
    pub enrol_picture: &'static str,
    pub enrol_type: &'static str,
    pub enrol_code: &'static str,
    pub codes_title: &'static str,
    pub codes_hint: &'static str,
    pub codes_kept: &'static str,
}

/// Another password.
pub struct NewPassword {
    pub title: &'static str,
    pub hint: &'static str,
    pub characters: &'static str,
    pub password: &'static str,
    pub again: &'static str,
    pub change: &'static str,
    pub cancel: &'static str,
    pub differ: &'static str,
    pub length: &'static str,
    pub name: &'static str,
    pub guessable: &'static str,
    pub same: &'static str,
}

/// "Continue as …?"
pub struct Continue {
    pub title: &'static str,
    pub signed_in_as: &'static str,
    pub wants: &'static str,
    pub launched_by: &'static str,
    pub go_on: &'static str,
    pub other: &'static str,
    pub cancel: &'static str,
}

/// The picker.
pub struct Chooser {
    pub patients_title: &'static str,
    pub visits_title: &'static str,
    pub wants_patient: &'static str,
    pub wants_visit: &'static str,
    pub name: &'static str,
    pub birthdate: &'static str,
    pub identifier: &'static str,
    pub search: &'static str,
    pub nothing: &'static str,
    pub misunderstood: &'static str,
    pub unnamed: &'static str,
    pub born: &'static str,
    pub female: &'static str,
    pub male: &'static str,
    pub other_gender: &'static str,
    pub began: &'static str,
    pub open_since: &'static str,
    pub opened_from: &'static str,
    pub patient: &'static str,
    pub more: &'static str,
    pub no_visit: &'static str,
    pub cancel: &'static str,
}

/// The consent.
pub struct Consent {
    pub title: &'static str,
    pub signed_in_as: &'static str,
    pub returns_to: &'static str,
    pub wants: &'static str,
    pub hint: &'static str,
    pub patient: &'static str,
    pub told: &'static str,
    pub allow: &'static str,
    pub refuse: &'static str,
}

/// The page of granted access.
pub struct Manage {
    pub title: &'static str,
    pub signed_in_as: &'static str,
    pub none: &'static str,
    pub may: &'static str,
    pub declined: &'static str,
    pub unused: &'static str,
    pub since: &'static str,
    pub launched_from: &'static str,
    pub end: &'static str,
}

/// The sign-out.
pub struct SignOut {
    pub title: &'static str,
    pub signed_in_as: &'static str,
    pub consequence: &'static str,
    pub sign_out: &'static str,
    pub stay: &'static str,
    pub signed_out: &'static str,
    pub still: &'static str,
    pub close: &'static str,
}

/// The way to another server.
pub struct Onward {
    pub title: &'static str,
    pub go_on: &'static str,
}

/// The page that ends an authorization.
pub struct Problem {
    pub title: &'static str,
    pub unknown_client: &'static str,
    pub redirect_uri: &'static str,
    pub malformed: &'static str,
    pub refused: &'static str,
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
