//! Attributes, names and references, as XML 1.0 has them.

use std::{borrow::Cow, collections::HashSet};

use super::scan::{Broken, Namespace};

/// One attribute of a start tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'t> {
    /// Where its name begins, as a byte of the whole text.
    pub at: usize,
    pub prefix: &'t str,
    /// Without the prefix.
    pub name: &'t str,
    /// As it is written, with references; they are known to be well-formed.
    pub value: &'t str,
    /// The value can be copied into a JSON string as it is.
    pub is_plain: bool,
    /// Resolved by the scanner.
    pub namespace: Namespace,
}

impl Attribute<'_> {
    /// `xmlns="…"` or `xmlns:f="…"`
    pub fn is_declaration(&self) -> bool {
        self.prefix == "xmlns" || (self.prefix.is_empty() && self.name == "xmlns")
    }

    /// The name with its prefix.
    pub fn qualified(&self) -> String {
        if self.prefix.is_empty() { self.name.to_owned() } else { format!("{}:{}", self.prefix, self.name) }
    }
}

/// Appends the attributes written in `text`, which begins after the element's name, at byte `offset` of the whole.
pub(super) fn parse<'t>(text: &'t str, offset: usize, into: &mut Vec<Attribute<'t>>) -> Result<(), Broken> {
    let broken =
        |at: usize, expected: &str| Broken::new(offset + at, format!("not well-formed XML: expected {expected}"));
    let bytes = text.as_bytes();
    let skip_space = |mut at: usize| {
        while bytes.get(at).copied().is_some_and(is_space) {
            at += 1;
        }
        at
    };
    let mut at = 0;
    loop {
        let start = skip_space(at);
        if start == bytes.len() {
            return Ok(());
        }
        if start == at {
            return Err(broken(at, "space before an attribute"));
        }
        let end = bytes[start..].iter().position(|byte| *byte == b'=' || is_space(*byte));
        let end = end.map_or(bytes.len(), |length| start + length);
        let Some((prefix, name)) = split_name(&text[start..end]) else {
            return Err(broken(start, "an attribute's name"));
        };
        let equals = skip_space(end);
        if bytes.get(equals) != Some(&b'=') {
            return Err(broken(equals, "'=' after an attribute's name"));
        }
        let opening = skip_space(equals + 1);
        let Some(quote) = bytes.get(opening).filter(|byte| matches!(byte, b'"' | b'\'')) else {
            return Err(broken(opening, "an attribute's value in quotes"));
        };
        let first = opening + 1;
        let mut is_plain = true;
        let mut last = first;
        loop {
            match bytes.get(last) {
                None => return Err(broken(opening, "a quote at the end of an attribute's value")),
                Some(byte) if byte == quote => break,
                Some(b'<') => return Err(broken(last, "'&lt;' instead of '<' in an attribute's value")),
                Some(byte) => is_plain &= !IS_SPECIAL[usize::from(*byte)],
            }
            last += 1;
        }
        let value = &text[first..last];
        if !is_plain {
            check_references(value, offset + first)?;
        }
        into.push(Attribute { at: offset + start, prefix, name, value, is_plain, namespace: Namespace::None });
        at = last + 1;
    }
}

