//! Asked on a terminal, which `script` (util-linux) plays.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::{bot, file, run, workspace};
use crate::support::slack::{APP, BOT};

#[tokio::test]
async fn tokens_are_asked_for_without_showing_them_and_kept_for_their_owners_eyes() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let line = format!(
        "{} setup --api-url {}",
        env!("CARGO_BIN_EXE_treasury-bot"),
        slack.api_url()
    );
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.path())
        .env("DOCKER_HOST", "unix:///nowhere/none.sock")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    let mut shown = child.stdout.take().unwrap();
    let played = tokio::task::spawn_blocking(move || {
        let mut seen = String::new();
        for (question, answer) in [
            ("The bot token", BOT),
            ("The app-level token", APP),
            ("The main channel", ""),
            ("Who may restart", "@ana"),
        ] {
            until(&mut shown, &mut seen, question);
            writeln!(typed, "{answer}").unwrap();
        }
        std::io::Read::read_to_string(&mut shown, &mut seen).unwrap();
        child.wait().unwrap();
        seen
    });
    let seen = played.await.unwrap();
    assert!(!seen.contains(BOT) && !seen.contains(APP), "{seen}");
    assert!(
        seen.contains("✅ Said hello in #treasury-incidents"),
        "{seen}"
    );
    for (name, token) in [("slack-bot-token", BOT), ("slack-app-token", APP)] {
        let path = folder.path().join(name);
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), token);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let written = file(folder.path());
    let slack_section = format!(
        "[slack]\napi_url = \"{}\"\nbot_token_file = \"slack-bot-token\"\n\
         app_token_file = \"slack-app-token\"\n",
        slack.api_url()
    );
    assert!(written.starts_with(&slack_section), "{written}");
    assert!(
        written.contains("responders = [\"U0ANA00001\"]"),
        "{written}"
    );

    // The next run finds them where they are.
    let mut command = bot(folder.path());
    command.args(["setup", "--yes"]);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("both tokens are good"), "{out}");
}

/// Reads until these words have come.
fn until(from: &mut impl std::io::Read, seen: &mut String, words: &str) {
    let mut byte = [0];
    let mut all = seen.clone().into_bytes();
    let start = all.len();
    while !String::from_utf8_lossy(&all[start..]).contains(words) {
        let read = from.read(&mut byte).unwrap();
        assert!(
            read > 0,
            "never “{words}”: {}",
            String::from_utf8_lossy(&all)
        );
        all.push(byte[0]);
    }
    *seen = String::from_utf8_lossy(&all).into_owned();
}
