//! Evaluation. A step pushes its items into a sink as it finds them; a sink that has seen enough answers
//! [`Stop::Enough`], which ends the steps below it and is caught by whoever set the sink up.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    slice,
};

use super::{
    Expression, Scope,
    equality::{Set, equal},
    expr::{Expr, Once, TypeTest, Variable},
    item::{Collection, Item, System, Value},
    memo::Kept,
    names::{self, Name},
};
use crate::fhir::{
    definition::types::Primitive,
    tree::{Node, Tree},
};

mod ask;
mod convert;
mod html;
mod many;
mod math;
mod operators;
mod references;
mod single;
mod text;

/// Why an evaluation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// Several items where one is meant.
    #[error("{what} takes one item, not several")]
    Several { what: &'static str },
    /// An item of a type that does not fit.
    #[error("{what} does not take {found}")]
    Type { what: &'static str, found: String },
    /// More items were looked at than the scope allows.
    #[error("the evaluation takes more steps than allowed")]
    TooCostly,
    /// A regular expression that is none, or is too big.
    #[error("the regular expression {pattern:?} cannot be used: {reason}")]
    Pattern { pattern: String, reason: String },
    /// A variable that the scope does not have.
    #[error("%{name} is not known here")]
    Unknown { name: String },
    /// What the scope has no means for.
    #[error("{what} cannot be answered here")]
    Unavailable { what: &'static str },
}

/// Why a step ends early.
pub enum Stop {
    /// No more items are wanted.
    Enough,
    Fault(Box<EvalError>),
}

impl From<EvalError> for Stop {
    fn from(error: EvalError) -> Self {
        Self::Fault(Box::new(error))
    }
}

pub type Flow = Result<(), Stop>;
pub type Sink<'s, 'a> = dyn FnMut(Item<'a>) -> Flow + 's;

/// What `$this`, `$index` and `$total` are.
#[derive(Clone, Copy)]
pub struct Frame<'f, 'a> {
    pub focus: &'f [Item<'a>],
    pub position: usize,
    pub total: &'f [Item<'a>],
}

impl<'f, 'a> Frame<'f, 'a> {
    /// The frame of one item of a loop.
    pub fn of(self, item: &'f Item<'a>, position: usize) -> Self {
        Frame { focus: slice::from_ref(item), position, total: self.total }
    }
}

/// One evaluation.
pub struct Machine<'m, 'a> {
    scope: &'m Scope<'m, 'a>,
    tree: &'m Tree<'a>,
    names: &'static [Name],
    budget: Cell<u64>,
    expression: &'m Expression,
    kept: RefCell<Vec<Option<Rc<Kept<'a>>>>>,
}

/// A flow that was ended by one's own sink is a flow that ended well.
fn ended(flow: Flow, by_own_sink: bool) -> Flow {
    match flow {
        Err(Stop::Enough) if by_own_sink => Ok(()),
        other => other,
    }
}

impl<'m, 'a> Machine<'m, 'a> {
    pub fn new(scope: &'m Scope<'m, 'a>, expression: &'m Expression) -> Self {
        let kept = RefCell::new(Vec::new());
        Self { scope, tree: scope.tree, names: names::of_fields(), budget: Cell::new(scope.budget), expression, kept }
    }

    pub fn evaluate(&self, expr: &'a Expr) -> Result<Collection<'a>, EvalError> {
        let focus = [Item::Element(self.scope.focus)];
        self.collect(expr, Frame { focus: &focus, position: 0, total: &[] }).map_err(fault)
    }

    pub fn test(&self, expr: &'a Expr) -> Result<Option<bool>, EvalError> {
        let focus = [Item::Element(self.scope.focus)];
        self.boolean(expr, Frame { focus: &focus, position: 0, total: &[] }).map_err(fault)
    }

    /// Pays for steps.
    fn spend(&self, steps: u64) -> Flow {
        match self.budget.get().checked_sub(steps) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(EvalError::TooCostly.into()),
        }
    }

    /// Pushes the items of an expression.
    fn each(&self, expr: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        match expr {
            Expr::This => frame.focus.iter().try_for_each(|item| sink(item.clone())),
            Expr::Child { of, name: Some(name), text } => self.children_named(of, *name, text, frame, sink),
            Expr::Child { of, name: None, text } => self.each(of, frame, &mut |item| self.part(&item, text, sink)),
            Expr::Head(ty) => frame.focus.iter().try_for_each(|item| match item {
                Item::Element(node) if self.tree.ty(*node).is_some_and(|of| self.tree.types().is_a(of, *ty)) => {
                    sink(item.clone())
                }
                _ => Ok(()),
            }),
            Expr::OfType { of, test } => {
                self.each(of, frame, &mut |item| if self.is(&item, *test) { sink(item) } else { Ok(()) })
            }
            Expr::Union(parts) => self.union(parts, frame, sink),
            Expr::Once(once) => self.each_kept(once, frame, sink),
            Expr::Variable(Variable::Named(name)) => self.variable(name, sink),
            Expr::At { of, index } => self.item_at(of, index, frame, sink),
            Expr::Call { function, of, arguments } if function.is_many() => {
                self.many(*function, of, arguments, frame, sink)
            }
            _ => match self.one(expr, frame)? {
                Some(item) => sink(item),
                None => Ok(()),
            },
        }
    }

    /// The one item that an expression gives, if any. Several are an error.
    fn one(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<Item<'a>>, Stop> {
        match expr {
            Expr::Literal(value) => Ok(Some(Item::Value(value.clone()))),
            Expr::Nothing => Ok(None),
            Expr::Position => Ok(Some(Item::Value(Value::Integer(i32::try_from(frame.position).unwrap_or(i32::MAX))))),
            Expr::Pattern(pattern) => Ok(Some(Item::Value(Value::String((&*pattern.text).into())))),
            Expr::Variable(Variable::Context) => Ok(Some(Item::Element(self.scope.focus))),
            Expr::Variable(Variable::Resource) => Ok(Some(Item::Element(self.scope.resource))),
            Expr::Variable(Variable::RootResource) => Ok(Some(Item::Element(self.scope.root))),
            Expr::Variable(Variable::Text(text)) => Ok(Some(Item::Value(Value::String(text.as_str().into())))),
            Expr::Negate(of) => self.negate(of, frame),
            Expr::Arithmetic { sides, operator } => self.arithmetic(&sides[0], &sides[1], *operator, frame),
            Expr::Call { function, of, arguments } if !function.is_boolean() && !function.is_many() => {
                self.single(*function, of, arguments, frame)
            }
            _ if is_boolean(expr) => Ok(self.boolean(expr, frame)?.map(Item::from)),
            Expr::Total => single_of(frame.total),
            Expr::This => single_of(frame.focus),
            _ => {
                let mut found = None;
                self.each(expr, frame, &mut |item| match found {
                    None => {
                        found = Some(item);
                        Ok(())
                    }
                    Some(_) => Err(EvalError::Several { what: "this operation" }.into()),
                })?;
                Ok(found)
            }
        }
    }

    /// What an expression says as a condition.
    fn boolean(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        match expr {
            Expr::Call { function, of, arguments } if function.is_boolean() => {
                self.ask(*function, of, arguments, frame)
            }
            Expr::Any(parts) => self.any_of(parts, frame),
            Expr::All(parts) => self.all_of(parts, frame),
            Expr::Equality { sides, is_equivalence, is_negated } => {
                let found = if *is_equivalence {
                    self.sides_equivalent(&sides[0], &sides[1], frame).map(Some)
                } else {
                    self.sides_equal(&sides[0], &sides[1], frame)
                };
                found.map(|found| found.map(|found| found != *is_negated))
            }
            Expr::Compare { sides, operator } => self.compare(&sides[0], &sides[1], *operator, frame),
            Expr::Implies(sides) => self.implies(&sides[0], &sides[1], frame),
            Expr::Xor(sides) => {
                let (left, right) = (self.boolean(&sides[0], frame)?, self.boolean(&sides[1], frame)?);
                Ok(left.zip(right).map(|(left, right)| left != right))
            }
            Expr::In { item, set } => self.is_in(item, set, frame),
            Expr::Is { of, test } => Ok(self.one(of, frame)?.map(|item| self.is(&item, *test))),
            Expr::Once(_) => {
                let mut found = None;
                self.each(expr, frame, &mut |item| match found {
                    None => {
                        found = Some(item);
                        Ok(())
                    }
                    Some(_) => Err(EvalError::Several { what: "a condition" }.into()),
                })?;
                Ok(found.and_then(|item| self.condition(&item)))
            }
            _ => Ok(self.one(expr, frame)?.and_then(|item| self.condition(&item))),
        }
    }

    /// Whether a condition holds; nothing counts as no.
    fn holds(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<bool, Stop> {
        self.boolean(expr, frame).map(|found| found == Some(true))
    }

    /// One item as a condition.
    fn condition(&self, item: &Item<'a>) -> Option<bool> {
        match item {
            Item::Value(Value::Boolean(value)) => Some(*value),
            Item::Element(node) if self.primitive(*node) == Some(Primitive::Boolean) => {
                match Value::of(self.tree, *node)? {
                    Value::Boolean(value) => Some(value),
                    _ => Some(true),
                }
            }
            _ => Some(true),
        }
    }

    fn primitive(&self, node: Node) -> Option<Primitive> {
        self.tree.ty(node).and_then(|ty| self.tree.types().primitive(ty))
    }

    /// All items of an expression.
    fn collect(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<Collection<'a>, Stop> {
        let mut items = Collection::default();
        self.each(expr, frame, &mut |item| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    /// Whether an expression gives anything.
    fn gives_any(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<bool, Stop> {
        if let (Expr::Child { of, name: Some(name), .. }, [Item::Element(node)]) = (expr, frame.focus)
            && matches!(**of, Expr::This)
        {
            // `name.exists()`: nothing is pushed.
            self.spend(1)?;
            return Ok(self.tree.children(*node).any(|child| self.name(child) == Some(*name)));
        }
        let mut is_any = false;
        let flow = self.each(expr, frame, &mut |_| {
            is_any = true;
            Err(Stop::Enough)
        });
        ended(flow, is_any)?;
        Ok(is_any)
    }

    fn name(&self, node: Node) -> Option<Name> {
        names::of_field(self.names, self.tree.field_id(node)?)
    }

    fn children_named(
        &self,
        of: &'a Expr,
        name: Name,
        text: &'a str,
        frame: Frame<'_, 'a>,
        sink: &mut Sink<'_, 'a>,
    ) -> Flow {
        if let (Expr::This, [Item::Element(node)]) = (of, frame.focus) {
            return self.named(*node, name, sink);
        }
        self.each(of, frame, &mut |item| match item {
            Item::Element(node) => self.named(node, name, sink),
            other => self.part(&other, text, sink),
        })
    }

    fn named(&self, node: Node, name: Name, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut steps = 0;
        for child in self.tree.children(node) {
            steps += 1;
            if self.name(child) == Some(name) {
                self.spend(std::mem::take(&mut steps))?;
                sink(Item::Element(child))?;
            }
        }
        self.spend(steps)
    }

    /// The parts of items that are no elements.
    fn part(&self, item: &Item<'a>, name: &str, sink: &mut Sink<'_, 'a>) -> Flow {
        match (item, name) {
            (Item::Type(ty), "name") => sink(Item::Value(Value::String(ty.name.into()))),
            (Item::Type(ty), "namespace") => sink(Item::Value(Value::String(ty.namespace.into()))),
            _ => Ok(()),
        }
    }

    fn item_at(&self, of: &'a Expr, index: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let Some(index) = self.integer(index, frame, "an index")? else { return Ok(()) };
        let Ok(mut left) = usize::try_from(index) else { return Ok(()) };
        let mut is_done = false;
        let flow = self.each(of, frame, &mut |item| {
            if left > 0 {
                left -= 1;
                return Ok(());
            }
            sink(item)?;
            is_done = true;
            Err(Stop::Enough)
        });
        ended(flow, is_done)
    }

    fn union(&self, parts: &'a [Expr], frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut seen = Set::new();
        for part in parts {
            self.each(part, frame, &mut |item| if seen.insert(self.tree, &item) { sink(item) } else { Ok(()) })?;
        }
        Ok(())
    }

    fn variable(&self, name: &str, sink: &mut Sink<'_, 'a>) -> Flow {
        let found = self.scope.variables.iter().find(|(known, _)| *known == name);
        let (_, items) = found.ok_or_else(|| EvalError::Unknown { name: name.to_owned() })?;
        items.iter().try_for_each(|item| sink(item.clone()))
    }

    /// What is computed once: now, if it was not before.
    fn kept(&self, once: &'a Once, frame: Frame<'_, 'a>) -> Result<Rc<Kept<'a>>, Stop> {
        if let Some(Some(kept)) = self.kept.borrow().get(once.slot) {
            return Ok(Rc::clone(kept));
        }
        let kept = match self.scope.memo.filter(|_| once.is_shared) {
            None => Rc::new(self.keep(once, frame)?),
            Some(memo) => {
                let key = (self.expression.number, once.slot, self.scope.resource, self.scope.root);
                match memo.kept(&key) {
                    Some(kept) => kept,
                    None => memo.keep(key, self.keep(once, frame)?.into_owned()),
                }
            }
        };
        let mut slots = self.kept.borrow_mut();
        slots.resize(self.expression.slots, None);
        slots[once.slot] = Some(Rc::clone(&kept));
        Ok(kept)
    }

    fn keep(&self, once: &'a Once, frame: Frame<'_, 'a>) -> Result<Kept<'a>, Stop> {
        let items = self.collect(&once.body, frame)?;
        let set = once.is_set.then(|| Set::of(self.tree, &items));
        Ok(Kept { items, set })
    }

    /// Whether it pays to keep what an expression gives.
    fn is_kept(&self, once: &Once) -> bool {
        once.is_repeated || (once.is_shared && self.scope.memo.is_some())
    }

    fn each_kept(&self, once: &'a Once, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        if !self.is_kept(once) {
            return self.each(&once.body, frame, sink);
        }
        let kept = self.kept(once, frame)?;
        for item in &kept.items {
            self.spend(1)?;
            sink(item.clone())?;
        }
        Ok(())
    }

    /// Whether an item equals one of those that an expression gives.
    fn is_among(&self, item: &Item<'a>, set: &'a Expr, frame: Frame<'_, 'a>) -> Result<bool, Stop> {
        if let Expr::Once(once) = set
            && self.is_kept(once)
        {
            let kept = self.kept(once, frame)?;
            self.spend(1)?;
            return Ok(kept.set.as_ref().is_some_and(|set| set.contains(self.tree, item)));
        }
        if let Expr::Union(parts) = set {
            for part in parts {
                if self.is_among(item, part, frame)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let mut is_found = false;
        let flow = self.each(set, frame, &mut |other| {
            is_found = equal(self.tree, &other, item) == Some(true);
            if is_found { Err(Stop::Enough) } else { Ok(()) }
        });
        ended(flow, is_found)?;
        Ok(is_found)
    }

    /// Whether an item is of a type.
    fn is(&self, item: &Item<'a>, test: TypeTest) -> bool {
        let types = self.tree.types();
        match item {
            Item::Element(node) => {
                let Some(ty) = self.tree.ty(*node) else { return false };
                let converts = || test.converts && types.primitive(ty).map(System::of) == test.system;
                test.fhir.is_some_and(|wanted| types.is_a(ty, wanted)) || (test.system.is_some() && converts())
            }
            Item::Value(value) => test.system == Some(value.system()),
            Item::Target(ty) => test.fhir.is_some_and(|wanted| types.is_a(*ty, wanted)),
            Item::Type(_) => false,
        }
    }
}

/// Whether [`Machine::boolean`] knows how to evaluate it.
fn is_boolean(expr: &Expr) -> bool {
    match expr {
        Expr::Once(once) => is_boolean(&once.body),
        Expr::Call { function, .. } => function.is_boolean(),
        Expr::Any(_)
        | Expr::All(_)
        | Expr::Xor(_)
        | Expr::Implies(_)
        | Expr::Equality { .. }
        | Expr::Compare { .. }
        | Expr::In { .. }
        | Expr::Is { .. } => true,
        _ => false,
    }
}

fn single_of<'a>(items: &[Item<'a>]) -> Result<Option<Item<'a>>, Stop> {
    match items {
        [] => Ok(None),
        [item] => Ok(Some(item.clone())),
        _ => Err(EvalError::Several { what: "this operation" }.into()),
    }
}

fn fault(stop: Stop) -> EvalError {
    match stop {
        Stop::Fault(error) => *error,
        // No sink is set up here, so nobody can have had enough.
        Stop::Enough => EvalError::TooCostly,
    }
}
