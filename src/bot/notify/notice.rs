//! What somebody is notified of, on its way into the store.

use crate::domain::notification::{Notification, Purpose, Recipient, Thread};
use crate::domain::{Incident, IncidentId, Message};
use crate::store::{StoreError, Tx};

/// What recipients are notified of.
pub(crate) struct Notice {
    /// Names it for ever: a recipient gets a notice of a known key no second time.
    pub(crate) key: String,
    /// What for.
    pub(crate) purpose: Purpose,
    /// The incident it is about.
    pub(crate) incident: Option<IncidentId>,
    /// What it belongs to.
    pub(crate) thread: Thread,
    /// What it says.
    pub(crate) message: Message,
}

impl Notice {
    /// A notice in an incident's thread.
    pub(crate) fn about(
        incident: &Incident,
        key: String,
        purpose: Purpose,
        message: Message,
    ) -> Self {
        Self {
            key,
            purpose,
            incident: Some(incident.id),
            thread: Thread::of(incident),
            message,
        }
    }

    /// Has it sent to each of these once this transaction is committed.
    pub(crate) async fn send(&self, tx: &mut Tx, to: &[Recipient]) -> Result<(), StoreError> {
        for to in to {
            let notification = Notification {
                key: format!("{}:{}", self.key, to.address()),
                to: to.clone(),
                purpose: self.purpose,
                incident: self.incident,
                thread: self.thread.clone(),
                message: self.message.clone(),
                at: tx.now(),
                ack: None,
            };
            tx.notification_put(&notification).await?;
        }
        Ok(())
    }
}
