//! JSON Patch (RFC 6902) with JSON Pointer (RFC 6901).

use super::{
    MOST_OPERATIONS, Refused, malformed, unfitting,
    value::{Step, Value},
};
use crate::fhir::{
    json::{Doc, Kind, Limits, Ref},
    outcome::IssueType,
};

/// A JSON Patch document.
#[derive(Clone, Debug)]
pub struct JsonPatch {
    operations: Vec<Operation>,
    length: usize,
}

#[derive(Clone, Debug)]
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
        let operations: Vec<_> =
            doc.root().items().enumerate().map(|(at, one)| operation(at, one)).collect::<Result<_, _>>()?;
        if operations.len() > MOST_OPERATIONS {
            return Err(malformed(format!("a patch has at most {MOST_OPERATIONS} operations"), ""));
        }
        Ok(Self { operations, length: text.len() })
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The value after all operations; none has happened when one of them cannot.
    pub(super) fn apply(&self, mut value: Value, budget: usize) -> Result<Value, Refused> {
        let mut size = value.size();
        for (at, operation) in self.operations.iter().enumerate() {
            size += apply(&mut value, operation, at)?;
            if size > budget {
                return Err(unfitting(IssueType::TooLong, "the patched resource would be too large"));
            }
        }
        Ok(value)
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

/// Does one operation and returns how much the value grew at most.
fn apply(root: &mut Value, operation: &Operation, at: usize) -> Result<usize, Refused> {
    let absent = |pointer: &Pointer| {
        unfitting(IssueType::NotFound, format!("operation {at}: there is nothing at '{}'", pointer.text()))
    };
    match operation {
        Operation::Add { path, value } => {
            add(root, path, value.clone()).ok_or_else(|| absent(path))?;
            Ok(value.size())
        }
        Operation::Remove { path } => remove(root, path).ok_or_else(|| absent(path)).map(|_| 0),
        Operation::Replace { path, value } => {
            *find(root, &path.0).ok_or_else(|| absent(path))? = value.clone();
            Ok(value.size())
        }
        Operation::Move { from, path } => {
            if path.is_below(from) {
                let text = format!("operation {at}: '{}' cannot move into itself", from.text());
                return Err(unfitting(IssueType::Value, text));
            }
            let value = remove(root, from).ok_or_else(|| absent(from))?;
            add(root, path, value).ok_or_else(|| absent(path))?;
            Ok(0)
        }
        Operation::Copy { from, path } => {
            let value = find(root, &from.0).ok_or_else(|| absent(from))?.clone();
            let grown = value.size();
            add(root, path, value).ok_or_else(|| absent(path))?;
            Ok(grown)
        }
        Operation::Test { path, value } => {
            let found = find(root, &path.0).ok_or_else(|| absent(path))?;
            if found == value {
                return Ok(0);
            }
            let text = format!("operation {at}: the value at '{}' is not the one that was tested for", path.text());
            Err(unfitting(IssueType::Conflict, text))
        }
    }
}

/// An array index: no sign, no leading zero (RFC 6901 section 4).
fn index(token: &str) -> Option<usize> {
    let is_index = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    if is_index { token.parse().ok() } else { None }
}

fn find<'v>(root: &'v mut Value, tokens: &[String]) -> Option<&'v mut Value> {
    let mut path = Vec::with_capacity(tokens.len());
    let mut at: &Value = root;
    for token in tokens {
        at = match at {
            Value::Object(_) => {
                path.push(Step::Member(token.clone()));
                at.member(token)?
            }
            Value::Array(items) => {
                let index = index(token)?;
                path.push(Step::Item(index));
                items.get(index)?
            }
            Value::Scalar(_) => return None,
        };
    }
    root.at_mut(&path)
}

fn add(root: &mut Value, path: &Pointer, value: Value) -> Option<()> {
    let Some((last, parents)) = path.0.split_last() else {
        *root = value;
        return Some(());
    };
    match find(root, parents)? {
        object @ Value::Object(_) => object.set_member(last, value),
        Value::Array(items) => {
            let at = if last == "-" { items.len() } else { index(last).filter(|at| *at <= items.len())? };
            items.insert(at, value);
        }
        Value::Scalar(_) => return None,
    }
    Some(())
}

fn remove(root: &mut Value, path: &Pointer) -> Option<Value> {
    let (last, parents) = path.0.split_last()?;
    match find(root, parents)? {
        object @ Value::Object(_) => object.remove_member(last),
        Value::Array(items) => {
            let at = index(last).filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        Value::Scalar(_) => None,
    }
}
