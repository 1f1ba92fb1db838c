//! One FHIR interaction per file, and the one write path.
