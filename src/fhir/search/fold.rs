//! Texts as searches compare them (FHIR R4 search.html#string): without case, accents and runs of white space.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// `text` without case and accents; white space between words is one space.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = String::with_capacity(text.len());
        for word in text
            .split(|char: char| char.is_ascii_whitespace() || char.is_ascii_control())
            .filter(|word| !word.is_empty())
        {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.extend(word.chars().map(|char| char.to_ascii_lowercase()));
        }
        return folded;
    }
    let plain = text.nfkd().filter(|char| !is_combining_mark(*char)).flat_map(char::to_lowercase);
    let mut folded = String::with_capacity(text.len());
    for char in plain {
        match char {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            char if char.is_whitespace() || char.is_control() => {
                if !folded.is_empty() && !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            char => folded.push(char),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// The first `most` characters.
pub fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_spaces_do_not_matter() {
        for (text, folded) in [
            ("Müller", "muller"),
            ("  Jean-François \t LÉVESQUE ", "jean-francois levesque"),
            ("Straße", "strasse"),
            ("ŒUVRE", "oeuvre"),
            ("İstanbul", "istanbul"),
            ("ﬁn", "fin"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded);
        }
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("aéb", 2), "aé");
        assert_eq!(cut("a", 2), "a");
    }
}
