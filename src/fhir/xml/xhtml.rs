//! The `div` of a narrative. JSON has its XML as one string, so it is copied byte for byte, as long as it can stand alone.

use std::borrow::Cow;

use quick_xml::events::Event;

use super::{
    XHTML,
    scan::{Broken, Namespace, Scanner, Tag, Token},
};

/// A `div` that was read.
pub(super) struct Div<'t> {
    /// Without prefixes and without namespaces from outside.
    pub text: Cow<'t, str>,
    /// What is not XHTML in it: where, and what was found.
    pub foreign: Option<(usize, String)>,
}

/// Reads the rest of the element that `tag`, the last token, opened. Its namespace is XHTML's.
pub(super) fn read<'t>(scan: &mut Scanner<'t>, tag: &Tag<'t>) -> Result<Div<'t>, Broken> {
    let home = scan.depth() + usize::from(tag.is_empty);
    let mut seen = Seen { home, ..Seen::default() };
    seen.tag(scan, tag);
    while !tag.is_empty && scan.depth() >= home {
        match scan.next()? {
            Token::Open(inner) => seen.tag(scan, &inner),
            Token::CData => seen.needs_rewriting = true,
            Token::Instruction => seen.foreign(scan.at(), "a processing instruction".to_owned()),
            _ => {}
        }
    }
    let source = scan.slice(tag.at, scan.end());
    let text = if seen.needs_rewriting && seen.foreign.is_none() {
        Cow::Owned(rewritten(source, tag.at)?)
    } else {
        Cow::Borrowed(source)
    };
    Ok(Div { text, foreign: seen.foreign })
}

#[derive(Default)]
struct Seen {
    /// The depth of the `div`.
    home: usize,
    needs_rewriting: bool,
    foreign: Option<(usize, String)>,
}

impl Seen {
    fn tag(&mut self, scan: &Scanner<'_>, tag: &Tag<'_>) {
        // With a prefix it is no HTML; a namespace declared outside is lost on the way.
        self.needs_rewriting |= !tag.prefix.is_empty() || tag.bound_at < self.home;
        if tag.namespace != Namespace::Xhtml {
            self.foreign(tag.at, format!("the element '{}' of another namespace", tag.name));
        }
        let mut attributes = scan.attributes().iter();
        if let Some(one) = attributes.find(|one| !matches!(one.namespace, Namespace::None | Namespace::Xml)) {
            self.foreign(one.at, format!("the attribute '{}' of another namespace", one.qualified()));
        }
    }

    fn foreign(&mut self, at: usize, what: String) {
        self.foreign.get_or_insert((at, what));
    }
}

/// The same XHTML with its namespace declared at the `div`, without prefixes and CDATA sections. All its elements are
/// XHTML's, so their names say enough.
fn rewritten(source: &str, offset: usize) -> Result<String, Broken> {
    let mut out = String::with_capacity(source.len() + 64);
    let mut rest = source;
    let mut is_root = true;
    let mut reader = quick_xml::Reader::from_str(source);
    let mut at = 0;
    loop {
        let event = reader.read_event().map_err(|error| Broken::new(offset + at, error.to_string()))?;
        let end = usize::try_from(reader.buffer_position()).unwrap_or(source.len());
        let (raw, after) = rest.split_at(end - at);
        (rest, at) = (after, end);
        match event {
            Event::Start(_) | Event::Empty(_) => {
                let is_empty = raw.ends_with("/>");
                let inner = raw[1..raw.len() - 1].trim_end_matches('/');
                let name_length = inner.bytes().position(super::attribute::is_space).unwrap_or(inner.len());
                let (name, attributes) = inner.split_at(name_length);
                out.push('<');
                out.push_str(local(name));
                if is_root {
                    out.push_str(&format!(" xmlns=\"{XHTML}\""));
                    is_root = false;
                }
                let mut list = Vec::new();
                super::attribute::parse(attributes, offset, &mut list)?;
                for one in list.iter().filter(|one| !one.is_declaration()) {
                    let quote = if one.value.contains('"') { '\'' } else { '"' };
                    out.push_str(&format!(" {}={quote}{}{quote}", one.qualified(), one.value));
                }
                out.push_str(if is_empty { "/>" } else { ">" });
            }
            Event::End(tag) => {
                out.push_str("</");
                out.push_str(local(tag.name().as_ref()));
                out.push('>');
            }
            Event::CData(text) => out.push_str(&quick_xml::escape::partial_escape(&*text)),
            Event::Eof => return Ok(out),
            _ => out.push_str(raw),
        }
    }
}

fn local(qualified: &str) -> &str {
    qualified.split_once(':').map_or(qualified, |(_, name)| name)
}

/// A JSON document's `div`, fit for an XML document: well-formed, one element, of the XHTML namespace, which is added
/// where the document forgot it.
pub(super) fn checked(text: &str) -> Result<Cow<'_, str>, String> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let mut scan = Scanner::new(text).map_err(|broken| broken.text)?;
    let broken = |broken: Broken| broken.text;
    let Token::Open(tag) = scan.next().map_err(broken)? else { return Err("expected a div element".to_owned()) };
    let is_bare = tag.namespace == Namespace::None && tag.bound_at == 0;
    if tag.at != 0 || tag.name != "div" || !(is_bare || tag.namespace == Namespace::Xhtml) {
        return Err(format!("expected a div element of the namespace {XHTML}"));
    }
    scan.skip(&tag).map_err(broken)?;
    if !matches!(scan.next().map_err(broken)?, Token::End) {
        return Err("expected nothing after the div element".to_owned());
    }
    if !is_bare {
        return Ok(Cow::Borrowed(text));
    }
    let (start, rest) = text.split_at("<div".len());
    Ok(Cow::Owned(format!("{start} xmlns=\"{XHTML}\"{rest}")))
}
