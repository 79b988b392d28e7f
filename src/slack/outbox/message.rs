//! Messages: posted, edited, or sent to one person, by whichever way is open.

use std::time::Duration;

use serde_json::json;
use url::Url;

use super::post::{is_closed, is_thread_gone};
use super::poster::{Failure, Outbox, Outcome, Post, REMEMBERED, in_thread, posted};
use super::routed::not_there;
use crate::domain::duration::between;
use crate::domain::person::is_slack_user_id;
use crate::domain::{Audience, Destination, Line, Message, Person, Place, Tone};
use crate::slack::error::ApiError;
use crate::slack::lock::lock;
use crate::slack::render::render;
use crate::slack::scopes::Method;
use crate::store::{Parcel, Sent};

/// Slack takes answers at a request's own address for 30 minutes, five times.
const ANSWER_WITHIN: Duration = Duration::from_mins(29);
const ANSWERS: u32 = 5;

impl Outbox {
    pub(super) async fn message(
        &self,
        parcel: &Parcel,
        message: &Message,
    ) -> Result<Outcome, Failure> {
        let place = self.place(parcel).await?;
        if place.is_terminal() {
            // The terminal reads the answer from the outbox itself.
            return Ok(Outcome::Sent(Sent::default()));
        }
        let place = &place;
        let post = Post::new(parcel, place, message);
        if let (Some(channel), Some(ts)) = (&parcel.channel, &parcel.ts) {
            if let Destination::Channel(wanted) = &parcel.outgoing.to
                && let Some(code) = self.channels.lost(wanted)
            {
                let message = &not_there(message, Line::new().text(wanted), &code);
                return self.edit(Post { message, ..post }, channel, ts).await;
            }
            return self.edit(post, channel, ts).await;
        }
        if let Destination::Channel(wanted) = &parcel.outgoing.to {
            let sent = posted(self.post_routed(parcel, wanted, message).await?);
            return Ok(Outcome::Sent(sent));
        }
        if parcel.via_response_url {
            return self.edit_answer(post).await;
        }
        match parcel.outgoing.audience {
            Audience::Requester => self.to_requester(post).await,
            Audience::Everyone => self.post_anywhere(post).await,
        }
    }

    /// Where it is to be said.
    pub(super) async fn place(&self, parcel: &Parcel) -> Result<Place, Failure> {
        Ok(match &parcel.outgoing.to {
            Destination::Place(place) => Place {
                channel: self.channels.known(&place.channel),
                thread: place.thread.clone(),
            },
            // Its room, if any is to be made, is earlier in the same lane.
            Destination::Incident(id) => match self.store.incident_place(*id).await? {
                Some(place) => place,
                None => Place::channel(self.channels.home()),
            },
            Destination::Home => Place::channel(self.channels.home()),
            Destination::Channel(wanted) => Place::channel(self.channels.known(wanted)),
        })
    }

    /// Edits a posted message into its newest state.
    async fn edit(&self, post: Post<'_>, channel: &str, ts: &str) -> Result<Outcome, Failure> {
        let (parcel, message) = (post.parcel, post.message);
        if message.tone == Tone::Progress
            && let Some(wait) = self.too_soon(parcel.id)
        {
            return Ok(Outcome::Later(wait));
        }
        match self.update(parcel, message, channel, ts).await {
            Ok(()) => Ok(Outcome::Sent(Sent::default())),
            Err(Failure::Api(ApiError::Refused(code))) if is_gone(&code) => {
                let key = &parcel.outgoing.key;
                tracing::warn!(key, code, "a message can't be edited; it is posted anew");
                self.post_anywhere(post).await
            }
            Err(error) => {
                let place = &Place::channel(channel);
                self.elsewhere(Post { place, ..post }, error).await
            }
        }
    }

    /// Posts in a channel, or, where that is not possible, wherever it will be read.
    async fn post_anywhere(&self, post: Post<'_>) -> Result<Outcome, Failure> {
        match self.post(post).await {
            Ok(message) => Ok(Outcome::Sent(posted(message))),
            Err(error) => self.elsewhere(post, error).await,
        }
    }

    /// What Slack refuses to take in a place: an answer goes the requester's own way, whatever the
    /// reason. Where the place is closed to the bot, an incident moves, and the rest goes to whoever
    /// asked, or to the main channel. What remains waits.
    async fn elsewhere(&self, post: Post<'_>, error: Failure) -> Result<Outcome, Failure> {
        let Failure::Api(ApiError::Refused(code) | ApiError::Token(code)) = &error else {
            return Err(error);
        };
        if let Some(answered) = self.try_answer(post, "in_channel").await? {
            return Ok(answered);
        }
        if !is_closed(code) || post.place.channel == self.channels.home() {
            return Err(error);
        }
        let outgoing = &post.parcel.outgoing;
        if let Destination::Incident(id) = outgoing.to {
            return self.moved(post, id, code).await;
        }
        let channel = &post.place.channel;
        let key = &outgoing.key;
        tracing::warn!(
            key,
            channel,
            code,
            "a channel is closed to the bot; said elsewhere"
        );
        let meant = if is_slack_user_id(channel) {
            Line::new().person(&Person {
                id: channel.clone(),
                name: channel.clone(),
            })
        } else {
            Line::new().channel(channel)
        };
        let message = &not_there(post.message, meant, code);
        let requester = outgoing.requester.as_ref();
        let place = &match requester.filter(|person| person.is_on_slack()) {
            Some(person) => Place::channel(&person.id),
            None => Place::channel(self.channels.home()),
        };
        let post = Post {
            place,
            message,
            ..post
        };
        Ok(Outcome::Sent(posted(self.post(post).await?)))
    }

