//! What is written in records, the frequent first: tables to draw from by [`super::chance::Chance::pick_skewed`].

/// Code systems and the identifier system of drugs.
pub(super) const LOINC: &str = "http://loinc.org";
pub(super) const SNOMED: &str = "http://snomed.info/sct";
pub(super) const UCUM: &str = "http://unitsofmeasure.org";
pub(super) const DIN: &str = "http://hl7.org/fhir/NamingSystem/ca-hc-din";

/// Code and display.
pub(super) type Coded = (&'static str, &'static str);

/// A measurement: LOINC code and display, UCUM code, mean, spread, decimals.
pub(super) struct Measured {
    pub code: &'static str,
    pub display: &'static str,
    pub unit: &'static str,
    pub mean: f64,
    pub spread: f64,
    pub decimals: i32,
}

const fn measured(
    code: &'static str,
    display: &'static str,
    unit: &'static str,
    mean: f64,
    spread: f64,
    decimals: i32,
) -> Measured {
    Measured { code, display, unit, mean, spread, decimals }
}

/// Vital signs with the share of visits in which they are taken and R4's profile for them. Blood pressure is apart.
pub(super) const VITAL_SIGNS: &[(f64, &str, Measured)] = &[
    (0.60, "heartrate", measured("8867-4", "Heart rate", "/min", 74.0, 12.0, 0)),
    (0.40, "bodyweight", measured("29463-7", "Body weight", "kg", 74.0, 18.0, 1)),
    (0.30, "bodytemp", measured("8310-5", "Body temperature", "Cel", 36.8, 0.5, 1)),
    (0.15, "bodyheight", measured("8302-2", "Body height", "cm", 168.0, 12.0, 0)),
    (0.15, "oxygensat", measured("2708-6", "Oxygen saturation in Arterial blood", "%", 97.0, 1.0, 0)),
];

/// Share of visits in which blood pressure is taken.
pub(super) const BLOOD_PRESSURE_SHARE: f64 = 0.70;

