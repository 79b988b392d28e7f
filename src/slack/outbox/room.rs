//! The place where an incident is worked on: a channel of its own, or a thread below its announcement.
//!
//! After a crash the steps are taken up where they were left: a place that is recorded is not made
//! again, and a channel of the wanted name that the bot itself made in this attempt is taken.

use std::time::Duration;

use serde_json::{Value, json};

use super::channels::find_channel;
use super::poster::{Failure, Outbox, Outcome, Post, posted};
use crate::bot::{room_closed, room_opened};
use crate::domain::duration::between;
use crate::domain::{
    IncidentId, Line, Message, Part, Person, Place, Span, announcement_key, moved_key,
};
use crate::slack::error::ApiError;
use crate::slack::render::one_line;
use crate::slack::scopes::Method;
use crate::store::{Parcel, Sent};

/// Names tried: the wanted one, then `-2` to `-9`.
const TRIES: usize = 9;
const NAME: usize = 80;
const TOPIC: usize = 250;
/// A channel of the same name counts as made by this attempt if it isn't older than the order,
/// give or take what two clocks may differ.
const SKEW_S: i64 = 300;

impl Outbox {
    /// Makes the place, unless there is one.
    pub(super) async fn room(
        &self,
        parcel: &Parcel,
        incident: IncidentId,
        name: Option<&str>,
        topic: &str,
    ) -> Result<Outcome, Failure> {
        if self.store.incident_place(incident).await?.is_none() {
            let place = match self.make_channel(parcel, name).await? {
                Some(channel) => Place::channel(channel),
                None => {
                    let key = announcement_key(incident);
                    // Asked first: it may be posted between the two questions.
                    let waits = self.store.outbox_waits(&key).await?;
                    match self.store.outbox_posted(&key).await? {
                        Some((channel, ts)) => Place {
                            channel,
                            thread: Some(ts),
                        },
                        None if waits => return Ok(self.soon(parcel)),
                        None => Place::channel(self.channels.home()),
                    }
                }
            };
            self.store
                .write(move |tx| Box::pin(async move { room_opened(tx, incident, place).await }))
                .await?;
        }
        self.topic(incident, topic).await
    }

    /// Again shortly, and ever less often: it waits for another message.
    fn soon(&self, parcel: &Parcel) -> Outcome {
        let age = between(parcel.created_at, self.store.now());
        Outcome::Later((age / 4).clamp(Duration::from_millis(50), Duration::from_secs(2)))
    }

    /// The incident's channel can't be written to: it goes on in a thread of the main channel, where
    /// that is told once.
    pub(super) async fn moved(
        &self,
        post: Post<'_>,
        incident: IncidentId,
        code: &str,
    ) -> Result<Outcome, Failure> {
        let lost = post.place.channel.clone();
        let is_there = self.store.incident_place(incident).await?;
        if is_there == Some(Place::channel(&lost)) {
            let Some((channel, ts)) = self.store.outbox_posted(&moved_key(incident)).await? else {
                tracing::warn!(%incident, channel = lost, code, "an incident's channel can't be written to");
                let code = code.to_owned();
                self.store
                    .write(move |tx| {
                        Box::pin(async move { room_closed(tx, incident, lost, &code).await })
                    })
                    .await?;
                return Ok(self.soon(post.parcel));
            };
            let place = Place {
                channel,
                thread: Some(ts),
            };
            self.store.incident_place_set(incident, place).await?;
        }
        let place = &self.place(post.parcel).await?;
        if place.channel == post.place.channel {
            return Err(ApiError::Refused(code.to_owned()).into());
        }
        Ok(Outcome::Sent(posted(
            self.post(Post { place, ..post }).await?,
        )))
    }

