//! Whether elements conform to a profile: cardinality, types, fixed values, bindings, invariants, slices.

use std::sync::Arc;

use super::{
    Run,
    profile::{Allowed, Profile, Rule},
    slicing::Slicing,
};
use crate::fhir::{
    definition::structure::{self, Max, Rules},
    instant,
    json::{Kind, Ref},
    outcome::{Issue, IssueType},
    tree::Node,
};

/// How far a chain of references is followed, each of whose targets must conform to a profile because of the one before.
/// Resources inside a document can refer to one another as often as there are resources.
const MAX_FOLLOWED: usize = 16;

impl Run<'_, '_, '_> {
    /// Reports how an element fails a profile; whether it conforms. Twice asked, once reported.
    pub(super) fn conform(&mut self, node: Node, profile: &Arc<Profile>) -> bool {
        let key = (node, profile.number);
        let known = self.met.get(&key).or_else(|| self.tried.get(&key).filter(|_| self.is_trial));
        if let Some(known) = known {
            return *known;
        }
        // While it is being looked at it is taken to conform: that ends circles.
        self.remember(key, true);
        let before = self.report.errors();
        let ty = self.tree.ty(node);
        if profile.ty.is_none_or(|wanted| ty.is_none_or(|ty| !self.tree.types().is_a(ty, wanted))) {
            let found = self.tree.kind(node).map_or("no known type", |ty| &ty.name);
            let wanted = profile.ty.map_or("a type that R4 does not have", |ty| &self.tree.types().ty(ty).name);
            let text = format!("the profile {} is for {wanted}, this is {found}", profile.url);
            self.report.error(self.tree, node, IssueType::Structure, text);
        } else {
            self.rule(node, &profile.root, profile);
        }
        let conforms = self.report.errors() == before;
        self.remember(key, conforms);
        conforms
    }

    fn remember(&mut self, key: (Node, u32), conforms: bool) {
        if self.is_trial {
            self.tried.insert(key, conforms);
        } else {
            self.met.insert(key, conforms);
        }
    }

    /// Whether an element conforms to one of these profiles; nothing is reported. What is not loaded is taken to fit, and so
    /// is what lies beyond [`MAX_FOLLOWED`] references.
    pub(super) fn try_profiles(&mut self, node: Node, urls: &[String]) -> bool {
        if self.followed >= MAX_FOLLOWED {
            return true;
        }
        self.followed += 1;
        let fits = urls.iter().any(|url| match self.validator.profile(url) {
            None => true,
            Some(profile) => {
                let report = std::mem::take(&mut self.report);
                let was = std::mem::replace(&mut self.is_trial, true);
                let conforms = self.conform(node, &profile);
                self.is_trial = was;
                self.report = report;
                conforms
            }
        });
        self.followed -= 1;
        fits
    }

    /// Checks an element whose type may have one of these profiles.
    pub(super) fn any_profile(&mut self, node: Node, urls: &[String]) {
        if let [url] = urls {
            if let Some(profile) = self.validator.profile(url) {
                self.conform(node, &profile);
            }
        } else if !self.try_profiles(node, urls) {
            let text = format!("conforms to none of the profiles {}", urls.join(", "));
            self.report.error(self.tree, node, IssueType::Structure, text);
        }
    }

    /// Checks an element, and what is in it, against a rule.
    fn rule(&mut self, node: Node, rule: &Rule, profile: &Profile) {
        let tree = self.tree;
        self.types(node, rule, profile);
        for wanted in rule.wanted.iter().filter(|wanted| !wanted.fits(tree.value(node))) {
            let text = format!("expected {wanted}");
            self.fail(node, IssueType::Value, &text, profile);
        }
        if let Some(binding) = &rule.binding
            && let Some(ty) = tree.ty(node)
        {
            self.binding(node, ty, binding);
        }
        self.invariants(node, &rule.invariants);
        self.limits(node, rule, profile);
        for child in &rule.children {
            self.element(node, child, profile);
        }
    }

    /// Checks all elements of one name against their rule.
    fn element(&mut self, parent: Node, rule: &Rule, profile: &Profile) {
        let nodes: Vec<_> = self.tree.named(parent, &rule.element).collect();
        self.count(parent, rule, nodes.len(), None, profile);
        for node in &nodes {
            self.rule(*node, rule, profile);
        }
        if let Some(slicing) = &rule.slicing {
            self.slices(parent, &nodes, &rule.element, slicing, profile);
        }
    }

    fn count(&mut self, parent: Node, rule: &Rule, count: usize, slice: Option<&str>, profile: &Profile) {
        let element = &*rule.element;
        let name = slice.map_or_else(|| element.to_owned(), |slice| format!("{element} of the slice {slice}"));
        let (code, text) = if count < rule.min as usize {
            (IssueType::Required, format!("expected at least {} {name}, found {count}", rule.min))
        } else if rule.max.is_some_and(|max| !max.allows(count)) {
            let max = rule.max.unwrap_or(Max::Unbounded);
            (IssueType::Structure, format!("expected at most {max} {name}, found {count}"))
        } else {
            return;
        };
        let text = format!("{text} (profile {})", profile.url);
        self.report.add(Issue::error(code, text).at(self.tree.path_to(parent, element)));
    }

    /// Puts elements into their slices and checks each slice.
    fn slices(&mut self, parent: Node, nodes: &[Node], element: &str, slicing: &Slicing, profile: &Profile) {
        let default = slicing.slices.iter().position(|slice| slice.is_default);
        let mut members: Vec<Vec<Node>> = slicing.slices.iter().map(|_| Vec::new()).collect();
        let (mut last, mut is_open_end) = (0, false);
        for node in nodes {
            let mut home = None;
            for (index, slice) in slicing.slices.iter().enumerate() {
                if home.is_none() && !slice.is_default && self.belongs(*node, slice) == Some(true) {
                    home = Some(index);
                }
            }
            let Some(index) = home.or(default) else {
                is_open_end = true;
                if slicing.rules == Rules::Closed && slicing.slices.iter().all(|slice| !slice.matchers.is_empty()) {
                    let names: Vec<_> = slicing.slices.iter().map(|slice| &*slice.name).collect();
                    let text = format!("is none of the slices of {element}: {}", names.join(", "));
                    self.fail(*node, IssueType::Structure, &text, profile);
                }
                continue;
            };
            members[index].push(*node);
            let out_of_order = slicing.is_ordered && index < last;
            if out_of_order || (slicing.rules == Rules::OpenAtEnd && is_open_end) {
                let text = format!("the slice {} stands too late: slices have an order", slicing.slices[index].name);
                self.fail(*node, IssueType::Structure, &text, profile);
            }
            last = last.max(index);
        }
        for (slice, members) in slicing.slices.iter().zip(&members) {
            // What cannot be told apart cannot be counted.
            if slice.matchers.is_empty() && !slice.is_default {
                continue;
            }
            self.count(parent, &slice.rule, members.len(), Some(&slice.name), profile);
            for node in members {
                self.rule(*node, &slice.rule, profile);
            }
            if let Some(inner) = &slice.rule.slicing {
                self.slices(parent, members, element, inner, profile);
            }
        }
    }

    /// Checks the type of an element, the profiles on that type, and where a Reference leads.
    fn types(&mut self, node: Node, rule: &Rule, profile: &Profile) {
        if rule.types.is_empty() {
            return;
        }
        let (tree, types) = (self.tree, self.tree.types());
        let Some(ty) = tree.ty(node) else { return };
        // R4's snapshots call the `id` of resources a string; of a choice, the type itself was chosen.
        let is_choice = tree.field(node).is_some_and(|field| field.is_choice);
        let is_allowed = |one: &&Allowed| if is_choice { types.fits(ty, one.ty) } else { types.is_a(ty, one.ty) };
        let Some(allowed) = rule.types.iter().find(is_allowed) else {
            let names: Vec<_> = rule.types.iter().map(|one| &*types.ty(one.ty).name).collect();
            let text = format!("expected {}, found {}", names.join(" or "), types.ty(ty).name);
            return self.fail(node, IssueType::Structure, &text, profile);
        };
        if !allowed.profiles.is_empty() {
            self.any_profile(node, &allowed.profiles);
        }
        if ty == types.known.reference {
            self.aims(node, allowed, profile);
        }
    }

    fn aims(&mut self, node: Node, allowed: &Allowed, profile: &Profile) {
        let (tree, types) = (self.tree, self.tree.types());
        let reference = tree.str(node, "reference");
        let target = reference.as_deref().and_then(|text| self.target(node, text)).or_else(|| self.named_target(node));
        if let Some(text) = reference.filter(|_| !allowed.aggregation.is_empty()) {
            let mode = match &target {
                _ if text.starts_with('#') => "contained",
                Some(target) if target.node.is_some() => "bundled",
                _ => "referenced",
            };
            if !allowed.aggregation.iter().any(|one| one == mode) {
                let text = format!("expected a reference that is {}, not {mode}", allowed.aggregation.join(" or "));
                self.fail(node, IssueType::Structure, &text, profile);
            }
        }
        let Some(target) = target.filter(|_| !allowed.targets.is_empty()) else { return };
        let fitting: Vec<_> = allowed.targets.iter().filter(|aim| types.is_a(target.ty, aim.ty)).collect();
        if fitting.is_empty() {
            let names: Vec<_> = allowed.targets.iter().map(|aim| &*types.ty(aim.ty).name).collect();
            let text = format!("expected a reference to {}, not to {}", names.join(" or "), types.ty(target.ty).name);
            return self.fail(node, IssueType::Structure, &text, profile);
        }
        let profiles: Option<Vec<_>> = fitting.iter().map(|aim| aim.profile.clone()).collect();
        if let (Some(held), Some(profiles)) = (target.node, profiles)
            && !self.try_profiles(held, &profiles)
        {
            let text = format!("what it leads to conforms to none of {}", profiles.join(", "));
            self.fail(node, IssueType::Structure, &text, profile);
        }
    }

    fn limits(&mut self, node: Node, rule: &Rule, profile: &Profile) {
        let Some(value) = self.tree.value(node) else { return };
        if let Some(most) = rule.max_length {
            let count = value.as_str().unwrap_or_default().chars().count();
            if count > most as usize {
                let text = format!("expected at most {most} characters, found {count}");
                self.fail(node, IssueType::TooLong, &text, profile);
            }
        }
        if let Some(least) = rule.least.as_ref().filter(|least| compare(value, least) == Some(std::cmp::Ordering::Less))
        {
            self.fail(node, IssueType::Value, &format!("expected at least {}", least.json), profile);
        }
        if let Some(most) = rule.most.as_ref().filter(|most| compare(value, most) == Some(std::cmp::Ordering::Greater))
        {
            self.fail(node, IssueType::Value, &format!("expected at most {}", most.json), profile);
        }
    }

    fn fail(&mut self, node: Node, code: IssueType, text: &str, profile: &Profile) {
        self.report.error(self.tree, node, code, format!("{text} (profile {})", profile.url));
    }

    /// Whether an extension may stand where it does (R4 defining-extensions.html#context).
    pub(super) fn context_of(&mut self, node: Node, profile: &Profile) {
        let (tree, types) = (self.tree, self.tree.types());
        let Some(holder) = tree.parent(node) else { return };
        if profile.contexts.is_empty() || profile.contexts.iter().any(|context| self.is_context(holder, context)) {
            let scope = self.scope(node);
            let fails = profile.context_invariants.iter().any(|one| one.test(&scope) == Ok(Some(false)));
            if fails {
                let text =
                    format!("the extension {} may not stand here: its context invariant does not hold", profile.url);
                self.report.error(tree, node, IssueType::Extension, text);
            }
            return;
        }
        let places: Vec<_> = profile.contexts.iter().map(|context| context.expression.as_str()).collect();
        let found = tree.ty(holder).map_or("here", |ty| &types.ty(ty).name);
        let text = format!("the extension {} stands in {}, not in {found}", profile.url, places.join(" or "));
        self.report.error(tree, node, IssueType::Extension, text);
    }

    fn is_context(&self, holder: Node, context: &structure::Context) -> bool {
        let tree = self.tree;
        match context.kind.as_str() {
            // HL7's validator and its own publications read "Element" as anything, resources included.
            "element" if context.expression == "Element" => true,
            "extension" => tree.str(holder, "url").as_deref() == Some(context.expression.as_str()),
            "element" => self.is_element(holder, &context.expression),
            // FHIRPath that selects holders: only an engine that looks from the root could tell; R4 has few.
            _ => true,
        }
    }

    /// Whether an element is what a context names: a type, `Patient.contact`, or an element within a type.
    fn is_element(&self, holder: Node, expression: &str) -> bool {
        let (tree, types) = (self.tree, self.tree.types());
        let Some(ty) = tree.ty(holder) else { return false };
        if let Some(named) = types.named(expression) {
            return types.is_a(ty, named);
        }
        let (mut path, mut at) = (expression, holder);
        while let Some((before, name)) = path.rsplit_once('.') {
            let name = name.strip_suffix("[x]").unwrap_or(name);
            let Some(field) = tree.field(at) else { return false };
            if &*field.element != name && &*field.name != name {
                return false;
            }
            let Some(parent) = tree.parent(at) else { return false };
            if types.named(before).is_some_and(|named| tree.ty(parent).is_some_and(|ty| types.is_a(ty, named))) {
                return true;
            }
            (path, at) = (before, parent);
        }
        false
    }
}

