//! Validation of a document against R4 and against profiles (R4 validation.html): all issues, each with its FHIRPath from
//! the document's root and a text that says what was expected.
//!
//! | rule | where |
//! |---|---|
//! | arrays, objects, `_` siblings, unknown elements, choices | `tree`, `shape` |
//! | cardinality, ele-1, ext-1, lengths | `element` |
//! | primitives; narrative | `primitive`, [`super::xhtml`] |
//! | value sets | `binding` |
//! | reference targets, contained resources, ref-1, dom-3 | `reference` |
//! | Bundles | `bundle` |
//! | FHIRPath invariants | `invariant` |
//! | profiles, extensions, slicing, fixed values and patterns | `profile`, `conform`, `slicing`, `fixed` |
//!
//! R4's own rules are checked in one walk. A profile is compiled to what it demands *beyond* R4, so it costs what it
//! adds. The walk is as deep as the document, which the parser bounds; each element meets each rule once.

mod binding;
mod bundle;
mod conform;
mod element;
mod fixed;
mod invariant;
mod plan;
pub mod primitive;
mod profile;
mod reference;
mod report;
mod shape;
mod slicing;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use plan::Plan;
use profile::Profile;
use reference::Inside;
use report::Report;

use time::OffsetDateTime;

use super::{
    definition::{
        registry::Registry,
        types::{R4, TypeId},
    },
    outcome::{Issue, IssueType},
    path::{Expression, Memo, Scope},
    tree::{Node, Tree},
};

pub use report::MAX_ISSUES;
pub use shape::misshapen;

static PLAN: LazyLock<Plan> = LazyLock::new(Plan::of_r4);

/// What is done about resources that do not conform to the profile of their type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// They are refused.
    #[default]
    Enforce,
    /// Their faults are warnings.
    Warn,
    /// The profile is not looked at.
    Off,
}

/// Tells the time.
pub type Now = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// What the deployment decides.
#[derive(Clone, Default)]
pub struct Options {
    /// For the profiles that belong to types (CA Core+).
    pub type_profiles: Enforcement,
    /// Whether a claimed profile that is not loaded is an error.
    pub reject_unknown_profiles: bool,
    /// Profiles that belong to types: type and canonical.
    pub profiles: Vec<(String, String)>,
    /// For invariants that ask for `now()` or `today()`; without it they cannot be evaluated.
    pub now: Option<Now>,
}

impl Options {
    /// CA Core+ by type, as `capability/ca-core/types.txt` says, enforced.
    pub fn built_in() -> Self {
        let lines = include_str!("../../../capability/ca-core/types.txt").lines();
        let profiles = lines.filter_map(|line| line.split_once('|'));
        Self { profiles: profiles.map(|(ty, url)| (ty.to_owned(), url.to_owned())).collect(), ..Self::default() }
    }
}

/// Validates documents against R4 and the loaded packages. Shared by all requests.
pub struct Validator {
    registry: Arc<Registry>,
    options: Options,
    plan: &'static Plan,
    by_type: HashMap<TypeId, String>,
    /// Compiled on first use, by the address of the structure, which the registry keeps.
    profiles: RwLock<HashMap<usize, Arc<Profile>>>,
}

impl Validator {
    /// A validator over loaded definitions.
    pub fn new(registry: Arc<Registry>, options: Options) -> Self {
        let types = super::definition::types::r4();
        let by_type =
            options.profiles.iter().filter_map(|(ty, url)| Some((types.resource(ty)?, url.clone()))).collect();
        Self { registry, options, plan: &PLAN, by_type, profiles: RwLock::default() }
    }

    /// All issues of a resource: against R4, the profile of its type, and every loaded profile it claims; the same for
    /// the resources inside Bundles and Parameters.
    pub fn check(&self, tree: &Tree<'_>) -> Vec<Issue> {
        self.check_against::<&str>(tree, &[])
    }

    /// As [`Validator::check`], and against the profiles with these canonicals, whether the resource claims them or not.
    pub fn check_against<C: AsRef<str>>(&self, tree: &Tree<'_>, canonicals: &[C]) -> Vec<Issue> {
        let memo = Memo::default();
        let mut run = Run::new(self, tree, &memo);
        shape::check(tree, &mut run.report);
        run.resource(tree.root());
        for canonical in canonicals.iter().map(AsRef::as_ref) {
            match self.profile(canonical) {
                Some(profile) => {
                    run.conform(tree.root(), &profile);
                }
                None => {
                    let text = format!("the profile {canonical} is not loaded");
                    run.report.error(tree, tree.root(), IssueType::NotFound, text);
                }
            }
        }
        run.report.finish()
    }

