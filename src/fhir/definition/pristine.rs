//! HL7's own R4 packages: what of them is the standard, and its four defective invariants repaired.
//!
//! The package that can be fetched holds HL7's examples too, some of which look like definitions.

use std::sync::Arc;

use super::{
    source::Definitions,
    structure::{Structure, text},
};
use crate::fhir::json::Ref;

/// Whether a package is R4 itself.
pub fn is_r4(package: &str) -> bool {
    package.starts_with("hl7.fhir.r4.")
}

const BASES: [&str; 2] = ["http://hl7.org/fhir/", "http://terminology.hl7.org/"];
/// A pattern that R4 documents beside its types.
const METADATA_RESOURCE: &str = "http://hl7.org/fhir/StructureDefinition/MetadataResource";

/// Whether a SearchParameter is none of those that HL7 publishes beside R4's 1,375: examples and experiments, some of them
/// broken. (`_filter` is not in the standard's list either.)
pub fn is_standard_parameter(resource: Ref<'_>) -> bool {
    let url = text(resource, "url").unwrap_or_default();
    let Some(name) = url.strip_prefix("http://hl7.org/fhir/SearchParameter/") else { return true };
    !name.contains("-extensions-") && !name.contains("-genetic-") && !name.starts_with("example") && name != "filter"
}

/// Leaves what belongs to the standard, with its invariants repaired.
pub fn restrict(read: &mut Definitions) {
    let is_hl7 = |url: &str| BASES.iter().any(|base| url.starts_with(base));
    read.structures.retain(|one| is_hl7(&one.url) && one.url != METADATA_RESOURCE);
    for structure in &mut read.structures {
        repair(structure);
    }
}

/// An invariant whose FHIRPath does not say what its text says.
struct Repair {
    key: &'static str,
    official: &'static str,
    repaired: &'static str,
}

const REPAIRS: [Repair; 4] = [
    // "fullUrl cannot be a version specific reference": an absent fullUrl made it empty, which is not true.
    Repair {
        key: "bdl-8",
        official: "fullUrl.contains('/_history/').not()",
        repaired: "fullUrl.exists() implies fullUrl.contains('/_history/').not()",
    },
    // "If there's an offset, there must be a when (and not C, CM, CD, CV)": `in` takes one item, `when` may be several.
    Repair {
        key: "tim-9",
        official: "offset.empty() or (when.exists() and ((when in ('C' | 'CM' | 'CD' | 'CV')).not()))",
        repaired: "offset.empty() or (when.exists() and when.select($this in ('C' | 'CM' | 'CD' | 'CV')).allFalse())",
    },
    // "Must be <= 100": an absent probability made it empty.
    Repair {
        key: "ras-2",
        official: "probability is decimal implies (probability as decimal) <= 100",
        repaired: "probability.ofType(decimal).all($this <= 100)",
    },
    // "Cancelation reason is only used for appointments that have been cancelled, or no-show": the code is `noshow`.
    Repair {
        key: "app-4",
        official: "Appointment.cancelationReason.exists() implies (Appointment.status='no-show' or Appointment.status='cancelled')",
        repaired: "Appointment.cancelationReason.exists() implies (Appointment.status='noshow' or Appointment.status='cancelled')",
    },
];

/// The keys of R4's invariants that are repaired.
#[cfg(test)]
pub(super) fn repaired_keys() -> impl Iterator<Item = &'static str> {
    REPAIRS.iter().map(|repair| repair.key)
}

fn repair(structure: &mut Structure) {
    for constraint in structure.elements.iter_mut().flat_map(|one| &mut one.constraints) {
        let found = REPAIRS
            .iter()
            .find(|repair| repair.key == constraint.key && constraint.expression.as_deref() == Some(repair.official));
        if let Some(repair) = found {
            Arc::make_mut(constraint).expression = Some(repair.repaired.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{
        definition::package,
        json::{Doc, Limits},
    };

    #[test]
    fn the_built_in_r4_has_each_repair_and_no_defect() {
        let types = package::r4().types();
        let constraints: Vec<_> = types.iter().flat_map(|one| &one.elements).flat_map(|one| &one.constraints).collect();
        for Repair { key, official, repaired } in REPAIRS {
            let of_key: Vec<_> = constraints.iter().filter(|one| one.key == key).collect();
            assert!(
                !of_key.is_empty() && of_key.iter().all(|one| one.expression.as_deref() == Some(repaired)),
                "{key}"
            );
            assert_ne!(official, repaired);
        }
    }

    #[test]
    fn examples_are_no_search_parameters_of_the_standard() {
        let is_standard = |url: &str| {
            let doc = Doc::parse(&format!(r#"{{"url":"{url}"}}"#), &Limits::default()).unwrap();
            is_standard_parameter(doc.root())
        };
        assert!(is_standard("http://hl7.org/fhir/SearchParameter/individual-birthdate"));
        assert!(is_standard("http://example.org/SearchParameter/example"));
        assert!(!is_standard("http://hl7.org/fhir/SearchParameter/example-extension"));
        assert!(!is_standard("http://hl7.org/fhir/SearchParameter/patient-extensions-Patient-age"));
    }
}
