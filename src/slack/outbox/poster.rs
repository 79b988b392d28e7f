//! The poster's parts, and how it calls Slack.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::channels::Channels;
use super::pace::Pace;
use crate::domain::{Message, Place};
use crate::slack::client::Client;
use crate::slack::directory::People;
use crate::slack::error::ApiError;
use crate::slack::inbound::Reader;
use crate::slack::scopes::Method;
use crate::store::{Parcel, Sent, Store, StoreError};

/// Entries kept of what is only remembered to be polite.
pub(super) const REMEMBERED: usize = 10_000;

/// How a delivery went well.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there.
    Sent(Sent),
    /// Not yet: again after this time, and no failure.
    Later(Duration),
}

/// A message on its way into a place.
#[derive(Clone, Copy)]
pub(super) struct Post<'a> {
    pub(super) parcel: &'a Parcel,
    pub(super) place: &'a Place,
    pub(super) message: &'a Message,
}

impl<'a> Post<'a> {
    pub(super) fn new(parcel: &'a Parcel, place: &'a Place, message: &'a Message) -> Self {
        Self {
            parcel,
            place,
            message,
        }
    }
}

/// The parameter of a post that goes into a thread.
pub(super) fn in_thread(body: &mut Value, place: &Place) {
    if let Some(thread) = &place.thread {
        body["thread_ts"] = thread.as_str().into();
    }
}

/// What was posted: channel id and timestamp.
pub(super) fn posted((channel, ts): (String, String)) -> Sent {
    Sent {
        channel: Some(channel),
        ts: Some(ts),
        via_response_url: false,
    }
}

/// How a delivery went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Never(String),
}

/// The poster. One per process.
pub struct Outbox {
    pub(super) store: Store,
    pub(super) client: Client,
    pub(super) people: People,
    pub(super) channels: Channels,
    /// Knows which addresses for answers are Slack's.
    pub(super) reader: Reader,
    /// This process's name in the store.
    pub(super) owner: String,
    pub(super) pace: Pace,
    /// When a message was last posted or edited.
    pub(super) edited: Mutex<HashMap<i64, Instant>>,
    /// Parcels whose last attempt surely posted nothing.
    pub(super) unsent: Mutex<HashSet<i64>>,
    /// How often each address for answers was used; Slack allows five.
    pub(super) uses: Mutex<HashMap<String, u32>>,
}

impl Outbox {
    /// A poster of this process, whose home is the channel of this name or id.
    pub fn new(
        (store, owner): (Store, &str),
        client: Client,
        people: People,
        home: &str,
        reader: Reader,
    ) -> Self {
        Self {
            store,
            channels: Channels::new(home),
            client,
            people,
            reader,
            owner: owner.to_owned(),
            pace: Pace::default(),
            edited: Mutex::default(),
            unsent: Mutex::default(),
            uses: Mutex::default(),
        }
    }

    /// A process that was halted, or cut off from the store, has perhaps lost what it delivers.
    pub(super) fn still_ours(&self, parcel: &Parcel) -> Result<(), ApiError> {
        if self.store.is_still_held(parcel.claimed_at) {
            return Ok(());
        }
        let why = "this process was cut off from the store";
        Err(ApiError::transient(why, false))
    }

    /// Calls a method if its turn has come; remembers if it gets limited.
    pub(super) async fn call(&self, method: Method, body: &Value) -> Result<Value, ApiError> {
        // Only posts are limited by channel.
        let channel = body["channel"].as_str();
        let channel = channel.filter(|_| method.as_str().starts_with("chat.post"));
        let channel = channel.unwrap_or_default();
        if let Err(after) = self.pace.turn(method.as_str(), channel, Instant::now()) {
            return Err(ApiError::RateLimited { after });
        }
        let result = self.client.post(method, body).await;
        if let Err(ApiError::RateLimited { after }) = result {
            self.pace
                .refused(method.as_str(), channel, after, Instant::now());
        }
        result
    }
}
