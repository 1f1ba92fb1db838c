//! Documents made by chance.

use proptest::prelude::*;

use super::{json_of, xml_of};
use crate::fhir::{
    definition::types::{Field, Kind, Primitive, TypeId, r4},
    json::quote,
    xml::XHTML,
};

/// A document in R4's order without spaces: the one form in which reading XML gives it.
struct Made<'c> {
    choices: std::slice::Iter<'c, u16>,
    out: String,
}

impl Made<'_> {
    /// A number below `below`; 0 when the choices are used up, which ends the document soon.
    fn choose(&mut self, below: usize) -> usize {
        self.choices.next().map_or(0, |choice| usize::from(*choice) % below)
    }

    fn resource(&mut self, depth: usize) {
        let types: Vec<_> = r4().resources().collect();
        let name = &types[self.choose(types.len())].name;
        self.out.push_str(&format!("{{\"resourceType\":\"{name}\""));
        let ty = r4().resource(name).unwrap();
        self.members(ty, depth, false);
        self.out.push('}');
    }

    /// Some of a type's members. Returns how many elements it wrote.
    fn members(&mut self, ty: TypeId, depth: usize, only_attributes: bool) -> usize {
        let fields: Vec<_> = r4().fields(ty).map(|(_, field)| field).collect();
        let mut chosen: Vec<_> = (0..self.choose(4)).map(|_| self.choose(fields.len().max(1))).collect();
        chosen.sort_unstable();
        chosen.dedup();
        // An id first, then the url, as attributes are read before elements.
        chosen.sort_by_key(|index| !fields[*index].is_xml_attribute);
        let mut last = "";
        let mut count = 0;
        for field in chosen.into_iter().map(|index| fields[index]) {
            let is_simple =
                matches!(r4().ty(field.ty).kind, Kind::Primitive(primitive) if primitive != Primitive::Xhtml);
            if *field.element == *last || (only_attributes && !field.is_xml_attribute) || (depth == 0 && !is_simple) {
                continue;
            }
            last = &field.element;
            self.member(field, depth);
            count += 1;
        }
        count
    }

    fn member(&mut self, field: &Field, depth: usize) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        let name = &field.name;
        match r4().ty(field.ty).kind {
            Kind::Primitive(primitive) if field.is_array => {
                let values: Vec<_> = (0..=self.choose(3)).map(|_| self.value(primitive)).collect();
                self.out.push_str(&format!("\"{name}\":[{}]", values.join(",")));
            }
            Kind::Primitive(primitive) => {
                let value = self.value(primitive);
                let has_shadow = !field.is_xml_attribute && primitive != Primitive::Xhtml && self.choose(4) == 1;
                if !has_shadow || self.choose(2) == 0 {
                    self.out.push_str(&format!("\"{name}\":{value}"));
                    if !has_shadow {
                        return;
                    }
                    self.out.push(',');
                }
                let id = self.value(Primitive::String);
                self.out.push_str(&format!("\"_{name}\":{{\"id\":{id}}}"));
            }
            kind => {
                let count = if field.is_array { 1 + self.choose(2) } else { 1 };
                let items: Vec<_> = (0..count).map(|_| self.item(kind, field.ty, depth.saturating_sub(1))).collect();
                let items = items.join(",");
                self.out.push_str(&if field.is_array {
                    format!("\"{name}\":[{items}]")
                } else {
                    format!("\"{name}\":{items}")
                });
            }
        }
    }

    fn item(&mut self, kind: Kind, ty: TypeId, depth: usize) -> String {
        let outer = std::mem::take(&mut self.out);
        if kind == Kind::Resource {
            self.resource(depth);
        } else {
            self.out.push('{');
            if self.members(ty, depth, false) == 0 {
                self.out.push_str("\"id\":\"a\"");
            }
            self.out.push('}');
        }
        std::mem::replace(&mut self.out, outer)
    }

    fn value(&mut self, primitive: Primitive) -> String {
        const TEXTS: [&str; 9] = [
            "a",
            "<&>\"'",
            "\\u\\\"",
            "a\tb\nc\rd\r\n",
            " é ",
            "\u{1f642}\u{fffd}",
            "]]>",
            "&amp;&#10;",
            "\u{7f}\u{85}\u{2028}",
        ];
        const NUMBERS: [&str; 6] = ["0", "1.50", "-0.0", "1.0e2", "1E-5", "12345678901234567890123.0"];
        const DIVS: [&str; 4] = ["", "<p>a &amp; b</p>\n", "<p title='\"'>\u{a0}<br/></p>", "<!-- a --><b>\\</b>"];
        match primitive {
            Primitive::Boolean => ["true", "false"][self.choose(2)].to_owned(),
            Primitive::Decimal => NUMBERS[self.choose(6)].to_owned(),
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => self.choose(100).to_string(),
            Primitive::Xhtml => quote(&format!("<div xmlns=\"{XHTML}\">{}</div>", DIVS[self.choose(4)])),
            _ => quote(TEXTS[self.choose(9)]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_document_survives_the_way_to_xml_and_back(choices in prop::collection::vec(any::<u16>(), 0..120)) {
        let mut made = Made { choices: choices.iter(), out: String::new() };
        made.resource(4);
        let xml = xml_of(&made.out).unwrap();
        let json = json_of(&xml).unwrap();
        prop_assert_eq!(&json, &made.out);
        prop_assert_eq!(xml_of(&json).unwrap(), xml);
    }

    #[test]
    fn nothing_makes_the_reader_panic(text in r#"(<(Patient|f:id|name|div|text|contained)( (xmlns|xmlns:f|value|id|a)=("http://hl7.org/fhir"|'&#x?[0-9a]{1,3};'|"\PC{0,3}"))*/?>|</(Patient|name|text|div|contained)>|<!\[CDATA\[|\]\]>|<!--|-->|<\?|\?>|&amp;|\PC{0,4}|\n){0,12}"#) {
        if let Ok(json) = json_of(&text) {
            prop_assert!(xml_of(&json).is_ok());
        }
    }

    #[test]
    fn damage_is_noticed_or_harmless(choices in prop::collection::vec(any::<u16>(), 0..60), at in any::<prop::sample::Index>(), put in r#"[<>&"'/=: \]a\u{1}]{0,2}"#, cut in 0..4_usize) {
        let mut made = Made { choices: choices.iter(), out: String::new() };
        made.resource(2);
        let xml: Vec<char> = xml_of(&made.out).unwrap().chars().collect();
        let at = at.index(xml.len());
        let damaged: String = xml[..at].iter().copied().chain(put.chars()).chain(xml[(at + cut).min(xml.len())..].iter().copied()).collect();
        if let Ok(json) = json_of(&damaged) {
            // Whatever is accepted has one meaning.
            let again = xml_of(&json).unwrap();
            prop_assert_eq!(json_of(&again).unwrap(), json);
        }
    }
}
