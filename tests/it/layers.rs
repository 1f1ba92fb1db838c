//! The architecture is enforced: a module imports only from the groups above its own in `src/lib.rs`, and SQL is spoken in
//! the store alone. The sources are parsed, so comments and texts do not count; paths inside macro calls do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{UseTree, parse_file};

/// Module to number of its group, counted from the top.
type Groups = BTreeMap<String, usize>;

/// A path that begins at the crate's root, with the line it is written in.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    line: usize,
    path: Vec<String>,
}

struct Violation {
    file: PathBuf,
    import: Import,
    rule: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.import.line, self.import.path.join("::"), self.rule)
    }
}

/// The groups of `src/lib.rs`: `pub mod` lines in a row, each group headed by a comment, separated by blank lines.
fn groups(text: &str) -> Groups {
    let mut groups = Groups::new();
    let mut number = 0;
    let mut headed = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            headed = false;
        } else if line.starts_with("// ") {
            number += 1;
            headed = true;
        } else if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            assert!(headed, "{name} stands in a group without a comment");
            groups.insert(name.to_owned(), number);
        }
    }
    groups
}

/// Collects what a file imports.
struct Imports<'a> {
    /// The module the visitor is in, from the root.
    module: Vec<String>,
    groups: &'a Groups,
    crate_paths: Vec<Import>,
    /// Paths of other crates, as far as written out.
    other_paths: Vec<Import>,
}

