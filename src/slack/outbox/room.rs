//! The place where an incident is worked on: a channel of its own, or a thread in the home channel.
//!
//! After a crash the steps are taken up where they were left: a place that is recorded is not made
//! again, a channel of the wanted name that the bot itself made in this attempt is taken, and the
//! announcement is found by its key. Inviting and the topic are simply repeated.

use serde_json::{Value, json};

use super::channels::find_channel;
use super::poster::{Failure, Outbox, Outcome, Post, posted};
use crate::domain::{Content, IncidentId, Line, Message, Part, Person, Place};
use crate::slack::error::ApiError;
use crate::slack::lock::lock;
use crate::slack::render::one_line;
use crate::store::{Parcel, Sent};

/// Names tried: the wanted one, then `-2` to `-9`.
const TRIES: usize = 9;
const NAME: usize = 80;
const TOPIC: usize = 250;
/// A channel of the same name counts as made by this attempt if it isn't older than the order,
/// give or take what two clocks may differ.
const SKEW_S: i64 = 300;

impl Outbox {
    pub(super) async fn room(&self, parcel: &Parcel) -> Result<Outcome, Failure> {
        let Content::Room {
            incident,
            name,
            topic,
            members,
            announcement,
            announced_in,
        } = &parcel.outgoing.content
        else {
            return Err(Failure::Never("not a room".into()));
        };
        let mut place = self.store.incident_place(*incident).await?;
        if place.is_none()
            && let Some(channel) = self.make_channel(parcel, name.as_deref()).await?
        {
            // Recorded at once: what follows can be repeated, making a channel can't.
            let made = Place::channel(channel);
            self.store
                .incident_place_set(*incident, made.clone())
                .await?;
            place = Some(made);
        }
        if parcel.ts.is_none()
            && let Some(Place {
                channel,
                thread: None,
            }) = &place
        {
            // Once a process: an announcement that has to wait must not repeat all of this.
            if !lock(&self.set_up_channels).contains(&incident.0) {
                self.set_up(parcel, channel, topic, members).await?;
                lock(&self.set_up_channels).insert(incident.0);
            }
        }
        let sent = self
            .announce(
                parcel,
                announcement,
                announced_in.as_deref(),
                place.as_ref(),
            )
            .await?;
        if place.is_none()
            && let Sent {
                channel: Some(channel),
                ts,
                ..
            } = &sent
        {
            let thread = ts.clone();
            let place = Place {
                channel: channel.clone(),
                thread,
            };
            self.store.incident_place_set(*incident, place).await?;
        }
        Ok(Outcome::Sent(sent))
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
            let made = self.call(parcel, "conversations.create", &body).await;
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

    async fn set_up(
        &self,
        parcel: &Parcel,
        channel: &str,
        topic: &str,
        members: &[Person],
    ) -> Result<(), Failure> {
        let body = json!({"channel": channel, "topic": one_line(topic, TOPIC)});
        tolerate(self.call(parcel, "conversations.setTopic", &body).await)?;
        let bot = self.people.bot_user();
        let ids: Vec<&str> = members
            .iter()
            .filter(|person| person.is_on_slack())
            .map(|person| person.id.as_str())
            .filter(|id| bot.as_deref() != Some(*id))
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let invite = |users: String| json!({"channel": channel, "users": users});
        let all = self
            .call(parcel, "conversations.invite", &invite(ids.join(",")))
            .await;
        if matches!(all, Err(ApiError::Refused(_))) && ids.len() > 1 {
            // One who can't come must not keep the others out.
            for id in ids {
                tolerate(
                    self.call(parcel, "conversations.invite", &invite(id.to_owned()))
                        .await,
                )?;
            }
            return Ok(());
        }
        tolerate(all)
    }

    /// Posts the announcement at home or where it is wanted, or edits it, naming the room once there is one.
    async fn announce(
        &self,
        parcel: &Parcel,
        announcement: &Message,
        wanted: Option<&str>,
        place: Option<&Place>,
    ) -> Result<Sent, Failure> {
        let mut message = announcement.clone();
        if let Some(Place {
            channel,
            thread: None,
        }) = place
        {
            let line = Line::new().text("Worked on in ").channel(channel);
            message.parts.insert(0, Part::Text(line));
        }
        if let (Some(channel), Some(ts)) = (&parcel.channel, &parcel.ts) {
            self.update(parcel, &message, channel, ts).await?;
            return Ok(Sent::default());
        }
        Ok(posted(match wanted {
            Some(wanted) => self.post_routed(parcel, wanted, &message).await?,
            None => {
                let place = &Place::channel(self.channels.home());
                let message = &message;
                self.post(Post::new(parcel, place, message)).await?
            }
        }))
    }

    pub(super) async fn topic(
        &self,
        parcel: &Parcel,
        incident: IncidentId,
        topic: &str,
    ) -> Result<Outcome, Failure> {
        if let Some(Place {
            channel,
            thread: None,
        }) = self.store.incident_place(incident).await?
        {
            let body = json!({"channel": channel, "topic": one_line(topic, TOPIC)});
            tolerate(self.call(parcel, "conversations.setTopic", &body).await)?;
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
