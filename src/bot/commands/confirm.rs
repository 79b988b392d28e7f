//! `confirm`.

use clap::Args;

use crate::bot::Refusal;
use crate::bot::confirm::open_question;
use crate::bot::entry::Command;
use crate::bot::policy::{authorise, who_may};
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
        let what = context.typed(&row.question.sentence);
        authorise(context, ask, sentence.command.role, &what).await?;
        if let Some(guarded) = sentence.command.guarded {
            second_person(context, ask, &row, guarded, sentence.command.role).await?;
        }
        let ask = Ask {
            confirmed: Some(row),
            ..ask.clone()
        };
        sentence.carry_out(context, &ask).await
    }
}

/// What the policy lists needs another person's yes than who asked for it.
async fn second_person(
    context: &Context,
    ask: &Ask,
    row: &QuestionRow,
    what: Guarded,
    role: Role,
) -> Result<(), Fault> {
    let listed = context.settings().second_person.contains(&what);
    let person = &ask.request.person;
    if !listed || row.question.requester.id != person.id {
        return Ok(());
    }
    let may = who_may(context, role, Some(person)).await?;
    Err(Refusal::new(
        Line::new()
            .text("You asked for ")
            .code(&row.question.sentence)
            .text(": a second person has to confirm it. Nothing was done yet"),
    )
    .detail(format!(
        "Fix: have {may} press the button. Which actions need this is listed in `second_person` \
         under [policy]"
    ))
    .into())
}
