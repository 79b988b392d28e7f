//! The write queue: group commit.

mod run;

use std::any::Any;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

use self::run::Writer;
use super::clock::Clock;
use super::dialect::Dialect;
use super::error::StoreError;

/// Waiting writes beyond this make the next one wait (back-pressure, not loss).
const QUEUE: usize = 1_024;

/// How many urgent writes may share one commit on SQLite.
const BATCH: usize = 256;

/// While acknowledgements come, a few ordinary writes each such time share their commit, on SQLite:
/// they do more, and the acknowledgements wait for them. Without those, nothing holds them up.
const ORDINARY_EVERY: Duration = Duration::from_millis(5);

/// How many ordinary writes may share one commit on SQLite; and how many while acknowledgements come,
/// which would wait for all of them.
const ORDINARY_BATCH: usize = 8;
const ORDINARY_BESIDE: usize = 2;

/// For so long after an acknowledgement the next is expected.
const MORE_WITHIN: Duration = Duration::from_secs(1);

/// Writers on PostgreSQL, one connection each.
const POSTGRES_WRITERS: usize = 8;

/// A write in progress: the open transaction and its moment.
pub struct Tx {
    connection: PoolConnection<sqlx::Any>,
    pub(super) dialect: Dialect,
    pub(super) now: Timestamp,
    /// What may have new work after the commit.
    pub(super) changed: Changed,
    /// What follows from the commit.
    after: Vec<After>,
}

type After = Box<dyn FnOnce() + Send>;

/// Where a write put new work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    pub(super) inbox: bool,
    pub(super) outbox: bool,
    pub(super) timers: bool,
    pub(super) notifications: bool,
}

impl Changed {
    pub(super) const NOTHING: Self = Self {
        inbox: false,
        outbox: false,
        timers: false,
        notifications: false,
    };
    pub(super) const OUTBOX: Self = Self {
        outbox: true,
        ..Self::NOTHING
    };
}

impl Tx {
    /// The moment of this write; all that it records carries it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Does this once the write is durable, and never if it is not: for what is counted and logged.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(then));
    }

    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

/// What ran: whether it is to be kept, and how to tell its caller once that is durable.
struct Ran {
    keep: bool,
    /// What of the store was why not, where that is known.
    why: Option<StoreError>,
    tell: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// A job gets the transaction, or the reason why there is none.
type Job = Box<dyn for<'t> FnOnce(Result<&'t mut Tx, StoreError>) -> BoxFuture<'t, Ran> + Send>;

/// What a write is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Somebody waits for it: it goes first.
    urgent: bool,
    /// It is one statement, which fails as a whole and needs no transaction around it to do so.
    single: bool,
}

impl Kind {
    pub(super) const ORDINARY: Self = Self {
        urgent: false,
        single: false,
    };
    pub(super) const SINGLE: Self = Self {
        urgent: false,
        single: true,
    };
    pub(super) const URGENT: Self = Self {
        urgent: true,
        single: true,
    };
}

/// A queued job.
struct Queued {
    job: Job,
    kind: Kind,
}

#[derive(Clone)]
struct Senders {
    urgent: mpsc::Sender<Queued>,
    ordinary: mpsc::Sender<Queued>,
}

struct Receivers {
    urgent: mpsc::Receiver<Queued>,
    ordinary: mpsc::Receiver<Queued>,
    /// When an ordinary write was last taken.
    ordinary_at: Instant,
    /// When an urgent one was.
    urgent_at: Option<Instant>,
}

impl Receivers {
    /// How many ordinary writes share a commit now.
    fn few(&self, batch: usize) -> usize {
        let is_calm = self.urgent_at.is_none_or(|at| at.elapsed() > MORE_WITHIN);
        let few = if is_calm {
            ORDINARY_BATCH
        } else {
            ORDINARY_BESIDE
        };
        few.min(batch)
    }

    /// Waits for jobs; none when both queues are closed and empty.
    async fn take(&mut self, jobs: &mut Vec<Queued>, batch: usize) {
        tokio::select! {
            biased;
            taken = self.urgent.recv_many(jobs, batch) => {
                if taken > 0 {
                    self.urgent_at = Some(Instant::now());
                    if batch == 1 {
                        return;
                    }
                }
            }
            job = self.ordinary.recv() => {
                jobs.extend(job);
                jobs.extend((1..self.few(batch)).map_while(|_| self.ordinary.try_recv().ok()));
                self.ordinary_at = Instant::now();
            }
        }
        if jobs.is_empty() {
            // One queue is closed: the other may still hold something.
            let rest = self.ordinary.recv().await;
            jobs.extend(rest);
        }
        if batch > 1 {
            while jobs.len() < batch
                && let Ok(job) = self.urgent.try_recv()
            {
                jobs.push(job);
            }
            if self.ordinary_at.elapsed() >= ORDINARY_EVERY {
                jobs.extend((0..self.few(batch)).map_while(|_| self.ordinary.try_recv().ok()));
                self.ordinary_at = Instant::now();
            }
        }
    }
}

