//! `help`.

use clap::Args;

use crate::bot::Refusal;
use crate::bot::entry::Command;
use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::command::nearest;
use crate::domain::{Button, Line, Message, Role, Tone};

/// Show all commands, or how one is used
#[derive(Debug, Args)]
pub struct Help {
    /// A command, such as `restart` or `incident declare`
    topic: Vec<String>,
}

impl Command for Help {
    const WORDS: &'static str = "help";
    const ROLE: Role = Role::Nobody;

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let topic: Vec<String> = self.topic.iter().map(|word| word.to_lowercase()).collect();
        let topic = &topic;
        let name = &context.settings().command;
        if !topic.is_empty() {
            return match context.commands().help(topic, name) {
                Some(text) => Ok(Effect::Say(help_text(&text))),
                None => {
                    let near = context
                        .commands()
                        .reference(name)
                        .into_iter()
                        .filter_map(|(usage, _)| usage.split(' ').next().map(str::to_owned))
                        .collect::<Vec<_>>();
                    let refusal = Refusal::new(
                        Line::new()
                            .text("There is no command ")
                            .code(topic.join(" ")),
                    );
                    Err(match nearest(&topic[0], near.iter().map(String::as_str)) {
                        Some(near) => {
                            refusal.suggest(format!("help {near}"), format!("help {near}"))
                        }
                        None => refusal.suggest("help", "help"),
                    }
                    .into())
                }
            };
        }
        let lines: Vec<String> = context
            .commands()
            .reference(name)
            .into_iter()
            .map(|(usage, about)| format!("{usage}\n    {about}"))
            .collect();
        Ok(Effect::Say(Answer::to_asker(
            Message::new(
                Tone::Plain,
                Line::new().text("What ").code(name).text(" can do"),
            )
            .code(lines.join("\n"))
            .text(
                Line::new()
                    .text("More on one: ")
                    .code(context.typed("help restart"))
                    .text(". In a thread say the same words to me by a mention"),
            )
            .buttons(vec![
                Button::new("Menu", "menu"),
                Button::new("Status", "status"),
            ]),
        )))
    }
}

/// Help as clap writes it.
pub(in crate::bot) fn help_text(text: &str) -> Answer {
    Answer::to_asker(Message::new(Tone::Plain, "Help").code(text))
}
