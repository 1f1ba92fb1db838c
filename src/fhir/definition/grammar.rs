//! Code systems that no list can hold, whose codes are known by their form instead.

use std::sync::LazyLock;

/// A code system defined by a grammar or by a list of another standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// `urn:ietf:bcp:13`: media types (RFC 6838 section 4.2, parameters by RFC 2045).
    MediaType,
    /// `urn:ietf:bcp:47`: language tags (RFC 5646 section 2.1, well-formedness).
    Language,
    /// `urn:iso:std:iso:4217`: the currencies that were active when R4 was published or have become so since.
    Currency,
}

impl Grammar {
    /// The grammar of this code system.
    pub fn of(system: &str) -> Option<Self> {
        match system {
            "urn:ietf:bcp:13" => Some(Self::MediaType),
            "urn:ietf:bcp:47" => Some(Self::Language),
            "urn:iso:std:iso:4217" => Some(Self::Currency),
            _ => None,
        }
    }

    /// Whether `code` has the form the system demands.
    pub fn accepts(self, code: &str) -> bool {
        match self {
            Self::MediaType => is_media_type(code),
            Self::Language => is_language(code),
            Self::Currency => CURRENCIES.binary_search(&code).is_ok(),
        }
    }
}

/// ISO 4217 alphabetic codes, sorted.
static CURRENCIES: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../../capability/r4/currencies.txt").split_ascii_whitespace().collect());

/// `type/subtype` with optional parameters: `text/plain; charset=utf-8`.
fn is_media_type(code: &str) -> bool {
    // R4's own words for its formats, where a media type stands (capabilitystatement.html, `format`).
    if matches!(code, "xml" | "json" | "ttl") {
        return true;
    }
    let (kind, parameters) = code.split_once(';').map_or((code, None), |(kind, rest)| (kind, Some(rest)));
    let is_kind = kind.trim_end().split_once('/').is_some_and(|(kind, sub)| is_restricted(kind) && is_restricted(sub));
    is_kind && parameters.is_none_or(are_parameters)
}

/// RFC 6838's restricted-name: 1 to 127 characters.
fn is_restricted(name: &str) -> bool {
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    (1..=127).contains(&name.len())
        && name.bytes().all(is_in)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// `name=token` or `name="text"`, separated by `;`.
fn are_parameters(text: &str) -> bool {
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    let mut rest = text;
    loop {
        let Some((name, value)) = rest.split_once('=') else { return false };
        if !is_token(name.trim_start()) {
            return false;
        }
        let after = match value.strip_prefix('"') {
            Some(quoted) => match quoted_end(quoted) {
                Some(end) => &quoted[end..],
                None => return false,
            },
            None => {
                let end = value.find([';', ' ', '\t']).unwrap_or(value.len());
                if !is_token(&value[..end]) {
                    return false;
                }
                &value[end..]
            }
        };
        match after.trim_start() {
            "" => return true,
            more => match more.strip_prefix(';') {
                Some(more) => rest = more,
                None => return false,
            },
        }
    }
}

/// RFC 2045's token.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// The index after the closing quote.
fn quoted_end(quoted: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// RFC 5646's irregular tags, in lower case. The regular grandfathered ones have the form of a langtag, but for the length
/// of a part.
const GRANDFATHERED: [&str; 26] = [
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
    "art-lojban",
    "cel-gaulish",
    "no-bok",
    "no-nyn",
    "zh-guoyu",
    "zh-hakka",
    "zh-min",
    "zh-min-nan",
    "zh-xiang",
];

/// Whether a language tag is well-formed: language, extended languages, script, region, variants, extensions, private use.
fn is_language(tag: &str) -> bool {
    if tag.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
        return false;
    }
    if GRANDFATHERED.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
        return true;
    }
    let parts: Vec<&str> = tag.split('-').collect();
    if parts.iter().any(|part| !(1..=8).contains(&part.len())) {
        return false;
    }
    let alphabetic = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    if parts[0].eq_ignore_ascii_case("x") {
        return parts.len() > 1;
    }
    if !(2..=8).contains(&parts[0].len()) || !alphabetic(parts[0]) {
        return false;
    }
    let mut at = 1;
    let mut take = |most: usize, is_fitting: &dyn Fn(&str) -> bool| {
        let start = at;
        while at - start < most && parts.get(at).is_some_and(|part| is_fitting(part)) {
            at += 1;
        }
    };
    if parts[0].len() < 4 {
        take(3, &|part| part.len() == 3 && alphabetic(part));
    }
    take(1, &|part| part.len() == 4 && alphabetic(part));
    let is_region = |part: &str| part.len() == 2 && alphabetic(part);
    take(1, &|part| is_region(part) || (part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit())));
    take(usize::MAX, &|part| part.len() >= 5 || (part.len() == 4 && part.as_bytes()[0].is_ascii_digit()));
    are_extensions(&parts[at..])
}

/// Singletons, each with at least one part of two or more characters; `x` with anything until the end.
fn are_extensions(mut parts: &[&str]) -> bool {
    while let Some((singleton, rest)) = parts.split_first() {
        if singleton.len() != 1 || rest.is_empty() {
            return false;
        }
        if singleton.eq_ignore_ascii_case("x") {
            return true;
        }
        let count = rest.iter().take_while(|part| part.len() >= 2).count();
        if count == 0 {
            return false;
        }
        parts = &rest[count..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grammar: Grammar, good: &[&str], bad: &[&str]) {
        for code in good {
            assert!(grammar.accepts(code), "{code} is good");
        }
        for code in bad {
            assert!(!grammar.accepts(code), "{code} is bad");
        }
    }

    #[test]
    fn media_types_are_known_by_their_form() {
        check(
            Grammar::MediaType,
            &[
                "text/plain",
                "application/fhir+json",
                "application/fhir+json; fhirVersion=4.0",
                "text/html;charset=utf-8;a=\"b; \\\"c\"",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "image/svg+xml ; q=1",
            ],
            &[
                "",
                "text",
                "text/",
                "/plain",
                "text/plain/x",
                "text/pla in",
                "text/plain;",
                "text/plain;a",
                "text/plain; a=\"b",
            ],
        );
    }

    #[test]
    fn language_tags_are_known_by_their_form() {
        check(
            Grammar::Language,
            &[
                "en",
                "en-CA",
                "fr-CA",
                "zh-Hant-TW",
                "zh-cmn-Hans-CN",
                "sl-rozaj-biske",
                "de-CH-1901",
                "es-419",
                "x-a",
                "en-a-bbb-x-a-ccc",
                "i-klingon",
                "iu-Cans",
                "sgn-BE-FR",
                "de-1996",
            ],
            &["", "e", "englishlanguage", "en_CA", "en-", "-en", "en--CA", "x", "en-a", "12", "en-CA-CA", "français"],
        );
    }

    #[test]
    fn currencies_are_a_list() {
        check(Grammar::Currency, &["CAD", "USD", "XTS"], &["cad", "DOL", "", "DEM"]);
        assert!(CURRENCIES.is_sorted());
    }
}
