//! One search parameter with its value: a condition on resources.

use super::{
    MOST_LINKS, MOST_VALUES, Request, Wrong, merged, token,
    value::{date, number, split, unescape},
};
use crate::fhir::{
    definition::parameter::Kind,
    reference,
    search::{
        Chain, Comparison, Component, Filter, Has, Lookup, Modifier, Parameter, Part, Target, UnitTest, fold,
        parameter_id, token_present,
    },
    types,
};

/// Reads a parameter of every one of these types; empty: of all.
pub fn of_types(request: &Request<'_>, names: &[String], name: &str, value: &str) -> Result<Filter, Wrong> {
    if let [only] = names {
        return of_type(request, only, name, value, 0);
    }
    let all: Vec<&str> =
        if names.is_empty() { types::resource_types().collect() } else { names.iter().map(String::as_str).collect() };
    let filters: Result<Vec<_>, _> = all.into_iter().map(|kind| of_type(request, kind, name, value, 0)).collect();
    Ok(merged(filters?))
}

fn of_type(request: &Request<'_>, kind: &str, name: &str, value: &str, links: usize) -> Result<Filter, Wrong> {
    if links > MOST_LINKS {
        return Err(Wrong::unsupported(format!("a chain follows at most {MOST_LINKS} references")));
    }
    if let Some(rest) = name.strip_prefix("_has:") {
        return has(request, kind, name, rest, value, links);
    }
    if let Some((link, rest)) = name.split_once('.') {
        return chain(request, kind, name, link, rest, value, links);
    }
    let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
    let parameter = request
        .parameters
        .find(kind, code)
        .filter(|parameter| parameter.kind != Kind::Special || parameter.code.starts_with('_'));
    let Some(parameter) = parameter else {
        return Err(Wrong::Unknown(format!("{kind} has no search parameter '{code}'")));
    };
    match (code, modifier) {
        ("_id", None) => Ok(Filter::Ids(values(name, value)?.into_iter().map(unescape).collect())),
        ("_lastUpdated", None) => {
            let times = values(name, value)?.into_iter().map(|one| date(one, request.now));
            Ok(Filter::Updated(times.collect::<Result<_, _>>().map_err(|text| Wrong::value(name, text))?))
        }
        ("_text", None) => Ok(Filter::Text(fold(value))),
        ("_content", None) => Ok(Filter::Content(fold(value))),
        ("_list", None) => match values(name, value)?.as_slice() {
            [id] if types::is_id(id) => Ok(Filter::List((*id).to_owned())),
            // R4 names lists such as $current-allergies; this server keeps none.
            _ => Err(Wrong::value(name, format!("'{value}' is not the id of one List"))),
        },
        ("_id" | "_lastUpdated" | "_text" | "_content" | "_list" | "_has", _) => Err(no_modifier(name, parameter)),
        _ => with_modifier(request, kind, parameter, name, modifier, value),
    }
}

fn no_modifier(name: &str, parameter: &Parameter) -> Wrong {
    let known: Vec<_> = parameter.modifiers().into_iter().map(|modifier| format!(":{}", modifier.code())).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(" ") };
    Wrong::unsupported(format!("{name}: the modifiers of {} are {known}", parameter.code))
}

fn modifier_named(parameter: &Parameter, name: &str) -> Option<Modifier> {
    let wanted = match name {
        "missing" => Modifier::Missing,
        "exact" => Modifier::Exact,
        "contains" => Modifier::Contains,
        "not" => Modifier::Not,
        "text" => Modifier::Text,
        "in" => Modifier::In,
        "not-in" => Modifier::NotIn,
        "below" => Modifier::Below,
        "above" => Modifier::Above,
        "identifier" => Modifier::Identifier,
        "of-type" | "ofType" => Modifier::OfType,
        kind if types::is_resource(kind) => Modifier::Type,
        _ => return None,
    };
    parameter.modifiers().contains(&wanted).then_some(wanted)
}

