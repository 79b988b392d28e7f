//! `cancel`.

use clap::Args;

use crate::bot::confirm::{open_question, over, take};
use crate::bot::request::Done;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::question::QuestionState;
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Role, Stream};

/// Answer a question with no
#[derive(Debug, Args)]
pub struct Cancel {
    /// The question's token
    token: String,
}

impl Command for Cancel {
    const WORDS: &'static str = "cancel";
    const ROLE: Role = Role::Responder;
    const HIDDEN: bool = true;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let row = open_question(context, &self.token).await?;
        let person = ask.request.person.clone();
        Ok(Effect::write(move |tx| {
            Box::pin(async move {
                take(
                    tx.question_answer(&row.token, QuestionState::Cancelled)
                        .await?,
                    &row,
                )?;
                tx.append(
                    &Stream::Audit,
                    Draft::new(
                        &person,
                        EntryKind::Outcome,
                        format!("cancelled before it was done: {}", row.question.sentence),
                    ),
                )
                .await?;
                tx.outbox_put(&over(&row, &format!("Cancelled by {person}")))
                    .await?;
                Ok(Done::default())
            })
        }))
    }
}
