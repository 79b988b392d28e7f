//! `confirm`.

use clap::Args;

use crate::bot::Refusal;
use crate::bot::confirm::open_question;
use crate::bot::entry::Command;
use crate::bot::policy::authorise;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::command::Parsed;
use crate::domain::question::QuestionRow;
use crate::domain::{Guarded, Line, Role};

/// Answer a question with yes
#[derive(Debug, Args)]
pub struct Confirm {
    /// The question's token
    token: String,
}

impl Command for Confirm {
    const WORDS: &'static str = "confirm";
    const ROLE: Role = Role::Responder;
    const HIDDEN: bool = true;

    /// The sentence is carried out as if the presser had typed it, permission asked anew.
    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let row = open_question(context, &self.token).await?;
        let sentence = context
            .commands()
            .parse(&row.question.sentence, context.command());
        let outdated = || Refusal::new("This question is of an older version: ask again");
        let Ok(Parsed::Command(sentence)) = sentence else {
            return Err(outdated().into());
        };
        authorise(ask, sentence.command.role, || {
            context.typed(&ask.request.text)
        })?;
        if let Some(guarded) = sentence.command.guarded {
            second_person(context, ask, &row, guarded)?;
        }
        let ask = Ask {
            confirmed: Some(row),
            ..ask.clone()
        };
        sentence.carry_out(context, &ask).await
    }
}

/// What the policy lists needs another person's yes than who asked for it.
fn second_person(
    context: &Context,
    ask: &Ask,
    row: &QuestionRow,
    what: Guarded,
) -> Result<(), Refusal> {
    let listed = context.settings().second_person.contains(&what);
    if !listed || row.question.requester.id != ask.request.person.id {
        return Ok(());
    }
    Err(Refusal::new(
        Line::new()
            .text("You asked for ")
            .code(&row.question.sentence)
            .text(": a second person has to confirm it. Nothing was done yet"),
    )
    .detail(
        "Mend: have somebody else press the button. Which actions need this is listed in \
             `second_person` under [policy]",
    ))
}
