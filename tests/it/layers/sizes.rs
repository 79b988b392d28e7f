//! Nothing grows unseen: files, functions, the product as a whole, its dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;

use super::graph::is_test;
use super::{CRATES, sources};
use crate::support::process::root;

/// Longest file, lines.
const FILE: usize = 500;
/// Longest function, lines.
const FUNCTION: usize = 100;
/// Files and functions that are longer, with the reason.
const LONGER: &[(&str, &str)] = &[
    ("tests/it/nasty.rs::nasty", "a table of arguments"),
    (
        "tests/it/nasty.rs::nothing_is_changed_or_leaked_by_any_argument",
        "one stage for ten thousand requests",
    ),
    (
        "tests/it/pages/shown.rs::on_a_phone_and_at_a_desk_by_day_and_by_night",
        "one walk of one browser",
    ),
];

/// Every Rust file of the project, tests and benches included.
pub fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "crates", "tests", "benches"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 300, "only {} files were found", found.len());
    found
}

/// Collects the functions with their lines.
#[derive(Default)]
struct Functions(BTreeMap<String, usize>);

impl Functions {
    fn add(&mut self, name: &syn::Ident, body: proc_macro2::Span) {
        let lines = body.end().line - name.span().start().line + 1;
        self.0.insert(name.to_string(), lines);
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig.ident, function.block.span());
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig.ident, function.block.span());
        syn::visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn no_file_and_no_function_is_too_long_to_be_read() {
    let mut wrong = Vec::new();
    let mut excused = BTreeSet::new();
    for path in all_files() {
        let short = path.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(&text).unwrap());
        let lines = text.lines().count();
        let long = functions
            .0
            .into_iter()
            .filter(|(_, lines)| *lines > FUNCTION);
        let long = long.map(|(name, lines)| (format!("{short}::{name}"), lines));
        let file = (lines > FILE).then(|| (short.clone(), lines));
        for (what, lines) in long.chain(file) {
            match LONGER.iter().find(|(one, _)| *one == what) {
                Some((one, _)) => drop(excused.insert(*one)),
                None => wrong.push(format!("{what}: {lines} lines")),
            }
        }
    }
    assert!(wrong.is_empty(), "too long:\n{}", wrong.join("\n"));
    for (what, reason) in LONGER {
        assert!(
            excused.contains(what),
            "{what} is not that long any more ({reason})"
        );
    }
}

#[test]
fn no_dependency_is_there_that_nobody_uses() {
    let manifest = |folder: &Path| -> toml::Table {
        let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        toml::from_str(&text).unwrap()
    };
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    let crates = CRATES
        .iter()
        .map(|(name, _)| root().join("crates").join(name));
    for folder in crates.chain([root()]) {
        let code = |names: &[&str]| -> String {
            let within =
                |path: &PathBuf| names.iter().any(|name| path.starts_with(folder.join(name)));
            let files = all_files().into_iter().filter(within);
            files
                .map(|path| std::fs::read_to_string(path).unwrap())
                .collect()
        };
        let (product, all) = (code(&["src"]), code(&["src", "tests", "benches"]));
        for (section, code) in [("dependencies", &product), ("dev-dependencies", &all)] {
            let listed = manifest(&folder);
            let listed = listed.get(section).and_then(toml::Value::as_table);
            for name in listed.into_iter().flat_map(|table| table.keys()) {
                used.insert(name.clone());
                let name_in_code = name.replace('-', "_");
                let ways = [
                    format!("{name_in_code}::"),
                    format!("use {name_in_code};"),
                    format!("use {name_in_code} as "),
                ];
                if !ways.iter().any(|way| code.contains(way)) {
                    wrong.push(format!("{}: {section}.{name}", folder.display()));
                }
            }
        }
    }
    let workspace = manifest(&root());
    let workspace = workspace["workspace"]["dependencies"].as_table().unwrap();
    let orphans = workspace.keys().filter(|name| !used.contains(*name));
    wrong.extend(orphans.map(|name| format!("workspace.dependencies.{name}")));
    assert!(wrong.is_empty(), "nobody uses these:\n{}", wrong.join("\n"));
}

/// Most lines of the product: its own code and that of the crates below it, comments included,
/// without tests, the sandbox and the tests' Kubernetes. The goal for what there was before the ways to
/// reach people and the truth of alerts (66,100 then) is 60,000; those brought 8,500; setting up, the
/// doctor, telemetry and the command line 8,500 more; what the tools really say (others that hang on a
/// container, Swarms of several nodes, certificates, pages of metrics, caches) 5,500; the store, heartbeats,
/// windows, tasks, checklists and backups of PostgreSQL 15,000.
const PRODUCT: usize = 103_300;

#[test]
fn the_product_stays_small_enough_to_be_known() {
    let mut lines = 0;
    for file in sources().files() {
        if ["crates/sandbox", "crates/fake-kubernetes"]
            .iter()
            .any(|part| file.starts_with(root().join(part)))
        {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let tests: usize = syn::parse_file(&text)
            .unwrap()
            .items
            .iter()
            .filter_map(|item| match item {
                syn::Item::Mod(item) if is_test(&item.attrs) => {
                    let (_, items) = item.content.as_ref()?;
                    let end = items.last()?.span().end().line;
                    Some(end + 1 - item.mod_token.span.start().line)
                }
                _ => None,
            })
            .sum();
        lines += text.lines().count() - tests;
    }
    println!("{lines} lines");
    assert!(lines <= PRODUCT, "{lines} lines: say something once");
}
