//! Where an incident is worked on, what the main channel says of it, and who is called there.

use super::room::{header, services, to_room, topic};
use crate::bot::Settings;
use crate::domain::{
    Content, Destination, Incident, IncidentId, Line, Message, Outgoing, Person, Place, Severity,
    Status, Tone, announcement_key, duration, moved_key,
};
use crate::store::{StoreError, Tx};

/// Announces a new incident in this channel, or the main one, and has its place made.
pub(super) async fn announce(
    tx: &mut Tx,
    settings: &Settings,
    incident: &Incident,
    channel: Option<String>,
) -> Result<(), StoreError> {
    let to = channel.map_or(Destination::Home, Destination::Channel);
    let (key, message) = (announcement_key(incident.id), announcement(incident));
    // It does not wait for the place: channels are made slowly.
    let announced = Outgoing::announcement(key, to, message).urgent(incident.severity);
    tx.outbox_put(&announced).await?;
    let content = Content::Room {
        incident: incident.id,
        name: settings.incident_channels.then(|| channel_name(incident)),
        topic: topic(incident),
    };
    let room = to_room(incident.id, "room", content).urgent(incident.severity);
    tx.outbox_put(&room).await
}

/// Brings what the main channel says of an incident up to date.
pub(super) async fn follow(tx: &mut Tx, incident: &Incident) -> Result<(), StoreError> {
    let key = announcement_key(incident.id);
    let Some(announced) = tx.outbox_wanted(&key).await? else {
        return Ok(());
    };
    let content = Content::Message(announcement(incident));
    let announced = announced.with(content).urgent(incident.severity);
    tx.outbox_put(&announced).await
}

/// An incident has its place: it is recorded, and the main channel says where.
pub async fn room_opened(tx: &mut Tx, id: IncidentId, place: Place) -> Result<(), StoreError> {
    tx.incident_place_set(id, &place).await?;
    match tx.incident(id).await? {
        Some(incident) if place.thread.is_none() => follow(tx, &incident).await,
        _ => Ok(()),
    }
}

/// An incident's channel can't be written to, for Slack's reason: the main channel hears it once, and
/// the incident goes on below that.
pub async fn room_closed(
    tx: &mut Tx,
    id: IncidentId,
    channel: String,
    code: &str,
) -> Result<(), StoreError> {
    let key = moved_key(id);
    if tx.outbox_wanted(&key).await?.is_some() {
        return Ok(());
    }
    let why = match code {
        "is_archived" => "it is archived",
        "channel_not_found" => "it is gone",
        code => code,
    };
    let line = Line::new()
        .channel(channel)
        .text(format!(" can't be written to ({why}): "));
    let line = line.bold(id).text(" goes on in this thread");
    let announced = tx.outbox_wanted(&announcement_key(id)).await?;
    let to = announced.map_or(Destination::Home, |announced| announced.to);
    let mut told = Outgoing::announcement(key, to, Message::new(Tone::Warning, line));
    if let Some(incident) = tx.incident(id).await? {
        told = told.urgent(incident.severity);
        // What stands in the channel can't be seen there any more: the thread begins with it.
        tx.outbox_put(&header(&incident, None)).await?;
    }
    tx.outbox_put(&told).await
}

/// Invites people to an incident's place, with a direct message that says where it is: each once.
pub(crate) async fn invite(
    tx: &mut Tx,
    incident: &Incident,
    people: &[Person],
) -> Result<(), StoreError> {
    for person in people.iter().filter(|person| person.is_on_slack()) {
        let key = format!("invite:{}", person.id);
        let title = Line::new()
            .text("You are on ")
            .bold(incident.id)
            .text(format!(" {}: {}", incident.severity, incident.title));
        let content = Content::Invite {
            incident: incident.id,
            person: person.clone(),
            message: Message::new(Tone::Bad, title),
        };
        // What is said in the room does not wait for it: it may have to wait for its own turn.
        let invitation = to_room(incident.id, &key, content).urgent(Severity::Sev4);
        if tx.outbox_wanted(&invitation.key).await?.is_none() {
            tx.outbox_put(&invitation).await?;
        }
    }
    Ok(())
}

fn announcement(incident: &Incident) -> Message {
    let mut line = Line::new()
        .bold(incident.id)
        .text(format!(" {}: {}", incident.severity, incident.title))
        .text(" — declared by ")
        .person(&incident.declared_by);
    if let Some(names) = services(incident) {
        line = line.text(", concerns ").code(names);
    }
    let tone = match incident.status {
        Status::Open => Tone::Bad,
        Status::Mitigated => Tone::Warning,
        Status::Resolved | Status::Closed => Tone::Good,
    };
    let mut message = Message::new(tone, line);
    if incident.status != Status::Open {
        let mut line = Line::new().bold(incident.status.to_string());
        if let Some(at) = incident.resolved_at.or(incident.mitigated_at) {
            let after = duration::text(duration::between(incident.declared_at, at));
            line = line.text(format!(" {after} after it was declared"));
        }
        message = message.text(line);
    }
    match &incident.place {
        Some(Place {
            channel,
            thread: None,
        }) => message.text(Line::new().text("Worked on in ").channel(channel)),
        _ => message,
    }
}

/// Slack's channel names: lower-case letters, digits, `-` and `_`, at most 80.
fn channel_name(incident: &Incident) -> String {
    let mut name = format!("inc-{}", incident.id.0);
    let words = incident.title.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        if name.len() + 1 + word.len() > 60 {
            break;
        }
        name.push('-');
        name.push_str(&word.to_ascii_lowercase());
    }
    name
}
