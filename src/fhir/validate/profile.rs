//! A profile, compiled to what it demands beyond R4: a tree of rules along its elements, and slices with what tells them
//! apart.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    fixed::Wanted,
    invariant::{Compiler, Invariant},
    slicing::{Slice, Slicing},
};
use crate::fhir::{
    definition::{
        registry::Registry,
        structure::{self, Binding, Constraint, Element, Max, Strength, Structure},
        types::{Field, R4, TypeId, Types, r4},
    },
    path::Expression,
};

/// A compiled profile or extension definition.
#[derive(Debug)]
pub(super) struct Profile {
    /// Unique in this process.
    pub number: u32,
    pub url: String,
    pub ty: Option<TypeId>,
    pub root: Rule,
    /// Where an extension may stand.
    pub contexts: Vec<structure::Context>,
    pub context_invariants: Vec<Expression>,
}

/// What a profile demands of one element.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// The element's name without a type: `value`.
    pub element: Box<str>,
    pub min: u32,
    pub max: Option<Max>,
    /// The types it may have; empty: as R4 says.
    pub types: Vec<Allowed>,
    pub wanted: Vec<Wanted>,
    pub least: Option<structure::Value>,
    pub most: Option<structure::Value>,
    pub max_length: Option<u32>,
    pub binding: Option<Binding>,
    pub invariants: Vec<Arc<Invariant>>,
    pub children: Vec<Rule>,
    pub slicing: Option<Slicing>,
}

/// A type an element may have.
#[derive(Debug)]
pub(super) struct Allowed {
    pub ty: TypeId,
    /// One of these must fit; empty: the type alone.
    pub profiles: Vec<String>,
    /// What a Reference may lead to; empty: as R4 says.
    pub targets: Vec<Aim>,
    /// `contained`, `referenced`, `bundled`; empty: any.
    pub aggregation: Vec<String>,
}

/// A target a Reference may have.
#[derive(Debug)]
pub(super) struct Aim {
    pub ty: TypeId,
    /// A profile, where the target is more than a type.
    pub profile: Option<String>,
}

/// Places where HL7's own R4 publications use its extensions although their contexts do not name them; the definitions
/// were widened later (HL7's Extensions pack).
const WIDER: [(&str, &str); 4] = [
    ("structuredefinition-fhir-type", "ElementDefinition.type"),
    ("regex", "ElementDefinition.type"),
    ("structuredefinition-normative-version", "Element"),
    ("valueset-concept-comments", "CodeSystem.concept"),
];

static NUMBERS: AtomicU32 = AtomicU32::new(0);

impl Profile {
    /// Compiles a structure that has a snapshot.
    pub fn compile(structure: &Structure, registry: &Registry) -> Self {
        let types = r4();
        let ty = types.named(&structure.type_name);
        let draft = Draft::of(structure);
        let mut build = Build { types, registry, compiler: Compiler::default() };
        let parents: Vec<_> = ty.into_iter().collect();
        let mut root = build.body(&draft, &parents, &inherited_by_type(types, &parents), &[]);
        if structure.is_constraint {
            root.children = build.children(&draft, &parents);
        } else {
            // R4's own types demand nothing beyond themselves.
            root = Rule::default();
        }
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            url: structure.url.clone(),
            ty,
            root,
            contexts: contexts(structure),
            context_invariants: structure
                .context_invariants
                .iter()
                .filter_map(|text| Expression::parse(text).ok())
                .collect(),
        }
    }
}

fn contexts(structure: &Structure) -> Vec<structure::Context> {
    let name = structure.url.strip_prefix(R4);
    let wider = WIDER.iter().filter(|(extension, _)| name == Some(*extension));
    let wider =
        wider.map(|(_, place)| structure::Context { kind: "element".to_owned(), expression: (*place).to_owned() });
    structure.contexts.iter().cloned().chain(wider).collect()
}

/// A snapshot's elements as a tree: children below their element, slices beside it.
#[derive(Debug, Default)]
pub(super) struct Draft<'s> {
    pub element: Option<&'s Element>,
    /// The name in the path, without `[x]`.
    pub name: &'s str,
    pub slice_name: &'s str,
    pub children: Vec<Draft<'s>>,
    pub slices: Vec<Draft<'s>>,
}

