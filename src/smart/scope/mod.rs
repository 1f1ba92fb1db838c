//! Scopes (SMART App Launch 2.1.0, "Scopes and Launch Context"; OpenID Connect Core 1.0 section 5.4).
//!
//! ```text
//! resource scope = ("patient" | "user" | "system") "/" (ResourceType | "*") "." permissions
//! permissions    = v2: one or more letters of "cruds", in that order, each once | v1: "read" | "write" | "*"
//! granular scope = resource scope with a type and v2 permissions "?" name "=" value *( "&" name "=" value )
//! ```
//!
//! Whatever is not understood is not granted, never widened: out-of-order letters (`.sr`), unknown resource types and
//! malformed conditions fall out of a set when it is parsed. Conditions that are well formed stay in it: whoever grants a
//! set asks first whether they can be enforced ([`ScopeSet::only_enforceable`]).
//!
//! Several scopes unite: of a granular and a plain scope of one type the plain one counts. What is asked for and what is
//! registered must both hold: of a granular and a plain one that is the granular one, of two granular ones the conditions
//! of both.

mod granular;
mod letters;

use std::fmt;

pub use self::granular::{Conditions, Malformed};
pub use self::letters::Letter;
use self::letters::Letters;
use crate::fhir::types::is_resource;

/// HALO's operation scope for `$set-context`: SMART wants a server's own scopes to be full URIs.
pub const SET_CONTEXT: &str = "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/set-context";
/// HALO's operation scope for `$clear-context`.
pub const CLEAR_CONTEXT: &str = "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/clear-context";
/// Stands for both operation scopes: the name that existing HALO clients use.
pub const CONTEXT_ALIAS: &str = "Context.write";

/// Scopes that are single words: sign-in and refresh.
const WORDS: [&str; 6] = ["openid", "fhirUser", "profile", "online_access", "offline_access", "launch"];
const OPERATIONS: [&str; 3] = [SET_CONTEXT, CLEAR_CONTEXT, CONTEXT_ALIAS];

/// `*` is every type but the audit trail's: whoever may read everything may not read who read it.
const NOT_OF_ALL: &str = "AuditEvent";

/// Whose data a resource scope speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The patient in context.
    Patient,
    /// Everything the user may see.
    User,
    /// Everything the client itself may see.
    System,
}

impl Level {
    const ALL: [Self; 3] = [Self::Patient, Self::User, Self::System];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// `patient/Observation.rs` and the like.
#[derive(Clone, Debug)]
struct ResourceScope {
    level: Level,
    /// `None` for `*`.
    resource_type: Option<String>,
    letters: Letters,
    /// Of a granular scope: only what fulfils these.
    conditions: Option<Conditions>,
    /// As it was asked for: a v1 scope is told back as v1.
    text: String,
}

impl ResourceScope {
    fn new(level: Level, resource_type: Option<String>, letters: Letters, conditions: Option<Conditions>) -> Self {
        let mut text = format!("{}/{}.{letters}", level.as_str(), resource_type.as_deref().unwrap_or("*"));
        if let Some(conditions) = &conditions {
            text.push('?');
            text.push_str(conditions.as_str());
        }
        Self { level, resource_type, letters, conditions, text }
    }

    /// `None`: it is no resource scope at all.
    fn parse(text: &str) -> Option<Result<Self, Malformed>> {
        let (level, rest) = text.split_once('/')?;
        let level = Level::ALL.into_iter().find(|known| known.as_str() == level)?;
        let (plain, behind) = rest.split_once('?').map_or((rest, None), |(plain, behind)| (plain, Some(behind)));
        let (resource_type, suffix) = plain.split_once('.')?;
        let resource_type = match resource_type {
            "*" => None,
            known if is_resource(known) => Some(known.to_owned()),
            _ => return None,
        };
        let (letters, is_first_version) = Letters::parse(suffix)?;
        let conditions = match behind.map(Conditions::parse) {
            None => None,
            Some(_) if resource_type.is_none() => return Some(Err(Malformed::AllTypes)),
            Some(_) if is_first_version => return Some(Err(Malformed::FirstVersion)),
            Some(Err(malformed)) => return Some(Err(malformed)),
            Some(Ok(conditions)) => Some(conditions),
        };
        Some(Ok(Self { level, resource_type, letters, conditions, text: text.to_owned() }))
    }

