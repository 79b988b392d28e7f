//! Acknowledging by the link of a notification.
//!
//! A link says its sentence for its person, by the same way as every other: a request that is recorded
//! in the transaction that uses the link up, carried out once, and refused where they may not.

use std::time::Duration;

use super::{NoEntry, standing_link};
use crate::bot::Context;
use crate::bot::request::answer_key;
use crate::bot::tokens::digest;
use crate::domain::request::Reply;
use crate::domain::{Content, Door, Message, Place, Request};
use crate::store::StoreError;

/// A browser waits so long for the answer.
const WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a link would say now, such as `ack INC-1`. It is not used up by this.
pub async fn ack_link(context: &Context, token: &str) -> Result<String, NoEntry> {
    let link = standing_link(context, token, None, true).await?;
    Ok(link.sentence.unwrap_or_default())
}

/// Uses a link up and says its sentence. Gives what it came to; `None`: it is recorded, and not
/// answered yet.
pub async fn acknowledge(context: &Context, token: &str) -> Result<Option<Message>, NoEntry> {
    let link = standing_link(context, token, None, true).await?;
    let mut request = Request {
        key: request_key(token),
        door: Door::Page,
        person: link.person,
        place: Place::terminal(),
        text: link.sentence.unwrap_or_default(),
        reply: Reply::default(),
    };
    let used = context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let used = tx.page_link_use(&link.digest, None).await?;
                if used {
                    request.person = tx.known_as(request.person).await?;
                    tx.inbox_put(&request, None).await?;
                }
                Ok::<_, StoreError>(used)
            })
        })
        .await?;
    if !used {
        return Err(NoEntry::Used);
    }
    let by = tokio::time::Instant::now() + WITHIN;
    loop {
        let answer = ack_answer(context, token).await?;
        if answer.is_some() || tokio::time::Instant::now() >= by {
            return Ok(answer);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What came of a link that was used.
pub async fn ack_answer(context: &Context, token: &str) -> Result<Option<Message>, StoreError> {
    let said = context
        .store()
        .outbox_read(&answer_key(&request_key(token)))
        .await?;
    Ok(said.and_then(|(outgoing, _)| match outgoing.content {
        Content::Message(message) => Some(message),
        _ => None,
    }))
}

fn request_key(token: &str) -> String {
    format!("link:{}", digest(token))
}
