//! What becomes of the messages by which people were asked to acknowledge.

use crate::domain::alert::Conversation;
use crate::domain::{Content, IncidentId, Line, Message, Tone};
use crate::store::{StoreError, Tx};

/// Nobody is to acknowledge a conversation's alerts any more: the messages that ask for it say how it
/// stands instead, and what was not said yet is not said.
pub(crate) async fn close_asks(
    tx: &mut Tx,
    conversation: &Conversation,
    how: &Line,
) -> Result<(), StoreError> {
    for level in 0..conversation.escalated {
        let key = format!("escalation:{}:{level}", conversation.key);
        if tx.outbox_withdraw(&key).await? {
            continue;
        }
        let Some(ask) = tx.outbox_wanted(&key).await? else {
            continue;
        };
        let Content::Message(message) = &ask.content else {
            continue;
        };
        // The first word stands.
        if message.tone == Tone::Plain {
            continue;
        }
        let closed = Message::new(Tone::Plain, message.title.clone()).text(how.clone());
        tx.outbox_put(&ask.with(Content::Message(closed))).await?;
    }
    Ok(())
}

/// The same for the alerts of an incident.
pub(super) async fn close_asks_of(
    tx: &mut Tx,
    id: IncidentId,
    how: &Line,
) -> Result<(), StoreError> {
    match tx.conversation(&Conversation::key_of(id)).await? {
        Some(conversation) => close_asks(tx, &conversation, how).await,
        None => Ok(()),
    }
}
