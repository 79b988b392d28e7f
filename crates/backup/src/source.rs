//! What a backup is taken of.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why a backup could not be taken or is not good, in words for people, with what would help.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A program that is needed is missing, or of a version that does not fit.
    #[error("{0}")]
    Program(String),
    /// The source or the store of backups can't be reached or refuses.
    #[error("{0}")]
    Refused(String),
    /// What was read back is not what a whole backup would be.
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What is known of a source at the time of its backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What the backup covers, in words for people.
    pub covers: String,
    /// Versions by name (`server`, `pg_dump`, `format`): who can read it later depends on them.
    pub versions: BTreeMap<String, String>,
}

/// What was found when a backup was read back whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Counts by name (`tables`, `blocks`, `keys`).
    pub counts: BTreeMap<String, u64>,
    /// As in [`Taken::versions`], as far as the backup itself tells.
    pub versions: BTreeMap<String, String>,
}

/// Something that can be backed up: a database, a cache, files.
///
/// What a source writes is stored encrypted and with a checksum by the caller; a source knows
/// nothing of either.
#[async_trait]
pub trait Source: Send + Sync {
    /// What its files are called at the end, such as `dump`, `rdb`, `tar`.
    fn extension(&self) -> &'static str;

    /// Writes a backup to its end.
    ///
    /// # Errors
    /// Whatever was written so far is then not a backup and must not be kept.
    async fn take(&self, to: &mut (dyn AsyncWrite + Unpin + Send)) -> Result<Taken, Fault>;

    /// Reads a backup of this kind back, every byte of it.
    ///
    /// # Errors
    /// [`Fault::Damaged`] where it is not whole.
    async fn read_back(&self, from: &mut (dyn AsyncRead + Unpin + Send))
    -> Result<Contents, Fault>;
}
