//! Lists of rows: a behaviour that is asked for, and the tests that keep it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use Row::{By, Not};

/// What is known of a row.
pub enum Row {
    /// These tests fail when it does not hold: `file::test`.
    By(&'static [&'static str]),
    /// It is left out, for a reason.
    Not(&'static str),
}

/// Demands that every row stands in the list once, and that its tests exist or its reason is given. `letters`: how many
/// rows each letter has, counted from 1.
#[track_caller]
pub fn check(letters: &[(&str, usize)], rows: &[(&str, Row)]) {
    let ids = letters.iter().flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")));
    let mut missing: BTreeSet<String> = ids.collect();
    let tests = tests();
    let mut wrong = Vec::new();
    for (id, row) in rows {
        if !missing.remove(*id) {
            wrong.push(format!("{id} stands twice or is no row"));
        }
        match row {
            By(names) => {
                wrong.extend(names.is_empty().then(|| format!("{id}: no test")));
                let unknown = names.iter().filter(|name| !tests.contains(**name));
                wrong.extend(unknown.map(|name| format!("{id}: there is no test {name}")));
            }
            Not(reason) => {
                wrong.extend((reason.len() <= 20).then(|| format!("{id}: {reason:?} is no reason")));
            }
        }
    }
    wrong.extend(missing.into_iter().map(|id| format!("{id} is missing")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those of the names (`file::test`) that no test has.
pub fn unknown<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let tests = tests();
    names.filter(|name| !tests.contains(*name)).collect()
}

/// Every test of the sources, as `file::test`.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests/it"] {
        collect(&root.join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for file in files {
        let name = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" => file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned(),
            stem => stem.to_owned(),
        };
        let text = std::fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, rest)) = line.split_once("fn ")
                && is_test
            {
                found.insert(format!("{name}::{}", rest.split(['(', '<']).next().unwrap_or_default()));
                is_test = false;
            }
        }
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
}