/// Laboratory panels: LOINC code and display, and what they measure.
pub(super) const PANELS: &[(Coded, &[Measured])] = &[
    (
        ("58410-2", "CBC panel - Blood by Automated count"),
        &[
            measured("718-7", "Hemoglobin [Mass/volume] in Blood", "g/L", 138.0, 14.0, 0),
            measured("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*9/L", 7.2, 2.0, 1),
            measured("777-3", "Platelets [#/volume] in Blood by Automated count", "10*9/L", 250.0, 55.0, 0),
            measured("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*12/L", 4.7, 0.5, 2),
            measured("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", 41.0, 4.0, 1),
            measured("787-2", "MCV [Entitic volume] by Automated count", "fL", 90.0, 5.0, 0),
            measured("788-0", "Erythrocyte distribution width [Ratio] by Automated count", "%", 13.2, 1.0, 1),
        ],
    ),
    (
        ("51990-0", "Basic metabolic panel - Blood"),
        &[
            measured("15074-8", "Glucose [Moles/volume] in Blood", "mmol/L", 5.6, 1.2, 1),
            measured("14682-9", "Creatinine [Moles/volume] in Serum or Plasma", "umol/L", 82.0, 20.0, 0),
            measured("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 140.0, 2.5, 0),
            measured("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 4.2, 0.4, 1),
            measured("14937-7", "Urea nitrogen [Moles/volume] in Serum or Plasma", "mmol/L", 5.4, 1.6, 1),
            measured("2075-0", "Chloride [Moles/volume] in Serum or Plasma", "mmol/L", 103.0, 2.5, 0),
            measured("33914-3", "Glomerular filtration rate/1.73 sq M.predicted", "mL/min/{1.73_m2}", 84.0, 18.0, 0),
        ],
    ),
    (
        ("24331-1", "Lipid 1996 panel - Serum or Plasma"),
        &[
            measured("14647-2", "Cholesterol [Moles/volume] in Serum or Plasma", "mmol/L", 4.9, 1.0, 2),
            measured("14646-4", "Cholesterol in HDL [Moles/volume] in Serum or Plasma", "mmol/L", 1.4, 0.4, 2),
            measured("39469-2", "Cholesterol in LDL [Moles/volume] in Serum or Plasma", "mmol/L", 2.8, 0.8, 2),
            measured("14927-8", "Triglyceride [Moles/volume] in Serum or Plasma", "mmol/L", 1.5, 0.7, 2),
            measured("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 5.9, 0.8, 1),
        ],
    ),
    (
        ("24348-5", "Free T4 and TSH panel - Serum or Plasma"),
        &[
            measured("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "m[IU]/L", 2.1, 1.1, 2),
            measured("14920-3", "Thyroxine (T4) free [Moles/volume] in Serum or Plasma", "pmol/L", 15.0, 2.5, 1),
            measured("2276-4", "Ferritin [Mass/volume] in Serum or Plasma", "ug/L", 95.0, 60.0, 0),
            measured("2132-9", "Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma", "pg/mL", 420.0, 140.0, 0),
        ],
    ),
];

/// SNOMED CT: smoking status.
pub(super) const SMOKING: &[Coded] = &[
    ("266919005", "Never smoked tobacco"),
    ("8517006", "Ex-smoker"),
    ("77176002", "Smoker"),
    ("266927001", "Tobacco smoking consumption unknown"),
];

/// SNOMED CT: what is diagnosed.
pub(super) const DIAGNOSES: &[Coded] = &[
    ("38341003", "Hypertensive disorder"),
    ("44054006", "Diabetes mellitus type 2"),
    ("55822004", "Hyperlipidemia"),
    ("54150009", "Upper respiratory infection"),
    ("279039007", "Low back pain"),
    ("35489007", "Depressive disorder"),
    ("195967001", "Asthma"),
    ("48694002", "Anxiety"),
    ("396275006", "Osteoarthritis"),
    ("414916001", "Obesity"),
    ("235595009", "Gastroesophageal reflux disease"),
    ("68566005", "Urinary tract infectious disease"),
    ("40930008", "Hypothyroidism"),
    ("444814009", "Viral sinusitis"),
    ("65363002", "Otitis media"),
    ("37796009", "Migraine"),
    ("271737000", "Anemia"),
    ("13645005", "Chronic obstructive lung disease"),
    ("53741008", "Coronary arteriosclerosis"),
    ("49436004", "Atrial fibrillation"),
    ("84114007", "Heart failure"),
    ("709044004", "Chronic kidney disease"),
    ("64859006", "Osteoporosis"),
    ("24079001", "Atopic dermatitis"),
    ("233604007", "Pneumonia"),
    ("90560007", "Gout"),
    ("69896004", "Rheumatoid arthritis"),
    ("73430006", "Sleep apnea"),
    ("254837009", "Malignant neoplasm of breast"),
    ("193462001", "Insomnia"),
    ("840539006", "Disease caused by severe acute respiratory syndrome coronavirus 2"),
    ("34000006", "Crohn's disease"),
    ("84757009", "Epilepsy"),
    ("230690007", "Cerebrovascular accident"),
    ("26929004", "Alzheimer's disease"),
    ("46635009", "Diabetes mellitus type 1"),
    ("24700007", "Multiple sclerosis"),
    ("49049000", "Parkinson's disease"),
];

/// Health Canada's drug identification numbers.
pub(super) const DRUGS: &[Coded] = &[
    ("02229522", "Atorvastatin 20 mg tablet"),
    ("02162849", "Metformin 500 mg tablet"),
    ("02172070", "Levothyroxine 50 mcg tablet"),
    ("00878928", "Amlodipine 5 mg tablet"),
    ("02221853", "Ramipril 10 mg capsule"),
    ("02241497", "Salbutamol 100 mcg inhaler"),
    ("02190885", "Pantoprazole 40 mg tablet"),
    ("01940481", "Sertraline 50 mg capsule"),
    ("00628123", "Amoxicillin 500 mg capsule"),
    ("02239941", "Escitalopram 10 mg tablet"),
    ("02212331", "Hydrochlorothiazide 25 mg tablet"),
    ("00324078", "Acetaminophen 500 mg tablet"),
    ("02247521", "Rosuvastatin 10 mg tablet"),
    ("02243587", "Clopidogrel 75 mg tablet"),
    ("02265540", "Candesartan 16 mg tablet"),
    ("02238465", "Bisoprolol 5 mg tablet"),
    ("00586668", "Ibuprofen 400 mg tablet"),
    ("02242705", "Gabapentin 300 mg capsule"),
    ("02245689", "Insulin glargine 100 units/mL"),
    ("02377233", "Apixaban 5 mg tablet"),
    ("02303922", "Sitagliptin 100 mg tablet"),
    ("00598194", "Prednisone 5 mg tablet"),
    ("02443937", "Empagliflozin 10 mg tablet"),
    ("02244596", "Fluticasone 125 mcg inhaler"),
];

/// SNOMED CT: how often, with the times a day.
pub(super) const DOSES: &[(&str, u32)] =
    &[("Take one daily", 1), ("Take one twice daily", 2), ("Take one three times daily with food", 3)];

/// CVX: vaccines.
pub(super) const VACCINES: &[Coded] = &[
    ("140", "Influenza, seasonal, injectable, preservative free"),
    ("208", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose"),
    ("115", "Tdap"),
    ("133", "Pneumococcal conjugate PCV 13"),
    ("03", "MMR"),
    ("120", "DTaP-Hib-IPV"),
    ("21", "Varicella"),
    ("187", "Zoster recombinant"),
    ("165", "HPV9"),
    ("45", "Hep B, unspecified formulation"),
];

/// SNOMED CT: what people are allergic to, and what it does.
pub(super) const ALLERGENS: &[Coded] = &[
    ("764146007", "Penicillin"),
    ("256349002", "Peanut"),
    ("387406002", "Sulfonamide"),
    ("256259004", "Pollen"),
    ("387458008", "Aspirin"),
    ("102263004", "Eggs"),
    ("227493005", "Cashew nuts"),
    ("111088007", "Latex"),
    ("387362001", "Epinephrine"),
    ("44027008", "Seafood"),
];
pub(super) const REACTIONS: &[Coded] = &[
    ("247472004", "Hives"),
    ("271807003", "Eruption of skin"),
    ("422587007", "Nausea"),
    ("267036007", "Dyspnea"),
    ("39579001", "Anaphylaxis"),
];

/// SNOMED CT: what is done.
pub(super) const PROCEDURES: &[Coded] = &[
    ("171149006", "Screening for malignant neoplasm of cervix"),
    ("29303009", "Electrocardiographic procedure"),
    ("399208008", "Plain chest X-ray"),
    ("71388002", "Procedure"),
    ("73761001", "Colonoscopy"),
    ("71651007", "Mammography"),
    ("274031008", "Rectal polypectomy"),
    ("80146002", "Appendectomy"),
    ("38102005", "Cholecystectomy"),
    ("609588000", "Total knee replacement"),
    ("11466000", "Cesarean section"),
    ("232717009", "Coronary artery bypass graft"),
];

/// SNOMED CT: kinds of visit, each with its class.
pub(super) const VISITS: &[(Coded, Coded)] = &[
    (("185349003", "Encounter for check up"), ("AMB", "ambulatory")),
    (("185345009", "Encounter for symptom"), ("AMB", "ambulatory")),
    (("390906007", "Follow-up encounter"), ("AMB", "ambulatory")),
    (("448337001", "Telemedicine consultation with patient"), ("VR", "virtual")),
    (("50849002", "Emergency department patient visit"), ("EMER", "emergency")),
    (("32485007", "Hospital admission"), ("IMP", "inpatient encounter")),
];

/// SNOMED CT: specialties.
pub(super) const SPECIALTIES: &[Coded] = &[
    ("419772000", "Family practice"),
    ("419192003", "Internal medicine"),
    ("394537008", "Pediatric specialty"),
    ("394579002", "Cardiology"),
    ("394587001", "Psychiatry"),
    ("394609007", "Surgery-general"),
    ("394586005", "Gynecology"),
    ("394591006", "Neurology"),
];

/// Words of notes; drawn by Zipf, so that some are everywhere and some rare.
pub(super) const WORDS: &[&str] = &[
    "patient",
    "reports",
    "no",
    "pain",
    "since",
    "yesterday",
    "denies",
    "fever",
    "blood",
    "pressure",
    "stable",
    "advised",
    "rest",
    "fluids",
    "follow-up",
    "weeks",
    "medication",
    "continued",
    "tolerated",
    "well",
    "cough",
    "improving",
    "fatigue",
    "sleep",
    "appetite",
    "normal",
    "examination",
    "unremarkable",
    "referred",
    "cardiology",
    "smoking",
    "cessation",
    "discussed",
    "exercise",
    "weight",
    "reduced",
    "swelling",
    "ankle",
    "left",
    "right",
    "shoulder",
    "knee",
    "headache",
    "dizziness",
    "nausea",
    "résumé",
    "médication",
    "contrôle",
    "fièvre",
    "douleur",
    "thoracique",
    "suivi",
    "prévu",
    "palpitations",
    "intermittent",
    "wheeze",
    "rash",
    "forearm",
    "biopsy",
    "pending",
    "hearing",
    "vertigo",
    "travelled",
    "hawthorn",
    "beekeeper",
    "snowmobile",
    "lumberjack",
    "saskatoon",
];
