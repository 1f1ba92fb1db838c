//! From one parameter's name and value to the conditions it puts on a resource.

use super::{
    Handling, Request, compare,
    lookup::{Modified, Subject, part},
    reference::{may_lead_to, types_of},
    refusal::{Refusal, told},
    split::{split, unescape},
};
use crate::fhir::{
    definition::parameter::Kind,
    search::{Filter, Lookup, Modifier, Parameter, fold},
    types::{is_id, is_resource},
};

/// Bytes of a value that cost as much as one code.
const BYTES_PER_STEP: usize = 64;
/// What a look-up costs that is a condition of its own in the statement: codes are looked up all at once.
pub const LOOKUP: usize = 4;
/// What a type costs that a chain or `_has` leads to: a statement within the statement.
pub const LINK: usize = 50;

/// Reads conditions, and stops at what would be too much to look up.
pub struct Reader<'r> {
    pub request: &'r Request<'r>,
    /// What may still be spent, over all parameters of the query; see [`super::SearchLimits::max_cost`].
    left: usize,
}

impl<'r> Reader<'r> {
    /// With all of `max_cost` left.
    pub fn new(request: &'r Request<'r>) -> Self {
        Self { request, left: request.limits.max_cost }
    }

    /// Takes a cost.
    pub fn spend(&mut self, cost: usize) -> Result<(), Refusal> {
        let refusal = || Refusal::costly("the search looks up too much at once; fewer types or values cost less");
        self.left = self.left.checked_sub(cost).ok_or_else(refusal)?;
        Ok(())
    }

    /// What may still be spent.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// The conditions of one parameter on resources of `types`; all of them hold. `depth`: how many references lead here.
    pub fn filters(&mut self, types: &[&str], name: &str, value: &str, depth: usize) -> Result<Vec<Filter>, Refusal> {
        self.spend(LOOKUP)?;
        if value.trim().is_empty() {
            return Err(Refusal::unknown("has no value"));
        }
        if name == "_has" || name.starts_with("_has:") {
            return self.has(types, name, value, depth);
        }
        if let Some((link, next)) = name.split_once('.') {
            return self.chain(types, link, next, value, depth);
        }
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        if let Some(found) = self.without_rows(code, modifier, value) {
            // Bundle, Binary and Parameters have no _text.
            if let [type_name] = types {
                self.parameter(types, type_name, code)?;
            }
            return found;
        }
        if let ([type_name], "url", None, [url, version]) =
            (types, code, modifier, split(value, '|').collect::<Vec<_>>().as_slice())
            && let Some(found) = self.versioned(type_name, url, version)
        {
            return found;
        }
        let mut merged: Option<Filter> = None;
        for type_name in types {
            let parameter = self.parameter(types, type_name, code)?;
            let found = self.of_parameter(parameter, modifier, value)?;
            merged = Some(match merged {
                Some(before) => merge(before, found),
                None => found,
            });
        }
        Ok(merged.into_iter().collect())
    }

