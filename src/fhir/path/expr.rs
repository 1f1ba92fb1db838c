//! A compiled expression: a tree of steps with every name looked up.

use std::sync::OnceLock;

use regex::Regex;

use super::{
    item::{System, Value},
    names::Name,
};
use crate::fhir::definition::types::TypeId;

/// One step, and the steps it takes its input from.
#[derive(Debug)]
pub enum Expr {
    Literal(Value<'static>),
    /// `{}`
    Nothing,
    /// `$this`, and the input of a path that names none.
    This,
    /// `$index`
    Position,
    /// `$total`
    Total,
    Variable(Variable),
    /// A name at the beginning of a path that may be the type of what the path is evaluated on: `Patient.name`.
    Head(TypeId),
    Child {
        of: Box<Expr>,
        /// `None`: no element of R4 has this name.
        name: Option<Name>,
        text: Box<str>,
    },
    /// `[1]`
    At {
        of: Box<Expr>,
        index: Box<Expr>,
    },
    /// `is` as an operator and as a function.
    Is {
        of: Box<Expr>,
        test: TypeTest,
    },
    /// `as` as an operator and as a function, `ofType()`.
    OfType {
        of: Box<Expr>,
        test: TypeTest,
    },
    Call {
        function: Function,
        of: Box<Expr>,
        arguments: Vec<Expr>,
    },
    /// A literal regular expression, compiled when it is first used.
    Pattern(Box<Pattern>),
    Negate(Box<Expr>),
    Union(Vec<Expr>),
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Xor(Box<[Expr; 2]>),
    Implies(Box<[Expr; 2]>),
    Equality {
        sides: Box<[Expr; 2]>,
        /// `~` rather than `=`.
        is_equivalence: bool,
        is_negated: bool,
    },
    Compare {
        sides: Box<[Expr; 2]>,
        operator: Comparison,
    },
    /// `item in set`, `set contains item`
    In {
        item: Box<Expr>,
        set: Box<Expr>,
    },
    Arithmetic {
        sides: Box<[Expr; 2]>,
        operator: Operator,
    },
    /// What gives the same whatever the items it is evaluated for: computed once.
    Once(Box<Once>),
}

/// An expression that gives the same whatever the items it is evaluated for.
#[derive(Debug)]
pub struct Once {
    /// Where the machine keeps what it gives.
    pub slot: usize,
    pub body: Expr,
    /// Whether it stands in an argument that is evaluated for each item.
    pub is_repeated: bool,
    /// Whether items are looked up in it.
    pub is_set: bool,
    /// Whether it gives the same for all elements of a resource: a [`Memo`](super::Memo) may keep it.
    pub is_shared: bool,
}

/// A regular expression and its compiled form.
#[derive(Debug)]
pub struct Pattern {
    pub text: Box<str>,
    pub compiled: OnceLock<Result<Regex, String>>,
}

/// `%name`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// What the whole expression is evaluated on.
    Context,
    Resource,
    RootResource,
    /// A text: `%ucum`, ``%`vs-name` ``.
    Text(String),
    /// One that the scope may bring.
    Named(Box<str>),
}

/// A type to test against: a FHIR type, a System type, or whichever of both has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeTest {
    pub fhir: Option<TypeId>,
    pub system: Option<System>,
    /// Whether a primitive that converts to the System type will do. R4's que-7 says `answer is Boolean`.
    pub converts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Div,
    Mod,
    Concatenate,
}

/// The functions, but for those of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Empty,
    Exists,
    All,
    AllTrue,
    AnyTrue,
    AllFalse,
    AnyFalse,
    SubsetOf,
    SupersetOf,
    IsDistinct,
    Distinct,
    Count,
    Where,
    Select,
    Repeat,
    Aggregate,
    Single,
    First,
    Last,
    Tail,
    Skip,
    Take,
    Intersect,
    Exclude,
    Union,
    Combine,
    Iif,
    Convert(System),
    Converts(System),
    IndexOf,
    LastIndexOf,
    Substring,
    StartsWith,
    EndsWith,
    Contains,
    Upper,
    Lower,
    Replace,
    Matches,
    MatchesFull,
    ReplaceMatches,
    Length,
    ToChars,
    Trim,
    Split,
    Join,
    Abs,
    Ceiling,
    Exp,
    Floor,
    Ln,
    Log,
    Power,
    Round,
    Sqrt,
    Truncate,
    Children,
    Descendants,
    Trace,
    Now,
    Today,
    TimeOfDay,
    Not,
    HasValue,
    GetValue,
    Extension,
    HasExtension,
    Resolve,
    HtmlChecks,
    MemberOf,
    ConformsTo,
    Type,
}

