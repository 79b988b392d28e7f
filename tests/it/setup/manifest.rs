//! `treasury-bot manifest` beside Slack's published reference: the fields and limits of
//! <https://docs.slack.dev/reference/app-manifest> and of the schema that Slack keeps for editors
//! (github.com/slackapi/manifest-schema, `schemas/manifest.schema.1.0.0.json`, v0.5.0); the scopes of
//! `BotScope` in `@slack/web-api` 8.2.0.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use treasury_bot::slack::scopes::SCOPES;

use super::{bot, run};
use crate::support::process::root;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Field {
    Flag,
    /// From so many characters to so many.
    Text(usize, usize),
    /// An address of at most so many characters.
    Address(usize),
    /// At most so many texts of at most 50 characters, none twice.
    Texts(usize),
}

/// All fields that the bot's manifest may have, each with what it may hold and whether it has to be
/// there where what it is part of is; `*` stands for an entry of a list.
const FIELDS: [(&str, Field, bool); 24] = [
    ("display_information.name", Field::Text(1, 35), true),
    (
        "display_information.description",
        Field::Text(1, 140),
        false,
    ),
    (
        "display_information.long_description",
        Field::Text(175, 4000),
        false,
    ),
    (
        "display_information.background_color",
        Field::Text(4, 7),
        false,
    ),
    ("features.app_home.home_tab_enabled", Field::Flag, false),
    ("features.app_home.messages_tab_enabled", Field::Flag, false),
    (
        "features.app_home.messages_tab_read_only_enabled",
        Field::Flag,
        false,
    ),
    ("features.bot_user.display_name", Field::Text(1, 80), true),
    ("features.bot_user.always_online", Field::Flag, false),
    (
        "features.slash_commands.*.command",
        Field::Text(2, 32),
        true,
    ),
    (
        "features.slash_commands.*.description",
        Field::Text(1, 2000),
        true,
    ),
    (
        "features.slash_commands.*.usage_hint",
        Field::Text(1, 1000),
        false,
    ),
    (
        "features.slash_commands.*.should_escape",
        Field::Flag,
        false,
    ),
    ("features.slash_commands.*.url", Field::Address(3000), false),
    ("oauth_config.scopes.bot", Field::Texts(255), false),
    ("oauth_config.scopes.bot_optional", Field::Texts(255), false),
    (
        "settings.event_subscriptions.bot_events",
        Field::Texts(100),
        false,
    ),
    (
        "settings.event_subscriptions.request_url",
        Field::Address(3500),
        false,
    ),
    ("settings.interactivity.is_enabled", Field::Flag, true),
    (
        "settings.interactivity.request_url",
        Field::Address(3500),
        false,
    ),
    ("settings.org_deploy_enabled", Field::Flag, false),
    ("settings.socket_mode_enabled", Field::Flag, false),
    ("settings.token_rotation_enabled", Field::Flag, false),
    ("_metadata.major_version", Field::Flag, false),
];

const BOT_SCOPES: &str = "app_mentions:read bookmarks:read bookmarks:write calls:read calls:write \
    channels:history channels:join channels:manage channels:read channels:write.invites \
    channels:write.topic chat:write chat:write.customize chat:write.public commands dnd:read \
    emoji:read files:read files:write groups:history groups:read groups:write \
    groups:write.invites groups:write.topic im:history im:read im:write links:read links:write \
    metadata.message:read mpim:history mpim:read mpim:write pins:read pins:write reactions:read \
    reactions:write team:read usergroups:read usergroups:write users.profile:read users:read \
    users:read.email users:write";

/// Events with the scope without which Slack takes no subscription to them.
const EVENTS: [(&str, &str); 6] = [
    ("app_mention", "app_mentions:read"),
    ("message.channels", "channels:history"),
    ("message.groups", "groups:history"),
    ("message.im", "im:history"),
    ("reaction_added", "reactions:read"),
    ("team_join", "users:read"),
];

/// All that Slack would not take.
fn problems(manifest: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(manifest, "", &mut found);
    let texts = |at: &str| -> BTreeSet<String> {
        let list = manifest.pointer(at).and_then(Value::as_array);
        let list = list.into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect()
    };
    let scopes = texts("/oauth_config/scopes/bot");
    let known: BTreeSet<&str> = BOT_SCOPES.split_whitespace().collect();
    let unknown = scopes
        .iter()
        .filter(|scope| !known.contains(scope.as_str()));
    found.extend(unknown.map(|scope| format!("no scope: {scope}")));
    let optional = texts("/oauth_config/scopes/bot_optional");
    let alone = optional.difference(&scopes);
    found.extend(alone.map(|scope| format!("optional only: {scope}")));
    for event in texts("/settings/event_subscriptions/bot_events") {
        match EVENTS.iter().find(|(name, _)| *name == event) {
            Some((_, scope)) if scopes.contains(*scope) && !optional.contains(*scope) => {}
            Some((_, scope)) => found.push(format!("{event} needs {scope}")),
            None => found.push(format!("no event: {event}")),
        }
    }
    let is_socket = manifest["settings"]["socket_mode_enabled"] == true;
    for at in [
        "/features/slash_commands/0/url",
        "/settings/event_subscriptions/request_url",
        "/settings/interactivity/request_url",
    ] {
        if manifest.pointer(at).is_some() == is_socket {
            found.push(format!("{at} is for HTTP, and needed there"));
        }
    }
    found
}

