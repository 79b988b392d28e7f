//! What Slack sends, read as one [`Request`]: commands, mentions, presses of buttons and menus.
//!
//! Pure, and generous: whatever isn't meant for the bot, or can't be read, is `None` and is
//! acknowledged all the same, because Slack would only send it again.

mod words;

use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::command::words::quote;
use crate::domain::person::is_slack_user_id;
use crate::domain::timeline::hex;
use crate::domain::{Door, Person, Place, Reply, Request};

/// Beginning of the `action_id` of a button: its `value` is the sentence.
pub(super) const SAY: &str = "say:";
/// Beginning of the `action_id` of a menu: a number, a colon and the sentence with `{}` follow.
pub(super) const PICK: &str = "pick:";

/// The way in that a payload took; tells which shape it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A slash command's fields.
    Command,
    /// A press of a button or menu, a form, a shortcut.
    Interaction,
    /// An `event_callback`.
    Event,
}

crate::domain::words!(Kind {
    Command: "command",
    Interaction: "interaction",
    Event: "event",
});

/// Reads payloads; knows what can't be read from them.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Where Slack's API is, when it isn't Slack itself: its host may take answers, too.
    pub api_url: Option<Url>,
    /// The bot's own user id, once known.
    pub bot_user: Option<String>,
}

impl Reader {
    /// The request in a payload, if there is one for the bot.
    pub fn read(&self, kind: Kind, payload: &Value) -> Option<Request> {
        match kind {
            Kind::Command => self.command(payload),
            Kind::Interaction => self.interaction(payload),
            Kind::Event => self.event(payload),
        }
    }

    fn command(&self, form: &Value) -> Option<Request> {
        let user = text(form, "user_id").filter(|id| is_slack_user_id(id))?;
        let channel = text(form, "channel_id").filter(|id| !id.is_empty())?;
        let said = text(form, "text").unwrap_or_default();
        let command = text(form, "command").unwrap_or_default();
        let key = match text(form, "trigger_id").filter(|id| !id.is_empty()) {
            Some(trigger) => hash(&[trigger, channel, user, command, said]),
            // Never seen, but without it two equal commands could not be told apart.
            None => hash(&[&form.to_string()]),
        };
        Some(Request {
            key: format!("command:{key}"),
            door: Door::Command,
            person: person(user, text(form, "user_name")),
            place: Place {
                channel: channel.to_owned(),
                // Slack sends none today; harmless if it ever does.
                thread: ts(text(form, "thread_ts")),
            },
            text: words::clean(said),
            reply: Reply {
                response_url: self.response_url(form),
                ..Reply::default()
            },
        })
    }

    fn interaction(&self, payload: &Value) -> Option<Request> {
        if text(payload, "type") != Some("block_actions") {
            // Forms and shortcuts are not used yet; they are acknowledged and left.
            return None;
        }
        let user = text(&payload["user"], "id").filter(|id| is_slack_user_id(id))?;
        let container = &payload["container"];
        let message = &payload["message"];
        let channel = text(&payload["channel"], "id").or_else(|| text(container, "channel_id"))?;
        let action = payload["actions"].as_array()?.first()?;
        let action_id = text(action, "action_id")?;
        let (said, value) = sentence(action_id, action)?;
        let message_ts = text(container, "message_ts").or_else(|| text(message, "ts"));
        let thread = text(container, "thread_ts").or_else(|| text(message, "thread_ts"));
        let trigger = text(payload, "trigger_id").unwrap_or_default();
        let key = hash(&[
            trigger,
            action_id,
            value,
            message_ts.unwrap_or_default(),
            user,
        ]);
        let name = text(&payload["user"], "username").or_else(|| text(&payload["user"], "name"));
        Some(Request {
            key: format!("button:{key}"),
            door: Door::Button,
            person: person(user, name),
            place: Place {
                channel: channel.to_owned(),
                thread: ts(thread),
            },
            // Ours, word for word: the sentence was written by the bot.
            text: said,
            reply: Reply {
                response_url: self.response_url(payload),
                message: ts(message_ts),
                ephemeral: container["is_ephemeral"].as_bool().unwrap_or(false),
            },
        })
    }

