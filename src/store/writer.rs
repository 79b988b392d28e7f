//! The write queue: group commit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::any::Any;
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, Executor};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Clock, Dialect, Store, StoreError};

/// Waiting writes beyond this make the next one wait (back-pressure, not loss).
const QUEUE: usize = 1_024;

/// How many writes may share one commit on SQLite.
const BATCH: usize = 256;

/// Writers on PostgreSQL, one connection each.
const POSTGRES_WRITERS: usize = 8;

/// A write in progress: the open transaction and its moment.
pub struct Tx {
    connection: PoolConnection<Any>,
    pub(super) dialect: Dialect,
    pub(super) now: Timestamp,
    pub(super) inbox_changed: bool,
    pub(super) outbox_changed: bool,
}

impl Tx {
    /// The moment of this write; all that it records carries it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

/// What ran: whether it is to be kept, and how to tell its caller once that is durable.
struct Ran {
    keep: bool,
    tell: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// A job gets the transaction, or the reason why there is none.
type Job = Box<dyn for<'t> FnOnce(Result<&'t mut Tx, StoreError>) -> BoxFuture<'t, Ran> + Send>;

pub(super) struct Queue {
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    writers: AnyPool,
}

impl Queue {
    pub(super) fn start(dialect: Dialect, writers: AnyPool, clock: Clock) -> Self {
        let (sender, receiver) = mpsc::channel::<Job>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let (count, batch) = match dialect {
            Dialect::Sqlite => (1, BATCH),
            // One write a transaction: a batch would hold the locks of all its members.
            Dialect::Postgres => (POSTGRES_WRITERS, 1),
        };
        for _ in 0..count {
            let (receiver, writers, clock) = (receiver.clone(), writers.clone(), clock.clone());
            tokio::spawn(async move {
                let mut jobs = Vec::with_capacity(batch);
                loop {
                    let taken = receiver.lock().await.recv_many(&mut jobs, batch).await;
                    if taken == 0 {
                        return;
                    }
                    run(dialect, &writers, &clock, &mut jobs).await;
                }
            });
        }
        Self {
            sender: Mutex::new(Some(sender)),
            writers,
        }
    }

    async fn push(&self, job: Job) -> Result<(), StoreError> {
        let sender = self.sender.lock().await.clone().ok_or(StoreError::Closed)?;
        sender.send(job).await.map_err(|_| StoreError::Closed)
    }

    pub(super) async fn close(&self) {
        self.sender.lock().await.take();
        // Waits until the writers have given their connections back.
        self.writers.close().await;
    }
}

/// Runs jobs in one transaction and tells each caller after the commit.
async fn run(dialect: Dialect, writers: &AnyPool, clock: &Clock, jobs: &mut Vec<Job>) {
    let mut tx = match writers.acquire().await {
        Ok(connection) => Tx {
            connection,
            dialect,
            now: clock.now(),
            inbox_changed: false,
            outbox_changed: false,
        },
        Err(error) => return refuse(jobs, &error).await,
    };
    if let Err(error) = tx.connection().execute(dialect.begin()).await {
        return refuse(jobs, &error).await;
    }
    let mut ran = Vec::with_capacity(jobs.len());
    let mut broken = None;
    for job in jobs.drain(..) {
        tx.now = clock.now();
        match one(&mut tx, job).await {
            Ok(Some(done)) => ran.push(done),
            // It panicked: its caller sees the closed channel, the others go on.
            Ok(None) => {}
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    jobs.clear();
    let result = match broken {
        None => tx.connection().execute("COMMIT").await.map(|_| ()),
        Some(error) => Err(error),
    };
    if result.is_err()
        && let Err(error) = tx.connection().execute("ROLLBACK").await
    {
        tracing::warn!(%error, "a rollback failed; the connection is given up");
        drop(tx.connection.detach());
    }
    for done in ran {
        (done.tell)(match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(again(error)),
        });
    }
}

/// Runs one job in a savepoint of its own, so that it can fail alone.
async fn one(tx: &mut Tx, job: Job) -> Result<Option<Ran>, sqlx::Error> {
    tx.connection().execute("SAVEPOINT job").await?;
    let ran = AssertUnwindSafe(job(Ok(tx))).catch_unwind().await.ok();
    if !ran.as_ref().is_some_and(|ran| ran.keep) {
        tx.connection().execute("ROLLBACK TO SAVEPOINT job").await?;
    }
    tx.connection().execute("RELEASE SAVEPOINT job").await?;
    Ok(ran)
}

async fn refuse(jobs: &mut Vec<Job>, error: &sqlx::Error) {
    for job in jobs.drain(..) {
        (job(Err(again(error))).await.tell)(Ok(()));
    }
}

/// An error for each of several callers: sqlx's own can't be cloned.
fn again(error: &sqlx::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Protocol(error.to_string()))
}

impl Store {
    /// Runs `work` in a transaction and answers after its commit; an error rolls it back.
    ///
    /// `work` may share its transaction with others (SQLite): it must not wait for anything but the
    /// database.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<(T, bool, bool), E>>();
        let job: Job = Box::new(move |tx| {
            Box::pin(async move {
                let (result, changed) = match tx {
                    Ok(tx) => {
                        tx.inbox_changed = false;
                        tx.outbox_changed = false;
                        (work(tx).await, (tx.inbox_changed, tx.outbox_changed))
                    }
                    Err(error) => (Err(E::from(error)), (false, false)),
                };
                Ran {
                    keep: result.is_ok(),
                    tell: Box::new(move |commit| {
                        let told = match (result, commit) {
                            (Ok(value), Ok(())) => Ok((value, changed.0, changed.1)),
                            (Ok(_), Err(error)) => Err(E::from(error)),
                            (Err(error), _) => Err(error),
                        };
                        // The caller may have gone; the write is done all the same.
                        let _ = sender.send(told);
                    }),
                }
            })
        });
        self.inner.queue.push(job).await.map_err(E::from)?;
        let (value, inbox, outbox) = receiver
            .await
            .unwrap_or_else(|_| Err(E::from(StoreError::Closed)))?;
        if inbox {
            self.inner.inbox_changed.notify_one();
        }
        if outbox {
            self.inner.outbox_changed.notify_one();
        }
        Ok(value)
    }
}
