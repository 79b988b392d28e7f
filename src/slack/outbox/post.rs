//! Posting and editing, with what is known of attempts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::poster::{Failure, Outbox, Post, REMEMBERED, in_thread};
use super::search::{EVENT_TYPE, has_key};
use crate::domain::{Message, Place};
use crate::slack::error::ApiError;
use crate::slack::lock::lock;
use crate::slack::render::{plain, render};
use crate::slack::scopes::Method;
use crate::store::Parcel;
use crate::telemetry::metrics::BLOCKS_REFUSED;

/// Edits of one message while work goes on.
const EDIT_EVERY: Duration = Duration::from_secs(1);

impl Outbox {
    pub(super) async fn update(
        &self,
        parcel: &Parcel,
        message: &Message,
        channel: &str,
        ts: &str,
    ) -> Result<(), Failure> {
        let body = json!({"channel": channel, "ts": ts});
        self.say(parcel, Method::ChatUpdate, body, message).await?;
        self.was_edited(parcel.id);
        Ok(())
    }

    /// What an attempt whose answer was lost has posted, brought to the newest state.
    pub(super) async fn posted_before(
        &self,
        post: Post<'_>,
    ) -> Result<Option<(String, String)>, Failure> {
        let (parcel, place, message) = (post.parcel, post.place, post.message);
        let key = &parcel.outgoing.key;
        let found = self.find_posted(parcel, place, |posted| has_key(posted, key));
        let Some((channel, ts)) = found.await? else {
            return Ok(None);
        };
        self.update(parcel, message, &channel, &ts).await?;
        Ok(Some((channel, ts)))
    }

    /// Posts in a channel, which is joined first if need be: channel id and timestamp.
    pub(super) async fn post(&self, post: Post<'_>) -> Result<(String, String), Failure> {
        let Post { parcel, place, .. } = post;
        if self.is_uncertain(parcel)
            && let Some(found) = self.posted_before(post).await?
        {
            return Ok(found);
        }
        match self.post_once(post).await {
            Err(Failure::Api(ApiError::Refused(code))) if code == "not_in_channel" => {
                if self.join(&place.channel).await? {
                    self.post_once(post).await
                } else {
                    Err(ApiError::Refused(code).into())
                }
            }
            Err(Failure::Api(ApiError::Refused(code)))
                if place.thread.is_some() && is_thread_gone(&code) =>
            {
                let place = &Place::channel(&place.channel);
                self.post_once(Post { place, ..post }).await
            }
            other => other,
        }
    }

    async fn post_once(&self, post: Post<'_>) -> Result<(String, String), Failure> {
        let (parcel, place, message) = (post.parcel, post.place, post.message);
        let mut body = json!({
            "channel": place.channel,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        in_thread(&mut body, place);
        self.attempting(parcel).await?;
        let answer = self
            .say(parcel, Method::ChatPostMessage, body, message)
            .await;
        let answer = self.note_attempt(parcel, answer)?;
        let (Some(channel), Some(ts)) = (answer["channel"].as_str(), answer["ts"].as_str()) else {
            return Err(ApiError::transient("an answer without a timestamp", true).into());
        };
        self.channels.learn(&place.channel, channel);
        self.was_edited(parcel.id);
        Ok((channel.to_owned(), ts.to_owned()))
    }

    /// Calls a `chat.` method with a message; without its blocks if Slack doesn't take them.
    pub(super) async fn say(
        &self,
        parcel: &Parcel,
        method: Method,
        mut body: Value,
        message: &Message,
    ) -> Result<Value, Failure> {
        let rendered = render(message);
        body["text"] = rendered.text.into();
        body["blocks"] = rendered.blocks.into();
        body["metadata"] = json!({
            "event_type": EVENT_TYPE,
            "event_payload": {"key": parcel.outgoing.key},
        });
        self.still_ours(parcel)?;
        match self.call(method, &body).await {
            Err(ApiError::Refused(code)) if is_about_blocks(&code) => {
                tracing::error!(
                    key = parcel.outgoing.key,
                    code,
                    "Slack refused a message's blocks; it is sent as plain text"
                );
                BLOCKS_REFUSED.count(&[]);
                body["text"] = json!(plain(message));
                // Empty, not absent: an edit would keep the old ones.
                body["blocks"] = json!([]);
                Ok(self.call(method, &body).await?)
            }
            other => Ok(other?),
        }
    }

    /// Committed before a post goes out, so that a crash can't make it be said twice.
    pub(super) async fn attempting(&self, parcel: &Parcel) -> Result<(), Failure> {
        if !parcel.attempted {
            self.store.outbox_attempting(parcel).await?;
        }
        lock(&self.unsent).remove(&parcel.id);
        Ok(())
    }

    /// Remembers of an attempt if it surely did nothing.
    pub(super) fn note_attempt<T>(
        &self,
        parcel: &Parcel,
        result: Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Err(Failure::Api(error)) = &result
            && !error.is_perhaps_done()
        {
            lock(&self.unsent).insert(parcel.id);
        }
        result
    }

    /// A post was begun, and nobody knows what came of it.
    pub(super) fn is_uncertain(&self, parcel: &Parcel) -> bool {
        parcel.attempted && parcel.ts.is_none() && !lock(&self.unsent).contains(&parcel.id)
    }

    pub(super) fn too_soon(&self, id: i64) -> Option<Duration> {
        let last = *lock(&self.edited).get(&id)?;
        let wait = EDIT_EVERY.saturating_sub(last.elapsed());
        (!wait.is_zero()).then_some(wait)
    }

    fn was_edited(&self, id: i64) {
        let mut edited = lock(&self.edited);
        if edited.len() > REMEMBERED {
            edited.retain(|_, at| at.elapsed() < EDIT_EVERY);
        }
        edited.insert(id, Instant::now());
    }
}

/// The bot can't post in this channel.
pub(super) fn is_closed(code: &str) -> bool {
    matches!(
        code,
        "not_in_channel"
            | "channel_not_found"
            | "is_archived"
            | "user_not_in_channel"
            | "no_permission"
            | "not_allowed"
            | "access_denied"
            | "method_not_supported_for_channel_type"
            | "team_not_found"
            | "enterprise_is_restricted"
            | "posting_to_general_channel_denied"
    ) || code.starts_with("restricted_action")
}

pub(super) fn is_thread_gone(code: &str) -> bool {
    matches!(
        code,
        "thread_not_found" | "invalid_thread_ts" | "cannot_reply_to_message" | "thread_locked"
    )
}

fn is_about_blocks(code: &str) -> bool {
    matches!(
        code,
        "invalid_blocks"
            | "invalid_blocks_format"
            | "msg_blocks_too_long"
            | "msg_too_long"
            | "block_mismatch"
    )
}
