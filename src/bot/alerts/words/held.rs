//! What a maintenance window holds, in its message.

use std::collections::BTreeMap;

use super::alerts;
use crate::domain::alert::AlertRecord;
use crate::domain::duration::{between, text};
use crate::domain::period::Period;
use crate::domain::timeline::cut;
use crate::domain::{Button, IncidentId, Line, Message, Tone};

/// Names of alerts that are listed.
const LISTED: usize = 6;

/// The message of a window that is open: what it is, what it holds, and what it does not.
pub(in crate::bot::alerts) fn window(
    window: &Period,
    held: &[AlertRecord],
    incident: Option<IncidentId>,
) -> Message {
    let length = text(between(window.begins_at, window.ends_at));
    let title = Line::new()
        .text("Maintenance of ")
        .code(window.scope())
        .text(" until ")
        .time(window.ends_at)
        .text(format!(" ({length})"));
    let by = Line::new().person(&window.by).text(": ");
    let mut message = Message::new(Tone::Plain, title).text(by.text(cut(&window.reason, 300)));
    if let Some(held) = held_text(held) {
        message = message.text(format!("🔕 Held: {held}"));
    }
    if let Some(id) = incident {
        let line = Line::new().bold(id).text(" is open, and stays so: ");
        message = message.text(line.text("what fired before is asked about as always"));
    }
    let end = Button::new("End it now", format!("window end {}", window.scope()));
    message.buttons(vec![end]).footer(format!(
        "Alerts of it that begin meanwhile are recorded, and nobody is asked; a {} is told all the same",
        Period::NEVER_HELD
    ))
}

/// What a window holds, in a line; `None`: nothing.
pub(in crate::bot) fn held_text(held: &[AlertRecord]) -> Option<String> {
    if held.is_empty() {
        return None;
    }
    let (fires, over): (Vec<_>, Vec<_>) = held.iter().partition(|one| one.tracked.is_active());
    let mut parts = Vec::new();
    if !fires.is_empty() {
        let names = names(&fires);
        let what = alerts(fires.len(), "fires", "fire");
        parts.push(format!("{what} ({names})"));
    }
    if !over.is_empty() {
        let names = names(&over);
        let what = alerts(
            over.len(),
            "was there and is over",
            "were there and are over",
        );
        parts.push(format!("{what} ({names})"));
    }
    Some(parts.join("; "))
}

fn names(records: &[&AlertRecord]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(record.tracked.alert.name()).or_default() += 1;
    }
    let listed = counts.iter().take(LISTED).map(|(name, count)| match count {
        1 => cut(name, 60),
        n => format!("{} ×{n}", cut(name, 60)),
    });
    let mut listed: Vec<String> = listed.collect();
    if counts.len() > LISTED {
        listed.push(format!("and {} more", counts.len() - LISTED));
    }
    listed.join(", ")
}
