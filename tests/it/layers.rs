//! The arrows between the layers point down: read from the `use` lines and paths of the code.

use std::path::{Path, PathBuf};

/// Each layer with the layers it may use (besides itself).
const MAY_USE: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["*"]),
    ("app", &["*"]),
    ("config", &["domain", "command"]),
    ("slack", &["bot", "store", "domain"]),
    ("web", &["bot", "store", "domain"]),
    // The simulated stack is a platform driver and probes; otherwise the sandbox knows nothing of
    // the bot.
    ("sandbox", &["platform", "probe", "domain"]),
    (
        "bot",
        &[
            "platform", "probe", "store", "notify", "command", "runbook", "report", "domain",
        ],
    ),
    ("platform", &["domain"]),
    ("probe", &["domain"]),
    ("store", &["domain"]),
    ("notify", &["domain"]),
    ("report", &["domain"]),
    ("command", &["domain"]),
    ("runbook", &["domain"]),
    ("domain", &[]),
];

/// Words that the pure layers do without.
const IMPURE: &[&str] = &[
    "tokio",
    "sqlx",
    "axum",
    "bollard",
    "slack_morphism",
    "async fn",
    "Timestamp::now",
];

const PURE: &[&str] = &["domain", "command", "report", "runbook"];

#[test]
fn no_arrow_runs_upwards() {
    let mut wrong = Vec::new();
    for (file, layer) in sources() {
        let allowed = MAY_USE
            .iter()
            .find(|(name, _)| *name == layer)
            .unwrap_or_else(|| panic!("{}: `{layer}` is no layer of the design", file.display()))
            .1;
        for (number, line) in code(&file) {
            for (at, _) in line.match_indices("crate::") {
                let used: String = line[at + 7..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !used.is_empty()
                    && used != layer
                    && !allowed.contains(&"*")
                    && !allowed.contains(&used.as_str())
                {
                    wrong.push(format!("{}:{number}: {layer} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows against the design:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_pure_layers_do_nothing_but_compute() {
    let mut wrong = Vec::new();
    for (file, layer) in sources() {
        if !PURE.contains(&layer.as_str()) {
            continue;
        }
        for (number, line) in code(&file) {
            for word in IMPURE {
                if line.contains(word) {
                    wrong.push(format!("{}:{number}: {word}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "impure:\n{}", wrong.join("\n"));
}

/// All source files with their layer.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let first = inside
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_str()
                    .unwrap();
                let layer = first.trim_end_matches(".rs").to_owned();
                // Unit tests in files of their own may stand on anything.
                let is_test = inside
                    .components()
                    .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")));
                if layer != "lib" && !is_test {
                    found.push((path, layer));
                }
            }
        }
    }
    assert!(
        found.len() > 50,
        "only {} source files were found",
        found.len()
    );
    found
}

/// The lines of a file that are code: no comments, and nothing after its unit tests begin.
fn code(file: &Path) -> Vec<(usize, String)> {
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .take_while(|line| !line.starts_with("mod tests"))
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}