    /// The parameter of one of the types searched.
    pub fn parameter(&self, types: &[&str], type_name: &str, code: &str) -> Result<&'r Parameter, Refusal> {
        self.request.parameters.find(type_name, code).ok_or_else(|| {
            Refusal::unknown(match types {
                [_] => format!("{type_name} has no search parameter {}", told(code)),
                _ => format!("{} is not a search parameter of all types that are searched", told(code)),
            })
        })
    }

    /// The alternatives of a value, escapes and all.
    fn alternatives<'v>(&self, value: &'v str) -> Result<Vec<&'v str>, Refusal> {
        let all: Vec<&str> = split(value, ',').take(self.request.limits.max_values + 1).collect();
        if all.len() > self.request.limits.max_values {
            return Err(Refusal::costly(format!("has more than {} values", self.request.limits.max_values)));
        }
        let full: Vec<&str> = all.iter().copied().filter(|one| !one.trim().is_empty()).collect();
        if full.is_empty() || (full.len() < all.len() && self.request.handling == Handling::Strict) {
            return Err(Refusal::unknown("has an empty value"));
        }
        Ok(full)
    }

    /// The alternatives, each as it is meant.
    fn texts(&self, value: &str) -> Result<Vec<String>, Refusal> {
        let texts = self.alternatives(value)?.into_iter();
        texts.map(|text| unescape(text).ok_or_else(|| Refusal::escape(text))).collect()
    }

    /// The parameters that every type has and that stand in no index; `None`: it is another.
    fn without_rows(
        &mut self,
        code: &str,
        modifier: Option<&str>,
        value: &str,
    ) -> Option<Result<Vec<Filter>, Refusal>> {
        if !matches!(code, "_id" | "_lastUpdated" | "_text" | "_content" | "_list") {
            return None;
        }
        Some(match modifier {
            None => self.texts(value).and_then(|texts| self.of_row(code, texts)).map(|filter| vec![filter]),
            // Every resource has both.
            Some("missing") if matches!(code, "_id" | "_lastUpdated") => {
                missing(value).map(|is_missing| if is_missing { vec![Filter::Nothing] } else { Vec::new() })
            }
            Some(modifier) => Err(Refusal::unsupported(format!("does not take the modifier {}", told(modifier)))),
        })
    }

    fn of_row(&mut self, code: &str, texts: Vec<String>) -> Result<Filter, Refusal> {
        // Ids are looked up all at once.
        let step = if code == "_id" { 1 } else { LOOKUP };
        self.spend(texts.iter().map(|text| step + text.len() / BYTES_PER_STEP).sum())?;
        let each = |make: &dyn Fn(String) -> Filter| either(texts.iter().cloned().map(make).collect());
        Ok(match code {
            "_id" => {
                // No resource has an id of another form.
                let ids: Vec<String> = texts.into_iter().filter(|id| is_id(id)).collect();
                if ids.is_empty() { Filter::Nothing } else { Filter::Ids(ids) }
            }
            "_lastUpdated" => {
                let times = texts.iter().map(|text| compare::time(text, self.request.now));
                Filter::Updated(times.collect::<Result<_, _>>()?)
            }
            // The index is folded as well.
            "_text" => each(&|text| Filter::Text(fold(&text))),
            "_content" => each(&|text| Filter::Content(fold(&text))),
            _ => {
                let id = |text: &String| text.strip_prefix("List/").unwrap_or(text).to_owned();
                let ids: Vec<String> = texts.iter().map(id).collect();
                if let Some(odd) = ids.iter().find(|id| !is_id(id)) {
                    return Err(Refusal::value("the id of a List (this server keeps no $current lists)", odd));
                }
                either(ids.into_iter().map(Filter::List).collect())
            }
        })
    }

    /// `url=http://x/y|1.0`: the version is that of the definition (search.html#uri), where the type has one.
    fn versioned(&mut self, type_name: &str, url: &str, version: &str) -> Option<Result<Vec<Filter>, Refusal>> {
        let find = |code| self.request.parameters.find(type_name, code);
        let (of_url, of_version) = (find("url")?, find("version")?);
        let is_pair = of_url.kind == Kind::Uri && of_version.kind == Kind::Token;
        if !is_pair || url.is_empty() || version.is_empty() {
            return None;
        }
        let pair = [(of_url, url), (of_version, version)];
        Some(pair.into_iter().map(|(parameter, value)| self.of_parameter(parameter, None, value)).collect())
    }

    fn of_parameter(&mut self, parameter: &Parameter, modifier: Option<&str>, value: &str) -> Result<Filter, Refusal> {
        self.spend(value.len() / BYTES_PER_STEP)?;
        if parameter.kind == Kind::Special {
            return Err(Refusal::unknown("this server cannot search by it"));
        }
        let modifier: Modified<'_> = modifier.map(|text| named(parameter, text)).transpose()?;
        if let Some((Modifier::Missing, _)) = modifier {
            let present = part(parameter).map(Lookup::Present).into_iter().collect();
            return Ok(if missing(value)? { Filter::None(present) } else { Filter::Any(present) });
        }
        let values = self.alternatives(value)?;
        if parameter.kind == Kind::Composite {
            let groups = values.into_iter().map(|value| self.group(parameter, value));
            return Ok(Filter::Composite(groups.collect::<Result<_, _>>()?));
        }
        let subject = Subject::of(parameter);
        let lookups = values.into_iter().map(|value| self.lookup(subject, modifier, value));
        let lookups = joined(lookups.collect::<Result<_, _>>()?);
        Ok(match modifier {
            Some((Modifier::Not | Modifier::NotIn, _)) => Filter::None(lookups),
            _ => Filter::Any(lookups),
        })
    }
}

