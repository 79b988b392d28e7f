//! `menu`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{Button, Line, Message, Part, Style, Tone, counted};

/// Show a menu of services and actions
#[derive(Debug, PartialEq, Args)]
pub struct Menu {
    /// The service
    pub(super) service: Option<String>,
}

impl Command for Menu {
    const WORDS: &'static str = "menu";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let Some(service) = self.service.as_deref() else {
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
            let buttons = vec![
                Button::new("Status of all", "status"),
                Button::new("Alerts", "alerts"),
                Button::new("Incidents", "incident list"),
                Button::new("Declare an incident…", "incident declare"),
                Button::new("On call", "oncall"),
                Button::new("Runbooks", "runbook"),
                Button::new("Help", "help"),
            ];
            return Ok(Effect::Say(Answer::to_asker(message.buttons(buttons))));
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
                    .map(|n| (n.to_string(), counted(n, "replica")))
                    .collect(),
            });
        }
        Ok(Effect::Say(Answer::to_asker(message)))
    }
}
