//! `alerts`, `ack`.

use super::conversation::note;
use super::find::alerts_meant;
use super::kinds::{ESCALATION, MESSAGE};
use super::words::{alerts, target};
use crate::bot::notify::{Ended, forget};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone, duration};

/// Alerts that are listed.
const LISTED: i64 = 30;

pub(crate) async fn alerts_list(context: &Context, all: bool) -> Result<Effect, Fault> {
    let (recorded, firing) = context.store().alerts_count().await?;
    let rows = context.store().alerts_list(all, LISTED).await?;
    let mut message = match firing {
        0 => Message::new(Tone::Good, "No alert fires"),
        n => Message::new(Tone::Warning, alerts(n as usize, "fires", "fire")),
    };
    for (conversation, record) in &rows {
        message = message.text(line(conversation, record, context.now()));
    }
    let left = if all { recorded } else { firing }.saturating_sub(rows.len() as u64);
    if left > 0 {
        message = message.footer(format!("{left} more left out"));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(crate) async fn acknowledge(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let meant = alerts_meant(context, ask, given).await?;
    let person = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            let mut known: Option<Conversation> = None;
            let mut done = Vec::new();
            for key in &meant.conversations {
                let Some(mut conversation) = tx.conversation(key).await? else {
                    continue;
                };
                if conversation.acknowledged.is_some() {
                    known = Some(conversation);
                    continue;
                }
                conversation.acknowledged = Some((person.clone(), now));
                tx.conversation_put(&conversation).await?;
                ESCALATION.unset(tx, key).await?;
                forget(tx, key, &Ended::Acknowledged(&person)).await?;
                MESSAGE.set(tx, key, now).await?;
                let after = duration::text(duration::between(conversation.began_at, now));
                let text = format!("alerts acknowledged {after} after they began");
                note(tx, &conversation, &person, text).await?;
                done.push(target(&conversation));
            }
            if done.is_empty() {
                let refusal = match known.and_then(|conversation| conversation.acknowledged) {
                    Some((by, at)) => {
                        let line = Line::new().code(&meant.name);
                        let line = line.text(" was already acknowledged by ").person(&by);
                        Refusal::new(line.text(" at ").time(at))
                    }
                    None => meant.nothing(),
                };
                return Err(refusal.into());
            }
            let line = Line::new()
                .person(&person)
                .text(" has acknowledged the alerts of ")
                .code(done.join(", "));
            Ok(Answer::to_all(Message::new(Tone::Good, line)).into())
        })
    }))
}

fn line(conversation: &str, record: &AlertRecord, now: jiff::Timestamp) -> Line {
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
    match conversation.strip_prefix("incident:") {
        Some(number) => line.text(format!("  INC-{number}")),
        None => line,
    }
}
