//! The steps of the run without a person: their names, times and details, as lines or as JSON.

use std::time::Instant;

use anyhow::{Error, Result};
use serde_json::{Value, json};

/// Collects the steps; prints each as soon as it is done, unless JSON is wanted at the end.
pub struct Report {
    as_json: bool,
    begun: Instant,
    last: Instant,
    steps: Vec<Value>,
}

impl Report {
    /// No steps yet; the first one's time runs from now.
    pub fn new(as_json: bool) -> Self {
        let now = Instant::now();
        Self { as_json, begun: now, last: now, steps: Vec::new() }
    }

    /// Notes a step, its time being that since the step before: its detail, or why it failed.
    pub fn step<T>(&mut self, name: &str, result: Result<(T, String)>) -> Result<T> {
        match result {
            Ok((value, detail)) => {
                self.add(name, true, &detail);
                Ok(value)
            }
            Err(error) => {
                self.add(name, false, &format!("{error:#}"));
                Err(error.context(format!("the step {name} failed")))
            }
        }
    }

    /// Prints the end: the JSON document, or a line with the whole time.
    pub fn finish(&self, failure: Option<&Error>) {
        if self.as_json {
            println!("{}", json!({ "steps": self.steps, "ok": failure.is_none(), "ms": millis(self.begun) }));
        } else if failure.is_none() {
            println!("All {} steps did what they must, in {} ms.", self.steps.len(), millis(self.begun));
        }
    }

    fn add(&mut self, name: &str, ok: bool, detail: &str) {
        let ms = millis(self.last);
        self.last = Instant::now();
        if !self.as_json {
            let mark = if ok { "ok  " } else { "FAIL" };
            println!("{mark} {:>2} {name:<16} {ms:>6} ms  {detail}", self.steps.len() + 1);
        }
        self.steps.push(json!({ "name": name, "ok": ok, "ms": ms, "detail": detail }));
    }
}

/// Whole milliseconds since `from`.
fn millis(from: Instant) -> u64 {
    u64::try_from(from.elapsed().as_millis()).unwrap_or(u64::MAX)
}
