//! What a run has come to is written: its steps, what is said of it, and what other runs are told, in
//! one transaction.

use std::time::Duration;

use serde_json::json;

use super::caller::{called_key, caller_of};
use super::messages::RunMessages;
use crate::bot::Context;
use crate::domain::action::StepRef;
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, IncidentId, Outgoing, Person, Stream};
use crate::runbook::engine::{Batch, Event, Outcome, Phase, RunState, Verdict};
use crate::store::{RunWrite, StoreError, Tx};
use crate::telemetry::metrics::STEPS;

/// A commit is tried again after this, and ever longer.
const PAUSE: Duration = Duration::from_millis(200);

/// All that one transaction writes.
#[derive(Clone)]
struct Commit {
    run: i64,
    owner: String,
    write: RunWrite,
    streams: Vec<Stream>,
    entries: Vec<Draft>,
    messages: Vec<Outgoing>,
    /// What the run that called this one is told at its end: which run, under which key.
    ended: Option<(i64, String, String)>,
    /// What the runs that this one has called are told when it is stopped: by which key each was
    /// begun, and under which key.
    stopped: Vec<(String, String, String)>,
}

/// Writes a batch, again and again until the store takes it. `false`: the run is another's now,
/// or this process ends.
pub(super) async fn commit(
    context: &Context,
    said: &RunMessages<'_>,
    state: &RunState,
    batch: &Batch,
    events: Vec<i64>,
    notes: Vec<String>,
) -> bool {
    let run = state.id;
    let commit = match prepared(context, said, state, batch, events, notes) {
        Ok(commit) => commit,
        Err(error) => {
            tracing::error!(run, %error, "a step can't be written");
            return false;
        }
    };
    let mut pause = PAUSE;
    loop {
        let once = commit.clone();
        let written = context
            .store()
            .write(move |tx| Box::pin(async move { write(tx, &once).await }))
            .await;
        match written {
            Ok(Some(told)) => {
                count(batch, state.start.rehearsal);
                for run in told {
                    context.wakers().wake(run);
                }
                return true;
            }
            Ok(None) => {
                tracing::warn!(run, "another process has taken this run over");
                return false;
            }
            Err(error) => tracing::error!(run, %error, "a run could not be written"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = context.shutdown().cancelled() => return false,
        }
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

/// Whether anything was really changed, as metrics say it.
pub(super) fn mode(rehearsal: bool) -> &'static str {
    if rehearsal { "rehearsal" } else { "run" }
}

/// Counts the steps that have ended.
fn count(batch: &Batch, rehearsal: bool) {
    for (_, step) in &batch.steps {
        let outcome = match step.phase {
            Phase::Succeeded => "succeeded",
            // Without a moment: with one, somebody may still try it again.
            Phase::Failed if step.until.is_none() => "failed",
            Phase::Skipped => "skipped",
            _ => continue,
        };
        STEPS.count(&[mode(rehearsal), outcome]);
    }
}

fn prepared(
    context: &Context,
    said: &RunMessages<'_>,
    state: &RunState,
    batch: &Batch,
    events: Vec<i64>,
    notes: Vec<String>,
) -> Result<Commit, serde_json::Error> {
    let note = |text| Draft::new(&Person::bot(), EntryKind::Run, text);
    let mut entries: Vec<Draft> = notes.into_iter().map(note).collect();
    let mut messages = vec![said.run(state)];
    for announcement in &batch.announcements {
        entries.extend(said.entry(state, announcement));
        messages.extend(said.message(state, announcement));
    }
    let mut steps = Vec::new();
    for (path, step) in &batch.steps {
        steps.push((path.clone(), serde_json::to_string(step)?));
        // Questions that are answered or over are edited.
        messages.extend(said.question_over(state, path));
    }
    let mut ended = None;
    if let Some(verdict) = batch.verdict {
        entries.push(said.end(state, verdict));
        if let Some(step) = caller_of(&said.outgoing.key) {
            let event = serde_json::to_string(&end_of_call(state, &step, verdict))?;
            ended = Some((step.run, step.key(), event));
        }
    }
    Ok(Commit {
        run: state.id,
        owner: context.instance().to_owned(),
        write: RunWrite {
            steps,
            stop: batch.stop.as_ref().map(serde_json::to_string).transpose()?,
            verdict: batch
                .verdict
                .as_ref()
                .map(serde_json::to_string)
                .transpose()?,
            events,
        },
        streams: streams(state),
        entries,
        messages,
        ended,
        stopped: stops_called(state, batch)?,
    })
}

/// `None`: the run is another's now. Otherwise the runs that were told something.
async fn write(tx: &mut Tx, commit: &Commit) -> Result<Option<Vec<i64>>, StoreError> {
    if !tx
        .run_write(commit.run, &commit.owner, &commit.write)
        .await?
    {
        return Ok(None);
    }
    for stream in &commit.streams {
        for entry in &commit.entries {
            tx.append(stream, entry.clone()).await?;
        }
    }
    for message in &commit.messages {
        tx.outbox_put(message).await?;
    }
    let mut told = Vec::new();
    if let Some((run, key, event)) = &commit.ended {
        tx.run_tell(*run, key, event).await?;
        told.push(*run);
    }
    for (begun_by, key, event) in &commit.stopped {
        if let Some(run) = tx.run_going_on(begun_by).await? {
            tx.run_tell(run, key, event).await?;
            told.push(run);
        }
    }
    Ok(Some(told))
}

/// The audit, then the run's incident.
pub(super) fn streams(state: &RunState) -> Vec<Stream> {
    let incident = state.start.incident.as_ref();
    let incident = incident.map(|(id, _)| Stream::Incident(IncidentId(*id)));
    std::iter::once(Stream::Audit).chain(incident).collect()
}

/// A run that is stopped stops those that it has called.
fn stops_called(
    state: &RunState,
    batch: &Batch,
) -> Result<Vec<(String, String, String)>, serde_json::Error> {
    let Some(stop) = &batch.stop else {
        return Ok(Vec::new());
    };
    let event = serde_json::to_string(&Event::Stop {
        by: stop.by.clone().unwrap_or_else(|| "the time-out".into()),
        reason: format!("run {} was stopped: {}", state.id, stop.reason),
    })?;
    let mut stops = Vec::new();
    for (path, step) in &batch.steps {
        let call = step.call.as_ref();
        if call.is_some_and(|call| call.name.starts_with("runbook ")) {
            let begun_by = called_key(&StepRef {
                run: state.id,
                path: path.clone(),
                attempt: step.attempt,
            });
            stops.push((begun_by.clone(), format!("stop:{begun_by}"), event.clone()));
        }
    }
    Ok(stops)
}

fn end_of_call(state: &RunState, step: &StepRef, verdict: Verdict) -> Event {
    let word = verdict.as_str();
    let line = format!("run {} {word}", state.id);
    Event::Ended {
        path: step.path.clone(),
        attempt: step.attempt,
        outcome: match verdict {
            Verdict::Succeeded => Outcome::Good {
                result: json!({"run": state.id, "verdict": word}),
                line,
            },
            Verdict::Failed | Verdict::Stopped => Outcome::Bad { line, retry: true },
        },
    }
}
