//! What a search asks for.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::Digest;
use crate::fhir::outcome::Issue;

/// A search, understood: every parameter is known and well formed, or recorded in [`Query::ignored`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The types searched; empty: all (a system search without `_type`).
    pub types: Vec<String>,
    /// No type was named, neither by the path nor by `_type`: of these types those are searched that may be.
    pub is_open: bool,
    /// All of them hold.
    pub filters: Vec<Filter>,
    pub includes: Vec<Include>,
    pub revincludes: Vec<Include>,
    pub sort: Vec<SortKey>,
    /// `_count`; 0 counts only.
    pub count: Option<u32>,
    pub total: Option<Total>,
    pub summary: Option<Summary>,
    /// `_elements`; empty: all.
    pub elements: Vec<String>,
    /// What is told of all that is found and brought along; `None`: everything. No parameter of a search says it, operations
    /// do.
    pub only: Option<Only>,
    /// The parameters that were used, as they were given and in their order: the `self` link.
    pub used: Vec<(String, String)>,
    /// What was not used and why (lenient handling): a warning each.
    pub ignored: Vec<Issue>,
}

/// What is told of the results; the others only lead to what they refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Empty: all.
    pub types: Vec<String>,
    /// Made or changed then or later, in microseconds since 1970.
    pub since: Option<i64>,
}

impl Only {
    /// Whether a resource of this type and `meta.lastUpdated` is told.
    pub fn tells(&self, type_name: &str, updated: OffsetDateTime) -> bool {
        let is_of_type = self.types.is_empty() || self.types.iter().any(|own| own == type_name);
        let micros = updated.unix_timestamp_nanos() / 1000;
        is_of_type && self.since.is_none_or(|since| micros >= i128::from(since))
    }
}

impl Query {
    /// The types on which its conditions depend beside those searched: where chains and `_has` lead, and List for `_list`.
    pub fn touched(&self) -> BTreeSet<&str> {
        let mut touched = BTreeSet::new();
        self.filters.iter().for_each(|filter| filter.touch(&mut touched));
        touched
    }

    /// How many values its conditions look for.
    pub fn values(&self) -> usize {
        self.filters.iter().map(Filter::values).sum()
    }
}

/// One condition on a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// `_id`: one of them.
    Ids(Vec<String>),
    /// None of these ids. No parameter asks for it: it is for conditions whose answer changes meanwhile.
    OtherThan(Vec<String>),
    /// `_lastUpdated`: one of them.
    Updated(Vec<Comparison<i64>>),
    /// The index holds something that one of these finds.
    Any(Vec<Lookup>),
    /// The index holds nothing that any of these finds: `:not`, `:missing=true`, `:not-in`.
    None(Vec<Lookup>),
    /// One of these groups is found in one slot: all its lookups in one element instance.
    Composite(Vec<Vec<Lookup>>),
    /// A reference leads to a resource that fulfils conditions.
    Chain(Chain),
    /// A resource that fulfils conditions refers to this one.
    Has(Has),
    /// `_text`: words of the narrative.
    Text(String),
    /// `_content`: words of the whole.
    Content(String),
    /// `_list`: an item of this List.
    List(String),
    /// In the compartment of a resource.
    Compartment(Compartment),
    /// One of them holds (`_has` and chains with several values stay one [`Filter`] each).
    Either(Vec<Filter>),
    /// Nothing is found: a value that no resource can have.
    Nothing,
}

impl Filter {
    fn touch<'f>(&'f self, touched: &mut BTreeSet<&'f str>) {
        match self {
            Self::Chain(chain) => {
                for target in &chain.targets {
                    touched.insert(&target.type_name);
                    target.filters.iter().for_each(|filter| filter.touch(touched));
                }
            }
            Self::Has(has) => {
                touched.insert(&has.type_name);
                has.filters.iter().for_each(|filter| filter.touch(touched));
            }
            Self::Either(filters) => filters.iter().for_each(|filter| filter.touch(touched)),
            Self::List(_) => drop(touched.insert("List")),
            Self::Ids(_)
            | Self::OtherThan(_)
            | Self::Updated(_)
            | Self::Any(_)
            | Self::None(_)
            | Self::Composite(_)
            | Self::Text(_)
            | Self::Content(_)
            | Self::Compartment(_)
            | Self::Nothing => {}
        }
    }

    fn values(&self) -> usize {
        match self {
            Self::Ids(ids) | Self::OtherThan(ids) => ids.len(),
            Self::Updated(times) => times.len(),
            Self::Any(lookups) | Self::None(lookups) => lookups.iter().map(Lookup::values).sum(),
            Self::Composite(groups) => groups.iter().flatten().map(Lookup::values).sum(),
            Self::Either(filters) => filters.iter().map(Self::values).sum(),
            Self::Chain(_)
            | Self::Has(_)
            | Self::Text(_)
            | Self::Content(_)
            | Self::List(_)
            | Self::Compartment(_)
            | Self::Nothing => 1,
        }
    }
}

/// `subject:Patient.name=x`
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The number of the reference parameter.
    pub parameter: i32,
    /// The types that the reference may lead to and that know the next parameter, each with the conditions on it: one of
    /// them is fulfilled.
    pub targets: Vec<Target>,
}

