//! One parsed JSON document over its source text.
//!
//! FHIR's JSON must come back as it went in: decimals keep their digits, big numbers survive. So numbers stay text, a
//! document is never rebuilt from a model, and an edit replaces spans of the source and leaves every other byte alone.
//! Duplicate keys, which FHIR forbids (json.html), and excessive depth are refused while parsing.

mod parse;
mod pretty;

use std::{borrow::Cow, ops::Range, sync::Arc};

pub use parse::fingerprint;
pub use pretty::pretty;

/// What a document may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Objects and arrays inside one another.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64 }
    }
}

/// Where and why a text is not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// What was expected.
    pub message: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// The six JSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// The value's bytes in the source, quotes and brackets included.
    start: u32,
    end: u32,
    /// The member's name without its quotes; empty for array items and the root.
    key_start: u32,
    key_end: u32,
    /// [`fingerprint`] of the member's name.
    key_print: u32,
    /// Index of the node after this subtree: the next sibling, if the parent has one.
    after: u32,
}

/// An immutable parsed document. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Doc {
    text: Arc<str>,
    nodes: Arc<[Node]>,
}

impl Doc {
    /// Parses a JSON text (RFC 8259). A leading byte order mark is ignored.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, SyntaxError> {
        let text: Arc<str> = Arc::from(text.strip_prefix('\u{feff}').unwrap_or(text));
        let nodes = parse::nodes(&text, limits)?.into();
        Ok(Self { text, nodes })
    }

    /// The source text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outermost value.
    pub fn root(&self) -> Ref<'_> {
        Ref { doc: self, index: 0 }
    }

    /// How many values it has, itself included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing; a document always has its outermost value.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The value with this index ([`Ref::index`]).
    pub fn at(&self, index: u32) -> Ref<'_> {
        Ref { doc: self, index }
    }

    /// The source with `edits` made. They must not overlap.
    pub fn edited(&self, mut edits: Vec<Edit>) -> String {
        edits.sort_by_key(|edit| edit.span.start);
        let mut out = String::with_capacity(self.text.len() + edits.len() * 32);
        let mut at = 0;
        for edit in edits {
            out.push_str(&self.text[at..edit.span.start.max(at)]);
            out.push_str(&edit.replacement);
            at = edit.span.end.max(at);
        }
        out.push_str(&self.text[at..]);
        out
    }
}

/// The replacement of one span of a document's source by JSON text.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Bytes of the source.
    pub span: Range<usize>,
    /// JSON text.
    pub replacement: String,
}

/// One value inside a [`Doc`].
#[derive(Clone, Copy)]
pub struct Ref<'d> {
    doc: &'d Doc,
    index: u32,
}

impl<'d> Ref<'d> {
    fn node(self) -> Node {
        self.doc.nodes[self.index as usize]
    }

    /// The value's number in the document, from 0 at the root, in source order.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The JSON type.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The value's bytes in the source.
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// The value as it stands in the source.
    pub fn raw(self) -> &'d str {
        &self.doc.text[self.span()]
    }

    /// The members of an object, in source order; nothing for other kinds.
    pub fn members(self) -> impl Iterator<Item = (Cow<'d, str>, Ref<'d>)> {
        self.values().map(|child| (child.key(), child))
    }

    /// The values of an object's members, in source order; nothing for other kinds.
    pub fn values(self) -> impl Iterator<Item = Ref<'d>> {
        self.children(Kind::Object)
    }

    /// The name of the member that this value is; empty for array items and the root.
    pub fn key(self) -> Cow<'d, str> {
        let node = self.node();
        unescape(&self.doc.text[node.key_start as usize..node.key_end as usize])
    }

    /// The [`fingerprint`] of [`Ref::key`].
    pub fn key_print(self) -> u32 {
        self.node().key_print
    }

    /// The items of an array; nothing for other kinds.
    pub fn items(self) -> impl Iterator<Item = Ref<'d>> {
        self.children(Kind::Array)
    }

    fn children(self, of: Kind) -> impl Iterator<Item = Ref<'d>> {
        let node = self.node();
        let mut index = self.index + 1;
        let end = if node.kind == of { node.after } else { index };
        std::iter::from_fn(move || {
            (index < end).then(|| {
                let child = Ref { doc: self.doc, index };
                index = child.node().after;
                child
            })
        })
    }

    /// The member `name` of an object.
    pub fn get(self, name: &str) -> Option<Ref<'d>> {
        let print = fingerprint(name.as_bytes());
        self.values().find(|value| value.key_print() == print && value.key() == name)
    }

    /// A string's content.
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        (self.kind() == Kind::String).then(|| {
            let raw = self.raw();
            unescape(&raw[1..raw.len() - 1])
        })
    }

    /// The content of the string member `name`.
    pub fn str(self, name: &str) -> Option<Cow<'d, str>> {
        self.get(name).and_then(Ref::as_str)
    }

    /// A boolean.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// The values at a dotted path, arrays flattened: `name.given` of a Patient.
    pub fn at(self, path: &str) -> Vec<Ref<'d>> {
        let mut found = vec![self];
        for name in path.split('.') {
            found = found.into_iter().filter_map(|value| value.get(name)).flat_map(Ref::flat).collect();
        }
        found
    }

    fn flat(self) -> Vec<Ref<'d>> {
        if self.kind() == Kind::Array { self.items().collect() } else { vec![self] }
    }
}

