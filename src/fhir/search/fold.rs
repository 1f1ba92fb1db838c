//! Texts as searches compare them (FHIR R4 search.html#string): without case, accents and runs of white space.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// `text` without case and accents; white space between words is one space.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_onto(&mut folded, text, usize::MAX);
    folded
}

/// Appends `text`, folded, as further words; stops before `folded` is longer than `most` bytes.
pub fn fold_onto(folded: &mut String, text: &str, most: usize) {
    let mut folding = Folding { folded, most, is_apart: true, is_full: false };
    let mut rest = text;
    while !folding.is_full {
        let plain = rest.bytes().take_while(u8::is_ascii_graphic).count();
        folding.push_plain(&rest[..plain]);
        let mut chars = rest[plain..].chars();
        let Some(char) = chars.next() else { break };
        // Marks are left out, so their order does not matter and each character can be taken alone.
        decompose_compatible(char, |part| {
            if !is_combining_mark(part) {
                part.to_lowercase().for_each(|lower| folding.push(lower));
            }
        });
        rest = chars.as_str();
    }
}

struct Folding<'f> {
    folded: &'f mut String,
    most: usize,
    /// A new word begins.
    is_apart: bool,
    is_full: bool,
}

impl Folding<'_> {
    /// Letters, digits and signs of ASCII.
    fn push_plain(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let space = if self.is_apart && !self.folded.is_empty() { " " } else { "" };
        let room = self.most.saturating_sub(self.folded.len() + space.len());
        self.is_full |= text.len() > room;
        if room > 0 {
            self.folded.push_str(space);
            let start = self.folded.len();
            self.folded.push_str(&text[..text.len().min(room)]);
            self.folded[start..].make_ascii_lowercase();
        }
        self.is_apart = false;
    }

    /// One character in lower case.
    fn push(&mut self, char: char) {
        if char.is_whitespace() || char.is_control() {
            self.is_apart = true;
            return;
        }
        let mut bytes = [0; 4];
        // Letters that do not come apart as those with a mark do.
        let text = match char {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ø' => "o",
            'ł' => "l",
            'đ' | 'ð' => "d",
            'þ' => "th",
            'ħ' => "h",
            'ŧ' => "t",
            'ı' => "i",
            'ς' => "σ",
            _ => char.encode_utf8(&mut bytes),
        };
        let space = if self.is_apart && !self.folded.is_empty() { " " } else { "" };
        self.is_full |= self.folded.len() + space.len() + text.len() > self.most;
        if !self.is_full {
            self.folded.push_str(space);
            self.folded.push_str(text);
        }
        self.is_apart = false;
    }
}

/// The beginning of a URI that stands in the index: at most so many characters and bytes, as a B-tree entry has a limit.
/// Longer ones are one to a search.
pub fn cut_uri(uri: &str) -> &str {
    cut_bytes(cut(uri, 800), 2000)
}

/// The first characters, of at most `most` bytes.
pub fn cut_bytes(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The first `most` characters.
pub fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            ("Ærø Łódź Đorđe", "aero lodz dorde"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("e\u{301}te\u{301}\u{a0}\u{2003}x", "ete x"),
            ("\u{301}", ""),
            ("a\0b\u{85}c", "a b c"),
            ("½ ㎏", "1⁄2 kg"),
            ("", ""),
            (" \t ", ""),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
        assert_ne!(fold("ab"), fold("a b"));
    }

    #[test]
    fn texts_are_strung_together_up_to_a_limit() {
        let mut folded = String::new();
        for text in ["", " A\tb", "É", "cde", "f"] {
            fold_onto(&mut folded, text, 6);
        }
        assert_eq!(folded, "a b e");
        // One character that becomes eighteen.
        let mut folded = String::new();
        fold_onto(&mut folded, &"ﷺ".repeat(100), 50);
        assert!((40..=50).contains(&folded.len()));
    }

    #[test]
    fn a_uri_is_cut_by_characters_and_bytes() {
        let long = format!("urn:{}", "x".repeat(2000));
        assert_eq!(cut_uri(&long).len(), 800);
        let wide = "𝄞".repeat(800);
        assert_eq!(cut_uri(&wide).len(), 2000);
        assert_eq!(cut_uri("urn:x"), "urn:x");
    }

    proptest! {
        #[test]
        fn what_is_folded_stays_as_it_is(text in any::<String>()) {
            let folded = fold(&text);
            prop_assert_eq!(&fold(&folded), &folded);
            prop_assert!(!folded.contains("  ") && folded.trim() == folded);
        }
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("aéb", 2), "aé");
        assert_eq!(cut("a", 2), "a");
    }
}
