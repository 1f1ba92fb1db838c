//! A set of codes, each with the code systems it is of.

use std::collections::HashMap;

use crate::fhir::definition::terminology::Listed;

/// Codes by system.
#[derive(Debug, Default)]
pub(super) struct Codes {
    systems: Vec<Box<str>>,
    /// Code to index in `systems`.
    by_code: HashMap<Box<str>, Systems>,
    /// The same in lower case, for systems in which case does not matter.
    folded: HashMap<Box<str>, Systems>,
}

/// Nearly every code belongs to one system.
#[derive(Debug)]
enum Systems {
    One(u16),
    Many(Vec<u16>),
}

impl Systems {
    fn add(&mut self, system: u16) {
        match self {
            Self::One(known) if *known == system => {}
            Self::One(known) => *self = Self::Many(vec![*known, system]),
            Self::Many(known) if known.contains(&system) => {}
            Self::Many(known) => known.push(system),
        }
    }

    fn as_slice(&self) -> &[u16] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Codes {
    /// As an expansion lists them.
    pub fn of(listed: &Listed) -> Self {
        let mut codes = Self::default();
        for (system, listed) in &listed.codes {
            let system = codes.system(system);
            for code in listed {
                codes.add(system, code, true);
            }
        }
        codes
    }

    pub fn system(&mut self, system: &str) -> u16 {
        let at = self.systems.iter().position(|known| &**known == system).unwrap_or_else(|| {
            self.systems.push(system.into());
            self.systems.len() - 1
        });
        // A set of more systems than that would still answer, with the systems beyond taken for the last.
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    pub fn add(&mut self, system: u16, code: &str, is_case_sensitive: bool) {
        let (codes, key) = match is_case_sensitive {
            true => (&mut self.by_code, code.into()),
            false => (&mut self.folded, code.to_ascii_lowercase().into()),
        };
        codes.entry(key).and_modify(|systems| systems.add(system)).or_insert(Systems::One(system));
    }

    pub fn contains(&self, system: Option<&str>, code: &str) -> bool {
        let is_of = |systems: &Systems| match system {
            None => true,
            Some(system) => systems.as_slice().iter().any(|at| &*self.systems[*at as usize] == system),
        };
        self.by_code.get(code).is_some_and(is_of)
            || (!self.folded.is_empty() && self.folded.get(&*code.to_ascii_lowercase()).is_some_and(is_of))
    }

    /// The system of a code, where only one has it.
    pub fn system_of(&self, code: &str) -> Option<&str> {
        match self.by_code.get(code)?.as_slice() {
            [only] => self.systems.get(usize::from(*only)).map(|system| &**system),
            _ => None,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        let exact = self.by_code.iter().map(|one| (one, true));
        exact.chain(self.folded.iter().map(|one| (one, false))).flat_map(move |((code, systems), is_exact)| {
            systems.as_slice().iter().map(move |at| (&*self.systems[*at as usize], &**code, is_exact))
        })
    }

    pub fn add_all(&mut self, other: &Self, except: &Self) {
        for (system, code, is_exact) in other.iter() {
            if !except.contains(Some(system), code) {
                let system = self.system(system);
                self.add(system, code, is_exact);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_code.is_empty() && self.folded.is_empty()
    }
}
