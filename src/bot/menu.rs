//! Help, the menu for a phone, the version.

use super::request::Answer;
use super::{Context, Refusal};
use crate::command::{self, Mistake};
use crate::domain::{Button, Line, Message, Part, Style, Tone};

pub(super) fn version() -> Answer {
    Answer::to_asker(Message::new(
        Tone::Plain,
        Line::new()
            .text("treasury-bot ")
            .code(env!("CARGO_PKG_VERSION")),
    ))
}

/// All commands, or how one is used.
pub(super) fn help(context: &Context, topic: &[String]) -> Result<Answer, Refusal> {
    let name = &context.settings().command;
    if !topic.is_empty() {
        return match command::help(topic, name) {
            Some(text) => Ok(help_text(&text)),
            None => {
                let near = command::reference(name)
                    .into_iter()
                    .filter_map(|(usage, _)| usage.split(' ').next().map(str::to_owned))
                    .collect::<Vec<_>>();
                let refusal = Refusal::new(
                    Line::new()
                        .text("There is no command ")
                        .code(topic.join(" ")),
                );
                Err(
                    match command::nearest(&topic[0], near.iter().map(String::as_str)) {
                        Some(near) => {
                            refusal.suggest(format!("help {near}"), format!("help {near}"))
                        }
                        None => refusal.suggest("help", "help"),
                    },
                )
            }
        };
    }
    let lines: Vec<String> = command::reference(name)
        .into_iter()
        .map(|(usage, about)| format!("{usage}\n    {about}"))
        .collect();
    Ok(Answer::to_asker(
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
    ))
}

pub(super) fn help_text(text: &str) -> Answer {
    Answer::to_asker(Message::new(Tone::Plain, "Help").code(text))
}

pub(super) fn not_understood(mistake: Mistake) -> Refusal {
    let mut refusal =
        Refusal::new("I did not understand that. Nothing was done").detail(mistake.text);
    for sentence in mistake.suggestions {
        refusal = refusal.suggest(sentence.clone(), sentence);
    }
    refusal.suggest("Help", "help")
}

/// Pick a service, then what to do with it.
pub(super) fn menu(context: &Context, service: Option<&str>) -> Result<Answer, Refusal> {
    let Some(service) = service else {
        let services = context.catalogue().services();
        let choices = services
            .iter()
            .take(100)
            .map(|service| (service.name.to_string(), service.name.to_string()))
            .collect::<Vec<_>>();
        let mut message = Message::new(Tone::Plain, "What do you want to look at?");
        message = match choices.len() {
            0 => message.text("No service is configured"),
            // A few fit under the thumb; many need a list.
            1..=5 => message.buttons(
                choices
                    .iter()
                    .map(|(name, label)| Button::new(label, format!("menu {name}")))
                    .collect(),
            ),
            _ => message.part(Part::Menu {
                placeholder: "Pick a service".into(),
                sentence: "menu {}".into(),
                choices,
            }),
        };
        return Ok(Answer::to_asker(message.buttons(vec![
            Button::new("Status of all", "status"),
            Button::new("Incidents", "incident list"),
            Button::new("Help", "help"),
        ])));
    };
    let (service, _) = context
        .catalogue()
        .find(service, |name| format!("menu {name}"))?;
    let name = &service.name;
    let (min, max) = (service.min_replicas, service.max_replicas);
    let mut message = Message::new(
        Tone::Plain,
        Line::new().text("What about ").code(name).text("?"),
    )
    .buttons(vec![
        Button::new("Status", format!("status {name}")),
        Button::new("Logs", format!("logs {name}")),
        Button::new("Stats", format!("stats {name}")),
        Button::new("Events", format!("events {name}")),
        Button::new("Restart", format!("restart {name}")).style(Style::Danger),
    ]);
    if min < max {
        message = message.part(Part::Menu {
            placeholder: "Scale to …".into(),
            sentence: format!("scale {name} {{}}"),
            choices: (min..=max)
                .take(100)
                .map(|n| {
                    (
                        n.to_string(),
                        format!("{n} replica{}", if n == 1 { "" } else { "s" }),
                    )
                })
                .collect(),
        });
    }
    Ok(Answer::to_asker(message))
}
