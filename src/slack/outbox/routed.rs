//! A channel that the configuration names for some alerts, and the main one where it can't be posted to.

use super::post::is_closed;
use super::poster::{Failure, Outbox, Post};
use crate::domain::{Line, Message, Place};
use crate::slack::error::ApiError;
use crate::store::Parcel;

impl Outbox {
    /// Posts in a channel that the configuration names; in the main one, saying so, where it can't
    /// be posted to.
    pub(super) async fn post_routed(
        &self,
        parcel: &Parcel,
        wanted: &str,
        message: &Message,
    ) -> Result<(String, String), Failure> {
        let is_uncertain = self.is_uncertain(parcel);
        let place = &Place::channel(self.channels.known(wanted));
        let post = Post::new(parcel, place, message);
        let code = match self.post(post).await {
            Err(Failure::Api(ApiError::Refused(code))) if is_closed(&code) => code,
            other => {
                if other.is_ok() {
                    self.channels.regain(wanted);
                }
                return other;
            }
        };
        tracing::warn!(
            channel = wanted,
            code,
            hint = "invite the bot, or correct `channel` of the [[route]]",
            "a route's channel can't be posted to; the main one is used"
        );
        self.channels.lose(wanted, &code);
        let place = &Place::channel(self.channels.home());
        let message = &not_there(message, Line::new().text(wanted), &code);
        let post = Post::new(parcel, place, message);
        if is_uncertain && let Some(found) = self.posted_before(post).await? {
            return Ok(found);
        }
        self.post(post).await
    }
}

/// The message with the reason why it is told here.
pub(super) fn not_there(message: &Message, wanted: Line, code: &str) -> Message {
    let line = Line::new().text("Meant for ").line(wanted);
    let why = format!(
        ", where it can't be posted ({code}): invite the bot there, or name another channel"
    );
    message.clone().footer(line.text(why))
}
