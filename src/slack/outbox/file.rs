//! Files: uploaded where the app may, shown as a message where it may not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::stream::{StreamExt, TryStreamExt, once};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::poster::{Failure, Outbox, Outcome, in_thread};
use crate::bot::file_pieces;
use crate::domain::{Audience, Content, Message, Place, TimelineFile};
use crate::slack::error::ApiError;
use crate::slack::plain::Pieces;
use crate::slack::render::plain;
use crate::slack::scopes::Method;
use crate::store::{Parcel, Sent, Store, StoreError};

/// Longer files are not shown as text, bytes.
const SHOWN: usize = 1 << 20;

/// What is uploaded.
struct Upload<'a> {
    name: &'a str,
    title: &'a str,
    source: Source<'a>,
    media_type: &'static str,
    alt: Option<&'a str>,
    comment: &'a Message,
}

/// Where the bytes come from.
enum Source<'a> {
    Timeline(&'a TimelineFile),
    Picture(Bytes),
}

impl Source<'_> {
    fn pieces(&self, store: &Store) -> Pieces<StoreError> {
        match self {
            Self::Timeline(file) => file_pieces(store, file).map_ok(Bytes::from).boxed(),
            Self::Picture(bytes) => {
                let bytes = bytes.clone();
                once(async { Ok(bytes) }).boxed()
            }
        }
    }

    async fn length(&self, store: &Store) -> Result<usize, StoreError> {
        let pieces = self.pieces(store);
        let length = async |length, piece: Bytes| Ok(length + piece.len());
        pieces.try_fold(0, length).await
    }

    /// It as text, if that is not too long.
    async fn text(&self, store: &Store) -> Result<Option<String>, StoreError> {
        let (mut pieces, mut text) = (self.pieces(store), String::new());
        while let Some(piece) = pieces.try_next().await? {
            text.push_str(&String::from_utf8_lossy(&piece));
            if text.len() > SHOWN {
                return Ok(None);
            }
        }
        Ok(Some(text))
    }
}

impl<'a> Upload<'a> {
    fn of(content: &'a Content) -> Result<Self, Failure> {
        match content {
            Content::File {
                name,
                title,
                file,
                comment,
            } => Ok(Self {
                name,
                title,
                source: Source::Timeline(file),
                media_type: "text/plain; charset=utf-8",
                alt: None,
                comment,
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
                source: Source::Picture(
                    BASE64
                        .decode(png)
                        .map_err(|error| Failure::Never(format!("a picture is damaged: {error}")))?
                        .into(),
                ),
                media_type: "image/png",
                alt: Some(alt),
                comment,
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
        let words = match file.alt {
            Some(alt) => Some(alt.to_owned()),
            None => file.source.text(&self.store).await?,
        };
        let message = match words {
            Some(words) => (file.comment.clone().code(words))
                .footer("The app may not upload files here"),
            None => (file.comment.clone()).footer(
                "The app may not upload files here, and it is too long to be shown: `page` leads to \
                 where it can be had",
            ),
        };
        self.message(parcel, &message).await
    }

    async fn upload(&self, parcel: &Parcel, upload: &Upload<'_>) -> Result<Outcome, Failure> {
        let Upload {
            name,
            title,
            comment,
            ..
        } = *upload;
        let length = upload.source.length(&self.store).await?;
        if length == 0 {
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
        let slot = self.client.upload_url(name, length, alt).await?;
        let file = slot.file_id.0.clone();
        self.client
            .upload(
                slot,
                length,
                upload.media_type,
                upload.source.pieces(&self.store),
            )
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
