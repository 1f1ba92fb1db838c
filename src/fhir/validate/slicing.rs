//! Slicing (R4 profiling.html#slicing): which slice an element belongs to, by what its discriminators say.

use super::{
    Run,
    binding::codes,
    fixed::Wanted,
    profile::{Build, Draft, Rule},
};
use crate::fhir::{
    definition::{
        expansion::Membership,
        structure::{self, DiscriminatorKind, Max, Rules, Strength},
        types::{Field, TypeId},
    },
    tree::Node,
};

/// The slices of one element.
#[derive(Debug)]
pub(super) struct Slicing {
    pub rules: Rules,
    pub is_ordered: bool,
    pub slices: Vec<Slice>,
}

/// One slice.
#[derive(Debug)]
pub(super) struct Slice {
    pub name: Box<str>,
    /// All must hold; none: it cannot be told what belongs here.
    pub matchers: Vec<Matcher>,
    /// `@default`: what no other slice takes.
    pub is_default: bool,
    pub rule: Rule,
}

/// What one discriminator demands of the members of one slice.
#[derive(Debug)]
pub(super) struct Matcher {
    steps: Vec<Step>,
    test: Test,
}

/// One step of a discriminator's path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Child(Box<str>),
    OfType(TypeId),
    Resolve,
    Extension(Box<str>),
}

#[derive(Debug)]
enum Test {
    Is(Wanted),
    /// Parts below the path that must all be so.
    Parts(Vec<(Vec<Step>, Wanted)>),
    In(String),
    Exists(bool),
    Types(Vec<TypeId>),
    Profiles(Vec<String>),
}

/// What a path leads to: an element, or only the type of a resource elsewhere.
enum Reached {
    Element(Node),
    Elsewhere(TypeId),
}

/// How deep profiles on types are looked into for what tells a slice.
const MAX_LOOKUPS: usize = 8;

impl Slice {
    /// The slice of a choice that has this type.
    pub fn of_type(name: &str, ty: TypeId, rule: Rule) -> Self {
        let matchers = vec![Matcher { steps: Vec::new(), test: Test::Types(vec![ty]) }];
        Self { name: name.into(), matchers, is_default: false, rule }
    }
}

