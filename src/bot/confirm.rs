//! Questions with a yes and a no, each answered once.

use super::request::{Answer, Ask, Effect};
use super::{Context, Fault, Refusal};
use crate::command::Parsed;
use crate::domain::question::{Question, QuestionRow, QuestionState};
use crate::domain::timeline::Draft;
use crate::domain::{
    Audience, Button, Content, EntryKind, Guarded, Line, Message, Outgoing, Person, Role, Stream,
    Style, Tone, duration,
};
use crate::store::{StoreError, Tx};

/// Asks before something is done. The message that asks becomes the progress and the answer.
pub(super) fn question(
    context: &Context,
    ask: &Ask,
    sentence: String,
    label: &str,
    about: Message,
) -> Effect {
    let who = who_confirms(context, ask, &sentence);
    let token = format!("q-{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
    let within = context.settings().confirm_within;
    let message = about
        .buttons(vec![
            Button::new(label, format!("confirm {token}")).style(Style::Danger),
            Button::new("Cancel", format!("cancel {token}")),
        ])
        .footer(format!(
            "{} can confirm within {}",
            who.0,
            duration::text(within)
        ));
    let outgoing = ask.outgoing(Content::Message(message.clone()), Audience::Everyone);
    let question = Question {
        sentence: sentence.clone(),
        requester: ask.request.person.clone(),
        message: outgoing,
    };
    // Five impatient taps are one question.
    let place = &ask.request.place;
    let same = format!(
        "{}|{}|{}|{sentence}",
        question.requester.id,
        place.channel,
        place.thread.as_deref().unwrap_or_default()
    );
    Effect::write(move |tx| {
        Box::pin(async move {
            let expires_at = tx.now() + within;
            let standing = tx
                .question_put(&token, &same, &question, expires_at)
                .await?;
            let answer = match standing {
                Some(open) if open.expires_at > tx.now() => {
                    Answer::to_asker(asked_already(&sentence, &open.token, &who))
                }
                Some(stale) => {
                    tx.question_answer(&stale.token, QuestionState::Expired)
                        .await?;
                    tx.outbox_put(&over(&stale, "Nobody answered in time"))
                        .await?;
                    tx.question_put(&token, &same, &question, expires_at)
                        .await?;
                    Answer::to_all(message)
                }
                None => Answer::to_all(message),
            };
            Ok(answer.into())
        })
    })
}

/// Who can answer a question with yes, in words; and whether its requester can.
fn who_confirms(context: &Context, ask: &Ask, sentence: &str) -> (String, bool) {
    let parsed = context.commands().parse(sentence, context.command());
    let (role, guarded) = match &parsed {
        Ok(Parsed::Command(sentence)) => (sentence.command.role, sentence.command.guarded),
        _ => (Role::Responder, None),
    };
    let second = &context.settings().second_person;
    if guarded.is_some_and(|what| second.contains(&what)) {
        let requester = &ask.request.person;
        return (format!("A {role} other than {requester}"), false);
    }
    (format!("A {role}"), true)
}

/// Asking again is no second question. Who may not confirm is offered no yes.
fn asked_already(sentence: &str, token: &str, (who, requester_can): &(String, bool)) -> Message {
    let line = Line::new()
        .text("I have already asked you about ")
        .code(sentence);
    let (line, mut buttons) = if *requester_can {
        let yes = Button::new("Yes", format!("confirm {token}")).style(Style::Danger);
        (line.text(": it awaits your answer"), vec![yes])
    } else {
        let who = who.replacen('A', "a", 1);
        (line.text(format!(": it awaits {who}")), Vec::new())
    };
    buttons.push(Button::new("Cancel", format!("cancel {token}")));
    Message::new(Tone::Question, line).buttons(buttons)
}

/// The policy wants a question before this is done.
pub(super) fn must_ask(context: &Context, what: Guarded) -> bool {
    let settings = context.settings();
    settings.confirm.contains(&what) || settings.second_person.contains(&what)
}

/// The question of this token, if it still awaits an answer.
pub(super) async fn open_question(context: &Context, token: &str) -> Result<QuestionRow, Fault> {
    let row = context
        .store()
        .question(token)
        .await?
        .ok_or_else(|| Refusal::new("I know of no such question. Nothing was done"))?;
    if row.state == QuestionState::Open && row.expires_at <= context.store().now() {
        return Err(Refusal::new("The time to answer is over. Nothing was done")
            .suggest("Ask again", row.question.sentence)
            .into());
    }
    refuse_answered(&row)?;
    Ok(row)
}

/// The write that sees the question still open has answered it; every other is refused.
pub(super) fn take(before: Option<QuestionRow>, asked: &QuestionRow) -> Result<(), Refusal> {
    refuse_answered(&before.unwrap_or_else(|| asked.clone()))
}

/// This write is the one that answers yes.
pub(super) async fn answer_yes(tx: &mut Tx, row: &QuestionRow) -> Result<(), Fault> {
    let before = tx
        .question_answer(&row.token, QuestionState::Confirmed)
        .await?;
    Ok(take(before, row)?)
}

fn refuse_answered(row: &QuestionRow) -> Result<(), Refusal> {
    let sentence = &row.question.sentence;
    let title = match row.state {
        QuestionState::Open => return Ok(()),
        QuestionState::Confirmed => "was already confirmed, and is done once",
        QuestionState::Cancelled => "was already cancelled. Nothing was done",
        QuestionState::Expired => "was not confirmed in time. Nothing was done",
    };
    let refusal = Refusal::new(Line::new().code(sentence).text(format!(" {title}")));
    Err(if row.state == QuestionState::Confirmed {
        refusal
    } else {
        refusal.suggest("Ask again", sentence.clone())
    })
}

/// The question's message once it needs no answer any more.
pub(super) fn over(row: &QuestionRow, why: &str) -> Outgoing {
    row.question.message.with(Content::Message(
        Message::new(
            Tone::Plain,
            Line::new()
                .code(&row.question.sentence)
                .text(format!(" was not done. {why}")),
        )
        .buttons(vec![Button::new(
            "Ask again",
            row.question.sentence.clone(),
        )]),
    ))
}

/// Closes the questions that nobody answered.
pub(super) async fn expire(bot: &Context) -> Result<(), StoreError> {
    for row in bot.store().questions_overdue().await? {
        bot.store()
            .write(move |tx| {
                Box::pin(async move {
                    let before = tx
                        .question_answer(&row.token, QuestionState::Expired)
                        .await?;
                    if before.is_some_and(|before| before.state == QuestionState::Open) {
                        tx.append(
                            &Stream::Audit,
                            Draft::new(
                                &Person::bot(),
                                EntryKind::Outcome,
                                format!("not confirmed in time: {}", row.question.sentence),
                            ),
                        )
                        .await?;
                        tx.outbox_put(&over(&row, "Nobody answered in time"))
                            .await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
    }
    Ok(())
}
