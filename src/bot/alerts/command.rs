//! `alerts`, `ack`.

use std::collections::BTreeSet;

use serde_json::json;

use super::{timers, words};
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{EntryKind, IncidentId, Line, Message, Person, Stream, Tone, duration};

/// Alerts that are listed.
const LISTED: i64 = 30;

/// What somebody means by `ALERT`.
pub(super) struct Meant {
    /// The conversations.
    pub(super) told: BTreeSet<String>,
    /// The alerts themselves; `None`: all of the conversations.
    pub(super) alerts: Option<Vec<String>>,
    /// How it is named in the answer.
    pub(super) name: String,
}

pub(in crate::bot) async fn alerts_list(context: &Context, all: bool) -> Result<Effect, Fault> {
    let (recorded, firing) = context.store().alerts_count().await?;
    let rows = context.store().alerts_list(all, LISTED).await?;
    let now = context.store().now();
    let title = match (firing, all) {
        (0, _) => "No alert fires".to_owned(),
        (1, _) => "1 alert fires".to_owned(),
        (n, _) => format!("{n} alerts fire"),
    };
    let tone = if firing == 0 {
        Tone::Good
    } else {
        Tone::Warning
    };
    let mut message = Message::new(tone, title);
    for (told, record) in &rows {
        message = message.text(line(told, record, now));
    }
    let left = if all { recorded } else { firing }.saturating_sub(rows.len() as u64);
    if left > 0 {
        message = message.footer(format!("{left} more left out"));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

/// What is meant: an incident, an alert by the beginning of its fingerprint, all of a name; or
/// what is told here.
pub(super) async fn alerts_named(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Meant, Fault> {
    let of_incident = |id: IncidentId| Meant {
        told: [format!("incident:{}", id.0)].into(),
        alerts: None,
        name: id.to_string(),
    };
    let Some(given) = given else {
        let incident = crate::bot::incidents::meant(context, ask, None).await?;
        return Ok(of_incident(incident.id));
    };
    if given.len() > 4
        && given.to_uppercase().starts_with("INC-")
        && let Some(id) = IncidentId::parse(given)
    {
        return Ok(of_incident(id));
    }
    let found = context.store().alerts_meant(given).await?;
    if found.is_empty() {
        return Err(
            Refusal::new(Line::new().text("I know no alert ").code(cut(given, 60)))
                .detail(
                    "Name one by the beginning of its fingerprint, by its name, or by its incident",
                )
                .suggest("List alerts", "alerts")
                .into(),
        );
    }
    let fingerprint =
        |(_, record): &(String, AlertRecord)| record.tracked.alert.fingerprint.clone();
    Ok(Meant {
        told: found
            .iter()
            .map(|(told, _)| told.clone())
            .filter(|told| !told.is_empty())
            .collect(),
        alerts: Some(found.iter().map(fingerprint).collect()),
        name: cut(given, 60),
    })
}

pub(in crate::bot) async fn acknowledge(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let meant = alerts_named(context, ask, given).await?;
    let person = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let mut known: Option<Conversation> = None;
            let mut done = Vec::new();
            for told in &meant.told {
                let Some(mut conversation) = tx.conversation(told).await? else {
                    continue;
                };
                if conversation.acknowledged.is_some() {
                    known = Some(conversation);
                    continue;
                }
                conversation.acknowledged = Some((person.clone(), tx.now()));
                tx.conversation_put(&conversation).await?;
                timers::unset(tx, told, &timers::What::Escalate).await?;
                let now = tx.now();
                timers::set(tx, told, now, timers::What::Tell).await?;
                let after = duration::text(duration::between(conversation.began_at, tx.now()));
                let text = format!("alerts acknowledged {after} after they began");
                append(tx, &conversation, &person, text).await?;
                done.push(words::target(&conversation));
            }
            if done.is_empty() {
                let line = match known.and_then(|conversation| conversation.acknowledged) {
                    Some((by, at)) => Line::new()
                        .code(&meant.name)
                        .text(" was already acknowledged by ")
                        .person(&by)
                        .text(" at ")
                        .time(at),
                    None => Line::new()
                        .text("There are no alerts of ")
                        .code(&meant.name),
                };
                return Err(Refusal::new(line).into());
            }
            let line = Line::new()
                .person(&person)
                .text(" has acknowledged the alerts of ")
                .code(done.join(", "));
            Ok(Done {
                answer: Some(Answer::to_all(Message::new(Tone::Good, line))),
                ..Done::default()
            })
        })
    }))
}

/// Onto the timeline of the conversation's incident, else the audit.
pub(super) async fn append(
    tx: &mut crate::store::Tx,
    conversation: &Conversation,
    person: &Person,
    text: String,
) -> Result<(), crate::store::StoreError> {
    let stream = conversation
        .incident
        .map_or(Stream::Audit, Stream::Incident);
    let draft = Draft::new(person, EntryKind::Alert, text).data(json!({"told": conversation.key}));
    tx.append(&stream, draft).await?;
    Ok(())
}

fn line(told: &str, record: &AlertRecord, now: jiff::Timestamp) -> Line {
    let tracked = &record.tracked;
    let alert = &tracked.alert;
    let light = match (tracked.is_active(), tracked.is_audible(now)) {
        (true, true) => "🔥",
        (true, false) => "🔕",
        (false, _) => "✅",
    };
    let mut line = Line::new()
        .text(format!("{light} "))
        .code(alert.short())
        .text(" ")
        .bold(cut(alert.name(), 80));
    if let Some(service) = &record.routed.service {
        line = line.text(" ").code(service);
    }
    let since = duration::text(duration::between(tracked.changed_at, now));
    line = line.text(format!("  {} ({since})", cut(alert.summary(), 150)));
    if let Some(flaps) = tracked.flaps() {
        line = line.text(format!("  {flaps}"));
    }
    match told.strip_prefix("incident:") {
        Some(number) => line.text(format!("  INC-{number}")),
        None => line,
    }
}
