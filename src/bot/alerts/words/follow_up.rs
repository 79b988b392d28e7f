//! The sentences of follow-ups, and of the end.

use jiff::Timestamp;

use super::changed::changes;
use super::parts::{acknowledged, alerts, buttons};
use crate::domain::alert::{Conversation, Summary};
use crate::domain::{Button, Entry, Incident, Line, Message, ServiceName, Style, Tone, duration};

/// Does it still fire?
pub(crate) fn follow_up(
    conversation: &Conversation,
    summary: &Summary,
    changed: &[Entry],
    now: Timestamp,
) -> Message {
    let age = duration::text(duration::between(conversation.began_at, now));
    let title = match (summary.firing, conversation.says_left_out()) {
        (0, Some(left_out)) => format!("After {age}: {left_out}"),
        (n, None) => format!("{} after {age}", alerts(n, "still fires", "still fire")),
        (n, Some(left_out)) => {
            let title = alerts(n, "still fires", "still fire");
            format!("{title} after {age}, and {left_out}")
        }
    };
    let ack = Line::new().text("Acknowledged ");
    let message = Message::new(Tone::Warning, title).text(ack.line(acknowledged(conversation)));
    let message = match changes(changed, now) {
        None => message.text("Nothing was changed by the bot since then"),
        Some(text) => message.text("Changed since then:").code(text),
    };
    message.buttons(buttons(conversation, summary.firing > 0))
}

/// What is said once nothing fires any more.
pub(crate) struct After {
    /// The alerts.
    pub(crate) summary: Summary,
    /// The services at their worst, and now.
    pub(crate) figures: Vec<(ServiceName, String)>,
    /// What was changed since it began, oldest first.
    pub(crate) changes: Vec<Entry>,
}

impl After {
    /// The figures, for the timeline.
    pub(crate) fn text(&self) -> Option<String> {
        let said: Vec<String> = self
            .figures
            .iter()
            .map(|(service, figures)| format!("{service}: {figures}"))
            .collect();
        (!said.is_empty()).then(|| format!("at the worst → now: {}", said.join("; ")))
    }
}

/// Nothing fires any more, for long enough.
pub(crate) fn quiet(
    conversation: &Conversation,
    incident: Option<&Incident>,
    after: &After,
    resolved: bool,
    now: Timestamp,
) -> Message {
    let summary = &after.summary;
    let quiet = conversation.quiet_since.unwrap_or(now);
    let lasted = duration::text(duration::between(conversation.began_at, quiet));
    let calm = duration::text(duration::between(quiet, now));
    let what = alerts(summary.resolved, "fired", "fired");
    let title = format!("Quiet for {calm}: {what} over {lasted}");
    let mut message = Message::new(Tone::Good, title);
    for (service, figures) in &after.figures {
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
    if let Some(text) = changes(&after.changes, now) {
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
            Button::new("Resolve…", format!("resolve --incident {}", incident.id))
                .style(Style::Primary),
            Button::new("Timeline", format!("timeline {}", incident.id)),
        ])
    }
}
