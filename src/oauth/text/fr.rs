//! The pages in French.

use super::{Login, Problem, Texts};

pub const TEXTS: Texts = Texts {
    lang: "fr",
    login: Login {
        title: "Connexion",
        wants: "vous demande de vous connecter.",
        name: "Nom d’utilisateur",
        password: "Mot de passe",
        sign_in: "Se connecter",
        cancel: "Annuler",
        wrong: "Le nom d’utilisateur ou le mot de passe est incorrect.",
        too_many: "Trop de tentatives. Attendez un peu, puis réessayez.",
        busy: "Beaucoup de personnes se connectent en ce moment. Réessayez.",
    },
    problem: Problem {
        title: "Impossible de continuer",
        unknown_client: "Ce serveur ne connaît pas l’application.",
        redirect_uri: "L’adresse de retour demandée n’est pas enregistrée pour cette application.",
        malformed: "La demande de l’application est mal formée.",
        form_gone: "Cette page n’est plus valide.",
        unavailable: "Le serveur ne peut pas le faire en ce moment.",
        too_many: "Votre réseau envoie trop de demandes. Attendez une minute, puis réessayez.",
        start_again: "Revenez en arrière et relancez l’application. Si cela se reproduit, prévenez son service de soutien.",
    },
};
