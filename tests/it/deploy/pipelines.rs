//! `.github/`, as GitHub would read it; none of it has run there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{printed, refused, tool};
use crate::support::process::root;

fn workflows() -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(root().join(".github/workflows")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let read = serde_saphyr::from_str(&text);
        (
            name,
            read.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    paths.map(read).collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn audit(path: &Path) -> Command {
    let mut command = tool("zizmor");
    command
        .args(["--offline", "--no-progress", "--strict-collection"])
        .arg(path);
    command
}

#[test]
#[ignore = "needs tests/requirements.txt, shellcheck"]
fn the_linters_find_nothing_and_would_find_what_is_dangerous() {
    assert_eq!(printed(&mut tool("actionlint")), "");
    printed(&mut audit(&root().join(".github")));
    // The title of an issue becomes a part of a script; an action by a tag that can be moved; `$FILE` is
    // split into words.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yml");
    let bad = "on: issues\njobs:\n  bad:\n    runs-on: ubuntu-24.04\n    steps:\n      \
               - uses: actions/checkout@v7\n      \
               - run: echo ${{ github.event.issue.title }}\n      - run: rm $FILE\n";
    std::fs::write(&path, bad).unwrap();
    let told = refused(tool("actionlint").arg(&path));
    assert!(told.contains("github.event.issue.title"), "{told}");
    assert!(told.contains("SC2086"), "{told}");
    let told = refused(&mut audit(&path));
    for rule in [
        "template-injection",
        "unpinned-uses",
        "artipacked",
        "excessive-permissions",
    ] {
        assert!(told.contains(rule), "{rule}: {told}");
    }
}

#[test]
fn every_job_has_an_end_and_few_rights() {
    for (name, workflow) in workflows() {
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{name}");
        for (job, content) in jobs(&workflow) {
            assert!(content["permissions"].is_object(), "{name}: {job}");
            let called = content["uses"].is_string();
            assert!(
                called || content["timeout-minutes"].is_u64(),
                "{name}: {job}"
            );
            for step in content["steps"].as_array().into_iter().flatten() {
                let uses = step["uses"].as_str().unwrap_or_default();
                if uses.starts_with("actions/checkout@") {
                    let kept = &step["with"]["persist-credentials"];
                    assert_eq!(*kept, false, "{name}: {job}");
                }
            }
        }
    }
}

/// `name@hash # version` of every action that isn't ours.
fn actions() -> Vec<String> {
    let mut folders = vec![root().join(".github")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let uses = text.lines().filter_map(|line| line.split_once("uses: "));
            let foreign = uses.filter(|(_, name)| !name.starts_with("$/"));
            found.extend(foreign.map(|(_, name)| name.to_owned()));
        }
    }
    found
}

#[test]
fn an_action_is_the_same_everywhere_and_never_moves() {
    let mut all = actions();
    assert!(all.len() > 20, "{all:?}");
    all.sort();
    all.dedup();
    let mut names = Vec::new();
    for one in &all {
        let (name, rest) = one.split_once('@').unwrap();
        let (hash, version) = rest.split_once(" # v").unwrap();
        assert!(
            hash.len() == 40 && hash.chars().all(|c| c.is_ascii_hexdigit()),
            "{one}"
        );
        assert_eq!(version.split('.').count(), 3, "{one}");
        assert!(!names.contains(&name), "{name} in two versions");
        names.push(name);
    }
}

#[test]
fn the_pipelines_do_what_ci_does_with_the_same_versions() {
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let everything: String = workflows().iter().map(|(_, one)| one.to_string()).collect();
    for command in [
        "cargo fmt --check",
        "cargo clippy --locked --workspace --all-targets -- -D warnings",
        "cargo doc --locked --workspace --no-deps --document-private-items",
        "cargo-deny --version 0.20.2",
        "./tests/run",
    ] {
        assert!(ci.contains(command), ".ci/run: {command}");
        assert!(everything.contains(command), "the pipelines: {command}");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest
        .lines()
        .find(|line| line.starts_with("rust-version"));
    let version = line.unwrap().split('"').nth(1).unwrap();
    assert!(everything.contains(&format!("rustup toolchain install {version}.0")));
    assert!(everything.contains(&format!("rust:{version}-")));
}

#[test]
fn production_comes_after_staging_and_only_from_main() {
    let all = workflows();
    let (_, deploy) = all.iter().find(|(name, _)| name == "deploy.yml").unwrap();
    let production = &deploy["jobs"]["production"];
    assert_eq!(production["needs"], serde_json::json!(["image", "staging"]));
    assert_eq!(production["environment"], "production");
    let condition = production["if"].as_str().unwrap();
    assert!(
        condition.contains("needs.staging.result == 'success'"),
        "{condition}"
    );
    assert!(
        condition.contains("github.ref == 'refs/heads/main'"),
        "{condition}"
    );
    for (job, content) in jobs(deploy).filter(|(job, _)| *job != "image") {
        let [_, step] = &content["steps"].as_array().unwrap()[..] else {
            panic!("{job}")
        };
        assert_eq!(step["with"]["overlay"], *job);
        assert!(root().join("deploy/kubernetes/overlays").join(job).exists());
    }
}

fn scan(folder: &Path) -> Command {
    let mut command = tool("trivy");
    let ignored = root().join(".github/trivyignore.yaml");
    command.args([
        "config",
        "--quiet",
        "--skip-check-update",
        "--exit-code",
        "1",
    ]);
    command
        .args(["--severity", "HIGH,CRITICAL", "--ignorefile"])
        .arg(ignored);
    command
        .arg("--cache-dir")
        .arg(folder.join("cache"))
        .arg(folder);
    command
}

/// The job `setup` of security.yml, with the checks that Trivy brings along.
#[test]
#[ignore = "needs tests/requirements.txt"]
fn trivy_holds_nothing_grave_against_how_it_is_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let copy = |name: &str| put(name, &std::fs::read_to_string(root().join(name)).unwrap());
    for name in ["staging", "production"] {
        let overlay = root().join("deploy/kubernetes/overlays").join(name);
        let text = printed(tool("kubectl").arg("kustomize").arg(overlay));
        put(&format!("rendered/{name}.yml"), &text);
    }
    copy("Dockerfile");
    for entry in std::fs::read_dir(root().join("deploy/terraform")).unwrap() {
        copy(&format!(
            "deploy/terraform/{}",
            entry.unwrap().file_name().display()
        ));
    }
    printed(&mut scan(folder.path()));
    let store = std::fs::read_to_string(root().join("deploy/terraform/store.tf")).unwrap();
    let open = store.replace(
        "publicly_accessible    = false",
        "publicly_accessible    = true",
    );
    put("deploy/terraform/store.tf", &open);
    let told = refused(&mut scan(folder.path()));
    assert!(
        told.contains("store.tf") && told.contains("publicly_accessible    = true"),
        "{told}"
    );
}
