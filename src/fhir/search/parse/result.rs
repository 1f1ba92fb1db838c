//! The parameters that say what is answered: order, number, shape and company of the matches (FHIR R4 search.html#return).

use super::{
    Reading,
    lookup::part,
    reference::{may_lead_to, types_of},
    refusal::{Refusal, told},
};
use crate::fhir::{
    definition::{parameter::Kind, types},
    search::{Direction, Include, SortBy, SortKey, Summary, Total},
    types::{is_resource, resource_types},
};

const NAMES: [&str; 7] = ["_sort", "_count", "_total", "_summary", "_elements", "_include", "_revinclude"];

/// Whether this is one of them, maybe with a modifier.
pub fn is_one(name: &str) -> bool {
    NAMES.contains(&name.split(':').next().unwrap_or_default())
}

/// What of them was given.
#[derive(Default)]
pub struct Results {
    /// The names of those that may be given once.
    once: Vec<&'static str>,
}

impl Reading<'_> {
    /// Reads one of them; `Some`: the value as far as it is used.
    pub fn result(&mut self, name: &str, value: &str) -> Result<Option<String>, Refusal> {
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        let is_include = matches!(code, "_include" | "_revinclude");
        if let Some(modifier) = modifier.filter(|modifier| !(is_include && matches!(*modifier, "iterate" | "recurse")))
        {
            return Err(Refusal::unsupported(format!("does not take the modifier {}", told(modifier))));
        }
        if value.trim().is_empty() {
            return Err(Refusal::unknown("has no value"));
        }
        match code {
            "_sort" => return self.sort(name, value),
            "_elements" => return self.elements(name, value),
            "_include" => {
                let include = self.include(value, modifier.is_some())?;
                if !self.query.includes.contains(&include) {
                    self.query.includes.push(include);
                }
            }
            "_revinclude" => {
                let include = self.revinclude(value, modifier.is_some())?;
                if !self.query.revincludes.contains(&include) {
                    self.query.revincludes.push(include);
                }
            }
            "_count" => {
                self.once("_count")?;
                if !value.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Refusal::value("a whole number from 0 on", value));
                }
                // More than can be counted is more than a page holds.
                self.query.count = Some(value.parse().unwrap_or(u32::MAX));
            }
            "_total" => {
                self.once("_total")?;
                self.query.total = Some(match value {
                    "none" => Total::None,
                    "estimate" => Total::Estimate,
                    "accurate" => Total::Accurate,
                    _ => return Err(Refusal::value("none, estimate or accurate", value)),
                });
            }
            _ => {
                self.once("_summary")?;
                let known = Summary::named(value);
                self.query.summary =
                    Some(known.ok_or_else(|| Refusal::value("true, text, data, count or false", value))?);
            }
        }
        Ok(Some(value.to_owned()))
    }

    fn once(&mut self, name: &'static str) -> Result<(), Refusal> {
        if self.results.once.contains(&name) {
            return Err(Refusal::wrong("may be given once"));
        }
        self.results.once.push(name);
        Ok(())
    }

    /// What is known of a comma-separated list; the rest is refused one by one.
    fn list(
        &mut self,
        name: &str,
        value: &str,
        mut take: impl FnMut(&mut Self, &str) -> Result<(), Refusal>,
    ) -> Option<String> {
        let mut used: Vec<&str> = Vec::new();
        for one in value.split(',').filter(|one| !one.is_empty()) {
            match take(self, one) {
                Ok(()) => used.push(one),
                Err(refusal) => self.refuse(name, refusal),
            }
        }
        (!used.is_empty()).then(|| used.join(","))
    }

    fn sort(&mut self, name: &str, value: &str) -> Result<Option<String>, Refusal> {
        let most = self.request.limits.max_sort_keys;
        if self.query.sort.len() + value.split(',').count() > most {
            return Err(Refusal::costly(format!("has more than {most} keys")));
        }
        Ok(self.list(name, value, |reading, key| {
            let (direction, code) = match key.strip_prefix('-') {
                Some(code) => (Direction::Descending, code),
                None => (Direction::Ascending, key),
            };
            let by = reading.sort_by(code)?;
            reading.query.sort.push(SortKey { by, direction });
            Ok(())
        }))
    }

    fn sort_by(&self, code: &str) -> Result<SortBy, Refusal> {
        match (code, self.types) {
            ("_id", _) => Ok(SortBy::Id),
            ("_lastUpdated", _) => Ok(SortBy::Updated),
            (_, [type_name]) => {
                let parameter = self.reader.parameter(self.types, type_name, code)?;
                let part = part(parameter).filter(|_| parameter.has_rows());
                part.map(SortBy::Part).ok_or_else(|| Refusal::unknown(format!("{} has no order", told(code))))
            }
            _ => Err(Refusal::unknown(format!("several types cannot be sorted by {}", told(code)))),
        }
    }

    fn elements(&mut self, name: &str, value: &str) -> Result<Option<String>, Refusal> {
        let r4 = types::r4();
        let of_types: Vec<_> = self.types.iter().filter_map(|name| r4.resource(name)).collect();
        Ok(self.list(name, value, |reading, element| {
            let has =
                |of: &types::TypeId| r4.field_named(*of, element).or_else(|| r4.element_named(*of, element)).is_some();
            if !of_types.iter().any(has) {
                return Err(Refusal::unknown(format!("{} is no element of what is searched", told(element))));
            }
            if !reading.query.elements.iter().any(|known| known == element) {
                reading.query.elements.push(element.to_owned());
            }
            Ok(())
        }))
    }

    /// `Observation:subject`, `Observation:subject:Patient`, `Observation:*`, `*`.
    fn include(&self, value: &str, iterate: bool) -> Result<Include, Refusal> {
        if value == "*" {
            // What was included may be of any type.
            let parameters = match iterate {
                true => resource_types().flat_map(|source| self.references(source, None)).collect(),
                false => self.types.iter().flat_map(|source| self.references(source, None)).collect(),
            };
            return Ok(Include { source: None, parameters, target: None, iterate });
        }
        self.included(value, iterate)
    }

    fn revinclude(&self, value: &str, iterate: bool) -> Result<Include, Refusal> {
        if value == "*" {
            let parameters = resource_types().flat_map(|source| self.references(source, None)).collect();
            return Ok(Include { source: None, parameters, target: None, iterate });
        }
        self.included(value, iterate)
    }

    fn included(&self, value: &str, iterate: bool) -> Result<Include, Refusal> {
        let parts: Vec<&str> = value.split(':').collect();
        let (source, code, target) = match parts.as_slice() {
            [source, code] => (*source, *code, None),
            [source, code, target] => (*source, *code, Some(*target)),
            _ => {
                return Err(Refusal::value(
                    "[type]:[parameter], [type]:[parameter]:[target type], [type]:* or *",
                    value,
                ));
            }
        };
        for name in [Some(source), target].into_iter().flatten() {
            if !is_resource(name) {
                return Err(Refusal::unknown(format!("{} is not a resource type of R4", told(name))));
            }
        }
        let parameters = if code == "*" {
            self.references(source, target)
        } else {
            let parameter = self.reader.parameter(&[source], source, code)?;
            if parameter.kind != Kind::Reference {
                return Err(Refusal::unknown(format!("{} of {source} is no reference", told(code))));
            }
            if target.is_some_and(|target| !may_lead_to(types_of(parameter), target)) {
                let target = target.unwrap_or_default();
                return Err(Refusal::unknown(format!("{} of {source} does not lead to {}", told(code), told(target))));
            }
            vec![parameter.id]
        };
        let (source, target) = (Some(source.to_owned()), target.map(ToOwned::to_owned));
        Ok(Include { source, parameters, target, iterate })
    }

    /// All reference parameters of a type, or those that may lead to one.
    fn references(&self, source: &str, target: Option<&str>) -> Vec<i32> {
        let all = self.request.parameters.of(source).filter(|parameter| parameter.kind == Kind::Reference);
        let leading = all.filter(|parameter| target.is_none_or(|target| may_lead_to(types_of(parameter), target)));
        leading.map(|parameter| parameter.id).collect()
    }

    /// What does not go together. `_elements` is the finer wish, so it goes before `_summary`; R4 forbids `_summary=text`
    /// with includes.
    pub fn settle(&mut self) {
        let is_cut = matches!(self.query.summary, Some(Summary::True | Summary::Text | Summary::Data));
        if is_cut && !self.query.elements.is_empty() {
            self.query.summary = None;
            self.query.used.retain(|(name, _)| name != "_summary");
            self.refuse("_summary", Refusal::unknown("is given together with _elements, which says it more exactly"));
        }
        let brings = !(self.query.includes.is_empty() && self.query.revincludes.is_empty());
        if self.query.summary == Some(Summary::Text) && brings {
            self.refuse("_summary", Refusal::wrong("text cannot be asked for together with _include or _revinclude"));
        }
    }
}
