//! The owner's loop of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::begin::{Lost, begin_step, rehearse};
use super::caller::step_of;
use super::commit::{commit, mode};
use super::load::{Loaded, Unreadable, load};
use super::messages::RunMessages;
use super::start::called_run;
use crate::bot::{Context, Fault};
use crate::domain::{Outgoing, duration};
use crate::runbook::engine::{Drive, Event, Outcome, PendingCall, Phase};
use crate::store::StoreError;
use crate::telemetry::metrics::RUNS;

/// A run is read again after this, and ever later.
const PAUSE: Duration = Duration::from_millis(200);
/// How often runs are looked for that another process has told something.
const LOOK: Duration = Duration::from_secs(1);

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
    let span = tracing::error_span!("run", run = id, runbook = Empty, incident = Empty);
    let work = drive_run(context.clone(), id, waker);
    context.tasks().spawn(work.instrument(span));
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

async fn drive_run(context: Context, id: i64, waker: Arc<Notify>) {
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

/// A run in the hands of this process.
struct Owner<'a> {
    context: &'a Context,
    run: i64,
    messages: RunMessages<'a>,
    drive: Drive<'a>,
    /// The probes under way, by path and attempt.
    calls: BTreeMap<(String, u32), AbortOnDropHandle<()>>,
    /// Where probes say what came of them.
    sender: mpsc::Sender<(String, u32, Outcome)>,
}

async fn drive_loaded(context: &Context, loaded: Loaded, waker: &Notify) {
    let Loaded {
        row,
        runbook,
        state,
    } = loaded;
    let id = row.id;
    let span = Span::current();
    span.record("runbook", &row.name);
    if let Some((incident, _)) = &state.start.incident {
        span.record("incident", format!("INC-{incident}"));
    }
    let Ok(outgoing) = serde_json::from_str::<Outgoing>(&row.message) else {
        tracing::error!(run = id, "the message of a run can't be read");
        return;
    };
    let mut notes: Vec<String> = state
        .steps
        .values()
        .filter(|step| step.phase == Phase::Running && step.call.is_some())
        .map(|step| format!("run {id}: the bot was interrupted at “{}”", step.title))
        .collect();
    let (sender, mut ended) = mpsc::channel(64);
    let mut owner = Owner {
        context,
        run: id,
        messages: RunMessages {
            runbook: &runbook,
            outgoing: &outgoing,
        },
        drive: Drive::new(&runbook, context.library().vocabulary(), state),
        calls: BTreeMap::new(),
        sender,
    };
    loop {
        let now = context.now();
        let events = owner.take_events(now).await;
        let batch = owner.drive.advance(now);
        for lost in owner.drive.give_up(now) {
            owner.calls.remove(&lost);
        }
        if !batch.is_empty() || !events.is_empty() || !notes.is_empty() {
            let (said, state) = (&owner.messages, owner.drive.state());
            let notes = std::mem::take(&mut notes);
            if !commit(context, said, state, &batch, events, notes).await {
                return;
            }
        }
        if let Some(verdict) = batch.verdict {
            let word = verdict.as_str();
            let rehearsal = owner.drive.state().start.rehearsal;
            RUNS.count(&[mode(rehearsal), word]);
            tracing::info!(outcome = word, "a run ended");
            return;
        }
        match owner.start(now).await {
            Err(Lost) => return,
            Ok(true) => continue,
            Ok(false) => {}
        }
        let wait = owner.drive.wake();
        let wait = wait.map_or(Duration::from_secs(60), |at| duration::between(now, at));
        tokio::select! {
            Some(end) = ended.recv() => {
                owner.finished(end);
                while let Ok(end) = ended.try_recv() {
                    owner.finished(end);
                }
            }
            () = waker.notified() => {}
            () = tokio::time::sleep(wait) => {}
            // The next process goes on from what is written.
            () = context.shutdown().cancelled() => return,
        }
    }
}

