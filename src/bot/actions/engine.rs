//! Carries out recorded intents, with progress, and records what came of them.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tracing::{Instrument, Span};

use super::job::{Failure, Found, Job};
use super::kinds::kind_of;
use super::outcome::{Outcome, progress_message};
use crate::bot::Context;
use crate::domain::action::{ActionRecord, ActionRow};
use crate::domain::service::Progress;
use crate::domain::timeline::Draft;
use crate::domain::{Content, Message};
use crate::platform::ProgressSink;
use crate::runbook::engine::Event;
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics::ACTIONS;

/// Progress is written at most this often; the outbox keeps only the newest state anyway.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Carries out a recorded intent and records its outcome.
pub(in crate::bot) async fn drive(context: Context, row: ActionRow) {
    let span = span(&row);
    carry_out(context, row).instrument(span).await;
}

/// What is said of an action belongs to it.
fn span(row: &ActionRow) -> Span {
    let record = &row.record;
    let incident = record.incidents.first().map(tracing::field::display);
    tracing::error_span!(
        "action",
        action = row.id,
        kind = kind_of(&record.what).rules().verb,
        service = %record.service,
        person = record.actor.id,
        incident,
    )
}

async fn carry_out(context: Context, row: ActionRow) {
    let (sink, steps) = ProgressSink::channel();
    let job = Job::new(&context, &row, sink);
    let worked = if context.store().is_still_held(row.intended_at) {
        let work = kind_of(&row.record.what).work(&job);
        with_progress(&context, &row.record, work, steps).await
    } else {
        // Another process may have taken this action over; acting as well could do it twice.
        let cause = "this process was cut off from the store; nothing was done by it";
        Err(Failure::new(cause, None))
    };
    let outcome = Outcome::of(job, worked);
    finish(&context, &row, &outcome).await;
}

/// Takes over what dead processes left behind.
///
/// What became of an intent without outcome is never guessed: the platform is asked (start times of
/// the replicas, its own events). What took effect is recorded; what is under way is awaited; what
/// did not happen is done now if the intent is young, and otherwise closed as not done.
pub(in crate::bot) async fn recover(context: &Context) -> Result<(), StoreError> {
    for row in context
        .store()
        .actions_take_over(context.instance())
        .await?
    {
        let span = span(&row);
        span.in_scope(|| {
            tracing::warn!("an intent without outcome: finding out what happened");
        });
        context
            .tasks()
            .spawn(find_out(context.clone(), row).instrument(span));
    }
    Ok(())
}

async fn find_out(context: Context, row: ActionRow) {
    let (sink, steps) = ProgressSink::channel();
    let job = Job::new(&context, &row, sink);
    let work = kind_of(&row.record.what).recover(&job);
    let (Ok((found, worked)) | Err((found, worked))): Result<Found, Found> =
        with_progress(&context, &row.record, work, steps).await;
    let outcome = Outcome::of(job, worked).after_crash(&found);
    finish(&context, &row, &outcome).await;
}

/// Edits the messages as the work goes on.
async fn with_progress<F: Future>(
    context: &Context,
    record: &ActionRecord,
    work: F,
    mut steps: Receiver<Progress>,
) -> F::Output {
    tokio::pin!(work);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            result = &mut work => return result,
            Some(step) = steps.recv() => {
                if last.elapsed() < PROGRESS_EVERY {
                    continue;
                }
                last = Instant::now();
                let (record, message) = (record.clone(), progress_message(record, Some(&step)));
                let written = context.store().write(move |tx| {
                    Box::pin(async move { edit(tx, &record, &message).await })
                });
                // Losing a step of progress must not hold up the work.
                if let Err(error) = written.await {
                    tracing::warn!(%error, "progress could not be recorded");
                }
            }
        }
    }
}

/// Brings the action's messages to this state.
async fn edit(tx: &mut Tx, record: &ActionRecord, message: &Message) -> Result<(), StoreError> {
    for outgoing in &record.messages {
        let content = Content::Message(message.clone());
        tx.outbox_put(&outgoing.with(content)).await?;
    }
    Ok(())
}

/// On the timelines, and in the messages.
async fn tell(
    tx: &mut Tx,
    record: &ActionRecord,
    entry: &Draft,
    message: &Message,
) -> Result<(), StoreError> {
    for stream in record.streams() {
        tx.append(&stream, entry.clone()).await?;
    }
    edit(tx, record, message).await
}

/// Records the outcome and says it, in one transaction; tries until the store takes it, because
/// what was done must not stay unrecorded.
async fn finish(context: &Context, row: &ActionRow, outcome: &Outcome) {
    let (verb, word) = (kind_of(&row.record.what).rules().verb, outcome.word());
    ACTIONS.count(&[verb, word]);
    tracing::info!(outcome = word, "an action ended");
    let mut pause = Duration::from_millis(200);
    loop {
        match finish_once(context, row, outcome).await {
            Ok(true) => return watch_for_relapse(context, row, outcome).await,
            Ok(false) => {
                tracing::warn!(
                    action = row.id,
                    "another process has taken this action over"
                );
                return;
            }
            Err(error) => {
                tracing::error!(action = row.id, %error, "an outcome could not be recorded");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // The next start finds the intent without outcome and looks again.
                    () = context.shutdown().cancelled() => return,
                }
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

async fn finish_once(
    context: &Context,
    row: &ActionRow,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let (id, owner, good) = (row.id, context.instance().to_owned(), outcome.good);
    let (entry, message) = (outcome.entry(row), outcome.message(row));
    let record = row.record.clone();
    let ended = match &record.step {
        None => None,
        Some(step) => Some(serde_json::to_string(&Event::Ended {
            path: step.path.clone(),
            attempt: step.attempt,
            outcome: outcome.for_run(),
        })?),
    };
    let written = context.store().write(move |tx| {
        Box::pin(async move {
            if !tx.action_finish(id, &owner, good).await? {
                return Ok::<_, StoreError>(false);
            }
            tell(tx, &record, &entry, &message).await?;
            if let (Some(step), Some(event)) = (&record.step, &ended) {
                tx.run_tell(step.run, &step.key(), event).await?;
            }
            Ok(true)
        })
    });
    let written = written.await?;
    if let Some(step) = &row.record.step {
        context.wakers().wake(step.run);
    }
    Ok(written)
}

/// A success that does not last is told of in the same message and on the timeline.
async fn watch_for_relapse(context: &Context, row: &ActionRow, outcome: &Outcome) {
    let Some(after) = outcome.after.as_ref().filter(|_| outcome.good) else {
        return;
    };
    let (began, kind) = (Instant::now(), kind_of(&row.record.what));
    let Some((title, failure)) = kind.relapse(context, row, after).await else {
        return;
    };
    let record = row.record.clone();
    let mut outcome = Outcome::failed(&record, failure, began.elapsed());
    outcome.title = title;
    tracing::warn!(action = row.id, text = %outcome.text, "a relapse");
    let (entry, message) = (outcome.relapse_entry(row), outcome.message(row));
    let written = context
        .store()
        .write(move |tx| Box::pin(async move { tell(tx, &record, &entry, &message).await }));
    if let Err(error) = written.await {
        let error: StoreError = error;
        tracing::error!(action = row.id, %error, "a relapse could not be recorded");
    }
}
