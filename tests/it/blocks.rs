//! Every command and every block of the documents is run or parsed: by the real binary where it is
//! ours, by a parser of its language otherwise.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::{Table, Value};
use treasury_bot::bot::COMMANDS;
use treasury_bot::cli::command_line;
use treasury_bot::command::words;

use crate::support::process::root;

/// Languages whose blocks are looked at; `text` is what is only read.
const LANGUAGES: [&str; 6] = ["hcl", "json", "sh", "text", "toml", "yaml"];

/// What documents may run beside the bot itself.
const PROGRAMS: [&str; 33] = [
    "./tests/run",
    "amtool",
    "aws",
    "cargo",
    "cat",
    "cd",
    "chmod",
    "chown",
    "cosign",
    "cp",
    "curl",
    "docker",
    "echo",
    "export",
    "getent",
    "gh",
    "git",
    "helm",
    "install",
    "kubectl",
    "kustomize",
    "make",
    "man",
    "mkdir",
    "openssl",
    "printf",
    "promtool",
    "sha256sum",
    "source",
    "sqlite3",
    "sudo",
    "terraform",
    "tr",
];

/// What every piece of a configuration stands on: a Slack for trying, and the demo's services.
const SOUND: &str = r#"
slack.api_url = "http://127.0.0.1:9/api/"
access.responders = ["U0ANA00001"]
[[service]]
name = "frontend"
container = "frontend"
[[service]]
name = "api"
container = "api"
[[service]]
name = "postgres"
container = "postgres"
[[service]]
name = "redis"
container = "redis"
"#;

