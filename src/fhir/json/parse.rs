//! The parser: one pass over the bytes that leaves a flat list of nodes.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use super::{Kind, Limits, Node, SyntaxError, unescape};

/// Parses a text without a byte order mark.
pub(super) fn nodes(text: &str, limits: &Limits) -> Result<Vec<Node>, SyntaxError> {
    // One value in a dozen bytes or more, as documents go.
    let nodes = Vec::with_capacity(text.len() / 16 + 4);
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, nodes, keys: Vec::new(), many: Vec::new(), limits };
    if text.len() > u32::MAX as usize {
        return Err(parser.error("a document of less than 4 GiB"));
    }
    parser.space();
    parser.value(0, Key::default())?;
    parser.space();
    if parser.at != parser.bytes.len() {
        return Err(parser.error("nothing after the document's end"));
    }
    Ok(parser.nodes)
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