impl Owner<'_> {
    /// Takes up what the run has been told; what comes too late is left. The events taken.
    async fn take_events(&mut self, now: Timestamp) -> Vec<i64> {
        let run = self.run;
        let events = match self.context.store().run_events(run).await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(run, %error, "what a run is told can't be read");
                Vec::new()
            }
        };
        let mut taken = Vec::new();
        for (event, text) in events {
            taken.push(event);
            match serde_json::from_str(&text).map(|event| self.drive.tell(event, now)) {
                Ok(Ok(())) => {}
                // Its sender was told when it was sent; meanwhile somebody else was faster.
                Ok(Err(why)) => tracing::info!(run, %why, "an event came too late"),
                Err(error) => tracing::error!(run, %error, "an event can't be read"),
            }
        }
        taken
    }

    /// Starts what is to be under way. `true`: the run may get further at once.
    async fn start(&mut self, now: Timestamp) -> Result<bool, Lost> {
        let mut again = false;
        for call in self.drive.start(now) {
            if call.begin {
                begin_step(self.context, &mut self.drive, &self.messages, &call).await?;
                again = true;
            } else if let Some(name) = call.call.name.strip_prefix("runbook ") {
                if let Err(why) = self.call_runbook(&call, name).await {
                    self.tell_failure(&call, why).await;
                }
            } else if !call.call.changes || self.drive.state().start.rehearsal {
                self.look(call);
            }
        }
        Ok(again)
    }

    /// Calls a probe in the background.
    fn look(&mut self, call: PendingCall) {
        let (context, sender) = (self.context.clone(), self.sender.clone());
        let key = (call.path.clone(), call.attempt);
        let work = async move {
            let outcome = look(&context, &call).await;
            // The run may have ended meanwhile.
            let _ = sender.send((call.path, call.attempt, outcome)).await;
        };
        let task = self.context.tasks().spawn(work.in_current_span());
        self.calls.insert(key, AbortOnDropHandle::new(task));
    }

    fn finished(&mut self, (path, attempt, outcome): (String, u32, Outcome)) {
        let key = (path, attempt);
        self.calls.remove(&key);
        let now = self.context.now();
        self.drive.finished(&key.0, attempt, outcome, now);
    }

    /// Starts the run that a step calls, once for each attempt.
    async fn call_runbook(&self, call: &PendingCall, name: &str) -> Result<(), String> {
        let (context, said) = (self.context, &self.messages);
        let state = self.drive.state();
        let new = called_run(context, state, said.runbook, said.outgoing, call, name)?;
        let owner = context.instance().to_owned();
        let begun: Result<(i64, bool), StoreError> = context
            .store()
            .write(move |tx| Box::pin(async move { tx.run_begin(&new, &owner).await }))
            .await;
        let (run, is_new) = begun.map_err(|error| error.to_string())?;
        if is_new {
            follow(context, run);
        }
        Ok(())
    }

    /// A step's run could not begin. A failure of the store is logged, and the step's time-out ends
    /// it.
    async fn tell_failure(&self, call: &PendingCall, line: String) {
        let (run, step) = (self.run, step_of(self.run, call));
        let event = Event::Ended {
            path: call.path.clone(),
            attempt: call.attempt,
            outcome: Outcome::Bad { line, retry: true },
        };
        let written: Result<(), StoreError> = self
            .context
            .store()
            .write(move |tx| {
                Box::pin(async move {
                    let event = serde_json::to_string(&event)?;
                    tx.run_tell(step.run, &step.key(), &event).await
                })
            })
            .await;
        match written {
            Ok(()) => self.context.wakers().wake(run),
            Err(error) => tracing::error!(run, %error, "a run could not be told"),
        }
    }
}

/// Calls a probe for a step; of a change, in a rehearsal, what it would touch.
async fn look(context: &Context, call: &PendingCall) -> Outcome {
    if call.call.changes {
        return rehearse(context, call).await;
    }
    let with = Value::Object(call.call.with.clone());
    match context
        .commands()
        .call(context, &call.call.name, with)
        .await
    {
        Ok(called) => Outcome::Good {
            result: called.value,
            line: called.message.title.plain(),
        },
        Err(fault) => Outcome::Bad {
            retry: matches!(fault, Fault::Failure(_)),
            line: fault.line(),
        },
    }
}