/// Compares a primitive, or the value of a Quantity, with a limit; `None` where they cannot be compared.
fn compare(value: Ref<'_>, limit: &structure::Value) -> Option<std::cmp::Ordering> {
    let doc = crate::fhir::json::Doc::parse(&limit.json, &crate::fhir::json::Limits::default()).ok()?;
    let limit = doc.root();
    if limit.kind() == Kind::Object {
        let is_alike = |name: &str| value.str(name) == limit.str(name);
        let is_one_unit = is_alike("system") && is_alike(if limit.get("code").is_some() { "code" } else { "unit" });
        return if is_one_unit { numbers(value.get("value")?.raw(), limit.get("value")?.raw()) } else { None };
    }
    match (value.as_str(), limit.as_str()) {
        (Some(value), Some(limit)) => times(&value, &limit),
        (None, None) => numbers(value.raw(), limit.raw()),
        _ => None,
    }
}

/// Compares dates and times as far as both are given; `None` where that does not decide.
fn times(value: &str, limit: &str) -> Option<std::cmp::Ordering> {
    const DAY: usize = "YYYY-MM-DD".len();
    if value.contains('T') && limit.contains('T') {
        return Some(instant::parse(value)?.cmp(&instant::parse(limit)?));
    }
    let length = value.len().min(limit.len()).min(DAY);
    let order = value.get(..length)?.cmp(limit.get(..length)?);
    (order.is_ne() || value.len() == limit.len()).then_some(order)
}

fn numbers(value: &str, limit: &str) -> Option<std::cmp::Ordering> {
    value.parse::<f64>().ok()?.partial_cmp(&limit.parse().ok()?)
}