impl Imports<'_> {
    fn add(&mut self, line: usize, segments: &[String]) {
        let Some(first) = segments.first() else { return };
        let mut from_root = match first.as_str() {
            "crate" | "self" | "super" => Vec::new(),
            _ => {
                self.other_paths.push(Import { line, path: segments.to_vec() });
                return;
            }
        };
        let mut rest = segments;
        if first == "crate" {
            rest = &rest[1..];
        } else {
            from_root.clone_from(&self.module);
            while let Some(word) = rest.first().filter(|word| *word == "self" || *word == "super") {
                if word == "super" {
                    from_root.pop();
                }
                rest = &rest[1..];
            }
        }
        from_root.extend_from_slice(rest);
        self.crate_paths.push(Import { line, path: from_root });
    }

    fn use_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let joined = |ident: &syn::Ident| [prefix, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&joined(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(name.ident.span().start().line, &joined(&name.ident)),
            UseTree::Rename(rename) => self.add(rename.ident.span().start().line, &joined(&rename.ident)),
            UseTree::Glob(glob) => {
                let star = [prefix, &["*".to_owned()]].concat();
                self.add(glob.star_token.spans[0].start().line, &star);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(prefix, item)),
        }
    }

    /// Paths in the tokens of a macro call or attribute: `ident (:: ident)*`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add(line, &std::mem::take(&mut path));
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.add(line, &std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.add(line, &path);
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let (Some(first), true) = (path.segments.first(), segments.len() > 1) {
            self.add(first.ident.span().start().line, &segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}

/// What is wrong in one file; `module` is its module, from the root.
fn violations(groups: &Groups, file: &Path, module: Vec<String>, text: &str) -> Vec<Violation> {
    let own = module.first().cloned().unwrap_or_default();
    let parsed = parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut imports = Imports { module, groups, crate_paths: Vec::new(), other_paths: Vec::new() };
    imports.visit_file(&parsed);
    let known = imports.groups;
    let mut found = Vec::new();
    for import in imports.crate_paths {
        let Some(target) = import.path.first().filter(|target| **target != own) else { continue };
        let rule = match (known.get(target), known.get(&own)) {
            (Some(theirs), Some(ours)) if theirs < ours => continue,
            (Some(theirs), Some(ours)) if theirs == ours => "is of the same group in src/lib.rs",
            (Some(_), Some(_)) => "is of a group below in src/lib.rs",
            _ => "is not a module of src/lib.rs",
        };
        found.push(Violation { file: file.to_owned(), import, rule });
    }
    for import in imports.other_paths {
        let words: Vec<&str> = import.path.iter().map(String::as_str).collect();
        let sql = matches!(words[..], ["sqlx", name, ..] if name.starts_with("query") || name == "raw_sql" || name == "QueryBuilder");
        if sql && own != "store" {
            found.push(Violation { file: file.to_owned(), import, rule: "SQL is spoken in src/store only" });
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `store/mod.rs` and `store.rs` are `store`; `store/audit.rs` is `store::audit`.
fn module_of(relative: &Path) -> Vec<String> {
    let stem = relative.with_extension("");
    let mut module: Vec<String> = stem.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

#[test]
fn modules_import_only_from_the_groups_above_their_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let groups = groups(&std::fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut found = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let module = module_of(relative);
        if module == ["lib"] || module == ["main"] {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        found.extend(violations(&groups, &Path::new("src").join(relative), module, &text));
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn every_module_stands_in_a_group() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared = parse_file(&text).unwrap().items.into_iter().filter_map(|item| match item {
        syn::Item::Mod(item) => Some(item.ident.to_string()),
        _ => None,
    });
    let groups = groups(&text);
    for module in declared {
        assert!(groups.contains_key(&module), "{module} must be declared as `pub mod {module};` in a group");
    }
}

#[test]
fn each_way_of_writing_a_violation_is_found() {
    let groups =
        groups("// base\npub mod clock;\n\n// store\npub mod store;\n\n// surfaces\npub mod oauth;\npub mod rest;\n");
    let check = |module: &[&str], text: &str| -> Vec<String> {
        let module = module.iter().map(|part| (*part).to_owned()).collect();
        violations(&groups, Path::new("f.rs"), module, text).iter().map(ToString::to_string).collect()
    };
    let below = "is of a group below in src/lib.rs";
    assert_eq!(check(&["store"], "use crate::rest::Route;"), [format!("f.rs:1: rest::Route: {below}")]);
    assert_eq!(
        check(&["store"], "\nuse crate::{clock::Clock, oauth::{self, login}};"),
        [format!("f.rs:2: oauth::self: {below}"), format!("f.rs:2: oauth::login: {below}")]
    );
    assert_eq!(check(&["store"], "fn f() { crate::rest::go() }"), [format!("f.rs:1: rest::go: {below}")]);
    assert_eq!(check(&["store"], "fn f() -> Vec<crate::rest::R> {}"), [format!("f.rs:1: rest::R: {below}")]);
    assert_eq!(check(&["store"], "fn f() { println!(\"{}\", crate::rest::X) }"), [format!("f.rs:1: rest::X: {below}")]);
    assert_eq!(check(&["store", "audit"], "use super::super::rest::R;"), [format!("f.rs:1: rest::R: {below}")]);
    assert_eq!(check(&["store"], "mod a { use super::super::rest::R; }"), [format!("f.rs:1: rest::R: {below}")]);
    assert_eq!(check(&["rest"], "use crate::oauth as o;"), ["f.rs:1: oauth: is of the same group in src/lib.rs"]);
    assert_eq!(check(&["rest"], "use crate::*;"), ["f.rs:1: *: is not a module of src/lib.rs"]);
    let sql = "SQL is spoken in src/store only";
    assert_eq!(check(&["rest"], "fn f() { sqlx::query(\"\") }"), [format!("f.rs:1: sqlx::query: {sql}")]);
    assert_eq!(check(&["rest"], "use sqlx::{PgPool, query_as};"), [format!("f.rs:1: sqlx::query_as: {sql}")]);

    let fine = "use crate::{clock, store::Tx, rest::a};\nuse super::b;\n// crate::oauth::x\nconst T: &str = \"crate::oauth::x\";";
    assert!(check(&["rest", "c"], fine).is_empty());
    assert!(check(&["store"], "fn f() { sqlx::query(\"\") }").is_empty());
}