/// What the expressions in a function's brackets see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// What the function's own surroundings see.
    Plain,
    /// Each item of the input, one after the other.
    EachItem,
    /// The whole input.
    Input,
}

type Signature = (&'static str, Function, std::ops::RangeInclusive<usize>);

/// Name, function, how many arguments.
const FUNCTIONS: [Signature; 86] = [
    ("empty", Function::Empty, 0..=0),
    ("exists", Function::Exists, 0..=1),
    ("all", Function::All, 1..=1),
    ("allTrue", Function::AllTrue, 0..=0),
    ("anyTrue", Function::AnyTrue, 0..=0),
    ("allFalse", Function::AllFalse, 0..=0),
    ("anyFalse", Function::AnyFalse, 0..=0),
    ("subsetOf", Function::SubsetOf, 1..=1),
    ("supersetOf", Function::SupersetOf, 1..=1),
    ("isDistinct", Function::IsDistinct, 0..=0),
    ("distinct", Function::Distinct, 0..=0),
    ("count", Function::Count, 0..=0),
    ("where", Function::Where, 1..=1),
    ("select", Function::Select, 1..=1),
    ("repeat", Function::Repeat, 1..=1),
    ("aggregate", Function::Aggregate, 1..=2),
    ("single", Function::Single, 0..=0),
    ("first", Function::First, 0..=0),
    ("last", Function::Last, 0..=0),
    ("tail", Function::Tail, 0..=0),
    ("skip", Function::Skip, 1..=1),
    ("take", Function::Take, 1..=1),
    ("intersect", Function::Intersect, 1..=1),
    ("exclude", Function::Exclude, 1..=1),
    ("union", Function::Union, 1..=1),
    ("combine", Function::Combine, 1..=1),
    ("iif", Function::Iif, 2..=3),
    ("toBoolean", Function::Convert(System::Boolean), 0..=0),
    ("toInteger", Function::Convert(System::Integer), 0..=0),
    ("toDecimal", Function::Convert(System::Decimal), 0..=0),
    ("toDate", Function::Convert(System::Date), 0..=0),
    ("toDateTime", Function::Convert(System::DateTime), 0..=0),
    ("toTime", Function::Convert(System::Time), 0..=0),
    ("toString", Function::Convert(System::String), 0..=0),
    ("toQuantity", Function::Convert(System::Quantity), 0..=1),
    ("convertsToBoolean", Function::Converts(System::Boolean), 0..=0),
    ("convertsToInteger", Function::Converts(System::Integer), 0..=0),
    ("convertsToDecimal", Function::Converts(System::Decimal), 0..=0),
    ("convertsToDate", Function::Converts(System::Date), 0..=0),
    ("convertsToDateTime", Function::Converts(System::DateTime), 0..=0),
    ("convertsToTime", Function::Converts(System::Time), 0..=0),
    ("convertsToString", Function::Converts(System::String), 0..=0),
    ("convertsToQuantity", Function::Converts(System::Quantity), 0..=1),
    ("indexOf", Function::IndexOf, 1..=1),
    ("lastIndexOf", Function::LastIndexOf, 1..=1),
    ("substring", Function::Substring, 1..=2),
    ("startsWith", Function::StartsWith, 1..=1),
    ("endsWith", Function::EndsWith, 1..=1),
    ("contains", Function::Contains, 1..=1),
    ("upper", Function::Upper, 0..=0),
    ("lower", Function::Lower, 0..=0),
    ("replace", Function::Replace, 2..=2),
    ("matches", Function::Matches, 1..=1),
    ("matchesFull", Function::MatchesFull, 1..=1),
    ("replaceMatches", Function::ReplaceMatches, 2..=2),
    ("length", Function::Length, 0..=0),
    ("toChars", Function::ToChars, 0..=0),
    ("trim", Function::Trim, 0..=0),
    ("split", Function::Split, 1..=1),
    ("join", Function::Join, 0..=1),
    ("abs", Function::Abs, 0..=0),
    ("ceiling", Function::Ceiling, 0..=0),
    ("exp", Function::Exp, 0..=0),
    ("floor", Function::Floor, 0..=0),
    ("ln", Function::Ln, 0..=0),
    ("log", Function::Log, 1..=1),
    ("power", Function::Power, 1..=1),
    ("round", Function::Round, 0..=1),
    ("sqrt", Function::Sqrt, 0..=0),
    ("truncate", Function::Truncate, 0..=0),
    ("children", Function::Children, 0..=0),
    ("descendants", Function::Descendants, 0..=0),
    ("trace", Function::Trace, 1..=2),
    ("now", Function::Now, 0..=0),
    ("today", Function::Today, 0..=0),
    ("timeOfDay", Function::TimeOfDay, 0..=0),
    ("not", Function::Not, 0..=0),
    ("hasValue", Function::HasValue, 0..=0),
    ("getValue", Function::GetValue, 0..=0),
    ("extension", Function::Extension, 1..=1),
    ("hasExtension", Function::HasExtension, 1..=1),
    ("resolve", Function::Resolve, 0..=0),
    ("htmlChecks", Function::HtmlChecks, 0..=0),
    ("memberOf", Function::MemberOf, 1..=1),
    ("conformsTo", Function::ConformsTo, 1..=1),
    ("type", Function::Type, 0..=0),
];

impl Function {
    /// The function of this name and how many arguments it takes.
    pub fn named(name: &str) -> Option<&'static Signature> {
        const { &FUNCTIONS }.iter().find(|(known, ..)| *known == name)
    }

    /// What its arguments see.
    pub const fn arguments(self) -> Arguments {
        match self {
            Self::Exists | Self::All | Self::Where | Self::Select | Self::Repeat | Self::Aggregate | Self::Trace => {
                Arguments::EachItem
            }
            Self::Iif => Arguments::Input,
            _ => Arguments::Plain,
        }
    }

    /// Whether it gives one boolean or nothing.
    pub const fn is_boolean(self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::Exists
                | Self::All
                | Self::AllTrue
                | Self::AnyTrue
                | Self::AllFalse
                | Self::AnyFalse
                | Self::SubsetOf
                | Self::SupersetOf
                | Self::IsDistinct
                | Self::Converts(_)
                | Self::StartsWith
                | Self::EndsWith
                | Self::Contains
                | Self::Matches
                | Self::MatchesFull
                | Self::Not
                | Self::HasValue
                | Self::HasExtension
                | Self::HtmlChecks
                | Self::MemberOf
                | Self::ConformsTo
        )
    }

    /// Whether it gives a collection rather than one item or nothing.
    pub const fn is_many(self) -> bool {
        matches!(
            self,
            Self::Distinct
                | Self::Where
                | Self::Select
                | Self::Repeat
                | Self::Aggregate
                | Self::First
                | Self::Tail
                | Self::Skip
                | Self::Take
                | Self::Intersect
                | Self::Exclude
                | Self::Union
                | Self::Combine
                | Self::Iif
                | Self::ToChars
                | Self::Split
                | Self::Children
                | Self::Descendants
                | Self::Trace
                | Self::Extension
                | Self::Resolve
                | Self::Type
        )
    }
}

