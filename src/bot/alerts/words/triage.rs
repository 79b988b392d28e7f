//! The sentences about the first look.

use jiff::Timestamp;
use serde_json::Value;

use super::changed::changes;
use crate::domain::alert::Conversation;
use crate::domain::timeline::cut;
use crate::domain::{Entry, Line, Message, Part, Tone};

/// An answer for machines and for people, or why there is none.
type Answered = Result<(Value, Message), String>;

/// What was seen of a service.
pub(crate) struct Findings {
    /// Each question with its answer.
    pub(crate) answers: Vec<(&'static str, Answered)>,
    /// What was changed lately, oldest first.
    pub(crate) changes: Vec<Entry>,
}

impl Findings {
    /// As people read it.
    pub(crate) fn message(&self, conversation: &Conversation, now: Timestamp) -> Message {
        let mut title = Line::new().text("A first look");
        if let Some(service) = &conversation.service {
            title = title.text(" at ").code(service);
        }
        let mut message = Message::new(Tone::Plain, title);
        for (name, answer) in &self.answers {
            message = match (answer, *name) {
                (Err(why), name) => {
                    message.text(Line::new().code(name).text(format!(": {}", cut(why, 200))))
                }
                (Ok((value, _)), "service.logs") => match log_lines(value) {
                    lines if lines.is_empty() => {
                        message.text("No line with “error” in the log of the last 15 min")
                    }
                    lines => message.text("Errors in the log:").code(lines),
                },
                (Ok((value, _)), "service.events") => match events(value) {
                    None => message,
                    Some(events) => message
                        .text("What the platform saw in the last hour:")
                        .code(events),
                },
                (Ok((_, said)), _) => {
                    // The replicas, but neither buttons nor pictures.
                    let parts = said.parts.iter().take(4);
                    parts
                        .filter(|part| matches!(part, Part::Text(_) | Part::Code(_)))
                        .cloned()
                        .fold(message.text(said.title.clone()), Message::part)
                }
            };
        }
        match changes(&self.changes, now) {
            None => message.text("Nothing was changed by the bot in the last hour"),
            Some(text) => message.text("Changed in the last hour:").code(text),
        }
    }

    /// The same in one line, for the timeline.
    pub(crate) fn text(&self) -> String {
        let said = self.answers.iter().map(|(name, answer)| match answer {
            Ok((_, message)) => message.title.plain(),
            Err(why) => format!("{name}: {}", cut(why, 120)),
        });
        format!(
            "a first look: {}; {} changes in the last hour",
            said.collect::<Vec<_>>().join("; "),
            self.changes.len()
        )
    }
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn log_lines(value: &Value) -> String {
    let lines = value["lines"].as_array().into_iter().flatten();
    let line = |line| {
        format!(
            "{}: {}",
            field(line, "replica"),
            cut(field(line, "text"), 300)
        )
    };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

/// The last events, oldest first.
fn events(value: &Value) -> Option<String> {
    let events = value["events"].as_array().filter(|all| !all.is_empty())?;
    let last = &events[events.len().saturating_sub(8)..];
    let line = |event: &Value| {
        let at = field(event, "at").parse::<Timestamp>().ok();
        let at = at.map_or_else(String::new, |at| at.strftime("%H:%M:%S").to_string());
        let [replica, what, detail] = ["replica", "what", "detail"].map(|key| field(event, key));
        format!("{at} {replica}: {what} {detail}")
    };
    Some(last.iter().map(line).collect::<Vec<_>>().join("\n"))
}
