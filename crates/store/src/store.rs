//! Opening the database, reading from it, and handing writes over.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::any::{Any, AnyArguments, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use tokio::task::JoinHandle;
use treasury_telemetry::metrics::STORE_WRITE;

use super::changes::{Changes, listen, tell};
use super::clock::Clock;
use super::dialect::Dialect;
use super::error::StoreError;
use super::file;
use super::instance::Heartbeat;
use super::migrations::{Schema, Steps};
use super::writer::{Changed, Kind, Queue, Tx};

/// A new store is made by another process within this time.
const MADE_WITHIN: Duration = Duration::from_secs(5);

/// A statement with its values.
pub(super) type Statement = sqlx::query::Query<'static, Any, AnyArguments>;

/// Who says to other processes what is put here, and who, if anybody, hears what they put.
type Talk = (JoinHandle<()>, Option<JoinHandle<()>>);

/// The store. Clones share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dialect: Dialect,
    readers: AnyPool,
    queue: Queue,
    clock: Clock,
    changes: Arc<Changes>,
    /// While it is open, on PostgreSQL.
    talking: Mutex<Option<Talk>>,
    heartbeat: Mutex<Option<Heartbeat>>,
    /// Held by a `serve` on SQLite until it closes the store.
    lock: Mutex<Option<File>>,
}

/// How a process uses the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The one (SQLite) or one of many (PostgreSQL) that take up work.
    Serve,
    /// Beside a serving process: one command from the terminal.
    Visit,
}

impl Store {
    /// Opens the database, makes it where it doesn't exist (SQLite), and brings its schema up to
    /// date, after a backup. What is there and is no store of ours is left as it is.
    pub async fn open(url: &str, how: Use) -> Result<Self, StoreError> {
        Self::open_with(url, how, Clock::default()).await
    }

    /// The same by another clock.
    pub async fn open_with(url: &str, how: Use, clock: Clock) -> Result<Self, StoreError> {
        Self::open_as(url, how, clock, &Steps::default()).await
    }