/// A fenced block.
struct Block {
    /// `README.md:12`, the fence's line.
    at: String,
    language: String,
    text: String,
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for folder in ["docs", "deploy"] {
        gather(&root().join(folder), &mut found);
    }
    found
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// Each document with what it is called.
fn texts() -> Vec<(String, String)> {
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    documents().into_iter().map(read).collect()
}

fn blocks_of(name: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut indent = None;
    for (number, line) in text.lines().enumerate() {
        let here = line.len() - line.trim_start().len();
        match (line.trim_start().strip_prefix("```"), indent) {
            (Some(language), None) => {
                indent = Some(here);
                blocks.push(Block {
                    at: format!("{name}:{}", number + 1),
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => indent = None,
            (None, Some(indent)) => {
                let block = blocks.last_mut().unwrap();
                block.text += line.get(indent.min(here)..).unwrap_or_default();
                block.text += "\n";
            }
            (None, None) => {}
        }
    }
    assert!(indent.is_none(), "{name}: the last block has no end");
    blocks
}

fn blocks(language: &str) -> Vec<Block> {
    let all = texts();
    let all = all.iter().flat_map(|(name, text)| blocks_of(name, text));
    all.filter(|block| block.language == language).collect()
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("TREASURY_BOT_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command
}

/// Fails with all that was found wrong.
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_block_has_a_language_that_is_looked_at() {
    let mut wrong = Vec::new();
    for (name, text) in texts() {
        for block in blocks_of(&name, &text) {
            if !LANGUAGES.contains(&block.language.as_str()) {
                wrong.push(format!(
                    "{}: `{}` is none of {LANGUAGES:?}",
                    block.at, block.language
                ));
            }
        }
    }
    none(wrong);
}

/// The block on top of what is sound: its own services and settings come first.
fn merged(mut below: Table, block: Table) -> Table {
    for (key, value) in block {
        let value = match (below.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(value)) => Value::Table(merged(below, value)),
            (Some(Value::Array(below)), Value::Array(mut all))
                if all.iter().all(Value::is_table) =>
            {
                let names = |one: &Value| one.get("name").cloned();
                let taken: Vec<_> = all.iter().map(names).collect();
                all.extend(below.into_iter().filter(|one| !taken.contains(&names(one))));
                Value::Array(all)
            }
            (_, value) => value,
        };
        below.insert(key, value);
    }
    below
}

/// What the real check says of a piece of a configuration.
fn checked(text: &str) -> Result<(), String> {
    let block = text.parse::<Table>();
    let block = block.map_err(|error| format!("not TOML: {error}"))?;
    // Another program's file names itself.
    if let Some(first) = text.lines().next()
        && let Some(name) = first.strip_prefix("# ")
        && Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "toml")
        && !name.ends_with("treasury-bot.toml")
    {
        return Ok(());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("treasury-bot.toml");
    let sound: Table = SOUND.parse().unwrap();
    std::fs::write(&file, toml::to_string(&merged(sound, block)).unwrap()).unwrap();
    let arguments = ["config", "check", "--no-secrets", "--config"];
    let ended = binary().args(arguments).arg(&file).output().unwrap();
    if ended.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn every_piece_of_a_configuration_passes_config_check() {
    let mut wrong = Vec::new();
    for block in blocks("toml") {
        if let Err(why) = checked(&block.text) {
            wrong.push(format!("{}: {why}", block.at));
        }
    }
    none(wrong);
}

/// What the real check says of a runbook, or a parser of any other YAML.
fn checked_yaml(text: &str) -> Result<(), String> {
    let all = serde_saphyr::from_multiple::<serde_json::Value>(text)
        .map_err(|error| format!("not YAML: {error}"))?;
    for value in all.iter().filter(|value| value.get("steps").is_some()) {
        let name = value["name"].as_str().ok_or("a runbook without a name")?;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("{name}.yml"));
        std::fs::write(&file, text).unwrap();
        let ended = binary()
            .args(["runbook", "check"])
            .arg(&file)
            .output()
            .unwrap();
        if !ended.status.success() {
            return Err(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
    }
    Ok(())
}

#[test]
fn every_yaml_is_a_good_runbook_or_at_least_yaml_and_every_json_is_json() {
    let mut wrong = Vec::new();
    for block in blocks("yaml") {
        if let Err(why) = checked_yaml(&block.text) {
            wrong.push(format!("{}: {why}", block.at));
        }
    }
    for block in blocks("json") {
        // One document, or one a line.
        let lines = || block.text.lines().filter(|line| !line.trim().is_empty());
        let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        if !is_json(&block.text) && !lines().all(is_json) {
            wrong.push(format!("{}: not JSON", block.at));
        }
    }
    none(wrong);
}

#[test]
#[ignore = "needs python-hcl2"]
fn every_hcl_block_is_hcl() {
    let mut wrong = Vec::new();
    for block in blocks("hcl") {
        let python = root().join("target/tools/python/bin/python");
        let mut child = Command::new(python)
            .args(["-c", "import sys, hcl2; hcl2.load(sys.stdin)"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(block.text.as_bytes()).unwrap();
        drop(input);
        let ended = child.wait_with_output().unwrap();
        if !ended.status.success() {
            let why = String::from_utf8_lossy(&ended.stderr).into_owned();
            wrong.push(format!("{}: {why}", block.at));
        }
    }
    none(wrong);
}

/// A script's simple commands: comments, prompts, pipes and redirections are the shell's.
fn simple_commands(script: &str) -> Vec<String> {
    let script = script.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in script.lines() {
        let (mut command, mut quote) = (String::new(), None);
        let mut before = ' ';
        let mut ends = Vec::new();
        for c in line.trim().trim_start_matches("$ ").chars() {
            match (c, quote) {
                ('#', None) if before.is_whitespace() => break,
                ('|' | ';' | '&' | '(' | ')', None) => ends.push(std::mem::take(&mut command)),
                ('\'' | '"', None) => {
                    quote = Some(c);
                    command.push(c);
                }
                (c, open) => {
                    if open == Some(c) {
                        quote = None;
                    }
                    command.push(c);
                }
            }
            before = c;
        }
        ends.push(command);
        commands.extend(ends);
    }
    let trimmed = commands.iter().map(|one| one.trim().to_owned());
    trimmed.filter(|one| !one.is_empty()).collect()
}

/// Why one command can't be typed like this.
fn wrong_command(command: &str) -> Option<String> {
    let mut typed = words::split(command);
    if let Some(at) = typed
        .iter()
        .position(|one| one.starts_with(['>', '<']) || one == "2>")
    {
        typed.truncate(at);
    }
    let is_variable = |word: &&String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    let variables = typed.iter().take_while(is_variable).count();
    let typed = &typed[variables..];
    let (first, rest) = typed.split_first()?;
    match first.as_str() {
        "treasury-bot" | "./treasury-bot" => wrong_words(rest),
        "cargo" if typed.get(1).is_some_and(|word| word == "run") => {
            let at = typed.iter().position(|word| word == "--")?;
            wrong_words(&typed[at + 1..])
        }
        name if name.starts_with('/') => wrong_sentence(command),
        name if PROGRAMS.contains(&name) => None,
        name => Some(format!("`{name}` is not on the list of what documents run")),
    }
}

/// Why the binary would not take these words; what it would say in the chat is looked at, too.
fn wrong_words(typed: &[String]) -> Option<String> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    let all = std::iter::once("treasury-bot").chain(typed.iter().map(String::as_str));
    let matches = match command_line().try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(error) if [DisplayHelp, DisplayVersion].contains(&error.kind()) => return None,
        Err(error) => return Some(error.to_string()),
    };
    let (name, inner) = matches.subcommand()?;
    if name != "exec" {
        return None;
    }
    let text: Vec<&String> = inner.get_many("text")?.collect();
    // One is a sentence, several are words, as `exec` has them.
    let [sentence] = text.as_slice() else {
        let is_option = |word: &str| word.starts_with("--");
        let quoted = text.iter().map(|word| {
            if is_option(word) {
                (*word).clone()
            } else {
                words::quote(word)
            }
        });
        return wrong_sentence(&quoted.collect::<Vec<_>>().join(" "));
    };
    wrong_sentence(sentence)
}

/// Why the bot would not understand this.
fn wrong_sentence(text: &str) -> Option<String> {
    // Something is left open.
    if text.contains('…') {
        return None;
    }
    let mistake = COMMANDS.misunderstood(text, "/treasury")?;
    Some(format!("`{text}` is not understood: {}", mistake.text))
}

#[test]
fn every_command_line_can_be_typed_as_it_stands() {
    let mut wrong = Vec::new();
    for block in blocks("sh") {
        for command in simple_commands(&block.text) {
            if let Some(why) = wrong_command(&command) {
                wrong.push(format!("{}: {command}: {why}", block.at));
            }
        }
    }
    none(wrong);
}

#[test]
fn every_command_within_a_sentence_can_be_typed_as_it_stands() {
    let mut wrong = Vec::new();
    for (name, text) in texts() {
        let fenced: BTreeSet<String> = blocks_of(&name, &text)
            .into_iter()
            .map(|block| block.text)
            .collect();
        let mut prose = text.clone();
        for block in fenced {
            prose = prose.replace(&block, "");
        }
        let prose = prose.replace("```", "");
        for code in prose.split('`').skip(1).step_by(2) {
            // A pipe in a table is escaped.
            let code = code.replace("\\|", "|");
            let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
            let ours = ["treasury-bot ", "/treasury ", "@treasury "];
            if !ours.iter().any(|start| code.starts_with(start)) {
                continue;
            }
            for command in simple_commands(&code.replacen("@treasury ", "/treasury ", 1)) {
                if let Some(why) = wrong_command(&command) {
                    wrong.push(format!("{name}: {code}: {why}"));
                }
            }
        }
    }
    none(wrong);
}

#[test]
fn what_is_wrong_in_a_document_is_found() {
    let told = |text: &str| {
        let blocks = blocks_of("x.md", text);
        blocks.into_iter().map(|block| block.at).collect::<Vec<_>>()
    };
    assert_eq!(
        told("a\n```sh\nb\n```\n1. c\n   ```toml\n   d\n   ```\n"),
        ["x.md:2", "x.md:6"]
    );
    assert_eq!(
        simple_commands("$ A=1 treasury-bot man | cat # x\nexport B='a|b' \\\n  C=1\n\n# all\n"),
        ["A=1 treasury-bot man", "cat", "export B='a|b'    C=1"]
    );
    for (good, bad) in [
        ("treasury-bot config check", "treasury-bot config chekc"),
        (
            "treasury-bot serve --config x.toml",
            "treasury-bot serve --confg x.toml",
        ),
        (
            "treasury-bot exec 'restart api'",
            "treasury-bot exec 'restrat api'",
        ),
        (
            "cargo run --release -- demo --tour",
            "cargo run --release -- demo --toru",
        ),
        (
            "/treasury scale frontend 3",
            "/treasury scale frontend three",
        ),
        ("kubectl get pods", "frobnicate"),
        ("X=1 treasury-bot demo > a", "X=1 treasury-bot demmo > a"),
    ] {
        assert_eq!(wrong_command(good), None, "{good}");
        assert!(wrong_command(bad).is_some(), "{bad}");
    }
    assert!(checked("[web]\nlisten = '127.0.0.1:1'\n").is_ok());
    assert!(checked("[web]\nlsiten = '127.0.0.1:1'\n").is_err_and(|why| why.contains("lsiten")));
    assert!(checked("[[route]]\nservice = 'nope'\n").is_err_and(|why| why.contains("nope")));
    assert!(checked("# vector.toml\n[sinks.a]\ntype = 'b'\n").is_ok());
    assert!(checked_yaml("a: 1\n---\nb: [2]\n").is_ok());
    assert!(checked_yaml("a: [1\n").is_err());
    let runbook = "name: x\nsteps:\n  - uses: service.restrt\n";
    assert!(checked_yaml(runbook).is_err_and(|why| why.contains("service.restart")));
}
