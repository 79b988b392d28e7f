//! `task list|run|done|skip`.

use super::course::{begin, due_now, end, task};
use super::words::{self, End};
use crate::bot::request::{Answer, Ask, Done, Effect, Next};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::task::Task;
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone, counted};

pub(crate) async fn task_list(context: &Context) -> Result<Effect, Fault> {
    let all = &context.settings().routine.tasks;
    let known = context.store().tasks().await?;
    let is_open = |one: &&Task| known.get(&one.name).is_some_and(|one| one.open.is_some());
    let open = all.iter().filter(is_open).count();
    let mut message = match (all.len(), open) {
        (0, _) => Message::new(Tone::Plain, "No task is configured")
            .text("Switch the handbook's on: usual = true in [tasks]; or add a [[task]]"),
        (n, 0) => Message::new(Tone::Good, format!("{}, none is due", counted(n, "task"))),
        (n, due) => Message::new(Tone::Warning, format!("{}, {due} due", counted(n, "task"))),
    };
    for one in all {
        message = message.text(words::row(one, known.get(&one.name), context.now()));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

/// The task that is meant.
fn named(context: &Context, verb: &str, name: &str) -> Result<Task, Refusal> {
    if let Some(found) = task(context, name) {
        return Ok(found.clone());
    }
    let line = Line::new().text("There is no task ").code(cut(name, 60));
    let refusal = Refusal::new(line.text(". Nothing was changed"));
    let all = context.settings().routine.tasks.iter();
    let names = all.map(|one| one.name.as_str());
    Err(refusal
        .suggest_nearest(name, names, |near| format!("task {verb} {near}"))
        .suggest("Which are there?", "task list"))
}

pub(crate) fn task_run(context: &Context, ask: &Ask, name: &str) -> Result<Effect, Fault> {
    let task = named(context, "run", name)?;
    let (bot, by) = (context.clone(), ask.request.person.clone());
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let mut state = tx.task(&task.name).await?;
            let due = match state.open.take() {
                Some(due) if due.run.is_some() => {
                    let run = due.run.unwrap_or(0);
                    let line = Line::new().code(&task.name);
                    let line = line.text(format!(" is being done by run {run}"));
                    return Err(Refusal::new(line)
                        .suggest("Show it", format!("runbook runs {run}"))
                        .into());
                }
                Some(due) => due,
                None => due_now(tx.now()),
            };
            let run = begin(tx, &bot, &task, &mut state, due, &by).await?;
            tx.task_put(&task.name, &state).await?;
            let line = Line::new().code(&task.name).text(match run {
                Some(run) => format!(" is being done by run {run}"),
                None => " is asked for".to_owned(),
            });
            Ok(Done {
                answer: Some(Answer::to_asker(Message::new(Tone::Good, line))),
                next: run.map(Next::Follow),
                ..Done::default()
            })
        })
    }))
}

pub(crate) fn task_done(context: &Context, ask: &Ask, name: &str) -> Result<Effect, Fault> {
    let task = named(context, "done", name)?;
    Ok(close(ask, task, None))
}

pub(crate) fn task_skip(
    context: &Context,
    ask: &Ask,
    name: &str,
    reason: String,
) -> Result<Effect, Fault> {
    let task = named(context, "skip", name)?;
    Ok(close(ask, task, Some(reason)))
}

/// Ends what is due: skipped for a reason, or done.
fn close(ask: &Ask, task: Task, skipped: Option<String>) -> Effect {
    let by = ask.request.person.clone();
    Effect::write(move |tx| {
        Box::pin(async move {
            let mut state = tx.task(&task.name).await?;
            if state.open.is_none() {
                let line = Line::new().code(&task.name).text(" is not due");
                let line = match &state.last {
                    Some((how, at)) => line.text(format!(": {how} at ")).time(*at),
                    None => line,
                };
                return Err(Refusal::new(line.text(". Nothing was changed")).into());
            }
            let how = match skipped {
                Some(reason) => End::Skipped(tx.named(&reason).await?),
                None => End::Done,
            };
            let line = Line::new().code(&task.name);
            let line = line.text(format!(" is {}", words::how(&by, &how)));
            end(tx, &task, &mut state, &by, how).await?;
            tx.task_put(&task.name, &state).await?;
            Ok(Answer::to_asker(Message::new(Tone::Good, line)).into())
        })
    })
}
