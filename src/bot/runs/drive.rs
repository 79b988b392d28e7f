//! The owner's loop of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::{Event, Loaded, Unreadable, load, told, until};
use crate::bot::{Context, policy};
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Outgoing, Person, Role, Stream};
use crate::runbook::engine::{
    APPROVAL_TIMEOUT, Announcement, Approval, Batch, Drive, Outcome, PendingCall, RunState, Start,
    Verdict,
};
use crate::runbook::model::Runbook;
use crate::store::{NewRun, RunLock, RunWrite, StoreError};

/// A change that has to wait for somebody else's is tried again after this.
pub(super) const QUEUE: Duration = Duration::from_secs(2);
/// Commits are tried again after this, and ever longer.
const PAUSE: Duration = Duration::from_millis(200);
/// How often runs are looked for that another process has told something.
const LOOK: Duration = Duration::from_secs(1);

/// A probe's end: path, attempt, what came of it.
type Ended = (String, u32, Outcome);

/// What became of an attempt to begin a change.
enum Begun {
    Started(Box<crate::domain::action::ActionRow>),
    Behind(String),
    Lost,
}

/// Takes over the runs that dead processes left behind.
pub(in crate::bot) async fn recover_runs(context: &Context) -> Result<(), StoreError> {
    for id in context.store().runs_take_over(context.instance()).await? {
        tracing::warn!(run = id, "an unfinished run is taken over");
        follow(context, id);
    }
    Ok(())
}

