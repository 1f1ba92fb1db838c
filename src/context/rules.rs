//! The business rules of `$set-context`: what the references point at, and whether it fits. Status 422, all issues of
//! the stage together.

use std::collections::{BTreeSet, HashMap};

use super::input::{Entry, Input, Pointer};
use crate::{
    access::Permit,
    fhir::{
        outcome::{Issue, IssueType},
        reference, types,
    },
    interaction::{Engine, Failure},
    store::{self, Tx, client::Role, resource::Current},
};

/// What a reference of the request points at.
#[derive(Clone, Debug)]
pub enum Target {
    /// The entry of this index.
    Entry(usize),
    /// A stored resource that this PoC may see.
    Stored(Box<Current>),
}

/// The request's references, resolved.
#[derive(Debug, Default)]
pub struct Links {
    pub patient: Option<Target>,
    pub encounter: Option<Target>,
    pub fhir_context: Vec<Target>,
    pub fhir_user: Option<Target>,
    /// (tenant, type, id) of this PoC's own stored resources that the request refers to: the launch must see them.
    pub stored: BTreeSet<(i64, String, String)>,
}

/// Checks the rules. `issues` collects what is wrong; the links are complete if none was added.
pub async fn check(
    tx: &mut Tx,
    engine: &Engine,
    permit: &Permit,
    input: &Input,
    issues: &mut Vec<Issue>,
) -> Result<Links, Failure> {
    app(tx, engine, input, issues).await?;
    let entries = input.entries.as_deref().unwrap_or_default();
    types(engine, entries, issues);
    let mut rules = Rules {
        by_url: entries.iter().enumerate().map(|(index, entry)| (entry.full_url.as_str(), index)).collect(),
        stored: HashMap::new(),
        entries,
        engine,
        permit,
        links: Links::default(),
    };
    for entry in entries {
        rules.references(tx, entry, issues).await?;
    }
    rules.links.patient = rules.pointer(tx, input.patient.as_ref(), &["Patient"], issues).await?;
    rules.links.encounter = rules.pointer(tx, input.encounter.as_ref(), &["Encounter"], issues).await?;
    let users = ["Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Person"];
    rules.links.fhir_user = rules.pointer(tx, input.fhir_user.as_ref(), &users, issues).await?;
    for pointer in &input.fhir_context {
        if let Some(target) = rules.pointer(tx, Some(pointer), &[], issues).await? {
            // SMART App Launch 2.1, fhirContext: Patient and Encounter have parameters of their own.
            if matches!(rules.kind(&target), "Patient" | "Encounter") {
                let text = "a Patient or Encounter is given by the parameter of that name, not by fhirContext";
                issues.push(Issue::error(IssueType::BusinessRule, text).at(&pointer.at));
            }
            rules.links.fhir_context.push(target);
        }
    }
    Ok(rules.links)
}

async fn app(tx: &mut Tx, engine: &Engine, input: &Input, issues: &mut Vec<Issue>) -> Result<(), Failure> {
    match &input.app_id {
        None if engine.config.context.require_app_id => {
            issues.push(Issue::error(IssueType::Required, "appID is required here").at("Parameters"));
        }
        None => {}
        Some(app) => {
            let client = store::client::find(tx.conn(), &app.reference).await?;
            if !client.is_some_and(|client| client.enabled && client.role == Role::App) {
                let text = format!("no app is registered as '{}'", app.reference);
                issues.push(Issue::error(IssueType::NotFound, text).at(&app.at));
            }
        }
    }
    Ok(())
}

fn types(engine: &Engine, entries: &[Entry], issues: &mut Vec<Issue>) {
    for entry in entries {
        let kind = entry.resource.type_name();
        let allowed = match &engine.config.context.resource_types {
            // A Subscription outlives contexts and is more than its resource, whatever is listed.
            _ if kind == "Subscription" => false,
            Some(list) => list.iter().any(|listed| listed == kind),
            None => !types::CONFORMANCE.contains(&kind),
        };
        if !allowed {
            let text = format!("{kind} is not among the resource types that a context may carry here");
            issues.push(Issue::error(IssueType::NotSupported, text).at(format!("{}.resource", entry.at)));
        }
    }
}

