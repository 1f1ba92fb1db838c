//! The pages in English.

use super::{Login, Problem, Texts};

pub const TEXTS: Texts = Texts {
    lang: "en",
    login: Login {
        title: "Sign in",
        wants: "asks you to sign in.",
        name: "User name",
        password: "Password",
        sign_in: "Sign in",
        cancel: "Cancel",
        wrong: "The user name or the password is not right.",
        too_many: "Too many attempts. Wait a little, then try again.",
        busy: "Many people are signing in at this moment. Try again.",
    },
    problem: Problem {
        title: "This cannot be done",
        unknown_client: "The app is not known to this server.",
        redirect_uri: "The address to which the app wants to return is not registered for it.",
        malformed: "The request of the app is malformed.",
        form_gone: "This page is no longer valid.",
        unavailable: "The server cannot do this at the moment.",
        too_many: "There are too many requests from your network. Wait a minute, then try again.",
        start_again: "Go back and start the app again. If it happens again, tell the people who support it.",
    },
};
