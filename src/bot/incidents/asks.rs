//! What becomes of the messages by which people were asked to acknowledge.

use crate::domain::alert::Conversation;
use crate::domain::{Content, IncidentId, Line, Message, Tone};
use crate::store::{StoreError, Tx};

/// Nobody is to acknowledge a conversation's alerts any more: the messages that ask for it say how it
/// stands instead, and what was not said yet is not said. The conversation forgets them; it has to be
/// put.
pub(crate) async fn close_asks(
    tx: &mut Tx,
    conversation: &mut Conversation,
    how: &Line,
) -> Result<(), StoreError> {
    for key in std::mem::take(&mut conversation.asks) {
        if tx.outbox_withdraw(&key).await? {
            continue;
        }
        if let Some(ask) = tx.outbox_wanted(&key).await?
            && let Content::Message(message) = &ask.content
        {
            let closed = Message::new(Tone::Plain, message.title.clone()).text(how.clone());
            tx.outbox_put(&ask.with(Content::Message(closed))).await?;
        }
    }
    Ok(())
}

/// The same for the alerts of an incident that is over.
pub(super) async fn close_asks_of(
    tx: &mut Tx,
    id: IncidentId,
    how: &Line,
) -> Result<(), StoreError> {
    if let Some(mut conversation) = tx.conversation(&Conversation::key_of(id)).await? {
        close_asks(tx, &mut conversation, how).await?;
        tx.conversation_put(&conversation).await?;
    }
    Ok(())
}