/// Waits until no run is driven here any more: for `treasury-bot exec`, which follows what it
/// began to its end.
pub async fn runs_over(context: &Context) {
    while !context.wakers().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Drives a run in the background.
pub(in crate::bot) fn follow(context: &Context, id: i64) {
    let Some(waker) = context.wakers().begin(id) else {
        return;
    };
    context.tasks().spawn(drive_run(context.clone(), id, waker));
}

/// Wakes the runs that have been told something, by whatever process.
pub(in crate::bot) async fn keep_telling(context: Context) {
    loop {
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match context.store().runs_told().await {
            Ok(runs) => runs.into_iter().for_each(|run| context.wakers().wake(run)),
            Err(error) => tracing::error!(%error, "what runs are told can't be read"),
        }
    }
}

async fn drive_run(context: Context, id: i64, waker: std::sync::Arc<tokio::sync::Notify>) {
    let mut pause = PAUSE;
    let loaded = loop {
        match load(context.store(), id).await {
            Ok(loaded) => break Some(loaded),
            Err(Unreadable::Store(error)) => {
                tracing::error!(run = id, %error, "a run can't be read");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = context.shutdown().cancelled() => break None,
                }
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            Err(error) => {
                // Another version's bot may finish it; nothing is lost.
                tracing::error!(run = id, %error, "a run can't be driven");
                break None;
            }
        }
    };
    if let Some(loaded) = loaded {
        drive_loaded(&context, loaded, &waker).await;
    }
    context.wakers().end(id);
}

async fn drive_loaded(context: &Context, loaded: Loaded, waker: &tokio::sync::Notify) {
    let Loaded {
        row,
        runbook,
        state,
    } = loaded;
    let id = row.id;
    let Ok(outgoing) = serde_json::from_str::<Outgoing>(&row.message) else {
        tracing::error!(run = id, "where a run is told can't be read");
        return;
    };
    let vocabulary = context.library().vocabulary();
    let interrupted: Vec<String> = state
        .steps
        .iter()
        .filter(|(_, step)| {
            step.phase == crate::runbook::engine::Phase::Running && step.call.is_some()
        })
        .map(|(_, step)| format!("run {id}: the bot was interrupted at “{}”", step.title))
        .collect();
    let mut drive = Drive::new(&runbook, vocabulary, state);
    let mut notes = interrupted;
    let (sender, mut ended) = mpsc::channel::<Ended>(64);
    let mut calls: BTreeMap<(String, u32), AbortHandle> = BTreeMap::new();
    let teller = told::Teller {
        runbook: &runbook,
        outgoing: &outgoing,
        command: &context.settings().command,
    };
    loop {
        let events = match context.store().run_events(id).await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(run = id, %error, "what a run is told can't be read");
                Vec::new()
            }
        };
        let now = context.store().now();
        let mut taken = Vec::new();
        for (event, text) in events {
            taken.push(event);
            match serde_json::from_str(&text) {
                Ok(told) => apply(&mut drive, told, now),
                Err(error) => tracing::error!(run = id, %error, "an event can't be read"),
            }
        }
        let batch = drive.advance(now);
        for lost in drive.give_up(now) {
            if let Some(call) = calls.remove(&lost) {
                call.abort();
            }
        }
        let news = !batch.is_empty() || !taken.is_empty() || !notes.is_empty();
        if news
            && !commit_run(
                context,
                &teller,
                drive.state(),
                &batch,
                taken,
                std::mem::take(&mut notes),
            )
            .await
        {
            break;
        }
        if let Some(verdict) = batch.verdict {
            metrics::counter!("treasury_bot_runs_total", "verdict" => verdict.word()).increment(1);
            tracing::info!(run = id, runbook = %row.name, verdict = verdict.word(), "run");
            return;
        }
        let mut again = false;
        for wanted in drive.start(now) {
            if wanted.begin {
                match begin_step(context, &mut drive, &teller, &wanted).await {
                    Ok(()) => again = true,
                    Err(()) => return,
                }
            } else if let Some(name) = wanted.call.name.strip_prefix("runbook ") {
                call_runbook(context, &runbook, drive.state(), &outgoing, &wanted, name).await;
            } else if !wanted.call.changes {
                let key = (wanted.path.clone(), wanted.attempt);
                let sender = sender.clone();
                let bot = context.clone();
                let task = context.tasks().spawn(async move {
                    let (path, attempt) = (wanted.path.clone(), wanted.attempt);
                    let outcome = crate::bot::runs::call::look_for_step(bot, wanted).await;
                    // The run may have ended meanwhile.
                    let _ = sender.send((path, attempt, outcome)).await;
                });
                calls.insert(key, task.abort_handle());
            }
        }
        if again {
            continue;
        }
        let wait = drive
            .wake()
            .map_or(Duration::from_secs(60), |at| until(at, now));
        tokio::select! {
            Some((path, attempt, outcome)) = ended.recv() => {
                calls.remove(&(path.clone(), attempt));
                drive.finished(&path, attempt, outcome, context.store().now());
                while let Ok((path, attempt, outcome)) = ended.try_recv() {
                    calls.remove(&(path.clone(), attempt));
                    drive.finished(&path, attempt, outcome, context.store().now());
                }
            }
            () = waker.notified() => {}
            () = tokio::time::sleep(wait) => {}
            // The next process goes on from what is written.
            () = context.shutdown().cancelled() => break,
        }
    }
    for call in calls.into_values() {
        call.abort();
    }
}