/// A step of a plain path, as slicing discriminators are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `$this`
    This,
    /// `code`
    Child(String),
    /// `ofType(Quantity)`
    OfType(TypeId),
    /// `resolve()`
    Resolve,
    /// `extension('url')`
    Extension(String),
}

impl Expr {
    /// The expressions that this one is made of.
    pub fn parts_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Child { of, .. } | Self::Is { of, .. } | Self::OfType { of, .. } | Self::Negate(of) => vec![of],
            Self::At { of, index } => vec![of, index],
            Self::In { item, set } => vec![item, set],
            Self::Call { of, arguments, .. } => std::iter::once(&mut **of).chain(arguments).collect(),
            Self::Union(parts) | Self::Any(parts) | Self::All(parts) => parts.iter_mut().collect(),
            Self::Xor(sides)
            | Self::Implies(sides)
            | Self::Equality { sides, .. }
            | Self::Compare { sides, .. }
            | Self::Arithmetic { sides, .. } => sides.iter_mut().collect(),
            Self::Once(once) => vec![&mut once.body],
            Self::Literal(_)
            | Self::Nothing
            | Self::This
            | Self::Position
            | Self::Total
            | Self::Variable(_)
            | Self::Head(_)
            | Self::Pattern(_) => Vec::new(),
        }
    }

    /// The steps of a plain path, the first one first; `None` for anything else.
    pub fn steps(&self) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut at = self;
        loop {
            let (of, step) = match at {
                Self::This => break,
                Self::Head(_) if steps.is_empty() => return None,
                Self::Head(_) => break,
                Self::Child { of, text, .. } => (of, Step::Child(text.to_string())),
                Self::OfType { of, test } => (of, Step::OfType(test.fhir?)),
                Self::Call { function: Function::Resolve, of, .. } => (of, Step::Resolve),
                Self::Call { function: Function::Extension, of, arguments } => match arguments.as_slice() {
                    [Self::Literal(Value::String(url))] => (of, Step::Extension(url.to_string())),
                    _ => return None,
                },
                _ => return None,
            };
            steps.push(step);
            at = of;
        }
        if steps.is_empty() {
            steps.push(Step::This);
        }
        steps.reverse();
        Some(steps)
    }
}