impl Build<'_> {
    /// The slices of a draft's element.
    pub(super) fn slicing(&mut self, draft: &Draft<'_>, bases: &[&'static Field], own: &[TypeId]) -> Option<Slicing> {
        let given = draft.element.and_then(|element| element.slicing.as_ref());
        if draft.slices.is_empty() && given.is_none_or(|given| given.rules != Rules::Closed) {
            return None;
        }
        let implied = implied(bases);
        let slicing = given.filter(|given| !given.discriminators.is_empty()).or(implied.as_ref());
        let discriminators = slicing.map_or(&[][..], |slicing| &slicing.discriminators);
        let mut slices = Vec::new();
        // What holds of all elements is not said again of those in a slice.
        let said: Vec<_> = draft.element.iter().flat_map(|element| &element.constraints).collect();
        for slice in &draft.slices {
            let mut rule = self.slice_rule(slice, bases);
            rule.invariants.retain(|one| said.iter().all(|said| said.key != one.key()));
            let own = narrowed(self, slice, own.to_vec());
            let matchers: Option<Vec<_>> = discriminators.iter().map(|one| self.matcher(one, slice, &own)).collect();
            slices.push(Slice {
                name: slice.slice_name.into(),
                matchers: matchers.unwrap_or_default(),
                is_default: slice.slice_name == "@default",
                rule,
            });
        }
        let rules = given.map_or(Rules::Open, |given| given.rules);
        Some(Slicing { rules, is_ordered: given.is_some_and(|given| given.is_ordered), slices })
    }

    /// What a discriminator says of a slice; `None` when the slice does not say it.
    fn matcher(&mut self, one: &structure::Discriminator, slice: &Draft<'_>, own: &[TypeId]) -> Option<Matcher> {
        let steps = self.steps(&one.path)?;
        let test = self.test(one.kind, slice, own, &steps, 0)?;
        Some(Matcher { steps, test })
    }

    fn steps(&self, path: &str) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        for part in split(path) {
            steps.push(match part.split_once('(') {
                None if part == "$this" => continue,
                None => Step::Child(part.strip_suffix("[x]").unwrap_or(part).into()),
                Some(("resolve", _)) => Step::Resolve,
                Some(("ofType" | "as", rest)) => {
                    let name = rest.trim_end_matches(')').trim();
                    Step::OfType(self.types.named(name.strip_prefix("FHIR.").unwrap_or(name))?)
                }
                Some(("extension", rest)) => {
                    Step::Extension(rest.trim_end_matches(')').trim_matches(['\'', '"', ' ']).into())
                }
                Some(_) => return None,
            });
        }
        Some(steps)
    }

    /// What the slice says at the end of `steps`, looking into the profiles of its types where it says nothing itself.
    fn test(
        &mut self,
        kind: DiscriminatorKind,
        draft: &Draft<'_>,
        own: &[TypeId],
        steps: &[Step],
        depth: usize,
    ) -> Option<Test> {
        if depth > MAX_LOOKUPS {
            return None;
        }
        if let Some(test) = self.test_here(kind, draft, own, steps, depth) {
            return Some(test);
        }
        // What a required slice further down says is said of the whole, as by the codes of blood pressure's components.
        let is_required = |slice: &&Draft<'_>| slice.element.and_then(|element| element.min).is_some_and(|min| min > 0);
        for inner in draft.slices.iter().filter(is_required).filter(|_| depth > 0) {
            if let Some(test) = self.test(kind, inner, own, steps, depth + 1) {
                return Some(test);
            }
        }
        let profiles = draft.types().iter().flat_map(|one| &one.profiles);
        for url in profiles {
            // An extension's url is its definition's canonical, whether that is loaded or not.
            if let [Step::Child(name)] = steps
                && &**name == "url"
            {
                let plain = url.split_once('|').map_or(url.as_str(), |(plain, _)| plain);
                let json = crate::fhir::json::quote(plain);
                let value = structure::Value { type_name: "uri".to_owned(), json, shadow: None };
                return Wanted::fixed(&value).map(Test::Is);
            }
            if let Some(structure) = self.registry.structure(url) {
                let own: Vec<_> = self.types.named(&structure.type_name).into_iter().collect();
                let inner = Draft::of(&structure);
                if let Some(test) = self.test(kind, &inner, &own, steps, depth + 1) {
                    return Some(test);
                }
            }
        }
        None
    }

    fn test_here(
        &mut self,
        kind: DiscriminatorKind,
        draft: &Draft<'_>,
        own: &[TypeId],
        steps: &[Step],
        depth: usize,
    ) -> Option<Test> {
        match steps.split_first() {
            None => self.test_at(kind, draft, own),
            Some((Step::Child(name), rest)) => {
                let own = self.types_of(own, name);
                match draft.children.iter().find(|child| child.name == &**name) {
                    Some(child) => self.test(kind, child, &narrowed(self, child, own), rest, depth + 1),
                    None => self
                        .test(kind, &Draft::default(), &own, rest, depth + 1)
                        .filter(|_| kind == DiscriminatorKind::Type),
                }
            }
            Some((Step::OfType(ty), rest)) => {
                let slice = draft
                    .slices
                    .iter()
                    .find(|slice| slice.types().iter().any(|one| self.types.named(&one.code) == Some(*ty)));
                self.test(kind, slice.unwrap_or(draft), &[*ty], rest, depth + 1)
            }
            Some((Step::Resolve, rest)) => self.test_target(kind, draft, rest, depth),
            Some((Step::Extension(url), rest)) => {
                let extensions = draft.children.iter().find(|child| child.name == "extension")?;
                let slice = extensions.slices.iter().find(|slice| {
                    slice.types().iter().flat_map(|one| &one.profiles).any(|profile| **profile == **url)
                })?;
                let own = [self.types.known.extension];
                self.test(kind, slice, &own, rest, depth + 1)
            }
        }
    }

    /// What is said of what a Reference leads to.
    fn test_target(&mut self, kind: DiscriminatorKind, draft: &Draft<'_>, rest: &[Step], depth: usize) -> Option<Test> {
        let targets: Vec<_> = draft.types().iter().flat_map(|one| one.target_profiles.clone()).collect();
        if kind == DiscriminatorKind::Profile && rest.is_empty() {
            return (!targets.is_empty()).then_some(Test::Profiles(targets));
        }
        let mut found = Vec::new();
        for url in &targets {
            let structure = self.registry.structure(url)?;
            let ty = self.types.named(&structure.type_name)?;
            if kind == DiscriminatorKind::Type && rest.is_empty() {
                found.push(ty);
            } else {
                return self.test(kind, &Draft::of(&structure), &[ty], rest, depth + 1);
            }
        }
        (!found.is_empty()).then_some(Test::Types(found))
    }

    fn test_at(&self, kind: DiscriminatorKind, draft: &Draft<'_>, own: &[TypeId]) -> Option<Test> {
        match kind {
            DiscriminatorKind::Value | DiscriminatorKind::Pattern => {
                let element = draft.element;
                let fixed = element.and_then(|element| element.fixed.as_ref()).and_then(Wanted::fixed);
                let wanted = fixed.or_else(|| element.and_then(|e| e.pattern.as_ref()).and_then(Wanted::pattern));
                if let Some(wanted) = wanted {
                    return Some(Test::Is(wanted));
                }
                let mut parts = Vec::new();
                collect(draft, &mut Vec::new(), &mut parts);
                if !parts.is_empty() {
                    return Some(Test::Parts(parts));
                }
                let binding = element?.binding.as_ref().filter(|binding| binding.strength == Strength::Required)?;
                binding.value_set.clone().map(Test::In)
            }
            DiscriminatorKind::Exists => {
                let element = draft.element?;
                if element.max == Some(Max::Times(0)) {
                    Some(Test::Exists(false))
                } else {
                    element.min.filter(|min| *min > 0).map(|_| Test::Exists(true))
                }
            }
            DiscriminatorKind::Type => (!own.is_empty()).then(|| Test::Types(own.to_vec())),
            DiscriminatorKind::Profile => {
                let profiles: Vec<_> = draft.types().iter().flat_map(|one| one.profiles.clone()).collect();
                (!profiles.is_empty()).then_some(Test::Profiles(profiles))
            }
        }
    }

    fn types_of(&self, own: &[TypeId], name: &str) -> Vec<TypeId> {
        let fields = own.iter().flat_map(|ty| self.types.fields(*ty));
        fields.filter(|(_, field)| &*field.element == name).map(|(_, field)| field.ty).collect()
    }
}