    /// The same with the steps of another version.
    pub async fn open_as(
        url: &str,
        how: Use,
        clock: Clock,
        steps: &Steps,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        if let Some(path) = url.strip_prefix("sqlite://") {
            let path = Path::new(path.split('?').next().unwrap_or(path));
            let opened = Self::open_sqlite(path, how, clock, steps).await;
            opened.map_err(|error| error.at(path))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url, how, clock, steps).await
        } else {
            // The URL may hold a password: only its scheme is shown.
            Err(StoreError::Url(
                url.split(':').next().unwrap_or_default().to_owned(),
            ))
        }
    }

    async fn open_sqlite(
        path: &Path,
        how: Use,
        clock: Clock,
        steps: &Steps,
    ) -> Result<Self, StoreError> {
        let mut held = match how {
            Use::Serve => Some(file::lock(path)?),
            Use::Visit => None,
        };
        let mut first = file::open(path).await?;
        let began = Instant::now();
        loop {
            let schema = Schema::read(&mut first, Dialect::Sqlite, steps).await?;
            if schema.to_go(Some(path))? == 0 {
                break;
            }
            if held.is_some() {
                schema.go(&mut first, Some(path)).await?;
                break;
            }
            // One process at a time, and none while another serves. It is read once more then.
            held = match file::lock(path) {
                Err(StoreError::Locked(path)) if began.elapsed() > MADE_WITHIN => {
                    return Err(StoreError::OlderServes(path));
                }
                Err(StoreError::Locked(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    None
                }
                lock => Some(lock?),
            };
        }
        if let Some(lock) = &held {
            file::note(lock);
        }
        let url = file::url(path);
        let options = || {
            AnyPoolOptions::new()
                .acquire_timeout(Duration::from_secs(5))
                // There is no network that could have broken it.
                .test_before_acquire(false)
                .after_connect(|connection, _| Box::pin(file::settle(connection)))
        };
        // The writer keeps its connection: a new one takes room, which may lack by then.
        let writers = options()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect(&url)
            .await?;
        // The last one to close would take the log of writes away.
        first.close().await?;
        let readers = options()
            .max_connections(4)
            .min_connections(0)
            .connect_lazy(&url)?;
        let pools = (readers, writers);
        let lock = held.filter(|_| how == Use::Serve);
        Ok(Self::assemble(Dialect::Sqlite, pools, clock, lock))
    }

    async fn open_postgres(
        url: &str,
        how: Use,
        clock: Clock,
        steps: &Steps,
    ) -> Result<Self, StoreError> {
        let connected = AnyPoolOptions::new()
            .acquire_timeout(Duration::from_secs(5))
            .max_connections(12)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // A process that is halted, or whose machine is gone, holds nobody up: what it
                    // had locked is free before it counts as dead.
                    connection
                        .execute(
                            "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
                             SET idle_in_transaction_session_timeout = '5s'",
                        )
                        .await?;
                    Ok(())
                })
            })
            .connect(url)
            .await;
        let pool = match connected {
            // It has tried for so long, and does not tell why.
            Err(sqlx::Error::PoolTimedOut) => {
                AnyConnection::connect(url).await?.close().await?;
                return Err(sqlx::Error::PoolTimedOut.into());
            }
            connected => connected?,
        };
        let mut first = pool.acquire().await?;
        let schema = Schema::read(&mut first, Dialect::Postgres, steps).await?;
        if schema.to_go(None)? > 0 {
            schema.go(&mut first, None).await?;
        }
        drop(first);
        let store = Self::assemble(Dialect::Postgres, (pool.clone(), pool.clone()), clock, None);
        let changes = &store.inner.changes;
        let listening = (how == Use::Serve).then(|| listen(changes.clone(), url.to_owned()));
        let talking = (
            tokio::spawn(tell(changes.clone(), pool)),
            listening.map(tokio::spawn),
        );
        *locked(&store.inner.talking) = Some(talking);
        Ok(store)
    }

    fn assemble(
        dialect: Dialect,
        (readers, writers): (AnyPool, AnyPool),
        clock: Clock,
        lock: Option<File>,
    ) -> Self {
        let queue = Queue::start(dialect, writers, clock.clone());
        Self {
            inner: Arc::new(Inner {
                dialect,
                readers,
                queue,
                clock,
                changes: Arc::new(Changes::new()),
                talking: Mutex::default(),
                heartbeat: Mutex::default(),
                lock: Mutex::new(lock),
            }),
        }
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// The time, in whole microseconds, later than any this process was told before.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Remembers what kept the store from working, and gives it back.
    pub(super) fn failed(&self, error: StoreError) -> StoreError {
        self.inner.queue.failed(error)
    }

    /// Why a write could not be done, if that was so within this time: the store was full, away, held.
    pub fn failed_within(&self, time: Duration) -> Option<String> {
        self.inner.queue.failed_within(time)
    }

    /// Waits until the inbox may have new work. A change between two waits is not missed.
    pub async fn inbox_changed(&self) {
        self.inner.changes.inbox.notified().await;
    }

    /// Waits until the outbox may have new work. A change between two waits is not missed.
    pub async fn outbox_changed(&self) {
        self.inner.changes.outbox.notified().await;
    }

    /// Waits until a timer was set. A change between two waits is not missed.
    pub async fn timers_changed(&self) {
        self.inner.changes.timers.notified().await;
    }

    /// Waits until a notification may be due. A change between two waits is not missed.
    pub async fn notifications_changed(&self) {
        self.inner.changes.notifications.notified().await;
    }

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
        self.enqueue(Kind::ORDINARY, work).await
    }

    /// The same for one single statement, which needs no more of a transaction than itself.
    pub(super) async fn write_single<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.enqueue(Kind::SINGLE, work).await
    }

    /// Runs one statement in a write of its own; `changed`: where it puts new work. Gives the number of
    /// rows that it touched.
    pub(super) async fn write_one(
        &self,
        statement: Statement,
        changed: Changed,
    ) -> Result<u64, StoreError> {
        self.write_single(move |tx| {
            Box::pin(async move {
                let done = statement.execute(tx.connection()).await?;
                tx.changed = changed;
                Ok(done.rows_affected())
            })
        })
        .await
    }

    /// Whether a query finds anything.
    pub(super) async fn finds(&self, query: Statement) -> Result<bool, StoreError> {
        Ok(query.fetch_optional(self.readers()).await?.is_some())
    }

    /// The same for one single statement that somebody waits for: it goes first.
    pub(super) async fn write_urgent<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.enqueue(Kind::URGENT, work).await
    }

    async fn enqueue<T, E, F>(&self, kind: Kind, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let started = Instant::now();
        let (value, changed) = self.inner.queue.submit(kind, work).await?;
        STORE_WRITE.took(&[], started.elapsed());
        self.inner.changes.committed(changed);
        Ok(value)
    }

    /// Finishes waiting writes and closes the connections.
    pub async fn close(&self) {
        let talking = locked(&self.inner.talking).take();
        if let Some((telling, listening)) = talking {
            if let Some(listening) = listening {
                listening.abort();
            }
            self.inner.changes.end();
            // What it can't say is found by looking.
            let _ = telling.await;
        }
        self.inner.queue.close().await;
        self.inner.readers.close().await;
        locked(&self.inner.lock).take();
    }

    pub(super) fn heartbeat(&self) -> MutexGuard<'_, Option<Heartbeat>> {
        locked(&self.inner.heartbeat)
    }

    pub(super) fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_serve_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let first = Store::open(&url, Use::Serve).await.unwrap();
        assert!(matches!(
            Store::open(&url, Use::Serve).await,
            Err(StoreError::Locked(_))
        ));
        Store::open(&url, Use::Visit)
            .await
            .unwrap()
            .inbox_depth()
            .await
            .unwrap();
        first.close().await;
    }

    #[tokio::test]
    async fn a_url_of_no_known_database_is_refused_without_showing_its_password() {
        let error = Store::open("mysql://root:secret@db/x", Use::Serve)
            .await
            .err()
            .unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
