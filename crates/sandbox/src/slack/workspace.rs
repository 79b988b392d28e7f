//! The model of one workspace: its channels and messages, files and views. Plain data under one
//! lock; the Web API, the people and the page all read and change the same one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::config::{Person, SandboxConfig, UserGroup};
use super::message::next_change;
pub use super::message::{Channel, ChannelKind, Message, Pin, Reaction, Revision};

/// The oldest messages of a channel go when it holds more than this.
pub const MESSAGES_PER_CHANNEL: usize = 10_000;
/// Bytes of all uploaded files together.
pub const FILES_TOTAL: usize = 32 * 1024 * 1024;
/// Slack's own private voice, for what the client itself says ("operation_timeout").
pub const SLACKBOT: &str = "USLACKBOT";

/// An uploaded file.
#[derive(Debug, Clone, Serialize)]
pub struct File {
    pub id: String,
    pub name: String,
    pub title: String,
    /// What a picture shows, for who can't see it.
    pub alt_txt: String,
    pub user: String,
    /// Unix seconds.
    pub created: i64,
    pub size: usize,
    #[serde(skip)]
    pub content: Vec<u8>,
    /// Ids of the channels it is shared in.
    pub channels: Vec<String>,
    pub(super) state: UploadState,
}

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UploadState {
    Promised,
    Uploaded,
    Complete,
}

impl File {
    /// What the bytes are: a PNG, or anything.
    pub(super) fn media_type(&self) -> &'static str {
        if self.content.starts_with(b"\x89PNG\r\n\x1a\n") {
            "image/png"
        } else {
            "application/octet-stream"
        }
    }

    /// Shared or kept, as opposed to still being uploaded.
    pub fn is_complete(&self) -> bool {
        self.state == UploadState::Complete
    }
}

/// A modal or a home tab, open for one person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    pub id: String,
    pub user: String,
    pub hash: String,
    pub root_id: String,
    pub previous_id: Option<String>,
    /// The view as the app sent it, every block with its `block_id`.
    pub body: Value,
    /// What the person has filled in so far: block_id → action_id → state.
    pub values: Map<String, Value>,
    /// Errors of the last submission: block_id → text.
    pub errors: Map<String, Value>,
}

/// The right to open one modal, for three seconds.
pub(super) struct Trigger {
    pub token: String,
    pub user: String,
    pub expires: Instant,
    pub used: bool,
}

/// The right to answer one interaction, five times in half an hour.
pub(super) struct ResponseUrl {
    pub secret: String,
    pub channel: String,
    pub user: String,
    /// The message the interaction came from, if it came from one.
    pub source: Option<String>,
    pub thread_ts: Option<String>,
    pub expires: Instant,
    pub uses_left: u8,
}

/// Who the app is in this workspace.
#[derive(Debug, Clone, Serialize)]
pub struct Bot {
    pub user_id: String,
    pub bot_id: String,
    pub app_id: String,
    pub name: String,
}

/// Everything that is said and shown in the workspace.
pub struct Workspace {
    pub team_id: String,
    pub team_domain: String,
    pub bot: Bot,
    pub people: Vec<Person>,
    /// Ids of those who have left.
    pub deactivated: BTreeSet<String>,
    pub usergroups: Vec<UserGroup>,
    /// By id.
    pub channels: BTreeMap<String, Channel>,
    pub files: Vec<File>,
    /// Open modals by person, the topmost last.
    pub views: HashMap<String, Vec<View>>,
    /// Home tabs by person.
    pub homes: HashMap<String, View>,
    /// `http://127.0.0.1:PORT`, for the addresses handed to the bot.
    pub(super) base_url: String,
    pub(super) triggers: BTreeMap<u64, Trigger>,
    pub(super) response_urls: BTreeMap<u64, ResponseUrl>,
    pub(super) tickets: HashSet<String>,
    /// The app has `chat:write.public`: it may write to public channels that it is not in.
    pub(super) writes_public: bool,
    last_micros: u64,
    last_id: u64,
}

