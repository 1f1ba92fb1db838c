//! `htmlChecks()`: whether a narrative has only what FHIR allows, and says something (FHIR R4 narrative.html, txt-1 and
//! txt-2).

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{Frame, Machine, Stop};
use crate::fhir::path::expr::Expr;

const XHTML: &str = "http://www.w3.org/1999/xhtml";

const ELEMENTS: [&str; 52] = [
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
    "ul",
];

const ATTRIBUTES: [&str; 24] = [
    "abbr",
    "accesskey",
    "align",
    "axis",
    "char",
    "charoff",
    "class",
    "colspan",
    "dir",
    "headers",
    "id",
    "idref",
    "lang",
    "rowspan",
    "scope",
    "span",
    "style",
    "tabindex",
    "title",
    "valign",
    "width",
    "xml:lang",
    "xml:space",
    "xmlns",
];

/// Element and attribute.
const OWN_ATTRIBUTES: [(&str, &str); 36] = [
    ("a", "charset"),
    ("a", "coords"),
    ("a", "href"),
    ("a", "hreflang"),
    ("a", "name"),
    ("a", "rel"),
    ("a", "rev"),
    ("a", "shape"),
    ("a", "type"),
    ("area", "alt"),
    ("area", "coords"),
    ("area", "href"),
    ("area", "nohref"),
    ("area", "shape"),
    ("blockquote", "cite"),
    ("img", "alt"),
    ("img", "border"),
    ("img", "height"),
    ("img", "ismap"),
    ("img", "longdesc"),
    ("img", "src"),
    ("img", "usemap"),
    ("map", "name"),
    ("ol", "type"),
    ("pre", "space"),
    ("q", "cite"),
    ("table", "border"),
    ("table", "cellpadding"),
    ("table", "cellspacing"),
    ("table", "frame"),
    ("table", "rules"),
    ("table", "summary"),
    ("td", "nowrap"),
    ("th", "nowrap"),
    ("ul", "type"),
    ("var", "id"),
];

impl<'a> Machine<'_, 'a> {
    pub(super) fn html_checks(&self, of: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        let Some(item) = self.one(of, frame)? else { return Ok(None) };
        let Some(html) = item.node().and_then(|node| self.tree.value(node)).and_then(crate::fhir::json::Ref::as_str)
        else {
            return Ok(Some(false));
        };
        self.spend(html.len() as u64 / 16)?;
        Ok(Some(is_narrative(&html)))
    }
}

/// Whether a text is one `div` of XHTML with allowed content that is not blank.
fn is_narrative(html: &str) -> bool {
    let mut reader = Reader::from_str(html);
    let (mut depth, mut is_over, mut has_content) = (0_usize, false, false);
    loop {
        let Ok(event) = reader.read_event() else { return false };
        match event {
            Event::Start(start) | Event::Empty(start) if depth == 0 && (is_over || !is_root(&start)) => return false,
            Event::Start(start) => {
                has_content |= start.name().as_ref() == "img";
                depth += 1;
                if !is_allowed(&start) {
                    return false;
                }
            }
            Event::Empty(start) => {
                has_content |= start.name().as_ref() == "img";
                is_over |= depth == 0;
                if !is_allowed(&start) {
                    return false;
                }
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                is_over |= depth == 0;
            }
            Event::Text(text) => {
                let is_blank = text.trim().is_empty();
                if depth == 0 && !is_blank {
                    return false;
                }
                has_content |= !is_blank;
            }
            Event::CData(_) | Event::GeneralRef(_) if depth == 0 => return false,
            Event::CData(_) | Event::GeneralRef(_) => has_content = true,
            Event::Comment(_) => {}
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) => return false,
            Event::Eof => return is_over && depth == 0 && has_content,
        }
    }
}

fn is_root(start: &BytesStart<'_>) -> bool {
    let is_xhtml = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        attribute.key.as_ref() == "xmlns" && attribute.value.as_ref() == XHTML
    };
    start.name().as_ref() == "div" && start.attributes().flatten().any(is_xhtml)
}

fn is_allowed(start: &BytesStart<'_>) -> bool {
    let name = start.name();
    let name = name.as_ref();
    if ELEMENTS.binary_search(&name).is_err() && name != "var" {
        return false;
    }
    start.attributes().all(|attribute| {
        let Ok(attribute) = attribute else { return false };
        let key = attribute.key.as_ref();
        let is_known = ATTRIBUTES.binary_search(&key).is_ok() || OWN_ATTRIBUTES.binary_search(&(name, key)).is_ok();
        let is_script = key == "href" && {
            let mut link = attribute.value.chars().filter(|c| !c.is_whitespace() && !c.is_control());
            "javascript:".chars().all(|c| link.next().is_some_and(|found| found.eq_ignore_ascii_case(&c)))
        };
        is_known && !is_script
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(ELEMENTS.is_sorted() && ATTRIBUTES.is_sorted() && OWN_ATTRIBUTES.is_sorted());
    }

    #[test]
    fn a_narrative_has_allowed_content_and_some() {
        let div = |inner: &str| format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>");
        for inner in ["<p style='x'>Text</p>", "<a href='#x'>&amp;</a>", "<img src='#a' alt=''/>", "<!-- c -->x<br/>"] {
            assert!(is_narrative(&div(inner)), "{inner}");
        }
        for html in [
            div(" \n"),
            div("<script>x</script>"),
            div("<p onclick='x'>x</p>"),
            div("<a href=' JavaScript:x'>x</a>"),
            div("<p>x"),
            div("<form>x</form>"),
            "<div>x</div>".to_owned(),
            "<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>".to_owned(),
            format!("{}{}", div("x"), div("x")),
            format!("x{}", div("x")),
            "text".to_owned(),
            String::new(),
            format!("<!DOCTYPE div>{}", div("x")),
        ] {
            assert!(!is_narrative(&html), "{html}");
        }
    }
}
