//! The house's plan, read from the syntax of the code: arrows between rooms point down, nothing runs
//! in a circle, no file and no function is too long to be read.

mod graph;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;

use self::graph::{Sources, Use, circles, is_test};
use crate::support::process::root;

/// Each crate below the product with those of ours that it may use.
const CRATES: &[(&str, &[&str])] = &[
    ("docker", &["domain", "ports"]),
    ("domain", &[]),
    ("fake-kubernetes", &[]),
    ("kubernetes", &["domain", "ports"]),
    ("ports", &["domain"]),
    ("probes", &["domain", "ports"]),
    ("runbook", &["domain"]),
    ("sandbox", &["domain", "ports"]),
    ("store", &["domain"]),
];

/// Each room of the product with those that it may use (besides itself, and the crates).
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["*"]),
    ("cli", &["*"]),
    ("app", &["*"]),
    ("config", &["bot", "command", "notify", "slack", "web"]),
    ("slack", &["bot", "command"]),
    ("web", &["bot"]),
    ("bot", &["command", "notify", "report"]),
    ("notify", &[]),
    ("report", &[]),
    ("command", &[]),
];

/// The crates that only doors, drivers and the composition root may name.
const NOT_FOR: &[(&str, &[&str])] = &[
    ("bot", &["docker", "kubernetes", "sandbox"]),
    (
        "command",
        &[
            "docker",
            "kubernetes",
            "ports",
            "probes",
            "sandbox",
            "store",
        ],
    ),
    (
        "notify",
        &[
            "docker",
            "kubernetes",
            "ports",
            "probes",
            "sandbox",
            "store",
        ],
    ),
    (
        "report",
        &[
            "docker",
            "kubernetes",
            "ports",
            "probes",
            "sandbox",
            "store",
        ],
    ),
    (
        "web",
        &["docker", "kubernetes", "ports", "probes", "sandbox"],
    ),
    (
        "slack",
        &["docker", "kubernetes", "ports", "probes", "sandbox"],
    ),
];

/// Words that the pure parts do without.
const IMPURE: &[&str] = &[
    "tokio",
    "sqlx",
    "axum",
    "bollard",
    "slack_morphism",
    "async fn",
    "Timestamp::now",
];

const PURE: &[&str] = &[
    "crates/domain/src",
    "crates/runbook/src",
    "src/command",
    "src/report",
];

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

fn sources() -> Sources {
    let mut sources = Sources::default();
    sources.read("treasury_bot", &root().join("src/lib.rs"));
    for (name, _) in CRATES {
        let path = root().join("crates").join(name).join("src/lib.rs");
        sources.read(&format!("treasury_{}", name.replace('-', "_")), &path);
    }
    sources
}

/// Where a file is: the crate below the product, or the product's room.
#[derive(Debug, PartialEq, Eq)]
enum Home {
    Crate(String),
    Room(String),
}

fn home(file: &Path) -> Home {
    let inside = file.strip_prefix(root()).unwrap();
    let mut parts = inside.iter().map(|part| part.to_str().unwrap());
    match (parts.next(), parts.next()) {
        (Some("crates"), Some(name)) => Home::Crate(name.to_owned()),
        (Some("src"), Some(name)) => Home::Room(name.trim_end_matches(".rs").to_owned()),
        _ => panic!("{} is nowhere in the house", file.display()),
    }
}

fn told(one: &Use) -> String {
    let short = |path: &Path| {
        path.strip_prefix(root())
            .unwrap_or(path)
            .display()
            .to_string()
    };
    format!("{}:{} uses {}", short(&one.from), one.line, short(&one.to))
}

#[test]
fn no_arrow_between_crates_and_rooms_runs_upwards() {
    let of = |table: &'static [(&str, &[&str])], name: &str| {
        table
            .iter()
            .find(|(one, _)| *one == name)
            .map(|(_, may)| *may)
    };
    let allowed = |from: &Home, to: &Home| match (from, to) {
        _ if from == to => true,
        (Home::Crate(from), Home::Crate(to)) => {
            of(CRATES, from).is_some_and(|may| may.contains(&&**to))
        }
        (Home::Crate(_), Home::Room(_)) => false,
        (Home::Room(from), Home::Crate(to)) => {
            of(NOT_FOR, from).is_none_or(|not| !not.contains(&&**to))
        }
        // The root file only declares; what it re-exports is followed.
        (Home::Room(from), Home::Room(to)) => {
            to == "lib"
                || of(ROOMS, from).is_some_and(|may| may.contains(&"*") || may.contains(&&**to))
        }
    };
    let wrong: Vec<String> = sources()
        .uses()
        .iter()
        .filter(|one| !allowed(&home(&one.from), &home(&one.to)))
        .map(told)
        .collect();
    assert!(
        wrong.is_empty(),
        "arrows against the plan:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_more_than_three_files_use_each_other_in_a_circle() {
    let uses = sources().uses();
    let large: Vec<String> = circles(&uses)
        .into_iter()
        .filter(|circle| circle.len() > 3)
        .map(|circle| {
            let within = |file: &PathBuf| circle.contains(file);
            let arrows: BTreeSet<String> = uses
                .iter()
                .filter(|one| within(&one.from) && within(&one.to))
                .map(told)
                .collect();
            let arrows: Vec<String> = arrows.into_iter().collect();
            format!("{} files:\n{}", circle.len(), arrows.join("\n"))
        })
        .collect();
    assert!(large.is_empty(), "circles:\n{}", large.join("\n\n"));
}

