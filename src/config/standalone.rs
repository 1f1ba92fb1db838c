//! `[standalone]`

use serde::Deserialize;

use super::check::{Checked, demand};

/// Launches that begin at the app: the user picks the patient.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standalone {
    /// Whether there are any.
    pub enabled: bool,
    /// Who may pick a patient of the jurisdiction's shared data.
    pub shared_patients: SharedPatients,
    /// The most patients or visits on a page of the picker.
    pub page_size: usize,
}

/// Who may pick a patient of the jurisdiction's shared data, besides that patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharedPatients {
    /// Nobody.
    None,
    /// Users whose account is linked with a Practitioner.
    Practitioner,
}

impl Standalone {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        demand((1..=100).contains(&self.page_size), "standalone.page_size", "must be from 1 to 100")
    }
}
