//! The documents say what the code does.

use treasury_bot::bot::COMMANDS;

use crate::support::process::root;

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn the_readmes_command_table_is_the_help() {
    let readme = read("README.md");
    let rows: Vec<String> = COMMANDS
        .reference("/treasury")
        .into_iter()
        .map(|(usage, about)| format!("| `{}` | {about} |", usage.replace('|', "\\|")))
        .collect();
    let table = rows.join("\n");
    assert!(
        readme.contains(&table),
        "README.md lacks this table:\n\n{table}"
    );
}

#[test]
fn the_readmes_first_screen_has_exactly_the_two_commands() {
    let readme = read("README.md");
    let screen: Vec<&str> = readme.lines().take(40).collect();
    let commands: Vec<_> = screen
        .iter()
        .filter(|line| line.starts_with("cargo ") || line.starts_with("./"))
        .collect();
    assert_eq!(commands, [&"cargo run --release -- demo", &"./tests/run"]);
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for name in text.split('`').skip(1).step_by(2) {
            let looks_like_a_path = ["src/", "tests/", "deploy/", "docs/", "benches/", ".ci/"]
                .iter()
                .any(|start| name.starts_with(start));
            if looks_like_a_path && !name.contains(['*', '{', ' ']) {
                assert!(
                    root().join(name).exists(),
                    "{document} names {name}, which isn't there"
                );
            }
        }
    }
}

#[test]
fn the_readme_shows_a_picture_that_loads_quickly() {
    assert!(read("README.md").contains("](docs/demo.png)"));
    let picture = std::fs::read(root().join("docs/demo.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    assert!(picture.len() <= 150_000, "{} bytes", picture.len());
}
