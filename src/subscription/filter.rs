//! Filters of a Subscription: `[resourceType.]parameter=value[,value…]`, with `?` in place of `.` accepted.

use serde::{Deserialize, Serialize};

use super::topic::{Parameter, Topic};
use crate::fhir::{
    reference,
    types::{is_id, is_resource},
};

/// One `backport-filter-criteria`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The filter applies to resources of this type only; to every type when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// What is compared.
    pub parameter: Parameter,
    /// Bare ids, or names of types. One of them must match.
    pub values: Vec<String>,
}

/// Reads one criterion for `topic`, or says why it cannot be applied. `base` is this server's FHIR base: references to
/// resources may be absolute under it.
pub fn parse(text: &str, topic: &Topic, base: &str) -> Result<Filter, String> {
    let (left, right) =
        text.split_once('=').ok_or_else(|| format!("expected a filter 'parameter=value', found '{text}'"))?;
    let (left, modifier) = left.split_once(':').map_or((left, None), |(left, modifier)| (left, Some(modifier)));
    if let Some(modifier) = modifier {
        return Err(format!("the filter modifier ':{modifier}' is not supported"));
    }
    let (resource, name) = left.split_once(['.', '?']).map_or((None, left), |(resource, name)| (Some(resource), name));
    if let Some(unknown) = resource.filter(|resource| !is_resource(resource)) {
        return Err(format!("'{unknown}' is not a resource type of FHIR R4"));
    }
    let Some(parameter) = topic.parameter(name) else {
        let offered: Vec<_> = topic.filters.iter().map(|filter| filter.parameter.as_str()).collect();
        return Err(format!("expected a filter by {}, found '{name}'", offered.join(", ")));
    };
    let values = right.split(',').map(|value| read_value(value, parameter, base)).collect::<Result<_, _>>()?;
    Ok(Filter { resource: resource.map(str::to_owned), parameter, values })
}

fn read_value(value: &str, parameter: Parameter, base: &str) -> Result<String, String> {
    let target = match parameter {
        Parameter::ResourceType if is_resource(value) => return Ok(value.to_owned()),
        Parameter::ResourceType => return Err(format!("'{value}' is not a resource type of FHIR R4")),
        Parameter::Patient => "Patient",
        Parameter::Encounter => "Encounter",
    };
    match reference::local(value, base) {
        Some((kind, id)) if kind == target => Ok(id),
        None if is_id(value) => Ok(value.to_owned()),
        _ => Err(format!("expected {target}/[id] or an id, found '{value}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::topic;

    const BASE: &str = "http://h/fhir";

    fn read(text: &str) -> Result<Filter, String> {
        parse(text, &topic::all()[0], BASE)
    }

    #[test]
    fn every_way_of_writing_a_filter_is_read() {
        let patients = |resource: Option<&str>, ids: &[&str]| Filter {
            resource: resource.map(str::to_owned),
            parameter: Parameter::Patient,
            values: ids.iter().map(|&id| id.to_owned()).collect(),
        };
        for (text, expected) in [
            ("patient=Patient/123", patients(None, &["123"])),
            ("patient=123", patients(None, &["123"])),
            ("patient=http://h/fhir/Patient/123,Patient/4", patients(None, &["123", "4"])),
            ("Encounter?patient=Patient/123", patients(Some("Encounter"), &["123"])),
            ("Encounter.patient=Patient/123", patients(Some("Encounter"), &["123"])),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        assert_eq!(read("resourceType=Observation,Condition").unwrap().values, ["Observation", "Condition"]);
        assert_eq!(read("encounter=Encounter/7").unwrap().values, ["7"]);
    }

    #[test]
    fn a_filter_that_cannot_be_applied_is_refused() {
        for text in [
            "",
            "patient",
            "code=1234",
            "patient:missing=true",
            "patient=Group/1",
            "patient=http://elsewhere/fhir/Patient/1",
            "patient=",
            "patient=1,,2",
            "Visit?patient=1",
            "resourceType=Visit",
            "encounter=Patient/1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
