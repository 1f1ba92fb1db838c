//! One parsed JSON document over its source text.
//!
//! FHIR's JSON must come back as it went in: decimals keep their digits, big numbers survive. So numbers stay text, a
//! document is never rebuilt from a model, and an edit replaces spans of the source and leaves every other byte alone.
//! Duplicate keys, which FHIR forbids (json.html), and excessive depth are refused while parsing.

use std::{borrow::Cow, collections::HashSet, ops::Range, sync::Arc};

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
        // One value in a dozen bytes or more, as documents go.
        let nodes = Vec::with_capacity(text.len() / 16 + 4);
        let mut parser =
            Parser { text: &text, bytes: text.as_bytes(), at: 0, nodes, keys: Vec::new(), many: Vec::new(), limits };
        if text.len() > u32::MAX as usize {
            return Err(parser.error("a document of less than 4 GiB"));
        }
        parser.space();
        parser.value(0, Key::default())?;
        parser.space();
        if parser.at != parser.bytes.len() {
            return Err(parser.error("nothing after the document's end"));
        }
        let nodes = parser.nodes.into();
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

struct Parser<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    nodes: Vec<Node>,
    /// The names seen in the objects that are open, outermost first.
    keys: Vec<Key>,
    /// For objects with many members: where their names begin in `keys`, and all their names.
    many: Vec<(usize, HashSet<String>)>,
    limits: &'t Limits,
}

#[expect(clippy::cast_possible_truncation, reason = "the length was checked against u32 before parsing")]
impl Parser<'_> {
    fn error(&self, expected: &str) -> SyntaxError {
        let mut at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        SyntaxError {
            message: format!("not valid JSON here, expected {expected}"),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize, key: Key) -> Result<(), SyntaxError> {
        let index = self.nodes.len();
        let start = self.at as u32;
        let (key_start, key_end, key_print) = (key.start, key.end, key.print);
        self.nodes.push(Node { kind: Kind::Null, start, end: start, key_start, key_end, key_print, after: 0 });
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::Bool)?,
            Some(b'f') => self.word("false", Kind::Bool)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.error("a value")),
        };
        let after = self.nodes.len() as u32;
        let node = &mut self.nodes[index];
        (node.kind, node.end, node.after) = (kind, self.at as u32, after);
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, SyntaxError> {
        if depth >= self.limits.depth {
            return Err(self.error(&format!("at most {} levels of objects and arrays", self.limits.depth)));
        }
        Ok(depth + 1)
    }

    fn object(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        let depth = self.deeper(depth)?;
        let first = self.keys.len();
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Object);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a member's name in double quotes"));
            }
            let start = self.at + 1;
            let escaped = self.string()?;
            let key = start..self.at - 1;
            let mine = self.key(&key, escaped);
            if !self.note_key(first, mine) {
                self.at = start;
                return Err(self.error(&format!("each name once: {} is repeated", &self.text[key])));
            }
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.error("':'"));
            }
            self.at += 1;
            self.space();
            self.value(depth, mine)?;
            if self.closes(b'}', "',' or '}'")? {
                self.forget_keys(first);
                return Ok(Kind::Object);
            }
        }
    }

    fn key(&self, span: &Range<usize>, escaped: bool) -> Key {
        let print = if escaped {
            fingerprint(unescape(&self.text[span.clone()]).as_bytes())
        } else {
            fingerprint(&self.bytes[span.clone()])
        };
        Key { print, start: span.start as u32, end: span.end as u32 }
    }

    /// Notes a name of the object whose names begin at `first` in `keys`; whether it is new. A few names are compared one by
    /// one, many are kept in a set, so that a hostile object costs no more than its size.
    fn note_key(&mut self, first: usize, mine: Key) -> bool {
        const FEW: usize = 24;
        let known = &self.keys[first..];
        if known.len() < FEW {
            let is_known = known.iter().any(|one| one.print == mine.print && self.same_name(*one, mine));
            self.keys.push(mine);
            return !is_known;
        }
        if known.len() == FEW {
            let names = known.iter().map(|one| self.name(*one).into_owned());
            self.many.push((first, names.collect()));
            self.keys.push(mine);
        }
        let name = self.name(mine).into_owned();
        self.many.last_mut().is_none_or(|(_, names)| names.insert(name))
    }

    fn forget_keys(&mut self, first: usize) {
        self.keys.truncate(first);
        while self.many.last().is_some_and(|(owner, _)| *owner >= first) {
            self.many.pop();
        }
    }

    fn name(&self, key: Key) -> Cow<'_, str> {
        unescape(&self.text[key.start as usize..key.end as usize])
    }

    fn same_name(&self, one: Key, other: Key) -> bool {
        self.name(one) == self.name(other)
    }

    fn array(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        let depth = self.deeper(depth)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::Array);
        }
        loop {
            self.value(depth, Key::default())?;
            if self.closes(b']', "',' or ']'")? {
                return Ok(Kind::Array);
            }
        }
    }

    /// After a member or item: `true` at the closing bracket, `false` after a comma.
    fn closes(&mut self, bracket: u8, expected: &str) -> Result<bool, SyntaxError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(false)
            }
            Some(b) if b == bracket => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.error(expected)),
        }
    }

    /// Reads a string; whether it has escapes.
    fn string(&mut self) -> Result<bool, SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at.min(self.bytes.len())..];
            self.at += rest.iter().position(|b| PLAIN[*b as usize] == 0).unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => return Err(self.error("control characters in strings to be escaped")),
                None => return Err(self.error("'\"' at the end of a string")),
            }
        }
        self.at += 1;
        // Rare, so the well-tested decoder checks it; U+0000 is in no FHIR string and Postgres cannot keep it.
        if escaped {
            let decoded: Option<String> = self.text.get(start..self.at).and_then(|raw| serde_json::from_str(raw).ok());
            if decoded.is_none_or(|text| text.contains('\0')) {
                self.at = start;
                return Err(self.error("valid escapes, without \\u0000"));
            }
        }
        Ok(escaped)
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Kind, SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, SyntaxError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("a value"));
        }
        self.at += word.len();
        Ok(kind)
    }
}

/// A member's name: where it stands, and a number that tells most names apart.
#[derive(Clone, Copy, Default)]
struct Key {
    print: u32,
    start: u32,
    end: u32,
}

/// A number that is the same for the same bytes.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is mixed in")]
pub fn fingerprint(bytes: &[u8]) -> u32 {
    let mixed =
        bytes.iter().fold(bytes.len() as u64, |mixed, b| (mixed ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3));
    (mixed ^ (mixed >> 32)) as u32
}

/// 1 for the bytes that stand for themselves in a string.
const PLAIN: [u8; 256] = {
    let mut plain = [1; 256];
    let mut b = 0;
    while b < 0x20 {
        plain[b] = 0;
        b += 1;
    }
    plain[b'"' as usize] = 0;
    plain[b'\\' as usize] = 0;
    plain
};

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
