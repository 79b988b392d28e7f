//! The sentences about the first look.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::changed::changes;
use crate::domain::alert::Conversation;
use crate::domain::timeline::cut;
use crate::domain::{Entry, Line, Message, Part, Tone, duration};

/// A change that is younger is pointed at.
const FRESH: std::time::Duration = std::time::Duration::from_secs(3_600);

/// An answer for machines and for people, or why there is none.
pub(crate) type Answered = Result<(Value, Message), String>;

/// What a service runs.
#[derive(Debug, Serialize)]
pub(crate) struct Image {
    pub(crate) present: String,
    /// Where the platform knows.
    pub(crate) since: Option<Timestamp>,
    /// What it ran before.
    pub(crate) former: Option<String>,
}

/// Lines or events of a kind.
#[derive(Debug, Serialize)]
pub(crate) struct Said {
    /// Empty where those of all replicas are taken together.
    pub(crate) replica: String,
    /// The newest of them.
    pub(crate) text: String,
    pub(crate) count: usize,
    pub(crate) last: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) order: usize,
}

/// What a replica wrote before it ended.
pub(crate) struct LastWords {
    pub(crate) replica: String,
    /// Such as `ended 12s ago, exit code 1`.
    pub(crate) ended: String,
    /// Oldest first.
    pub(crate) lines: Result<Vec<String>, String>,
}

/// What was seen of a service.
pub(crate) struct Findings {
    pub(crate) status: Answered,
    pub(crate) stats: Answered,
    pub(crate) image: Result<Image, String>,
    /// What the platform saw, the newest first.
    pub(crate) events: Result<Vec<Said>, String>,
    /// Errors in the log, the newest first.
    pub(crate) errors: Result<Vec<Said>, String>,
    /// Whose log could not be read, and why.
    pub(crate) unread: Option<String>,
    pub(crate) last_words: Vec<LastWords>,
    /// What the bot changed lately, oldest first.
    pub(crate) changes: Vec<Entry>,
}

impl Findings {
    /// As people read it.
    pub(crate) fn message(&self, conversation: &Conversation, now: Timestamp) -> Message {
        let mut title = Line::new().text("A first look");
        if let Some(service) = &conversation.service {
            title = title.text(" at ").code(service);
        }
        let mut message = answered(Message::new(Tone::Plain, title), "status", &self.status);
        for line in self.image_lines(now) {
            message = message.text(line);
        }
        message = answered(message, "stats", &self.stats);
        for dead in &self.last_words {
            let LastWords {
                replica,
                ended,
                lines,
            } = dead;
            let about = Line::new().text("Last words of ").bold(replica);
            message = match lines {
                Err(why) => message.text(about.text(format!(": {}", cut(why, 200)))),
                Ok(lines) if lines.is_empty() => {
                    message.text(about.text(format!(" ({ended}): none in its log")))
                }
                Ok(lines) => message
                    .text(about.text(format!(" ({ended}):")))
                    .code(lines.join("\n")),
            };
        }
        message = match &self.errors {
            Err(why) => message.text(format!("Its log: {}", cut(why, 200))),
            Ok(errors) if errors.is_empty() => message
                .text("No line with “error”, “fatal” or “panic” in the log of the last 15 min"),
            Ok(errors) => message
                .text("Newest errors in the log of the last 15 min:")
                .code(said(errors, 5)),
        };
        if let Some(unread) = &self.unread {
            message = message.text(format!("Lines are missing {}", cut(unread, 200)));
        }
        message = match &self.events {
            Err(why) => message.text(format!("What the platform saw: {}", cut(why, 200))),
            Ok(events) if events.is_empty() => message,
            Ok(events) => message
                .text("What the platform saw in the last hour:")
                .code(said(events, 8)),
        };
        match changes(&self.changes, now) {
            None => message.text("Nothing was changed by the bot in the last hour"),
            Some(text) => message
                .text("Changed by the bot in the last hour:")
                .code(text),
        }
    }

