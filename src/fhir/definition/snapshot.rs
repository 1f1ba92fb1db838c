//! Snapshots of structures that come as differentials only (FHIR R4 profiling.html#snapshot): the base's elements with the
//! differential's constraints merged in.
//!
//! The work is done on a [`tree::Node`] of the base. Each element of the differential walks down from the root, unfolding
//! what lies in data types or behind content references and making the slices it names, and is merged where it ends.
//! Every step is bounded: a walk by the differential's own paths, the whole by [`MAX_ELEMENTS`].

mod merge;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use self::tree::{Node, Segment};
use super::{
    structure::{Discriminator, DiscriminatorKind, Element, Max, Rules, Slicing, Structure, TypeRef},
    types::R4,
};

/// Elements of one snapshot.
const MAX_ELEMENTS: usize = 50_000;
/// Names in one path.
const MAX_DEPTH: usize = 32;

/// Where snapshots of other structures come from.
pub(super) trait Snapshots {
    /// The structure with its snapshot; the error says why there is none.
    fn snapshot(&mut self, canonical: &str) -> Result<Arc<Structure>, String>;
}

/// Makes the snapshot of a structure that has only a differential. The error names the element.
pub(super) fn generate(differential: &Structure, library: &mut impl Snapshots) -> Result<Structure, String> {
    let base = differential.base.as_ref().ok_or("it has neither a snapshot nor a baseDefinition")?;
    let base = library.snapshot(base)?;
    let mut work = Work { base: &base, url: &differential.url, library, count: base.elements.len() };
    let mut root = Node::tree(&base.elements)?;
    let mut before = Vec::new();
    for element in &differential.elements {
        let segments = tree::segments(element, &before);
        let merged = work.walk(&mut root, &segments, element);
        merged.map_err(|what| format!("element {}: {what}", element.id))?;
        before = segments;
    }
    let mut elements = Vec::with_capacity(work.count);
    // A structure may define a type of its own; the base's root then has another name.
    let name =
        differential.elements.first().map_or(&*root.name, |first| first.path.split('.').next().unwrap_or_default());
    root.name = name.into();
    root.flatten("", "", &mut elements);
    Ok(Structure { is_snapshot: true, elements, ..differential.clone() })
}

struct Work<'w, S> {
    base: &'w Structure,
    /// The structure that is being made.
    url: &'w str,
    library: &'w mut S,
    /// Elements so far.
    count: usize,
}