/// The types a draft narrows `own` to.
fn narrowed(build: &Build<'_>, draft: &Draft<'_>, own: Vec<TypeId>) -> Vec<TypeId> {
    let named: Vec<_> = draft.types().iter().filter_map(|one| build.types.named(&one.code)).collect();
    let both: Vec<_> = own.iter().copied().filter(|ty| named.contains(ty)).collect();
    if both.is_empty() { own } else { both }
}

/// All fixed values and patterns below a draft, with their paths.
fn collect(draft: &Draft<'_>, path: &mut Vec<Step>, parts: &mut Vec<(Vec<Step>, Wanted)>) {
    for child in &draft.children {
        path.push(Step::Child(child.name.into()));
        if let Some(element) = child.element.filter(|element| element.min.is_some_and(|min| min > 0)) {
            let fixed = element.fixed.as_ref().and_then(Wanted::fixed);
            let wanted = fixed.or_else(|| element.pattern.as_ref().and_then(Wanted::pattern));
            match wanted {
                Some(wanted) => parts.push((path.clone(), wanted)),
                None => collect(child, path, parts),
            }
        }
        path.pop();
    }
}

/// How an element is sliced without saying so: extensions by `url`, choices by type.
fn implied(bases: &[&'static Field]) -> Option<structure::Slicing> {
    let base = bases.first()?;
    let (kind, path) = match &*base.element {
        "extension" | "modifierExtension" => (DiscriminatorKind::Value, "url"),
        _ if base.is_choice => (DiscriminatorKind::Type, "$this"),
        _ => return None,
    };
    let discriminators = vec![structure::Discriminator { kind, path: path.to_owned() }];
    Some(structure::Slicing { discriminators, rules: Rules::Open, is_ordered: false })
}

/// The parts of a path: dots inside parentheses do not count.
fn split(path: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    path.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == '.' && depth == 0
    })
    .filter(|part| !part.is_empty())
}

