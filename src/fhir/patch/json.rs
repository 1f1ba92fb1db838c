//! JSON Patch (RFC 6902) with JSON Pointer (RFC 6901).

use std::sync::Arc;

use super::{Budget, MOST_OPERATIONS, Refused, malformed, unfitting, value::Value};
use crate::fhir::{
    json::{Doc, Kind, Limits, Ref},
    outcome::IssueType,
};

/// A JSON Patch document.
#[derive(Clone, Debug)]
pub struct JsonPatch {
    operations: Arc<[Operation]>,
    length: usize,
}

#[derive(Debug)]
enum Operation {
    Add { path: Pointer, value: Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: Value },
}

/// The reference tokens of a JSON Pointer, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer(Vec<String>);

impl Pointer {
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let tokens = text.strip_prefix('/')?.split('/').map(|token| {
            // A tilde stands in front of 0 and 1 only.
            let is_escaped = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            is_escaped.then(|| token.replace("~1", "/").replace("~0", "~"))
        });
        tokens.collect::<Option<_>>().map(Self)
    }

    /// As it is written.
    fn text(&self) -> String {
        self.0.iter().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1"))).collect()
    }

    fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

impl JsonPatch {
    /// Reads a patch document: an array of operations.
    pub fn read(text: &str, limits: &Limits) -> Result<Self, Refused> {
        let doc = Doc::parse(text, limits).map_err(|error| malformed(error.to_string(), ""))?;
        if doc.root().kind() != Kind::Array {
            return Err(malformed("a JSON Patch is an array of operations (RFC 6902 section 3)", ""));
        }
        if doc.root().items().count() > MOST_OPERATIONS {
            return Err(malformed(format!("a patch has at most {MOST_OPERATIONS} operations"), ""));
        }
        let operations = doc.root().items().enumerate().map(|(at, one)| operation(at, one));
        Ok(Self { operations: operations.collect::<Result<_, _>>()?, length: text.len() })
    }

    /// The length of its text, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The value after all operations; none has happened when one of them cannot.
    pub(super) fn apply(&self, root: Value, budget: &mut Budget) -> Result<Value, Refused> {
        let mut run = Run { size: root.size(), root, at: 0, budget };
        for (at, operation) in self.operations.iter().enumerate() {
            run.at = at;
            run.apply(operation)?;
            run.budget.check_size(run.size)?;
        }
        Ok(run.root)
    }
}

fn operation(at: usize, one: Ref<'_>) -> Result<Operation, Refused> {
    let place = format!("[{at}]");
    let pointer = |name: &str| {
        let text = one.str(name).ok_or_else(|| malformed(format!("expected the string {name}"), &place))?;
        let wrong = || malformed(format!("'{text}' is no JSON Pointer (RFC 6901), such as /name/0/family"), &place);
        Pointer::read(&text).ok_or_else(wrong)
    };
    let value = || one.get("value").map(Value::of).ok_or_else(|| malformed("expected the member value", &place));
    Ok(match one.str("op").as_deref() {
        Some("add") => Operation::Add { path: pointer("path")?, value: value()? },
        Some("remove") => Operation::Remove { path: pointer("path")? },
        Some("replace") => Operation::Replace { path: pointer("path")?, value: value()? },
        Some("move") => Operation::Move { from: pointer("from")?, path: pointer("path")? },
        Some("copy") => Operation::Copy { from: pointer("from")?, path: pointer("path")? },
        Some("test") => Operation::Test { path: pointer("path")?, value: value()? },
        _ => return Err(malformed("expected op to be add, remove, replace, move, copy or test", &place)),
    })
}

/// The operations of one patch, being done.
struct Run<'b> {
    root: Value,
    /// The root's, at least.
    size: usize,
    /// Which operation is done.
    at: usize,
    budget: &'b mut Budget,
}

