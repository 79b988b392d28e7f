//! What is written down about incidents: notes, updates for stakeholders, links to others.

use serde_json::json;

use super::find::{already, locked, locked_unclosed, meant};
use super::room::{header, room_message};
use super::stakeholders::{Bulletin, MAX_TEXT};
use crate::bot::notify::counted;
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{EntryKind, IncidentId, Line, Message, Stream, Tone};
use crate::store::{StoreError, Tx};

/// What is said in an incident's place: as the answer where that was asked for there, else beside
/// the short answer, which only the requester sees.
async fn say(
    tx: &mut Tx,
    id: IncidentId,
    here: bool,
    said: Message,
    short: Message,
) -> Result<Done, StoreError> {
    if here {
        return Ok(Answer::to_all(said).into());
    }
    let message = room_message(tx, id, said);
    tx.outbox_put(&message).await?;
    Ok(Answer::to_asker(short).into())
}

pub(crate) async fn note(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    text: String,
) -> Result<Effect, Fault> {
    let id = meant(context, ask, given).await?.id;
    let here = ask.is_in(id);
    let person = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            locked_unclosed(tx, id).await?;
            let draft = Draft::new(&person, EntryKind::Note, text.clone());
            let entry = tx.append(&Stream::Incident(id), draft).await?;
            let said = Message::new(Tone::Plain, Line::new().text("📝 Note by ").person(&person))
                .text(Line::mentioning(&cut(&text, MAX_TEXT)))
                .footer(format!("{id} entry {}", entry.seq));
            let short = Message::new(Tone::Good, Line::new().text("Noted on ").bold(id));
            Ok(say(tx, id, here, said, short).await?)
        })
    }))
}

/// Tells stakeholders how it goes, in somebody's own words; in the incident's place and on its
/// timeline as well.
pub(crate) async fn update(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    text: String,
) -> Result<Effect, Fault> {
    let id = meant(context, ask, given).await?.id;
    let here = ask.is_in(id);
    let (context, person) = (context.clone(), ask.request.person.clone());
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let incident = locked_unclosed(tx, id).await?;
            let settings = context.settings();
            let by = Line::new().text("Update by ").person(&person);
            let bulletin = Bulletin {
                text: Some(cut(&tx.named(&text).await?, MAX_TEXT)),
                always: true,
                ..Bulletin::new(tx, by, Tone::Plain, incident.severity)
            };
            let to = bulletin.send(tx, settings, &incident).await?;
            let draft = Draft::new(&person, EntryKind::Update, text.clone())
                .data(json!({"mails": to.len()}));
            tx.append(&Stream::Incident(id), draft).await?;
            let reach = match (&settings.notify, to) {
                (None, _) => "nobody gets it by e-mail: [email] is not configured".to_owned(),
                (Some(_), []) => {
                    "nobody gets it by e-mail: [email] lists no stakeholders".to_owned()
                }
                (Some(_), to) => format!("{} to stakeholders", counted(to)),
            };
            let title = Line::new().text("📣 Update by ").person(&person);
            let said = Message::new(Tone::Plain, title)
                .text(Line::mentioning(&cut(&text, MAX_TEXT)))
                .footer(reach.clone());
            let line = Line::new().text("Update on ").bold(id).text(" is said");
            let short = Message::new(Tone::Good, line).text(reach);
            Ok(say(tx, id, here, said, short).await?)
        })
    }))
}

pub(crate) async fn link(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    other: &str,
) -> Result<Effect, Fault> {
    let this = meant(context, ask, given).await?.id;
    let other = meant(context, ask, Some(other)).await?.id;
    if this == other {
        return Err(Refusal::new("An incident can't be linked to itself").into());
    }
    let person = ask.request.person.clone();
    let here = ask.here.as_ref().map(|incident| incident.id);
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            // In the order of their numbers, so that two links can't wait for each other.
            let mut both = [(this, other), (other, this)];
            both.sort();
            for (id, to) in both {
                let mut incident = locked(tx, id).await?;
                if incident.links.contains(&to) {
                    return Err(already(&incident, &format!("linked to {to}")).into());
                }
                incident.links.push(to);
                tx.incident_update(&incident).await?;
                let draft = Draft::new(&person, EntryKind::Linked, format!("linked to {to}"))
                    .data(json!({"incident": to}));
                tx.append(&Stream::Incident(id), draft).await?;
                tx.outbox_put(&header(&incident, None)).await?;
                if here != Some(id) {
                    let line = Line::new().text("Linked to ").bold(to).text(" by ");
                    let said = Message::new(Tone::Plain, line.person(&person));
                    let message = room_message(tx, id, said);
                    tx.outbox_put(&message).await?;
                }
            }
            let line = Line::new().bold(this).text(" and ").bold(other);
            let message = Message::new(Tone::Good, line.text(" are linked"));
            Ok(Answer::to_all(message).into())
        })
    }))
}