impl Workspace {
    /// A fresh workspace, served at `base_url`.
    pub(super) fn new(config: &SandboxConfig, base_url: String) -> Self {
        let mut world = Self {
            team_id: config.team_id.clone(),
            team_domain: config.team_domain.clone(),
            bot: Bot {
                user_id: config.bot_user_id.clone(),
                bot_id: config.bot_id.clone(),
                app_id: config.app_id.clone(),
                name: config.bot_name.clone(),
            },
            people: config.people.clone(),
            deactivated: BTreeSet::new(),
            usergroups: config.usergroups.clone(),
            channels: BTreeMap::new(),
            files: Vec::new(),
            views: HashMap::new(),
            homes: HashMap::new(),
            base_url,
            triggers: BTreeMap::new(),
            response_urls: BTreeMap::new(),
            tickets: HashSet::new(),
            writes_public: true,
            last_micros: 0,
            last_id: 0,
        };
        for seed in &config.channels {
            let creator = world
                .people
                .first()
                .map(|p| p.id.clone())
                .unwrap_or_default();
            let id = world.open_channel(&seed.name, ChannelKind::Public, &creator);
            let mut members: BTreeSet<_> = world.people.iter().map(|p| p.id.clone()).collect();
            if seed.bot_is_member {
                members.insert(world.bot.user_id.clone());
            }
            if let Some(channel) = world.channels.get_mut(&id) {
                channel.members = members;
            }
        }
        world
    }

    /// By id, by `#name` or by `name`.
    pub fn channel(&self, name_or_id: &str) -> Option<&Channel> {
        self.channels.get(name_or_id).or_else(|| {
            let name = name_or_id.strip_prefix('#').unwrap_or(name_or_id);
            self.channels
                .values()
                .find(|c| !name.is_empty() && c.name == name)
        })
    }

    /// By id, by `@name` or by `name`.
    pub fn person(&self, name_or_id: &str) -> Option<&Person> {
        let name = name_or_id.strip_prefix('@').unwrap_or(name_or_id);
        self.people
            .iter()
            .find(|p| p.id == name_or_id || p.name == name)
    }

    /// Whether the id is a person's or the bot's own.
    pub fn is_user(&self, id: &str) -> bool {
        id == self.bot.user_id || self.people.iter().any(|p| p.id == id)
    }

    /// A modal or home tab by id.
    pub fn view(&self, id: &str) -> Option<&View> {
        self.views
            .values()
            .flatten()
            .chain(self.homes.values())
            .find(|v| v.id == id)
    }

    pub(super) fn view_mut(&mut self, id: &str) -> Option<&mut View> {
        self.views
            .values_mut()
            .flatten()
            .chain(self.homes.values_mut())
            .find(|v| v.id == id)
    }

