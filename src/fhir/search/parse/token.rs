//! Values of token parameters (FHIR R4 search.html#token).

use super::{
    MOST_VALUES, Request, Wrong,
    value::{split, unescape},
};
use crate::fhir::{
    reference,
    search::{Digest, Lookup, Modifier, fold_token, token, token_of_type, token_system, token_value},
};

/// `code`, `system|code`, `|code`, `system|`
pub fn lookup(id: i32, name: &str, value: &str) -> Result<Lookup, Wrong> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    let digest = match parts.as_slice() {
        [code] => token_value(id, &fold_token(code)),
        [system, code] if code.is_empty() && !system.is_empty() => token_system(id, system),
        [system, code] if !code.is_empty() => token(id, system, &fold_token(code)),
        _ => return Err(Wrong::value(name, format!("'{value}' is not code, system|code, |code or system|"))),
    };
    Ok(Lookup::Tokens(vec![digest]))
}

/// `:of-type`: `system|code|value` of an Identifier.
pub fn of_type(id: i32, name: &str, value: &str) -> Result<Lookup, Wrong> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    match parts.as_slice() {
        [system, code, value] if !code.is_empty() && !value.is_empty() => {
            Ok(Lookup::Tokens(vec![token_of_type(id, system, code, &fold_token(value))]))
        }
        _ => Err(Wrong::value(name, format!("'{value}' is not system|code|value, of the identifier's type and value"))),
    }
}

/// `:in`, `:not-in`: the codes of value sets that are loaded, each by its URL.
pub fn of_value_sets(request: &Request<'_>, id: i32, name: &str, urls: &[&str]) -> Result<Vec<Lookup>, Wrong> {
    let mut digests: Vec<Digest> = Vec::new();
    for url in urls {
        let url = unescape(url);
        let local = reference::local(&url, request.base).map(|(_, id)| format!("http://hl7.org/fhir/ValueSet/{id}"));
        let expansion =
            request.registry.expansion(&url).or_else(|| local.and_then(|url| request.registry.expansion(&url)));
        let Some(expansion) = expansion else {
            return Err(Wrong::value(name, format!("the value set '{url}' is not known here")));
        };
        if !expansion.is_closed() || !expansion.missing().is_empty() {
            let text =
                format!("the value set '{url}' cannot be listed: it takes in codes of systems that are not loaded");
            return Err(Wrong::value(name, text));
        }
        if expansion.len() > 4 * MOST_VALUES {
            return Err(Wrong::value(name, format!("the value set '{url}' is too large to search by")));
        }
        for (system, code) in expansion.tokens() {
            // Elements of type code carry no system.
            digests.extend([token(id, system, &fold_token(code)), token(id, "", &fold_token(code))]);
        }
    }
    Ok(vec![Lookup::Tokens(digests)])
}

/// `:below`, `:above`: the code and those that it subsumes (is subsumed by) in a loaded code system.
pub fn related(request: &Request<'_>, id: i32, name: &str, value: &str, modifier: Modifier) -> Result<Lookup, Wrong> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    let [system, code] = parts.as_slice() else {
        return Err(Wrong::value(name, format!("'{value}' is not system|code")));
    };
    let Some(known) = request.registry.code_system(system) else {
        return Err(Wrong::value(
            name,
            format!("the code system '{system}' is not loaded, so what is above and below is not known"),
        ));
    };
    let codes = if modifier == Modifier::Below { known.descendants(code) } else { known.ancestors(code) };
    let Some(codes) = codes else {
        return Err(Wrong::value(name, format!("the code system '{system}' has no code '{code}'")));
    };
    let digests = codes.into_iter().flat_map(|code| [token(id, system, code), token(id, "", code)]);
    Ok(Lookup::Tokens(digests.collect()))
}
