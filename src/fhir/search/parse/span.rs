//! `date=ge2020&date=lt2021`: where a resource has one date at most, it is one that is both. The index finds what lies
//! between two ends; of each end alone it would find half of all there is.

use super::super::{Comparison, Filter, Lookup, Parameter, Parameters};

/// The filters, with what is asked of one value in one look-up.
pub fn joined(filters: Vec<Filter>, parameters: &Parameters) -> Vec<Filter> {
    let mut joined: Vec<Filter> = Vec::with_capacity(filters.len());
    for filter in filters {
        let is_single = |of: &i32| parameters.by_id(*of).is_some_and(Parameter::is_single);
        let before = of_time(&filter).filter(is_single).and_then(|of| {
            let place = joined.iter().position(|one| of_time(one) == Some(of))?;
            Some((of, place))
        });
        match before {
            Some((of, place)) => {
                let mut comparisons = comparisons(std::mem::replace(&mut joined[place], Filter::Nothing));
                comparisons.extend(self::comparisons(filter));
                joined[place] = Filter::Any(vec![Lookup::Span { parameter: of, comparisons }]);
            }
            None => joined.push(filter),
        }
    }
    joined
}

/// The parameter of a filter that is one condition on a time.
fn of_time(filter: &Filter) -> Option<i32> {
    let Filter::Any(lookups) = filter else { return None };
    match lookups.as_slice() {
        [Lookup::Time { parameter, .. } | Lookup::Span { parameter, .. }] => Some(*parameter),
        _ => None,
    }
}

fn comparisons(filter: Filter) -> Vec<Comparison<i64>> {
    let Filter::Any(lookups) = filter else { return Vec::new() };
    let of = |lookup| match lookup {
        Lookup::Time { comparison, .. } => vec![comparison],
        Lookup::Span { comparisons, .. } => comparisons,
        _ => Vec::new(),
    };
    lookups.into_iter().flat_map(of).collect()
}
