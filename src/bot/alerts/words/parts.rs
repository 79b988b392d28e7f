//! Parts that several messages about alerts share.

use crate::command::words::quote;
use crate::domain::alert::{Conversation, Summary};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Span, Style};

/// `1 alert fires`, `2 alerts fire`.
pub(crate) fn alerts(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 alert {one}"),
        n => format!("{n} alerts {many}"),
    }
}

pub(super) fn acknowledged(conversation: &Conversation) -> Line {
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
pub(super) fn link(conversation: &Conversation) -> Option<Line> {
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

/// What can be done about a conversation whose alerts fire.
pub(super) fn buttons_for_firing(conversation: &Conversation) -> Vec<Button> {
    let firing = Summary {
        firing: 1,
        ..Summary::default()
    };
    buttons(conversation, &firing)
}

pub(super) fn buttons(conversation: &Conversation, summary: &Summary) -> Vec<Button> {
    let mut buttons = Vec::new();
    let target = target(conversation);
    let service = |before: &str| match &conversation.service {
        Some(service) => format!("{before}{service}"),
        None => String::new(),
    };
    if summary.firing > 0 {
        if conversation.acknowledged.is_none() {
            buttons.push(Button::new("Acknowledge", format!("ack {target}")).style(Style::Primary));
        }
        if let Some(runbook) = &conversation.runbook {
            let service = service(" service=");
            buttons.push(Button::new(
                cut(&format!("Run {runbook}"), 70),
                format!("runbook run {runbook}{service}"),
            ));
        }
        buttons.push(Button::new("Silence 1 h", format!("silence {target} 1h")));
        if conversation.incident.is_none() {
            let service = service(" --service ");
            let title = quote(&cut(conversation.first.tracked.alert.summary(), 150));
            buttons.push(Button::new(
                "Declare incident",
                format!(
                    "incident declare {title} --severity {}{service}",
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
pub(crate) fn target(conversation: &Conversation) -> String {
    match conversation.incident {
        Some(id) => id.to_string(),
        None => conversation.first.tracked.alert.short().to_owned(),
    }
}