/// Looks at a part of it and all below.
fn look(value: &Value, path: &str, found: &mut Vec<String>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    let field = FIELDS.iter().find(|(name, ..)| *name == path);
    if let Some((_, field, _)) = field {
        let length = value.as_str().map(|text| text.chars().count());
        let good = match *field {
            Field::Flag => value.is_boolean(),
            Field::Text(least, most) => length.is_some_and(|n| (least..=most).contains(&n)),
            Field::Address(most) => {
                let text = value.as_str().unwrap_or_default();
                text.starts_with("https://") && text.len() <= most
            }
            Field::Texts(most) => value.as_array().is_some_and(|list| {
                let short = |one: &Value| one.as_str().is_some_and(|text| text.len() <= 50);
                let once: BTreeSet<String> = list.iter().map(Value::to_string).collect();
                list.iter().all(short) && list.len() <= most && once.len() == list.len()
            }),
        };
        if !good {
            found.push(format!("{path}: {value}"));
        }
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = below(key);
                let is_known = FIELDS
                    .iter()
                    .any(|(name, ..)| *name == path || name.starts_with(&format!("{path}.")));
                if is_known {
                    look(value, &path, found);
                } else {
                    found.push(format!("no field: {path}"));
                }
            }
            for (name, _, needed) in FIELDS {
                let key = name.rsplit_once('.').filter(|(parent, _)| *parent == path);
                if let Some((_, key)) = key.filter(|_| needed)
                    && !map.contains_key(key)
                {
                    found.push(format!("{path} without {key}"));
                }
            }
        }
        Value::Array(list) if (1..=50).contains(&list.len()) => {
            for one in list {
                look(one, &below("*"), found);
            }
        }
        other => found.push(format!("{path}: {other}")),
    }
}

/// What the command prints for a configuration; for none at all where that is `None`.
async fn printed(config: Option<&str>, format: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bot(folder.path());
    command.args(["manifest", "--format", format]);
    if let Some(text) = config {
        std::fs::write(folder.path().join("bot.toml"), text).unwrap();
        command.args(["--config", "bot.toml"]);
    }
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{err}");
    match format {
        "json" => serde_json::from_str(&out).unwrap(),
        _ => serde_saphyr::from_str(&out).unwrap(),
    }
}

fn scopes(manifest: &Value, list: &str) -> Vec<String> {
    let list = manifest["oauth_config"]["scopes"][list].as_array().unwrap();
    list.iter()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn slack_would_take_it_for_each_configuration() {
    let plain = printed(None, "yaml").await;
    assert_eq!(plain, printed(None, "json").await);
    let http = "[slack]\nmode = \"http\"\ncommand = \"/tb\"\nincident_channels = false\n\
                [web]\npublic_url = \"https://bot.example.com\"\n\
                [access]\nviewers = [\"*\"]\nresponders = [\"S0ONCALL01\"]\n";
    let http = printed(Some(http), "yaml").await;
    for manifest in [&plain, &http] {
        assert_eq!(problems(manifest), Vec::<String>::new());
    }

    let all = scopes(&plain, "bot");
    assert!(
        all.contains(&"channels:manage".to_owned()) && !all.contains(&"usergroups:read".to_owned())
    );
    assert_eq!(
        plain["features"]["slash_commands"][0]["command"],
        "/treasury"
    );
    let all = scopes(&http, "bot");
    assert!(
        !all.contains(&"channels:manage".to_owned()) && all.contains(&"usergroups:read".to_owned())
    );
    let slash = &http["features"]["slash_commands"][0];
    assert_eq!(
        (&slash["command"], &slash["url"]),
        (
            &json!("/tb"),
            &json!("https://bot.example.com/slack/commands")
        )
    );
    let settings = &http["settings"];
    let events = &settings["event_subscriptions"]["request_url"];
    let interactions = &settings["interactivity"]["request_url"];
    assert_eq!(events, "https://bot.example.com/slack/events");
    assert_eq!(interactions, "https://bot.example.com/slack/interactions");
}

#[tokio::test]
async fn what_slack_would_not_take_is_noticed() {
    let good = printed(None, "json").await;
    for (at, value, problem) in [
        (
            "/display_information/name",
            json!("x".repeat(36)),
            "display_information.name",
        ),
        (
            "/display_information/colour",
            json!("#fff"),
            "no field: display_information.colour",
        ),
        (
            "/settings/socket_mode",
            json!(true),
            "no field: settings.socket_mode",
        ),
        (
            "/oauth_config/scopes/bot/0",
            json!("chat:read"),
            "no scope: chat:read",
        ),
        (
            "/oauth_config/scopes/bot_optional/0",
            json!("pins:read"),
            "optional only: pins:read",
        ),
        (
            "/settings/event_subscriptions/bot_events/0",
            json!("app_mentions"),
            "no event",
        ),
        (
            "/settings/socket_mode_enabled",
            json!(false),
            "is for HTTP, and needed there",
        ),
        (
            "/features/slash_commands",
            json!([]),
            "features.slash_commands",
        ),
    ] {
        let mut bad = good.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        match bad.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
        let found = problems(&bad);
        assert!(
            found.iter().any(|one| one.contains(problem)),
            "{at}: {found:?}"
        );
    }
}

#[tokio::test]
async fn http_without_an_address_for_slack_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bot.toml"), "[slack]\nmode = \"http\"\n").unwrap();
    let mut command = bot(folder.path());
    command.args(["manifest", "--config", "bot.toml"]);
    let (code, out, err) = run(command).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("`[web] public_url`"), "{err}");
}

#[test]
fn the_documents_table_of_scopes_is_the_codes() {
    let rows: Vec<String> = SCOPES
        .iter()
        .map(|scope| {
            let (name, gives) = (scope.name, scope.gives);
            format!(
                "| `{name}` | {gives} | {} |",
                scope.without.unwrap_or("needed")
            )
        })
        .collect();
    let text = std::fs::read_to_string(root().join("docs/slack.md")).unwrap();
    let table = rows.join("\n");
    assert!(
        text.contains(&table),
        "docs/slack.md lacks this table:\n\n{table}"
    );
}
