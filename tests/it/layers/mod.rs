//! The house's plan, read from the syntax of the code: arrows between rooms point down, nothing runs
//! in a circle, no file and no function is too long to be read.

mod graph;
mod sizes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

use self::graph::{Sources, Use, circles, is_test};
use self::sizes::all_files;
use crate::support::process::root;

/// Each crate below the product with those of ours that it may use.
const CRATES: &[(&str, &[&str])] = &[
    ("backup", &["domain", "probes"]),
    ("docker", &["domain", "ports"]),
    ("domain", &[]),
    ("fake-kubernetes", &[]),
    ("kubernetes", &["domain", "ports"]),
    ("ports", &["domain"]),
    ("probes", &["domain", "ports"]),
    ("runbook", &["domain"]),
    ("sandbox", &["domain", "ports"]),
    ("store", &["domain", "telemetry"]),
    ("telemetry", &[]),
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

/// The floors of `src/bot/`, from the top: a file may use its own floor and those below it.
const FLOORS: &[&[&str]] = &[
    &["worker"],
    &["commands"],
    &[
        "alerts",
        "backups",
        "charts",
        "chat",
        "checklists",
        "headings",
        "heartbeats",
        "history",
        "oncall",
        "pages",
        "periods",
        "probes",
        "runs",
        "tasks",
    ],
    &["actions"],
    &[
        "confirm",
        "incidents",
        "notify",
        "readiness",
        "retention",
        "timers",
        "watch",
    ],
    &["context", "entry", "table", "policy"],
    &[
        "access",
        "arrivals",
        "heartbeat",
        "library",
        "listener",
        "measurements",
        "rates",
        "refusal",
        "request",
        "services",
        "settings",
        "tokens",
        "wakers",
        "zones",
    ],
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

fn shown(one: &Use) -> String {
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
        .map(shown)
        .collect();
    assert!(
        wrong.is_empty(),
        "arrows against the plan:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_arrow_between_the_bots_floors_runs_upwards() {
    let floor = |file: &Path| {
        let inside = file.strip_prefix(root().join("src/bot")).ok()?;
        let room = inside.iter().next()?.to_str()?.trim_end_matches(".rs");
        // The room's door only declares and re-exports.
        (room != "mod").then(|| {
            FLOORS
                .iter()
                .position(|rooms| rooms.contains(&room))
                .unwrap_or_else(|| panic!("{room} is on no floor of the plan"))
        })
    };
    let wrong: Vec<String> = sources()
        .uses()
        .iter()
        .filter(|one| match (floor(&one.from), floor(&one.to)) {
            (Some(from), Some(to)) => to < from,
            _ => false,
        })
        .map(shown)
        .collect();
    assert!(
        wrong.is_empty(),
        "arrows against the floors:\n{}",
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
                .map(shown)
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
