//! The topics this server can detect, each one file in `capability/topics/`.

use std::sync::LazyLock;

use serde::Deserialize;

static TOPICS: LazyLock<Vec<Topic>> = LazyLock::new(|| {
    let files = [include_str!("../../capability/topics/sofa-content-update.json")];
    files.iter().filter_map(|file| serde_json::from_str(file).ok()).collect()
});

/// A topic: what triggers it, and by what its events can be filtered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// The canonical URL that `/metadata` names.
    pub url: String,
    /// Other URLs under which it is accepted.
    aliases: Vec<String>,
    /// For people.
    pub title: String,
    /// For people.
    pub description: String,
    /// What triggers it.
    pub interactions: Vec<Interaction>,
    /// What events can be filtered by.
    pub filters: Vec<CanFilterBy>,
}

/// An interaction that triggers a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interaction {
    Create,
    Update,
    Delete,
}

/// One filter a topic offers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanFilterBy {
    /// What it compares.
    pub parameter: Parameter,
    /// For people.
    pub description: String,
}

/// The filter parameters this server can evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Parameter {
    /// Ids of Patients.
    Patient,
    /// Ids of Encounters.
    Encounter,
    /// Names of resource types.
    ResourceType,
}

impl Parameter {
    /// The name as a filter writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Encounter => "encounter",
            Self::ResourceType => "resourceType",
        }
    }
}

/// Every topic of this server.
pub fn all() -> &'static [Topic] {
    &TOPICS
}

/// The topic that `criteria` names: its canonical or an alias, with or without `|version`. HALO publishes no version of
/// its topic, so any is taken.
pub fn find(criteria: &str) -> Option<&'static Topic> {
    let url = criteria.split_once('|').map_or(criteria, |(url, _)| url);
    TOPICS.iter().find(|topic| topic.url == url || topic.aliases.iter().any(|alias| alias == url))
}

impl Topic {
    /// The filter parameter of this name, if the topic offers it.
    pub fn parameter(&self, name: &str) -> Option<Parameter> {
        self.filters.iter().map(|filter| filter.parameter).find(|parameter| parameter.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::HALO;

    #[test]
    fn the_topic_is_found_by_canonical_alias_and_version() {
        let url = format!("{HALO}/SubscriptionTopic/sofa-content-update");
        assert_eq!(find(&url).unwrap().url, url);
        assert_eq!(find(&format!("{url}|1.1.0")).unwrap().url, url);
        assert_eq!(find(&format!("{HALO}/SubscriptionTopic/SofaContentUpdate")).unwrap().url, url);
        for other in ["", "sofa-content-update", "Observation?code=1", "http://example.org/SubscriptionTopic/x"] {
            assert!(find(other).is_none(), "{other}");
        }
    }

    #[test]
    fn deletes_trigger_nothing() {
        assert_eq!(all().len(), 1);
        assert_eq!(all()[0].interactions, [Interaction::Create, Interaction::Update]);
    }
}
