//! JSON to XML: the elements of a [`Tree`] in R4's order.

use super::{FHIR, attribute::is_xml_character, xhtml};
use crate::fhir::{
    definition::types::{Field, Kind, Primitive},
    json,
    tree::{Fault, Node, Tree},
};

/// Why a document has no XML form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} cannot be written in XML: {reason}")]
pub struct NotXml {
    /// FHIRPath from the document's root.
    pub path: String,
    pub reason: String,
}

/// The XML document of a resource, without XML declaration and indentation. A tree with faults has no XML form; nor have
/// strings with characters that XML does not know, and narrative that is not well-formed.
pub fn write(tree: &Tree<'_>) -> Result<String, NotXml> {
    if let Some(found) = tree.faults().first() {
        return Err(NotXml { path: tree.path_to(found.node, &found.member), reason: said(&found.fault).to_owned() });
    }
    let mut writing = Writing { tree, out: String::with_capacity(tree.doc().text().len() * 3 / 2), order: Vec::new() };
    writing.resource(tree.root(), &format!(" xmlns=\"{FHIR}\""))?;
    Ok(writing.out)
}

fn said(fault: &Fault) -> &'static str {
    match fault {
        Fault::UnknownElement { .. } => "its type has no such element",
        Fault::ExpectedArray | Fault::UnexpectedArray | Fault::NestedArray => {
            "it repeats where R4 does not, or not where it does"
        }
        Fault::ExpectedObject | Fault::UnexpectedObject => {
            "it is an object where R4 has a value, or a value where it has an object"
        }
        Fault::Empty | Fault::Null => "it has no content",
        Fault::UnexpectedShadow { .. } => "it is no primitive",
        Fault::ChoiceTwice { .. } => "there is another of its types",
        Fault::NoResourceType | Fault::UnknownResource { .. } => "it is no resource of R4",
    }
}

struct Writing<'a, 'd> {
    tree: &'a Tree<'d>,
    out: String,
    /// Children of the elements being written, in R4's order.
    order: Vec<Node>,
}

impl Writing<'_, '_> {
    fn resource(&mut self, node: Node, attributes: &str) -> Result<(), NotXml> {
        let Some(ty) = self.tree.kind(node) else { return Err(self.not(node, "its type is unknown")) };
        self.out.push('<');
        self.out.push_str(&ty.name);
        self.out.push_str(attributes);
        self.content(node, &ty.name)
    }

    fn element(&mut self, node: Node, field: &Field) -> Result<(), NotXml> {
        let types = self.tree.types();
        self.out.push('<');
        match types.ty(field.ty).kind {
            Kind::Resource => {
                self.out.push_str(&field.name);
                self.out.push('>');
                self.resource(node, "")?;
                self.end(&field.name);
                Ok(())
            }
            Kind::Primitive(Primitive::Xhtml) => {
                self.out.pop();
                self.narrative(node)
            }
            Kind::Primitive(_) | Kind::Complex => {
                self.out.push_str(&field.name);
                self.content(node, &field.name)
            }
        }
    }

    /// The attributes and children of the element whose name was just written, and its end.
    fn content(&mut self, node: Node, name: &str) -> Result<(), NotXml> {
        let tree = self.tree;
        let first = self.order.len();
        self.order.extend(tree.children(node));
        let children = &mut self.order[first..];
        if !children.is_sorted_by_key(|child| tree.field_id(*child)) {
            children.sort_by_key(|child| tree.field_id(*child));
        }
        let last = self.order.len();
        let mut elements = 0;
        for index in first..last {
            let child = self.order[index];
            match tree.field(child) {
                Some(field) if field.is_xml_attribute => self.attribute(child, &field.name)?,
                _ => elements += 1,
            }
        }
        let is_primitive = tree.ty(node).is_some_and(|ty| tree.types().primitive(ty).is_some());
        if is_primitive && tree.value(node).is_some() {
            self.value(node, "value")?;
        }
        if elements == 0 {
            self.out.push_str("/>");
        } else {
            self.out.push('>');
            for index in first..last {
                let child = self.order[index];
                if let Some(field) = tree.field(child).filter(|field| !field.is_xml_attribute) {
                    self.element(child, field)?;
                }
            }
            self.end(name);
        }
        self.order.truncate(first);
        Ok(())
    }

    /// `id` or `url`
    fn attribute(&mut self, node: Node, name: &str) -> Result<(), NotXml> {
        if self.tree.shadow(node).is_some() {
            return Err(self.not(node, "an attribute has no id and no extensions"));
        }
        self.value(node, name)
    }

    /// ` name="value"`
    fn value(&mut self, node: Node, name: &str) -> Result<(), NotXml> {
        let Some(value) = self.tree.value(node) else { return Err(self.not(node, "it has no value")) };
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        match value.as_str() {
            Some(text) if text.is_empty() => return Err(self.not(node, "its value is empty")),
            Some(text) => {
                if let Err(character) = push_escaped(&text, &mut self.out) {
                    let reason = format!("XML has no character U+{:04X}", u32::from(character));
                    return Err(self.not(node, &reason));
                }
            }
            None if matches!(value.kind(), json::Kind::Number | json::Kind::Bool) => self.out.push_str(value.raw()),
            None => return Err(self.not(node, "its value is no string, number or boolean")),
        }
        self.out.push('"');
        Ok(())
    }

    fn narrative(&mut self, node: Node) -> Result<(), NotXml> {
        let text = self.tree.value(node).and_then(json::Ref::as_str);
        let Some(text) = text.filter(|_| self.tree.shadow(node).is_none()) else {
            return Err(self.not(node, "XHTML is a string, and has no extensions"));
        };
        match xhtml::checked(&text) {
            Ok(text) => self.out.push_str(&text),
            Err(reason) => return Err(self.not(node, &reason)),
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn not(&self, node: Node, reason: &str) -> NotXml {
        NotXml { path: self.tree.path(node), reason: reason.to_owned() }
    }
}

/// Appends `text` as an attribute's value. Line ends and tabs become references, for a literal one is read as a space.
fn push_escaped(text: &str, out: &mut String) -> Result<(), char> {
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'"' => "&quot;",
            b'\n' => "&#10;",
            b'\r' => "&#13;",
            b'\t' => "&#9;",
            // The last begins U+FFFE and U+FFFF, and many that are allowed.
            0..0x20 | 0xef => match text[at..].chars().next() {
                Some(character) if !is_xml_character(character) => return Err(character),
                _ => continue,
            },
            _ => continue,
        };
        out.push_str(&text[run..at]);
        out.push_str(escape);
        run = at + 1;
    }
    out.push_str(&text[run..]);
    Ok(())
}