/// A type and the conditions on resources of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub type_name: String,
    pub filters: Vec<Filter>,
}

/// `_has:Observation:patient:code=x`
#[derive(Clone, Debug, PartialEq)]
pub struct Has {
    /// The type that refers.
    pub type_name: String,
    /// The number of its reference parameter.
    pub parameter: i32,
    /// The type that is referred to: that of the resources searched.
    pub target_type: String,
    pub filters: Vec<Filter>,
}

/// Membership in a compartment: a reference under one of the parameters leads to its resource (or it is that resource).
#[derive(Clone, Debug, PartialEq)]
pub struct Compartment {
    pub type_name: String,
    pub id: String,
    /// For each type searched: the numbers of the parameters that CompartmentDefinition names; the resource itself where
    /// it names none and the type is the compartment's own.
    pub parameters: Vec<(String, Vec<i32>)>,
}

/// One look into the index.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// Any of these digests.
    Tokens(Vec<Digest>),
    /// Folded text begins with this.
    Begins {
        parameter: i32,
        folded: String,
    },
    /// Folded text contains this.
    Contains {
        parameter: i32,
        folded: String,
    },
    /// The very text; `folded` narrows it down.
    Exact {
        parameter: i32,
        folded: String,
        exact: String,
    },
    /// The very URI.
    Uri {
        parameter: i32,
        uri: String,
    },
    /// This URL or one below it: `uri` ends with no slash; what follows it is nothing or a slash. (URNs have no hierarchy.)
    Below {
        parameter: i32,
        uri: String,
    },
    /// One of these URLs: the given one and those above it, each with and without a slash at its end.
    Above {
        parameter: i32,
        uris: Vec<String>,
    },
    Time {
        parameter: i32,
        comparison: Comparison<i64>,
    },
    /// One value that all of these hold of: what several conditions on a parameter come to that has one value at most
    /// ([`Parameter::is_single`](super::Parameter::is_single)).
    Span {
        parameter: i32,
        comparisons: Vec<Comparison<i64>>,
    },
    /// `low` and `high` are decimal texts.
    Quantity {
        parameter: i32,
        comparison: Comparison<String>,
        unit: UnitTest,
    },
    /// A reference to any of these: (type, id); `None`: any type of this server; the empty type: a URL.
    References {
        parameter: i32,
        targets: Vec<(Option<String>, String)>,
    },
    /// Any value at all, by the table that holds it: `:missing=false`.
    Present(Part),
}

impl Lookup {
    fn values(&self) -> usize {
        match self {
            Self::Tokens(digests) => digests.len(),
            Self::Above { uris, .. } => uris.len(),
            Self::References { targets, .. } => targets.len(),
            Self::Span { comparisons, .. } => comparisons.len(),
            Self::Begins { .. }
            | Self::Contains { .. }
            | Self::Exact { .. }
            | Self::Uri { .. }
            | Self::Below { .. }
            | Self::Time { .. }
            | Self::Quantity { .. }
            | Self::Present(_) => 1,
        }
    }
}

/// In which table a parameter's values stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Token(Digest),
    String(i32),
    Time(i32),
    Quantity(i32),
    Reference(i32),
}

/// A prefix and the range that the value stands for by its precision: `[low, high)` (search.html#prefix). A number with
/// another prefix than eq, ne and ap stands for itself: low and high are the same, and so are those of a resource's number.
///
/// With the range of the resource's value `[l, h)`: eq: l ≥ low and h ≤ high; ne: not eq; gt: h > high; lt: l < low;
/// ge: h > high or eq; le: l < low or eq; sa: l ≥ high; eb: h ≤ low; ap: overlaps `[low, high)`, which is already widened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison<T> {
    pub prefix: Prefix,
    pub low: T,
    pub high: T,
}

/// FHIR R4 valueset-search-comparator.html.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

/// What a quantity search says of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitTest {
    /// Nothing.
    Any,
    /// `number||unit`: the code or the unit as displayed.
    CodeOrUnit(String),
    /// `number|system|code`
    Coded { system: String, code: String },
    /// `number|system|`
    System(String),
}

/// `_include`, `_revinclude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The type that refers; for `*`: `None`.
    pub source: Option<String>,
    /// The numbers of the reference parameters; for `*`: all that there are, of the source or of every type in question.
    pub parameters: Vec<i32>,
    /// Only targets of this type.
    pub target: Option<String>,
    /// `:iterate` (and STU3's `:recurse`): also of what was included.
    pub iterate: bool,
}

/// One key of `_sort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    pub by: SortBy,
    pub direction: Direction,
}

/// What is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    Id,
    Updated,
    Part(Part),
}

/// Of one key of `_sort`: descending with a minus sign in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

/// `_total`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    None,
    Estimate,
    Accurate,
}

/// `_summary`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    True,
    Text,
    Data,
    Count,
    False,
}

impl Summary {
    /// As a query says it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "true" => Self::True,
            "text" => Self::Text,
            "data" => Self::Data,
            "count" => Self::Count,
            "false" => Self::False,
            _ => return None,
        })
    }
}
