//! Separators and their escapes (FHIR R4 search.html#escaping): `,` between alternatives, `$` between the parts of a
//! composite, `|` between the parts of a token or quantity. A backslash takes a separator's meaning away, and its own.
//!
//! A value is split first, from the outermost separator to the innermost; the escapes are resolved in what is left.

/// The pieces between unescaped separators, escapes and all; at least one.
pub fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |char| {
        let is_separator = char == separator && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        is_separator
    })
}

/// The text that is meant; `None`: a backslash before something that needs none, which R4 calls illegal.
pub fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => plain.push(chars.next().filter(|next| matches!(next, '\\' | ',' | '$' | '|'))?),
            char => plain.push(char),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escape(text: &str) -> String {
        let mut escaped = String::new();
        for char in text.chars() {
            if matches!(char, '\\' | ',' | '$' | '|') {
                escaped.push('\\');
            }
            escaped.push(char);
        }
        escaped
    }

    #[test]
    fn an_escaped_separator_separates_nothing() {
        let commas = |text| split(text, ',').collect::<Vec<_>>();
        assert_eq!(commas("a,b"), ["a", "b"]);
        assert_eq!(commas(r"a\,b"), [r"a\,b"]);
        assert_eq!(commas(r"a\\,b"), [r"a\\", "b"]);
        assert_eq!(commas(r"a\\\,b,"), [r"a\\\,b", ""]);
        assert_eq!(commas(""), [""]);
        assert_eq!(split(r"a$b\$c|d", '$').collect::<Vec<_>>(), ["a", r"b\$c|d"]);
    }

    #[test]
    fn only_separators_and_the_backslash_may_be_escaped() {
        assert_eq!(unescape(r"a\,b\|c\$d\\e").as_deref(), Some(r"a,b|c$d\e"));
        for illegal in [r"xx\xx", r"a\", r"\\\"] {
            assert_eq!(unescape(illegal), None, "{illegal}");
        }
    }

    proptest! {
        #[test]
        fn what_was_escaped_comes_back(texts in proptest::collection::vec(r"[a-c\\,$|é]{0,8}", 1..5)) {
            for separator in [',', '$', '|'] {
                let joined = texts.iter().map(|text| escape(text)).collect::<Vec<_>>().join(&separator.to_string());
                let back: Option<Vec<String>> = split(&joined, separator).map(unescape).collect();
                prop_assert_eq!(back.as_ref(), Some(&texts));
            }
        }
    }
}