    fn covers_type(&self, resource_type: &str) -> bool {
        self.resource_type.as_deref().map_or(resource_type != NOT_OF_ALL, |own| own == resource_type)
    }

    /// What both allow; `None` when that is nothing.
    fn and(&self, other: &Self) -> Option<Self> {
        let resource_type = match (&self.resource_type, &other.resource_type) {
            (Some(left), Some(right)) if left != right => return None,
            (Some(only), None) | (None, Some(only)) if only == NOT_OF_ALL => return None,
            (Some(only), _) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        };
        let letters = self.letters.and(other.letters);
        if self.level != other.level || letters.is_empty() {
            return None;
        }
        let conditions = match (&self.conditions, &other.conditions) {
            (Some(own), Some(others)) => Some(own.and(others)),
            (only, None) | (None, only) => only.clone(),
        };
        Some(Self::new(self.level, resource_type, letters, conditions))
    }

    /// Whether everything `self` allows, `other` allows too.
    fn is_within(&self, other: &Self) -> bool {
        let fulfils = match (&self.conditions, &other.conditions) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(others)) => own.imply(others),
        };
        fulfils
            && self
                .and(other)
                .is_some_and(|both| both.resource_type == self.resource_type && both.letters == self.letters)
    }
}

#[derive(Clone, Debug)]
enum Scope {
    Resource(ResourceScope),
    /// A word, a `launch/…` hint or an operation scope.
    Plain(String),
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        let is_plain = WORDS.contains(&text) || OPERATIONS.contains(&text) || is_launch_hint(text);
        match ResourceScope::parse(text) {
            _ if is_plain => Some(Self::Plain(text.to_owned())),
            Some(Ok(scope)) => Some(Self::Resource(scope)),
            Some(Err(_)) | None => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Resource(scope) => &scope.text,
            Self::Plain(text) => text,
        }
    }
}