#[test]
fn the_pure_parts_do_nothing_but_compute() {
    let mut wrong = Vec::new();
    for file in sources().files() {
        let inside = file.strip_prefix(root()).unwrap().to_owned();
        if !PURE.iter().any(|part| inside.starts_with(part)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (index, line) in code {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", inside.display(), index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "impure:\n{}", wrong.join("\n"));
}

/// Every Rust file of the project, tests and benches included.
fn all_files() -> Vec<PathBuf> {
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

/// Names that are riddles, and what the field says.
const RIDDLES: &[(&str, &str)] = &[
    ("Told", "Conversation, Message"),
    ("Leave", "Approval"),
    ("Shelf", "Library"),
    ("Fate", "Outcome"),
    ("Tie", "Attachment"),
    ("Ties", "Attachments"),
    ("Stand", "State"),
    ("Standing", "State"),
    ("Mend", "Hint"),
    ("Asked", "Requester"),
    ("Deed", "Action"),
    ("Doing", "Action"),
];

#[test]
fn no_type_and_no_file_is_named_in_riddles() {
    /// Collects the names of types.
    #[derive(Default)]
    struct Types(Vec<String>);
    impl<'ast> Visit<'ast> for Types {
        fn visit_item(&mut self, item: &'ast syn::Item) {
            match item {
                syn::Item::Struct(item) => self.0.push(item.ident.to_string()),
                syn::Item::Enum(item) => self.0.push(item.ident.to_string()),
                syn::Item::Trait(item) => self.0.push(item.ident.to_string()),
                syn::Item::Mod(item) if is_test(&item.attrs) => return,
                _ => {}
            }
            syn::visit::visit_item(self, item);
        }
    }
    let mut wrong = Vec::new();
    for path in all_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut types = Types::default();
        types.visit_file(&syn::parse_file(&text).unwrap());
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for name in types.0.into_iter().chain([stem]) {
            for (riddle, word) in RIDDLES {
                if name == *riddle || name == riddle.to_lowercase() {
                    wrong.push(format!("{}: `{name}`: say {word}", path.display()));
                }
            }
            if name.starts_with("Of") && name[2..].starts_with(char::is_uppercase) {
                wrong.push(format!("{}: `{name}`: say `…Params`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "riddles:\n{}", wrong.join("\n"));
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
                let path = format!("{}::", name.replace('-', "_"));
                if !code.contains(&path)
                    && !code.contains(&format!("use {};", name.replace('-', "_")))
                {
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
/// without tests, the sandbox and the tests' Kubernetes. The goal is 60,000: this only goes down.
const PRODUCT: usize = 66_100;

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

/// The guard itself: what it sees in a small house.
#[test]
fn the_guard_sees_groups_parents_macros_and_re_exports() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nmod e;");
    write(
        "a.rs",
        "use crate::{b::B, c};\npub struct A;\nfn f() { c::g(); }",
    );
    write(
        "b/mod.rs",
        "mod child;\npub use child::Deep;\npub struct B;",
    );
    write(
        "b/child.rs",
        "use super::B;\npub struct Deep;\nfn f(_: B) {}",
    );
    write("c.rs", "pub fn g() { println!(\"{}\", crate::d::h()); }");
    write("d.rs", "use crate::b::Deep;\npub fn h() -> Deep { Deep }");
    write(
        "e.rs",
        "#[cfg(test)]\nmod tests { use crate::a::A; }\nfn f(_: super::a::A) {}",
    );
    let mut sources = Sources::default();
    sources.read("treasury_small", &folder.path().join("lib.rs"));
    let uses = sources.uses();
    let name = |path: &Path| {
        let inside = path.strip_prefix(folder.path()).unwrap();
        inside.with_extension("").display().to_string()
    };
    let seen: Vec<String> = uses
        .iter()
        .map(|one| format!("{}:{} {}", name(&one.from), one.line, name(&one.to)))
        .collect();
    assert_eq!(
        seen,
        [
            "a:1 b/mod",
            "a:1 c",
            "a:3 c",
            "b/child:1 b/mod",
            "c:1 d",
            "d:1 b/child",
            "e:3 a"
        ]
    );
    assert!(circles(&uses).is_empty());
    write(
        "d.rs",
        "use crate::b::Deep;\npub fn h() -> Deep { crate::a::A; Deep }",
    );
    let mut sources = Sources::default();
    sources.read("treasury_small", &folder.path().join("lib.rs"));
    let circles = circles(&sources.uses());
    let names: Vec<Vec<String>> = circles
        .iter()
        .map(|circle| circle.iter().map(|path| name(path)).collect())
        .collect();
    assert_eq!(names, [["a", "c", "d"]]);
}
