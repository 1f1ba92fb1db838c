//! Functions that give collections.

use super::{EvalError, Flow, Frame, Item, Machine, Sink, Stop, ended};
use crate::fhir::{
    path::{
        equality::Set,
        expr::{Expr, Function},
        item::{Collection, System, TypeName, Value},
        names::Name,
    },
    tree::Node,
};

impl<'a> Machine<'_, 'a> {
    pub(super) fn many(
        &self,
        function: Function,
        of: &'a Expr,
        arguments: &'a [Expr],
        frame: Frame<'_, 'a>,
        sink: &mut Sink<'_, 'a>,
    ) -> Flow {
        match (function, arguments) {
            (Function::Where, [criteria]) => self.filter(of, criteria, frame, sink),
            (Function::Select, [projection]) => self.select(of, projection, frame, sink),
            (Function::Repeat, [projection]) => self.repeat(of, projection, frame, sink),
            (Function::Aggregate, [step, start @ ..]) => self.aggregate(of, step, start.first(), frame, sink),
            (Function::First, []) => self.take(of, 1, frame, sink),
            (Function::Tail, []) => self.skip(of, 1, frame, sink),
            (Function::Skip, [count]) => {
                let count = self.integer(count, frame, "skip()")?;
                count.map_or(Ok(()), |count| self.skip(of, count, frame, sink))
            }
            (Function::Take, [count]) => {
                let count = self.integer(count, frame, "take()")?;
                count.map_or(Ok(()), |count| self.take(of, count, frame, sink))
            }
            (Function::Distinct, []) => {
                let mut seen = Set::new();
                self.each(of, frame, &mut |item| if seen.insert(self.tree, &item) { sink(item) } else { Ok(()) })
            }
            (Function::Union, [other]) => {
                let mut seen = Set::new();
                [of, other].into_iter().try_for_each(|part| {
                    self.each(part, frame, &mut |item| if seen.insert(self.tree, &item) { sink(item) } else { Ok(()) })
                })
            }
            (Function::Combine, [other]) => {
                self.each(of, frame, sink)?;
                self.each(other, frame, sink)
            }
            (Function::Intersect, [other]) => self.intersect(of, other, frame, sink),
            (Function::Exclude, [other]) => self.exclude(of, other, frame, sink),
            (Function::Iif, [condition, then, otherwise @ ..]) => {
                self.iif(of, [condition, then], otherwise.first(), frame, sink)
            }
            (Function::ToChars, []) => self.characters(of, frame, sink),
            (Function::Split, [separator]) => self.split(of, separator, frame, sink),
            (Function::Children, []) => self.each(of, frame, &mut |item| self.children(&item, sink)),
            (Function::Descendants, []) => self.each(of, frame, &mut |item| self.descendants(&item, sink)),
            (Function::Trace, [name, projection @ ..]) => self.trace(of, name, projection.first(), frame, sink),
            (Function::Extension, [url]) => self.extension(of, url, frame, sink),
            (Function::Resolve, []) => self.each(of, frame, &mut |item| self.resolve(&item, sink)),
            (Function::Type, []) => self.each(of, frame, &mut |item| self.type_of(&item, sink)),
            _ => Ok(()),
        }
    }

    fn filter(&self, of: &'a Expr, criteria: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut position = 0;
        self.each(of, frame, &mut |item| {
            let is_in = self.holds(criteria, frame_of(frame, &item, &mut position))?;
            if is_in { sink(item) } else { Ok(()) }
        })
    }

    fn select(&self, of: &'a Expr, projection: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut position = 0;
        self.each(of, frame, &mut |item| self.each(projection, frame_of(frame, &item, &mut position), sink))
    }

    /// Takes up each item once, so that it ends: N1 section 5.2.3.
    fn repeat(&self, of: &'a Expr, projection: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut seen = Set::new();
        let mut queue = self.collect(of, frame)?;
        while !queue.is_empty() {
            let mut next = Collection::default();
            for item in &queue {
                self.spend(1)?;
                self.each(projection, frame.of(item, 0), &mut |found| {
                    if seen.insert(self.tree, &found) {
                        next.push(found);
                    }
                    Ok(())
                })?;
            }
            next.iter().try_for_each(|item| sink(item.clone()))?;
            queue = next;
        }
        Ok(())
    }

    fn aggregate(
        &self,
        of: &'a Expr,
        step: &'a Expr,
        start: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
        sink: &mut Sink<'_, 'a>,
    ) -> Flow {
        let mut total = start.map(|start| self.collect(start, frame)).transpose()?.unwrap_or_default();
        let mut position = 0;
        self.each(of, frame, &mut |item| {
            self.spend(1 + total.len() as u64)?;
            let inner = Frame { total: total.as_slice(), ..frame_of(frame, &item, &mut position) };
            total = self.collect(step, inner)?;
            Ok(())
        })?;
        total.into_vec().into_iter().try_for_each(sink)
    }

    fn take(&self, of: &'a Expr, count: i32, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        if count <= 0 {
            return Ok(());
        }
        let mut left = count;
        let flow = self.each(of, frame, &mut |item| {
            sink(item)?;
            left -= 1;
            if left == 0 { Err(Stop::Enough) } else { Ok(()) }
        });
        ended(flow, left == 0)
    }

    fn skip(&self, of: &'a Expr, count: i32, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut left = count;
        self.each(of, frame, &mut |item| {
            if left > 0 {
                left -= 1;
                return Ok(());
            }
            sink(item)
        })
    }

    /// The items of an expression as a set.
    pub(super) fn set(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<Set<'a>, Stop> {
        let mut set = Set::new();
        self.each(expr, frame, &mut |item| {
            set.insert(self.tree, &item);
            Ok(())
        })?;
        Ok(set)
    }

    fn intersect(&self, of: &'a Expr, other: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let mut seen = Set::new();
        self.within(of, other, frame, &mut |item, is_in| {
            if is_in && seen.insert(self.tree, &item) { sink(item) } else { Ok(()) }
        })
    }

    fn exclude(&self, of: &'a Expr, other: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        self.within(of, other, frame, &mut |item, is_in| if is_in { Ok(()) } else { sink(item) })
    }

    /// Pushes each item of `of`, and whether it is among those of `other`.
    pub(super) fn within(
        &self,
        of: &'a Expr,
        other: &'a Expr,
        frame: Frame<'_, 'a>,
        sink: &mut dyn FnMut(Item<'a>, bool) -> Flow,
    ) -> Flow {
        if let Expr::Once(once) = other
            && self.is_kept(once)
        {
            return self.each(of, frame, &mut |item| {
                let is_in = self.is_among(&item, other, frame)?;
                sink(item, is_in)
            });
        }
        let set = self.set(other, frame)?;
        self.each(of, frame, &mut |item| {
            let is_in = set.contains(self.tree, &item);
            sink(item, is_in)
        })
    }

    fn iif(
        &self,
        of: &'a Expr,
        [condition, then]: [&'a Expr; 2],
        otherwise: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
        sink: &mut Sink<'_, 'a>,
    ) -> Flow {
        let input;
        let inner = if matches!(of, Expr::This) {
            frame
        } else {
            input = self.collect(of, frame)?;
            Frame { focus: input.as_slice(), ..frame }
        };
        let branch = if self.holds(condition, inner)? { Some(then) } else { otherwise };
        branch.map_or(Ok(()), |branch| self.each(branch, inner, sink))
    }

    fn characters(&self, of: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let Some(text) = self.text(of, frame, "toChars()")? else { return Ok(()) };
        text.chars().try_for_each(|c| {
            self.spend(1)?;
            sink(Item::Value(Value::String(c.to_string().into())))
        })
    }

    fn split(&self, of: &'a Expr, separator: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let Some(text) = self.text(of, frame, "split()")? else { return Ok(()) };
        let Some(separator) = self.text(separator, frame, "split()")? else { return Ok(()) };
        text.split(&*separator).filter(|_| !separator.is_empty()).try_for_each(|part| {
            self.spend(1)?;
            sink(Item::Value(Value::String(part.to_owned().into())))
        })
    }

    pub(super) fn children(&self, item: &Item<'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let Item::Element(node) = item else { return Ok(()) };
        self.tree.children(*node).try_for_each(|child| {
            self.spend(1)?;
            sink(Item::Element(child))
        })
    }

    /// Everything below an element, each before what is in it.
    fn descendants(&self, item: &Item<'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let Item::Element(top) = item else { return Ok(()) };
        let mut open = Vec::with_capacity(16);
        open.push(self.tree.children(*top));
        while let Some(last) = open.last_mut() {
            let Some(node) = last.next() else {
                open.pop();
                continue;
            };
            self.spend(1)?;
            open.push(self.tree.children(node));
            sink(Item::Element(node))?;
        }
        Ok(())
    }

    fn trace(
        &self,
        of: &'a Expr,
        name: &'a Expr,
        projection: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
        sink: &mut Sink<'_, 'a>,
    ) -> Flow {
        let Some(hooks) = self.scope.hooks else { return self.each(of, frame, sink) };
        let name = self.text(name, frame, "trace()")?.unwrap_or_default();
        let mut position = 0;
        self.each(of, frame, &mut |item| {
            match projection {
                None => hooks.trace(&name, &item),
                Some(projection) => self.each(projection, frame_of(frame, &item, &mut position), &mut |shown| {
                    hooks.trace(&name, &shown);
                    Ok(())
                })?,
            }
            sink(item)
        })
    }

    fn extension(&self, of: &'a Expr, url: &'a Expr, frame: Frame<'_, 'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let Some(url) = self.text(url, frame, "extension()")? else { return Ok(()) };
        self.each(of, frame, &mut |item| match item {
            Item::Element(node) => self.extensions(node, &url, sink),
            _ => Ok(()),
        })
    }

    pub(super) fn extensions(&self, node: Node, url: &str, sink: &mut Sink<'_, 'a>) -> Flow {
        let Some(name) = Name::of("extension") else { return Ok(()) };
        self.named(node, name, &mut |item| match item {
            Item::Element(one) if self.tree.str(one, "url").as_deref() == Some(url) => sink(item),
            _ => Ok(()),
        })
    }

    fn type_of(&self, item: &Item<'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let types = self.tree.types();
        let name = match item {
            Item::Value(value) => TypeName { namespace: "System", name: System::name(value.system()) },
            Item::Target(ty) => TypeName { namespace: "FHIR", name: &types.ty(*ty).name },
            Item::Element(node) => match self.tree.kind(*node) {
                // The parts of a resource that have no type of their own.
                Some(ty) if ty.name.contains('.') => TypeName { namespace: "FHIR", name: "BackboneElement" },
                Some(ty) => TypeName { namespace: "FHIR", name: &ty.name },
                None => return Ok(()),
            },
            Item::Type(_) => return Err(EvalError::Type { what: "type()", found: "a type".to_owned() }.into()),
        };
        sink(Item::Type(name))
    }
}

/// The frame of the next item of a loop.
fn frame_of<'f, 'a>(frame: Frame<'f, 'a>, item: &'f Item<'a>, position: &mut usize) -> Frame<'f, 'a> {
    let inner = frame.of(item, *position);
    *position += 1;
    inner
}
