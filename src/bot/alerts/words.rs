//! The sentences about alerts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::figures::Figures;
use super::look::Seen;
use crate::bot::Context;
use crate::domain::alert::Conversation;
use crate::domain::alert::{Summary, likely_cause};
use crate::domain::timeline::cut;
use crate::domain::{
    Button, Entry, Incident, Line, Message, Part, Person, ServiceName, Severity, Span, Style, Tone,
    duration,
};

/// The message that shows how the alerts of a conversation stand.
pub(super) fn alerts(
    bot: &Context,
    conversation: &Conversation,
    summary: &Summary,
    others: &[ServiceName],
    now: Timestamp,
) -> Message {
    let first = &conversation.first;
    let loud = summary.firing - summary.silenced.min(summary.firing);
    let tone = match (summary.firing, first.routed.severity) {
        (0, _) => Tone::Good,
        _ if loud == 0 || conversation.acknowledged.is_some() => Tone::Warning,
        (_, Severity::Sev1 | Severity::Sev2) => Tone::Bad,
        _ => Tone::Warning,
    };
    let mut title = Line::new();
    title = match (summary.firing, summary.resolved) {
        (0, 1) => title.text("1 alert is over"),
        (0, n) => title.text(format!("{n} alerts are over")),
        (1, _) => title.text("1 alert fires"),
        (n, _) => title.text(format!("{n} alerts fire")),
    };
    if let Some(service) = &conversation.service {
        title = title.text(" for ").code(service);
    }
    let mut message = Message::new(tone, title);
    for name in &summary.top {
        let mut line = Line::new()
            .text(if name.firing > 0 { "🔥 " } else { "✅ " })
            .bold(cut(&name.name, 80));
        if name.all > 1 {
            line = line.text(format!(
                " ×{}",
                name.firing.max(usize::from(summary.firing == 0) * name.all)
            ));
        }
        line = line
            .text(format!("  {}  ", cut(&name.summary, 200)))
            .code(&name.short);
        if let Some(flaps) = &name.flaps {
            line = line.text(format!("  {flaps}"));
        }
        message = message.text(line);
    }
    if summary.more > 0 {
        message = message.text(format!(
            "… and {} further kinds: `alerts` lists them",
            summary.more
        ));
    }
    if let Some(line) = cause(bot, conversation, summary, others) {
        message = message.text(line);
    }
    let mut fields = vec![(
        "Severity".to_owned(),
        Line::from(first.routed.severity.to_string()),
    )];
    if let Some(since) = summary.since {
        let age = duration::text(duration::between(since, now));
        fields.push((
            "Fires since".into(),
            Line::new().time(since).text(format!(" ({age})")),
        ));
    }
    for (label, name) in [("Value", "value"), ("Threshold", "threshold")] {
        if let (Some(value), 1) = (first.tracked.alert.annotation(name), summary.firing) {
            fields.push((label.into(), cut(value, 300).into()));
        }
    }
    if summary.resolved > 0 && summary.firing > 0 {
        fields.push(("Over".into(), summary.resolved.to_string().into()));
    }
    if summary.silenced > 0 {
        fields.push(("Silenced".into(), summary.silenced.to_string().into()));
    }
    fields.push(("Acknowledged".into(), acknowledged(conversation)));
    if let Some(team) = &first.routed.team {
        fields.push(("Team".into(), cut(team, 60).into()));
    }
    if let Some(url) = link(conversation) {
        fields.push(("Source".into(), url));
    }
    message
        .part(Part::Fields(fields))
        .buttons(buttons(conversation, summary))
}

fn acknowledged(conversation: &Conversation) -> Line {
    match &conversation.acknowledged {
        None => "by nobody yet".into(),
        Some((person, at)) => Line::new()
            .text("by ")
            .person(person)
            .text(" at ")
            .time(*at),
    }
}

/// Where the alert was made, if that is an address.
pub(in crate::bot) fn link(conversation: &Conversation) -> Option<Line> {
    let url = conversation
        .first
        .tracked
        .alert
        .other
        .get("generatorURL")?
        .as_str()?;
    let good = (url.starts_with("http://") || url.starts_with("https://")) && url.len() < 1_000;
    good.then(|| {
        Line(vec![Span::Link {
            url: url.to_owned(),
            text: "graph".to_owned(),
        }])
    })
}

