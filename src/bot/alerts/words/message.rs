//! The message that shows the state of a conversation's alerts.

use jiff::Timestamp;

use super::parts::{acknowledged, alerts as counted, buttons, labels, links};
use crate::bot::Context;
use crate::bot::alerts::order::depends_on;
use crate::domain::alert::{Conversation, Name, Summary, likely_cause};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Part, ServiceName, Severity, Tone, duration};

/// The message that shows how the alerts of a conversation stand.
pub(crate) fn alerts_message(
    bot: &Context,
    conversation: &Conversation,
    summary: &Summary,
    others: &[ServiceName],
    now: Timestamp,
) -> Message {
    let first = &conversation.first;
    let loud = summary.audible();
    let severity = summary.worst.unwrap_or(first.routed.severity);
    let left_out = conversation.says_left_out();
    let tone = match (summary.firing, severity) {
        (0, _) if left_out.is_some() => Tone::Warning,
        (0, _) => Tone::Good,
        _ if loud == 0 || conversation.acknowledged.is_some() => Tone::Warning,
        (_, Severity::Sev1 | Severity::Sev2) => Tone::Bad,
        _ => Tone::Warning,
    };
    if let Some(id) = conversation.moved_to.filter(|_| summary.firing == 0) {
        let title = counted(1.max(summary.top.len()), "goes on", "go on");
        let title = Line::new().text(format!("{title} in ")).bold(id);
        return Message::new(Tone::Warning, title);
    }
    let mut title = Line::new().text(match summary.firing {
        0 => counted(summary.resolved, "is over", "are over"),
        n => counted(n, "fires", "fire"),
    });
    if let Some(service) = &conversation.service {
        title = title.text(" for ").code(service);
    }
    let mut message = Message::new(tone, title);
    for name in &summary.top {
        message = message.text(kind(name, summary.firing == 0));
    }
    if summary.more > 0 {
        message = message.text(format!(
            "… and {} further kinds: `alerts` lists them",
            summary.more
        ));
    }
    if let Some(left_out) = left_out {
        message = message.text(format!("… and {left_out}"));
    }
    if let Some(line) = cause(bot, conversation, summary, others) {
        message = message.text(line);
    }
    let fields = fields(conversation, summary, severity, now);
    message
        .part(Part::Fields(fields))
        .buttons(buttons(conversation, summary.firing > 0))
}

/// The alerts of a name in a line; `all`: of those that are over.
fn kind(name: &Name, all: bool) -> Line {
    let mut line = Line::new()
        .text(if name.firing > 0 { "🔥 " } else { "✅ " })
        .bold(cut(&name.name, 80));
    if name.all > 1 {
        let count = name.firing.max(usize::from(all) * name.all);
        line = line.text(format!(" ×{count}"));
    }
    let mut texts: Vec<String> = name.texts.iter().map(|text| cut(text, 200)).collect();
    if name.more_texts > 0 {
        texts.push(format!("and {} further texts", name.more_texts));
    }
    line = line
        .text(format!("  {}  ", texts.join("; ")))
        .code(&name.short);
    match &name.flaps {
        Some(flaps) => line.text(format!("  {flaps}")),
        None => line,
    }
}

/// What is known of all, and of the worst.
fn fields(
    conversation: &Conversation,
    summary: &Summary,
    severity: Severity,
    now: Timestamp,
) -> Vec<(String, Line)> {
    let first = &conversation.first;
    let mut fields = vec![("Severity".to_owned(), Line::from(severity.to_string()))];
    if let Some(since) = summary.since {
        let age = duration::text(duration::between(since, now));
        fields.push((
            "Fires since".into(),
            Line::new().time(since).text(format!(" ({age})")),
        ));
    }
    let tracked = &summary.shown.as_ref().unwrap_or(first).tracked;
    let shown = &tracked.alert;
    if summary.firing > 0 && shown.starts_at > now {
        let claim = Line::new().time(shown.starts_at).text(", which is to come");
        fields.push(("Since, says its sender".into(), claim));
    }
    if summary.firing > 0 {
        // Of several, that of the worst.
        let whose = match summary.firing {
            1 => String::new(),
            _ => format!(" ({}, {})", cut(shown.name(), 60), shown.short()),
        };
        for (label, name) in [("Value", "value"), ("Threshold", "threshold")] {
            if let Some(value) = shown.annotation(name) {
                let value = format!("{}{whose}", cut(value, 300));
                fields.push((label.into(), value.into()));
            }
        }
        if tracked.is_unlisted() {
            let says = format!("does not list it: whether it fires is not known{whose}");
            fields.push(("Alertmanager".into(), says.into()));
        }
        if let Some(labels) = labels(shown) {
            fields.push((format!("Labels{whose}"), cut(&labels, 400).into()));
        }
    }
    if summary.resolved > 0 && summary.firing > 0 {
        fields.push(("Over".into(), summary.resolved.to_string().into()));
    }
    let silenced = summary.silenced - (summary.muted + summary.unheard).min(summary.silenced);
    for (label, count) in [
        ("Silenced", silenced),
        ("Silenced or inhibited in Alertmanager", summary.muted),
        ("Not heard of", summary.unheard),
    ] {
        if count > 0 {
            fields.push((label.into(), count.to_string().into()));
        }
    }
    fields.push(("Acknowledged".into(), acknowledged(conversation)));
    let waits_for = conversation.waits_for.as_ref();
    if let Some((service, incident)) = waits_for.filter(|_| conversation.acknowledged.is_none()) {
        let asked = Line::new().text("nobody while ").code(service);
        fields.push(("Asked".into(), asked.text(" fails: ").bold(incident)));
    }
    if let Some(team) = &first.routed.team {
        fields.push(("Team".into(), cut(team, 60).into()));
    }
    if let Some(links) = links(shown) {
        fields.push(("Links".into(), links));
    }
    fields
}

/// What other services fire, and which of all is the likely cause.
fn cause(
    bot: &Context,
    conversation: &Conversation,
    summary: &Summary,
    others: &[ServiceName],
) -> Option<Line> {
    let own = conversation
        .service
        .as_ref()
        .filter(|own| summary.firing > 0 && others.contains(own))?;
    let all = others.iter().cloned().collect();
    let depends = depends_on(bot);
    let order = likely_cause(&all, &depends);
    let rest: Vec<&ServiceName> = order.iter().filter(|one| *one != own).collect();
    if rest.is_empty() {
        return None;
    }
    let names: Vec<String> = rest.iter().take(5).map(ToString::to_string).collect();
    let mut line = Line::new().text("Also firing: ").code(names.join(", "));
    if let Some(first) = order.first()
        && depends.values().any(|below| below.contains(first))
    {
        line = if first == own {
            line.text(". Others stand on ")
                .code(own)
                .text(": it is the likely cause")
        } else {
            line.text(". Likely cause: ").code(first)
        };
    }
    Some(line)
}
