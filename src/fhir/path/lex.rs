//! The words of the language (FHIRPath N1, appendix B).

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::{
    ParseError,
    temporal::{Date, DateTime, Time},
};

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub enum Token<'t> {
    /// A name or keyword.
    Word(&'t str),
    /// A name in backticks: never a keyword.
    Quoted(Cow<'t, str>),
    /// `$this`
    Dollar(&'t str),
    /// `%resource`, ``%`vs-name` ``, `%'name'`
    Percent(Cow<'t, str>),
    String(Cow<'t, str>),
    Integer(i32),
    Decimal(Decimal),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Two-character signs stand before their beginnings.
const SIGNS: [&str; 22] =
    ["<=", ">=", "!=", "!~", "<", ">", "=", "~", "|", "&", "+", "-", "*", "/", "(", ")", "[", "]", "{", "}", ".", ","];

/// Reads words one after the other.
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next word begins, after [`Lexer::space`].
    pub const fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { message: message.into(), at: self.at }
    }

    /// Passes over white space and comments.
    pub fn space(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").ok_or_else(|| self.error("a comment without an end"))? + 2;
            } else {
                return Ok(());
            }
        }
    }

    /// The next word.
    pub fn next(&mut self) -> Result<Token<'t>, ParseError> {
        self.space()?;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            'a'..='z' | 'A'..='Z' | '_' => Ok(Token::Word(self.word(0))),
            '`' => self.quoted(1, '`').map(Token::Quoted),
            '\'' => self.quoted(1, '\'').map(Token::String),
            '0'..='9' => self.number(),
            '@' => self.temporal(),
            '$' => Ok(Token::Dollar(self.word(1))),
            '%' => match rest[1..].chars().next() {
                Some(mark @ ('`' | '\'' | '"')) => self.quoted(2, mark).map(Token::Percent),
                _ => Ok(Token::Percent(Cow::Borrowed(self.word(1)))),
            },
            _ => {
                let found = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = found.ok_or_else(|| self.error(format!("'{first}' has no meaning here")))?;
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
        }
    }

    /// Letters, digits and underscores after `skip` bytes.
    fn word(&mut self, skip: usize) -> &'t str {
        let rest = &self.rest()[skip..];
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += skip + length;
        &rest[..length]
    }

    /// The text up to `mark`, escapes decoded, after `skip` bytes.
    fn quoted(&mut self, skip: usize, mark: char) -> Result<Cow<'t, str>, ParseError> {
        let rest = &self.rest()[skip..];
        let plain = rest.find([mark, '\\']);
        let Some(plain) = plain else { return Err(self.error("a text without an end")) };
        if rest[plain..].starts_with(mark) {
            self.at += skip + plain + mark.len_utf8();
            return Ok(Cow::Borrowed(&rest[..plain]));
        }
        let mut decoded = rest[..plain].to_owned();
        self.at += skip + plain;
        loop {
            let mut chars = self.rest().chars();
            match chars.next() {
                None => return Err(self.error("a text without an end")),
                Some('\\') => decoded.push(self.escape()?),
                Some(c) => {
                    self.at += c.len_utf8();
                    if c == mark {
                        return Ok(Cow::Owned(decoded));
                    }
                    decoded.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let rest = self.rest();
        let (c, length) = match rest.as_bytes().get(1) {
            Some(mark @ (b'\'' | b'"' | b'`' | b'\\' | b'/')) => (char::from(*mark), 2),
            Some(b'r') => ('\r', 2),
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'u') => {
                let code = |at: usize| {
                    let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
                    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
                };
                let units = [code(0), code(6)];
                let one = char::decode_utf16(units[..1].iter().copied().flatten()).next();
                let two = char::decode_utf16(units.into_iter().flatten()).next();
                match (one, two) {
                    (Some(Ok(c)), _) => (c, 6),
                    (_, Some(Ok(c))) => (c, 12),
                    _ => return Err(self.error("\\u takes the four hexadecimal digits of a character")),
                }
            }
            _ => return Err(self.error("an escape that FHIRPath does not have")),
        };
        self.at += length;
        Ok(c)
    }

    fn number(&mut self) -> Result<Token<'t>, ParseError> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(rest);
        let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
        let length = if fraction > 0 { whole + 1 + fraction } else { whole };
        let text = &rest[..length];
        let token = match text.parse() {
            Ok(value) if fraction == 0 => Token::Integer(value),
            _ => Token::Decimal(text.parse().map_err(|_| self.error("a number of more than 28 digits"))?),
        };
        self.at += length;
        Ok(token)
    }

    fn temporal(&mut self) -> Result<Token<'t>, ParseError> {
        let rest = &self.rest()[1..];
        let found = match rest.strip_prefix('T') {
            Some(time) => Time::scan(time).map(|(value, length)| (Token::Time(value), length + 1)),
            None => Date::scan(rest).and_then(|(value, length)| {
                if rest[length..].starts_with('T') {
                    DateTime::scan(rest).map(|(value, length)| (Token::DateTime(value), length))
                } else {
                    Some((Token::Date(value), length))
                }
            }),
        };
        let (token, length) = found.ok_or_else(|| self.error("not a date, a time or a dateTime"))?;
        if rest[length..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':') {
            return Err(self.error("not a date, a time or a dateTime"));
        }
        self.at += 1 + length;
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            match lexer.next()? {
                Token::End => return Ok(found),
                token => found.push(token),
            }
        }
    }

    #[test]
    fn texts_are_decoded() {
        for (text, expected) in [
            (r"'a\'b'", "a'b"),
            (r"'\\d+'", r"\d+"),
            (r"'\t\r\n\f\/\`\x22'".replace("x22", "\"").as_str(), "\t\r\n\u{c}/`\""),
            (r"'\u00e9\ud83d\ude00'", "é😀"),
            ("'é'", "é"),
        ] {
            assert_eq!(words(text).unwrap(), [Token::String(expected.into())], "{text}");
        }
        for text in ["'a", r"'\d'", r"'\u12'", r"'\ud800'", "#", "@2015-13", "@T25", "@2015-02-30", "/* a", "`a"] {
            assert!(words(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_dates_end_where_a_step_begins() {
        assert_eq!(words("1.5").unwrap().len(), 1);
        assert_eq!(words("1.a").unwrap()[1..], [Token::Sign("."), Token::Word("a")]);
        assert_eq!(words("@2015.a").unwrap().len(), 3);
        assert_eq!(words("@2015-02-04T14:34:28.123+10:00.a").unwrap().len(), 3);
        assert_eq!(words("@2015-02T // year and month").unwrap().len(), 1);
        assert_eq!(words("a<=b /* c */ !~d").unwrap().len(), 5);
    }
}