impl Run<'_, '_, '_> {
    /// Whether an element belongs to a slice; `None` when that cannot be told.
    pub(super) fn belongs(&mut self, node: Node, slice: &Slice) -> Option<bool> {
        if slice.matchers.is_empty() {
            return None;
        }
        Some(slice.matchers.iter().all(|matcher| self.matches(node, matcher)))
    }

    fn matches(&mut self, node: Node, matcher: &Matcher) -> bool {
        let reached = self.reach(node, &matcher.steps);
        match &matcher.test {
            Test::Exists(wanted) => reached.is_empty() != *wanted,
            Test::Is(wanted) => self.elements(&reached).any(|node| wanted.fits(self.tree.value(node))),
            Test::Parts(parts) => self.elements(&reached).any(|node| {
                parts.iter().all(|(steps, wanted)| {
                    let reached = self.reach(node, steps);
                    self.elements(&reached).any(|node| wanted.fits(self.tree.value(node)))
                })
            }),
            Test::In(set) => self.elements(&reached).any(|node| self.is_in(node, set)),
            Test::Types(types) => reached.iter().any(|one| {
                let ty = match one {
                    Reached::Element(node) => self.tree.ty(*node),
                    Reached::Elsewhere(ty) => Some(*ty),
                };
                ty.is_some_and(|ty| types.iter().any(|wanted| self.tree.types().fits(ty, *wanted)))
            }),
            Test::Profiles(profiles) => {
                let nodes: Vec<_> = self.elements(&reached).collect();
                nodes.into_iter().any(|node| self.try_profiles(node, profiles))
            }
        }
    }

    fn elements<'r>(&self, reached: &'r [Reached]) -> impl Iterator<Item = Node> + use<'r> {
        reached.iter().filter_map(|one| match one {
            Reached::Element(node) => Some(*node),
            Reached::Elsewhere(_) => None,
        })
    }

    fn is_in(&self, node: Node, set: &str) -> bool {
        let Some(expansion) = self.validator.registry.expansion(set) else { return false };
        let Some(ty) = self.tree.ty(node) else { return false };
        codes(self.tree, node, ty)
            .iter()
            .any(|code| expansion.contains(code.system.as_deref(), &code.code) == Membership::Member)
    }

    fn reach(&self, node: Node, steps: &[Step]) -> Vec<Reached> {
        let tree = self.tree;
        let mut reached = vec![Reached::Element(node)];
        for step in steps {
            let mut next = Vec::new();
            for one in reached {
                let Reached::Element(node) = one else { continue };
                match step {
                    Step::Child(name) => next.extend(tree.named(node, name).map(Reached::Element)),
                    Step::OfType(wanted) => {
                        if tree.ty(node).is_some_and(|ty| tree.types().is_a(ty, *wanted)) {
                            next.push(Reached::Element(node));
                        }
                    }
                    Step::Resolve => {
                        let target = tree.str(node, "reference").and_then(|text| self.target(node, &text));
                        next.extend(target.map(|target| match target.node {
                            Some(node) => Reached::Element(node),
                            None => Reached::Elsewhere(target.ty),
                        }));
                    }
                    Step::Extension(url) => {
                        let extensions = tree.named(node, "extension");
                        let fitting = extensions.filter(|one| tree.str(*one, "url").as_deref() == Some(&**url));
                        next.extend(fitting.map(Reached::Element));
                    }
                }
            }
            reached = next;
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_at_its_own_dots() {
        let parts: Vec<_> = split("a.extension('http://x.y/z').value").collect();
        assert_eq!(parts, ["a", "extension('http://x.y/z')", "value"]);
    }
}
