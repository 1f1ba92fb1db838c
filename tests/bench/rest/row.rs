//! A row: one kind of request, and what a right answer to it is.

use super::sample::Samples;
use super::service::Service;

/// One request. `path` is below the FHIR base; with `/` in front, below the server; or a whole URL.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
}

impl Ask {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), headers: Vec::new(), body: None }
    }

    pub fn post(path: impl Into<String>, body: String) -> Self {
        Self { method: "POST", ..Self::put(path, body) }
    }

    pub fn put(path: impl Into<String>, body: String) -> Self {
        Self {
            method: "PUT",
            path: path.into(),
            headers: vec![("content-type", "application/fhir+json".to_owned())],
            body: Some(body),
        }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Without the resource in the answer.
    #[must_use]
    pub fn minimal(self) -> Self {
        self.with("prefer", "return=minimal")
    }
}

/// What requests are made from.
pub struct Source<'a> {
    pub service: &'a Service,
    pub samples: &'a Samples,
}

/// Makes the request of a number.
type Make = Box<dyn Fn(&Samples, u64) -> Ask + Send + Sync>;

/// One line of the table.
pub struct Row {
    pub name: &'static str,
    /// The statuses of right answers.
    pub right: &'static [u16],
    /// Whether some of the answers must be a Bundle with entries.
    pub finds: bool,
    /// Instead of the request itself, its answer's `next` link is measured.
    pub next_page: bool,
    /// The scope of the token, where it is not the widest.
    pub scope: Option<&'static str>,
    pub make: Make,
}

impl Row {
    pub fn new(
        name: &'static str,
        right: &'static [u16],
        make: impl Fn(&Samples, u64) -> Ask + Send + Sync + 'static,
    ) -> Self {
        Self { name, right, finds: false, next_page: false, scope: None, make: Box::new(make) }
    }

    /// The same with a token of this scope.
    #[must_use]
    pub fn under(self, scope: &'static str) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// A search whose path is made from samples and a number.
    pub fn search(name: &'static str, path: impl Fn(&Samples, u64) -> String + Send + Sync + 'static) -> Self {
        Self { finds: true, ..Self::new(name, &[200], move |samples, number| Ask::get(path(samples, number))) }
    }
}
