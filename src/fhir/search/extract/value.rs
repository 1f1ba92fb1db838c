//! Strings, URIs, dates, numbers, quantities and references (FHIR R4 search.html).

use std::borrow::Cow;

use super::{EXACT, FOLDED, Finder, MOST_MADE, Place};
use crate::fhir::{
    reference,
    search::{
        QuantityRow, ReferenceRow, TimeRow,
        fold::{cut, cut_uri, fold},
        interval::interval,
    },
    tree::Node,
};

/// The code system of currencies.
const CURRENCIES: &str = "urn:iso:std:iso:4217";
/// Longest number, in characters, and largest exponent: Postgres's `numeric` takes more.
const MOST_DIGITS: usize = 1000;

/// What of a name or an address is searched: all that people read.
fn parts(type_name: &str) -> Option<&'static [&'static str]> {
    match type_name {
        "HumanName" => Some(&["text", "family", "given", "prefix", "suffix"]),
        "Address" => Some(&["text", "line", "city", "district", "state", "postalCode", "country"]),
        _ => None,
    }
}

impl Finder<'_, '_> {
    // --- strings and URIs

    /// A row for a text, or for each part of a name or address.
    pub(super) fn string(&mut self, at: Place<'_>, node: Node) {
        let tree = self.tree;
        let Some(parts) = parts(self.type_name(node)) else {
            if let Some(text) = self.text(node) {
                self.string_value(at, &text);
            }
            return;
        };
        for part in parts.iter().flat_map(|part| tree.named(node, part)) {
            if let Some(text) = self.text(part) {
                self.string_value(at, &text);
            }
        }
    }

    /// A row for a text; none where it has no letters.
    pub(super) fn string_value(&mut self, at: Place<'_>, text: &str) {
        let folded = fold(text);
        if !folded.is_empty() {
            self.string_row(at, cut(&folded, FOLDED).to_owned(), cut(text, EXACT).to_owned());
        }
    }

    /// A canonical that names a version is found without it, too.
    pub(super) fn uri(&mut self, at: Place<'_>, node: Node) {
        let Some(uri) = self.text(node) else { return };
        self.uri_value(at, &uri);
        if let Some((plain, _)) = uri.split_once('|').filter(|_| self.type_name(node) == "canonical") {
            self.uri_value(at, plain);
        }
    }

    /// A row for a URI.
    pub(super) fn uri_value(&mut self, at: Place<'_>, uri: &str) {
        if !uri.is_empty() {
            self.string_row(at, cut_uri(uri).to_owned(), cut(uri, EXACT).to_owned());
        }
    }

    // --- dates

    /// A row for the time that a date, dateTime, instant, Period or Timing spans.
    pub(super) fn date(&mut self, at: Place<'_>, node: Node) {
        let range = match self.type_name(node) {
            "Period" => self.period(node),
            "Timing" => self.timing(node),
            _ => self.text(node).and_then(|text| interval(&text)),
        };
        self.time_row(at, range);
    }

    /// A row for a date or dateTime that an expression computed.
    pub(super) fn moment(&mut self, at: Place<'_>, text: &str) {
        self.time_row(at, interval(text));
    }

    fn time_row(&mut self, at: Place<'_>, range: Option<(i64, i64)>) {
        if let Some((low, high)) = range.filter(|_| self.rows.times.len() < MOST_MADE) {
            let Place { id: parameter, slot, .. } = at;
            self.rows.times.push(TimeRow { parameter, slot, low, high, is_least: false, is_greatest: false });
        }
    }

    /// An end that is not given is open; one that is no date is not known, and so the Period is not.
    fn period(&self, node: Node) -> Option<(i64, i64)> {
        let end = |name| {
            let text = self.tree.child(node, name).and_then(|end| self.text(end));
            text.map(|text| interval(&text))
        };
        let (start, end) = (end("start"), end("end"));
        if start.is_none() && end.is_none() {
            return None;
        }
        let low = start.map_or(Some(i64::MIN), |start| start.map(|(low, _)| low))?;
        let high = end.map_or(Some(i64::MAX), |end| end.map(|(_, high)| high))?;
        Some((low, high))
    }

    /// From its first to its last moment: of a Timing, that is all that search.html#date looks at.
    fn timing(&self, node: Node) -> Option<(i64, i64)> {
        let events =
            self.tree.named(node, "event").filter_map(|event| self.text(event).and_then(|text| interval(&text)));
        let bounds = self.tree.child(node, "repeat").and_then(|repeat| self.tree.child(repeat, "bounds"));
        let bounds = bounds.filter(|bounds| self.type_name(*bounds) == "Period").and_then(|bounds| self.period(bounds));
        events.chain(bounds).reduce(|(low, high), (start, end)| (low.min(start), high.max(end)))
    }

    // --- numbers and quantities

