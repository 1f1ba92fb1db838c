//! Tokens and their modifiers.

use super::*;
use crate::fhir::search::{token, token_of_type, token_system, token_value};

#[test]
fn a_token_is_asked_for_in_four_ways() {
    let code = id("Observation", "code");
    assert_eq!(lookup("Observation", "code=a"), tokens(&[token_value(code, "a")]));
    assert_eq!(lookup("Observation", "code=s|a"), tokens(&[token(code, "s", "a")]));
    assert_eq!(lookup("Observation", "code=|a"), tokens(&[token(code, "", "a")]));
    assert_eq!(lookup("Observation", "code=s|"), tokens(&[token_system(code, "s")]));
    let several = tokens(&[token_value(code, "a"), token(code, "s|t", "b,c")]);
    assert_eq!(lookup("Observation", r"code=a,s\|t|b\,c"), several);
    assert_eq!(lookup("Patient", "active=true"), tokens(&[token_value(id("Patient", "active"), "true")]));
    assert_eq!(lookup("Patient", "email=A@B.ca"), tokens(&[token_value(id("Patient", "email"), "a@b.ca")]));
    for value in ["|", "a|b|c", "||"] {
        refused("Observation", &format!("code={value}"), "[system]|[code]");
    }
}

#[test]
fn repeated_parameters_must_all_hold() {
    let language = |code: &str| Filter::Any(vec![tokens(&[token_value(id("Patient", "language"), code)])]);
    assert_eq!(filters("Patient", "language=FR&language=NL"), [language("FR"), language("NL")]);
}

#[test]
fn not_turns_the_whole_set_around() {
    let gender = id("Patient", "gender");
    let both = tokens(&[token_value(gender, "male"), token_value(gender, "other")]);
    assert_eq!(filter("Patient", "gender:not=male,other"), Filter::None(vec![both]));
}

#[test]
fn text_is_that_of_the_code_and_not_the_code() {
    let parameter = id("Condition", "code:text");
    let begins = |text: &str| Lookup::Begins { parameter, folded: text.to_owned() };
    assert_eq!(
        filter("Condition", "code:text=Head ache,Fi%C3%A8vre"),
        Filter::Any(vec![begins("head ache"), begins("fievre")])
    );
}

#[test]
fn all_three_parts_of_an_identifiers_type_and_value_are_needed() {
    let identifier = id("Patient", "identifier");
    let found = lookup("Patient", "identifier:of-type=http://t|MR|446053");
    assert_eq!(found, tokens(&[token_of_type(identifier, "http://t", "MR", "446053")]));
    for value in ["MR|446053", "|MR|446053", "http://t||446053", "http://t|MR|", "446053"] {
        refused("Patient", &format!("identifier:of-type={value}"), "[system]|[code]|[value]");
    }
}

#[test]
fn a_value_set_is_all_its_codes() {
    let gender = id("Patient", "gender");
    for name in [
        "http://hl7.org/fhir/ValueSet/administrative-gender",
        "ValueSet/administrative-gender",
        "http://h/fhir/ValueSet/administrative-gender",
    ] {
        let Lookup::Tokens(digests) = lookup("Patient", &format!("gender:in={name}")) else { panic!() };
        assert_eq!(digests.len(), 8);
        assert!(digests.contains(&token(gender, "http://hl7.org/fhir/administrative-gender", "female")));
        // An element of type code carries no system.
        assert!(digests.contains(&token(gender, "", "female")));
        let Filter::None(lookups) = filter("Patient", &format!("gender:not-in={name}")) else { panic!() };
        assert_eq!(lookups, [Lookup::Tokens(digests)]);
    }
    refused("Patient", "gender:in=http://nowhere/vs", "is not loaded here");
    // SNOMED CT is not loaded.
    refused("Condition", "code:in=http://hl7.org/fhir/ValueSet/condition-code", "cannot all be told here");
}

#[test]
fn a_code_is_asked_for_with_those_below_or_above_it() {
    let code = id("Condition", "clinical-status");
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let all = |codes: &[&str]| {
        let of = |code_of: &&str| [token(code, system, code_of), token(code, "", code_of)];
        tokens(&codes.iter().flat_map(of).collect::<Vec<_>>())
    };
    let ask = |way: &str, value: &str| lookup("Condition", &format!("clinical-status:{way}={system}|{value}"));
    assert_eq!(ask("below", "active"), all(&["active", "recurrence", "relapse"]));
    assert_eq!(ask("below", "relapse"), all(&["relapse"]));
    assert_eq!(ask("above", "relapse"), all(&["active", "relapse"]));
    assert_eq!(ask("below", "unheard-of"), all(&["unheard-of"]));
    refused("Condition", "code:below=http://snomed.info/sct|126851005", "is not known here");
    for value in ["126851005", "|a", "http://s|", "a|b|c"] {
        refused("Condition", &format!("code:below={value}"), "[system]|[code]");
    }
}
