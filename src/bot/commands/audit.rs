//! `audit`.

use clap::Args;

use super::timeline::entry_line;
use crate::bot::entry::Command;
use crate::bot::incidents::person;
use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::duration::{self, Human};
use crate::domain::{Message, Role, Stream, Tone, counted};

/// Entries of the audit shown at once.
const AUDIT_LINES: i64 = 50;

/// Show who asked for what
#[derive(Debug, Args)]
pub struct Audit {
    /// How far back: 10m, 2h, 1d …
    #[arg(long, default_value = "24h")]
    since: Human,
    /// Only what this person asked for: `@ana`
    #[arg(long, value_name = "@WHO")]
    actor: Option<String>,
}

impl Command for Audit {
    const WORDS: &'static str = "audit";
    const ROLE: Role = Role::Responder;
    const CHANGES: bool = false;

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let person = match &self.actor {
            Some(who) => Some(person(context, who).await?),
            None => None,
        };
        let (store, since) = (context.store(), context.store().now() - self.since.0);
        let (entries, more) = match &person {
            Some(person) => store.audit_of(&person.id, since, AUDIT_LINES).await?,
            None => {
                store
                    .entries_since(&Stream::Audit, since, AUDIT_LINES)
                    .await?
            }
        };
        let text: Vec<String> = entries.iter().map(entry_line).collect();
        let title = format!(
            "{} of the audit in the last {}",
            if more {
                format!("The newest {}", counted(entries.len(), "entry"))
            } else {
                counted(entries.len(), "entry")
            },
            duration::text(self.since.0)
        );
        Ok(Effect::Say(Answer::to_asker(
            Message::new(Tone::Plain, title)
                .code(text.join("\n"))
                .footer("Times are UTC, newest last"),
        )))
    }
}
