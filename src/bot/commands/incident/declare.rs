//! `incident declare`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::of_run::words;
use super::severity::{severity, severity_word};
use crate::bot::entry::{Command, Record, Recorded};
use crate::bot::incidents::declare;
use crate::bot::policy::who_may;
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::{IncidentId, Line, Message, Part, Role, Severity, Tone};

/// Declare an incident and open a channel for it
#[derive(Debug, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// What is wrong, in one line
    #[serde(deserialize_with = "words")]
    #[schemars(with = "String", description = "What is wrong, in one line.")]
    pub(in crate::bot::commands) title: Vec<String>,
    /// How bad: SEV1 (worst) to SEV4
    #[arg(long, default_value = "SEV3", value_parser = severity)]
    #[serde(default = "sev3", deserialize_with = "severity_word")]
    #[schemars(
        with = "String",
        description = "How bad: SEV1 (worst) to SEV4.",
        extend("enum" = ["SEV1", "SEV2", "SEV3", "SEV4"])
    )]
    pub(in crate::bot::commands) severity: Severity,
    /// A service concerned; may be given several times
    #[arg(long)]
    #[serde(default, deserialize_with = "words")]
    #[schemars(
        with = "Option<String>",
        description = "The service concerned.",
        extend("format" = "service", "default" = null)
    )]
    pub(in crate::bot::commands) service: Vec<String>,
}

impl Command for Declare {
    const WORDS: &'static str = "incident declare";
    /// `[access]` may narrow it.
    const ROLE: Role = Role::Nobody;
    const CHANGES: bool = true;
    const FREE_TEXT: bool = true;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        may_declare(context, ask).await?;
        if self.title.is_empty() {
            return Ok(Effect::Say(Answer::to_asker(what_is_wrong(context))));
        }
        let title = self.title.join(" ");
        declare(context, ask, &title, self.severity, &self.service)
    }
}

impl Record for Declare {
    const STEP: &'static str = "incident.declare";
    const SUMMARY: &'static str = "Declares an incident and opens a place to work on it";

    async fn record(
        self,
        context: &Context,
        ask: &Ask,
        _: Option<IncidentId>,
    ) -> Result<Recorded, Fault> {
        Ok(Recorded {
            effect: Some(self.carry_out(context, ask).await?),
            incident: None,
        })
    }
}

/// Nothing was said of what is wrong: how to say it, and what one press declares.
fn what_is_wrong(context: &Context) -> Message {
    let example = context.typed("incident declare Payments fail --severity SEV2 --service api");
    let message = Message::new(Tone::Question, "What is wrong?")
        .text(Line::new().text("Say it in one line: ").code(example))
        .text("SEV1 is the worst, SEV4 the least; SEV3 where you say nothing of it");
    let services = context.catalogue().services().iter().take(100);
    let choices: Vec<(String, String)> = services
        .map(|service| (service.name.to_string(), service.name.to_string()))
        .collect();
    if choices.is_empty() {
        return message;
    }
    message.part(Part::Menu {
        placeholder: "Or only pick a service: declares SEV3".into(),
        sentence: "incident declare Something is wrong --service {}".into(),
        choices,
    })
}

async fn may_declare(context: &Context, ask: &Ask) -> Result<(), Fault> {
    let person = &ask.request.person;
    let groups = context.store().groups_of(&person.id).await?;
    let access = &context.settings().access;
    if ask.role >= Role::Responder || access.may_declare(person, &groups) {
        return Ok(());
    }
    let may = who_may(context, Role::Responder, None).await?;
    let title = "You are not among those who may declare an incident. Nothing was done";
    let refusal = Refusal::new(title).detail(format!(
        "Fix: tell {may}, or have your id ({}) added to `declarers` under [access]",
        person.id
    ));
    Err(refusal.into())
}

fn sev3() -> Severity {
    Severity::Sev3
}
