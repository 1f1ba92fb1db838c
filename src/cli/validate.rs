//! `sofa validate`: checks files as the server would, without a server, so that the vendor of a point-of-care system can try
//! payloads at the desk.

use std::{
    io::{BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    clock::SystemClock,
    config::Config,
    fhir::{
        json::{Doc, Limits},
        outcome::{Issue, IssueType, Outcome, Severity},
        tree::Tree,
        validate::Validator,
        xml,
    },
    packages,
};

/// Files from which on a progress bar is shown.
const MANY: usize = 20;

#[derive(Args)]
pub(super) struct Validate {
    /// Files with a resource (.json, .xml), files with a resource a line (.ndjson), or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check against this profile too, whether the resource claims it or not
    #[arg(long, value_name = "URL")]
    profile: Vec<String>,
    /// FHIR packages (.tgz or folder) to load besides those of the configuration
    #[arg(long, value_name = "FILE")]
    package: Vec<PathBuf>,
    /// Print one OperationOutcome a line, as JSON
    #[arg(long)]
    json: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
}

/// Exit code 0 when every resource is valid, 1 when one is not, 2 for wrong arguments.
pub(super) fn run(asked: &Validate, mut config: Config) -> Result<ExitCode> {
    config.fhir.max_depth = config.fhir.max_depth.max(Limits::default().depth);
    config.validation.packages.extend(asked.package.iter().cloned());
    let validator = packages::validator(&config.validation, Arc::new(SystemClock))?;
    for profile in &asked.profile {
        anyhow::ensure!(
            validator.knows(profile),
            "the profile {profile} is not loaded: name its package with --package"
        );
    }
    let mut files = Vec::new();
    for file in &asked.files {
        find(file, true, &mut files)?;
    }
    anyhow::ensure!(!files.is_empty(), "there is no .json, .xml or .ndjson file in what was named");
    let progress = bar(files.len());
    let mut work =
        Work { asked, validator, limits: Limits { depth: config.fhir.max_depth }, count: 0, invalid: 0, progress };
    for file in &files {
        work.file(file)?;
        work.progress.inc(1);
    }
    work.progress.finish_and_clear();
    if !asked.json {
        println!("{} resources, {} invalid", work.count, work.invalid);
    }
    Ok(ExitCode::from(u8::from(work.invalid > 0)))
}

/// All files at or below `path`, in the order of their names; other kinds of files only when they are named themselves.
fn find(path: &Path, is_named: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let context = || format!("cannot read {}", path.display());
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(context)?;
        let mut inside =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().with_context(context)?;
        inside.sort();
        return inside.iter().try_for_each(|path| find(path, false, files));
    }
    let is_ours = path.extension().is_some_and(|end| end == "json" || end == "xml" || end == "ndjson");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_named || (is_ours && name != "package.json" && !name.starts_with('.')) {
        files.push(path.to_owned());
    }
    Ok(())
}

fn bar(count: usize) -> ProgressBar {
    if count < MANY || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} files, {eta} left");
    ProgressBar::new(count as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

struct Work<'a> {
    asked: &'a Validate,
    validator: Validator,
    limits: Limits,
    count: usize,
    invalid: usize,
    progress: ProgressBar,
}

impl Work<'_> {
    fn file(&mut self, path: &Path) -> Result<()> {
        let name = path.display().to_string();
        let context = || format!("cannot read {name}");
        if path.extension().is_some_and(|end| end == "ndjson") {
            // Line by line: such files are exports, and larger than memory is.
            let lines = BufReader::new(std::fs::File::open(path).with_context(context)?).lines();
            for (number, line) in (1..).zip(lines) {
                let line = line.with_context(context)?;
                if !line.trim().is_empty() {
                    self.one(&format!("{name}:{number}"), &line, false)?;
                }
            }
            return Ok(());
        }
        let text = std::fs::read_to_string(path).with_context(context)?;
        let is_xml = path.extension().is_some_and(|end| end == "xml") || text.trim_start().starts_with('<');
        self.one(&name, &text, is_xml)
    }

    fn one(&mut self, name: &str, text: &str, is_xml: bool) -> Result<()> {
        let issues = self.issues(text, is_xml);
        let is_invalid = issues.iter().any(|issue| issue.severity >= Severity::Error);
        self.count += 1;
        self.invalid += usize::from(is_invalid);
        let shown = issues.into_iter().filter(|issue| !self.asked.quiet || issue.severity >= Severity::Error);
        self.progress.suspend(|| self.print(name, shown.collect())).context("cannot write the result")
    }

    fn issues(&self, text: &str, is_xml: bool) -> Vec<Issue> {
        let converted = if is_xml { xml::read(text, &self.limits) } else { Ok(String::new()) };
        let json = match &converted {
            Ok(json) if is_xml => json.as_str(),
            Ok(_) => text,
            Err(issues) => return issues.clone(),
        };
        let doc = match Doc::parse(json, &self.limits) {
            Ok(doc) => doc,
            Err(error) => return vec![Issue::error(IssueType::Structure, error.to_string())],
        };
        let tree = Tree::of_resource(&doc);
        self.validator.check_against(&tree, &self.asked.profile)
    }

    fn print(&self, name: &str, issues: Vec<Issue>) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.asked.json {
            let fine = || Issue::information("no issues: the resource is valid").into();
            let outcome = Outcome::of(issues).unwrap_or_else(fine);
            return writeln!(out, "{}", json!({"file": name, "outcome": outcome.to_json()}));
        }
        for issue in issues {
            let severity = match issue.severity {
                Severity::Fatal | Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Information => "information",
            };
            let place = issue.expression.map(|path| format!(" {path}:")).unwrap_or_default();
            writeln!(out, "{name}: {severity}:{place} {}", issue.text)?;
        }
        Ok(())
    }
}
