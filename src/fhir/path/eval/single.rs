//! Functions that give one item or nothing.

use super::{EvalError, Frame, Item, Machine, Stop};
use crate::fhir::path::{
    expr::{Expr, Function},
    item::Value,
    temporal::DateTime,
};

impl<'a> Machine<'_, 'a> {
    pub(super) fn single(
        &self,
        function: Function,
        of: &'a Expr,
        arguments: &'a [Expr],
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Item<'a>>, Stop> {
        match function {
            Function::Count => self.count(of, frame).map(Some),
            Function::Single => self.one(of, frame),
            Function::Last => {
                let mut last = None;
                self.each(of, frame, &mut |item| {
                    last = Some(item);
                    Ok(())
                })?;
                Ok(last)
            }
            Function::Convert(to) => self.convert(to, of, arguments.first(), frame),
            Function::Join => self.join(of, arguments.first(), frame),
            Function::GetValue => match self.one(of, frame)? {
                Some(item) => Ok(item.into_value(self.tree).map(Item::Value)),
                None => Ok(None),
            },
            Function::Now | Function::Today | Function::TimeOfDay => self.clock(function).map(Some),
            Function::Abs
            | Function::Ceiling
            | Function::Exp
            | Function::Floor
            | Function::Ln
            | Function::Log
            | Function::Power
            | Function::Round
            | Function::Sqrt
            | Function::Truncate => self.mathematics(function, of, arguments, frame),
            _ => self.of_text(function, of, arguments, frame),
        }
    }

    fn count(&self, of: &'a Expr, frame: Frame<'_, 'a>) -> Result<Item<'a>, Stop> {
        let mut count = 0_i32;
        if let [Item::Element(node)] = frame.focus {
            // `name.count()` and `children().count()`: nothing is pushed.
            let wanted = match of {
                Expr::Child { of, name, .. } if matches!(**of, Expr::This) => Some(*name),
                Expr::Call { function: Function::Children, of, .. } if matches!(**of, Expr::This) => Some(None),
                _ => None,
            };
            let is_children = matches!(of, Expr::Call { .. });
            if let Some(name) = wanted {
                let children = self.tree.children(*node);
                let found =
                    children.filter(|child| is_children || (name.is_some() && self.name(*child) == name)).count();
                self.spend(1 + found as u64)?;
                return Ok(Item::Value(Value::Integer(i32::try_from(found).unwrap_or(i32::MAX))));
            }
        }
        self.each(of, frame, &mut |_| {
            count = count.saturating_add(1);
            Ok(())
        })?;
        Ok(Item::Value(Value::Integer(count)))
    }

    fn clock(&self, function: Function) -> Result<Item<'a>, Stop> {
        let now = self.scope.now.ok_or(EvalError::Unavailable { what: "the time" })?;
        let now = DateTime::of(now);
        Ok(Item::Value(match (function, now.time) {
            (Function::Today, _) => Value::Date(now.date),
            (Function::TimeOfDay, Some(time)) => Value::Time(time),
            _ => Value::DateTime(now),
        }))
    }
}
