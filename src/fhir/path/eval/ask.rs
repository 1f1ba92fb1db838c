//! Functions that answer yes or no.

use super::{EvalError, Flow, Frame, Item, Machine, Stop, ended};
use crate::fhir::path::{
    equality::Set,
    expr::{Expr, Function},
    item::Value,
};

type Answer = Result<Option<bool>, Stop>;

impl<'a> Machine<'_, 'a> {
    pub(super) fn ask(&self, function: Function, of: &'a Expr, arguments: &'a [Expr], frame: Frame<'_, 'a>) -> Answer {
        match (function, arguments) {
            (Function::Exists, []) => self.gives_any(of, frame).map(Some),
            (Function::Empty, _) => self.gives_any(of, frame).map(|any| Some(!any)),
            (Function::Exists, [criteria]) => {
                self.any(of, frame, |item, frame| self.holds(criteria, frame.of(item, frame.position)).map(Some))
            }
            (Function::All, [criteria]) => self
                .any(of, frame, |item, frame| {
                    self.holds(criteria, frame.of(item, frame.position)).map(|yes| Some(!yes))
                })
                .map(negated),
            (Function::AnyTrue, _) => self.any(of, frame, |item, _| self.truth(item)),
            (Function::AnyFalse, _) => self.any(of, frame, |item, _| self.truth(item).map(negated)),
            (Function::AllTrue, _) => self.any(of, frame, |item, _| self.truth(item).map(negated)).map(negated),
            (Function::AllFalse, _) => self.any(of, frame, |item, _| self.truth(item)).map(negated),
            (Function::Not, _) => self.boolean(of, frame).map(negated),
            (Function::HasValue, _) => self.has_value(of, frame),
            (Function::IsDistinct, _) => {
                let mut seen = Set::new();
                self.any(of, frame, |item, _| Ok(Some(!seen.insert(self.tree, item)))).map(negated)
            }
            (Function::SubsetOf, [other]) => self.is_subset(of, other, frame),
            (Function::SupersetOf, [other]) => self.is_subset(other, of, frame),
            (Function::Converts(to), arguments) => self.converts(to, of, arguments.first(), frame),
            (Function::StartsWith, [part]) => {
                self.texts(of, part, frame, "startsWith()", |text, part| text.starts_with(part))
            }
            (Function::EndsWith, [part]) => {
                self.texts(of, part, frame, "endsWith()", |text, part| text.ends_with(part))
            }
            (Function::Contains, [part]) => self.texts(of, part, frame, "contains()", |text, part| text.contains(part)),
            (Function::Matches | Function::MatchesFull, [pattern]) => {
                self.matches(of, pattern, function == Function::MatchesFull, frame)
            }
            (Function::HasExtension, [url]) => {
                let Some(url) = self.text(url, frame, "hasExtension()")? else { return Ok(None) };
                self.any(of, frame, |item, _| {
                    let Item::Element(node) = item else { return Ok(None) };
                    let mut is_found = false;
                    let flow = self.extensions(*node, &url, &mut |_| {
                        is_found = true;
                        Err(Stop::Enough)
                    });
                    ended(flow, is_found)?;
                    Ok(Some(is_found))
                })
            }
            (Function::HtmlChecks, _) => self.html_checks(of, frame),
            (Function::MemberOf, [value_set]) => self.member_of(of, value_set, frame),
            (Function::ConformsTo, [profile]) => self.conforms_to(of, profile, frame),
            _ => Ok(None),
        }
    }

    /// Whether any item answers yes; the frame counts the items.
    fn any(
        &self,
        of: &'a Expr,
        frame: Frame<'_, 'a>,
        mut answer: impl FnMut(&Item<'a>, Frame<'_, 'a>) -> Answer,
    ) -> Answer {
        let (mut is_any, mut position) = (false, 0);
        let flow: Flow = self.each(of, frame, &mut |item| {
            is_any = answer(&item, Frame { position, ..frame })? == Some(true);
            position += 1;
            if is_any { Err(Stop::Enough) } else { Ok(()) }
        });
        ended(flow, is_any)?;
        Ok(Some(is_any))
    }

    /// An item that is to be a boolean.
    fn truth(&self, item: &Item<'a>) -> Answer {
        match item.value(self.tree) {
            Some(Value::Boolean(value)) => Ok(Some(value)),
            None if item.node().is_some() => Ok(None),
            _ => Err(EvalError::Type { what: "a test of truth", found: self.described(item) }.into()),
        }
    }

    /// One primitive that has a value (fhirpath.html#functions).
    fn has_value(&self, of: &'a Expr, frame: Frame<'_, 'a>) -> Answer {
        if let (Expr::This, [item]) = (of, frame.focus) {
            return Ok(Some(self.holds_value(item)));
        }
        let (mut count, mut has_value) = (0, false);
        let flow = self.each(of, frame, &mut |item| {
            count += 1;
            has_value = count == 1 && self.holds_value(&item);
            if count > 1 { Err(Stop::Enough) } else { Ok(()) }
        });
        ended(flow, count > 1)?;
        Ok(Some(has_value))
    }

    fn holds_value(&self, item: &Item<'a>) -> bool {
        match item {
            Item::Element(node) => self.primitive(*node).is_some() && self.tree.value(*node).is_some(),
            Item::Value(_) => true,
            Item::Target(_) | Item::Type(_) => false,
        }
    }

    fn is_subset(&self, of: &'a Expr, whole: &'a Expr, frame: Frame<'_, 'a>) -> Answer {
        let mut is_subset = true;
        let flow = self.within(of, whole, frame, &mut |_, is_in| {
            is_subset = is_in;
            if is_in { Ok(()) } else { Err(Stop::Enough) }
        });
        ended(flow, !is_subset)?;
        Ok(Some(is_subset))
    }

    fn member_of(&self, of: &'a Expr, value_set: &'a Expr, frame: Frame<'_, 'a>) -> Answer {
        let (Some(item), Some(value_set)) = (self.one(of, frame)?, self.text(value_set, frame, "memberOf()")?) else {
            return Ok(None);
        };
        let hooks = self.scope.hooks.ok_or(EvalError::Unavailable { what: "memberOf()" })?;
        Ok(hooks.member_of(self.tree, &item, &value_set))
    }

    fn conforms_to(&self, of: &'a Expr, profile: &'a Expr, frame: Frame<'_, 'a>) -> Answer {
        let (Some(item), Some(profile)) = (self.one(of, frame)?, self.text(profile, frame, "conformsTo()")?) else {
            return Ok(None);
        };
        let hooks = self.scope.hooks.ok_or(EvalError::Unavailable { what: "conformsTo()" })?;
        Ok(item.node().and_then(|node| hooks.conforms_to(self.tree, node, &profile)))
    }
}

/// The opposite; nothing stays nothing.
const fn negated(answer: Option<bool>) -> Option<bool> {
    match answer {
        Some(answer) => Some(!answer),
        None => None,
    }
}
