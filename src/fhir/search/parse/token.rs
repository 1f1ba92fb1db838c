//! Values of token parameters, and the value sets and hierarchies that some modifiers ask for (FHIR R4 search.html#token).

use super::{
    filter::Reader,
    lookup::{Subject, begins},
    refusal::{Refusal, told},
    split::{split, unescape},
};
use crate::fhir::{
    definition::terminology::Content,
    search::{
        Digest, Lookup, Modifier, fold, fold_token, parameter_id, token, token_of_type, token_system, token_value,
    },
};

/// The canonicals of R4's own value sets begin like this.
const R4_VALUE_SETS: &str = "http://hl7.org/fhir/";

impl Reader<'_> {
    /// One alternative of a token parameter.
    pub fn token(&mut self, of: Subject<'_>, modifier: Option<Modifier>, value: &str) -> Result<Lookup, Refusal> {
        Ok(match modifier {
            Some(Modifier::Text) => {
                let plain = unescape(value).ok_or_else(|| Refusal::escape(value))?;
                let folded = fold(&plain);
                if folded.is_empty() {
                    return Err(Refusal::value("a text", value));
                }
                begins(parameter_id(of.type_name, &format!("{}:text", of.code)), &folded)
            }
            Some(Modifier::In | Modifier::NotIn) => Lookup::Tokens(self.value_set(of.id, value)?),
            Some(way @ (Modifier::Below | Modifier::Above)) => Lookup::Tokens(self.hierarchy(of.id, way, value)?),
            Some(Modifier::OfType) => Lookup::Tokens(vec![typed(of.id, value)?]),
            _ => Lookup::Tokens(vec![plain(of.id, value)?]),
        })
    }

    /// `:identifier` of a reference.
    pub fn identifier(&mut self, of: Subject<'_>, value: &str) -> Result<Lookup, Refusal> {
        let id = parameter_id(of.type_name, &format!("{}:identifier", of.code));
        Ok(Lookup::Tokens(vec![plain(id, value)?]))
    }

    /// Every code of a value set, which is named by its canonical; R4's own also by `ValueSet/[id]`.
    fn value_set(&mut self, id: i32, value: &str) -> Result<Vec<Digest>, Refusal> {
        let name = unescape(value).ok_or_else(|| Refusal::escape(value))?;
        let relative = name.strip_prefix(self.request.base).map_or(&*name, |rest| rest.trim_start_matches('/'));
        let of_r4 = relative.starts_with("ValueSet/").then(|| format!("{R4_VALUE_SETS}{relative}"));
        let registry = self.request.registry;
        let found = registry.expansion(&name).or_else(|| registry.expansion(&of_r4?));
        let found =
            found.ok_or_else(|| Refusal::unsupported(format!("the value set {} is not loaded here", told(&name))))?;
        if !found.is_closed() {
            let text = format!("the codes of the value set {} cannot all be told here", told(&name));
            return Err(Refusal::unsupported(text));
        }
        let count = found.tokens().count();
        if count > self.request.limits.max_codes {
            let text = format!(
                "the value set {} has {count} codes; {} are searched",
                told(&name),
                self.request.limits.max_codes
            );
            return Err(Refusal::costly(text));
        }
        self.spend(count)?;
        Ok(found.tokens().flat_map(|(system, code)| coded(id, system, code)).collect())
    }

    /// The code itself with those it subsumes (below), or those that subsume it (above).
    fn hierarchy(&mut self, id: i32, way: Modifier, value: &str) -> Result<Vec<Digest>, Refusal> {
        let parts = parts(value)?;
        let [system, code] = parts.as_slice() else { return Err(Refusal::value("[system]|[code]", value)) };
        if system.is_empty() || code.is_empty() {
            return Err(Refusal::value("[system]|[code]", value));
        }
        let known = self.request.registry.code_system(system);
        let known = known.filter(|known| known.content == Content::Complete && known.is_hierarchy_is_a);
        let known = known.ok_or_else(|| {
            Refusal::unsupported(format!("the hierarchy of the code system {} is not known here", told(system)))
        })?;
        let codes = match way {
            Modifier::Above => known.ancestors(code),
            _ => known.descendants(code),
        };
        // A code that the system does not have stands alone.
        let codes = codes.unwrap_or_else(|| vec![code.as_str()]);
        if codes.len() > self.request.limits.max_codes {
            return Err(Refusal::costly(format!("{} codes stand below or above {}", codes.len(), told(code))));
        }
        self.spend(codes.len())?;
        Ok(codes.into_iter().flat_map(|code| coded(id, system, code)).collect())
    }
}

/// A code of a system, also where the element is a `code`: that carries no system.
fn coded(id: i32, system: &str, code: &str) -> [Digest; 2] {
    let code = fold_token(code);
    [token(id, system, &code), token(id, "", &code)]
}

fn parts(value: &str) -> Result<Vec<String>, Refusal> {
    split(value, '|').map(unescape).collect::<Option<_>>().ok_or_else(|| Refusal::escape(value))
}

/// `code`, `system|code`, `|code`, `system|`.
fn plain(id: i32, value: &str) -> Result<Digest, Refusal> {
    let parts = parts(value)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(match parts.as_slice() {
        [code] if !code.is_empty() => token_value(id, &fold_token(code)),
        [system, ""] if !system.is_empty() => token_system(id, system),
        [system, code] if !code.is_empty() => token(id, system, &fold_token(code)),
        _ => return Err(Refusal::value("[code], [system]|[code], |[code] or [system]|", value)),
    })
}

/// `:of-type`: `system|code|value`, of which no part may be missing.
fn typed(id: i32, value: &str) -> Result<Digest, Refusal> {
    let parts = parts(value)?;
    match parts.as_slice() {
        [system, code, value] if parts.iter().all(|part| !part.is_empty()) => {
            Ok(token_of_type(id, system, code, &fold_token(value)))
        }
        _ => Err(Refusal::value("[system]|[code]|[value]", value)),
    }
}