    /// Every message of every channel, for searching.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.channels.values().flat_map(|c| &c.messages)
    }

    /// A new `ts`: the clock's microseconds, or one more than the last if the clock stood still.
    pub(super) fn next_ts(&mut self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.last_micros = (now.as_micros() as u64).max(self.last_micros + 1);
        format!(
            "{:010}.{:06}",
            self.last_micros / 1_000_000,
            self.last_micros % 1_000_000
        )
    }

    /// The next number of the workspace's one counter.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A new id in Slack's manner: the letter, then ten characters.
    pub(super) fn next_id(&mut self, letter: char) -> String {
        format!("{letter}0{:0>9}", in_base_36(self.next_number()))
    }

    /// Opens a channel with nobody in it but its creator.
    pub(super) fn open_channel(&mut self, name: &str, kind: ChannelKind, creator: &str) -> String {
        let id = self.next_id(if kind == ChannelKind::Direct {
            'D'
        } else {
            'C'
        });
        let channel = Channel {
            id: id.clone(),
            name: name.to_string(),
            kind,
            members: BTreeSet::from([creator.to_string()]),
            topic: String::new(),
            archived: false,
            created: unix_seconds(),
            creator: creator.to_string(),
            messages: VecDeque::new(),
            pins: Vec::new(),
            bookmarks: Vec::new(),
        };
        self.channels.insert(id.clone(), channel);
        id
    }

    /// The direct conversation of the bot and a person, opened when there is none.
    pub(super) fn direct(&mut self, user: &str) -> String {
        let open = self
            .channels
            .values()
            .find(|c| c.kind == ChannelKind::Direct && c.members.contains(user));
        if let Some(channel) = open {
            return channel.id.clone();
        }
        let id = self.open_channel("", ChannelKind::Direct, user);
        let bot = self.bot.user_id.clone();
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.members.insert(bot);
        }
        id
    }

    /// Puts a message into its channel, gives it its `ts` and makes its root a thread.
    pub(super) fn post(&mut self, mut message: Message) -> Message {
        message.ts = self.next_ts();
        message.changed = next_change();
        if let Some(channel) = self.channels.get_mut(&message.channel) {
            if let Some(root) = message.thread_ts.clone().filter(|_| message.is_public())
                && let Some(root) = channel.message_mut(&root)
            {
                root.thread_ts = Some(root.ts.clone());
            }
            if channel.messages.len() == MESSAGES_PER_CHANNEL {
                channel.messages.pop_front();
            }
            channel.messages.push_back(message.clone());
        }
        message
    }

    /// What Slack itself tells one person.
    pub(super) fn whisper(&mut self, channel: &str, user: &str, text: &str) {
        self.post(Message {
            channel: channel.to_string(),
            user: SLACKBOT.to_string(),
            text: text.to_string(),
            visible_to: Some(user.to_string()),
            ..Message::default()
        });
    }
}

/// Now, in Unix seconds.
pub(super) fn unix_seconds() -> i64 {
    unix_millis() / 1_000
}

/// Now, in Unix milliseconds.
pub(super) fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

/// A lock whose last holder panicked is as good as any: the data are only for looking at.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A version 4 UUID, the shape of Slack's envelope ids.
pub(super) fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

fn in_base_36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut out = Vec::new();
    loop {
        out.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return out.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> Workspace {
        Workspace::new(&SandboxConfig::default(), "http://127.0.0.1:1".to_string())
    }

    #[test]
    fn timestamps_rise_and_have_slacks_shape() {
        let mut world = world();
        let stamps: Vec<_> = (0..1_000).map(|_| world.next_ts()).collect();
        assert!(stamps.is_sorted_by(|a, b| a < b));
        assert!(
            stamps
                .iter()
                .all(|ts| ts.len() == 17 && ts.as_bytes()[10] == b'.')
        );
    }

    #[test]
    fn a_channel_forgets_its_oldest_messages() {
        let mut world = world();
        let id = world.channel("#general").unwrap().id.clone();
        let first = world.post(Message {
            channel: id.clone(),
            ..Message::default()
        });
        for _ in 0..MESSAGES_PER_CHANNEL {
            world.post(Message {
                channel: id.clone(),
                ..Message::default()
            });
        }
        let channel = world.channel(&id).unwrap();
        assert_eq!(channel.messages.len(), MESSAGES_PER_CHANNEL);
        assert!(channel.message(&first.ts).is_none());
    }

    #[test]
    fn a_reply_makes_its_root_a_thread_and_an_ephemeral_one_does_not() {
        let mut world = world();
        let channel = world.channel("general").unwrap().id.clone();
        let root = world.post(Message {
            channel: channel.clone(),
            ..Message::default()
        });
        let reply = Message {
            channel: channel.clone(),
            thread_ts: Some(root.ts.clone()),
            ..Message::default()
        };
        world.post(Message {
            visible_to: Some("U0ANA00001".into()),
            ..reply.clone()
        });
        assert_eq!(
            world
                .channel(&channel)
                .unwrap()
                .message(&root.ts)
                .unwrap()
                .thread_ts,
            None
        );
        world.post(reply);
        let channel = world.channel(&channel).unwrap();
        assert_eq!(
            channel.message(&root.ts).unwrap().thread_ts,
            Some(root.ts.clone())
        );
        assert_eq!(channel.replies(&root.ts).count(), 1);
    }
}
