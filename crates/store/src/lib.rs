//! The store: sqlx over SQLite (embedded) or PostgreSQL, with one text for both.
//!
//! Reads go to a pool. Writes go through a queue: on SQLite one writer takes all waiting writes into
//! one transaction (a savepoint each), so that many of them cost one flush to disk; on PostgreSQL a
//! few writers take one write each. A write is answered only after its commit.

mod action;
mod alert;
mod evidence;
mod inbox;
mod incident;
mod notification;
mod oncall;
mod outbox;
mod page;
mod people;
mod question;
mod run;
mod sample;
mod silence;
mod timeline;
mod timer;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor};
use tokio::sync::Notify;

pub use evidence::{Kept, KeptFor};
pub use inbox::{Accepted, Claimed};
pub use incident::NewIncident;
pub use notification::{Attempt, Backlog, NotificationRow};
pub use outbox::{Parcel, Sent};
pub use page::{PageLink, PageSession};
pub use run::{NewRun, RunLock, RunRow, RunWrite};
pub use timer::TimerRow;
pub use writer::Tx;

static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// A process without a heartbeat for this long is dead, and its work is taken over.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or answered with an error.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What is stored can't be read.
    #[error("the database holds something this version can't read: {0}")]
    Unreadable(String),
    /// The URL is of no database we know.
    #[error("`{0}` is not a database URL: use `sqlite://FILE` or `postgres://…`")]
    Url(String),
    /// Another process serves from this file.
    #[error("{} is already used by another `treasury-bot serve`: stop that one, or use PostgreSQL for several replicas", .0.display())]
    Locked(PathBuf),
    /// The file or its lock can't be opened.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The store is being closed, or a write panicked.
    #[error("the store is closed")]
    Closed,
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What differs between the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Embedded.
    Sqlite,
    /// A server, for several replicas.
    Postgres,
}

impl Dialect {
    fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Appended to a SELECT within a write: its row is locked until the commit. SQLite has one
    /// writer anyway.
    fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }
}

/// The store. Clones share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dialect: Dialect,
    readers: AnyPool,
    queue: writer::Queue,
    clock: Clock,
    inbox_changed: Notify,
    outbox_changed: Notify,
    timers_changed: Notify,
    notifications_changed: Notify,
    /// Held by a `serve` on SQLite until it closes the store.
    lock: std::sync::Mutex<Option<std::fs::File>>,
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
        sqlx::any::install_default_drivers();
        if let Some(path) = url.strip_prefix("sqlite://") {
            let path = Path::new(path.split('?').next().unwrap_or(path));
            let lock = match how {
                Use::Serve => Some(lock(path)?),
                Use::Visit => None,
            };
            Self::open_sqlite(path, lock).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url).await
        } else {
            // The URL may hold a password: only its scheme is shown.
            Err(StoreError::Url(
                url.split(':').next().unwrap_or_default().to_owned(),
            ))
        }
    }

    async fn open_sqlite(path: &Path, lock: Option<std::fs::File>) -> Result<Self, StoreError> {
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let options = || {
            AnyPoolOptions::new()
                .acquire_timeout(Duration::from_secs(5))
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        connection
                            .execute(
                                "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; \
                                 PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
                                 PRAGMA cache_size=-4000;",
                            )
                            .await?;
                        Ok(())
                    })
                })
        };
        let writers = options().max_connections(1).connect(&url).await?;
        SQLITE.run(&writers).await?;
        let readers = options()
            .max_connections(4)
            .min_connections(0)
            .connect_lazy(&url)?;
        Ok(Self::assemble(Dialect::Sqlite, readers, writers, lock))
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
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
        POSTGRES.run(&pool).await?;
        Ok(Self::assemble(Dialect::Postgres, pool.clone(), pool, None))
    }

    fn assemble(
        dialect: Dialect,
        readers: AnyPool,
        writers: AnyPool,
        lock: Option<std::fs::File>,
    ) -> Self {
        let clock = Clock::default();
        let queue = writer::Queue::start(dialect, writers, clock.clone());
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
                lock: std::sync::Mutex::new(lock),
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

    /// Finishes waiting writes and closes the connections.
    pub async fn close(&self) {
        self.inner.queue.close().await;
        self.inner.readers.close().await;
        self.inner
            .lock
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
    }

    fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }
}

/// One `serve` a file: the second would answer everything twice.
fn lock(database: &Path) -> Result<std::fs::File, StoreError> {
    let path = database.with_extension("lock");
    let file = std::fs::OpenOptions::new()
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
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Locked(database.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(StoreError::File { path, source }),
    }
}

/// Wall time that never stands still or runs backwards within a process.
#[derive(Debug, Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn now(&self) -> Timestamp {
        let wall = Timestamp::now().as_microsecond();
        let last = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
                Some(wall.max(last + 1))
            })
            .unwrap_or(wall);
        moment(wall.max(last + 1))
    }
}

/// A stored time. Out of jiff's range (year 9999) can't come from us: shown as 1970.
fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_stands_still() {
        let clock = Clock::default();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now > last);
            last = now;
        }
    }

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