/// Each attribute stands once; the cost is linear in their number.
pub(super) fn check_unique(attributes: &[Attribute<'_>]) -> Result<(), Broken> {
    const FEW: usize = 16;
    let key = |one: &Attribute<'_>| (one.prefix.len(), one.name.len());
    let same = |a: &Attribute<'_>, b: &Attribute<'_>| key(a) == key(b) && a.prefix == b.prefix && a.name == b.name;
    let twice = if attributes.len() <= FEW {
        let mut numbered = attributes.iter().enumerate();
        numbered.find(|(index, one)| attributes[..*index].iter().any(|other| same(one, other))).map(|(_, one)| one)
    } else {
        let mut seen = HashSet::new();
        attributes.iter().find(|one| !seen.insert((one.prefix, one.name)))
    };
    twice.map_or(Ok(()), |one| {
        Err(Broken::new(one.at, format!("not well-formed XML: the attribute '{}' is repeated", one.qualified())))
    })
}

/// Every `&` begins a reference to a character or to one of XML's own entities.
pub(super) fn check_references(raw: &str, offset: usize) -> Result<(), Broken> {
    let mut at = 0;
    while let Some(found) = raw.as_bytes()[at..].iter().position(|byte| *byte == b'&') {
        at += found;
        let Some((_, length)) = reference(&raw[at..]) else {
            let text = "not well-formed XML: expected '&amp;', '&lt;', '&gt;', '&quot;', '&apos;' or the number of a \
                        character, such as '&#160;'";
            return Err(Broken::new(offset + at, text));
        };
        at += length;
    }
    Ok(())
}

/// The character that a text beginning with `&` refers to, and how many bytes the reference has.
fn reference(text: &str) -> Option<(char, usize)> {
    // The longest are &#x10FFFF; and its like with a few zeros.
    let length = text.bytes().take(16).position(|byte| byte == b';')? + 1;
    let name = &text[1..length - 1];
    let number = |digits: &str, radix: u32| {
        let all_digits = digits.chars().all(|c| c.is_digit(radix));
        let code = all_digits.then(|| u32::from_str_radix(digits, radix).ok()).flatten();
        code.and_then(char::from_u32).filter(|c| is_xml_character(*c))
    };
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(digits), _) => number(digits, 16)?,
            (None, Some(digits)) => number(digits, 10)?,
            (None, None) => return None,
        },
    };
    Some((character, length))
}

/// The bytes that a JSON string does not hold as XML writes them.
const IS_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    while index < b"&\"\\\n\r\t".len() {
        table[b"&\"\\\n\r\t"[index] as usize] = true;
        index += 1;
    }
    table
};

/// Appends what a value means to a JSON string: references resolved, literal line ends and tabs turned to spaces (XML
/// 1.0 section 3.3.3).
pub(super) fn push_as_json(attribute: &Attribute<'_>, out: &mut String) {
    if attribute.is_plain {
        return out.push_str(attribute.value);
    }
    let value = attribute.value;
    let bytes = value.as_bytes();
    let mut run = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if !IS_SPECIAL[usize::from(*byte)] {
            at += 1;
            continue;
        }
        out.push_str(&value[run..at]);
        let length = match byte {
            b'&' => {
                let (character, length) = reference(&value[at..]).unwrap_or(('&', 1));
                push_character(character, out);
                length
            }
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {
                out.push(' ');
                2
            }
            b'\n' | b'\r' | b'\t' => {
                out.push(' ');
                1
            }
            other => {
                push_character(char::from(*other), out);
                1
            }
        };
        at += length;
        run = at;
    }
    out.push_str(&value[run..]);
}

/// Appends `text` as the content of a JSON string.
pub(super) fn push_text_as_json(text: &str, out: &mut String) {
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        if matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t') {
            out.push_str(&text[run..at]);
            push_character(char::from(byte), out);
            run = at + 1;
        }
    }
    out.push_str(&text[run..]);
}

fn push_character(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other => out.push(other),
    }
}

/// What a value means.
pub(super) fn decoded<'t>(attribute: &Attribute<'t>) -> Cow<'t, str> {
    if attribute.is_plain {
        return Cow::Borrowed(attribute.value);
    }
    let mut quoted = String::from("\"");
    push_as_json(attribute, &mut quoted);
    quoted.push('"');
    Cow::Owned(serde_json::from_str(&quoted).unwrap_or_default())
}

/// Prefix (possibly empty) and local part of a name; `None` if it is no name.
pub(super) fn split_name(qualified: &str) -> Option<(&str, &str)> {
    let (prefix, name) = match qualified.split_once(':') {
        Some((prefix, name)) if is_name(prefix) => (prefix, name),
        Some(_) => return None,
        None => ("", qualified),
    };
    is_name(name).then_some((prefix, name))
}

/// XML 1.0 `NCName`.
fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.iter().all(u8::is_ascii_alphanumeric) {
        return true;
    }
    let mut chars = name.chars();
    chars.next().is_some_and(starts_name) && chars.all(continues_name)
}

fn starts_name(c: char) -> bool {
    match c {
        'A'..='Z' | 'a'..='z' | '_' => true,
        '\0'..='\u{7f}' => false,
        _ => matches!(c,
            '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
            | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}'),
    }
}

fn continues_name(c: char) -> bool {
    matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}') || starts_name(c)
}

/// XML 1.0 `Char`.
pub(super) const fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