/// `launch/` and a resource type all in lower case.
fn is_launch_hint(text: &str) -> bool {
    text.strip_prefix("launch/")
        .is_some_and(|kind| !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// What is wrong with the conditions of a scope that would be one without them.
pub fn malformed(text: &str) -> Option<Malformed> {
    ResourceScope::parse(text)?.err()
}

/// The type and the conditions of a granular scope.
pub fn conditions(text: &str) -> Option<(String, Conditions)> {
    let scope = ResourceScope::parse(text)?.ok()?;
    scope.resource_type.zip(scope.conditions)
}

/// Scopes in one set at most, where registered and asked conditions are joined: each with each.
const MOST_SCOPES: usize = 1000;

/// A set of scopes that this server understands, in the order and spelling in which they were asked for.
#[derive(Clone, Debug, Default)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// Reads a space-separated list; what is unknown, malformed or repeated is left out.
    pub fn parse(text: &str) -> Self {
        let mut set = Self::default();
        text.split_ascii_whitespace().filter_map(Scope::parse).for_each(|scope| set.add(scope));
        set
    }

    /// Reads a list of which every part is understood; `None` when one is not.
    pub fn parse_all(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for word in text.split_ascii_whitespace() {
            set.add(Scope::parse(word)?);
        }
        Some(set)
    }

    fn add(&mut self, scope: Scope) {
        if !self.has(scope.text()) {
            self.0.push(scope);
        }
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes of `level` that give `letter` on `resource_type`, each by its conditions: `None` gives the whole type.
    /// What they give together is the union.
    pub fn granting<'s>(
        &'s self,
        level: Level,
        resource_type: &'s str,
        letter: Letter,
    ) -> impl Iterator<Item = Option<&'s Conditions>> {
        self.resources()
            .filter(move |scope| scope.level == level && scope.letters.has(letter) && scope.covers_type(resource_type))
            .map(|scope| scope.conditions.as_ref())
    }

    /// Whether some scope of `level` gives `letter` on all of `resource_type`.
    pub fn allows(&self, level: Level, resource_type: &str, letter: Letter) -> bool {
        self.granting(level, resource_type, letter).any(|conditions| conditions.is_none())
    }

    /// The set without the granular scopes that `can_enforce` refuses, by their type and conditions.
    #[must_use]
    pub fn only_enforceable(mut self, can_enforce: impl Fn(&str, &Conditions) -> bool) -> Self {
        self.0.retain(|scope| match scope {
            Scope::Resource(ResourceScope { resource_type: Some(kind), conditions: Some(conditions), .. }) => {
                can_enforce(kind, conditions)
            }
            Scope::Resource(scope) => scope.conditions.is_none(),
            Scope::Plain(_) => true,
        });
        self
    }

    /// Whether some scope of `level` that names `resource_type`, and nothing but it, gives `letter`.
    pub fn names(&self, level: Level, resource_type: &str, letter: Letter) -> bool {
        let names = |scope: &ResourceScope| scope.resource_type.as_deref() == Some(resource_type);
        self.resources()
            .any(|scope| scope.level == level && scope.letters.has(letter) && names(scope) && !scope.text.contains('?'))
    }

    /// Whether any resource scope is of `level`.
    pub fn has_level(&self, level: Level) -> bool {
        self.resources().any(|scope| scope.level == level)
    }

    /// Whether this very scope is in the set, spelt like this.
    pub fn has(&self, plain: &str) -> bool {
        self.0.iter().any(|scope| scope.text() == plain)
    }

    /// Whether `$set-context` may be called (the client must also be a PoC).
    pub fn allows_set_context(&self) -> bool {
        self.has(SET_CONTEXT) || self.has(CONTEXT_ALIAS)
    }

    /// Whether `$clear-context` may be called (the client must also be a PoC).
    pub fn allows_clear_context(&self) -> bool {
        self.has(CLEAR_CONTEXT) || self.has(CONTEXT_ALIAS)
    }

    /// Whether a refresh token was asked for.
    pub fn wants_refresh(&self) -> bool {
        self.has("offline_access") || self.has("online_access")
    }

    /// What is asked for here and permitted by `limit`. A scope that is permitted whole keeps its spelling; one that is
    /// permitted in part becomes those parts, in v2.
    #[must_use]
    pub fn within(&self, limit: &Self) -> Self {
        let mut granted = Self::default();
        for scope in &self.0 {
            match scope {
                Scope::Plain(text) if limit.permits_plain(text) => granted.add(scope.clone()),
                Scope::Plain(_) => {}
                Scope::Resource(asked) if limit.permits_whole(asked) => granted.add(scope.clone()),
                Scope::Resource(asked) => {
                    limit
                        .resources()
                        .filter_map(|one| asked.and(one))
                        .take(MOST_SCOPES.saturating_sub(granted.0.len()))
                        .for_each(|part| granted.add(Scope::Resource(part)));
                }
            }
        }
        granted
    }

    /// Whether everything in this set is permitted by `limit`.
    pub fn is_within(&self, limit: &Self) -> bool {
        self.0.iter().all(|scope| match scope {
            Scope::Plain(text) => limit.permits_plain(text),
            Scope::Resource(asked) => limit.permits_whole(asked),
        })
    }

    /// The set without the resource scopes of a level that `keep` refuses.
    #[must_use]
    pub fn only_levels(mut self, keep: &[Level]) -> Self {
        self.0.retain(|scope| match scope {
            Scope::Resource(scope) => keep.contains(&scope.level),
            Scope::Plain(_) => true,
        });
        self
    }

    /// The set without the words, hints and operation scopes that `keep` refuses.
    #[must_use]
    pub fn only_plain(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|scope| match scope {
            Scope::Resource(_) => true,
            Scope::Plain(text) => keep(text),
        });
        self
    }

    fn resources(&self) -> impl Iterator<Item = &ResourceScope> {
        self.0.iter().filter_map(|scope| match scope {
            Scope::Resource(scope) => Some(scope),
            Scope::Plain(_) => None,
        })
    }

    fn permits_plain(&self, text: &str) -> bool {
        self.has(text)
            || match text {
                SET_CONTEXT | CLEAR_CONTEXT => self.has(CONTEXT_ALIAS),
                CONTEXT_ALIAS => self.has(SET_CONTEXT) && self.has(CLEAR_CONTEXT),
                _ => false,
            }
    }

    /// Whether the union of this set gives every letter of `asked` on all of its types.
    fn permits_whole(&self, asked: &ResourceScope) -> bool {
        Letter::ALL.into_iter().filter(|letter| asked.letters.has(*letter)).all(|letter| {
            let letter = Letters::of(&[letter]);
            let one = ResourceScope::new(asked.level, asked.resource_type.clone(), letter, asked.conditions.clone());
            self.resources().any(|scope| one.is_within(scope))
        })
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}", scope.text())?;
        }
        Ok(())
    }
}

