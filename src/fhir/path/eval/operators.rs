//! Operators that answer yes or no, in three-valued logic (FHIRPath N1 sections 6.1 to 6.5).

use std::cmp::Ordering;

use super::{EvalError, Frame, Item, Machine, Stop, is_boolean};
use crate::fhir::path::{
    equality::{all_equivalent, compare, equal},
    expr::{Comparison, Expr},
    item::Value,
};

impl<'a> Machine<'_, 'a> {
    pub(super) fn any_of(&self, parts: &'a [Expr], frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        let mut found = Some(false);
        for part in parts {
            match self.boolean(part, frame)? {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => found = None,
            }
        }
        Ok(found)
    }

    pub(super) fn all_of(&self, parts: &'a [Expr], frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        let mut found = Some(true);
        for part in parts {
            match self.boolean(part, frame)? {
                Some(false) => return Ok(Some(false)),
                Some(true) => {}
                None => found = None,
            }
        }
        Ok(found)
    }

    pub(super) fn implies(&self, left: &'a Expr, right: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        match self.boolean(left, frame)? {
            Some(false) => Ok(Some(true)),
            Some(true) => self.boolean(right, frame),
            None => Ok(self.boolean(right, frame)?.filter(|right| *right)),
        }
    }

    pub(super) fn sides_equal(
        &self,
        left: &'a Expr,
        right: &'a Expr,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<bool>, Stop> {
        if is_boolean(left) && is_boolean(right) {
            let (left, right) = (self.boolean(left, frame)?, self.boolean(right, frame)?);
            return Ok(left.zip(right).map(|(left, right)| left == right));
        }
        let left = self.collect(left, frame)?;
        if left.is_empty() {
            return Ok(None);
        }
        if let ([item], Expr::Literal(value)) = (left.as_slice(), right) {
            return Ok(equal(self.tree, item, &Item::Value(value.clone())));
        }
        let right = self.collect(right, frame)?;
        if right.is_empty() {
            return Ok(None);
        }
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        let mut found = Some(true);
        for (left, right) in left.iter().zip(&right) {
            match equal(self.tree, left, right) {
                Some(false) => return Ok(Some(false)),
                Some(true) => {}
                None => found = None,
            }
        }
        Ok(found)
    }

    pub(super) fn sides_equivalent(&self, left: &'a Expr, right: &'a Expr, frame: Frame<'_, 'a>) -> Result<bool, Stop> {
        let (left, right) = (self.collect(left, frame)?, self.collect(right, frame)?);
        if left.len() == right.len() {
            // In the worst order each is compared with each, up to a limit.
            self.spend((left.len() as u64).min(1_000).pow(2) / 2)?;
        }
        Ok(all_equivalent(self.tree, left.as_slice(), right.as_slice()))
    }

    pub(super) fn compare(
        &self,
        left: &'a Expr,
        right: &'a Expr,
        operator: Comparison,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<bool>, Stop> {
        let (Some(left), Some(right)) = (self.one(left, frame)?, self.one(right, frame)?) else { return Ok(None) };
        let order = if let (Item::Value(Value::Integer(a)), Item::Value(Value::Integer(b))) = (&left, &right) {
            Some(a.cmp(b))
        } else {
            self.order(&left, &right)?
        };
        Ok(order.map(|order| match operator {
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        }))
    }

    fn order(&self, left: &Item<'a>, right: &Item<'a>) -> Result<Option<Ordering>, Stop> {
        let (Some(a), Some(b)) = (self.comparable(left)?, self.comparable(right)?) else { return Ok(None) };
        compare(&a, &b).map_err(|()| {
            let found = format!("{} and {}", self.described(left), self.described(right));
            EvalError::Type { what: "a comparison", found }.into()
        })
    }

    /// The value of an item that is compared; `None` for an element without one.
    fn comparable(&self, item: &Item<'a>) -> Result<Option<Value<'a>>, Stop> {
        if let Some(value) = item.value(self.tree) {
            return Ok(Some(value));
        }
        let types = self.tree.types();
        let may_lack = |node| {
            let ty = self.tree.ty(node);
            ty.is_some_and(|ty| types.primitive(ty).is_some() || types.is_a(ty, types.known.quantity))
        };
        if item.node().is_some_and(may_lack) {
            return Ok(None);
        }
        Err(EvalError::Type { what: "a comparison", found: self.described(item) }.into())
    }

    pub(super) fn is_in(&self, item: &'a Expr, set: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        let Some(item) = self.one(item, frame)? else { return Ok(None) };
        self.is_among(&item, set, frame).map(Some)
    }

    /// What an item is, for messages.
    pub(super) fn described(&self, item: &Item<'a>) -> String {
        match item {
            Item::Element(node) => {
                self.tree.kind(*node).map_or_else(|| "an element".to_owned(), |ty| ty.name.to_string())
            }
            Item::Value(value) => value.system().name().to_owned(),
            Item::Target(ty) => format!("a {} elsewhere", self.tree.types().ty(*ty).name),
            Item::Type(_) => "a type".to_owned(),
        }
    }
}