    /// To the requester only: at the request's own address, else as an ephemeral message.
    async fn to_requester(&self, post: Post<'_>) -> Result<Outcome, Failure> {
        let (parcel, place, message) = (post.parcel, post.place, post.message);
        // A channel without a timestamp: an ephemeral message was sent, and those can't be edited.
        if parcel.channel.is_some() && message.tone == Tone::Progress {
            return Ok(Outcome::Sent(Sent::default()));
        }
        if let Some(answered) = self.try_answer(post, "ephemeral").await? {
            return Ok(answered);
        }
        let requester = parcel.outgoing.requester.as_ref();
        let Some(requester) = requester.filter(|person| person.is_on_slack()) else {
            return Err(Failure::Never("nobody on Slack to tell it to".into()));
        };
        let mut body = json!({"channel": place.channel, "user": requester.id});
        in_thread(&mut body, place);
        let sent = Sent {
            channel: Some(place.channel.clone()),
            ..Sent::default()
        };
        match self
            .say(parcel, Method::ChatPostEphemeral, body, message)
            .await
        {
            Ok(_) => Ok(Outcome::Sent(sent)),
            Err(Failure::Api(ApiError::Refused(code)))
                if is_closed(&code) || is_thread_gone(&code) =>
            {
                // Neither there: a direct message reaches them anywhere.
                let body = json!({"channel": requester.id});
                self.say(parcel, Method::ChatPostMessage, body, message)
                    .await?;
                Ok(Outcome::Sent(sent))
            }
            Err(error) => Err(error),
        }
    }

    /// What was sent at a request's own address can't be edited: for a slash command Slack ignores
    /// `replace_original` (slackapi/bolt-js#2287, bolt-python#1268), and for a button it would
    /// replace the message with the button. So the last word is said anew, and none before it.
    async fn edit_answer(&self, post: Post<'_>) -> Result<Outcome, Failure> {
        if post.message.tone == Tone::Progress {
            // Of few uses none is spent on this.
            return Ok(answered_there());
        }
        let everyone = post.parcel.outgoing.audience == Audience::Everyone;
        let how = if everyone { "in_channel" } else { "ephemeral" };
        match self.try_answer(post, how).await? {
            Some(answered) => Ok(answered),
            None if everyone => self.post_anywhere(post).await,
            None => self.to_requester(post).await,
        }
    }

    /// Answers at the request's own address; `None` where it has none, or it takes no more.
    async fn try_answer(&self, post: Post<'_>, how: &str) -> Result<Option<Outcome>, Failure> {
        let Some(url) = self.answer_url(post.parcel) else {
            return Ok(None);
        };
        match self.answer(post, &url, how).await {
            Err(Failure::Api(ApiError::Refused(_))) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn answer(&self, post: Post<'_>, url: &Url, how: &str) -> Result<Outcome, Failure> {
        let rendered = render(post.message);
        let mut body = json!({
            "response_type": how,
            "replace_original": false,
            "text": rendered.text,
        });
        body["blocks"] = rendered.blocks.into();
        in_thread(&mut body, post.place);
        self.still_ours(post.parcel)?;
        let answered = self.client.respond(url, &body).await;
        if answered.is_ok() {
            // Only these are sure to count; a use too many is refused, and another way is found.
            let mut uses = lock(&self.uses);
            if uses.len() > REMEMBERED {
                uses.clear();
            }
            *uses.entry(url.to_string()).or_default() += 1;
        }
        if let Err(ApiError::Refused(code)) = &answered {
            let key = &post.parcel.outgoing.key;
            tracing::warn!(key, code, "a request's own address takes no answer");
        }
        answered?;
        Ok(answered_there())
    }

    /// The request's own address, while it is good.
    fn answer_url(&self, parcel: &Parcel) -> Option<Url> {
        let url = Url::parse(parcel.outgoing.reply.response_url.as_deref()?).ok()?;
        let age = between(parcel.created_at, self.store.now());
        let used = lock(&self.uses)
            .get(url.as_str())
            .copied()
            .unwrap_or_default();
        // Checked when it came in; checked again, since it comes from the database now.
        (age < ANSWER_WITHIN && used < ANSWERS && self.reader.is_slack(&url)).then_some(url)
    }
}

fn answered_there() -> Outcome {
    Outcome::Sent(Sent {
        via_response_url: true,
        ..Sent::default()
    })
}

/// The message to edit is no longer there, or no longer ours.
fn is_gone(code: &str) -> bool {
    matches!(
        code,
        "message_not_found" | "cant_update_message" | "edit_window_closed"
    )
}
