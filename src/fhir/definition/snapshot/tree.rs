//! A snapshot as a tree: children under their parents, slices beside what they are slices of.

use crate::fhir::definition::structure::{Element, TypeRef};

/// One element with what is below it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The last part of its path: `value[x]`.
    pub name: Box<str>,
    pub element: Element,
    pub children: Vec<Node>,
    pub slices: Vec<Node>,
    /// The types of a choice before a path such as `valueQuantity` narrowed it.
    pub before_shorthand: Option<Vec<TypeRef>>,
}

/// One part of an element's id: `identifier:jhn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub name: Box<str>,
    /// With reslices: `jhn/new`.
    pub slice: Option<Box<str>>,
}

impl Segment {
    fn new(name: &str, slice: Option<&str>) -> Self {
        Self { name: name.into(), slice: slice.map(Into::into) }
    }
}

/// Where an element stands. Its id tells; where that is absent or does not fit, its path and slice name do, with the slices
/// of the element `before` it.
pub(super) fn segments(element: &Element, before: &[Segment]) -> Vec<Segment> {
    let path: Vec<&str> = element.path.split('.').collect();
    let of_id: Vec<Segment> = element
        .id
        .split('.')
        .map(|part| part.split_once(':').map_or((part, None), |(name, slice)| (name, Some(slice))))
        .map(|(name, slice)| Segment::new(name, slice))
        .collect();
    let fits = |(segment, part): (&Segment, &&str)| {
        *segment.name == **part || segment.name.strip_suffix("[x]").is_some_and(|stem| part.starts_with(stem))
    };
    let is_sliced = element.slice_name.is_none() || of_id.last().is_some_and(|last| last.slice.is_some());
    if is_sliced && of_id.len() == path.len() && of_id.iter().zip(&path).skip(1).all(fits) {
        return of_id;
    }
    let mut is_same = true;
    let mut segments: Vec<Segment> = Vec::with_capacity(path.len());
    for (level, name) in path.iter().enumerate() {
        let known = before.get(level).filter(|known| is_same && *known.name == **name);
        is_same = known.is_some();
        let slice = if level + 1 == path.len() { None } else { known.and_then(|known| known.slice.as_deref()) };
        segments.push(Segment::new(name, slice));
    }
    if let (Some(last), Some(slice)) = (segments.last_mut(), &element.slice_name) {
        last.slice = Some(slice.as_str().into());
    }
    segments
}

impl Node {
    fn new(name: &str, element: &Element) -> Self {
        Self {
            name: name.into(),
            element: element.clone(),
            children: Vec::new(),
            slices: Vec::new(),
            before_shorthand: None,
        }
    }

    /// The tree of a snapshot. The error names what stands nowhere.
    pub fn tree(elements: &[Element]) -> Result<Self, String> {
        let (first, rest) = elements.split_first().ok_or("a snapshot has no elements")?;
        let mut root = Self::new(&first.path, first);
        let mut before = Vec::new();
        for element in rest {
            let segments = segments(element, &before);
            root.insert(&segments, element).ok_or_else(|| format!("{} stands nowhere", element.id))?;
            before = segments;
        }
        Ok(root)
    }

    fn insert(&mut self, segments: &[Segment], element: &Element) -> Option<()> {
        let (last, above) = segments.split_last()?;
        let mut parent = self;
        for segment in above.iter().skip(1) {
            parent = parent.child(segment)?;
        }
        let node = Self::new(&last.name, element);
        let Some(slice) = &last.slice else {
            parent.children.push(node);
            return Some(());
        };
        let whole = slice.rsplit_once('/').map(|(whole, _)| whole.into());
        parent.child(&Segment { name: last.name.clone(), slice: whole })?.slices.push(node);
        Some(())
    }

    /// The last child, and slice of it, that a segment names: a snapshot's elements stand in order.
    fn child(&mut self, segment: &Segment) -> Option<&mut Self> {
        let mut at = self.children.iter_mut().rfind(|child| child.name == segment.name)?;
        let Some(slice) = &segment.slice else { return Some(at) };
        for (end, _) in slice.match_indices('/').chain([(slice.len(), "")]) {
            at = at.slices.iter_mut().find(|one| one.element.slice_name.as_deref() == Some(&slice[..end]))?;
        }
        Some(at)
    }

