//! The FHIR surface.