/// The modifier of this name, if the parameter takes it.
fn named<'m>(parameter: &Parameter, text: &'m str) -> Result<(Modifier, &'m str), Refusal> {
    let modifier = match text {
        "missing" => Some(Modifier::Missing),
        "exact" => Some(Modifier::Exact),
        "contains" => Some(Modifier::Contains),
        "not" => Some(Modifier::Not),
        "text" => Some(Modifier::Text),
        "in" => Some(Modifier::In),
        "not-in" => Some(Modifier::NotIn),
        "below" => Some(Modifier::Below),
        "above" => Some(Modifier::Above),
        "identifier" => Some(Modifier::Identifier),
        "of-type" | "ofType" => Some(Modifier::OfType),
        type_name if is_resource(type_name) && may_lead_to(types_of(parameter), type_name) => Some(Modifier::Type),
        _ => None,
    };
    let taken = parameter.modifiers();
    modifier.filter(|modifier| taken.contains(modifier)).map(|modifier| (modifier, text)).ok_or_else(|| {
        let wire = |modifier: &Modifier| match modifier {
            Modifier::Type => "[type]",
            Modifier::OfType => "of-type",
            other => other.code(),
        };
        let taken: Vec<_> = taken.iter().map(|modifier| format!(":{}", wire(modifier))).collect();
        let taken = if taken.is_empty() { "none".to_owned() } else { taken.join(", ") };
        Refusal::unsupported(format!("does not take the modifier {}; it takes {taken}", told(text)))
    })
}

/// The value of `:missing`.
fn missing(value: &str) -> Result<bool, Refusal> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::value("true or false", value)),
    }
}

/// One of them holds.
pub fn either(mut filters: Vec<Filter>) -> Filter {
    match (filters.pop(), filters.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            filters.push(last);
            Filter::Either(filters)
        }
        (None, _) => Filter::Nothing,
    }
}

/// All tokens in one look-up, likewise all references of one parameter.
fn joined(lookups: Vec<Lookup>) -> Vec<Lookup> {
    let mut joined: Vec<Lookup> = Vec::with_capacity(lookups.len().min(16));
    for lookup in lookups {
        match (joined.last_mut(), lookup) {
            (Some(Lookup::Tokens(digests)), Lookup::Tokens(more)) => digests.extend(more),
            (
                Some(Lookup::References { parameter, targets }),
                Lookup::References { parameter: other, targets: more },
            ) if *parameter == other => targets.extend(more),
            (_, lookup) => joined.push(lookup),
        }
    }
    joined
}

/// The same parameter on different types: a resource is of one type, so the index rows of the others do not concern it.
fn merge(before: Filter, more: Filter) -> Filter {
    match (before, more) {
        (Filter::Any(mut lookups), Filter::Any(more)) => {
            lookups.extend(more);
            Filter::Any(joined(lookups))
        }
        (Filter::None(mut lookups), Filter::None(more)) => {
            lookups.extend(more);
            Filter::None(joined(lookups))
        }
        (Filter::Composite(mut groups), Filter::Composite(more)) => {
            groups.extend(more);
            Filter::Composite(groups)
        }
        (Filter::Either(mut filters), more) => {
            filters.push(more);
            Filter::Either(filters)
        }
        (before, more) => Filter::Either(vec![before, more]),
    }
}
