//! What a scope means, in parts from which a sentence can be made in any language.

use super::scope::{CLEAR_CONTEXT, CONTEXT_ALIAS, Level, SET_CONTEXT};

/// The meaning of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// The user's own identity: `openid`.
    Identity,
    /// `fhirUser`
    FhirUser,
    /// `profile`
    Profile,
    /// `online_access`: as long as the user is signed in.
    WhileSignedIn,
    /// `offline_access`: also later.
    Later,
    /// `launch`, or `launch/…` with the type in lower case.
    Launch(Option<&'a str>),
    /// Making and ending launches.
    Contexts,
    /// FHIR data.
    Data(Data<'a>),
}

/// FHIR data, and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    pub level: Level,
    /// `None` for all types.
    pub kind: Option<&'a str>,
    /// Read or search.
    pub see: bool,
    pub add: bool,
    pub change: bool,
    pub delete: bool,
    /// Only resources that these search parameters find: (name, value), decoded.
    pub only_where: Vec<(String, String)>,
}

/// The meaning of a scope; `None` for what is not one.
pub fn explain(scope: &str) -> Option<Meaning<'_>> {
    Some(match scope {
        "openid" => Meaning::Identity,
        "fhirUser" => Meaning::FhirUser,
        "profile" => Meaning::Profile,
        "online_access" => Meaning::WhileSignedIn,
        "offline_access" => Meaning::Later,
        "launch" => Meaning::Launch(None),
        SET_CONTEXT | CLEAR_CONTEXT | CONTEXT_ALIAS => Meaning::Contexts,
        _ => match scope.split_once('/')? {
            ("launch", kind) => Meaning::Launch(Some(kind)),
            ("patient", rest) => Meaning::Data(data(Level::Patient, rest)?),
            ("user", rest) => Meaning::Data(data(Level::User, rest)?),
            ("system", rest) => Meaning::Data(data(Level::System, rest)?),
            _ => return None,
        },
    })
}

fn data(level: Level, rest: &str) -> Option<Data<'_>> {
    let (kind, rest) = rest.split_once('.')?;
    let (suffix, conditions) = rest.split_once('?').unwrap_or((rest, ""));
    let letters = match suffix {
        "read" => "rs",
        "write" => "cud",
        "*" => "cruds",
        letters => letters,
    };
    let may = |letter| letters.contains(letter);
    Some(Data {
        level,
        kind: (kind != "*").then_some(kind),
        see: may('r') || may('s'),
        add: may('c'),
        change: may('u'),
        delete: may('d'),
        only_where: form_urlencoded::parse(conditions.as_bytes()).into_owned().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(scope: &str) -> (bool, bool, bool, bool) {
        match explain(scope) {
            Some(Meaning::Data(data)) => (data.see, data.add, data.change, data.delete),
            other => panic!("{scope}: {other:?}"),
        }
    }

    #[test]
    fn letters_and_words_become_what_may_be_done() {
        for (scope, expected) in [
            ("patient/*.cruds", (true, true, true, true)),
            ("patient/*.*", (true, true, true, true)),
            ("user/Observation.rs", (true, false, false, false)),
            ("user/Observation.s", (true, false, false, false)),
            ("user/Observation.read", (true, false, false, false)),
            ("system/Patient.write", (false, true, true, true)),
            ("patient/Condition.u", (false, false, true, false)),
            ("patient/Condition.cd", (false, true, false, true)),
        ] {
            assert_eq!(letters(scope), expected, "{scope}");
        }
    }

    #[test]
    fn conditions_are_told_decoded() {
        let Some(Meaning::Data(data)) =
            explain("patient/Observation.rs?category=http%3A%2F%2Fx%7Claboratory&status=final")
        else {
            panic!("data");
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(data.only_where, [pair("category", "http://x|laboratory"), pair("status", "final")]);
        assert_eq!((data.level, data.kind), (Level::Patient, Some("Observation")));
    }

    #[test]
    fn words_have_meanings_and_nonsense_has_none() {
        assert_eq!(explain("openid"), Some(Meaning::Identity));
        assert_eq!(explain("launch/encounter"), Some(Meaning::Launch(Some("encounter"))));
        assert_eq!(explain(CONTEXT_ALIAS), Some(Meaning::Contexts));
        for nonsense in ["", "openid2", "patient", "patient/", "other/Patient.rs", "patient/Observation"] {
            assert_eq!(explain(nonsense), None, "{nonsense}");
        }
    }
}
