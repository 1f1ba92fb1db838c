//! Value sets over one small code system, filter by filter.

use super::*;
use crate::fhir::json::{Doc, Limits};

/// One code system `http://s` with a > b > c and d (kind = x), of the given content.
struct One(Option<Arc<CodeSystem>>);

impl One {
    fn with(content: &str) -> Self {
        let json = format!(
            r#"{{"url":"http://s","version":"1","content":"{content}","concept":[{{"code":"a","concept":[{{"code":"b",
            "concept":[{{"code":"c"}}]}}]}},{{"code":"d","property":[{{"code":"kind","valueCode":"x"}}]}}]}}"#
        );
        let doc = Doc::parse(&json, &Limits::default()).unwrap();
        Self(CodeSystem::read(doc.root()).unwrap().map(Arc::new))
    }

    fn expand(&mut self, set: &str) -> Expansion {
        let doc = Doc::parse(&format!(r#"{{"url":"http://v",{set}}}"#), &Limits::default()).unwrap();
        expand(&ValueSet::read(doc.root()).unwrap(), self)
    }

    /// The members among a, b, c, d.
    fn members(&mut self, include: &str) -> String {
        let set = self.expand(&format!(r#""compose":{{"include":[{include}]}}"#));
        let is_member = |code: &&str| match set.contains(Some("http://s"), code) {
            Member => true,
            NotMember => false,
            Unknown(what) => panic!("{code}: unknown for want of {what}"),
        };
        ["a", "b", "c", "d"].iter().filter(|code| is_member(code)).copied().collect()
    }
}

impl Library for One {
    fn code_system(&self, url: &str, version: Option<&str>) -> Option<(Arc<CodeSystem>, bool)> {
        let found = self.0.as_ref().filter(|one| one.url == url)?;
        Some((Arc::clone(found), version.is_none() || version == found.version.as_deref()))
    }

    fn import(&mut self, canonical: &str) -> Result<Arc<Expansion>, String> {
        match canonical {
            "http://ab" => Ok(Arc::new(
                self.expand(r#""compose":{"include":[{"system":"http://s","concept":[{"code":"a"},{"code":"b"}]}]}"#),
            )),
            "http://open" => Ok(Arc::new(self.expand(r#""compose":{"include":[{"system":"http://loinc.org"}]}"#))),
            _ => Err(format!("no {canonical}")),
        }
    }
}

#[test]
fn filters_select_among_the_codes_of_a_known_system() {
    let cases = [
        ("concept", "is-a", "b", "bc"),
        ("concept", "descendent-of", "a", "bc"),
        ("concept", "is-not-a", "b", "ad"),
        ("concept", "generalizes", "b", "ab"),
        ("concept", "in", "a, d", "ad"),
        ("code", "not-in", "a,d", "bc"),
        ("code", "regex", "[a-b]", "ab"),
        ("kind", "=", "x", "d"),
        ("kind", "exists", "true", "d"),
        ("kind", "exists", "false", "abc"),
        ("kind", "not-in", "x,y", "abc"),
        ("kind", "regex", "x|y", "d"),
    ];
    for (property, op, value, members) in cases {
        let filter = format!(r#"{{"property":"{property}","op":"{op}","value":"{value}"}}"#);
        let include = format!(r#"{{"system":"http://s","filter":[{filter}]}}"#);
        assert_eq!(One::with("complete").members(&include), members, "{property} {op} {value}");
    }
    assert_eq!(One::with("complete").members(r#"{"system":"http://s"}"#), "abcd");
    assert_eq!(One::with("complete").members(r#"{"system":"http://s","valueSet":["http://ab"]}"#), "ab");
    assert_eq!(One::with("complete").members(r#"{"valueSet":["http://ab"]}"#), "ab");
}

#[test]
fn what_cannot_be_decided_is_unknown_and_never_denied() {
    let mut one = One::with("complete");
    let odd = one
        .expand(r#""compose":{"include":[{"system":"http://s","filter":[{"property":"odd","op":"=","value":"x"}]}]}"#);
    assert_eq!(odd.contains(Some("http://s"), "a"), Unknown("http://s"));
    assert_eq!(odd.contains(Some("http://s"), "z"), NotMember);
    assert_eq!(odd.contains(Some("http://t"), "a"), NotMember);
    let loinc = one.expand(r#""compose":{"include":[{"valueSet":["http://open"]}]}"#);
    assert_eq!(loinc.contains(Some("http://loinc.org"), "1-8"), Unknown("http://loinc.org"));
    assert_eq!(loinc.contains(Some("http://s"), "a"), NotMember);
    assert_eq!(loinc.contains(None, "a"), Unknown("http://loinc.org"));
    let lost = one.expand(r#""compose":{"include":[{"valueSet":["http://lost"]},{"system":"http://s"}]}"#);
    assert_eq!(lost.contains(Some("http://s"), "a"), Member);
    assert_eq!(lost.contains(Some("http://s"), "z"), Unknown("http://lost"));
    assert_eq!(lost.missing(), ["no http://lost"]);
    let part = One::with("fragment").expand(r#""compose":{"include":[{"system":"http://s"}]}"#);
    assert_eq!(part.contains(Some("http://s"), "a"), Member);
    assert_eq!(part.contains(Some("http://s"), "z"), Unknown("http://s"));
    let other = one.expand(r#""compose":{"include":[{"system":"http://s","version":"2"}]}"#);
    assert_eq!(other.contains(Some("http://s"), "z"), Unknown("http://s"));
    let nothing = one.expand(r#""name":"n""#);
    assert_eq!(nothing.contains(Some("http://s"), "a"), Unknown("http://v"));
}

#[test]
fn excludes_take_away_and_an_expansion_helps_out() {
    let mut one = One::with("complete");
    let set = one.expand(
        r#""compose":{"include":[{"system":"http://s"},{"system":"http://loinc.org"}],
           "exclude":[{"system":"http://s","concept":[{"code":"a"}]},{"system":"http://loinc.org","concept":[{"code":"1-8"}]}]},
           "expansion":{"contains":[{"system":"http://loinc.org","code":"2-6"}]}"#,
    );
    assert_eq!(set.contains(Some("http://s"), "a"), NotMember);
    assert_eq!(set.contains(Some("http://s"), "b"), Member);
    assert_eq!(set.contains(Some("http://loinc.org"), "1-8"), NotMember);
    assert_eq!(set.contains(Some("http://loinc.org"), "2-6"), Member);
    assert_eq!(set.contains(Some("http://loinc.org"), "3-4"), Unknown("http://loinc.org"));
    assert_eq!(set.contains(None, "a"), Unknown("http://v"), "LOINC may have an 'a' too");
    let open = one.expand(r#""compose":{"include":[{"system":"http://s"}],"exclude":[{"valueSet":["http://lost"]}]}"#);
    assert_eq!(open.contains(Some("http://s"), "a"), Unknown("http://v"));
    assert_eq!(open.contains(Some("http://s"), "z"), NotMember);
    let listed = one.expand(r#""expansion":{"contains":[{"system":"http://s","code":"a"}]}"#);
    assert_eq!(listed.contains(None, "a"), Member);
    assert_eq!(listed.contains(None, "b"), NotMember);
}

#[test]
fn case_matters_unless_the_system_says_otherwise() {
    let mut one = One::with("complete");
    let all = r#""compose":{"include":[{"system":"http://s"}]}"#;
    assert_eq!(one.expand(all).contains(Some("http://s"), "A"), NotMember);
    if let Some(system) = &mut one.0 {
        Arc::make_mut(system).is_case_sensitive = false;
    }
    assert_eq!(one.expand(all).contains(Some("http://s"), "A"), Member);
    assert_eq!(one.expand(all).contains(Some("http://t"), "A"), NotMember);
}
