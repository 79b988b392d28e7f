//! `treasury-bot manifest`: the Slack app, as Slack takes it
//! (<https://docs.slack.dev/reference/app-manifest>).

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::config_file::{ConfigFile, Refused};
use super::terminal::put;
use crate::config::Config;
use crate::slack::Mode;
use crate::slack::scopes::{EVENTS, Uses};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Of this configuration file; without it, of one in which everything has its default
    #[arg(long, env = "TREASURY_BOT_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// How it is written; Slack takes both
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

/// What of a configuration decides about the app.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The slash command, such as `/treasury`.
    pub(super) command: String,
    /// Which scopes it takes.
    pub(super) uses: Uses,
    /// Where Slack's requests go, in HTTP mode: scheme and host.
    pub(super) url: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            command: "/treasury".to_owned(),
            uses: Uses {
                incident_channels: true,
                groups: false,
            },
            url: None,
        }
    }
}

impl Wanted {
    /// What a configuration asks for.
    pub(super) fn by(config: &Config) -> Self {
        let is_http = config.slack.mode == Mode::Http;
        Self {
            command: config.slack.command.clone(),
            uses: Uses {
                incident_channels: config.settings.incident_channels,
                groups: !config.slack.groups.is_empty(),
            },
            url: config.settings.public_url.clone().filter(|_| is_http),
        }
    }
}

pub(super) fn run(options: Options) -> anyhow::Result<ExitCode> {
    let wanted = match options.config {
        Some(config) => Wanted::by(&ConfigFile { config }.load_without_secrets()?),
        None => Wanted::default(),
    };
    if let Some(url) = wanted
        .url
        .as_ref()
        .filter(|url| !url.starts_with("https://"))
    {
        let message = format!(
            "in HTTP mode Slack sends its requests to `[web] public_url`, which has to be the \
             https:// address of a proxy in front of the bot, and not {url}"
        );
        return Err(Refused(message).into());
    }
    let manifest = manifest(&wanted);
    let text = match options.format {
        Format::Yaml => yaml(&manifest),
        Format::Json => format!("{manifest:#}\n"),
    };
    put(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The app's manifest.
pub(super) fn manifest(wanted: &Wanted) -> Value {
    let Wanted { command, uses, url } = wanted;
    let address = |path: &str| url.as_ref().map(|url| format!("{url}/slack/{path}"));
    let scopes: Vec<&str> = uses.scopes().map(|scope| scope.name).collect();
    let optional = uses.scopes().filter(|scope| scope.without.is_some());
    let optional: Vec<&str> = optional.map(|scope| scope.name).collect();
    let mut manifest = json!({
        "display_information": {
            "name": "treasury-bot",
            "description": "Incident response: alerts, status, logs, restarts, runbooks and timelines.",
            "long_description": "Tells the team when something of the Treasury Management System \
                fires, shows status, logs and metrics, restarts, scales and rolls back with a \
                question first, runs runbooks with approvals, keeps a tamper-proof timeline of \
                each incident and asks whoever is on call. It is run by your own team on \
                its own machines.",
            "background_color": "#1f3a5f",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": false,
                "messages_tab_enabled": true,
                "messages_tab_read_only_enabled": false,
            },
            "bot_user": {"display_name": "treasury-bot", "always_online": true},
            "slash_commands": [{
                "command": command,
                "description": "Incident response: try help",
                "usage_hint": "status | alerts | logs SERVICE | restart SERVICE | incident declare … | help",
                // People and channels arrive as ids, which no rename changes.
                "should_escape": true,
            }],
        },
        // Slack wants the optional ones in both lists.
        "oauth_config": {"scopes": {"bot": scopes, "bot_optional": optional}},
        "settings": {
            "event_subscriptions": {"bot_events": EVENTS.map(|(event, _)| event)},
            "interactivity": {"is_enabled": true},
            "org_deploy_enabled": false,
            "socket_mode_enabled": url.is_none(),
            "token_rotation_enabled": false,
        },
    });
    let settings = ["event_subscriptions", "interactivity"].map(|part| format!("/settings/{part}"));
    let slash = "/features/slash_commands/0".to_owned();
    let [events, interactivity] = settings;
    for (at, key, path) in [
        (slash, "url", "commands"),
        (events, "request_url", "events"),
        (interactivity, "request_url", "interactions"),
    ] {
        if let (Some(part), Some(address)) = (manifest.pointer_mut(&at), address(path)) {
            part[key] = address.into();
        }
    }
    manifest
}

/// The same in YAML. Texts are quoted, since Slack's reader stumbles over bare ones with colons.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (n, (key, value)) in map.iter().enumerate() {
                // The first key of a list's entry stands behind its dash.
                let lead = if n == 0 && out.ends_with("- ") {
                    ""
                } else {
                    &indent
                };
                let is_nested = value.is_object() || value.is_array();
                let end = if is_nested { "\n" } else { " " };
                out.push_str(&format!("{lead}{key}:{end}"));
                write(out, value, depth + 1);
            }
        }
        Value::Array(list) => {
            for one in list {
                out.push_str(&format!("{indent}- "));
                write(out, one, depth + 1);
            }
        }
        // A text of JSON is one of YAML.
        other => out.push_str(&format!("{other}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_says_the_same() {
        for url in [None, Some("https://bot.example.com".to_owned())] {
            let wanted = Wanted {
                url,
                ..Wanted::default()
            };
            let manifest = manifest(&wanted);
            let read: Value = serde_saphyr::from_str(&yaml(&manifest)).unwrap();
            assert_eq!(read, manifest);
        }
    }
}