/// Whether a plain scope is one of HALO's operation scopes (or their alias).
pub fn is_operation(plain: &str) -> bool {
    OPERATIONS.contains(&plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(text: &str) -> String {
        ScopeSet::parse(text).to_string()
    }

    fn granted(asked: &str, registered: &str) -> String {
        ScopeSet::parse(asked).within(&ScopeSet::parse(registered)).to_string()
    }

    #[test]
    fn all_31_ordered_subsets_of_cruds_are_accepted() {
        for bits in 1..32_u8 {
            let text = format!("patient/Observation.{}", Letters(bits));
            assert_eq!(kept(&text), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_not_granted() {
        for bad in [
            "patient/Foo.rs",
            "patient/observation.rs",
            "patient/Observation",
            "patient/Observation.",
            "patient/Observation.sr",
            "patient/Observation.dus",
            "patient/Observation.rr",
            "patient/Observation.x",
            "patient/Observation.readwrite",
            "patient/.rs",
            "Patient/Observation.rs",
            "any/Observation.rs",
            "patient/*",
            "patient/*.rs?_tag=x",
            "patient/Observation.read?category=laboratory",
            "patient/Observation.*?category=laboratory",
            "patient/Observation.rs?",
            "patient/Observation.rs?category",
            "patient/Observation.rs?category=a&",
            "patient/Observation.rs?category=a\\,b",
            "patient/Observation.?category=a",
            "patient/Foo.rs?category=a",
            "patient/Observation?category=a.rs",
            "launch/ImagingStudy",
            "launch/",
            "OpenID",
            "patient/DomainResource.rs",
            "HALO/OperationDefinition/set-context",
        ] {
            assert_eq!(kept(bad), "", "{bad}");
        }
    }

    #[test]
    fn v1_words_mean_their_v2_letters_and_stay_v1_in_answers() {
        let set = ScopeSet::parse("patient/Observation.read user/*.write system/Patient.*");
        assert_eq!(set.to_string(), "patient/Observation.read user/*.write system/Patient.*");
        let letters = |level, kind: &str| -> String {
            Letter::ALL.into_iter().filter(|l| set.allows(level, kind, *l)).map(Letter::as_char).collect()
        };
        assert_eq!(letters(Level::Patient, "Observation"), "rs");
        assert_eq!(letters(Level::User, "Encounter"), "cud");
        assert_eq!(letters(Level::System, "Patient"), "cruds");
        assert_eq!(letters(Level::Patient, "Patient"), "");
    }

    #[test]
    fn several_scopes_unite() {
        let set = ScopeSet::parse("patient/Observation.r patient/Observation.s");
        assert!(set.allows(Level::Patient, "Observation", Letter::Read));
        assert!(set.allows(Level::Patient, "Observation", Letter::Search));
        assert!(!set.allows(Level::Patient, "Observation", Letter::Create));
        assert!(!set.allows(Level::User, "Observation", Letter::Read));
    }

    #[test]
    fn a_granular_scope_does_not_count_as_the_wider_one() {
        let set = ScopeSet::parse("patient/Observation.rs?category=laboratory");
        assert!(!set.allows(Level::Patient, "Observation", Letter::Read));
        let given: Vec<_> = set.granting(Level::Patient, "Observation", Letter::Read).flatten().collect();
        assert_eq!(given.iter().map(|one| one.as_str()).collect::<Vec<_>>(), ["category=laboratory"]);
        assert!(set.clone().only_enforceable(|_, _| false).is_empty());
        assert_eq!(
            set.only_enforceable(|kind, _| kind == "Observation").to_string(),
            "patient/Observation.rs?category=laboratory"
        );
    }

    #[test]
    fn conditions_hold_wherever_either_side_has_them() {
        let (plain, lab, final_) =
            ("patient/Observation.rs", "patient/Observation.rs?category=lab", "patient/Observation.rs?status=final");
        for (asked, registered, expected) in [
            (lab, plain, lab),
            (plain, lab, lab),
            (lab, lab, lab),
            (lab, final_, "patient/Observation.rs?category=lab&status=final"),
            (lab, "patient/*.cruds", lab),
            ("patient/*.rs", lab, lab),
            ("patient/Observation.read", lab, lab),
            ("patient/Observation.cruds?category=lab", plain, lab),
            (
                "patient/Observation.rs?category=lab&status=final",
                lab,
                "patient/Observation.rs?category=lab&status=final",
            ),
            (
                plain,
                "patient/Observation.r?category=lab patient/Observation.s",
                "patient/Observation.r?category=lab patient/Observation.s",
            ),
            (
                "patient/Observation.rs?category=http://x%7Clab",
                "patient/Observation.rs?category=http://x|lab",
                "patient/Observation.rs?category=http://x%7Clab",
            ),
            (lab, "user/Observation.rs patient/Condition.rs", ""),
        ] {
            assert_eq!(granted(asked, registered), expected, "{asked} within {registered}");
        }
        let is_within = |one: &str, other: &str| ScopeSet::parse(one).is_within(&ScopeSet::parse(other));
        assert!(is_within(lab, plain) && is_within(lab, lab) && !is_within(plain, lab) && !is_within(lab, final_));
        assert!(is_within("patient/Observation.r?category=lab&status=final", final_));
        assert!(!is_within("patient/*.rs", "patient/Observation.rs?category=lab patient/*.r"));
    }

    #[test]
    fn what_is_wrong_with_conditions_can_be_told() {
        for (scope, expected) in [
            ("patient/*.rs?_tag=x", Some(Malformed::AllTypes)),
            ("patient/Observation.read?code=x", Some(Malformed::FirstVersion)),
            ("patient/Observation.rs?code", Some(Malformed::NoPairs)),
            ("patient/Observation.rs?code=\\", Some(Malformed::Characters)),
            ("patient/Observation.rs?code=x", None),
            ("patient/Foo.rs?code", None),
            ("launch?x", None),
        ] {
            assert_eq!(malformed(scope), expected, "{scope}");
        }
        let (kind, found) = conditions("user/Observation.c?code=x").unwrap();
        assert_eq!((kind.as_str(), found.as_str()), ("Observation", "code=x"));
        assert_eq!(conditions("user/Observation.c"), None);
    }

    #[test]
    fn repeated_scopes_and_extra_spaces_are_folded() {
        assert_eq!(kept("  openid   openid\tlaunch "), "openid launch");
    }

    #[test]
    fn a_grant_never_exceeds_the_registration() {
        assert_eq!(granted("patient/*.cruds", "patient/*.rs"), "patient/*.rs");
        assert_eq!(
            granted("patient/*.rs", "patient/Patient.r patient/Observation.rs"),
            "patient/Patient.r patient/Observation.rs"
        );
        assert_eq!(granted("patient/Observation.read", "patient/*.rs"), "patient/Observation.read");
        assert_eq!(granted("patient/Observation.rs", "patient/Observation.r patient/*.s"), "patient/Observation.rs");
        assert_eq!(granted("user/*.rs", "patient/*.rs"), "");
        assert_eq!(granted("openid fhirUser launch/patient", "openid launch/patient"), "openid launch/patient");
        assert_eq!(granted("patient/Observation.c", "patient/Observation.rs"), "");
    }

    #[test]
    fn the_operation_alias_stands_for_both_uris_and_needs_both() {
        assert_eq!(granted(SET_CONTEXT, CONTEXT_ALIAS), SET_CONTEXT);
        assert_eq!(granted(CONTEXT_ALIAS, SET_CONTEXT), "");
        assert_eq!(granted(CONTEXT_ALIAS, &format!("{SET_CONTEXT} {CLEAR_CONTEXT}")), CONTEXT_ALIAS);
        assert!(ScopeSet::parse(CONTEXT_ALIAS).allows_set_context());
        assert!(ScopeSet::parse(CONTEXT_ALIAS).allows_clear_context());
        assert!(!ScopeSet::parse(SET_CONTEXT).allows_clear_context());
    }

    fn any_scope() -> impl Strategy<Value = String> {
        let conditions = "(|\\?(category|status)=[ab](&(category|status)=[ab])?)";
        ("(patient|user|system)", "(Patient|Observation|\\*)", "(read|write|\\*|c?r?u?d?s?)", conditions)
            .prop_map(|(level, kind, letters, conditions)| format!("{level}/{kind}.{letters}{conditions}"))
    }

    /// Whether a resource with these values may be touched.
    fn gives(set: &ScopeSet, (level, kind, letter): (Level, &str, Letter), category: &str, status: &str) -> bool {
        let holds = |(name, value): (String, String)| value == if name == "category" { category } else { status };
        set.granting(level, kind, letter).any(|given| given.is_none_or(|conditions| conditions.pairs().all(holds)))
    }

    proptest! {
        #[test]
        fn what_is_granted_was_asked_for_and_is_registered(
            asked in prop::collection::vec(any_scope(), 0..4), registered in prop::collection::vec(any_scope(), 0..4),
        ) {
            let (asked, registered) = (ScopeSet::parse(&asked.join(" ")), ScopeSet::parse(&registered.join(" ")));
            let granted = asked.within(&registered);
            for level in Level::ALL {
                for kind in ["Patient", "Observation", "Encounter"] {
                    for letter in Letter::ALL {
                        for (category, status) in [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")] {
                            let gives = |set| gives(set, (level, kind, letter), category, status);
                            prop_assert_eq!(gives(&granted), gives(&asked) && gives(&registered));
                        }
                    }
                }
            }
            prop_assert!(granted.is_within(&registered));
        }

        #[test]
        fn whatever_is_within_gives_no_more(
            one in prop::collection::vec(any_scope(), 0..4), other in prop::collection::vec(any_scope(), 0..4),
        ) {
            let (one, other) = (ScopeSet::parse(&one.join(" ")), ScopeSet::parse(&other.join(" ")));
            if one.is_within(&other) {
                for level in Level::ALL {
                    for letter in Letter::ALL {
                        for (category, status) in [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")] {
                            let gives = |set| gives(set, (level, "Observation", letter), category, status);
                            prop_assert!(!gives(&one) || gives(&other));
                        }
                    }
                }
            }
        }

        #[test]
        fn a_granular_scope_is_told_back_as_it_was_asked_for(
            name in "[a-z_-]{1,12}", value in "[!#-%\'-\\[\\]-~]{1,40}", letters in "(c|r|u|d|s|rs|cruds)",
        ) {
            let text = format!("patient/Observation.{letters}?{name}={value}");
            prop_assert_eq!(kept(&text), text.clone());
            prop_assert_eq!(granted(&text, "patient/*.cruds"), text.clone());
            // Never the wider one.
            prop_assert!(!ScopeSet::parse(&text).allows(Level::Patient, "Observation", Letter::Read));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let set = ScopeSet::parse(&text);
            prop_assert_eq!(ScopeSet::parse(&set.to_string()).to_string(), set.to_string());
        }

        #[test]
        fn no_text_behind_a_question_mark_becomes_a_wider_scope(text in "\\PC{0,60}") {
            let set = ScopeSet::parse(&format!("patient/Observation.rs?{text}"));
            prop_assert!(!set.allows(Level::Patient, "Observation", Letter::Read));
        }
    }
}
