//! Parameters that say how results are answered: which types, what comes along, in which order, how much of it
//! (FHIR R4 search.html#return).

use super::{Level, Request, Wrong, filter::part};
use crate::fhir::{
    definition::parameter::Kind,
    search::{Direction, Include, Query, SortBy, SortKey, Summary, Total},
    types,
};

/// Whether a parameter is one of them.
pub fn is_result(name: &str) -> bool {
    let plain = name.split(':').next().unwrap_or_default();
    matches!(plain, "_type" | "_include" | "_revinclude" | "_sort" | "_count" | "_total" | "_summary" | "_elements")
}

/// Reads one into the query.
pub fn read(request: &Request<'_>, level: Level<'_>, query: &mut Query, name: &str, value: &str) -> Result<(), Wrong> {
    let (plain, modifier) = name.split_once(':').map_or((name, None), |(plain, modifier)| (plain, Some(modifier)));
    match (plain, modifier) {
        ("_include", None | Some("iterate" | "recurse")) => {
            let include = include(request, &query.types, value, modifier.is_some(), false)?;
            query.includes.push(include);
        }
        ("_revinclude", None | Some("iterate" | "recurse")) => {
            let include = include(request, &query.types, value, modifier.is_some(), true)?;
            query.revincludes.push(include);
        }
        (_, Some(_)) => return Err(Wrong::unsupported(format!("{name}: {plain} has no such modifier"))),
        // It was read before all others.
        ("_type", None) => {
            if matches!(level, Level::Type(_)) {
                return Err(Wrong::Unknown("_type is for searches of the whole system".to_owned()));
            }
        }
        ("_sort", None) => {
            for key in value.split(',').filter(|key| !key.is_empty()) {
                query.sort.push(sort_key(request, &query.types, key)?);
            }
        }
        ("_count", None) => {
            let count =
                value.parse().map_err(|_| Wrong::value(name, format!("'{value}' is not a whole number from 0")))?;
            once(name, query.count.replace(count).is_some())?;
        }
        ("_total", None) => {
            let total = match value {
                "none" => Total::None,
                "estimate" => Total::Estimate,
                "accurate" => Total::Accurate,
                _ => return Err(Wrong::value(name, format!("expected none, estimate or accurate, not '{value}'"))),
            };
            once(name, query.total.replace(total).is_some())?;
        }
        ("_summary", None) => {
            once(name, query.summary.replace(summary(name, value)?).is_some())?;
        }
        _ => {
            let names = value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(ToOwned::to_owned);
            query.elements.extend(names);
        }
    }
    Ok(())
}

fn once(name: &str, again: bool) -> Result<(), Wrong> {
    if again { Err(Wrong::value(name, "it may be given once")) } else { Ok(()) }
}

fn summary(name: &str, value: &str) -> Result<Summary, Wrong> {
    Ok(match value {
        "true" => Summary::True,
        "text" => Summary::Text,
        "data" => Summary::Data,
        "count" => Summary::Count,
        "false" => Summary::False,
        _ => return Err(Wrong::value(name, format!("expected true, text, data, count or false, not '{value}'"))),
    })
}

fn sort_key(request: &Request<'_>, names: &[String], text: &str) -> Result<SortKey, Wrong> {
    let (code, direction) =
        text.strip_prefix('-').map_or((text, Direction::Ascending), |code| (code, Direction::Descending));
    let by = match (code, names) {
        ("_id", _) => SortBy::Id,
        ("_lastUpdated", _) => SortBy::Updated,
        (code, [only]) => {
            let parameter = request.parameters.find(only, code).filter(|parameter| parameter.has_rows());
            let parameter = parameter.filter(|parameter| parameter.kind != Kind::Composite);
            let parameter =
                parameter.ok_or_else(|| Wrong::Unknown(format!("_sort: {only} cannot be sorted by '{code}'")))?;
            SortBy::Part(part(parameter.kind, parameter.id))
        }
        (code, _) => {
            let text = format!("_sort: resources of several types are sorted by _id and _lastUpdated, not by '{code}'");
            return Err(Wrong::Unknown(text));
        }
    };
    Ok(SortKey { by, direction })
}

/// `Type:parameter`, `Type:parameter:Target`, `Type:*`, `*`
fn include(
    request: &Request<'_>,
    searched: &[String],
    value: &str,
    iterate: bool,
    reverse: bool,
) -> Result<Include, Wrong> {
    let parts: Vec<_> = value.split(':').collect();
    let unknown =
        |text: String| Wrong::Unknown(format!("{}: {text}", if reverse { "_revinclude" } else { "_include" }));
    let all_of = |kind: &str| {
        let references = request.parameters.of(kind).filter(|parameter| parameter.kind == Kind::Reference);
        references.map(|parameter| parameter.id).collect::<Vec<_>>()
    };
    let (source, code, target) = match parts.as_slice() {
        ["*"] => {
            // What follows may be of any type, what refers to it too; else it is of the types searched.
            let everything = iterate || reverse || searched.is_empty();
            let parameters = if everything {
                types::resource_types().flat_map(all_of).collect()
            } else {
                searched.iter().flat_map(|kind| all_of(kind)).collect()
            };
            return Ok(Include { source: None, parameters, target: None, iterate });
        }
        [source, code] => (*source, *code, None),
        [source, code, target] if !target.is_empty() => (*source, *code, Some(*target)),
        _ => return Err(unknown(format!("'{value}' is not Type:parameter, Type:parameter:Target, Type:* or *"))),
    };
    for kind in std::iter::once(source).chain(target) {
        if !types::is_resource(kind) {
            return Err(unknown(format!("'{kind}' is not a resource type of FHIR R4")));
        }
    }
    let parameters = if code == "*" {
        all_of(source)
    } else {
        let parameter = request.parameters.find(source, code).filter(|parameter| parameter.kind == Kind::Reference);
        vec![parameter.ok_or_else(|| unknown(format!("{source} has no reference parameter '{code}'")))?.id]
    };
    Ok(Include { source: Some(source.to_owned()), parameters, target: target.map(ToOwned::to_owned), iterate })
}
