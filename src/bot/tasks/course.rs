//! A task becomes due, is asked about, and ends.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::words::{self, End};
use crate::bot::timers::{self, Kind};
use crate::bot::{Context, runs};
use crate::domain::task::{Due, Task, TaskBy, TaskState};
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, Message, Outgoing, Person, Stream, Tone};
use crate::runbook::engine::Verdict;
use crate::store::{StoreError, TimerRow, Tx};

/// A task may be due; the subject of all three is its name.
pub(super) const DUE: Kind = Kind("task-due");
/// It is not done: somebody is asked again.
pub(super) const NAG: Kind = Kind("task-nag");
/// Its run may be over.
pub(super) const RUN: Kind = Kind("task-run");

/// It is looked at least so often, so that a clock that is set back is noticed.
const EVERY: Duration = Duration::from_secs(3_600);
/// A run is looked at so often.
const RUN_EVERY: Duration = Duration::from_secs(3);
/// Messages of one that are remembered.
const REMEMBERED: usize = 20;

pub(super) fn task<'c>(context: &'c Context, name: &str) -> Option<&'c Task> {
    let mut all = context.settings().routine.tasks.iter();
    all.find(|one| one.name == name)
}

/// Looks now at all tasks: some may have become due while no bot was there.
pub(crate) async fn begin_tasks(context: &Context) -> Result<(), StoreError> {
    let tasks = &context.settings().routine.tasks;
    let names = tasks.iter().map(|one| one.name.clone());
    DUE.set_now(context, names.collect()).await
}

/// Begins what is due.
pub(super) async fn look(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let run = timers::take(context, timer, |tx, bot, name| {
        Box::pin(async move {
            // What the configuration has no more is left.
            let Some(task) = task(bot, name) else {
                return Ok(None);
            };
            let now = tx.now();
            let mut state = tx.task(name).await?;
            let mut run = None;
            if let Some(due) = state.falls_due(&task.schedule, now) {
                if state.open.is_some() {
                    end(tx, task, &mut state, &Person::bot(), End::Missed).await?;
                }
                run = begin(tx, bot, task, &mut state, due, &Person::bot()).await?;
            }
            tx.task_put(name, &state).await?;
            let soon = now + EVERY;
            DUE.set(tx, name, state.next.map_or(soon, |next| next.min(soon)))
                .await?;
            Ok(run)
        })
    })
    .await?;
    if let Some(run) = run {
        runs::follow(context, run);
    }
    Ok(())
}

/// A task is due: its runbook runs, or somebody is asked. The run that begins.
pub(super) async fn begin(
    tx: &mut Tx,
    bot: &Context,
    task: &Task,
    state: &mut TaskState,
    mut due: Due,
    by: &Person,
) -> Result<Option<i64>, StoreError> {
    state.count += 1;
    note(tx, task, by, words::is_due(task, &due)).await?;
    due.failed = None;
    NAG.unset(tx, &task.name).await?;
    let mut begun = None;
    if let TaskBy::Runbook(runbook) = &task.by {
        let key = format!("task-run:{}:{}", task.name, state.count);
        let message = Message::new(Tone::Progress, "");
        let message = Outgoing::announcement(key, Destination::Home, message);
        let about = runs::About::default();
        match runs::run_by_itself(bot, runbook, &about, None, false, (&message, "")) {
            Ok(new) => {
                let (run, is_new) = tx.run_begin(&new, bot.instance()).await?;
                note(tx, task, by, words::runs(task, runbook, run)).await?;
                due.run = Some(run);
                begun = is_new.then_some(run);
                RUN.set(tx, &task.name, tx.now() + RUN_EVERY).await?;
            }
            Err(why) => due.failed = Some(why.title.plain()),
        }
    }
    if due.run.is_none() {
        ask(tx, bot, task, state, &mut due).await?;
    }
    state.open = Some(due);
    Ok(begun)
}

