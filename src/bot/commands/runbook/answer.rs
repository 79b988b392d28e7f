//! `runbook answer`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::tell;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::runbook::engine::{Event, Vote};

/// Answer a question of a run: one of its choices, approve, decline, or done
#[derive(Debug, Args)]
pub struct Answer {
    /// The run
    run: i64,
    /// The step that asks
    step: String,
    /// The answer
    answer: String,
    /// What is to be added
    #[arg(long)]
    note: Option<String>,
}

impl Command for Answer {
    const WORDS: &'static str = "runbook answer";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let person = &ask.request.person;
        let event = Event::Vote {
            path: self.step,
            vote: Vote {
                by_id: person.id.clone(),
                by: person.name.clone(),
                answer: self.answer,
                note: self.note,
                role: ask.role,
            },
        };
        tell(context, ask, self.run, event).await
    }
}