    /// The invariants of packages that are not checked because their FHIRPath cannot be read: profile, element, key and why.
    pub fn unreadable(registry: &Registry) -> Vec<String> {
        let profiles = registry.structures().filter(|one| !one.url.starts_with(R4));
        let mut told = Vec::new();
        let mut known = HashSet::new();
        for profile in profiles.filter_map(|one| registry.structure(&format!("{}|{}", one.url, one.version))) {
            for (element, constraint) in profile.elements.iter().flat_map(|e| e.constraints.iter().map(move |c| (e, c)))
            {
                let Some(text) = constraint.expression.as_deref() else { continue };
                if known.insert(text.to_owned())
                    && let Err(error) = Expression::parse(text)
                {
                    told.push(format!("{}: {}: invariant {}: {error}", profile.url, element.id, constraint.key));
                }
            }
        }
        told
    }

    /// The definitions it works with.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The profiles that belong to types: type and canonical.
    pub fn type_profiles(&self) -> &[(String, String)] {
        &self.options.profiles
    }

    /// Whether a profile with this canonical is loaded.
    pub fn knows(&self, canonical: &str) -> bool {
        self.profile(canonical).is_some()
    }

    /// The profile with this canonical. Nothing is remembered of canonicals that lead nowhere: they come from outside.
    fn profile(&self, canonical: &str) -> Option<Arc<Profile>> {
        let structure = self.registry.structure(canonical)?;
        let key = Arc::as_ptr(&structure).addr();
        if let Some(known) = self.profiles.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(known.clone());
        }
        let profile = Arc::new(Profile::compile(&structure, &self.registry));
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        Some(profiles.entry(key).or_insert(profile).clone())
    }
}

/// One validation of one document.
struct Run<'v, 't, 'd> {
    validator: &'v Validator,
    tree: &'t Tree<'d>,
    report: Report,
    inside: Inside<'d>,
    /// Elements and profiles (by number) that have met, and how: what fails twice is said once.
    met: HashMap<(Node, u32), bool>,
    /// The same, of trials whose issues nobody reads.
    tried: HashMap<(Node, u32), bool>,
    is_trial: bool,
    /// What FHIRPath found out about the whole document.
    memo: &'t Memo,
    now: Option<OffsetDateTime>,
    /// Trials inside one another.
    followed: usize,
}

impl<'v, 't, 'd> Run<'v, 't, 'd> {
    fn new(validator: &'v Validator, tree: &'t Tree<'d>, memo: &'t Memo) -> Self {
        let (met, tried) = (HashMap::new(), HashMap::new());
        let now = validator.options.now.as_ref().map(|now| now());
        Self {
            validator,
            tree,
            report: Report::default(),
            inside: Inside::of(tree),
            met,
            tried,
            is_trial: false,
            followed: 0,
            memo,
            now,
        }
    }

    /// What an invariant at `node` is evaluated in.
    fn scope(&self, node: Node) -> Scope<'t, 'd> {
        Scope { memo: Some(self.memo), now: self.now, ..Scope::new(self.tree, node) }
    }

    /// Checks a resource against the profile of its type and the profiles it claims.
    fn profiles_of(&mut self, node: Node, ty: TypeId) {
        let validator = self.validator;
        let is_contained = self.tree.field(node).is_some_and(|field| &*field.element == "contained");
        let mut claimed = HashSet::new();
        for profile in self.claims(node) {
            let url = self.tree.value(profile).and_then(super::json::Ref::as_str).unwrap_or_default();
            if !claimed.insert(url.clone()) {
                continue;
            }
            match validator.profile(&url) {
                Some(known) => {
                    self.conform(node, &known);
                }
                None => {
                    let text = format!("the profile {url} is not loaded; not checked against it");
                    if validator.options.reject_unknown_profiles {
                        self.report.error(self.tree, profile, IssueType::NotFound, text);
                    } else {
                        self.report.warning(self.tree, profile, IssueType::NotFound, text);
                    }
                }
            }
        }
        let enforcement = validator.options.type_profiles;
        if is_contained || enforcement == Enforcement::Off {
            return;
        }
        if let Some(profile) = validator.by_type.get(&ty).and_then(|url| validator.profile(url)) {
            self.report.lenient = enforcement == Enforcement::Warn;
            self.conform(node, &profile);
            self.report.lenient = false;
        }
    }

    /// The elements `meta.profile`.
    fn claims(&self, node: Node) -> Vec<Node> {
        let meta = self.tree.child(node, "meta");
        meta.map(|meta| self.tree.named(meta, "profile").collect()).unwrap_or_default()
    }
}
