//! `alerts`.

use std::collections::BTreeMap;

use super::words::{alerts, target};
use crate::bot::request::{Answer, Effect};
use crate::bot::retention::forgotten;
use crate::bot::{Context, Fault};
use crate::domain::alert::{AlertRecord, Conversation, Muted};
use crate::domain::period::Period;
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
        message = message.footer(format!("{left} more not listed"));
    }
    if all && let Some(forgotten) = forgotten(context).await? {
        message = message.footer(forgotten);
    }
    for (name, what) in left_out(context, &rows).await? {
        let line = Line::new().text("❔ ").code(name);
        message = message.text(line.text(format!("  {what}")));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

/// What Alertmanager left out of its reports, of the open incidents and of what is listed, each with its
/// target.
async fn left_out(
    context: &Context,
    listed: &[(String, AlertRecord)],
) -> Result<Vec<(String, String)>, Fault> {
    let store = context.store();
    let found = store.conversations_left_out().await?.into_iter();
    let mut all: BTreeMap<String, Conversation> = found.map(|one| (one.key.clone(), one)).collect();
    for (key, _) in listed {
        if !all.contains_key(key)
            && let Some(one) = store.conversation(key).await?
        {
            all.insert(key.clone(), one);
        }
    }
    let open = all.values().filter(|one| !one.ended);
    let said = open.filter_map(|one| Some((target(one), one.says_left_out()?)));
    Ok(said.collect())
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
    let since = if tracked.alert.firing {
        tracked.since()
    } else {
        tracked.changed_at
    };
    let since = duration::text(duration::between(since, now));
    line = line.text(format!("  {} ({since})", cut(alert.summary(), 150)));
    line = match &tracked.muted {
        Some(Muted::Silenced(_)) => line.text("  silenced in Alertmanager"),
        Some(Muted::Inhibited(_)) => line.text("  inhibited in Alertmanager"),
        Some(Muted::Unheard) => line
            .text("  not heard of since ")
            .time(tracked.heard_at.unwrap_or(tracked.changed_at)),
        None => line,
    };
    if let Some(flaps) = tracked.flaps() {
        line = line.text(format!("  {flaps}"));
    }
    if let Some(number) = conversation.strip_prefix("incident:") {
        return line.text(format!("  INC-{number}"));
    }
    match tracked.silenced_until.filter(|until| *until > now) {
        Some(until) if conversation.starts_with(Period::KEY) => {
            line.text("  in a maintenance window until ").time(until)
        }
        _ => line,
    }
}