impl<'s> Draft<'s> {
    /// The tree of a structure's elements.
    pub fn of(structure: &'s Structure) -> Self {
        let mut root = Self { element: structure.elements.first(), ..Self::default() };
        for element in structure.elements.iter().skip(1) {
            let mut at = &mut root;
            let id = if element.id.matches('.').count() == element.path.matches('.').count() {
                &element.id
            } else {
                &element.path
            };
            for step in id.split('.').skip(1) {
                let (name, slice) = step.split_once(':').unwrap_or((step, ""));
                at = at.child_mut(name.strip_suffix("[x]").unwrap_or(name));
                // A reslice `a/b` is a slice of the slice `a`.
                let ends = slice.match_indices('/').map(|(end, _)| end).chain([slice.len()]);
                for end in ends.filter(|end| *end > 0) {
                    at = at.slice_mut(&slice[..end]);
                }
            }
            at.element = Some(element);
        }
        root
    }

    fn child_mut(&mut self, name: &'s str) -> &mut Self {
        let at = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Draft { name, ..Draft::default() });
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    fn slice_mut(&mut self, slice_name: &'s str) -> &mut Self {
        let name = self.name;
        let at = self.slices.iter().position(|slice| slice.slice_name == slice_name).unwrap_or_else(|| {
            self.slices.push(Draft { name, slice_name, ..Draft::default() });
            self.slices.len() - 1
        });
        &mut self.slices[at]
    }

    /// The types the element is narrowed to; none where it is not said.
    pub fn types(&self) -> &'s [structure::TypeRef] {
        self.element.map_or(&[], |element| &element.types)
    }
}

pub(super) struct Build<'r> {
    pub types: &'static Types,
    pub registry: &'r Registry,
    pub compiler: Compiler,
}