pub(super) struct Queue {
    senders: Mutex<Option<Senders>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    writers: Arc<Writers>,
}

/// The connections that write, and what last kept them from it.
struct Writers {
    pool: AnyPool,
    failed: std::sync::Mutex<Option<Failed>>,
}

/// When a write could not be done, and why.
#[derive(Debug, Clone)]
struct Failed {
    at: Instant,
    why: String,
}

impl Writers {
    /// Remembers what kept the store from working, and gives it back.
    fn failed(&self, error: StoreError) -> StoreError {
        if error.trouble().is_some() {
            let failed = Failed {
                at: Instant::now(),
                why: error.to_string(),
            };
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
        }
        error
    }
}

impl Queue {
    pub(super) fn start(dialect: Dialect, writers: AnyPool, clock: Clock) -> Self {
        let (urgent, urgent_receiver) = mpsc::channel(QUEUE);
        let (ordinary, ordinary_receiver) = mpsc::channel(QUEUE);
        let receivers = Receivers {
            urgent: urgent_receiver,
            ordinary: ordinary_receiver,
            ordinary_at: Instant::now(),
            urgent_at: None,
        };
        let receivers = Arc::new(Mutex::new(receivers));
        let (count, batch) = match dialect {
            Dialect::Sqlite => (1, BATCH),
            // One write a transaction: a batch would hold the locks of all its members.
            Dialect::Postgres => (POSTGRES_WRITERS, 1),
        };
        let writers = Arc::new(Writers {
            pool: writers,
            failed: std::sync::Mutex::default(),
        });
        let tasks = (0..count).map(|_| {
            let receivers = receivers.clone();
            let mut writer = Writer {
                dialect,
                writers: writers.clone(),
                held: None,
                clock: clock.clone(),
            };
            tokio::spawn(async move {
                let mut jobs = Vec::with_capacity(batch);
                loop {
                    receivers.lock().await.take(&mut jobs, batch).await;
                    if jobs.is_empty() {
                        return;
                    }
                    writer.run(&mut jobs).await;
                }
            })
        });
        let tasks = Mutex::new(tasks.collect());
        Self {
            senders: Mutex::new(Some(Senders { urgent, ordinary })),
            tasks,
            writers,
        }
    }

    /// Runs `work` in a transaction; its value after the commit, and where there is new work.
    pub(super) async fn submit<T, E, F>(&self, kind: Kind, work: F) -> Result<(T, Changed), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<(T, Changed), E>>();
        // It runs in the writer's task, and belongs to what asked for it.
        let span = Span::current();
        let job: Job = Box::new(move |tx| {
            Box::pin(async move {
                let mut after = Vec::new();
                let result = match tx {
                    Ok(tx) => {
                        tx.changed = Changed::NOTHING;
                        tx.after.clear();
                        let done = work(tx).instrument(span.clone()).await;
                        after.append(&mut tx.after);
                        done.map(|value| (value, tx.changed))
                    }
                    Err(error) => Err(E::from(error)),
                };
                let error = result.as_ref().err().map(|error| error as &dyn Any);
                let error = error.and_then(|error| error.downcast_ref::<StoreError>());
                Ran {
                    keep: result.is_ok(),
                    why: error.map(StoreError::again),
                    tell: Box::new(move |commit| {
                        let told = match (result, commit) {
                            (Ok(_), Err(error)) => Err(E::from(error)),
                            (result, _) => result,
                        };
                        if told.is_ok() {
                            span.in_scope(|| after.into_iter().for_each(|then| then()));
                        }
                        // The caller may have gone; the write is done all the same.
                        let _ = sender.send(told);
                    }),
                }
            })
        });
        self.push(Queued { job, kind }).await.map_err(E::from)?;
        receiver
            .await
            .unwrap_or_else(|_| Err(E::from(StoreError::Closed)))
    }

    async fn push(&self, queued: Queued) -> Result<(), StoreError> {
        let senders = self
            .senders
            .lock()
            .await
            .clone()
            .ok_or(StoreError::Closed)?;
        let sender = if queued.kind.urgent {
            senders.urgent
        } else {
            senders.ordinary
        };
        let sent = sender.send(queued).await;
        sent.map_err(|_| StoreError::Closed)
    }

    /// Remembers what kept the store from working, and gives it back.
    pub(super) fn failed(&self, error: StoreError) -> StoreError {
        self.writers.failed(error)
    }

    /// Why a write could not be done, if that was so less than this ago.
    pub(super) fn failed_within(&self, time: Duration) -> Option<String> {
        let failed = self.writers.failed.lock();
        let failed = failed.unwrap_or_else(PoisonError::into_inner);
        let lately = failed.as_ref().filter(|failed| failed.at.elapsed() < time);
        lately.map(|failed| failed.why.clone())
    }

    /// Takes no more, finishes what waits, closes the connections.
    pub(super) async fn close(&self) {
        self.senders.lock().await.take();
        for task in self.tasks.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a writer ended badly");
            }
        }
        self.writers.pool.close().await;
    }
}
