//! The queue of what is to be done later, once, by whichever process is there.
//!
//! A timer has a kind and a subject, such as a conversation or a rotation; a subject has one timer of
//! each kind. Whoever owns a kind says what is done when such a timer goes off ([`Job`]); the bot's
//! worker hands all jobs to [`run`]. Each timer is removed in the transaction that does what it is
//! for, so that it is done once, whatever dies and however many processes there are.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::Context;
use crate::domain::duration::between;
use crate::store::{StoreError, TimerRow, Tx};
use crate::telemetry::metrics;

/// A timer that could not be done is tried again after this.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Timers that are done at the same time.
const AT_ONCE: usize = 16;
/// A process may die without its timers, and one set by another may go unheard of: the queue is read
/// this often.
const POLL: Duration = Duration::from_secs(2);

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(pub(super) &'static str);

type Work = for<'a> fn(&'a Context, &'a TimerRow) -> BoxFuture<'a, Result<(), StoreError>>;

/// What is done when a timer of a kind goes off.
#[derive(Clone, Copy)]
pub(super) struct Job {
    kind: Kind,
    work: Work,
}

impl Kind {
    /// The job of this kind.
    pub(super) const fn job(self, work: Work) -> Job {
        Job { kind: self, work }
    }

    /// Sets a timer. One that is set already goes off at the earlier of both times.
    pub(super) async fn set(
        self,
        tx: &mut Tx,
        subject: &str,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.set_with(tx, subject, due_at, &()).await
    }

    /// The same with a payload, which replaces that of a timer that is set already.
    pub(super) async fn set_with(
        self,
        tx: &mut Tx,
        subject: &str,
        due_at: Timestamp,
        payload: &impl Serialize,
    ) -> Result<(), StoreError> {
        let payload = serde_json::to_string(payload)?;
        tx.timer_set(self.0, subject, due_at, payload).await
    }

    /// Sets a timer for now, unless it is set already.
    pub(super) async fn begin(
        self,
        tx: &mut Tx,
        subject: &str,
        payload: &impl Serialize,
    ) -> Result<(), StoreError> {
        let payload = serde_json::to_string(payload)?;
        tx.timer_begin(self.0, subject, tx.now(), payload).await
    }

    /// Sets a timer for each of these subjects for now, in a write of its own; none where there are none.
    pub(super) async fn set_now(
        self,
        context: &Context,
        subjects: Vec<String>,
    ) -> Result<(), StoreError> {
        if subjects.is_empty() {
            return Ok(());
        }
        let set = context.store().write(move |tx| {
            Box::pin(async move {
                let now = tx.now();
                for subject in subjects {
                    self.set(tx, &subject, now).await?;
                }
                Ok(())
            })
        });
        set.await
    }

    /// Removes a timer, if it is set.
    pub(super) async fn unset(self, tx: &mut Tx, subject: &str) -> Result<(), StoreError> {
        tx.timer_unset(self.0, subject).await
    }
}

/// Takes a timer and does `work` in the same transaction, with the timer's subject. Nothing is done
/// where the timer was done before or set to another time.
pub(super) async fn take<T, F>(
    context: &Context,
    timer: &TimerRow,
    work: F,
) -> Result<T, StoreError>
where
    T: Default + Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx, &'t Context, &'t str) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static,
{
    let (bot, timer) = (context.clone(), timer.clone());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                match tx.timer_take(&timer).await? {
                    Some(_) => work(tx, &bot, &timer.subject).await,
                    None => Ok(T::default()),
                }
            })
        })
        .await
}

/// Removes a timer for which there is nothing to do.
pub(super) async fn discard(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    take(context, timer, |_, _, _| Box::pin(async { Ok(()) })).await
}

/// Does these jobs as their timers go off, until the shutdown.
pub(super) async fn run(context: Context, jobs: Vec<Job>) {
    let jobs: Arc<[Job]> = jobs.into();
    // One that takes its time, such as a look at a service that does not answer, keeps none of
    // the others waiting.
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let next = context.store().timer_next().await.ok().flatten();
        let pause = next.map_or(POLL, |at| between(context.now(), at).min(POLL));
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            () = context.store().timers_changed() => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(20))) => {}
        }
        let free = turns.available_permits();
        if free == 0 {
            // Somebody will finish; the permit itself is taken below.
            drop(turns.acquire().await);
            continue;
        }
        match context
            .store()
            .timers_due(context.instance(), free as i64)
            .await
        {
            Ok(due) => {
                for timer in due {
                    let Ok(turn) = turns.clone().acquire_owned().await else {
                        return;
                    };
                    let (bot, jobs) = (context.clone(), jobs.clone());
                    context.tasks().spawn(async move {
                        go_off(&bot, &jobs, &timer).await;
                        drop(turn);
                    });
                }
            }
            Err(error) => {
                tracing::error!(%error, "timers can't be read");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Does these jobs as far as their timers are due now, one after another, and what they in turn make
/// due. Time does not pass for it: who goes through hours by a clock of their own needs no more.
pub(super) async fn run_due(context: &Context, jobs: &[Job]) -> Result<(), StoreError> {
    loop {
        let (owner, most) = (context.instance(), AT_ONCE as i64);
        let due = context.store().timers_due(owner, most).await?;
        if due.is_empty() {
            return Ok(());
        }
        for timer in due {
            go_off(context, jobs, &timer).await;
        }
    }
}

async fn go_off(context: &Context, jobs: &[Job], timer: &TimerRow) {
    // Most are about a conversation, and most of these about an incident's.
    let incident = timer.subject.strip_prefix("incident:");
    let span = tracing::error_span!(
        "timer",
        kind = timer.kind,
        subject = timer.subject,
        incident = incident.map(|number| tracing::field::display(format!("INC-{number}"))),
    );
    do_job(context, jobs, timer).instrument(span).await;
}

async fn do_job(context: &Context, jobs: &[Job], timer: &TimerRow) {
    metrics::TIMER_LATENESS.took(&[], between(timer.due_at, context.now()));
    let done = match jobs.iter().find(|job| job.kind.0 == timer.kind) {
        Some(job) => (job.work)(context, timer).await,
        // Another version's: it knows what to do with it.
        None => Err(StoreError::Unreadable(timer.kind.clone())),
    };
    let outcome = if done.is_ok() { "done" } else { "failed" };
    metrics::TIMERS.count(&[&timer.kind, outcome]);
    if let Err(error) = done {
        tracing::error!(%error, "a timer could not be done");
        let owner = context.instance();
        if let Err(error) = context.store().timer_later(timer, owner, RETRY).await {
            tracing::error!(%error, "nor given back: it is taken later");
        }
    }
}