impl Run<'_> {
    fn apply(&mut self, operation: &Operation) -> Result<(), Refused> {
        match operation {
            Operation::Add { path, value } => {
                let copy = self.copied(value)?;
                self.add(path, copy)
            }
            Operation::Remove { path } => self.remove(path).map(drop),
            Operation::Replace { path, value } => {
                let copy = self.copied(value)?;
                self.budget.check_depth(path.0.len(), &copy)?;
                *self.find(path, &path.0)? = copy;
                Ok(())
            }
            Operation::Move { from, path } => {
                if path.is_below(from) {
                    let text = format!("operation {}: '{}' cannot move into itself", self.at, from.text());
                    return Err(unfitting(IssueType::Value, text));
                }
                let value = self.remove(from)?;
                self.budget.pay(value.size())?;
                self.add(path, value)
            }
            Operation::Copy { from, path } => {
                let size = self.find(from, &from.0)?.size();
                self.grow(size)?;
                let copy = self.find(from, &from.0)?.clone();
                self.add(path, copy)
            }
            Operation::Test { path, value } => {
                let size = value.size();
                self.budget.pay(size)?;
                let found = self.find(path, &path.0)?;
                let is_equal = found == value;
                if is_equal {
                    return Ok(());
                }
                let text =
                    format!("operation {}: the value at '{}' is not the one that was tested for", self.at, path.text());
                Err(unfitting(IssueType::Conflict, text))
            }
        }
    }

    fn copied(&mut self, value: &Value) -> Result<Value, Refused> {
        self.grow(value.size())?;
        Ok(value.clone())
    }

    /// Before so much is copied.
    fn grow(&mut self, size: usize) -> Result<(), Refused> {
        self.size += size;
        self.budget.check_size(self.size)?;
        self.budget.pay(size)
    }

    fn absent(&self, pointer: &Pointer) -> Refused {
        unfitting(IssueType::NotFound, format!("operation {}: there is nothing at '{}'", self.at, pointer.text()))
    }

    /// The value at the first `tokens` of a pointer.
    fn find(&mut self, pointer: &Pointer, tokens: &[String]) -> Result<&mut Value, Refused> {
        let absent = self.absent(pointer);
        let (mut at, budget) = (&mut self.root, &mut *self.budget);
        for token in tokens {
            budget.pay(1 + at.width())?;
            let next = match at {
                Value::Object(_) => at.member_mut(token),
                Value::Array(items) => index(token).and_then(|index| items.get_mut(index)),
                Value::Scalar(_) => None,
            };
            let Some(next) = next else { return Err(absent) };
            at = next;
        }
        // What is done with it passes its children.
        budget.pay(1 + at.width())?;
        Ok(at)
    }

    fn add(&mut self, pointer: &Pointer, value: Value) -> Result<(), Refused> {
        self.budget.check_depth(pointer.0.len(), &value)?;
        let Some((last, parents)) = pointer.0.split_last() else {
            self.size = value.size();
            self.root = value;
            return Ok(());
        };
        let absent = self.absent(pointer);
        match self.find(pointer, parents)? {
            object @ Value::Object(_) => object.set_member(last, value),
            Value::Array(items) => {
                let at = if last == "-" { Some(items.len()) } else { index(last).filter(|at| *at <= items.len()) };
                items.insert(at.ok_or(absent)?, value);
            }
            Value::Scalar(_) => return Err(absent),
        }
        // The name, and what stands around it.
        self.size += last.len() + 4;
        Ok(())
    }

    fn remove(&mut self, pointer: &Pointer) -> Result<Value, Refused> {
        let absent = self.absent(pointer);
        let Some((last, parents)) = pointer.0.split_last() else {
            let text = format!("operation {}: the whole resource cannot be removed", self.at);
            return Err(unfitting(IssueType::Value, text));
        };
        let removed = match self.find(pointer, parents)? {
            object @ Value::Object(_) => object.remove_member(last),
            Value::Array(items) => index(last).filter(|at| *at < items.len()).map(|at| items.remove(at)),
            Value::Scalar(_) => None,
        };
        removed.ok_or(absent)
    }
}

/// An array index: no sign, no leading zero (RFC 6901 section 4).
fn index(token: &str) -> Option<usize> {
    let is_index = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    if is_index { token.parse().ok() } else { None }
}
