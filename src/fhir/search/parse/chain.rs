//! Chains (`subject:Patient.name=x`) and reverse chains (`_has:Observation:patient:code=x`) (FHIR R4
//! search.html#chaining, #has).

use super::{
    filter::{LINK, Reader, either},
    reference::{may_lead_to, types_of},
    refusal::{Refusal, told},
};
use crate::fhir::{
    definition::parameter::Kind,
    search::{Chain, Filter, Has, Parameter, Target},
    types::is_resource,
};

impl<'r> Reader<'r> {
    /// One reference further away; no further than the limit.
    fn deeper(&self, depth: usize) -> Result<usize, Refusal> {
        if depth >= self.request.limits.max_depth {
            let most = self.request.limits.max_depth;
            return Err(Refusal::costly(format!("leads over more than {most} references")));
        }
        Ok(depth + 1)
    }

    /// `link.next=value`
    pub fn chain(
        &mut self,
        types: &[&str],
        link: &str,
        next: &str,
        value: &str,
        depth: usize,
    ) -> Result<Vec<Filter>, Refusal> {
        let depth = self.deeper(depth)?;
        let (code, wanted) = link.split_once(':').map_or((link, None), |(code, wanted)| (code, Some(wanted)));
        let mut chains = Vec::new();
        for type_name in types {
            let parameter = self.reference(types, type_name, code)?;
            let reached = reached(parameter, wanted, self.request.limits.max_targets)?;
            let mut targets = Vec::new();
            let mut refusal = None;
            for reached in reached {
                self.spend(LINK)?;
                match self.filters(&[reached], next, value, depth) {
                    Ok(filters) => targets.push(Target { type_name: reached.to_owned(), filters }),
                    Err(other) if other.is_costly() => return Err(other),
                    // What one of the types understands counts; else the gravest refusal is told.
                    Err(other) => refusal = Some(graver(refusal, other)),
                }
            }
            match refusal {
                Some(refusal) if targets.is_empty() => return Err(refusal),
                _ => chains.push(Filter::Chain(Chain { parameter: parameter.id, targets })),
            }
        }
        Ok(vec![either(chains)])
    }

    /// A parameter that can be followed.
    fn reference(&self, types: &[&str], type_name: &str, code: &str) -> Result<&'r Parameter, Refusal> {
        let parameter = self.parameter(types, type_name, code)?;
        if parameter.kind != Kind::Reference {
            return Err(Refusal::unsupported(format!("{} of {type_name} is no reference", told(code))));
        }
        Ok(parameter)
    }

    /// `_has:Observation:patient:code=value`
    pub fn has(&mut self, types: &[&str], name: &str, value: &str, depth: usize) -> Result<Vec<Filter>, Refusal> {
        let depth = self.deeper(depth)?;
        let parts: Vec<_> = name.splitn(4, ':').collect();
        let [_, source, code, next] = parts.as_slice() else {
            return Err(Refusal::value("_has:[type]:[reference]:[parameter]", name));
        };
        if !is_resource(source) {
            return Err(Refusal::unknown(format!("{} is not a resource type of R4", told(source))));
        }
        let parameter = self.reference(&[source], source, code)?;
        let before = self.left();
        self.spend(LINK)?;
        let filters = self.filters(&[source], next, value, depth)?;
        let cost = before - self.left();
        let targets: Vec<_> = types.iter().filter(|target| may_lead_to(types_of(parameter), target)).collect();
        if targets.is_empty() {
            return Err(Refusal::wrong(format!("{} of {source} does not lead to what is searched", told(code))));
        }
        self.spend(cost * (targets.len() - 1))?;
        let has = |target: &&&str| {
            let (type_name, target_type) = ((*source).to_owned(), (**target).to_owned());
            Filter::Has(Has { type_name, parameter: parameter.id, target_type, filters: filters.clone() })
        };
        Ok(vec![either(targets.iter().map(has).collect())])
    }
}

/// The types that a chain goes on with.
fn reached<'t>(parameter: &'t Parameter, wanted: Option<&'t str>, most: usize) -> Result<Vec<&'t str>, Refusal> {
    let Some(wanted) = wanted else {
        let types = types_of(parameter);
        if types.is_empty() || types.len() > most || types.iter().any(|one| one == "Resource") {
            let code = &parameter.code;
            return Err(Refusal::wrong(format!("may lead to any type; name one, as in {code}:Patient.[parameter]")));
        }
        return Ok(types.iter().map(String::as_str).collect());
    };
    if !is_resource(wanted) || !may_lead_to(types_of(parameter), wanted) {
        return Err(Refusal::unsupported(format!("{} does not lead to {}", parameter.code, told(wanted))));
    }
    Ok(vec![wanted])
}

/// Of two refusals the one that lenient handling does not leave out.
fn graver(before: Option<Refusal>, other: Refusal) -> Refusal {
    before.filter(|before| !before.may_be_left_out || other.may_be_left_out).unwrap_or(other)
}
