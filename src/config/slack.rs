//! `[slack]`: the chat.

use std::ops::Range;

use secrecy::{ExposeSecret, SecretString};

use super::kind::Kind;
use super::section::Section;
use super::source::Secrets;
use crate::slack::{Mode, SlackConfig};

pub(super) const SLACK: Kind = Kind::single(
    "slack",
    "mode command channel api_url incident_channels bot_token_file app_token_file \
     signing_secret_file",
);

/// `[slack]`, and whether each incident gets a channel of its own; `None` after an error that leaves
/// no bot token.
pub(super) fn slack(section: &Section<'_>) -> Option<(SlackConfig, bool)> {
    let written = section.text("mode");
    // After a bad mode nobody knows which secrets it needs.
    let mode = match &written {
        Some(text) => text.one_of(&[("socket", Mode::Socket), ("http", Mode::Http)]),
        None => Some(Mode::Socket),
    };
    let command = section.text("command").and_then(|text| {
        let good = text.value.strip_prefix('/').is_some_and(|name| {
            (1..32).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c == '/')
        });
        text.good(good, "write a slash and a name, such as `/treasury`")
    });
    let channel = section.text("channel").and_then(|text| {
        let hint = "write `#name` as Slack shows it, or the channel's id (`C…`)";
        text.good(is_channel(text.value), hint)
    });
    let header = section.span.clone();
    let of_mode = |one| {
        let place = written.as_ref().map(|text| text.span.clone());
        (mode == Some(one), place.or(header.clone()))
    };
    let always = (true, header.clone());
    let (socket, http) = (of_mode(Mode::Socket), of_mode(Mode::Http));
    let bot_token = secret(section, "bot_token", ["the bot token", ""], always);
    let what = ["the app-level token", " of mode `socket`"];
    let app_token = secret(section, "app_token", what, socket);
    let what = ["the signing secret", " of mode `http`"];
    let signing_secret = secret(section, "signing_secret", what, http);
    let bot_token = match section.source.secrets {
        Secrets::Needed => bot_token,
        Secrets::ButSlacks | Secrets::MayLack => Some(bot_token.unwrap_or_default()),
    };
    let incident_channels = section.boolean("incident_channels").unwrap_or(true);
    let config = SlackConfig {
        mode: mode.unwrap_or(Mode::Socket),
        api_url: section
            .text("api_url")
            .and_then(|text| text.http_as("https://slack.com/api/")),
        app_token,
        signing_secret,
        channel: channel.unwrap_or_else(|| "#treasury-incidents".to_owned()),
        command: command.unwrap_or_else(|| "/treasury".to_owned()),
        groups: Vec::new(),
        bot_token: bot_token?,
    };
    Some((config, incident_channels))
}

/// `#name` as Slack allows it, or a channel's id.
pub(super) fn is_channel(text: &str) -> bool {
    match text.strip_prefix('#') {
        Some(name) => {
            (1..=80).contains(&name.chars().count())
                && !name.contains(|c: char| {
                    c.is_whitespace() || c.is_uppercase() || c.is_control() || "#@,.".contains(c)
                })
        }
        None => {
            text.len() > 1
                && text.starts_with(['C', 'G'])
                && text
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }
    }
}

/// A secret of Slack's. `what` it is, and for which mode; whether it is `needed`, and where it is
/// said that it is missing.
fn secret(
    section: &Section<'_>,
    key: &str,
    [what, mode]: [&str; 2],
    (needed, place): (bool, Option<Range<usize>>),
) -> Option<SecretString> {
    let (variable, file_key) = (section.variable(key), format!("{key}_file"));
    let named = section.text(&file_key);
    let written = section.written(key);
    let replaced = "have this one replaced: it has been in a file";
    if let Some(span) = &written {
        let message = format!("`slack.{key}`: a secret doesn't belong in this file");
        let hint = format!("set {variable}, or {file_key}, and {replaced}");
        section.source.error(span.clone(), message, hint);
    }
    if let Some(named) = &named
        && ["xox", "xapp-"]
            .iter()
            .any(|start| named.value.starts_with(start))
    {
        let message = format!("`slack.{file_key}` holds a token, not the path of a file");
        named.error(message, format!("set {variable}, and {replaced}"));
        return None;
    }
    if section.source.secrets == Secrets::ButSlacks {
        return None;
    }
    let (secret, source, span) = if let Some(secret) = section.source.environment(&variable) {
        (secret, variable, None)
    } else if let Some(named) = named {
        (
            named.secret()?,
            format!("`{}`", named.what),
            Some(named.span),
        )
    } else {
        if needed && written.is_none() && section.source.secrets == Secrets::Needed {
            let hint = format!("set {variable}, or `{file_key}` in `[slack]`");
            section
                .source
                .error(place, format!("{what}{mode} is missing"), hint);
        }
        return None;
    };
    let text = secret.expose_secret();
    if let Some(why) = wrong_kind(key, text) {
        let message = format!("{source} must be {what}, {why}");
        section.source.error(span, message, "");
    } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!("{source} has spaces, line ends or foreign letters in it");
        section.source.error(span, message, "");
    }
    Some(secret)
}

/// Why a text can't be this secret, by how Slack's tokens begin
/// (<https://docs.slack.dev/authentication/tokens>).
fn wrong_kind(key: &str, text: &str) -> Option<&'static str> {
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    match key {
        "bot_token" if !begins(&["xoxb-", "xoxe.xoxb-"]) => Some("which begins with `xoxb-`"),
        "app_token" if !begins(&["xapp-"]) => Some("which begins with `xapp-`"),
        "signing_secret" if begins(&["xox", "xapp-"]) => Some("which is no token"),
        _ => None,
    }
}