fn with_modifier(
    request: &Request<'_>,
    kind: &str,
    parameter: &Parameter,
    name: &str,
    modifier: Option<&str>,
    value: &str,
) -> Result<Filter, Wrong> {
    let Some(text) = modifier else { return plain(request, parameter, name, value) };
    let modifier = modifier_named(parameter, text).ok_or_else(|| no_modifier(name, parameter))?;
    let id = parameter.id;
    let all = values(name, value)?;
    let text_id = |suffix: &str| parameter_id(kind, &format!("{}:{suffix}", parameter.code));
    match modifier {
        Modifier::Missing => {
            let present = vec![Lookup::Present(part(parameter.kind, id))];
            match value {
                "true" => Ok(Filter::None(present)),
                "false" => Ok(Filter::Any(present)),
                _ => Err(Wrong::value(name, format!("expected true or false, not '{value}'"))),
            }
        }
        Modifier::Exact => Ok(Filter::Any(all.into_iter().map(|one| exact(id, &unescape(one))).collect())),
        Modifier::Contains => {
            let contains = |one| Lookup::Contains { parameter: id, folded: fold(&unescape(one)) };
            Ok(Filter::Any(all.into_iter().map(contains).collect()))
        }
        Modifier::Text => {
            let begins = |one| Lookup::Begins { parameter: text_id("text"), folded: fold(&unescape(one)) };
            Ok(Filter::Any(all.into_iter().map(begins).collect()))
        }
        Modifier::Not => {
            let tokens: Result<Vec<_>, _> = all.into_iter().map(|one| token::lookup(id, name, one)).collect();
            Ok(Filter::None(tokens?))
        }
        Modifier::OfType => {
            let tokens: Result<Vec<_>, _> = all.into_iter().map(|one| token::of_type(id, name, one)).collect();
            Ok(Filter::Any(tokens?))
        }
        Modifier::In => Ok(Filter::Any(token::of_value_sets(request, id, name, &all)?)),
        Modifier::NotIn => Ok(Filter::None(token::of_value_sets(request, id, name, &all)?)),
        Modifier::Below | Modifier::Above if parameter.kind == Kind::Token => {
            let lookups: Result<Vec<_>, _> =
                all.into_iter().map(|one| token::related(request, id, name, one, modifier)).collect();
            Ok(Filter::Any(lookups?))
        }
        Modifier::Below => {
            let below = |one| Lookup::Below { parameter: id, uri: unescape(one).trim_end_matches('/').to_owned() };
            Ok(Filter::Any(all.into_iter().map(below).collect()))
        }
        Modifier::Above => {
            let above = |one| Lookup::Above { parameter: id, uris: ancestors(&unescape(one)) };
            Ok(Filter::Any(all.into_iter().map(above).collect()))
        }
        Modifier::Identifier => {
            let tokens: Result<Vec<_>, _> =
                all.into_iter().map(|one| token::lookup(text_id("identifier"), name, one)).collect();
            Ok(Filter::Any(tokens?))
        }
        Modifier::Type => {
            if !parameter.targets.is_empty() && !parameter.targets.iter().any(|target| target == text) {
                let known = parameter.targets.join(", ");
                return Err(Wrong::unsupported(format!("{name}: {} leads to {known}", parameter.code)));
            }
            let target = |one: &str| -> Result<_, Wrong> {
                let one = unescape(one);
                match reference::local(&one, request.base) {
                    Some((kind, id)) if kind == text => Ok((Some(kind), id)),
                    None if types::is_id(&one) => Ok((Some(text.to_owned()), one)),
                    _ => Err(Wrong::value(name, format!("'{one}' is not the id of a {text}"))),
                }
            };
            let targets = all.into_iter().map(target).collect::<Result<Vec<_>, _>>()?;
            Ok(Filter::Any(vec![Lookup::References { parameter: id, targets }]))
        }
    }
}

fn exact(id: i32, text: &str) -> Lookup {
    let cut = |text: &str, most| super::super::fold::cut(text, most).to_owned();
    let folded = cut(&fold(text), super::super::extract::FOLDED);
    Lookup::Exact { parameter: id, folded, exact: cut(text, super::super::extract::EXACT) }
}

/// The URI and everything above it.
fn ancestors(uri: &str) -> Vec<String> {
    let separator = if uri.starts_with("urn:") { ':' } else { '/' };
    let mut all = vec![uri.to_owned()];
    let mut rest = uri.trim_end_matches(separator);
    while let Some((above, _)) = rest.rsplit_once(separator) {
        if above.is_empty() || above.ends_with(':') || above.ends_with("/") {
            break;
        }
        all.push(above.to_owned());
        rest = above;
    }
    all
}