    /// Invites somebody and tells them where to. What Slack refuses of it is a pity, not a failure.
    pub(super) async fn invite(
        &self,
        parcel: &Parcel,
        incident: IncidentId,
        person: &Person,
        message: &Message,
    ) -> Result<Outcome, Failure> {
        let mut message = message.clone();
        if let Some(Place { channel, thread }) = self.store.incident_place(incident).await? {
            let mut line = Line::new().text("Worked on in ").channel(&channel);
            if let Some(thread) = thread {
                let place = [("channel", channel.as_str()), ("message_ts", &thread)];
                if let Ok(answer) = self.client.query(Method::ChatGetPermalink, &place).await
                    && let Some(url) = answer["permalink"].as_str()
                {
                    line.0 = vec![Span::Link {
                        url: url.to_owned(),
                        text: "Open its thread".to_owned(),
                    }];
                }
            } else {
                let body = json!({"channel": channel, "users": person.id});
                tolerate(self.call(Method::ConversationsInvite, &body).await)?;
            }
            message.parts.push(Part::Text(line));
        }
        let (place, message) = (&Place::channel(&person.id), &message);
        match self.post(Post::new(parcel, place, message)).await {
            Ok(sent) => Ok(Outcome::Sent(posted(sent))),
            Err(Failure::Api(ApiError::Refused(code))) if code != "missing_scope" => {
                tracing::warn!(person = person.id, code, "takes no direct message");
                Ok(Outcome::Sent(Sent::default()))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the channel: its id, or `None` where Slack doesn't let the bot make any.
    async fn make_channel(
        &self,
        parcel: &Parcel,
        name: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let Some(name) = name.map(channel_name) else {
            return Ok(None);
        };
        let is_uncertain = self.is_uncertain(parcel);
        self.attempting(parcel).await?;
        for n in 1..=TRIES {
            let wanted = if n == 1 {
                name.clone()
            } else {
                format!("{name}-{n}")
            };
            let body = json!({"name": wanted, "is_private": false});
            let made = self.call(Method::ConversationsCreate, &body).await;
            match made {
                Ok(answer) => {
                    return match answer["channel"]["id"].as_str() {
                        Some(id) => Ok(Some(id.to_owned())),
                        None => Err(
                            ApiError::transient("an answer without the new channel", true).into(),
                        ),
                    };
                }
                Err(ApiError::Refused(code)) if code == "name_taken" => {
                    if is_uncertain && let Some(id) = self.made_before(parcel, &wanted).await? {
                        return Ok(Some(id));
                    }
                }
                Err(ApiError::Refused(code)) => {
                    tracing::warn!(code, "no channel can be made; the incident gets a thread");
                    return Ok(None);
                }
                Err(error) => return self.note_attempt(parcel, Err(error.into())),
            }
        }
        tracing::warn!(
            name,
            "every name for the channel is taken; the incident gets a thread"
        );
        Ok(None)
    }

    /// The channel of this name, if an attempt whose answer was lost made it.
    async fn made_before(&self, parcel: &Parcel, name: &str) -> Result<Option<String>, Failure> {
        let Some(channel) = find_channel(&self.client, name).await? else {
            return Ok(None);
        };
        let is_ours = self
            .people
            .bot_user()
            .is_some_and(|bot| channel["creator"] == *bot);
        let ordered = parcel.created_at.as_second() - SKEW_S;
        let is_new = channel["created"].as_i64().is_some_and(|at| at >= ordered);
        let id = channel["id"].as_str().filter(|_| is_ours && is_new);
        Ok(id.map(str::to_owned))
    }

    pub(super) async fn topic(
        &self,
        incident: IncidentId,
        topic: &str,
    ) -> Result<Outcome, Failure> {
        if let Some(Place {
            channel,
            thread: None,
        }) = self.store.incident_place(incident).await?
        {
            let body = json!({"channel": channel, "topic": one_line(topic, TOPIC)});
            tolerate(self.call(Method::ConversationsSetTopic, &body).await)?;
        }
        Ok(Outcome::Sent(Sent::default()))
    }
}

/// What Slack refuses here is a pity, not a failure.
fn tolerate(result: Result<Value, ApiError>) -> Result<(), Failure> {
    match result {
        Ok(_) => Ok(()),
        Err(ApiError::Refused(code)) => {
            if code != "already_in_channel" {
                tracing::warn!(code, "a room could not be furnished fully");
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// A name as Slack allows them, with room for a suffix.
fn channel_name(name: &str) -> String {
    let mut out = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => out.push(c),
            _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
        if out.len() >= NAME - 2 {
            break;
        }
    }
    let out = out.trim_matches(['-', '_']);
    if out.is_empty() {
        "incident".to_owned()
    } else {
        out.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::channel_name;

    #[test]
    fn names_are_made_fit() {
        assert_eq!(channel_name("inc-12-frontend-502"), "inc-12-frontend-502");
        assert_eq!(
            channel_name("INC-12 Frontend: 502 & größer!"),
            "inc-12-frontend-502-gr-er"
        );
        assert_eq!(channel_name("— ! —"), "incident");
        assert!(channel_name(&"x".repeat(200)).len() <= 78);
    }
}