impl<S: Snapshots> Work<'_, S> {
    /// Goes from the root to where `segments` lead and merges `element` there.
    fn walk(&mut self, root: &mut Node, segments: &[Segment], element: &Element) -> Result<(), String> {
        if segments.len() > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
        let mut node = root;
        for (level, segment) in segments.iter().enumerate().skip(1) {
            if node.children.is_empty() {
                self.unfold(node)?;
            }
            let is_last = level + 1 == segments.len();
            node = self.step(node, segment, is_last.then_some(element))?;
        }
        self.merge(node, element)
    }

    /// Goes to the child and slice that a segment names. `element` is the differential's, if the walk ends there.
    fn step<'n>(
        &mut self,
        node: &'n mut Node,
        segment: &Segment,
        element: Option<&Element>,
    ) -> Result<&'n mut Node, String> {
        let named = node.children.iter().position(|child| *child.name == *segment.name);
        let (place, slice) = match (named, &segment.slice) {
            (Some(place), slice) => (place, slice.as_deref()),
            // `valueQuantity` for `value[x]:valueQuantity`
            (None, slice) => {
                let is_choice =
                    |child: &Node| child.choices().iter().any(|one| is_shorthand(child, one, &segment.name));
                let found = node.children.iter().position(is_choice);
                let place = found.ok_or_else(|| format!("'{}' is no element of {}", segment.name, node.label()))?;
                if slice.is_none() {
                    narrow(&mut node.children[place], &segment.name);
                }
                (place, slice.as_deref().or(Some(&*segment.name)))
            }
        };
        let mut at = &mut node.children[place];
        let Some(slice) = slice else { return Ok(at) };
        for (end, _) in slice.match_indices('/').chain([(slice.len(), "")]) {
            let slicing = at.element.slicing.clone();
            at = self.slice(at, &slice[..end], element)?;
            if end < slice.len() && at.element.slicing.is_none() {
                // A slice that is sliced again is so by the same rules unless it says otherwise.
                at.element.slicing = slicing;
            }
        }
        Ok(at)
    }

    /// The slice of this name, made if it is new.
    fn slice<'n>(&mut self, of: &'n mut Node, name: &str, element: Option<&Element>) -> Result<&'n mut Node, String> {
        if let Some(place) = of.slices.iter().position(|slice| slice.element.slice_name.as_deref() == Some(name)) {
            return Ok(&mut of.slices[place]);
        }
        if of.element.slicing.is_none() {
            of.element.slicing = match implicit_slicing(&of.name) {
                // The name of a slice is then but a name for the element.
                None if of.element.max == Some(Max::Times(1)) => return Ok(of),
                None => return Err(format!("it is slice '{name}' of an element that is not sliced")),
                slicing => slicing,
            };
        }
        let mut slice = of.unsliced();
        slice.element.slice_name = Some(name.to_owned());
        // Only what the slice itself says is demanded of it.
        slice.element.min = Some(0);
        if element.is_none_or(|element| element.types.is_empty()) {
            let fitting = slice.element.types.iter().find(|one| is_shorthand(of, one, name)).cloned();
            slice.element.types = fitting.map_or(slice.element.types, |one| vec![one]);
        }
        self.grow(slice.count())?;
        of.slices.push(slice);
        of.slices.last_mut().ok_or_else(String::new)
    }

    /// Gives an element the children of its type, of its type's profile, or of the element it refers to.
    fn unfold(&mut self, node: &mut Node) -> Result<(), String> {
        let of = match (&node.element.content_reference, &node.element.types[..]) {
            (Some(reference), _) => {
                let path = reference.split_once('#').map_or(reference.as_str(), |(_, path)| path);
                let tree = Node::tree(&self.base.elements)?;
                let found = tree.find(path).ok_or_else(|| format!("{reference} refers to nothing"))?;
                node.element.types.clone_from(&found.element.types);
                node.element.content_reference = None;
                found.clone()
            }
            (None, []) => return Err(format!("{} has no type to look into", node.label())),
            (None, [one]) if one.profiles.len() == 1 && one.code != "Reference" => {
                Node::tree(&self.library.snapshot(&one.profiles[0])?.elements)?
            }
            (None, [one, others @ ..]) => {
                let code = if others.iter().all(|other| other.code == one.code) { &one.code } else { "Element" };
                Node::tree(&self.library.snapshot(&canonical(code))?.elements)?
            }
        };
        self.grow(of.count())?;
        node.children = of.children;
        Ok(())
    }

    fn grow(&mut self, by: usize) -> Result<(), String> {
        self.count += by;
        if self.count > MAX_ELEMENTS { Err(format!("more than {MAX_ELEMENTS} elements")) } else { Ok(()) }
    }

    /// Merges an element of the differential, and what the profile on its type says of the element itself.
    fn merge(&mut self, node: &mut Node, element: &Element) -> Result<(), String> {
        merge::types(&mut node.element, element)?;
        merge::element(&mut node.element, element, self.url);
        if let [TypeRef { code, profiles, .. }] = &element.types[..]
            && code != "Reference"
            && let [profile] = &profiles[..]
            // Whoever checks the element checks it against the profile too: what is missing here is not lost.
            && let Ok(profile) = self.library.snapshot(profile)
            && let Some(root) = profile.elements.first()
        {
            merge::profile_root(&mut node.element, root);
            // What stood there was the plain type's.
            if node.slices.is_empty() && element.content_reference.is_none() && !node.is_written_out() {
                node.children.clear();
            }
        }
        Ok(())
    }
}

/// The canonical URL of a type.
fn canonical(code: &str) -> String {
    if code.contains(':') { code.to_owned() } else { format!("{R4}{code}") }
}

/// Where a differential speaks of `valueQuantity` and does not slice `value[x]`, the other types are excluded: so HL7's
/// snapshots of R4's own profiles read it.
fn narrow(choice: &mut Node, name: &str) {
    if choice.element.slicing.is_some() && choice.before_shorthand.is_none() {
        return;
    }
    let before = choice.before_shorthand.get_or_insert_with(|| std::mem::take(&mut choice.element.types));
    let chosen = before.iter().filter(|one| is_shorthand_of(&choice.name, one, name)).cloned();
    for one in chosen.collect::<Vec<_>>() {
        if !choice.element.types.contains(&one) {
            choice.element.types.push(one);
        }
    }
    choice.element.slicing = implicit_slicing(&choice.name).map(|slicing| Slicing { rules: Rules::Closed, ..slicing });
}

/// Whether `name` is the choice element's name with this type: `valueQuantity`.
fn is_shorthand(choice: &Node, one: &TypeRef, name: &str) -> bool {
    is_shorthand_of(&choice.name, one, name)
}

fn is_shorthand_of(choice: &str, one: &TypeRef, name: &str) -> bool {
    let stem = choice.strip_suffix("[x]");
    let suffix = stem.and_then(|stem| name.strip_prefix(stem));
    suffix.is_some_and(|suffix| !suffix.is_empty() && capitalised_eq(suffix, &one.code))
}

/// Whether `suffix` is `code` with its first letter in upper case.
fn capitalised_eq(suffix: &str, code: &str) -> bool {
    let (mut suffix, mut code) = (suffix.chars(), code.chars());
    suffix.next() == code.next().map(|first| first.to_ascii_uppercase()) && suffix.as_str() == code.as_str()
}

/// How choice elements and extensions are sliced where nothing says how.
fn implicit_slicing(name: &str) -> Option<Slicing> {
    let (kind, path) = match name {
        "extension" | "modifierExtension" => (DiscriminatorKind::Value, "url"),
        name if name.ends_with("[x]") => (DiscriminatorKind::Type, "$this"),
        _ => return None,
    };
    let discriminators = vec![Discriminator { kind, path: path.to_owned() }];
    Some(Slicing { discriminators, rules: Rules::Open, is_ordered: false })
}
