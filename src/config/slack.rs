//! `[slack]`: the chat.

use secrecy::{ExposeSecret, SecretString};

use super::reader::Reader;
use super::secret::{environment, file};
use super::sections::elsewhere;
use super::source::Report;
use super::{Env, SlackMode, SlackSection, urls};

/// The keys of the section.
pub(super) const KEYS: [&str; 8] = [
    "mode",
    "command",
    "channel",
    "api_url",
    "incident_channels",
    "bot_token_file",
    "app_token_file",
    "signing_secret_file",
];

/// A secret of Slack's: where it comes from and how it looks.
struct Secret {
    /// The key nobody may write, since its value would be in the file.
    key: &'static str,
    file_key: &'static str,
    variable: &'static str,
    what: &'static str,
    /// How another of Slack's secrets begins that is easily put here.
    not: &'static str,
}

const BOT_TOKEN: Secret = Secret {
    key: "bot_token",
    file_key: "bot_token_file",
    variable: "TREASURY_BOT_SLACK_BOT_TOKEN",
    what: "the bot token",
    not: "xapp-",
};
const APP_TOKEN: Secret = Secret {
    key: "app_token",
    file_key: "app_token_file",
    variable: "TREASURY_BOT_SLACK_APP_TOKEN",
    what: "the app-level token",
    not: "xoxb-",
};
const SIGNING_SECRET: Secret = Secret {
    key: "signing_secret",
    file_key: "signing_secret_file",
    variable: "TREASURY_BOT_SLACK_SIGNING_SECRET",
    what: "the signing secret",
    not: "xoxb-",
};

/// `[slack]`; `None` after an error that leaves no bot token.
pub(super) fn slack(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    env: Env<'_>,
) -> Option<SlackSection> {
    let mode_at = section.text(report, "mode").map(|text| text.span);
    let modes = [("socket", SlackMode::Socket), ("http", SlackMode::Http)];
    let word = section.word(report, "mode", &modes);
    // After a bad mode nobody knows which secrets it needs.
    let mode = if mode_at.is_some() {
        word
    } else {
        Some(SlackMode::Socket)
    };
    let command = section.text(report, "command").map(|text| {
        let good = text.value.strip_prefix('/').is_some_and(|name| {
            (1..32).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c == '/')
        });
        if !good {
            let message = format!("`slack.command` can't be `{}`", text.value);
            let hint = "write a slash and a name, such as `/treasury`".to_owned();
            report.error(text.span, message, Some(hint));
        }
        text.value
    });
    let channel = section.text(report, "channel").map(|text| {
        if !is_channel(text.value) {
            let message = format!("`slack.channel` can't be `{}`", text.value);
            let hint = "write `#name` as Slack shows it, or the channel's id (`C…`)".to_owned();
            report.error(text.span, message, Some(hint));
        }
        text.value
    });
    let api_url = section
        .text(report, "api_url")
        .and_then(|text| urls::http(report, "slack.api_url", &text));
    let incident_channels = section.boolean(report, "incident_channels").unwrap_or(true);
    let mut needed = |secret: &Secret, needed: bool, why: &str| {
        let place = mode_at.clone().filter(|_| !why.is_empty());
        secret.find(report, &mut section, env, needed.then_some((place, why)))
    };
    let socket = mode == Some(SlackMode::Socket);
    let bot_token = needed(&BOT_TOKEN, true, "");
    let app_token = needed(&APP_TOKEN, socket, " of mode `socket`");
    let http = mode == Some(SlackMode::Http);
    let signing_secret = needed(&SIGNING_SECRET, http, " of mode `http`");
    section.finish(report, elsewhere);
    Some(SlackSection {
        mode: mode.unwrap_or_default(),
        command: command.unwrap_or("/treasury").to_owned(),
        channel: channel.unwrap_or("#treasury-incidents").to_owned(),
        api_url,
        incident_channels,
        bot_token: bot_token?,
        app_token,
        signing_secret,
    })
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

/// A place in the file.
type Place = Option<std::ops::Range<usize>>;

impl Secret {
    /// The secret, from the environment or its file; reported where it is needed and absent.
    fn find(
        &self,
        report: &mut Report<'_>,
        section: &mut Reader<'_, '_>,
        env: Env<'_>,
        needed: Option<(Place, &str)>,
    ) -> Option<SecretString> {
        let Self {
            key,
            file_key,
            variable,
            what,
            not,
        } = *self;
        let named = section.text(report, file_key);
        let written = section.written(key);
        if let Some(span) = &written {
            let message = format!("`slack.{key}`: a secret doesn't belong in this file");
            let hint = format!(
                "set {variable}, or {file_key}, and have this one replaced: it has been in a file"
            );
            report.error(span.clone(), message, Some(hint));
        }
        if let Some(named) = &named
            && ["xox", "xapp-"]
                .iter()
                .any(|start| named.value.starts_with(start))
        {
            let message = format!("`slack.{file_key}` holds a token, not the path of a file");
            let hint = format!("set {variable}, and have this one replaced: it has been in a file");
            report.error(named.span.clone(), message, Some(hint));
            return None;
        }
        let (secret, source, span) = if let Some(secret) = environment(env, variable) {
            (secret, variable.to_owned(), None)
        } else if let Some(named) = named {
            let source = format!("slack.{file_key}");
            (
                file(report, &source, &named)?,
                format!("`{source}`"),
                Some(named.span),
            )
        } else {
            if let Some((place, of_mode)) = needed.filter(|_| written.is_none()) {
                let message = format!("{what}{of_mode} is missing");
                let hint = format!("set {variable}, or `{file_key}` in `[slack]`");
                report.error(place.or(section.span.clone()), message, Some(hint));
            }
            return None;
        };
        let text = secret.expose_secret();
        if text.starts_with(not) {
            let message = format!("{source} must be {what}, not one that begins with `{not}`");
            report.error(span, message, None);
        } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
            let message = format!("{source} has spaces, line ends or foreign letters in it");
            report.error(span, message, None);
        }
        Some(secret)
    }
}
