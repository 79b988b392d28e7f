//! Channels by name, what was posted in them, and whether the bot may post there.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::slack::client::{Client, Pages};
use crate::slack::error::ApiError;
use crate::slack::lock::lock;
use crate::slack::scopes::Method;

/// Pages of messages or channels that are searched.
const PAGES: usize = 20;
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
pub async fn find_channel(client: &Client, name: &str) -> Result<Option<Value>, ApiError> {
    for types in ["public_channel,private_channel", "public_channel"] {
        match list_for(client, name, types).await {
            Err(ApiError::Refused(_)) => {}
            other => return other,
        }
    }
    Ok(None)
}

async fn list_for(client: &Client, name: &str, types: &str) -> Result<Option<Value>, ApiError> {
    let parameters = [
        ("types", types),
        ("exclude_archived", "true"),
        ("limit", "1000"),
    ];
    let mut pages = Pages::new(PAGES);
    while let Some(mut page) = client
        .page(Method::ConversationsList, &parameters, &mut pages)
        .await?
    {
        let channels = page["channels"].as_array_mut();
        if let Some(found) = channels.and_then(|c| c.iter_mut().find(|c| c["name"] == name)) {
            return Ok(Some(found.take()));
        }
    }
    Ok(None)
}

/// Looks like one of Slack's channel ids.
pub(super) fn is_id(text: &str) -> bool {
    text.len() >= 8
        && text.starts_with(['C', 'G', 'D'])
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}
