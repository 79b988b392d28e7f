//! Each refusal is told with what to press, and nothing is written.

use super::{bot, run, setup, workspace};
use crate::support::slack::{APP, BOT, Channel};

#[tokio::test]
async fn without_tokens_it_tells_how_to_make_the_app() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bot(folder.path());
    command.args(["setup", "--yes"]);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 1, "{out}{err}");
    for part in [
        "https://api.slack.com/apps?new_app=1&manifest_json=%7B",
        "connections:write",
        "Install to Workspace",
        "❌ Not set: TREASURY_BOT_SLACK_BOT_TOKEN, TREASURY_BOT_SLACK_APP_TOKEN",
    ] {
        assert!(out.contains(part), "no “{part}” in:\n{out}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);

    // The link makes what `manifest` prints.
    let link = out
        .split_whitespace()
        .find(|word| word.starts_with("https://api.slack.com/apps?"));
    let link = url::Url::parse(link.unwrap()).unwrap();
    let (_, linked) = link
        .query_pairs()
        .find(|(key, _)| key == "manifest_json")
        .unwrap();
    let mut command = bot(folder.path());
    command.args(["manifest", "--format", "json"]);
    let (_, printed, _) = run(command).await;
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(&linked), read(&printed));
}

#[tokio::test]
async fn without_a_terminal_it_wants_to_be_told_not_to_ask() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bot(folder.path());
    command.arg("setup");
    let (code, _, err) = run(command).await;
    assert_eq!(code, 2);
    assert!(
        err.contains("no terminal to ask them on: add --yes"),
        "{err}"
    );
}

#[tokio::test]
async fn each_refusal_of_slack_names_what_to_press() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let refused = async |variable: &str, value: &str| {
        let mut command = setup(folder.path(), &slack);
        command.env(format!("TREASURY_BOT_SLACK_{variable}"), value);
        let (code, out, err) = run(command).await;
        assert_eq!(code, 1, "{out}{err}");
        assert!(!out.contains(value) && !err.contains(value), "{out}{err}");
        assert!(!folder.path().join("treasury-bot.toml").exists(), "{out}");
        out
    };
    let says = |out: &str, what: &str, mend: &str| {
        let line = out.lines().find(|line| line.starts_with("❌"));
        assert!(
            line.is_some_and(|line| line.contains(what)),
            "no “{what}” in:\n{out}"
        );
        let last = out.lines().last();
        assert!(
            last.is_some_and(|line| line.contains(mend)),
            "no “{mend}” in:\n{out}"
        );
    };

    let out = refused("BOT_TOKEN", "xoxp-1").await;
    says(
        &out,
        "That is no bot token: one begins with xoxb-",
        "copy it anew",
    );
    let out = refused("BOT_TOKEN", "xoxb-revoked").await;
    says(&out, "Slack refuses the bot token", "Bot User OAuth Token");
    let out = refused("APP_TOKEN", "xapp-revoked").await;
    says(
        &out,
        "Slack refuses the app-level token",
        "App-Level Tokens",
    );
    slack.world().socket_error = Some("missing_scope");
    let out = refused("OTHER", "x-other").await;
    says(&out, "app-level token", "lacks connections:write");
    slack.world().socket_error = Some("link_disabled");
    let out = refused("OTHER", "x-other").await;
    says(&out, "link_disabled", "Socket Mode: switch it on");
    slack.world().socket_error = None;

    slack.world().scopes.retain(|scope| scope != "users:read");
    let out = refused("OTHER", "x-other").await;
    says(
        &out,
        "The bot token lacks users:read",
        "`treasury-bot manifest`",
    );
    slack.world().scopes.push("users:read".to_owned());

    // The channel: there and private; not there, and not to be made.
    slack.world().channels.push(Channel {
        name: "treasury-incidents".to_owned(),
        member: false,
        private: true,
    });
    let out = refused("OTHER", "x-other").await;
    says(
        &out,
        "is there, but the bot does not see it",
        "/invite @treasury-bot",
    );
    slack.world().channels.pop();
    slack
        .world()
        .scopes
        .retain(|scope| scope != "channels:manage");
    let out = refused("OTHER", "x-other").await;
    says(
        &out,
        "#treasury-incidents is not there, and the bot can't make it",
        "make it; in Slack",
    );
    slack.world().scopes.push("channels:manage".to_owned());

    // Nobody of that name; somebody who has left is nobody.
    let mut command = setup(folder.path(), &slack);
    command.args(["--responder", "@ben"]);
    let (code, out, _) = run(command).await;
    assert_eq!(code, 1);
    says(&out, "There is nobody called ben", "Copy member ID");
    assert!(
        slack.world().said.is_empty(),
        "nothing is said before it is set up"
    );
}

#[tokio::test]
async fn a_slack_that_is_away_is_told_so() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let mut command = setup(folder.path(), &slack);
    let nowhere = format!("http://127.0.0.1:{}/api", crate::support::free_port());
    command.args(["--force", "--api-url", &nowhere]);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 2, "an option twice is wrong usage: {out}{err}");
    let mut command = bot(folder.path());
    command
        .args(["setup", "--yes", "--api-url", &nowhere])
        .env("TREASURY_BOT_SLACK_BOT_TOKEN", "xoxb-1")
        .env("TREASURY_BOT_SLACK_APP_TOKEN", "xapp-1");
    let (code, out, err) = run(command).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("no connection") && out.contains("reachable from here by HTTPS"),
        "{out}"
    );
}

#[tokio::test]
async fn tokens_of_two_apps_are_found_by_the_doctor() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let (code, out, err) = run(setup(folder.path(), &slack)).await;
    assert_eq!(code, 0, "{out}{err}");
    let asks = || {
        let mut doctor = bot(folder.path());
        doctor.args(["doctor", "--only", "slack"]);
        doctor.env("TREASURY_BOT_SLACK_BOT_TOKEN", BOT);
        doctor.env("TREASURY_BOT_SLACK_APP_TOKEN", APP);
        doctor
    };
    let (_, out, _) = run(asks()).await;
    assert!(out.contains("✅ one app: both tokens are of A1"), "{out}");
    slack.world().bot_of = "A2";
    let (code, out, _) = run(asks()).await;
    assert_eq!(code, 1, "{out}");
    for line in [
        "❌ one app: the app token is of A1, the bot token of A2",
        "→ copy both tokens from the pages of one app",
    ] {
        assert!(out.contains(line), "no “{line}” in:\n{out}");
    }
}
