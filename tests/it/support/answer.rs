//! One HTTP answer, read to its end, with the questions tests ask of it.

use std::time::Instant;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::conformance::assert_conforms;

/// Status, headers and body of an answer, and the moment it was complete.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for failure messages.
    pub asked: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub at: Instant,
}

/// One issue of an OperationOutcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub severity: String,
    pub code: String,
    /// `details.text` and `diagnostics` together: what a person would read.
    pub text: String,
    pub expression: Vec<String>,
}

impl Answer {
    /// Reads `response` to its end.
    pub async fn read(asked: String, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{asked}: body: {error}"));
        let is_fhir = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/fhir+"));
        if is_fhir && !text.is_empty() {
            assert_conforms(&asked, &text);
        }
        Self { asked, status, headers, text, at: Instant::now() }
    }

    /// Demands a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        self
    }

    /// Demands a status and an OperationOutcome whose issues include one of severity error or fatal with this code.
    #[track_caller]
    pub fn expect_issue(self, status: u16, code: &str) -> Self {
        let this = self.expect(status).expect_outcome();
        let codes: Vec<_> = this.issues().into_iter().filter(Issue::is_error).map(|issue| issue.code).collect();
        assert!(codes.iter().any(|found| found == code), "{}: no issue `{code}` in {}", this.asked, this.text);
        this
    }

    /// Demands that the body is an OperationOutcome in FHIR's media type, with an error that says something.
    #[track_caller]
    pub fn expect_outcome(self) -> Self {
        let kind = self.header("content-type");
        assert!(kind.starts_with("application/fhir+json"), "{}: Content-Type {kind:?}: {}", self.asked, self.text);
        assert_eq!(self.json()["resourceType"], "OperationOutcome", "{}: {}", self.asked, self.text);
        let said = self.issues().iter().any(|issue| issue.is_error() && !issue.text.is_empty());
        assert!(said, "{}: no error with a text in {}", self.asked, self.text);
        self
    }

    /// Demands that the issues' texts hold `part`.
    #[track_caller]
    pub fn saying(self, part: &str) -> Self {
        let text = self.issues().into_iter().map(|issue| issue.text).collect::<Vec<_>>().join("; ");
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{}: {part:?} not in {text:?}", self.asked);
        self
    }

    /// Demands that some issue points at `expression`.
    #[track_caller]
    pub fn at(self, expression: &str) -> Self {
        let found = self.expressions();
        assert!(found.iter().any(|one| one == expression), "{}: {expression:?} not in {found:?}", self.asked);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.text))
    }

    /// A header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("(not text)"))
    }

    /// The issues of an OperationOutcome; none when the body is something else.
    pub fn issues(&self) -> Vec<Issue> {
        let Ok(body) = serde_json::from_str::<Value>(&self.text) else { return Vec::new() };
        issues_of(&body)
    }

    /// Every `issue.expression`.
    pub fn expressions(&self) -> Vec<String> {
        self.issues().into_iter().flat_map(|issue| issue.expression).collect()
    }

    /// The id of the resource in the body.
    #[track_caller]
    pub fn id(&self) -> String {
        let id = self.json()["id"].as_str().map(str::to_owned);
        id.unwrap_or_else(|| panic!("{}: no id in {}", self.asked, self.text))
    }
}

/// The issues of an OperationOutcome.
pub fn issues_of(outcome: &Value) -> Vec<Issue> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let issues = outcome["issue"].as_array().into_iter().flatten();
    issues
        .map(|issue| Issue {
            severity: text(&issue["severity"]),
            code: text(&issue["code"]),
            text: format!("{} {}", text(&issue["details"]["text"]), text(&issue["diagnostics"])).trim().to_owned(),
            expression: list(&issue["expression"]),
        })
        .collect()
}

/// Where a Bundle's link of this relation leads.
pub fn link(bundle: &Value, relation: &str) -> Option<String> {
    let found = bundle["link"].as_array()?.iter().find(|link| link["relation"] == relation)?;
    found["url"].as_str().map(str::to_owned)
}

impl Issue {
    /// Whether it is an error rather than a remark.
    pub fn is_error(&self) -> bool {
        matches!(self.severity.as_str(), "error" | "fatal")
    }
}
