//! What may have been posted by a call whose answer was lost.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::poster::{Failure, Outbox};
use crate::domain::Place;
use crate::slack::client::Pages;
use crate::slack::error::ApiError;
use crate::slack::scopes::Method;
use crate::store::Parcel;

/// Slack's clock and ours may differ by so much.
const SKEW: Duration = Duration::from_mins(5);
/// Pages of messages that are searched.
const PAGES: usize = 20;
/// The `event_type` of our messages' metadata; its payload holds the key.
pub(super) const EVENT_TYPE: &str = "treasury_bot_message";

impl Outbox {
    /// Joins a public channel; `false` if that isn't possible.
    pub(super) async fn join(&self, channel: &str) -> Result<bool, Failure> {
        let Some(id) = self.channels.id(&self.client, channel).await? else {
            return Ok(false);
        };
        match self
            .call(Method::ConversationsJoin, &json!({"channel": id}))
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
        let mut parameters = vec![
            ("channel", channel.as_str()),
            ("oldest", &oldest),
            ("include_all_metadata", "true"),
            ("limit", "200"),
        ];
        let method = match &place.thread {
            Some(thread) => {
                parameters.push(("ts", thread));
                Method::ConversationsReplies
            }
            None => Method::ConversationsHistory,
        };
        let mut pages = Pages::new(PAGES);
        loop {
            let page = match self.client.page(method, &parameters, &mut pages).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(None),
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
        }
    }
}

/// Does a message carry this key?
pub(super) fn has_key(message: &Value, key: &str) -> bool {
    let metadata = &message["metadata"];
    metadata["event_type"] == EVENT_TYPE && metadata["event_payload"]["key"] == key
}
