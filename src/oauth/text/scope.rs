//! Scopes as sentences.

use super::kind::in_words;
use crate::fhir::compartment;
use crate::smart::explain::{Data, Meaning, explain};
use crate::smart::scope::Level;

/// The words of which sentences about scopes are made, in one language.
pub struct Scopes {
    pub identity: &'static str,
    pub fhir_user: &'static str,
    pub profile: &'static str,
    pub while_signed_in: &'static str,
    pub later: &'static str,
    pub launch: &'static str,
    pub launch_patient: &'static str,
    pub launch_encounter: &'static str,
    pub launch_other: &'static str,
    pub contexts: &'static str,
    pub see: &'static str,
    pub add: &'static str,
    pub change: &'static str,
    pub delete: &'static str,
    pub and: &'static str,
    /// Data of all types, before whose they are.
    pub everything: &'static str,
    /// Before the name of a type that has no words here.
    pub records_of_type: &'static str,
    pub of_the_patient: &'static str,
    pub of_every_patient: &'static str,
    pub of_the_client: &'static str,
    pub only_where: &'static str,
    /// Which of the two names of a type is meant.
    pub is_french: bool,
}

impl Scopes {
    /// The scope as a sentence; what is no scope is told as it is.
    pub fn sentence(&self, scope: &str) -> String {
        let fixed = match explain(scope) {
            None => scope,
            Some(Meaning::Identity) => self.identity,
            Some(Meaning::FhirUser) => self.fhir_user,
            Some(Meaning::Profile) => self.profile,
            Some(Meaning::WhileSignedIn) => self.while_signed_in,
            Some(Meaning::Later) => self.later,
            Some(Meaning::Launch(None)) => self.launch,
            Some(Meaning::Launch(Some("patient"))) => self.launch_patient,
            Some(Meaning::Launch(Some("encounter"))) => self.launch_encounter,
            Some(Meaning::Launch(Some(_))) => self.launch_other,
            Some(Meaning::Contexts) => self.contexts,
            Some(Meaning::Data(data)) => return self.about_data(&data),
        };
        fixed.to_owned()
    }

    fn about_data(&self, data: &Data<'_>) -> String {
        let verbs =
            [(data.see, self.see), (data.add, self.add), (data.change, self.change), (data.delete, self.delete)];
        let verbs: Vec<_> = verbs.into_iter().filter_map(|(may, verb)| may.then_some(verb)).collect();
        let mut sentence = capitalised(&self.listed(&verbs));
        sentence.push(' ');
        match data.kind {
            None => sentence.push_str(self.everything),
            Some(kind) => match in_words(kind, self.is_french) {
                Some(words) => sentence.push_str(words),
                None => sentence.push_str(&format!("{} {kind}", self.records_of_type)),
            },
        }
        // Of a practitioner or a place nobody asks whose patient it is.
        if data.kind.is_none_or(compartment::has_patients) {
            sentence.push(' ');
            sentence.push_str(match data.level {
                Level::Patient => self.of_the_patient,
                Level::User => self.of_every_patient,
                Level::System => self.of_the_client,
            });
        }
        for (at, (name, value)) in data.only_where.iter().enumerate() {
            let before = if at == 0 { self.only_where } else { self.and };
            sentence.push_str(&format!("{} {before} {name} = {value}", if at == 0 { "," } else { "" }));
        }
        sentence
    }

    /// "a", "a and b", "a, b and c".
    fn listed(&self, words: &[&str]) -> String {
        match words {
            [] => String::new(),
            [only] => (*only).to_owned(),
            [first @ .., last] => format!("{} {} {last}", first.join(", "), self.and),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use crate::oauth::visitor::Language;

    #[test]
    fn scopes_become_sentences_in_both_languages() {
        for (scope, english, french) in [
            ("patient/*.rs", "See all health data of the patient", "Consulter toutes les données de santé du patient"),
            (
                "patient/AllergyIntolerance.cru",
                "See, add and change allergies and intolerances of the patient",
                "Consulter, ajouter et modifier les allergies et intolérances du patient",
            ),
            ("user/Practitioner.read", "See health professionals", "Consulter les professionnels de la santé"),
            (
                "user/Observation.cd",
                "Add and delete observations (vital signs, laboratory results) of every patient you may see here",
                "Ajouter et supprimer les observations (signes vitaux, résultats de laboratoire) de tous les patients \
                 que vous pouvez consulter ici",
            ),
            (
                "patient/Observation.rs?category=laboratory&status=final",
                "See observations (vital signs, laboratory results) of the patient, only where category = laboratory and \
                 status = final",
                "Consulter les observations (signes vitaux, résultats de laboratoire) du patient, seulement si \
                 category = laboratory et status = final",
            ),
            (
                "user/GraphDefinition.r",
                "See records of type GraphDefinition",
                "Consulter les fiches de type GraphDefinition",
            ),
            ("nonsense", "nonsense", "nonsense"),
        ] {
            assert_eq!(Language::English.texts().scopes.sentence(scope), english);
            assert_eq!(Language::French.texts().scopes.sentence(scope), french);
        }
    }

    #[test]
    fn no_two_words_of_scopes_read_the_same() {
        let words = ["openid", "fhirUser", "profile", "online_access", "offline_access", "launch", "launch/patient"];
        for language in [Language::English, Language::French] {
            let mut sentences: Vec<_> = words.map(|word| language.texts().scopes.sentence(word)).into();
            assert!(sentences.iter().zip(words).all(|(sentence, word)| sentence != word), "{sentences:?}");
            sentences.sort();
            sentences.dedup();
            assert_eq!(sentences.len(), words.len());
        }
    }
}
