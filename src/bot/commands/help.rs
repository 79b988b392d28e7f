//! `help`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::command::nearest;
use crate::domain::{Button, Line, Message, Role, Tone};

/// What `help` shows together: a title, which is also a topic, and the first words of its commands.
pub(super) const CHAPTERS: [(&str, &[&str]); 8] = [
    (
        "Look",
        &["status", "logs", "stats", "events", "graph", "check"],
    ),
    (
        "Act",
        &[
            "restart", "scale", "bounds", "deploy", "rollback", "isolate", "release",
        ],
    ),
    ("Data", &["db", "cache"]),
    (
        "Incidents",
        &[
            "incident", "note", "update", "timeline", "mitigate", "resolve", "close", "reopen",
            "export", "page",
        ],
    ),
    (
        "On call",
        &["alerts", "ack", "silence", "oncall", "heartbeat"],
    ),
    ("Runbooks", &["runbook"]),
    (
        "Routine",
        &["backup", "window", "freeze", "task", "checklist"],
    ),
    ("More", &["menu", "help", "audit", "version"]),
];

/// Show all commands, or how one is used
#[derive(Debug, Args)]
pub struct Help {
    /// A command, such as `restart` or `incident declare`, or a group such as `db`
    topic: Vec<String>,
}

impl Command for Help {
    const WORDS: &'static str = "help";
    const ROLE: Role = Role::Nobody;

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let topic: Vec<String> = self.topic.iter().map(|word| word.to_lowercase()).collect();
        if topic.is_empty() {
            return Ok(Effect::Say(Answer::to_asker(overview(context))));
        }
        let name = &context.settings().command;
        let rows = context.commands().reference(name);
        let topic_words = topic.join(" ");
        let chapter = CHAPTERS
            .iter()
            .find(|(title, _)| title.to_lowercase() == topic_words);
        let of = |words: &[&str]| {
            let first = |usage: &str| usage.split(' ').next().unwrap_or_default().to_owned();
            let rows = rows.iter();
            let own = rows.filter(|(usage, _)| words.contains(&first(usage).as_str()));
            own.cloned().collect::<Vec<_>>()
        };
        if let Some((title, words)) = chapter {
            return Ok(Effect::Say(Answer::to_asker(list(title, of(words)))));
        }
        // A group, such as `db`, is its commands.
        let group = of(&[topic_words.as_str()]);
        if group.len() > 1 {
            return Ok(Effect::Say(Answer::to_asker(list(&topic_words, group))));
        }
        if let Some(text) = context.commands().help(&topic, name) {
            return Ok(Effect::Say(help_text(&text)));
        }
        let line = Line::new().text("There is no command ").code(&topic_words);
        let near: Vec<String> = rows
            .iter()
            .filter_map(|(usage, _)| usage.split(' ').next().map(str::to_owned))
            .collect();
        let refusal = Refusal::new(line);
        Err(match nearest(&topic[0], near.iter().map(String::as_str)) {
            Some(near) => refusal.suggest(format!("help {near}"), format!("help {near}")),
            None => refusal.suggest("help", "help"),
        }
        .into())
    }
}

/// The names of all commands on one screen of a phone.
fn overview(context: &Context) -> Message {
    let title = Line::new().code(&context.settings().command);
    let mut message = Message::new(Tone::Plain, title.text(" and one of these words"));
    for (title, words) in CHAPTERS {
        let mut line = Line::new().bold(title).text(": ");
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                line = line.text(" · ");
            }
            line = line.code(word);
        }
        message = message.text(line);
    }
    let open = |(title, _): (&str, _)| Button::new(title, format!("help {}", title.to_lowercase()));
    let typed = |words: &str| context.typed(words);
    message
        .buttons(CHAPTERS.map(open).to_vec())
        .footer(Line::new().text("More: ").code(typed("help restart")))
        .footer(Line::new().code(typed("help db")))
        .footer("In a thread, mention me and say the same words")
}

/// Each command with its purpose.
fn list(title: &str, rows: Vec<(String, String)>) -> Message {
    let mut lines = Line::new();
    for (at, (usage, about)) in rows.into_iter().enumerate() {
        if at > 0 {
            lines = lines.text("\n");
        }
        lines = lines.code(usage).text(format!("  {about}"));
    }
    let title = Line::new().text("Help: ").bold(title);
    Message::new(Tone::Plain, title)
        .text(lines)
        .buttons(vec![Button::new("All commands", "help")])
}

/// Help as clap writes it.
pub(in crate::bot) fn help_text(text: &str) -> Answer {
    Answer::to_asker(Message::new(Tone::Plain, "Help").code(text))
}
