//! Strings (FHIRPath N1 section 5.6).

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::{EvalError, Frame, Item, Machine, Stop};
use crate::fhir::path::{
    expr::{Expr, Function, Pattern},
    item::Value,
};

/// Bytes of a compiled regular expression: one of the standard's, with its `{1,64}`, has a tenth of this.
const PATTERN_SIZE: usize = 4 << 20;

impl<'a> Machine<'_, 'a> {
    /// The one string that an expression gives. A primitive that JSON writes as a string is one, whatever its type.
    pub(super) fn text(
        &self,
        expr: &'a Expr,
        frame: Frame<'_, 'a>,
        what: &'static str,
    ) -> Result<Option<Cow<'a, str>>, Stop> {
        let Some(item) = self.one(expr, frame)? else { return Ok(None) };
        let found = match &item {
            Item::Value(Value::String(text)) => return Ok(Some(text.clone())),
            Item::Element(node) if self.primitive(*node).is_some() => match self.tree.value(*node) {
                None => return Ok(None),
                Some(json) => json.as_str(),
            },
            _ => None,
        };
        found.map(Some).ok_or_else(|| EvalError::Type { what, found: self.described(&item) }.into())
    }

    /// Asks something of two strings.
    pub(super) fn texts(
        &self,
        of: &'a Expr,
        part: &'a Expr,
        frame: Frame<'_, 'a>,
        what: &'static str,
        answer: impl Fn(&str, &str) -> bool,
    ) -> Result<Option<bool>, Stop> {
        let Some(text) = self.text(of, frame, what)? else { return Ok(None) };
        let part = self.text(part, frame, what)?;
        self.spend(text.len() as u64 / 64)?;
        Ok(part.map(|part| answer(&text, &part)))
    }

    pub(super) fn matches(
        &self,
        of: &'a Expr,
        pattern: &'a Expr,
        is_whole: bool,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<bool>, Stop> {
        let Some(text) = self.text(of, frame, "matches()")? else { return Ok(None) };
        self.spend(text.len() as u64 / 16)?;
        if let Expr::Pattern(pattern) = pattern {
            return pattern.regex().map(|regex| Some(regex.is_match(&text)));
        }
        let Some(pattern) = self.text(pattern, frame, "matches()")? else { return Ok(None) };
        let pattern = if is_whole { format!("^(?:{pattern})$") } else { pattern.into_owned() };
        Ok(Some(self.compiled(&pattern)?.is_match(&text)))
    }

    /// A pattern that is not written in the expression: paid for each time.
    fn compiled(&self, pattern: &str) -> Result<Regex, Stop> {
        self.spend(1_000 + 10 * pattern.len() as u64)?;
        compile(pattern).map_err(|reason| EvalError::Pattern { pattern: pattern.to_owned(), reason }.into())
    }

    fn replace_matches(
        &self,
        text: &str,
        pattern: &'a Expr,
        with: &'a Expr,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<String>, Stop> {
        let compiled;
        let regex = if let Expr::Pattern(pattern) = pattern {
            pattern.regex()?
        } else {
            let Some(pattern) = self.text(pattern, frame, "replaceMatches()")? else { return Ok(None) };
            compiled = self.compiled(&pattern)?;
            &compiled
        };
        let Some(with) = self.text(with, frame, "replaceMatches()")? else { return Ok(None) };
        self.spend((text.len() as u64 + 1) * (with.len() as u64 + 16) / 16)?;
        Ok(Some(regex.replace_all(text, groups(&with)).into_owned()))
    }

    pub(super) fn of_text(
        &self,
        function: Function,
        of: &'a Expr,
        arguments: &'a [Expr],
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Item<'a>>, Stop> {
        let Some(text) = self.text(of, frame, "a function of strings")? else { return Ok(None) };
        self.spend(text.len() as u64 / 16)?;
        let string = |text: String| Value::String(Cow::Owned(text));
        let found = match (function, arguments) {
            (Function::Length, _) => Some(count(text.chars().count())),
            (Function::Upper, _) => Some(string(text.to_uppercase())),
            (Function::Lower, _) => Some(string(text.to_lowercase())),
            (Function::Trim, _) => Some(string(text.trim().to_owned())),
            (Function::IndexOf | Function::LastIndexOf, [part]) => {
                let Some(part) = self.text(part, frame, "indexOf()")? else { return Ok(None) };
                let at = if function == Function::IndexOf { text.find(&*part) } else { text.rfind(&*part) };
                Some(at.map_or(Value::Integer(-1), |at| count(text[..at].chars().count())))
            }
            (Function::Substring, [start, length @ ..]) => {
                self.substring(&text, start, length.first(), frame)?.map(string)
            }
            (Function::Replace, [pattern, with]) => {
                let pattern = self.text(pattern, frame, "replace()")?;
                let Some((pattern, with)) = pattern.zip(self.text(with, frame, "replace()")?) else { return Ok(None) };
                self.spend((text.len() as u64 + 1) * (with.len() as u64 + 16) / 16)?;
                Some(string(text.replace(&*pattern, &with)))
            }
            (Function::ReplaceMatches, [pattern, with]) => {
                self.replace_matches(&text, pattern, with, frame)?.map(string)
            }
            _ => None,
        };
        Ok(found.map(Item::Value))
    }

    fn substring(
        &self,
        text: &str,
        start: &'a Expr,
        length: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<String>, Stop> {
        let Some(start) = self.integer(start, frame, "substring()")? else { return Ok(None) };
        // An empty length is no length (section 5.6.2).
        let length = length.map(|length| self.integer(length, frame, "substring()")).transpose()?.flatten();
        let Ok(start) = usize::try_from(start) else { return Ok(None) };
        let Some((from, _)) = text.char_indices().nth(start) else { return Ok(None) };
        let length = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or_default());
        Ok(Some(text[from..].chars().take(length).collect()))
    }

    pub(super) fn join(
        &self,
        of: &'a Expr,
        separator: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Item<'a>>, Stop> {
        let separator = match separator {
            Some(separator) => self.text(separator, frame, "join()")?.unwrap_or_default(),
            None => Cow::Borrowed(""),
        };
        let mut joined: Option<String> = None;
        self.each(of, frame, &mut |item| {
            let Some(part) = item.value(self.tree) else { return Ok(()) };
            let Value::String(part) = part else {
                return Err(EvalError::Type { what: "join()", found: self.described(&item) }.into());
            };
            self.spend((part.len() + separator.len()) as u64 / 64)?;
            match &mut joined {
                None => joined = Some(part.into_owned()),
                Some(joined) => {
                    joined.push_str(&separator);
                    joined.push_str(&part);
                }
            }
            Ok(())
        })?;
        Ok(joined.map(|text| Item::Value(Value::String(text.into()))))
    }
}