/// The table of a parameter's values.
pub fn part(kind: Kind, id: i32) -> Part {
    match kind {
        Kind::Token | Kind::Composite | Kind::Special => Part::Token(token_present(id)),
        Kind::String | Kind::Uri => Part::String(id),
        Kind::Date => Part::Time(id),
        Kind::Number | Kind::Quantity => Part::Quantity(id),
        Kind::Reference => Part::Reference(id),
    }
}

/// The values of a parameter: one of them is enough.
fn values<'v>(name: &str, value: &'v str) -> Result<Vec<&'v str>, Wrong> {
    let values: Vec<_> = split(value, ',').into_iter().filter(|one| !one.is_empty()).collect();
    if values.is_empty() {
        return Err(Wrong::Unknown(format!("the parameter {name} has no value")));
    }
    if values.len() > MOST_VALUES {
        return Err(Wrong::value(name, format!("at most {MOST_VALUES} values are taken")));
    }
    Ok(values)
}

fn plain(request: &Request<'_>, parameter: &Parameter, name: &str, value: &str) -> Result<Filter, Wrong> {
    let all = values(name, value)?;
    match parameter.kind {
        Kind::Composite => {
            let groups: Result<Vec<_>, _> = all.into_iter().map(|one| group(request, parameter, name, one)).collect();
            Ok(Filter::Composite(groups?))
        }
        Kind::Reference => {
            let mut targets = Vec::new();
            for one in all {
                targets.extend(references(request, &parameter.targets, name, &unescape(one))?);
            }
            Ok(Filter::Any(vec![Lookup::References { parameter: parameter.id, targets }]))
        }
        Kind::Special => Err(Wrong::Unknown(format!("the search parameter '{}' is not supported", parameter.code))),
        kind => {
            let lookups: Result<Vec<_>, _> =
                all.into_iter().map(|one| lookup(request, kind, parameter.id, name, one)).collect();
            Ok(Filter::Any(lookups?))
        }
    }
}

/// One value of a kind that is neither composite nor reference.
fn lookup(request: &Request<'_>, kind: Kind, id: i32, name: &str, value: &str) -> Result<Lookup, Wrong> {
    let wrong = |text: String| Wrong::value(name, text);
    match kind {
        Kind::String => {
            let folded = fold(&unescape(value));
            if folded.is_empty() {
                Err(wrong(format!("'{value}' has no letter")))
            } else {
                Ok(Lookup::Begins { parameter: id, folded })
            }
        }
        Kind::Uri => Ok(Lookup::Uri { parameter: id, uri: unescape(value) }),
        Kind::Date => Ok(Lookup::Time { parameter: id, comparison: date(value, request.now).map_err(wrong)? }),
        Kind::Number => {
            Ok(Lookup::Quantity { parameter: id, comparison: number(value).map_err(wrong)?, unit: UnitTest::Any })
        }
        Kind::Quantity => quantity(id, name, value),
        Kind::Token => token::lookup(id, name, value),
        Kind::Reference | Kind::Composite | Kind::Special => {
            Err(Wrong::unsupported(format!("{name} cannot be searched")))
        }
    }
}

/// `[prefix]number`, `[prefix]number|system|code`, `[prefix]number||unit`.
fn quantity(id: i32, name: &str, value: &str) -> Result<Lookup, Wrong> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    let unit = match parts.as_slice() {
        [_] => UnitTest::Any,
        [_, system, code] => match (system.as_str(), code.as_str()) {
            ("", "") => UnitTest::Any,
            ("", code) => UnitTest::CodeOrUnit(code.to_owned()),
            (system, "") => UnitTest::System(system.to_owned()),
            (system, code) => UnitTest::Coded { system: system.to_owned(), code: code.to_owned() },
        },
        _ => return Err(Wrong::value(name, format!("'{value}' is not number, number|system|code or number||unit"))),
    };
    let comparison: Comparison<String> = number(&parts[0]).map_err(|text| Wrong::value(name, text))?;
    Ok(Lookup::Quantity { parameter: id, comparison, unit })
}