    /// A row for a Quantity (open to one side with a comparator), Range, Money or number.
    pub(super) fn quantity(&mut self, at: Place<'_>, node: Node) {
        let value = |node: Node| {
            self.tree.child(node, "value").and_then(|value| self.text(value)).filter(|text| is_number(text))
        };
        let child = |name: &str| self.tree.child(node, name);
        let row = match self.type_name(node) {
            "Range" => {
                let (low, high) = (child("low"), child("high"));
                let unit = low.or(high);
                self.measured(at, low.and_then(value), high.and_then(value), unit)
            }
            "Money" => {
                let row = self.measured(at, value(node), value(node), None);
                let code = cut(&self.child_text(node, "currency"), FOLDED).to_owned();
                row.map(|row| QuantityRow { system: CURRENCIES.to_owned(), code, ..row })
            }
            "integer" | "decimal" | "positiveInt" | "unsignedInt" => {
                let text = self.text(node).unwrap_or_default();
                return self.number(at, &text);
            }
            _ => {
                let number = value(node);
                let (low, high) = match &*self.child_text(node, "comparator") {
                    "<" | "<=" => (None, number),
                    ">" | ">=" => (number, None),
                    _ => (number.clone(), number),
                };
                self.measured(at, low, high, Some(node))
            }
        };
        self.quantity_row(row);
    }

    /// A row for a number without a unit.
    pub(super) fn number(&mut self, at: Place<'_>, text: &str) {
        let number = || Some(Cow::Borrowed(text)).filter(|text| is_number(text));
        self.quantity_row(self.measured(at, number(), number(), None));
    }

    /// A row with the unit of `of`, unless neither end is known.
    fn measured(
        &self,
        at: Place<'_>,
        low: Option<Cow<'_, str>>,
        high: Option<Cow<'_, str>>,
        of: Option<Node>,
    ) -> Option<QuantityRow> {
        if low.is_none() && high.is_none() {
            return None;
        }
        let text = |name: &str| of.map(|of| cut(&self.child_text(of, name), FOLDED).to_owned()).unwrap_or_default();
        Some(QuantityRow {
            parameter: at.id,
            slot: at.slot,
            low: low.map(Cow::into_owned),
            high: high.map(Cow::into_owned),
            system: text("system"),
            code: text("code"),
            unit: text("unit"),
            is_least: false,
            is_greatest: false,
        })
    }

    fn quantity_row(&mut self, row: Option<QuantityRow>) {
        if self.rows.quantities.len() < MOST_MADE {
            self.rows.quantities.extend(row);
        }
    }

    // --- references

    /// Rows for what a Reference, a canonical or URL, or the first resource of a Bundle refers to.
    pub(super) fn reference(&mut self, at: Place<'_>, node: Node) {
        match self.type_name(node) {
            "Reference" => {
                if let Some(identifier) = self.tree.child(node, "identifier") {
                    self.identified(at, identifier);
                }
                let literal = self.child_text(node, "reference");
                self.target(at, &literal, "/_history/");
            }
            "canonical" | "uri" | "url" => {
                if let Some(url) = self.text(node) {
                    self.target(at, &url, "|");
                }
            }
            // The first resource of a document or message (`Bundle.entry[0].resource`) is what its entry says.
            type_name if at.of.is_some_and(|parameter| parameter.targets.iter().any(|target| target == type_name)) => {
                let entry = self.tree.parent(node);
                let url = entry.map(|entry| self.child_text(entry, "fullUrl")).unwrap_or_default();
                self.target(at, &url, "/_history/");
            }
            _ => {}
        }
    }

    /// What a text refers to; where it names a version (after `mark`), any other is meant as well.
    fn target(&mut self, at: Place<'_>, text: &str, mark: &str) {
        if text.is_empty() || text.starts_with('#') {
            return self.reference_row(at, "", "");
        }
        let plain = text.split_once(mark).map(|(plain, _)| plain);
        if let Some((type_name, id)) = reference::local(plain.unwrap_or(text), self.base) {
            return self.reference_row(at, &type_name, &id);
        }
        self.reference_row(at, "", text);
        if let Some(plain) = plain {
            self.reference_row(at, "", plain);
        }
    }

    fn reference_row(&mut self, at: Place<'_>, target_type: &str, target: &str) {
        if self.rows.references.len() < MOST_MADE {
            let (target_type, target_id) = (target_type.to_owned(), cut(target, EXACT).to_owned());
            self.rows.references.push(ReferenceRow { parameter: at.id, slot: at.slot, target_type, target_id });
        }
    }
}

/// Whether it is a number as JSON writes it, and of a size that is kept: `-1.50e3`.
fn is_number(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_small = power.parse::<usize>().is_ok_and(|power| power <= MOST_DIGITS);
    text.len() <= MOST_DIGITS && is_digits(whole) && is_digits(fraction) && is_digits(power) && is_small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_numeric_takes_is_a_number() {
        for text in ["0", "-1.50", "1e3", "1E-7", "1.0e+10", "0.000", &"9".repeat(1000), "1e1000"] {
            assert!(is_number(text), "{text}");
        }
        for text in
            ["", "-", "abc", "NaN", "Infinity", "1e", "1e1001", "1.", ".5", "+1", " 1", "0x1", "1_0", &"9".repeat(1001)]
        {
            assert!(!is_number(text), "{text}");
        }
    }
}
