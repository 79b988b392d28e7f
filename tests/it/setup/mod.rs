//! `treasury-bot setup`: from an empty folder to a bot that answers, against a Slack that is not the
//! sandbox.

mod manifest;
mod refused;
mod terminal;
mod works;

use std::path::Path;
use std::process::{Command, Output};

use treasury_bot::slack::scopes::SCOPES;

use crate::support::slack::{APP, BOT, Slack};

/// A workspace in which the app has all scopes of the manifest.
async fn workspace() -> Slack {
    let names: Vec<&str> = SCOPES.iter().map(|scope| scope.name).collect();
    Slack::start(&names).await
}

/// A binary in an empty folder, with nothing of this machine's but its programs.
fn bot(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
    for (name, _) in std::env::vars() {
        if name.starts_with("TREASURY_BOT_") || name == "KUBECONFIG" {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(std::process::Stdio::null());
    command
}

/// `setup --yes` with both tokens, where no Docker is.
fn setup(folder: &Path, slack: &Slack) -> Command {
    let mut command = bot(folder);
    command
        .args(["setup", "--yes", "--api-url", &slack.api_url()])
        .env("TREASURY_BOT_SLACK_BOT_TOKEN", BOT)
        .env("TREASURY_BOT_SLACK_APP_TOKEN", APP)
        .env(
            "DOCKER_HOST",
            format!("unix://{}/none.sock", folder.display()),
        );
    command
}

/// Runs it beside the stand-in: exit code, standard output, standard error.
async fn run(mut command: Command) -> (i32, String, String) {
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output {
        status,
        stdout,
        stderr,
    } = run.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The file without its comments.
fn file(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("treasury-bot.toml")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}
