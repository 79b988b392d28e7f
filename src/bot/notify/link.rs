//! The link of a notification that asks for an acknowledgement.

use crate::bot::Context;
use crate::bot::tokens::{digest, token};
use crate::domain::notification::{Notification, Recipient};
use crate::store::{PageLink, StoreError};

/// How long a link can be used.
pub(crate) const LINK_FOR: std::time::Duration = std::time::Duration::from_secs(600);

/// A fresh link that acknowledges, once, as who is asked: made when the notification is handed over,
/// so that its ten minutes are whole, and kept nowhere. `None`: nothing is to be acknowledged, or
/// people don't reach the pages.
pub(super) async fn ack_link(
    context: &Context,
    notification: &Notification,
) -> Result<Option<String>, StoreError> {
    let settings = context.settings();
    let (Some(ack), Some(url)) = (&notification.ack, &settings.public_url) else {
        return Ok(None);
    };
    if !settings.reach.links || matches!(notification.to, Recipient::Slack(_)) {
        return Ok(None);
    }
    let token = token();
    let address = format!("{url}/incidents/ack/{token}");
    let (person, sentence) = (ack.person.clone(), Some(ack.sentence.clone()));
    let incident = notification.incident;
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                tx.pages_tidy().await?;
                tx.page_link_put(&PageLink {
                    digest: digest(&token),
                    person,
                    incident,
                    message: None,
                    expires_at: tx.now() + LINK_FOR,
                    used_at: None,
                    used_by: None,
                    sentence,
                })
                .await
            })
        })
        .await?;
    Ok(Some(address))
}