/// Writes a batch, again and again until the store takes it. `false`: the run is another's now,
/// or this process ends.
async fn commit_run(
    context: &Context,
    teller: &told::Teller<'_>,
    state: &RunState,
    batch: &Batch,
    events: Vec<i64>,
    notes: Vec<String>,
) -> bool {
    let id = state.id;
    let Ok(write) = written(batch, events) else {
        tracing::error!(run = id, "a step can't be written");
        return false;
    };
    let mut drafts: Vec<Draft> = notes
        .into_iter()
        .map(|text| Draft::new(&Person::bot(), EntryKind::Run, text))
        .collect();
    let mut messages = vec![teller.run(state)];
    for said in &batch.announcements {
        drafts.extend(teller.entry(state, said));
        messages.extend(teller.message(state, said));
    }
    // Questions that are answered or over are edited.
    for (path, _) in &batch.steps {
        messages.extend(teller.question_over(state, path));
    }
    if let Some(verdict) = batch.verdict {
        drafts.push(teller.end(state, verdict));
    }
    let streams = streams(state);
    let parent = batch
        .verdict
        .and_then(|verdict| parent_event(state, verdict, teller));
    let called_by = parent.as_ref().map(|(run, ..)| *run);
    let called = stops_called(state, batch);
    let mut pause = PAUSE;
    loop {
        let (write, drafts, messages) = (write.clone(), drafts.clone(), messages.clone());
        let (streams, owner, parent, called) = (
            streams.clone(),
            context.instance().to_owned(),
            parent.clone(),
            called.clone(),
        );
        let written = context
            .store()
            .write(move |tx| {
                Box::pin(async move {
                    if !tx.run_write(id, &owner, &write).await? {
                        return Ok::<_, StoreError>(None);
                    }
                    for stream in &streams {
                        for draft in &drafts {
                            tx.append(stream, draft.clone()).await?;
                        }
                    }
                    for message in &messages {
                        tx.outbox_put(message).await?;
                    }
                    if let Some((run, key, event)) = &parent {
                        tx.run_tell(*run, key, event).await?;
                    }
                    let mut told = Vec::new();
                    for (begun_by, key, event) in &called {
                        if let Some(run) = tx.run_going_on(begun_by).await? {
                            tx.run_tell(run, key, event).await?;
                            told.push(run);
                        }
                    }
                    Ok(Some(told))
                })
            })
            .await;
        match written {
            Ok(Some(told)) => {
                for run in told.into_iter().chain(called_by) {
                    context.wakers().wake(run);
                }
                return true;
            }
            Ok(None) => {
                tracing::warn!(run = id, "another process has taken this run over");
                return false;
            }
            Err(error) => tracing::error!(run = id, %error, "a run could not be written"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = context.shutdown().cancelled() => return false,
        }
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

/// Begins a change: the services' locks, the intent and the step in one transaction. `Err`: the
/// run is another's now, or this process ends.
async fn begin_step(
    context: &Context,
    drive: &mut Drive<'_>,
    teller: &told::Teller<'_>,
    wanted: &PendingCall,
) -> Result<(), ()> {
    let name = &wanted.call.name;
    let leave = approval_needed(context, name);
    if !drive.state().may(teller.runbook, &wanted.path, &leave) {
        let text = told::approval_question(drive.state(), &wanted.path, &leave);
        let now = context.store().now();
        let until = now.checked_add(APPROVAL_TIMEOUT).unwrap_or(now);
        drive.request_approval(&wanted.path, leave, &text, until);
        return Ok(());
    }
    if name.starts_with("incident.") || name.starts_with("notify.") {
        return crate::bot::runs::record::record_step(context, drive, wanted).await;
    }
    let id = drive.state().id;
    let now = context.store().now();
    let planned =
        match crate::bot::runs::call::plan_step(context, id, &drive.state().start, wanted).await {
            Ok(planned) => planned,
            Err(why) => {
                drive.refused(&wanted.path, &why, now);
                return Ok(());
            }
        };
    let Some(step) = drive.begun(&wanted.path) else {
        return Ok(());
    };
    let Ok(step) = serde_json::to_string(&step) else {
        return Err(());
    };
    let write = RunWrite {
        steps: vec![(wanted.path.clone(), step)],
        ..RunWrite::default()
    };
    let record = planned.record;
    let key = format!("run:{id}:{}:{}", wanted.path, wanted.attempt);
    let intent = teller.intent(drive.state(), &wanted.path, &record);
    let streams = action_streams(drive.state(), &record);
    let owner = context.instance().to_owned();
    let service = record.service.clone();
    let callers = drive.state().start.callers.clone();
    let begun = context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let lock = tx.run_lock(&record.service, id).await?;
                // What a run that called this one has, is this one's to change.
                if let RunLock::Behind(run) = lock
                    && !callers.contains(&run)
                {
                    return Ok::<_, StoreError>(Begun::Behind(format!("run {run}")));
                }
                let Some(action) = tx.action_intend(&key, &owner, &record).await? else {
                    let what = "somebody else's change of it".to_owned();
                    return Ok(Begun::Behind(what));
                };
                if !tx.run_write(id, &owner, &write).await? {
                    return Ok(Begun::Lost);
                }
                for stream in &streams {
                    tx.append(stream, intent.clone()).await?;
                }
                Ok(Begun::Started(Box::new(crate::domain::action::ActionRow {
                    id: action,
                    record,
                    intended_at: tx.now(),
                })))
            })
        })
        .await;
    match begun {
        Ok(Begun::Started(row)) => {
            drive.started(&wanted.path);
            context
                .tasks()
                .spawn(crate::bot::actions::drive(context.clone(), *row));
            Ok(())
        }
        Ok(Begun::Behind(what)) => {
            let until = now.checked_add(QUEUE).unwrap_or(now);
            drive.queued(&wanted.path, &format!("{service}: {what}"), until);
            Ok(())
        }
        Ok(Begun::Lost) => Err(()),
        Err(error) => {
            tracing::error!(run = id, %error, "a change could not be begun");
            let until = now.checked_add(QUEUE).unwrap_or(now);
            drive.queued(&wanted.path, "the store", until);
            Ok(())
        }
    }
}

