//! Runbook files: the shipped ones are clean, each of the broken ones is found out at its place,
//! and nothing that is written makes the reader panic or run away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use treasury_bot::bot::{COMMANDS, Library};
use treasury_bot::runbook::Source;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn services() -> BTreeSet<String> {
    ["api", "frontend", "postgres", "redis"]
        .map(str::to_owned)
        .into()
}

#[test]
fn the_shipped_runbooks_are_clean_and_all_are_embedded() {
    let library = Library::of_paths(&COMMANDS, &[folder("runbooks")], Some(services())).unwrap();
    let found: Vec<String> = library
        .problems()
        .iter()
        .flat_map(|problem| {
            let told = problem.findings.iter().map(|f| problem.source.explain(f));
            told.map(|told| told.to_string())
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let names = |library: &Library| -> Vec<String> {
        library.runbooks().map(|r| r.name.value.clone()).collect()
    };
    let embedded = Library::open(&COMMANDS, None, Some(services())).unwrap();
    assert_eq!(names(&library), names(&embedded));
    assert!(names(&library).len() >= 10);
}

#[test]
fn every_broken_runbook_is_found_out_with_line_and_column() {
    let library =
        Library::of_paths(&COMMANDS, &[folder("tests/it/broken")], Some(services())).unwrap();
    assert_eq!(library.runbooks().count(), 0, "none of them can be run");
    let mut files = 0;
    for problem in library.problems() {
        let expected: Vec<&str> = problem
            .source
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("# expect: "))
            .collect();
        let found: Vec<String> = problem
            .findings
            .iter()
            .map(|finding| {
                let told = problem.source.explain(finding);
                format!("{}:{} {}", told.line, told.column, told.message)
            })
            .collect();
        assert_eq!(found, expected, "{}", problem.source.name);
        files += 1;
    }
    let all = std::fs::read_dir(folder("tests/it/broken"))
        .unwrap()
        .count();
    assert!(files == all && all >= 30, "{files} of {all}");
}

/// A line of a good runbook, changed.
fn mutated() -> impl Strategy<Value = String> {
    let names = ["high-traffic", "database-issues", "memory-leak"];
    (
        prop::sample::select(names.to_vec()),
        prop::collection::vec(
            (any::<prop::sample::Index>(), 0..9_u8, "[ -~ä]{0,12}"),
            1..6,
        ),
    )
        .prop_map(|(name, changes)| {
            let path = folder("runbooks").join(format!("{name}.yml"));
            let text = std::fs::read_to_string(path).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            for (index, how, word) in changes {
                let at = index.index(lines.len());
                let line = lines[at].clone();
                let middle = line
                    .char_indices()
                    .nth(line.chars().count() / 2)
                    .map_or(0, |(at, _)| at);
                match how {
                    0 => {
                        lines.remove(at);
                    }
                    1 => lines.insert(at, line),
                    2 => lines[at] = format!("  {line}"),
                    3 => lines[at] = line.trim_start().into(),
                    4 => lines[at].truncate(middle),
                    5 => lines[at].insert_str(middle, &word),
                    6 => lines[at] = line.replace("steps.", &word),
                    7 => lines[at] = line.replace([':', '}', '"'], ""),
                    _ => lines[at] = line.replace(' ', &word),
                }
                if lines.is_empty() {
                    break;
                }
            }
            lines.join("\n")
        })
}

proptest! {
    // For longer: PROPTEST_CASES=200000 cargo test --test it shelf::
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_runbook_makes_the_checker_panic_or_run_away(text in mutated()) {
        let began = std::time::Instant::now();
        let source = Source::new("x.yml", &text);
        let library = Library::of(&COMMANDS, vec![source], Some(services()));
        for problem in library.problems() {
            for finding in &problem.findings {
                prop_assert!(!problem.source.explain(finding).to_string().is_empty());
            }
        }
        prop_assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }
}