/// Asks whoever is on call to do it; what asked before says so no more.
async fn ask(
    tx: &mut Tx,
    bot: &Context,
    task: &Task,
    state: &mut TaskState,
    due: &mut Due,
) -> Result<(), StoreError> {
    let rotation = match &task.by {
        TaskBy::Rotation(Some(name)) => bot.on_call().rotation(name),
        _ => bot.on_call().rotation_for(None, None),
    };
    let now = tx.now();
    let whom = match rotation {
        Some(rotation) => {
            let overrides = tx.overrides().await?;
            let person = rotation.shift(&overrides, now).person;
            Some(tx.known_as(person).await?)
        }
        None => None,
    };
    let is_first = due.messages.is_empty();
    if let Some(before) = due.messages.last() {
        put(tx, before, words::asked_again(task, due)).await?;
    }
    let key = format!("task:{}:{}:{}", task.name, state.count, due.messages.len());
    put(
        tx,
        &key,
        words::ask(task, due, whom.as_ref(), is_first, now),
    )
    .await?;
    due.messages.push(key);
    due.asked = whom;
    NAG.set(tx, &task.name, now + task.every).await
}

async fn put(tx: &mut Tx, key: &str, message: Message) -> Result<(), StoreError> {
    let message = Outgoing::announcement(key.to_owned(), Destination::Home, message);
    tx.outbox_put(&message).await
}

/// What is open ends, with its messages and on the audit.
pub(super) async fn end(
    tx: &mut Tx,
    task: &Task,
    state: &mut TaskState,
    by: &Person,
    how: End,
) -> Result<(), StoreError> {
    let Some(due) = state.open.take() else {
        return Ok(());
    };
    for kind in [NAG, RUN] {
        kind.unset(tx, &task.name).await?;
    }
    let now = tx.now();
    let text = words::ended(task, &due, &how, now);
    note(tx, task, by, text).await?;
    for key in due.messages.iter().rev().take(REMEMBERED) {
        put(tx, key, words::over(task, by, &how)).await?;
    }
    state.last = Some((words::how(by, &how), now));
    Ok(())
}

async fn note(tx: &mut Tx, task: &Task, by: &Person, text: String) -> Result<(), StoreError> {
    let draft = Draft::new(by, EntryKind::Note, text).data(json!({"task": task.name}));
    tx.append(&Stream::Audit, draft).await?;
    Ok(())
}

/// It is still not done.
pub(super) async fn nag(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, name| {
        Box::pin(async move {
            let Some(task) = task(bot, name) else {
                return Ok(());
            };
            let mut state = tx.task(name).await?;
            let Some(mut due) = state.open.take() else {
                return Ok(());
            };
            ask(tx, bot, task, &mut state, &mut due).await?;
            state.open = Some(due);
            tx.task_put(name, &state).await
        })
    })
    .await
}

/// Looks whether the run is over that does a task.
pub(super) async fn run_over(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let known = context.store().tasks().await?.remove(&timer.subject);
    let run = known.and_then(|state| state.open?.run);
    // What a run has come to stays so.
    let row = match run {
        Some(run) => context.store().run(run).await?,
        None => None,
    };
    let verdict = row.and_then(|row| row.verdict);
    let verdict: Option<Verdict> = verdict.map(|one| serde_json::from_str(&one)).transpose()?;
    timers::take(context, timer, move |tx, bot, name| {
        Box::pin(async move {
            let Some(task) = task(bot, name) else {
                return Ok(());
            };
            let mut state = tx.task(name).await?;
            let Some(open) = state.open.as_mut().filter(|open| open.run.is_some()) else {
                return Ok(());
            };
            match verdict {
                _ if open.run != run => RUN.set(tx, name, tx.now()).await?,
                None => RUN.set(tx, name, tx.now() + RUN_EVERY).await?,
                Some(Verdict::Succeeded) => {
                    end(tx, task, &mut state, &Person::bot(), End::Done).await?;
                }
                Some(verdict) => {
                    let run = open.run.take().unwrap_or(0);
                    open.failed = Some(format!("run {run} {verdict}"));
                    note(
                        tx,
                        task,
                        &Person::bot(),
                        words::run_failed(task, run, verdict.as_str()),
                    )
                    .await?;
                    if let Some(mut due) = state.open.take() {
                        ask(tx, bot, task, &mut state, &mut due).await?;
                        state.open = Some(due);
                    }
                }
            }
            tx.task_put(name, &state).await
        })
    })
    .await
}

/// Somebody wants it now, whatever its schedule says.
pub(super) fn due_now(now: Timestamp) -> Due {
    Due {
        at: now,
        messages: Vec::new(),
        asked: None,
        run: None,
        failed: None,
        missed: 0,
        late: false,
    }
}
