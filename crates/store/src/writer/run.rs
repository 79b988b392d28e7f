//! Running what was taken from the queue.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sqlx::Executor;
use sqlx::pool::PoolConnection;

use super::{Changed, Queued, Ran, Tx, Writers};
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::error::StoreError;

/// Who runs jobs, one batch after another.
pub(super) struct Writer {
    pub(super) dialect: Dialect,
    pub(super) writers: Arc<Writers>,
    /// On SQLite, where nobody else writes by it: to take it from the pool and to give it back is a
    /// question to the database each time.
    pub(super) held: Option<PoolConnection<sqlx::Any>>,
    pub(super) clock: Clock,
}

impl Writer {
    /// Runs jobs in one transaction and tells each caller after the commit.
    pub(super) async fn run(&mut self, jobs: &mut Vec<Queued>) {
        let is_alone = jobs.len() == 1;
        // One statement is a transaction by itself.
        let is_plain = is_alone && jobs.iter().all(|queued| queued.kind.single);
        let mut tx = match self.begin(is_plain).await {
            Ok(tx) => tx,
            Err(error) => return refuse(jobs, &self.writers.failed(error.into())).await,
        };
        let mut ran = Vec::with_capacity(jobs.len());
        let mut broken = None;
        let mut left = jobs.drain(..);
        for job in left.by_ref() {
            tx.now = self.clock.now();
            match one(&mut tx, job, is_alone).await {
                Ok(Some(done)) => ran.push(done),
                // It panicked: its caller sees the closed channel, the others go on.
                Ok(None) => {}
                Err((done, error)) => {
                    broken = Some(error);
                    ran.extend(done);
                    break;
                }
            }
        }
        let mut left: Vec<Queued> = left.collect();
        let is_undone = !is_plain && is_alone && !ran.iter().any(|done: &Ran| done.keep);
        let result = match broken {
            Some(error) => Err(error),
            None if is_plain || is_undone => Ok(()),
            None => tx.connection().execute("COMMIT").await.map(|_| ()),
        };
        let result = result.map_err(|error| {
            let error = StoreError::from(error);
            if error.trouble().is_some() {
                return error;
            }
            // The statement that failed knows more than the one that found no transaction after it.
            let mut known = ran.iter().filter_map(|done| done.why.as_ref());
            let first = known.find(|why| why.trouble().is_some());
            first.map_or(error, StoreError::again)
        });
        if (result.is_err() || is_undone) && !is_rolled_back(&mut tx).await {
            drop(tx.connection.detach());
        } else if self.dialect == Dialect::Sqlite {
            self.held = Some(tx.connection);
        }
        if let Err(error) = &result {
            self.writers.failed(error.again());
            refuse(&mut left, error).await;
        }
        for done in ran {
            if let Some(why) = &done.why {
                self.writers.failed(why.again());
            }
            (done.tell)(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(error.again()),
            });
        }
    }

    async fn begin(&mut self, is_plain: bool) -> Result<Tx, sqlx::Error> {
        let connection = match self.held.take() {
            Some(held) => held,
            None => self.writers.pool.acquire().await?,
        };
        let mut tx = Tx {
            connection,
            dialect: self.dialect,
            now: self.clock.now(),
            changed: Changed::NOTHING,
            after: Vec::new(),
        };
        if !is_plain {
            tx.connection().execute(self.dialect.begin()).await?;
        }
        Ok(tx)
    }
}

/// Ends a transaction of which nothing is kept; whether the connection can be used further.
async fn is_rolled_back(tx: &mut Tx) -> bool {
    match tx.connection().execute("ROLLBACK").await {
        // SQLite has rolled back by itself.
        Err(error) if !error.to_string().contains("no transaction is active") => {
            tracing::warn!(%error, "a rollback failed; the connection is given up");
            false
        }
        _ => true,
    }
}

/// Runs one job so that it can fail alone: beside others in a savepoint of its own. An error: there is
/// no transaction any more, and nothing may be done as if there were.
async fn one(
    tx: &mut Tx,
    queued: Queued,
    is_alone: bool,
) -> Result<Option<Ran>, (Option<Ran>, sqlx::Error)> {
    let Queued { job, kind } = queued;
    let (of, begin) = (|error| (None, error), tx.dialect.begin());
    if !kind.single && !is_alone {
        tx.connection().execute("SAVEPOINT job").await.map_err(of)?;
    }
    let ran = AssertUnwindSafe(job(Ok(tx))).catch_unwind().await.ok();
    if is_alone {
        return Ok(ran);
    }
    let is_kept = ran.as_ref().is_some_and(|ran| ran.keep);
    let ended = match (kind.single, is_kept) {
        (true, true) => return Ok(ran),
        // A full disk ends SQLite's transaction: what follows would be on its own.
        (true, false) => match tx.connection().execute(begin).await {
            Err(_) => return Ok(ran),
            Ok(_) => Err(sqlx::Error::Protocol(
                "the transaction was rolled back".into(),
            )),
        },
        (false, true) => Ok(()),
        (false, false) => {
            let back = tx.connection().execute("ROLLBACK TO SAVEPOINT job").await;
            back.map(|_| ())
        }
    };
    let ended = match ended {
        Ok(()) => {
            let released = tx.connection().execute("RELEASE SAVEPOINT job").await;
            released.map(|_| ())
        }
        ended => ended,
    };
    match ended {
        Ok(()) => Ok(ran),
        Err(error) => Err((ran, error)),
    }
}

async fn refuse(jobs: &mut Vec<Queued>, error: &StoreError) {
    for job in jobs.drain(..) {
        ((job.job)(Err(error.again())).await.tell)(Ok(()));
    }
}