fn buttons(conversation: &Conversation, summary: &Summary) -> Vec<Button> {
    let mut buttons = Vec::new();
    let target = target(conversation);
    if summary.firing > 0 {
        if conversation.acknowledged.is_none() {
            buttons.push(Button::new("Acknowledge", format!("ack {target}")).style(Style::Primary));
        }
        if let Some(runbook) = &conversation.runbook {
            let service = conversation
                .service
                .as_ref()
                .map(|service| format!(" service={service}"))
                .unwrap_or_default();
            buttons.push(Button::new(
                cut(&format!("Run {runbook}"), 70),
                format!("runbook run {runbook}{service}"),
            ));
        }
        buttons.push(Button::new("Silence 1 h", format!("silence {target} 1h")));
        if conversation.incident.is_none() {
            let service = conversation
                .service
                .as_ref()
                .map(|service| format!(" --service {service}"))
                .unwrap_or_default();
            let summary = conversation.first.tracked.alert.summary();
            buttons.push(Button::new(
                "Declare incident",
                format!(
                    "incident declare {} --severity {}{service}",
                    crate::command::words::quote(&cut(summary, 150)),
                    conversation.first.routed.severity
                ),
            ));
        }
    }
    if let Some(service) = &conversation.service {
        buttons.push(Button::new(
            format!("{service} …"),
            format!("menu {service}"),
        ));
    }
    buttons
}