impl Build<'_> {
    /// The rules of a draft's children, those that demand anything.
    pub fn children(&mut self, draft: &Draft<'_>, parents: &[TypeId]) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for child in &draft.children {
            let bases = self.bases(parents, child.name);
            let rule = if bases.is_empty() { self.typed_child(child, parents) } else { Some(self.rule(child, &bases)) };
            rules.extend(rule.filter(Rule::demands));
        }
        rules
    }

    /// A choice written with its type, `valueQuantity`: a slice of `value` by type.
    fn typed_child(&mut self, child: &Draft<'_>, parents: &[TypeId]) -> Option<Rule> {
        let field = parents.iter().find_map(|parent| self.types.field_named(*parent, child.name))?;
        let field = self.types.field(field);
        let rule = self.slice_rule(child, &[field]);
        let slice = Slice::of_type(child.name, field.ty, rule);
        let slicing = Slicing { rules: structure::Rules::Open, is_ordered: false, slices: vec![slice] };
        Some(Rule { element: field.element.clone(), slicing: Some(slicing), ..Rule::default() })
    }

    /// The fields of the element `name` in any of the types.
    fn bases(&self, parents: &[TypeId], name: &str) -> Vec<&'static Field> {
        let types = self.types;
        let of = |parent: &TypeId| {
            types.fields(*parent).map(|(_, field)| field).filter(|field| &*field.element == name).collect::<Vec<_>>()
        };
        parents.iter().flat_map(of).collect()
    }

    fn rule(&mut self, draft: &Draft<'_>, bases: &[&'static Field]) -> Rule {
        let own = self.own_types(draft, bases);
        let mut rule = self.body(draft, &own, &inherited(self.types, bases, &own), bases);
        rule.element = bases.first().map_or_else(|| draft.name.into(), |base| base.element.clone());
        if let Some(element) = draft.element {
            let least = bases.iter().map(|base| base.min).min().unwrap_or_default();
            let most = bases.iter().map(|base| base.max).max().unwrap_or(Max::Unbounded);
            rule.min = element.min.filter(|min| *min > least).unwrap_or_default();
            rule.max = element.max.filter(|max| *max < most);
        }
        rule.children = self.children(draft, &own);
        rule.slicing = self.slicing(draft, bases, &own);
        rule
    }

    /// The rule of a slice: its own cardinality counts, whatever R4 says of the whole element.
    pub fn slice_rule(&mut self, draft: &Draft<'_>, bases: &[&'static Field]) -> Rule {
        let mut rule = self.rule(draft, bases);
        rule.min = draft.element.and_then(|element| element.min).unwrap_or_default();
        rule.max = draft.element.and_then(|element| element.max).filter(|max| *max != Max::Unbounded);
        rule
    }

    /// What is demanded of the element itself.
    fn body(&mut self, draft: &Draft<'_>, own: &[TypeId], known: &HashSet<&str>, bases: &[&'static Field]) -> Rule {
        let Some(element) = draft.element else { return Rule::default() };
        let constraints = element.constraints.iter().filter(|one: &&Arc<Constraint>| !known.contains(one.key.as_str()));
        let is_known = |binding: &Binding| bases.iter().any(|base| base.binding.as_ref() == Some(binding));
        let is_checked =
            |binding: &&Binding| binding.strength >= Strength::Extensible || binding.max_value_set.is_some();
        let least = bases.iter().all(|base| base.min_value.is_none());
        let most = bases.iter().all(|base| base.max_value.is_none());
        Rule {
            types: self.allowed(element, own, bases),
            wanted: [
                element.fixed.as_ref().and_then(Wanted::fixed),
                element.pattern.as_ref().and_then(Wanted::pattern),
            ]
            .into_iter()
            .flatten()
            .collect(),
            least: element.min_value.clone().filter(|_| least),
            most: element.max_value.clone().filter(|_| most),
            max_length: element.max_length.filter(|most| bases.iter().any(|base| base.max_length != Some(*most))),
            binding: element.binding.as_ref().filter(is_checked).filter(|one| !is_known(one)).cloned(),
            invariants: self.compiler.compile(constraints),
            ..Rule::default()
        }
    }

    /// The types a draft's element can have.
    fn own_types(&self, draft: &Draft<'_>, bases: &[&'static Field]) -> Vec<TypeId> {
        let named: Vec<_> = draft.types().iter().filter_map(|one| self.types.named(&one.code)).collect();
        let is_plain = draft.types().iter().all(|one| !matches!(one.code.as_str(), "BackboneElement" | "Element"));
        let mut own = if named.is_empty() || !is_plain { bases.iter().map(|base| base.ty).collect() } else { named };
        own.sort_unstable();
        own.dedup();
        own
    }

    /// The types it is narrowed to, where they are less than R4's.
    fn allowed(&self, element: &Element, own: &[TypeId], bases: &[&'static Field]) -> Vec<Allowed> {
        if bases.is_empty() {
            return Vec::new();
        }
        let mut allowed: Vec<Allowed> = Vec::new();
        for one in &element.types {
            let Some(ty) = self.types.named(&one.code).filter(|ty| own.contains(ty)) else { continue };
            let base = bases.iter().find(|base| base.ty == ty);
            let profiles = one.profiles.iter().filter(|url| !is_type(url)).cloned();
            let profiles: Vec<_> =
                profiles.filter(|url| base.is_none_or(|base| !base.profiles.contains(url))).collect();
            let is_base = |url: &String| base.is_some_and(|base| base.targets.contains(url));
            let aims = |url: &String| {
                let plain = is_type(url);
                let ty = match url.strip_prefix(R4).filter(|_| plain) {
                    Some(name) => self.types.named(name),
                    None => self.registry.structure(url).and_then(|found| self.types.named(&found.type_name)),
                };
                ty.map(|ty| Aim { ty, profile: (!plain).then(|| url.clone()) })
            };
            let targets: Vec<_> = one.target_profiles.iter().filter_map(aims).collect();
            let same = base.is_some_and(|base| base.targets.len() == one.target_profiles.len())
                && one.target_profiles.iter().all(is_base);
            let targets = if same { Vec::new() } else { targets };
            match allowed.iter_mut().find(|known| known.ty == ty) {
                // A Reference may stand several times, once for each target.
                Some(known) => {
                    known.profiles.extend(profiles);
                    known.targets.extend(targets);
                }
                None => allowed.push(Allowed { ty, profiles, targets, aggregation: one.aggregation.clone() }),
            }
        }
        let narrower = bases.iter().any(|base| allowed.iter().all(|one| one.ty != base.ty));
        let more = |one: &Allowed| !one.profiles.is_empty() || !one.targets.is_empty() || !one.aggregation.is_empty();
        if allowed.is_empty() || narrower || allowed.iter().any(more) { allowed } else { Vec::new() }
    }
}

impl Rule {
    /// Whether there is anything to check.
    pub fn demands(&self) -> bool {
        self.min > 0
            || self.max.is_some()
            || !self.types.is_empty()
            || !self.wanted.is_empty()
            || self.least.is_some()
            || self.most.is_some()
            || self.max_length.is_some()
            || self.binding.is_some()
            || !self.invariants.is_empty()
            || !self.children.is_empty()
            || self.slicing.is_some()
    }
}

/// Whether a canonical is one of R4's types rather than a profile.
fn is_type(url: &str) -> bool {
    url.strip_prefix(R4).is_some_and(|name| r4().named(name).is_some())
}

/// The keys of the invariants that R4 itself puts on these fields and types.
fn inherited(types: &'static Types, bases: &[&'static Field], own: &[TypeId]) -> HashSet<&'static str> {
    let fields = bases.iter().flat_map(|base| &base.constraints);
    fields.map(|one| one.key.as_str()).chain(inherited_by_type(types, own)).collect()
}

fn inherited_by_type(types: &'static Types, own: &[TypeId]) -> HashSet<&'static str> {
    own.iter().flat_map(|ty| &types.ty(*ty).constraints).map(|one| one.key.as_str()).collect()
}
