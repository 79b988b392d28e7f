//! Channels by name, what was posted in them, and whether the bot may post there.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Failure, Outbox, lock};
use crate::domain::Place;
use crate::slack::client::{ApiError, Client};
use crate::slack::directory::next_cursor;
use crate::store::Parcel;

/// Slack's clock and ours may differ by so much.
const SKEW: Duration = Duration::from_mins(5);
/// Pages of messages or channels that are searched.
const PAGES: usize = 20;
/// The `event_type` of our messages' metadata; its payload holds the key.
pub(super) const EVENT_TYPE: &str = "treasury_bot_message";

/// The home channel, and ids of channels that were asked for by name.
pub(super) struct Channels {
    home: String,
    ids: Mutex<HashMap<String, String>>,
    /// Channels that could not be posted to when last tried, each with Slack's reason.
    lost: Mutex<HashMap<String, String>>,
}

impl Channels {
    pub fn new(home: &str) -> Self {
        Self {
            home: if is_id(home) {
                home.to_owned()
            } else {
                format!("#{}", home.trim_start_matches('#'))
            },
            ids: Mutex::default(),
            lost: Mutex::default(),
        }
    }

    /// The home channel: its id if known, else its name.
    pub fn home(&self) -> String {
        self.known(&self.home)
    }

    /// The id of a channel if known, else what was given.
    pub fn known(&self, channel: &str) -> String {
        lock(&self.ids)
            .get(channel)
            .cloned()
            .unwrap_or_else(|| channel.to_owned())
    }

    /// Why a channel could not be posted to when last tried, if so.
    pub fn lost(&self, channel: &str) -> Option<String> {
        lock(&self.lost).get(channel).cloned()
    }

    /// Remembers that a channel could not be posted to.
    pub fn lose(&self, channel: &str, code: &str) {
        lock(&self.lost).insert(channel.to_owned(), code.to_owned());
    }

    /// It can be posted to again.
    pub fn regain(&self, channel: &str) {
        lock(&self.lost).remove(channel);
    }

    /// Remembers which id a name has.
    pub fn learn(&self, channel: &str, id: &str) {
        if channel.starts_with('#') && is_id(id) {
            lock(&self.ids).insert(channel.to_owned(), id.to_owned());
        }
    }

    /// The id of a channel, looked up if it was given by name; `None` if it can't be found.
    pub async fn id(&self, client: &Client, channel: &str) -> Result<Option<String>, ApiError> {
        let known = self.known(channel);
        let Some(name) = known.strip_prefix('#') else {
            return Ok(Some(known));
        };
        let found = find_channel(client, name).await?;
        let id = found.and_then(|channel| Some(channel["id"].as_str()?.to_owned()));
        if let Some(id) = &id {
            self.learn(channel, id);
        }
        Ok(id)
    }
}

/// A channel by its name; private ones only if the app's scopes allow it to list them.
pub(super) async fn find_channel(client: &Client, name: &str) -> Result<Option<Value>, ApiError> {
    for types in ["public_channel,private_channel", "public_channel"] {
        match list_for(client, name, types).await {
            Err(ApiError::Refused(_)) => {}
            other => return other,
        }
    }
    Ok(None)
}

async fn list_for(client: &Client, name: &str, types: &str) -> Result<Option<Value>, ApiError> {
    let mut cursor = String::new();
    for _ in 0..PAGES {
        let mut parameters = vec![
            ("types", types),
            ("exclude_archived", "true"),
            ("limit", "1000"),
        ];
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let mut page = client.query("conversations.list", &parameters).await?;
        cursor = next_cursor(&page);
        let channels = page["channels"].as_array_mut();
        if let Some(found) = channels.and_then(|c| c.iter_mut().find(|c| c["name"] == name)) {
            return Ok(Some(found.take()));
        }
        if cursor.is_empty() {
            break;
        }
    }
    Ok(None)
}

impl Outbox {
    /// Joins a public channel; `false` if that isn't possible.
    pub(super) async fn join(&self, parcel: &Parcel, channel: &str) -> Result<bool, Failure> {
        let Some(id) = self.channels.id(&self.client, channel).await? else {
            return Ok(false);
        };
        match self
            .call(parcel, "conversations.join", &json!({"channel": id}))
            .await
        {
            Ok(_) => {
                tracing::info!(channel = id, "joined a channel to post in it");
                Ok(true)
            }
            Err(ApiError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks for what an attempt with an unknown result may have posted. `None` also when Slack
    /// doesn't let us look: better said twice than never.
    pub(super) async fn find_posted(
        &self,
        parcel: &Parcel,
        place: &Place,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Option<(String, String)>, Failure> {
        let Some(channel) = self.channels.id(&self.client, &place.channel).await? else {
            return Ok(None);
        };
        let oldest = parcel
            .created_at
            .checked_sub(SKEW)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let oldest = format!("{}.000000", oldest.as_second().max(0));
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let mut parameters = vec![
                ("channel", channel.as_str()),
                ("oldest", &oldest),
                ("include_all_metadata", "true"),
                ("limit", "200"),
            ];
            if !cursor.is_empty() {
                parameters.push(("cursor", &cursor));
            }
            let method = match &place.thread {
                Some(thread) => {
                    parameters.push(("ts", thread));
                    "conversations.replies"
                }
                None => "conversations.history",
            };
            let page = match self.client.query(method, &parameters).await {
                Ok(page) => page,
                Err(ApiError::Refused(code)) => {
                    tracing::warn!(
                        key = parcel.outgoing.key,
                        code,
                        "it can't be seen if a message was posted; it is posted again"
                    );
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            let messages = page["messages"].as_array().into_iter().flatten();
            if let Some(ts) = messages.filter(|m| is_it(m)).find_map(|m| m["ts"].as_str()) {
                tracing::info!(
                    key = parcel.outgoing.key,
                    "a message whose post had no answer was found"
                );
                return Ok(Some((channel, ts.to_owned())));
            }
            cursor = next_cursor(&page);
            if cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }
}

/// Does a message carry this key?
pub(super) fn has_key(message: &Value, key: &str) -> bool {
    let metadata = &message["metadata"];
    metadata["event_type"] == EVENT_TYPE && metadata["event_payload"]["key"] == key
}

/// Looks like one of Slack's channel ids.
pub(super) fn is_id(text: &str) -> bool {
    text.len() >= 8
        && text.starts_with(['C', 'G', 'D'])
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}