/// What names all alerts of a conversation in a sentence.
pub(in crate::bot) fn target(conversation: &Conversation) -> String {
    match conversation.incident {
        Some(id) => id.to_string(),
        None => conversation.first.tracked.alert.short().to_owned(),
    }
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
        .filter(|_| summary.firing > 0)?;
    let all = others.iter().chain([own]).cloned().collect();
    let depends = bot.catalogue().services().iter();
    let depends: BTreeMap<_, _> = depends
        .map(|service| (service.name.clone(), service.depends_on.clone()))
        .collect();
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

/// What the bot saw by itself.
pub(super) fn seen(conversation: &Conversation, seen: &Seen, now: Timestamp) -> Message {
    let mut title = Line::new().text("A first look");
    if let Some(service) = &conversation.service {
        title = title.text(" at ").code(service);
    }
    let mut message = Message::new(Tone::Plain, title);
    for (name, answer) in &seen.answers {
        match answer {
            Err(why) => {
                let line = Line::new().code(name).text(format!(": {}", cut(why, 200)));
                message = message.text(line);
            }
            Ok((value, said)) => match *name {
                "service.logs" => {
                    let lines = log_lines(value);
                    if lines.is_empty() {
                        message =
                            message.text("No line with “error” in the log of the last 15 min");
                    } else {
                        message = message.text("Errors in the log:").code(lines);
                    }
                }
                "service.events" => {
                    if let Some(events) = events(value) {
                        message = message
                            .text("What the platform saw in the last hour:")
                            .code(events);
                    }
                }
                _ => {
                    message = message.text(said.title.clone());
                    // The replicas, but neither buttons nor pictures.
                    for part in said.parts.iter().take(4) {
                        if matches!(part, Part::Text(_) | Part::Code(_)) {
                            message = message.part(part.clone());
                        }
                    }
                }
            },
        }
    }
    message = match changes(&seen.changes, now) {
        None => message.text("Nothing was changed by the bot in the last hour"),
        Some(text) => message.text("Changed in the last hour:").code(text),
    };
    message
}

/// The same in one line, for the timeline.
pub(super) fn seen_text(seen: &Seen) -> String {
    let said: Vec<String> = seen
        .answers
        .iter()
        .map(|(name, answer)| match answer {
            Ok((_, message)) => message.title.plain(),
            Err(why) => format!("{name}: {}", cut(why, 120)),
        })
        .collect();
    format!(
        "a first look: {}; {} changes in the last hour",
        said.join("; "),
        seen.changes.len()
    )
}

fn log_lines(value: &Value) -> String {
    let lines = value["lines"].as_array().map_or(&[][..], Vec::as_slice);
    let lines: Vec<String> = lines
        .iter()
        .map(|line| {
            let replica = line["replica"].as_str().unwrap_or_default();
            format!(
                "{replica}: {}",
                cut(line["text"].as_str().unwrap_or_default(), 300)
            )
        })
        .collect();
    lines.join("\n")
}

fn events(value: &Value) -> Option<String> {
    let events = value["events"].as_array()?;
    let lines: Vec<String> = events
        .iter()
        .rev()
        .take(8)
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let at = text("at").parse::<Timestamp>().ok();
            let at = at.map_or_else(String::new, |at| at.strftime("%H:%M:%S").to_string());
            format!(
                "{at} {}: {} {}",
                text("replica"),
                text("what"),
                text("detail")
            )
        })
        .collect();
    (!lines.is_empty()).then(|| lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

fn changes(entries: &[Entry], now: Timestamp) -> Option<String> {
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| {
            let ago = duration::text(duration::between(entry.at, now));
            format!("{ago} ago, {}: {}", entry.actor, cut(&entry.text, 200))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Does it still fire?
pub(super) fn follow_up(
    conversation: &Conversation,
    summary: &Summary,
    changed: &[Entry],
    now: Timestamp,
) -> Message {
    let age = duration::text(duration::between(conversation.began_at, now));
    let verb = if summary.firing == 1 {
        "alert still fires"
    } else {
        "alerts still fire"
    };
    let title = Line::new().text(format!("{} {verb} after {age}", summary.firing));
    let mut message = Message::new(Tone::Warning, title);
    let ack = Line::new()
        .text("Acknowledged ")
        .line(acknowledged(conversation));
    message = message.text(ack);
    message = match changes(changed, now) {
        None => message.text("Nothing was changed by the bot since then"),
        Some(text) => message.text("Changed since then:").code(text),
    };
    message.buttons(buttons(conversation, summary))
}

/// Nobody has acknowledged: these people are asked.
pub(super) fn escalation(
    conversation: &Conversation,
    incident: Option<&Incident>,
    whom: &[Person],
    now: Timestamp,
) -> Message {
    let mut title = Line::new();
    if let Some(incident) = incident {
        title = title
            .bold(incident.id)
            .text(format!(" {}: ", incident.severity));
    }
    title = title.text(cut(conversation.first.tracked.alert.summary(), 150));
    let mut line = Line::new();
    for person in whom {
        line = line.person(person).text(" ");
    }
    let age = duration::between(conversation.began_at, now);
    line = if age.as_secs() < 30 {
        line.text("please acknowledge")
    } else {
        line.text(format!(
            "please acknowledge: nobody has for {}",
            duration::text(age)
        ))
    };
    if let Some(place) = incident.and_then(|one| one.place.as_ref()) {
        line = line.text(" — ").channel(place.channel.clone());
    }
    let target = target(conversation);
    Message::new(Tone::Bad, title).text(line).buttons(vec![
        Button::new("Acknowledge", format!("ack {target}")).style(Style::Primary),
    ])
}

/// What is told once nothing fires any more.
pub(super) struct After<'a> {
    /// The alerts.
    pub(super) summary: &'a Summary,
    /// How the services stood at their worst, and now.
    pub(super) figures: &'a Figures,
    /// What was changed since it began, oldest first.
    pub(super) changes: &'a [Entry],
}

impl After<'_> {
    /// The figures, for the timeline.
    pub(super) fn text(&self) -> Option<String> {
        let said: Vec<String> = self
            .figures
            .iter()
            .map(|(service, figures)| format!("{service}: {figures}"))
            .collect();
        (!said.is_empty()).then(|| format!("at the worst → now: {}", said.join("; ")))
    }
}

/// Nothing fires any more, for long enough.
pub(super) fn quiet(
    conversation: &Conversation,
    incident: Option<&Incident>,
    after: &After<'_>,
    resolved: bool,
    now: Timestamp,
) -> Message {
    let summary = after.summary;
    let quiet = conversation.quiet_since.unwrap_or(now);
    let lasted = duration::text(duration::between(conversation.began_at, quiet));
    let calm = duration::text(duration::between(quiet, now));
    let alerts = if summary.resolved == 1 {
        "1 alert"
    } else {
        "alerts"
    };
    let count = if summary.resolved == 1 {
        String::new()
    } else {
        format!("{} ", summary.resolved)
    };
    let title = format!("Quiet for {calm}: {count}{alerts} fired over {lasted}");
    let mut message = Message::new(Tone::Good, title);
    for (service, figures) in after.figures {
        let line = Line::new().bold(service).text(format!(": {figures}"));
        message = message.text(line);
    }
    if let Some((person, at)) = &conversation.acknowledged {
        let span = duration::text(duration::between(conversation.began_at, *at));
        let line = Line::new()
            .text("Acknowledged by ")
            .person(person)
            .text(format!(" after {span}"));
        message = message.text(line);
    }
    if let Some(text) = changes(after.changes, now) {
        message = message.text("Done since it began:").code(text);
    }
    let Some(incident) = incident else {
        return message;
    };
    if resolved {
        message = message.text(Line::new().bold(incident.id).text(" is resolved"));
        message.buttons(vec![
            Button::new("Export", format!("export {}", incident.id)),
            Button::new("Reopen", format!("reopen {}", incident.id)),
        ])
    } else {
        let line = Line::new()
            .text("Shall ")
            .bold(incident.id)
            .text(" be resolved?");
        message.text(line).buttons(vec![
            Button::new("Resolve", format!("resolve --incident {}", incident.id))
                .style(Style::Primary),
            Button::new("Timeline", format!("timeline {}", incident.id)),
        ])
    }
}
