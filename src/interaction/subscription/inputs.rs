//! Input parameters of the status operations: by GET in the query, by POST in a `Parameters` resource.

use crate::{
    fhir::{
        json::{Kind, Ref},
        outcome::IssueType,
        resource::Resource,
    },
    interaction::Failure,
};

/// The (name, value) pairs of a `Parameters` resource with primitive values: what a query would say.
pub fn inputs(parameters: &Resource) -> Result<Vec<(String, String)>, Failure> {
    if parameters.type_name() != "Parameters" {
        let text = format!("expected Parameters, found {}", parameters.type_name());
        return Err(Failure::bad_request(IssueType::Structure, text));
    }
    let given = parameters.root().get("parameter").into_iter().flat_map(Ref::items);
    given.map(|parameter| input(parameter).ok_or_else(no_pair)).collect()
}

fn input(parameter: Ref<'_>) -> Option<(String, String)> {
    let name = parameter.str("name")?.into_owned();
    let (_, value) = parameter.members().find(|(member, _)| member.starts_with("value"))?;
    match value.kind() {
        Kind::Number => Some((name, value.raw().to_owned())),
        _ => Some((name, value.as_str()?.into_owned())),
    }
}

fn no_pair() -> Failure {
    Failure::bad_request(IssueType::Structure, "expected each parameter to have a name and a primitive value")
}

/// A name the operation does not have: to ignore it would answer another question than was asked. Names of the protocol
/// (`_format`) are not inputs.
pub(super) fn check_names(inputs: &[(String, String)], known: &[&str]) -> Result<(), Failure> {
    match inputs.iter().find(|(name, _)| !name.starts_with('_') && !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("unknown parameter '{name}': expected {}", known.join(", "));
            Err(Failure::bad_request(IssueType::NotSupported, text))
        }
    }
}

/// The value of a 0..1 input.
pub(super) fn single<'i>(inputs: &'i [(String, String)], name: &str) -> Result<Option<&'i str>, Failure> {
    let mut values = inputs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => {
            Err(Failure::bad_request(IssueType::Invalid, format!("expected at most one parameter '{name}'")))
        }
    }
}