/// Whose leave a step of this name needs, by the same policy as a typed command.
fn approval_needed(context: &Context, step: &str) -> Approval {
    let callable = context.library().vocabulary().callables.get(step);
    let watched = policy::step_guarded(step);
    Approval {
        by: callable.map_or(Role::Commander, |callable| callable.needs),
        other: watched.is_some_and(|one| context.settings().second_person.contains(&one)),
        attempt: 0,
    }
}

/// Starts the run that a step calls, once for each attempt.
async fn call_runbook(
    context: &Context,
    runbook: &Runbook,
    state: &RunState,
    outgoing: &Outgoing,
    wanted: &PendingCall,
    name: &str,
) {
    let parent = super::command::Parent {
        run: state.id,
        path: wanted.path.clone(),
        attempt: wanted.attempt,
    };
    let caller = Start {
        callers: state
            .start
            .callers
            .iter()
            .copied()
            .chain([state.id])
            .collect(),
        approvals: state.approvals(runbook),
        ..state.start.clone()
    };
    let result = crate::bot::runs::command::start_called(
        context,
        caller,
        outgoing,
        &parent,
        name,
        &wanted.call.with,
    )
    .await;
    if let Err(why) = result {
        let event = Event::Ended {
            path: wanted.path.clone(),
            attempt: wanted.attempt,
            good: false,
            line: why,
            result: serde_json::Value::Null,
        };
        let key = format!("run:{}:{}:{}", state.id, wanted.path, wanted.attempt);
        tell_run(context, state.id, key, &event).await;
    }
}

/// Tells a run something; a failure of the store is logged, and the run's time-out ends it.
async fn tell_run(context: &Context, run: i64, key: String, event: &Event) {
    let Ok(text) = serde_json::to_string(event) else {
        return;
    };
    let told = context
        .store()
        .write(move |tx| Box::pin(async move { tx.run_tell(run, &key, &text).await }))
        .await;
    match told {
        Ok(()) => context.wakers().wake(run),
        Err(error) => {
            let error: StoreError = error;
            tracing::error!(run, %error, "a run could not be told");
        }
    }
}

/// Begins a run within a transaction of its own; its number.
pub(super) async fn begin_run(context: &Context, new: NewRun) -> Result<i64, StoreError> {
    let owner = context.instance().to_owned();
    let (id, is_new) = context
        .store()
        .write(move |tx| Box::pin(async move { tx.run_begin(&new, &owner).await }))
        .await?;
    if is_new {
        follow(context, id);
    }
    Ok(id)
}