/// What a reference value can stand for: (type, id).
fn references(
    request: &Request<'_>,
    targets: &[String],
    name: &str,
    value: &str,
) -> Result<Vec<(Option<String>, String)>, Wrong> {
    if let Some((kind, id)) = reference::local(value, request.base) {
        return Ok(vec![(Some(kind), id)]);
    }
    if types::is_id(value) {
        // With few possible targets each is named: the index then starts from the target.
        return Ok(match targets {
            few @ ([_] | [_, _] | [_, _, _]) => few.iter().map(|kind| (Some(kind.clone()), value.to_owned())).collect(),
            _ => vec![(None, value.to_owned())],
        });
    }
    if value.contains(':') {
        return Ok(vec![(Some(String::new()), value.to_owned())]);
    }
    Err(Wrong::value(name, format!("'{value}' is not an id, Type/id or an absolute URL")))
}

/// One composite value: a lookup for each part.
fn group(request: &Request<'_>, parameter: &Parameter, name: &str, value: &str) -> Result<Vec<Lookup>, Wrong> {
    let parts = split(value, '$');
    if parts.len() != parameter.components.len() || parts.iter().any(|part| part.is_empty()) {
        let text = format!("'{value}' does not have {} parts, separated by $", parameter.components.len());
        return Err(Wrong::value(name, text));
    }
    let part = |(component, text): (&Component, &str)| match component.kind {
        Kind::Reference => {
            let targets = references(request, &component.targets, name, &unescape(text))?;
            Ok(Lookup::References { parameter: component.id, targets })
        }
        kind => lookup(request, kind, component.id, name, text),
    };
    parameter.components.iter().zip(parts).map(part).collect()
}

/// `subject:Patient.name`, `subject.name`
fn chain(
    request: &Request<'_>,
    kind: &str,
    name: &str,
    link: &str,
    rest: &str,
    value: &str,
    links: usize,
) -> Result<Filter, Wrong> {
    let (code, wanted) = link.split_once(':').map_or((link, None), |(code, wanted)| (code, Some(wanted)));
    let parameter = request.parameters.find(kind, code);
    let parameter = parameter.ok_or_else(|| Wrong::Unknown(format!("{kind} has no search parameter '{code}'")))?;
    if parameter.kind != Kind::Reference {
        return Err(Wrong::unsupported(format!("{name}: {code} is no reference, so nothing can be chained to it")));
    }
    let possible: Vec<&str> = match wanted {
        Some(wanted) if parameter.targets.is_empty() || parameter.targets.iter().any(|target| target == wanted) => {
            vec![wanted]
        }
        Some(wanted) => return Err(Wrong::unsupported(format!("{name}: {code} does not lead to a {wanted}"))),
        None if parameter.targets.is_empty() || parameter.targets.len() > 40 => types::resource_types().collect(),
        None => parameter.targets.iter().map(String::as_str).collect(),
    };
    let mut targets = Vec::new();
    let mut unknown = None;
    for target in possible {
        match of_type(request, target, rest, value, links + 1) {
            Ok(filter) => targets.push(Target { type_name: target.to_owned(), filters: vec![filter] }),
            Err(Wrong::Unknown(text)) => unknown = Some(text),
            Err(refused) => return Err(refused),
        }
    }
    match (targets.is_empty(), unknown) {
        (true, text) => Err(Wrong::Unknown(text.unwrap_or_else(|| format!("{name} leads nowhere")))),
        (false, _) => Ok(Filter::Chain(Chain { parameter: parameter.id, targets })),
    }
}

/// `_has:Observation:patient:code`
fn has(request: &Request<'_>, kind: &str, name: &str, rest: &str, value: &str, links: usize) -> Result<Filter, Wrong> {
    let mut parts = rest.splitn(3, ':');
    let (Some(referring), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Wrong::value(name, "expected _has:Type:reference:parameter"));
    };
    if !types::is_resource(referring) {
        return Err(Wrong::value(name, format!("'{referring}' is not a resource type of FHIR R4")));
    }
    let parameter = request.parameters.find(referring, code).filter(|parameter| parameter.kind == Kind::Reference);
    let parameter =
        parameter.ok_or_else(|| Wrong::Unknown(format!("{referring} has no reference parameter '{code}'")))?;
    if !parameter.targets.is_empty() && !parameter.targets.iter().any(|target| target == kind) {
        return Err(Wrong::unsupported(format!("{name}: {code} of {referring} does not lead to a {kind}")));
    }
    let filter = of_type(request, referring, rest, value, links + 1)?;
    Ok(Filter::Has(Has {
        type_name: referring.to_owned(),
        parameter: parameter.id,
        target_type: kind.to_owned(),
        filters: vec![filter],
    }))
}
