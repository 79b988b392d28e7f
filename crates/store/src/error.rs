//! Why the store did not do what it was asked.

use std::path::PathBuf;

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
    /// This process was taken for dead, and what it worked on is another's now.
    #[error("another process has taken this over")]
    Lost,
    /// It was to be written together with something that could not be.
    #[error("what it was written together with could not be written")]
    Together,
    /// The store is being closed, or a write panicked.
    #[error("the store is closed")]
    Closed,
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}
