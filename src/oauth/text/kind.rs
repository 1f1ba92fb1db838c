//! Resource types in words that patients and clinicians use: those that apps ask for. The rest go by their FHIR name.

/// Type, English, French.
const KINDS: [(&str, &str, &str); 62] = [
    ("Account", "accounts", "les comptes"),
    ("AdverseEvent", "adverse events", "les événements indésirables"),
    ("AllergyIntolerance", "allergies and intolerances", "les allergies et intolérances"),
    ("Appointment", "appointments", "les rendez-vous"),
    ("Binary", "attached files", "les fichiers joints"),
    ("BodyStructure", "descriptions of body sites", "les descriptions de sites anatomiques"),
    ("CarePlan", "care plans", "les plans de soins"),
    ("CareTeam", "care teams", "les équipes de soins"),
    ("Claim", "claims", "les demandes de remboursement"),
    ("ClaimResponse", "answers to claims", "les réponses aux demandes de remboursement"),
    ("ClinicalImpression", "clinical assessments", "les évaluations cliniques"),
    ("Communication", "messages", "les messages"),
    ("CommunicationRequest", "requests for messages", "les demandes de messages"),
    ("Composition", "clinical documents", "les documents cliniques"),
    ("Condition", "problems and diagnoses", "les problèmes et diagnostics"),
    ("Consent", "consents", "les consentements"),
    ("Coverage", "insurance coverage", "les couvertures d’assurance"),
    ("DetectedIssue", "detected issues (interactions, duplicates)", "les problèmes décelés (interactions, doublons)"),
    ("Device", "devices", "les appareils"),
    ("DeviceRequest", "device orders", "les demandes d’appareils"),
    ("DeviceUseStatement", "use of devices", "l’utilisation d’appareils"),
    ("DiagnosticReport", "diagnostic reports", "les rapports diagnostiques"),
    ("DocumentManifest", "lists of documents", "les listes de documents"),
    ("DocumentReference", "documents and notes", "les documents et notes"),
    ("Encounter", "visits", "les consultations"),
    ("EpisodeOfCare", "episodes of care", "les épisodes de soins"),
    ("ExplanationOfBenefit", "statements of benefits", "les relevés de prestations"),
    ("FamilyMemberHistory", "family history", "les antécédents familiaux"),
    ("Flag", "alerts", "les alertes"),
    ("Goal", "goals", "les objectifs"),
    ("Group", "groups", "les groupes"),
    ("HealthcareService", "health services", "les services de santé"),
    ("ImagingStudy", "imaging studies", "les examens d’imagerie"),
    ("Immunization", "immunizations", "les vaccinations"),
    ("ImmunizationRecommendation", "immunization recommendations", "les recommandations de vaccination"),
    ("List", "lists", "les listes"),
    ("Location", "locations", "les lieux"),
    ("Media", "images and recordings", "les images et enregistrements"),
    ("Medication", "medications", "les médicaments"),
    ("MedicationAdministration", "administered medications", "les médicaments administrés"),
    ("MedicationDispense", "dispensed medications", "les médicaments dispensés"),
    ("MedicationRequest", "prescriptions", "les ordonnances"),
    ("MedicationStatement", "medications taken", "les médicaments pris"),
    ("NutritionOrder", "diet orders", "les prescriptions alimentaires"),
    (
        "Observation",
        "observations (vital signs, laboratory results)",
        "les observations (signes vitaux, résultats de laboratoire)",
    ),
    ("Organization", "organizations", "les organisations"),
    (
        "Patient",
        "personal details (name, date of birth, address)",
        "les renseignements personnels (nom, date de naissance, adresse)",
    ),
    ("Person", "persons", "les personnes"),
    ("Practitioner", "health professionals", "les professionnels de la santé"),
    ("PractitionerRole", "roles of health professionals", "les rôles des professionnels de la santé"),
    ("Procedure", "procedures", "les interventions"),
    ("Provenance", "origins of records", "l’origine des fiches"),
    ("Questionnaire", "questionnaires", "les questionnaires"),
    ("QuestionnaireResponse", "answers to questionnaires", "les réponses aux questionnaires"),
    ("RelatedPerson", "relatives and caregivers", "les proches et aidants"),
    ("RiskAssessment", "risk assessments", "les évaluations de risque"),
    ("Schedule", "schedules", "les horaires"),
    ("ServiceRequest", "referrals and orders", "les demandes de services et d’analyses"),
    ("Specimen", "specimens", "les échantillons"),
    ("Subscription", "notifications", "les avis"),
    ("Task", "tasks", "les tâches"),
    ("VisionPrescription", "prescriptions for glasses", "les ordonnances de lunettes"),
];

/// The words for resources of a type, if there are any here.
pub fn in_words(kind: &str, french: bool) -> Option<&'static str> {
    let at = KINDS.binary_search_by_key(&kind, |(known, ..)| known).ok()?;
    let (_, english, in_french) = KINDS[at];
    Some(if french { in_french } else { english })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::types::is_resource;

    #[test]
    fn the_list_is_sorted_and_of_resource_types() {
        assert!(KINDS.is_sorted_by_key(|(kind, ..)| *kind));
        for (kind, english, french) in KINDS {
            assert!(is_resource(kind), "{kind}");
            assert_eq!((in_words(kind, false), in_words(kind, true)), (Some(english), Some(french)));
        }
        assert_eq!(in_words("GraphDefinition", false), None);
    }
}
