//! Opening the database, reading from it, and handing writes over.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::any::{Any, AnyArguments, AnyPoolOptions};
use sqlx::{AnyPool, Executor};
use tokio::sync::Notify;
use treasury_telemetry::metrics::STORE_WRITE;

use super::clock::Clock;
use super::dialect::Dialect;
use super::error::StoreError;
use super::migrations::migrator;
use super::writer::{Changed, Kind, Queue, Tx};

/// A statement with its values.
type Statement = sqlx::query::Query<'static, Any, AnyArguments>;

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
    inbox_changed: Notify,
    outbox_changed: Notify,
    timers_changed: Notify,
    notifications_changed: Notify,
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
    /// date.
    pub async fn open(url: &str, how: Use) -> Result<Self, StoreError> {
        Self::open_with(url, how, Clock::default()).await
    }

    /// The same by another clock.
    pub async fn open_with(url: &str, how: Use, clock: Clock) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        if let Some(path) = url.strip_prefix("sqlite://") {
            let path = Path::new(path.split('?').next().unwrap_or(path));
            let lock = match how {
                Use::Serve => Some(lock(path)?),
                Use::Visit => None,
            };
            Self::open_sqlite(path, lock, clock).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url, clock).await
        } else {
            // The URL may hold a password: only its scheme is shown.
            Err(StoreError::Url(
                url.split(':').next().unwrap_or_default().to_owned(),
            ))
        }
    }

    async fn open_sqlite(
        path: &Path,
        lock: Option<File>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let options = || {
            AnyPoolOptions::new()
                .acquire_timeout(Duration::from_secs(5))
                // There is no network that could have broken it.
                .test_before_acquire(false)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        connection
                            .execute(
                                "PRAGMA busy_timeout=5000; PRAGMA auto_vacuum=INCREMENTAL; \
                                 PRAGMA journal_mode=WAL; \
                                 PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
                                 PRAGMA cache_size=-4000;",
                            )
                            .await?;
                        Ok(())
                    })
                })
        };
        let writers = options().max_connections(1).connect(&url).await?;
        migrator(Dialect::Sqlite).run(&writers).await?;
        let readers = options()
            .max_connections(4)
            .min_connections(0)
            .connect_lazy(&url)?;
        let pools = (readers, writers);
        Ok(Self::assemble(Dialect::Sqlite, pools, clock, lock))
    }

    async fn open_postgres(url: &str, clock: Clock) -> Result<Self, StoreError> {
        let pool = AnyPoolOptions::new()
            .acquire_timeout(Duration::from_secs(5))
            .max_connections(12)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection
                        .execute("SET statement_timeout = '10s'; SET lock_timeout = '5s'")
                        .await?;
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        migrator(Dialect::Postgres).run(&pool).await?;
        let pools = (pool.clone(), pool);
        Ok(Self::assemble(Dialect::Postgres, pools, clock, None))
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
                inbox_changed: Notify::new(),
                outbox_changed: Notify::new(),
                timers_changed: Notify::new(),
                notifications_changed: Notify::new(),
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

    /// Does the database answer?
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(self.readers()).await?;
        Ok(())
    }

    /// Waits until the inbox may have new work. A change between two waits is not missed.
    pub async fn inbox_changed(&self) {
        self.inner.inbox_changed.notified().await;
    }

    /// Waits until the outbox may have new work. A change between two waits is not missed.
    pub async fn outbox_changed(&self) {
        self.inner.outbox_changed.notified().await;
    }

    /// Waits until a timer was set. A change between two waits is not missed.
    pub async fn timers_changed(&self) {
        self.inner.timers_changed.notified().await;
    }

    /// Waits until a notification may be due. A change between two waits is not missed.
    pub async fn notifications_changed(&self) {
        self.inner.notifications_changed.notified().await;
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

    /// Runs one statement in a write of its own; `changed`: where it puts new work.
    pub(super) async fn write_one(
        &self,
        statement: Statement,
        changed: Changed,
    ) -> Result<(), StoreError> {
        self.write_single(move |tx| {
            Box::pin(async move {
                statement.execute(tx.connection()).await?;
                tx.changed = changed;
                Ok(())
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
        for (changed, notify) in [
            (changed.inbox, &self.inner.inbox_changed),
            (changed.outbox, &self.inner.outbox_changed),
            (changed.timers, &self.inner.timers_changed),
            (changed.notifications, &self.inner.notifications_changed),
        ] {
            if changed {
                notify.notify_one();
            }
        }
        Ok(value)
    }

    /// Finishes waiting writes and closes the connections.
    pub async fn close(&self) {
        self.inner.queue.close().await;
        self.inner.readers.close().await;
        self.inner
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    pub(super) fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }
}

/// One `serve` a file: the second would answer everything twice.
fn lock(database: &Path) -> Result<File, StoreError> {
    let path = database.with_extension("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| StoreError::File {
            path: path.clone(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(StoreError::File { path, source }),
    }
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
            .ping()
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
