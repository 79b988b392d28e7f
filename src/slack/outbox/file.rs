//! Files: uploaded where the app may, shown as a message where it may not.

use serde_json::{Value, json};

use super::{Failure, Outbox, Outcome};
use crate::domain::{Audience, Content, Message, Place};
use crate::slack::client::ApiError;
use crate::slack::render::plain;
use crate::store::{Parcel, Sent};

impl Outbox {
    pub(super) async fn file(&self, parcel: &Parcel) -> Result<Outcome, Failure> {
        let Content::File {
            name,
            title,
            text,
            comment,
        } = &parcel.outgoing.content
        else {
            return Err(Failure::Never("not a file".into()));
        };
        if parcel.ts.is_none() && !parcel.via_response_url {
            match self.upload(parcel, name, title, text, comment).await {
                Err(Failure::Api(ApiError::Refused(code))) => {
                    tracing::warn!(
                        key = parcel.outgoing.key,
                        code,
                        "a file can't be uploaded; it is shown as text"
                    );
                }
                other => return other,
            }
        }
        let message = comment
            .clone()
            .code(text.as_str())
            .footer("The app may not upload files here");
        self.message(parcel, &message).await
    }

    async fn upload(
        &self,
        parcel: &Parcel,
        name: &str,
        title: &str,
        text: &str,
        comment: &Message,
    ) -> Result<Outcome, Failure> {
        if text.is_empty() {
            // Slack takes no empty files.
            return Err(ApiError::Refused("file_empty".into()).into());
        }
        let place = self.file_place(parcel).await?;
        if place.is_terminal() {
            return Ok(Outcome::Sent(Sent::default()));
        }
        if self.is_uncertain(parcel) {
            let is_it = |message: &Value| {
                let mut files = message["files"].as_array().into_iter().flatten();
                files.any(|file| file["name"] == *name && file["title"] == *title)
            };
            if let Some((channel, ts)) = self.find_posted(parcel, &place, is_it).await? {
                return Ok(shared(channel, Some(ts)));
            }
        }
        let slot = self.client.upload_url(name, text.len()).await?;
        let file = slot.file_id.0.clone();
        self.client.upload(slot, text).await?;
        let mut body = json!({
            "files": [{"id": file, "title": title}],
            "channel_id": place.channel,
            "initial_comment": plain(comment),
        });
        if let Some(thread) = &place.thread {
            body["thread_ts"] = json!(thread);
        }
        self.attempting(parcel).await?;
        let method = "files.completeUploadExternal";
        let mut done = self.call(parcel, method, &body).await;
        if done.as_ref().err().and_then(ApiError::code) == Some("not_in_channel")
            && self.join(parcel, &place.channel).await?
        {
            done = self.call(parcel, method, &body).await;
        }
        self.note_attempt(parcel, done.map_err(Failure::from))?;
        Ok(shared(place.channel, None))
    }

    /// Files need a channel's id; what is for one person only goes into their direct messages.
    async fn file_place(&self, parcel: &Parcel) -> Result<Place, Failure> {
        let asker = parcel
            .outgoing
            .asker
            .as_ref()
            .filter(|person| person.is_on_slack());
        let place = self.place(parcel).await?;
        if place.is_terminal() {
            return Ok(place);
        }
        if parcel.outgoing.audience == Audience::Asker
            && let Some(asker) = asker
        {
            let opened = self
                .call(parcel, "conversations.open", &json!({"users": asker.id}))
                .await?;
            return match opened["channel"]["id"].as_str() {
                Some(id) => Ok(Place::channel(id)),
                None => Err(ApiError::Refused("channel_not_found".into()).into()),
            };
        }
        match self.channels.id(&self.client, &place.channel).await? {
            Some(channel) => Ok(Place {
                channel,
                thread: place.thread,
            }),
            None => Err(ApiError::Refused("channel_not_found".into()).into()),
        }
    }
}

fn shared(channel: String, ts: Option<String>) -> Outcome {
    Outcome::Sent(Sent {
        channel: Some(channel),
        ts,
        via_response_url: false,
    })
}
