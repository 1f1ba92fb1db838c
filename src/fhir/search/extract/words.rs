//! The words of a resource, for `_text` and `_content` (FHIR R4 search.html#content).

use super::Finder;
use crate::fhir::{
    search::fold::{cut_bytes, fold, fold_onto},
    tree::{Children, Node},
};

/// Bytes of text for either. A `tsvector` holds a megabyte, and takes no more than four bytes for one of these.
const MOST_TEXT: usize = 256 * 1024;

impl Finder<'_, '_> {
    /// Fills [`Rows::narrative`](crate::fhir::search::Rows) and `content`: folded words, of 256 KiB at most.
    pub(super) fn words(&mut self) {
        let root = self.tree.root();
        let div = self.tree.child(root, "text").and_then(|text| self.tree.str(text, "div")).unwrap_or_default();
        let narrative = fold(cut_bytes(&without_markup(&div), MOST_TEXT));
        let mut content = cut_bytes(&narrative, MOST_TEXT).to_owned();
        self.rows.narrative = content.clone();
        let types = self.tree.types();
        let texts = ["string", "markdown"].map(|name| types.named(name));
        let mut open: Vec<Children<'_>> = vec![self.tree.children(root)];
        while let Some(children) = open.last_mut() {
            let Some(node) = children.next() else {
                open.pop();
                continue;
            };
            let ty = self.tree.ty(node);
            if ty.is_some() && texts.contains(&ty) {
                self.add(&mut content, node);
            } else {
                open.push(self.tree.children(node));
            }
            if content.len() >= MOST_TEXT {
                break;
            }
        }
        self.rows.content = content;
    }

    fn add(&self, content: &mut String, node: Node) {
        if let Some(text) = self.tree.value(node).and_then(crate::fhir::json::Ref::as_str) {
            fold_onto(content, &text, MOST_TEXT);
        }
    }
}

/// The text of a narrative: its tags become spaces, references to characters the characters.
fn without_markup(div: &str) -> String {
    let mut text = String::with_capacity(div.len());
    let mut rest = div;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('<') {
            text.push(' ');
            rest = after_tag(rest);
        } else {
            let (char, after) = character(rest);
            text.push(char);
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

/// What follows a tag, comment or CDATA mark. Nothing, where it has no end.
fn after_tag(text: &str) -> &str {
    let after = |mark: &str| text.find(mark).map_or("", |at| &text[at + mark.len()..]);
    if text.starts_with("<!--") {
        return after("-->");
    }
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return &text[at + 1..],
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    ""
}

/// The character that a reference at the start of `text` stands for, and what follows. Others are an ampersand.
fn character(text: &str) -> (char, &str) {
    let reference = text.as_bytes().iter().take(12).position(|byte| *byte == b';').map(|end| (&text[1..end], end + 1));
    let number = |digits: &str| match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    let found = reference.and_then(|(name, end)| {
        let char = match name {
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "amp" => '&',
            name => number(name.strip_prefix('#')?).and_then(char::from_u32)?,
        };
        Some((char, &text[end..]))
    });
    found.unwrap_or(('&', &text[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrative_is_its_text() {
        for (div, words) in [
            ("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>A<b>b</b> c</p></div>", "a b c"),
            ("<p title=\"a > b\">x</p>", "x"),
            ("<!-- <b>not</b> --><p>x</p>", "x"),
            ("caf&#233; caf&#xE9;s", "cafe cafes"),
            ("a &lt;b&gt; &amp;lt; c&#160;d", "a <b> &lt; c d"),
            ("a & b &nothing; &#xZ; &#1114112;", "a & b &nothing; &#xz; &#1114112;"),
            ("a &", "a &"),
            ("a <b", "a"),
            ("<!-- x", ""),
            ("&é;", "&e;"),
        ] {
            assert_eq!(fold(&without_markup(div)), words, "{div}");
        }
    }
}