/// Takes up what the run has been told; what comes too late is left.
fn apply(drive: &mut Drive<'_>, event: Event, now: jiff::Timestamp) {
    let late = match event {
        Event::Ended {
            path,
            attempt,
            good,
            line,
            result,
        } => {
            drive.finished(&path, attempt, Event::outcome(good, line, result), now);
            return;
        }
        Event::Vote { path, vote } => drive.vote(&path, vote, now),
        Event::Decide {
            path,
            retry,
            by,
            reason,
        } => drive.decide(&path, &Event::decision(retry), &by, reason.as_deref(), now),
        Event::Stop { by, reason } => drive.stop(&by, &reason, now),
    };
    if let Err(why) = late {
        // Its sender was told when it was sent; meanwhile somebody else was faster.
        tracing::info!(run = drive.state().id, %why, "an event came too late");
    }
}

fn written(batch: &Batch, events: Vec<i64>) -> Result<RunWrite, serde_json::Error> {
    Ok(RunWrite {
        steps: batch
            .steps
            .iter()
            .map(|(path, step)| Ok((path.clone(), serde_json::to_string(step)?)))
            .collect::<Result<_, serde_json::Error>>()?,
        stop: batch.stop.as_ref().map(serde_json::to_string).transpose()?,
        verdict: batch
            .verdict
            .as_ref()
            .map(serde_json::to_string)
            .transpose()?,
        events,
    })
}

/// The audit, then the run's incident.
pub(super) fn streams(state: &RunState) -> Vec<Stream> {
    std::iter::once(Stream::Audit)
        .chain(
            state
                .start
                .incident
                .iter()
                .map(|(id, _)| Stream::Incident(crate::domain::IncidentId(*id))),
        )
        .collect()
}

/// The audit, and the incidents of the service that is changed.
fn action_streams(_: &RunState, record: &crate::domain::action::ActionRecord) -> Vec<Stream> {
    std::iter::once(Stream::Audit)
        .chain(record.incidents.iter().map(|id| Stream::Incident(*id)))
        .collect()
}

/// A run that is stopped stops those that it has called: by which key each was begun, and what it is
/// told under which key.
fn stops_called(state: &RunState, batch: &Batch) -> Vec<(String, String, String)> {
    let Some(stop) = &batch.stop else {
        return Vec::new();
    };
    let event = Event::Stop {
        by: stop.by.clone().unwrap_or_else(|| "the time-out".into()),
        reason: format!("run {} was stopped: {}", state.id, stop.reason),
    };
    let called = batch.steps.iter().filter(|(_, step)| {
        let call = step.call.as_ref();
        call.is_some_and(|call| call.name.starts_with("runbook "))
    });
    called
        .filter_map(|(path, step)| {
            let begun_by = super::command::Parent {
                run: state.id,
                path: path.clone(),
                attempt: step.attempt,
            };
            let key = format!("stop:{}", begun_by.key());
            Some((begun_by.key(), key, serde_json::to_string(&event).ok()?))
        })
        .collect()
}

/// What the run that called this one is told at its end.
fn parent_event(
    state: &RunState,
    verdict: Verdict,
    teller: &told::Teller<'_>,
) -> Option<(i64, String, String)> {
    let parent = super::command::Parent::of(&teller.outgoing.key)?;
    let event = Event::Ended {
        path: parent.path.clone(),
        attempt: parent.attempt,
        good: verdict == Verdict::Succeeded,
        line: format!("run {} {}", state.id, verdict.word()),
        result: serde_json::json!({"run": state.id, "verdict": verdict.word()}),
    };
    let key = format!("run:{}:{}:{}", parent.run, parent.path, parent.attempt);
    Some((parent.run, key, serde_json::to_string(&event).ok()?))
}

/// For the timeline: nothing to say of what is said elsewhere.
pub(super) fn path_of(said: &Announcement) -> &str {
    match said {
        Announcement::Step { path }
        | Announcement::Note { path, .. }
        | Announcement::Notify { path, .. } => path,
    }
}
