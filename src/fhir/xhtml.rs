//! Narrative (R4 narrative.html#xhtml, invariants txt-1 and txt-2): one well-formed XHTML `div` of plain formatting.
//! Scripts, forms, frames, style sheets and event attributes are refused; so are HTML's named entities, which XML does
//! not have.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// Elements inside one another.
const MAX_DEPTH: usize = 256;

const ELEMENTS: [&str; 55] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
];

const ATTRIBUTES: [&str; 34] = [
    "abbr",
    "accesskey",
    "align",
    "alt",
    "axis",
    "border",
    "bgcolor",
    "cellpadding",
    "cellspacing",
    "char",
    "charoff",
    "class",
    "colspan",
    "dir",
    "frame",
    "headers",
    "height",
    "id",
    "idref",
    "lang",
    "nowrap",
    "rowspan",
    "rules",
    "scope",
    "space",
    "span",
    "start",
    "style",
    "summary",
    "tabindex",
    "title",
    "type",
    "valign",
    "width",
];

const LINKS: [(&str, &[&str]); 6] = [
    ("a", &["href", "name", "charset", "hreflang", "rel", "rev", "shape", "coords", "target"]),
    ("img", &["src", "longdesc", "usemap", "ismap"]),
    ("map", &["name"]),
    ("area", &["shape", "coords", "href", "nohref"]),
    ("blockquote", &["cite"]),
    ("q", &["cite"]),
];

/// What is wrong with a narrative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// txt-1: what was found and what was expected.
    Content(String),
    /// txt-2: nothing to read.
    Empty,
}

/// Checks a `div`.
pub fn check(div: &str) -> Result<(), Wrong> {
    let mut reader = Reader::from_str(div);
    let config = reader.config_mut();
    config.allow_unmatched_ends = false;
    let content = |text: String| Err(Wrong::Content(text));
    let (mut depth, mut is_done, mut has_content) = (0_usize, false, false);
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return content(format!("not well-formed at character {}: {error}", reader.error_position())),
        };
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                if is_done {
                    return content("expected nothing after the div".to_owned());
                }
                has_content |= element(start, depth)?;
                let opens = matches!(event, Event::Start(_));
                depth += usize::from(opens);
                is_done = depth == 0;
                if depth > MAX_DEPTH {
                    return content(format!("expected at most {MAX_DEPTH} elements inside one another"));
                }
            }
            Event::End(_) => {
                depth -= 1;
                is_done = depth == 0;
            }
            Event::Text(text) => {
                let is_blank = text.chars().all(char::is_whitespace);
                if depth == 0 && !is_blank {
                    return content("expected a div, not text".to_owned());
                }
                has_content |= !is_blank;
            }
            Event::GeneralRef(_) | Event::CData(_) if depth == 0 => {
                return content("expected a div, not text".to_owned());
            }
            Event::GeneralRef(reference) => {
                let known = matches!(&*reference, "lt" | "gt" | "amp" | "quot" | "apos");
                if !known && reference.resolve_char_ref().ok().flatten().is_none() {
                    return content(format!("&{};: XML has no such entity; write the character itself", &*reference));
                }
                has_content = true;
            }
            // An HTML reader ends a comment, and what it takes CDATA for, earlier than an XML reader does: what is
            // text here would be markup there.
            Event::CData(text) if text.contains(['<', '>']) => {
                return content("expected no markup in a CDATA section".to_owned());
            }
            Event::CData(_) => has_content = true,
            Event::Comment(text) if text.starts_with('>') || text.starts_with("->") || text.contains("--!>") => {
                return content("expected comments that end in --> only".to_owned());
            }
            Event::Comment(_) => {}
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) => {
                return content("expected no document type and no processing instructions".to_owned());
            }
            Event::Eof if depth > 0 || !is_done => return content("expected one complete div".to_owned()),
            Event::Eof if has_content => return Ok(()),
            Event::Eof => return Err(Wrong::Empty),
        }
    }
}