    /// What it runs, and by whose hand where that is fresh.
    fn image_lines(&self, now: Timestamp) -> Vec<Line> {
        let image = match &self.image {
            Ok(image) => image,
            Err(why) => return vec![format!("Image: {}", cut(why, 200)).into()],
        };
        let mut line = Line::new().text("Image ").code(cut(&image.present, 200));
        line = match image.since {
            Some(since) => line.text(format!(
                " for {}",
                duration::text(duration::between(since, now))
            )),
            None => line.text(", since when is not known"),
        };
        if let Some(former) = &image.former {
            line = line.text("; before: ").code(cut(former, 200));
        }
        let mut lines = vec![line];
        let fresh = image.since.filter(|since| *since + FRESH > now);
        if fresh.is_some() && image.former.is_some() {
            let own = self.changes.iter().any(|entry| {
                let text = entry.text.to_lowercase();
                text.contains("deployed") || text.contains("rolled back")
            });
            lines.push(Line::from(if own {
                "⚠️ It got another image within the last hour"
            } else {
                "⚠️ It got another image within the last hour, not by the bot"
            }));
        }
        lines
    }

    /// The same in one line, for the timeline.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let mut said = vec![title("status", &self.status)];
        said.extend(self.image_lines(now).iter().map(Line::plain));
        said.push(match &self.stats {
            Ok((value, _)) => figures(value),
            Err(_) => title("stats", &self.stats),
        });
        for dead in &self.last_words {
            if let Some(last) = dead.lines.as_ref().ok().and_then(|lines| lines.last()) {
                said.push(format!("last words of {}: {last}", dead.replica));
            }
        }
        if let Ok(errors) = &self.errors {
            said.extend(
                errors
                    .first()
                    .map(|one| format!("newest error ×{}: {}", one.count, one.text)),
            );
        }
        said.push(match self.changes.len() {
            1 => "1 change by the bot in the last hour".to_owned(),
            n => format!("{n} changes by the bot in the last hour"),
        });
        format!("a first look: {}", said.join("; "))
    }
}

fn title(what: &str, answer: &Answered) -> String {
    match answer {
        Ok((_, message)) => message.title.plain(),
        Err(why) => format!("{what}: {}", cut(why, 120)),
    }
}

/// What a probe tells people: title and what is wrong, but neither buttons nor pictures.
fn answered(message: Message, what: &str, answer: &Answered) -> Message {
    match answer {
        Err(why) => message.text(Line::new().code(what).text(format!(": {}", cut(why, 200)))),
        // Nothing runs that could be measured.
        Ok((value, _))
            if what == "stats" && value["replicas"].as_array().is_none_or(Vec::is_empty) =>
        {
            message
        }
        Ok((_, said)) => {
            // Replicas that are well are counted in the title; of tables the first counts: what
            // follows it (network, disk) is for who asks.
            let mut tables = 0;
            let mut wanted = |part: &&Part| match part {
                Part::Text(line) => !line.plain().starts_with("🟢 "),
                Part::Code(_) => {
                    tables += 1;
                    tables == 1
                }
                _ => false,
            };
            let parts = said.parts.iter().take(4).filter(&mut wanted).cloned();
            parts.fold(message.text(said.title.clone()), Message::part)
        }
    }
}

/// `memory 93 % of its limit, CPU 12 % of a core`.
fn figures(value: &Value) -> String {
    let cpu = value["cpu_percent"].as_f64().unwrap_or_default();
    let memory = match (
        value["memory_percent"].as_f64(),
        value["memory_bytes"].as_u64(),
    ) {
        (Some(percent), _) => format!("memory {percent:.0} % of its limit"),
        (None, bytes) => format!("memory {}", duration::bytes_text(bytes.unwrap_or_default())),
    };
    format!("{memory}, CPU {cpu:.0} % of a core")
}

/// `17:41:02 api-1: TypeError … ×8`, the newest first.
fn said(all: &[Said], most: usize) -> String {
    let line = |one: &Said| {
        let at = one.last;
        let at = at.map_or_else(String::new, |at| at.strftime("%H:%M:%S ").to_string());
        let count = match one.count {
            1 => String::new(),
            n => format!(" ×{n}"),
        };
        let replica = match one.replica.as_str() {
            "" => String::new(),
            replica => format!("{replica}: "),
        };
        format!("{at}{replica}{}{count}", one.text)
    };
    all.iter()
        .take(most)
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}
