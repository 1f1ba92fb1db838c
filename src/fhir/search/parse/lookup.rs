//! What one alternative of a value asks the index, by the kind of its parameter.

use super::{
    compare,
    filter::{LOOKUP, Reader},
    reference,
    refusal::Refusal,
    split::{split, unescape},
};
use crate::fhir::{
    definition::parameter::Kind,
    search::{
        Component, Lookup, Modifier, Parameter, Part, UnitTest,
        extract::{EXACT, FOLDED},
        fold::{cut, cut_uri, fold},
        token_present,
    },
};

/// Longest URI whose hierarchy is looked at, in bytes, and its depth.
const MAX_URI: usize = 2048;
const MAX_SEGMENTS: usize = 64;

/// What is asked for: a parameter of a type, or a part of a composite.
#[derive(Clone, Copy)]
pub struct Subject<'p> {
    pub type_name: &'p str,
    pub code: &'p str,
    pub id: i32,
    pub kind: Kind,
    pub targets: &'p [String],
}

impl<'p> Subject<'p> {
    /// A parameter.
    pub fn of(parameter: &'p Parameter) -> Self {
        let Parameter { type_name, code, id, kind, .. } = parameter;
        Self { type_name, code, id: *id, kind: *kind, targets: reference::types_of(parameter) }
    }

    /// A part of a composite, under its own number.
    pub fn part(composite: &'p Parameter, part: &'p Component) -> Self {
        Self { id: part.id, kind: part.kind, targets: &part.targets, ..Self::of(composite) }
    }
}

/// A modifier as it was given; the text is that of `:Patient`.
pub type Modified<'m> = Option<(Modifier, &'m str)>;

/// Where the values of a parameter stand; `None` for those that have no table.
pub fn part(parameter: &Parameter) -> Option<Part> {
    let id = parameter.id;
    Some(match parameter.kind {
        Kind::Token => Part::Token(token_present(id)),
        Kind::String | Kind::Uri => Part::String(id),
        Kind::Date => Part::Time(id),
        Kind::Number | Kind::Quantity => Part::Quantity(id),
        Kind::Reference => Part::Reference(id),
        Kind::Composite | Kind::Special => return None,
    })
}

impl Reader<'_> {
    /// The look-up for one alternative, escapes and all.
    pub fn lookup(&mut self, of: Subject<'_>, modifier: Modified<'_>, value: &str) -> Result<Lookup, Refusal> {
        self.spend(if of.kind == Kind::Token { 1 } else { LOOKUP })?;
        let parameter = of.id;
        let plain = || unescape(value).ok_or_else(|| Refusal::escape(value));
        Ok(match of.kind {
            Kind::Token => self.token(of, modifier.map(|(modifier, _)| modifier), value)?,
            Kind::Reference if matches!(modifier, Some((Modifier::Identifier, _))) => self.identifier(of, value)?,
            Kind::Reference => {
                let wanted = modifier.map(|(_, type_name)| type_name);
                let target = reference::target(self.request.base, of.targets, wanted, &plain()?)?;
                Lookup::References { parameter, targets: vec![target] }
            }
            Kind::String => string(parameter, modifier.map(|(modifier, _)| modifier), &plain()?)?,
            Kind::Uri => {
                let found = uri(parameter, modifier.map(|(modifier, _)| modifier), &plain()?)?;
                if let Lookup::Above { uris, .. } = &found {
                    self.spend(uris.len())?;
                }
                found
            }
            Kind::Date => Lookup::Time { parameter, comparison: compare::time(&plain()?, self.request.now)? },
            Kind::Number => {
                Lookup::Quantity { parameter, comparison: compare::number(&plain()?)?, unit: UnitTest::Any }
            }
            Kind::Quantity => {
                let (comparison, unit) = compare::quantity(value)?;
                Lookup::Quantity { parameter, comparison, unit }
            }
            Kind::Composite | Kind::Special => return Err(Refusal::unknown("this server cannot search by it")),
        })
    }

    /// `a$b`: one look-up for each part.
    pub fn group(&mut self, composite: &Parameter, value: &str) -> Result<Vec<Lookup>, Refusal> {
        let parts: Vec<_> = split(value, '$').collect();
        if parts.len() != composite.components.len() {
            let expected = format!("{} parts with $ between them", composite.components.len());
            return Err(Refusal::value(&expected, value));
        }
        let of_parts = composite.components.iter().zip(parts);
        of_parts.map(|(part, value)| self.lookup(Subject::part(composite, part), None, value)).collect()
    }
}

/// Text that begins as is searched for; with `:contains` it stands anywhere; with `:exact` it is all, letter by letter.
fn string(parameter: i32, modifier: Option<Modifier>, text: &str) -> Result<Lookup, Refusal> {
    let folded = fold(text);
    if folded.is_empty() {
        return Err(Refusal::value("a text", text));
    }
    Ok(match modifier {
        Some(Modifier::Exact) => {
            let (folded, exact) = (cut(&folded, FOLDED).to_owned(), cut(text, EXACT).to_owned());
            Lookup::Exact { parameter, folded, exact }
        }
        Some(Modifier::Contains) => Lookup::Contains { parameter, folded },
        _ => begins(parameter, &folded),
    })
}

/// The index holds no more than the beginning of a long text.
pub fn begins(parameter: i32, folded: &str) -> Lookup {
    Lookup::Begins { parameter, folded: cut(folded, FOLDED).to_owned() }
}

/// The very URI, or those below or above it in the hierarchy of its path. URNs have none (search.html#uri).
fn uri(parameter: i32, modifier: Option<Modifier>, uri: &str) -> Result<Lookup, Refusal> {
    let Some(modifier) = modifier else {
        return Ok(Lookup::Uri { parameter, uri: cut_uri(uri).to_owned() });
    };
    let expected = || Refusal::value(&format!("a URL (no URN) of at most {MAX_URI} bytes"), uri);
    let (_, after_scheme) = uri.split_once("://").ok_or_else(expected)?;
    let path = uri.trim_end_matches('/');
    let authority = uri.len() - after_scheme.len();
    if path.len() <= authority || path.len() > MAX_URI {
        return Err(expected());
    }
    if modifier == Modifier::Below {
        return Ok(Lookup::Below { parameter, uri: path.to_owned() });
    }
    let slashes = path[authority..].match_indices('/').map(|(at, _)| authority + at);
    let ends: Vec<usize> = slashes.chain([path.len()]).collect();
    if ends.len() > MAX_SEGMENTS {
        return Err(Refusal::costly(format!("a URL of more than {MAX_SEGMENTS} segments")));
    }
    // Each with and without a slash at its end.
    let mut uris: Vec<String> =
        ends.iter().flat_map(|end| [uri[..*end].to_owned(), format!("{}/", &uri[..*end])]).collect();
    if !uris.iter().any(|one| one == uri) {
        uris.push(uri.to_owned());
    }
    Ok(Lookup::Above { parameter, uris })
}