fn count<'a>(number: usize) -> Value<'a> {
    Value::Integer(i32::try_from(number).unwrap_or(i32::MAX))
}

impl Pattern {
    /// The compiled form.
    fn regex(&self) -> Result<&Regex, Stop> {
        let compiled = self.compiled.get_or_init(|| compile(&self.text));
        let fault = |reason: &String| EvalError::Pattern { pattern: self.text.to_string(), reason: reason.clone() };
        compiled.as_ref().map_err(|reason| fault(reason).into())
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&portable(pattern)).dot_matches_new_line(true).size_limit(PATTERN_SIZE).build();
    built.map_err(|error| error.to_string())
}

/// What other engines take literally inside brackets and this one does not: `[`, and doubled `&`, `-` and `~`.
fn portable(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains('[') {
        return Cow::Borrowed(pattern);
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut is_class, mut is_escaped, mut before) = (false, false, ' ');
    for c in pattern.chars() {
        let is_doubled = matches!(c, '&' | '-' | '~') && before == c;
        if is_class && !is_escaped && (c == '[' || is_doubled) {
            out.push('\\');
        }
        out.push(c);
        before = if is_escaped { ' ' } else { c };
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '[' => is_class = true,
            ']' => is_class = false,
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// A replacement's `$1` and `${name}`, as the expression's author meant them: `$1a` is group 1 and an `a`.
fn groups(with: &str) -> Cow<'_, str> {
    if !with.contains('$') {
        return Cow::Borrowed(with);
    }
    let mut out = String::with_capacity(with.len() + 4);
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            out.push_str(&format!("${{{}}}", &rest[..digits]));
            rest = &rest[digits..];
        } else if rest.starts_with('{') {
            out.push('$');
        } else {
            out.push_str("$$");
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
