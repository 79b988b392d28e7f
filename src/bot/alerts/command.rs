//! `alerts`.

use std::collections::BTreeSet;

use super::words::{alerts, target};
use crate::bot::request::{Answer, Effect};
use crate::bot::{Context, Fault};
use crate::domain::alert::{AlertRecord, Conversation, Muted};
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
    let incidents = context.store().incidents_open().await?;
    let keys = incidents.iter().map(|one| Conversation::key_of(one.id));
    let keys: BTreeSet<String> = keys
        .chain(listed.iter().map(|(key, _)| key.clone()))
        .collect();
    let mut left_out = Vec::new();
    for key in keys {
        let conversation = context.store().conversation(&key).await?;
        if let Some(one) = conversation.filter(|one| !one.ended)
            && let Some(what) = one.says_left_out()
        {
            left_out.push((target(&one), what));
        }
    }
    Ok(left_out)
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
    match conversation.strip_prefix("incident:") {
        Some(number) => line.text(format!("  INC-{number}")),
        None => line,
    }
}
