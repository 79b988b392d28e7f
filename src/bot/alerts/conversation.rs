//! A conversation about alerts: its message, and what its timeline says.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::kinds::MESSAGE;
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{Destination, EntryKind, Incident, Message, Outgoing, Person};
use crate::store::{StoreError, Tx};

/// The message of a conversation is written at most this often while alerts come.
const PACE: Duration = Duration::from_secs(10);
/// Alerts that an entry of the timeline lists; it counts all.
const LISTED: usize = 50;

/// Has the message written: now, or as soon as it may be written again.
pub(super) async fn write_soon(tx: &mut Tx, conversation: &Conversation) -> Result<(), StoreError> {
    let now = tx.now();
    let last = conversation.written_at;
    let due = last.map_or(now, |at| (at + PACE).max(now));
    MESSAGE.set(tx, &conversation.key, due).await
}

/// The channel that all may read: the route's, else the main one.
pub(super) fn home(conversation: &Conversation) -> Destination {
    let channel = conversation.first.routed.channel.clone();
    channel.map_or(Destination::Home, Destination::Channel)
}

/// A message of a conversation.
pub(super) fn outgoing(conversation: &Conversation, key: String, message: Message) -> Outgoing {
    let to = conversation
        .incident
        .map_or_else(|| home(conversation), Destination::Incident);
    let severity = conversation.first.routed.severity;
    let severity = conversation.asked_about.unwrap_or(severity).min(severity);
    Outgoing::announcement(key, to, message).urgent(severity)
}

/// Says news of a conversation by a message of its own; the conversation counts it and has to be put.
pub(super) async fn post_news(
    tx: &mut Tx,
    conversation: &mut Conversation,
    message: Message,
) -> Result<(), StoreError> {
    let key = conversation.message_key("news");
    tx.outbox_put(&outgoing(conversation, key, message)).await
}

/// The conversation of this key, if it is not over and its incident is open.
pub(super) async fn active(tx: &mut Tx, key: &str) -> Result<Option<Conversation>, StoreError> {
    Ok(ongoing(tx, key)
        .await?
        .map(|(conversation, _)| conversation))
}

/// Alerts of this conversation are told there.
pub(super) async fn is_active(tx: &mut Tx, key: &str) -> Result<bool, StoreError> {
    Ok(active(tx, key).await?.is_some())
}

/// Since when a conversation is over, or its incident; `None`: it is not.
pub(super) async fn closed_at(tx: &mut Tx, key: &str) -> Result<Option<Timestamp>, StoreError> {
    let Some(conversation) = tx.conversation(key).await? else {
        return Ok(None);
    };
    let incident = match conversation.incident {
        Some(id) => tx.incident(id).await?,
        None => None,
    };
    let resolved_at = incident.filter(|one| !one.status.is_open());
    let resolved_at = resolved_at.map(|one| one.resolved_at.unwrap_or(one.declared_at));
    let ended = conversation
        .ended
        .then(|| conversation.quiet_since.unwrap_or(conversation.began_at));
    Ok(resolved_at.or(ended))
}

/// The conversation of this key with its incident, unless it is over.
pub(super) async fn ongoing(
    tx: &mut Tx,
    key: &str,
) -> Result<Option<(Conversation, Option<Incident>)>, StoreError> {
    let Some(conversation) = tx.conversation(key).await?.filter(|one| !one.ended) else {
        return Ok(None);
    };
    let Some(id) = conversation.incident else {
        return Ok(Some((conversation, None)));
    };
    let incident = tx.incident(id).await?.filter(|one| one.status.is_open());
    Ok(incident.map(|incident| (conversation, Some(incident))))
}

/// Puts on the timeline what somebody did with the alerts.
pub(super) async fn note(
    tx: &mut Tx,
    conversation: &Conversation,
    person: &Person,
    text: String,
) -> Result<(), StoreError> {
    let draft =
        Draft::new(person, EntryKind::Alert, text).data(json!({"conversation": conversation.key}));
    tx.append(&conversation.stream(), draft).await?;
    Ok(())
}

/// Puts on an incident's timeline what the bot saw or did.
pub(super) async fn note_on_incident(
    tx: &mut Tx,
    conversation: &Conversation,
    text: String,
) -> Result<(), StoreError> {
    if conversation.incident.is_some() {
        let draft = Draft::new(&Person::bot(), EntryKind::Alert, text);
        tx.append(&conversation.stream(), draft).await?;
    }
    Ok(())
}

/// Puts on the timeline what became of these alerts, in one entry for all.
pub(super) async fn note_alerts(
    tx: &mut Tx,
    conversation: &Conversation,
    what: &str,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *names.entry(record.tracked.alert.name()).or_default() += 1;
    }
    let listed: Vec<String> = names
        .iter()
        .take(10)
        .map(|(name, count)| match count {
            1 => cut(name, 80),
            n => format!("{} ×{n}", cut(name, 80)),
        })
        .collect();
    let more = match names.len().saturating_sub(listed.len()) {
        0 => String::new(),
        n => format!(" and {n} further kinds"),
    };
    let text = format!("{what}: {}{more}", listed.join(", "));
    let alerts: Vec<_> = records
        .iter()
        .take(LISTED)
        .map(|record| {
            let alert = &record.tracked.alert;
            json!({
                "fingerprint": alert.fingerprint,
                "name": alert.name(),
                "firing": alert.firing,
                "starts_at": alert.starts_at,
                "says": cut(alert.summary(), 200),
                "value": alert.annotation("value").map(|value| cut(value, 300)),
                "source": alert.source,
            })
        })
        .collect();
    let draft = Draft::new(&Person::bot(), EntryKind::Alert, text)
        .data(json!({"alerts": alerts, "count": records.len(), "conversation": conversation.key}));
    tx.append(&conversation.stream(), draft).await?;
    Ok(())
}
