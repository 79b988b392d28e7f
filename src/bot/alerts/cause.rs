//! What stands on a failed service that is asked about in an incident of its own: nobody needs to be
//! asked about the consequence as well.

use super::conversation::{note_on_incident, post_news, write_soon};
use super::order::{depends_on, strictly_below};
use super::words;
use crate::bot::Context;
use crate::bot::incidents::close_asks;
use crate::bot::notify::{Ended, forget};
use crate::domain::alert::Conversation;
use crate::domain::{IncidentId, Message, ServiceName, Severity, Tone};
use crate::store::{StoreError, Tx};

/// The failed service that all of a conversation stands on, with its incident, in which people are asked
/// about something at least as bad; `None`: something of it may be no consequence.
pub(super) async fn of(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
) -> Result<Option<(ServiceName, IncidentId)>, StoreError> {
    if conversation.declared || !conversation.left_out.is_empty() {
        return Ok(None);
    }
    let depends_on = depends_on(bot);
    let mut found = None;
    for (service, worst) in tx.services_audible(&conversation.key).await? {
        if worst > bot.settings().alerts.declare_from {
            continue;
        }
        let Some(service) = service else {
            return Ok(None);
        };
        let below = strictly_below(&service, &depends_on);
        let Some(cause) = behind(tx, conversation, &below, worst).await? else {
            return Ok(None);
        };
        found.get_or_insert(cause);
    }
    Ok(found)
}

/// The first of these services that fails as badly, in another open incident.
async fn behind(
    tx: &mut Tx,
    conversation: &Conversation,
    services: &[&ServiceName],
    worst: Severity,
) -> Result<Option<(ServiceName, IncidentId)>, StoreError> {
    for &name in services {
        let Some(id) = tx.incident_of(name).await? else {
            continue;
        };
        if conversation.incident == Some(id) {
            continue;
        }
        let fails = tx.services_audible(&Conversation::key_of(id)).await?;
        let as_badly = |(other, severity): &(Option<ServiceName>, Severity)| {
            other.as_ref() == Some(name) && *severity <= worst
        };
        if fails.iter().any(as_badly) {
            return Ok(Some((name.clone(), id)));
        }
    }
    Ok(None)
}

/// Nobody is asked while this cause fails, and what was asked is taken back; that is said once. When it
/// is over and the consequence is not, people are asked from the first on.
pub(super) async fn wait_for(
    tx: &mut Tx,
    conversation: &mut Conversation,
    (service, incident): (ServiceName, IncidentId),
) -> Result<(), StoreError> {
    let why = words::waits(&service, incident);
    let cause = Some((service, incident));
    if conversation.waits_for == cause {
        return Ok(());
    }
    conversation.waits_for = cause;
    close_asks(tx, conversation, &why).await?;
    forget(tx, &conversation.key, &Ended::Elsewhere(&why.plain())).await?;
    conversation.ask_from_the_first(tx.now());
    note_on_incident(tx, conversation, why.plain()).await?;
    post_news(tx, conversation, Message::new(Tone::Plain, why)).await?;
    tx.conversation_put(conversation).await?;
    write_soon(tx, conversation).await
}