/// Checks one element; whether it is something to see by itself.
fn element(start: &BytesStart<'_>, depth: usize) -> Result<bool, Wrong> {
    let name = start.local_name();
    let name: &str = name.as_ref();
    let mut namespace = None;
    if depth == 0 && name != "div" {
        return Err(Wrong::Content(format!("expected a div, not <{name}>")));
    }
    if ELEMENTS.binary_search(&name).is_err() {
        return Err(Wrong::Content(format!("<{name}> may not stand in a narrative")));
    }
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| Wrong::Content(format!("in <{name}>: {error}")))?;
        let key: &str = attribute.key.as_ref();
        match key {
            "xmlns" => namespace = Some(attribute.value),
            "xml:lang" | "xml:space" | "xml:id" => {}
            _ if key.starts_with("xmlns:") => {}
            _ => {
                if !is_attribute(name, key) {
                    return Err(Wrong::Content(format!("the attribute {key} may not stand in <{name}>")));
                }
                let value = quick_xml::escape::unescape(&attribute.value);
                check_link(name, key, &value.map_err(|error| Wrong::Content(format!("in <{name}>: {error}")))?)?;
            }
        }
    }
    match namespace {
        Some(url) if url != NAMESPACE => {
            Err(Wrong::Content(format!("<{name}> has the namespace '{url}'; expected {NAMESPACE}")))
        }
        None if depth == 0 && start.name().prefix().is_none() => {
            Err(Wrong::Content(format!("expected the div to have xmlns=\"{NAMESPACE}\"")))
        }
        _ => Ok(name == "img"),
    }
}

fn is_attribute(element: &str, attribute: &str) -> bool {
    let own = LINKS.iter().find(|(name, _)| *name == element).map_or(&[][..], |(_, own)| own);
    ATTRIBUTES.contains(&attribute) || own.contains(&attribute)
}

/// Addresses that run code are no links, however they are spelled.
fn check_link(element: &str, attribute: &str, value: &str) -> Result<(), Wrong> {
    if !matches!(attribute, "href" | "src" | "cite" | "longdesc" | "usemap") {
        return Ok(());
    }
    let scheme: String = value
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .take(11)
        .collect::<String>()
        .to_ascii_lowercase();
    let is_document = attribute == "href" && scheme.starts_with("data:");
    if is_document || ["javascript:", "vbscript:"].iter().any(|code| scheme.starts_with(code)) {
        return Err(Wrong::Content(format!("{attribute} of <{element}> may not run a script")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn div(inner: &str) -> Result<(), Wrong> {
        check(&format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>"))
    }

    #[test]
    fn formatting_is_accepted() {
        for inner in [
            "text",
            "<p>a &amp; b &#160; c<br/></p>",
            "<table border=\"1\"><tr><td colspan=\"2\" style=\"color:red\">x</td></tr></table>",
            "<a href=\"#x\" name=\"y\">x</a>",
            "<img src=\"#i\" alt=\"i\"/>",
            "<!-- c --><ul><li>x</li></ul>",
            "<![CDATA[x & y]]>",
            "<img src=\"data:image/png;base64,AA==\" alt=\"i\"/>",
        ] {
            assert_eq!(div(inner), Ok(()), "{inner}");
        }
        assert_eq!(check("<h:div xmlns:h=\"http://www.w3.org/1999/xhtml\"><h:p>x</h:p></h:div>"), Ok(()));
    }

    #[test]
    fn what_is_no_narrative_is_refused() {
        for inner in [
            "<script>x</script>",
            "<p onclick=\"x()\">x</p>",
            "<a href=\" java\nscript:x\">x</a>",
            "<iframe src=\"http://x\"/>",
            "<form><input/></form>",
            "<p>x",
            "<p>x</b>",
            "a &nbsp; b",
            "a & b",
            "<p title=\"&nbsp;\">x</p>",
            "<!--> <b>x</b> -->x",
            "<!---><b>x</b> -->x",
            "<!-- x --!> <b>x</b> -->x",
            "<![CDATA[><script>x</script>]]>",
            "<a href=\"data:text/html,x\">x</a>",
            "<p a='1' a='2'>x</p>",
            "<object data=\"x\"/>",
            "<link href=\"x\"/>",
            "x</div><div>",
            "x</div>&amp;<div>",
        ] {
            assert!(matches!(div(inner), Err(Wrong::Content(_))), "{inner}");
        }
        for whole in [
            "",
            "x",
            "&amp;<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>",
            "<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>",
            "<div>x</div>",
            "<div xmlns=\"x\">x</div>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><div xmlns=\"http://www.w3.org/1999/xhtml\">&a;</div>",
        ] {
            assert!(matches!(check(whole), Err(Wrong::Content(_))), "{whole}");
        }
        assert_eq!(div(" <p/>\n"), Err(Wrong::Empty));
        assert!(check(&"<div xmlns=\"http://www.w3.org/1999/xhtml\">".repeat(100_000)).is_err());
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(ELEMENTS.is_sorted());
    }
}