    fn event(&self, callback: &Value) -> Option<Request> {
        let event = &callback["event"];
        let is_mention = text(event, "type") == Some("app_mention");
        let is_direct =
            text(event, "type") == Some("message") && text(event, "channel_type") == Some("im");
        if !is_mention && !is_direct {
            return None;
        }
        // Edits would run a command twice; other bots could talk to us in circles.
        let subtype = text(event, "subtype");
        if !event["edited"].is_null()
            || !event["bot_id"].is_null()
            || subtype.is_some_and(|subtype| subtype != "thread_broadcast")
        {
            return None;
        }
        let user = text(event, "user").filter(|id| is_slack_user_id(id))?;
        let bot = self
            .bot_user
            .as_deref()
            .or_else(|| authorized_bot(callback));
        if bot == Some(user) {
            return None;
        }
        let channel = text(event, "channel").filter(|id| !id.is_empty())?;
        // The message, not the event: a mention can be told of by several events.
        let key = match text(event, "ts").filter(|ts| is_ts(ts)) {
            Some(ts) => format!("mention:{channel}:{ts}"),
            None => match text(callback, "event_id") {
                Some(id) => format!("event:{id}"),
                None => format!("event:{}", hash(&[&callback.to_string()])),
            },
        };
        let said = words::without_mention(text(event, "text").unwrap_or_default(), bot);
        Some(Request {
            key,
            door: Door::Mention,
            person: person(user, None),
            place: Place {
                channel: channel.to_owned(),
                thread: ts(text(event, "thread_ts")),
            },
            text: words::clean(&said),
            reply: Reply::default(),
        })
    }

    /// The address for answers, if it is Slack's: anything else would make the bot POST wherever
    /// a forged payload says.
    fn response_url(&self, payload: &Value) -> Option<String> {
        let given = text(payload, "response_url")?;
        self.is_slack(&Url::parse(given).ok()?)
            .then(|| given.to_owned())
    }

    /// Whether answers may be posted to this address.
    pub fn is_slack(&self, url: &Url) -> bool {
        let slack = url.scheme() == "https"
            && url.host_str() == Some("hooks.slack.com")
            && url.port().is_none();
        let configured = self.api_url.as_ref().is_some_and(|api| {
            (api.scheme(), api.host_str(), api.port_or_known_default())
                == (url.scheme(), url.host_str(), url.port_or_known_default())
        });
        (slack || configured) && url.username().is_empty() && url.password().is_none()
    }
}

/// The sentence that a press stands for, and the value that tells this press from others.
fn sentence<'a>(action_id: &str, action: &'a Value) -> Option<(String, &'a str)> {
    if action_id.starts_with(SAY) {
        let value = text(action, "value")?;
        return Some((value.to_owned(), value));
    }
    let (_, template) = action_id.strip_prefix(PICK)?.split_once(':')?;
    // No database takes a NUL, and nobody picks one.
    let value = text(&action["selected_option"], "value").filter(|value| !value.contains('\0'))?;
    Some((template.replacen("{}", &quote(value), 1), value))
}

fn authorized_bot(callback: &Value) -> Option<&str> {
    callback["authorizations"]
        .as_array()?
        .iter()
        .find(|a| a["is_bot"].as_bool() == Some(true))
        .and_then(|a| text(a, "user_id"))
}

fn person(id: &str, name: Option<&str>) -> Person {
    let name = name
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .unwrap_or(id);
    Person {
        id: id.to_owned(),
        name: name.chars().filter(|c| !c.is_control()).take(80).collect(),
    }
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

fn ts(given: Option<&str>) -> Option<String> {
    given.filter(|ts| is_ts(ts)).map(str::to_owned)
}

/// Slack's message timestamps: digits, a dot, digits.
fn is_ts(text: &str) -> bool {
    text.len() <= 32
        && text.split_once('.').is_some_and(|(seconds, rest)| {
            [seconds, rest]
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        })
}

/// The parts' hash; lengths go in too, so that no two lists of parts are one text.
fn hash(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    hex(&sha.finalize()[..16])
}

#[cfg(test)]
mod tests;