struct Rules<'a> {
    by_url: HashMap<&'a str, usize>,
    /// Stored resources looked up so far.
    stored: HashMap<(String, String), Option<Current>>,
    entries: &'a [Entry],
    engine: &'a Engine,
    permit: &'a Permit,
    links: Links,
}

impl Rules<'_> {
    fn kind<'t>(&'t self, target: &'t Target) -> &'t str {
        match target {
            Target::Entry(index) => self.entries[*index].resource.type_name(),
            Target::Stored(row) => &row.r#type,
        }
    }

    async fn references(&mut self, tx: &mut Tx, entry: &Entry, issues: &mut Vec<Issue>) -> Result<(), Failure> {
        for found in reference::all(&entry.resource) {
            let plain = found.reference.split_once('#').map_or(found.reference.as_str(), |(plain, _)| plain);
            let inside = reference::resolves_inside(plain, &entry.full_url, entry.resource.type_name(), &|url| {
                self.by_url.contains_key(url)
            });
            if plain.is_empty() || inside {
                continue;
            }
            let local = reference::local(plain, &self.engine.base);
            let is_elsewhere = local.is_none() && (plain.starts_with("http://") || plain.starts_with("https://"));
            let resolved = match local {
                Some((kind, id)) => self.stored(tx, &kind, &id).await?.is_some(),
                None => is_elsewhere,
            };
            if !resolved {
                let text = format!("the reference {plain} leads to no entry of this Bundle and to nothing stored");
                let path = found.path.split_once('.').map_or("", |(_, rest)| rest);
                issues.push(Issue::error(IssueType::NotFound, text).at(format!("{}.resource.{path}", entry.at)));
            }
        }
        Ok(())
    }

    async fn pointer(
        &mut self,
        tx: &mut Tx,
        pointer: Option<&Pointer>,
        kinds: &[&str],
        issues: &mut Vec<Issue>,
    ) -> Result<Option<Target>, Failure> {
        let Some(pointer) = pointer else { return Ok(None) };
        let target = match self.by_url.get(pointer.reference.as_str()) {
            Some(index) => Some(Target::Entry(*index)),
            None => match reference::local(&pointer.reference, &self.engine.base) {
                Some((kind, id)) => self.stored(tx, &kind, &id).await?.map(|row| Target::Stored(Box::new(row))),
                None => None,
            },
        };
        match target {
            Some(target) if kinds.is_empty() || kinds.contains(&self.kind(&target)) => Ok(Some(target)),
            Some(target) => {
                let text = format!("expected a reference to {}, not to {}", kinds.join(" or "), self.kind(&target));
                issues.push(Issue::error(IssueType::BusinessRule, text).at(&pointer.at));
                Ok(None)
            }
            None => {
                let text =
                    format!("the reference {} leads to no entry's fullUrl and to nothing stored", pointer.reference);
                issues.push(Issue::error(IssueType::NotFound, text).at(&pointer.at));
                Ok(None)
            }
        }
    }

    /// A stored resource that this PoC may see; its own are noted as linked to the new context.
    async fn stored(&mut self, tx: &mut Tx, kind: &str, id: &str) -> Result<Option<Current>, Failure> {
        let key = (kind.to_owned(), id.to_owned());
        if let Some(known) = self.stored.get(&key) {
            return Ok(known.clone());
        }
        let row = store::resource::current(tx.conn(), self.permit.visible(), kind, id).await?;
        let row = row.filter(|row| row.body.is_some());
        if let Some(row) = row.as_ref().filter(|row| row.tenant != 0) {
            self.links.stored.insert((row.tenant, row.r#type.clone(), row.id.clone()));
        }
        self.stored.insert(key, row.clone());
        Ok(row)
    }
}
