//! Channels and the messages in them, as the people of the workspace see them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::{Map, Value};

/// Earlier states kept of an edited message.
const REVISIONS: usize = 50;

/// Counts every change of every message, so that a reader can ask for what is new to it.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// The number of the next change.
pub(super) fn next_change() -> u64 {
    CHANGES.fetch_add(1, Ordering::Relaxed) + 1
}

/// The number of the last change. Under the workspace's lock nothing of it changes meanwhile.
pub(super) fn last_change() -> u64 {
    CHANGES.load(Ordering::Relaxed)
}

/// What sort of conversation a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    Public,
    Private,
    /// Between the bot and one person.
    Direct,
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct Channel {
    pub id: String,
    /// Without the `#`; empty for a direct conversation.
    pub name: String,
    pub kind: ChannelKind,
    pub members: BTreeSet<String>,
    pub topic: String,
    pub archived: bool,
    /// Unix seconds.
    pub created: i64,
    pub creator: String,
    /// By rising `ts`. Ephemeral and deleted ones are here too.
    pub messages: VecDeque<Message>,
    pub pins: Vec<Pin>,
    pub bookmarks: Vec<Value>,
}

impl Channel {
    /// The message with this `ts`, deleted ones excepted.
    pub fn message(&self, ts: &str) -> Option<&Message> {
        let at = self
            .messages
            .binary_search_by(|m| m.ts.as_str().cmp(ts))
            .ok()?;
        self.messages.get(at).filter(|m| !m.deleted)
    }

    /// The same, to be changed.
    pub(super) fn message_mut(&mut self, ts: &str) -> Option<&mut Message> {
        let at = self
            .messages
            .binary_search_by(|m| m.ts.as_str().cmp(ts))
            .ok()?;
        let message = self.messages.get_mut(at).filter(|m| !m.deleted)?;
        message.changed = next_change();
        Some(message)
    }

    /// The replies under a message that everybody sees, oldest first.
    pub fn replies<'a>(&'a self, root: &'a str) -> impl DoubleEndedIterator<Item = &'a Message> {
        self.messages
            .iter()
            .filter(move |m| m.is_public() && m.ts != root && m.thread_ts.as_deref() == Some(root))
    }
}

/// A pinned message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    pub ts: String,
    pub user: String,
    /// Unix seconds.
    pub created: i64,
}

/// One emoji under a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reaction {
    pub name: String,
    pub users: Vec<String>,
}

/// What a message said before an edit.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    pub text: String,
    pub blocks: Vec<Value>,
}

/// A message, as the people of the workspace see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Message {
    pub channel: String,
    /// `1699999999.000100`, unique and rising.
    pub ts: String,
    /// The root's `ts`, for replies and for roots that have replies.
    pub thread_ts: Option<String>,
    /// The author's user id.
    pub user: String,
    /// Said by the app, by API or response_url.
    pub by_bot: bool,
    pub subtype: Option<String>,
    pub text: String,
    pub blocks: Vec<Value>,
    pub attachments: Vec<Value>,
    pub metadata: Option<Value>,
    /// Ephemeral: only this person sees it.
    pub visible_to: Option<String>,
    /// A reply that is shown in the channel as well.
    pub broadcast: bool,
    /// The `ts` of the last edit.
    pub edited: Option<String>,
    #[serde(skip)]
    pub revisions: Vec<Revision>,
    pub deleted: bool,
    pub reactions: Vec<Reaction>,
    /// Ids of files shared with it.
    pub files: Vec<String>,
    /// What each person has chosen in its menus: user → block_id → action_id → state.
    #[serde(skip)]
    pub chosen: BTreeMap<String, Map<String, Value>>,
    /// It is still being written (`chat.startStream`).
    #[serde(skip)]
    pub(super) streaming: bool,
    /// Which of all changes was its last.
    pub(super) changed: u64,
}

impl Message {
    /// Neither ephemeral nor deleted.
    pub fn is_public(&self) -> bool {
        !self.deleted && self.visible_to.is_none()
    }

    /// Whether this person sees it.
    pub fn is_visible_to(&self, user: &str) -> bool {
        !self.deleted && self.visible_to.as_deref().is_none_or(|only| only == user)
    }

    /// A reply in a thread.
    pub fn is_reply(&self) -> bool {
        self.thread_ts.as_ref().is_some_and(|root| *root != self.ts)
    }

    /// All words a reader sees: the blocks' and attachments' if there are any, else the text.
    pub fn shown(&self) -> String {
        let mut words = Vec::new();
        self.blocks
            .iter()
            .for_each(|b| collect_texts(b, &mut words));
        if words.is_empty() && !self.text.is_empty() {
            words.push(self.text.clone());
        }
        self.attachments
            .iter()
            .for_each(|a| collect_texts(a, &mut words));
        words.join("\n")
    }

    pub(super) fn remember(&mut self) {
        if self.revisions.len() == REVISIONS {
            self.revisions.remove(0);
        }
        self.revisions.push(Revision {
            text: self.text.clone(),
            blocks: self.blocks.clone(),
        });
    }
}

/// The parts of blocks and attachments that hold words, in the order a reader meets them.
const READING_ORDER: [&str; 13] = [
    "pretext",
    "title",
    "label",
    "text",
    "hint",
    "alt_text",
    "fields",
    "rows",
    "elements",
    "element",
    "accessory",
    "blocks",
    "footer",
];

fn collect_texts(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Object(object)
            if object
                .get("type")
                .is_some_and(|kind| kind == "rich_text_section") =>
        {
            let leaves = object.get("elements").and_then(Value::as_array);
            words.push(leaves.into_iter().flatten().map(leaf).collect());
        }
        Value::Object(object) => {
            for part in READING_ORDER.iter().filter_map(|key| object.get(*key)) {
                match part {
                    Value::String(text) => words.push(text.clone()),
                    inner => collect_texts(inner, words),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, words)),
        _ => {}
    }
}

/// A part of a sentence, mentions as they stand in a text.
fn leaf(leaf: &Value) -> String {
    let of = |key: &str| leaf[key].as_str().unwrap_or_default();
    match of("type") {
        "user" => format!("<@{}>", of("user_id")),
        "channel" => format!("<#{}>", of("channel_id")),
        "usergroup" => format!("<!subteam^{}>", of("usergroup_id")),
        "broadcast" => format!("<!{}>", of("range")),
        "link" if of("text").is_empty() => of("url").to_owned(),
        _ => of("text").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shown_prefers_the_blocks() {
        let message = Message {
            text: "fallback".into(),
            blocks: vec![json!({"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}})],
            ..Message::default()
        };
        assert_eq!(message.shown(), "*hi*");
    }
}
