//! The files of SQLite: the database, what SQLite puts beside it, the lock, the backups.
//!
//! What we make can be read by our user alone. SQLite takes a missing or an empty file for a new
//! database and throws away the log of writes beside it; so it is never the one that makes the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::{AnyConnection, Connection, Executor};

use super::error::{StoreError, Trouble};

/// How many backups are kept.
const KEPT: usize = 3;
/// The end of a backup's name.
const WHOLE: &str = ".backup";
/// The same while it is written.
const PART: &str = ".part";

/// What each connection is told. `auto_vacuum` counts before the first table.
const SETTINGS: &str = "PRAGMA busy_timeout=5000; PRAGMA auto_vacuum=INCREMENTAL; \
                        PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
                        PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY; \
                        PRAGMA wal_autocheckpoint=4000;";

/// The address of a file for sqlx: it is there.
pub(crate) fn url(path: &Path) -> String {
    let path = path.display().to_string().replace('%', "%25");
    format!("sqlite://{path}?mode=rw")
}

/// Tells a connection how we use it.
pub(crate) async fn settle(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection.execute(SETTINGS).await?;
    Ok(())
}

/// A first connection, by which it is known that the file is a database that can be written now.
/// The pool would try for long and not tell why not.
pub(crate) async fn open(path: &Path) -> Result<AnyConnection, StoreError> {
    prepare(path)?;
    let mut connection = AnyConnection::connect(&url(path)).await?;
    settle(&mut connection).await?;
    connection.execute("BEGIN IMMEDIATE").await?;
    connection.execute("ROLLBACK").await?;
    Ok(connection)
}

/// Makes the file where there is none.
fn prepare(path: &Path) -> Result<(), StoreError> {
    if is_there(path)? {
        // SQLite would open it for reading alone, and say something else later. It is asked and not
        // opened: closing it would let go of this process's locks on it.
        let may = rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
        return may.map_err(|error| StoreError::file(&error.into()));
    }
    match ours().create_new(true).open(path) {
        Ok(_) => {
            tracing::info!(file = %path.display(), "a new store is made");
            Ok(())
        }
        // Another process was as quick.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::file(&error)),
    }
}

/// Whether there is a file; or why none may be made, nor an empty one be filled: it was another.
pub(crate) fn is_there(path: &Path) -> Result<bool, StoreError> {
    let empty = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(StoreError::Unable {
                trouble: Trouble::NoDatabase,
                said: "it is a folder".to_owned(),
            });
        }
        Ok(found) if found.len() > 0 => return Ok(true),
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(StoreError::file(&error)),
    };
    let holds = |file: &Path| std::fs::metadata(file).is_ok_and(|found| found.len() > 0);
    let log = beside(path, "-wal");
    // Whoever removes the file means it; whoever empties it may not know.
    let lock = path.with_extension("lock");
    for (witness, tells) in [(log, true), (lock, empty)] {
        if tells && holds(&witness) {
            return Err(StoreError::Gone {
                path: path.to_owned(),
                empty,
                witness,
            });
        }
    }
    Ok(empty)
}

/// Opens for writing; what is made so is our user's alone.
fn ours() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// One `serve` a file: the second would answer everything twice.
pub(crate) fn lock(database: &Path) -> Result<File, StoreError> {
    let path = database.with_extension("lock");
    let file = ours()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| StoreError::file(&error).at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::file(&error).at(&path)),
    }
}

/// Notes in the lock's file that a store is there from now on.
pub(crate) fn note(mut lock: &File) {
    // A full disk must not keep a store from serving; the file is only a witness.
    if let Err(error) = lock.write_all(b"A store of treasury-bot lies beside this file.\n") {
        tracing::warn!(%error, "the lock's file can't be written");
    }
}

/// Writes a whole copy of the database beside it, and removes old ones.
pub(crate) async fn back_up(
    database: &mut AnyConnection,
    path: &Path,
    schema: i64,
) -> Result<(), StoreError> {
    let at = Timestamp::now().strftime("%Y%m%dT%H%M%S%6fZ");
    let copy = beside(path, &format!(".schema-{schema}.{at}{WHOLE}"));
    // Until it is whole, it has another name.
    let part = beside(path, &format!(".schema-{schema}.{at}{PART}"));
    for (_, left) in backups(path, PART) {
        // Its process died over it.
        remove(&left);
    }
    let made = async {
        ours()
            .create_new(true)
            .open(&part)
            .map_err(|error| StoreError::file(&error))?;
        sqlx::query("VACUUM INTO $1")
            .bind(part.display().to_string())
            .execute(database)
            .await?;
        let finish = || {
            File::open(&part)?.sync_all()?;
            // Whoever backs up holds the lock: nobody else makes one of this name meanwhile.
            if copy.exists() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(&part, &copy)?;
            folder(path).map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        finish().map_err(|error| StoreError::file(&error))
    };
    if let Err(error) = made.await {
        // What is left of it takes room, and is of no use.
        let _ = std::fs::remove_file(&part);
        return Err(StoreError::Backup(Box::new(error.at(&copy))));
    }
    tracing::info!(backup = %copy.display(), "the store was backed up before its schema changes");
    let mut all = backups(path, WHOLE);
    all.truncate(all.len().saturating_sub(KEPT));
    for (_, old) in &all {
        remove(old);
    }
    Ok(())
}

fn remove(old: &Path) {
    match std::fs::remove_file(old) {
        Ok(()) => tracing::info!(backup = %old.display(), "an old backup was removed"),
        Err(error) => {
            tracing::warn!(backup = %old.display(), %error, "an old backup can't be removed");
        }
    }
}

/// The newest backup whose schema is not beyond this.
pub(crate) fn backup_of(path: &Path, newest: i64) -> Option<PathBuf> {
    let mut all = backups(path, WHOLE);
    all.retain(|(schema, _)| *schema <= newest);
    all.pop().map(|(_, backup)| backup)
}

/// The backups beside a database, with their schema, by age.
fn backups(path: &Path, ending: &str) -> Vec<(i64, PathBuf)> {
    let Some((folder, name)) = folder(path).zip(path.file_name()) else {
        return Vec::new();
    };
    let begin = format!("{}.schema-", name.to_string_lossy());
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = found
        .filter_map(|entry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(&begin)?;
            let (schema, at) = rest.strip_suffix(ending)?.split_once('.')?;
            Some((at.to_owned(), schema.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found
        .into_iter()
        .map(|(_, schema, file)| (schema, file))
        .collect()
}

fn folder(path: &Path) -> Option<&Path> {
    match path.parent()? {
        here if here.as_os_str().is_empty() => Some(Path::new(".")),
        folder => Some(folder),
    }
}

#[cfg(test)]
mod tests;