fn unescape(inner: &str) -> Cow<'_, str> {
    if inner.contains('\\') {
        // Checked while parsing: an escaped string of this document always decodes.
        Cow::Owned(serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_default())
    } else {
        Cow::Borrowed(inner)
    }
}

/// `text` as a JSON string, quotes included.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Doc, SyntaxError> {
        Doc::parse(text, &Limits::default())
    }

    #[test]
    fn numbers_stay_text() {
        let doc = parse(r#"{"a":[1.0,1.50,-0.0,1E5,123456789012345678901234567890]}"#).unwrap();
        let raw: Vec<_> = doc.root().get("a").unwrap().items().map(Ref::raw).collect();
        assert_eq!(raw, ["1.0", "1.50", "-0.0", "1E5", "123456789012345678901234567890"]);
    }

    #[test]
    fn faults_are_refused_with_their_place() {
        for (text, line, column) in [
            ("", 1, 1),
            ("{\"a\":1,\n \"a\":2}", 2, 3),
            ("[1,]", 1, 4),
            ("[01]", 1, 3),
            ("{\"a\" 1}", 1, 6),
            ("[\"\\u0000\"]", 1, 2),
            ("[\"\\ud800\"]", 1, 2),
            ("[\"a\nb\"]", 1, 4),
            ("1 2", 1, 3),
            ("[1.]", 1, 4),
            ("nul", 1, 1),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        }
    }

    #[test]
    fn escaped_duplicates_are_duplicates() {
        assert!(parse(r#"{"a":1,"\u0061":2}"#).is_err());
        let many: String = (0..100).map(|i| format!("\"k{i}\":1,")).collect();
        assert!(parse(&format!("{{{many}\"k50\":1}}")).is_err());
        assert!(parse(&format!("{{{many}\"k100\":1}}")).is_ok());
        // Sets belong to their object: the next one, and the one around it, begin anew.
        let object = format!("{{{many}\"k100\":1}}");
        assert!(parse(&format!("[{object},{object}]")).is_ok());
        assert!(parse(&format!("{{{many}\"k100\":{object},\"k101\":1}}")).is_ok());
        assert!(parse(&format!("{{{many}\"k100\":{object},\"k7\":1}}")).is_err());
    }

    #[test]
    fn depth_is_limited() {
        assert!(parse(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert!(parse(&format!("{}{}", "[".repeat(65), "]".repeat(65))).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn paths_flatten_arrays() {
        let doc = parse(r#"{"name":[{"given":["A","B"]},{"given":["C"]}]}"#).unwrap();
        let given: Vec<_> = doc.root().at("name.given").into_iter().filter_map(Ref::as_str).collect();
        assert_eq!(given, ["A", "B", "C"]);
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}:,"\\ a0-9.eE+tn-]{0,24}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            if let Ok(ours) = parse(&text) {
                // Out-of-range numbers are the one thing that this parser accepts and serde_json does not.
                prop_assert!(theirs || text.contains(['e', 'E']), "{text}");
                prop_assert_eq!(ours.root().raw(), text.trim_matches([' ', '\t', '\n', '\r']));
            } else if theirs {
                prop_assert!(text.contains('"'), "refused {text}");
            }
        }
    }
}
