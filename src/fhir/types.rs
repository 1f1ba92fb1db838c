//! The resource types of R4 4.0.1 and the form of a logical id.

use super::definition::types;

/// Every concrete resource type of R4, sorted.
pub fn resource_types() -> impl Iterator<Item = &'static str> {
    types::r4().resources().map(|ty| &*ty.name)
}

/// Whether `name` is a concrete R4 resource type. Case matters (FHIR R4, http.html#general).
pub fn is_resource(name: &str) -> bool {
    types::r4().resource(name).is_some()
}

/// Whether `id` has the form of an R4 `id`: 1 to 64 of `A-Z a-z 0-9 - .`.
pub fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The types that define behaviour rather than hold a person's data: a context may not carry them unless the
/// deployment lists them.
pub const CONFORMANCE: [&str; 19] = [
    "CapabilityStatement",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "MessageDefinition",
    "NamingSystem",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "EventDefinition",
    "AuditEvent",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_has_146_concrete_types() {
        assert_eq!(resource_types().count(), 146);
        assert!(resource_types().is_sorted());
        assert!(is_resource("Patient") && !is_resource("patient") && !is_resource("HumanName"));
        assert!(!is_resource("DomainResource"));
    }

    #[test]
    fn an_id_is_checked_by_form() {
        assert!(is_id("a-1.B") && !is_id("") && !is_id("a_b") && !is_id(&"x".repeat(65)));
    }
}