    /// The element with this path, outside slices.
    pub fn find(&self, path: &str) -> Option<&Self> {
        let mut at = self;
        for name in path.split('.').skip(1) {
            at = at.children.iter().find(|child| *child.name == *name)?;
        }
        Some(at)
    }

    /// A copy without its slices.
    pub fn unsliced(&self) -> Self {
        let element = Element { slicing: None, ..self.element.clone() };
        Self { children: self.children.clone(), ..Self::new(&self.name, &element) }
    }

    /// The types that a path may name it with.
    pub fn choices(&self) -> &[TypeRef] {
        self.before_shorthand.as_ref().unwrap_or(&self.element.types)
    }

    /// Whether its children are its own rather than those of its type.
    pub fn is_written_out(&self) -> bool {
        self.element.types.iter().any(|one| matches!(one.code.as_str(), "BackboneElement" | "Element"))
    }

    /// How many elements it is.
    pub fn count(&self) -> usize {
        1 + self.children.iter().chain(&self.slices).map(Self::count).sum::<usize>()
    }

    /// What to call it in a message.
    pub fn label(&self) -> &str {
        &self.element.id
    }

    /// Writes it as a snapshot does: itself, its children, its slices; paths and ids follow from where it stands.
    pub fn flatten(self, path: &str, id: &str, into: &mut Vec<Element>) {
        let dot = if path.is_empty() { "" } else { "." };
        let own_path = format!("{path}{dot}{}", self.name);
        let slice = self.element.slice_name.as_ref().filter(|_| !path.is_empty());
        let own_id = match slice {
            Some(slice) => format!("{id}{dot}{}:{slice}", self.name),
            None => format!("{id}{dot}{}", self.name),
        };
        into.push(Element { path: own_path.clone(), id: own_id.clone(), ..self.element });
        for child in self.children {
            child.flatten(&own_path, &own_id, into);
        }
        for slice in self.slices {
            slice.flatten(path, id, into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &str, path: &str, slice: Option<&str>) -> Element {
        Element { id: id.into(), path: path.into(), slice_name: slice.map(Into::into), ..Element::default() }
    }

    #[test]
    fn an_element_without_a_fitting_id_stands_by_its_path_after_the_one_before() {
        let first = segments(&element("Patient.identifier:a", "Patient.identifier", Some("a")), &[]);
        assert_eq!(first[1], Segment::new("identifier", Some("a")));
        let child = segments(&element("Patient.identifier.system", "Patient.identifier.system", None), &first);
        assert_eq!(child[1], Segment::new("identifier", None), "an id that fits is believed");
        let child = segments(&element("x7", "Patient.identifier.system", None), &first);
        assert_eq!(child[1], Segment::new("identifier", Some("a")));
        let next = segments(&element("x8", "Patient.identifier", Some("b")), &child);
        assert_eq!(next[1], Segment::new("identifier", Some("b")));
        let other = segments(&element("x9", "Patient.contact.name", None), &next);
        assert_eq!(other[2], Segment::new("name", None));
    }

    #[test]
    fn a_tree_writes_itself_as_it_was() {
        let elements = [
            element("Patient", "Patient", None),
            element("Patient.identifier", "Patient.identifier", None),
            element("Patient.identifier.system", "Patient.identifier.system", None),
            element("Patient.identifier:a", "Patient.identifier", Some("a")),
            element("Patient.identifier:a.system", "Patient.identifier.system", None),
            element("Patient.identifier:a/b", "Patient.identifier", Some("a/b")),
            element("Patient.deceased[x]", "Patient.deceased[x]", None),
            element("Patient.deceased[x]:deceasedBoolean", "Patient.deceased[x]", Some("deceasedBoolean")),
        ];
        let mut written = Vec::new();
        Node::tree(&elements).unwrap().flatten("", "", &mut written);
        assert_eq!(written, elements);
        assert!(Node::tree(&[elements[0].clone(), elements[4].clone()]).is_err());
    }
}
