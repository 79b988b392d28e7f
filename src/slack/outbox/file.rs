//! Files: uploaded where the app may, shown as a message where it may not.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::poster::{Failure, Outbox, Outcome, in_thread};
use crate::domain::{Audience, Content, Message, Place};
use crate::slack::error::ApiError;
use crate::slack::render::plain;
use crate::slack::scopes::Method;
use crate::store::{Parcel, Sent};

/// What is uploaded.
struct Upload<'a> {
    name: &'a str,
    title: &'a str,
    bytes: Cow<'a, [u8]>,
    media_type: &'static str,
    alt: Option<&'a str>,
    comment: &'a Message,
    /// Shown where no file may be uploaded.
    in_words: &'a str,
}

impl<'a> Upload<'a> {
    fn of(content: &'a Content) -> Result<Self, Failure> {
        match content {
            Content::File {
                name,
                title,
                text,
                comment,
            } => Ok(Self {
                name,
                title,
                bytes: Cow::Borrowed(text.as_bytes()),
                media_type: "text/plain; charset=utf-8",
                alt: None,
                comment,
                in_words: text,
            }),
            Content::Picture {
                name,
                title,
                png,
                alt,
                comment,
            } => Ok(Self {
                name,
                title,
                bytes: BASE64
                    .decode(png)
                    .map_err(|error| Failure::Never(format!("a picture is damaged: {error}")))?
                    .into(),
                media_type: "image/png",
                alt: Some(alt),
                comment,
                in_words: alt,
            }),
            _ => Err(Failure::Never("not a file".into())),
        }
    }
}

impl Outbox {
    pub(super) async fn file(&self, parcel: &Parcel) -> Result<Outcome, Failure> {
        let file = Upload::of(&parcel.outgoing.content)?;
        if parcel.ts.is_none() && !parcel.via_response_url {
            match self.upload(parcel, &file).await {
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
        let message = file
            .comment
            .clone()
            .code(file.in_words)
            .footer("The app may not upload files here");
        self.message(parcel, &message).await
    }

    async fn upload(&self, parcel: &Parcel, upload: &Upload<'_>) -> Result<Outcome, Failure> {
        let Upload {
            name,
            title,
            comment,
            ..
        } = *upload;
        if upload.bytes.is_empty() {
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
                files.any(|file| file["name"] == name && file["title"] == title)
            };
            if let Some((channel, ts)) = self.find_posted(parcel, &place, is_it).await? {
                return Ok(shared(channel, Some(ts)));
            }
        }
        self.still_ours(parcel)?;
        let alt = upload.alt.map(str::to_owned);
        let slot = self
            .client
            .upload_url(name, upload.bytes.len(), alt)
            .await?;
        let file = slot.file_id.0.clone();
        self.client
            .upload(slot, &upload.bytes, upload.media_type)
            .await?;
        let mut body = json!({
            "files": [{"id": file, "title": title}],
            "channel_id": place.channel,
            "initial_comment": plain(comment),
        });
        in_thread(&mut body, &place);
        self.attempting(parcel).await?;
        let method = Method::FilesCompleteUploadExternal;
        let mut done = self.call(method, &body).await;
        if done.as_ref().err().and_then(ApiError::code) == Some("not_in_channel")
            && self.join(&place.channel).await?
        {
            done = self.call(method, &body).await;
        }
        self.note_attempt(parcel, done.map_err(Failure::from))?;
        Ok(shared(place.channel, None))
    }

    /// Files need a channel's id; what is for one person only goes into their direct messages.
    async fn file_place(&self, parcel: &Parcel) -> Result<Place, Failure> {
        let requester = parcel
            .outgoing
            .requester
            .as_ref()
            .filter(|person| person.is_on_slack());
        let place = self.place(parcel).await?;
        if place.is_terminal() {
            return Ok(place);
        }
        if parcel.outgoing.audience == Audience::Requester
            && let Some(requester) = requester
        {
            let opened = self
                .call(Method::ConversationsOpen, &json!({"users": requester.id}))
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
