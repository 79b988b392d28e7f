//! Why the store did not do what it was asked, and what helps.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

/// What keeps the store from working, whatever is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No room is left.
    Full,
    /// It can be read and not written.
    ReadOnly,
    /// Another process holds it (SQLite).
    Held,
    /// What is stored is damaged.
    Damaged,
    /// Something else lies where the file should be.
    NoDatabase,
    /// The file or what lies beside it can't be opened.
    NotOpened,
    /// The disk gives errors.
    Failing,
    /// PostgreSQL refuses us.
    Denied,
    /// It does not answer.
    Away,
}

impl Trouble {
    const fn what(self) -> &'static str {
        match self {
            Self::Full => "the store's disk is full",
            Self::ReadOnly => "the store can only be read",
            Self::Held => "another process holds the store locked",
            Self::Damaged => "the store is damaged",
            Self::NoDatabase => "what lies there is no database of SQLite",
            Self::NotOpened => "the store's file can't be opened",
            Self::Failing => "the store's disk gives errors",
            Self::Denied => "PostgreSQL refuses it",
            Self::Away => "the store does not answer",
        }
    }

    const fn mend(self) -> &'static str {
        match self {
            Self::Full => "make room there: it goes on by itself",
            Self::ReadOnly => {
                "make file and folder writable for the bot's user (`chown`), or the disk \
                 (`mount -o remount,rw`); PostgreSQL may be a standby"
            }
            Self::Held => "end what holds it, such as a `sqlite3` shell: `fuser FILE` names it",
            Self::Damaged => "bring it back from a backup; nothing was made anew over it",
            Self::NoDatabase => {
                "correct `[store] url`, or bring the store back from a backup; nothing was made anew \
                 over it"
            }
            Self::NotOpened => "is its folder there, and may the bot's user write in it? `chown`",
            Self::Failing => "look at the disk, its quota and the kernel's log (`dmesg`)",
            Self::Denied => "correct `[store] url`, or the user's rights",
            Self::Away => {
                "is PostgreSQL running, and reached from here? It goes on by itself once that answers"
            }
        }
    }

    fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code()?;
                if error.try_downcast_ref::<SqliteError>().is_some() {
                    Self::of_sqlite(code.parse().ok()?)
                } else {
                    Self::of_postgres(&code)
                }
            }
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => {
                Some(Self::Away)
            }
            _ => None,
        }
    }

    /// By SQLite's extended result code (<https://www.sqlite.org/rescode.html>).
    const fn of_sqlite(code: i32) -> Option<Self> {
        // No room for the index of the log of writes: SQLITE_IOERR_SHMSIZE.
        const NO_ROOM_FOR_INDEX: i32 = 4_874;
        Some(match (code, code & 0xff) {
            (NO_ROOM_FOR_INDEX, _) | (_, 13) => Self::Full,
            (_, 5 | 6) => Self::Held,
            (_, 8) => Self::ReadOnly,
            (_, 10) => Self::Failing,
            (_, 11) => Self::Damaged,
            (_, 3 | 14 | 23) => Self::NotOpened,
            (_, 26) => Self::NoDatabase,
            _ => return None,
        })
    }

    /// By the class of SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    fn of_postgres(code: &str) -> Option<Self> {
        Some(match code {
            "53100" => Self::Full,
            "25006" => Self::ReadOnly,
            "58030" => Self::Failing,
            "XX001" | "XX002" => Self::Damaged,
            "3D000" | "42501" => Self::Denied,
            "53300" | "57P01" | "57P02" | "57P03" => Self::Away,
            _ if code.starts_with("08") => Self::Away,
            _ if code.starts_with("28") => Self::Denied,
            _ => return None,
        })
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't work now; what the database said of it.
    #[error("{} ({said}); {}", trouble.what(), trouble.mend())]
    Unable {
        /// What is wrong.
        trouble: Trouble,
        /// In the words of the database or the system.
        said: String,
    },
    /// The database answered with an error.
    #[error("the database failed: {0}")]
    Database(String),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date: {0}")]
    Migration(String),
    /// A newer version has brought the schema further.
    #[error("{}; {}", self.what(), self.mend().unwrap_or_default())]
    Newer {
        /// The newest step of its schema.
        schema: i64,
        /// Who took it.
        by: String,
        /// The newest step that is known here.
        newest: i64,
        /// The newest backup of a schema that is known here.
        backup: Option<PathBuf>,
    },
    /// A step of its schema was taken by a version that had another text for it.
    #[error("{}; {}", self.what(), self.mend().unwrap_or_default())]
    Other {
        /// The step.
        step: i64,
        /// Who took it.
        by: String,
    },
    /// A step of its schema was begun and not finished.
    #[error("{}; {}", self.what(), self.mend().unwrap_or_default())]
    Unfinished(i64),
    /// No backup could be made, and without one the schema is left as it is.
    #[error("no backup of the store could be made, so its schema was left as it is: {0}")]
    Backup(Box<StoreError>),
    /// What is stored can't be read.
    #[error("the database holds something this version can't read: {0}")]
    Unreadable(String),
    /// The URL is of no database we know.
    #[error("`{0}` is not a database URL: use `sqlite://FILE` or `postgres://…`")]
    Url(String),
    /// Another process serves from this file.
    #[error("{} is already used by another `treasury-bot serve`: stop that one, or use PostgreSQL for several replicas", .0.display())]
    Locked(PathBuf),
    /// An older version serves from this file, whose schema would have to be brought further.
    #[error("{} is used by a `treasury-bot serve` of an older version: stop that one first, or use its own program", .0.display())]
    OlderServes(PathBuf),
    /// The file is gone or empty, and what lies beside it says that it held something.
    #[error("{}; {}", self.what(), self.mend().unwrap_or_default())]
    Gone {
        /// The file.
        path: PathBuf,
        /// It is there, and empty.
        empty: bool,
        /// What says so.
        witness: PathBuf,
    },
    /// About this file.
    #[error("{}: {error}", path.display())]
    At {
        /// Which.
        path: PathBuf,
        /// What of it.
        error: Box<StoreError>,
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

/// This version of the bot, as schemas and errors name it.
pub(crate) const OURS: &str = concat!("treasury-bot ", env!("CARGO_PKG_VERSION"));

impl StoreError {
    /// What is wrong, without what helps.
    pub fn what(&self) -> Cow<'_, str> {
        match self {
            Self::Unable { trouble, said } => format!("{} ({said})", trouble.what()).into(),
            Self::Newer {
                schema, by, newest, ..
            } => format!(
                "its schema is {schema}, newer than this version knows ({OURS} knows {newest}, \
                 {schema} is by {by})"
            )
            .into(),
            Self::Other { step, by } => {
                format!("step {step} of its schema, by {by}, is not the one that {OURS} knows")
                    .into()
            }
            Self::Unfinished(step) => {
                format!("step {step} of its schema was begun and not finished").into()
            }
            Self::Gone {
                path,
                empty,
                witness,
            } => {
                let how = if *empty { "is empty" } else { "is not there" };
                let (path, witness) = (path.display(), witness.display());
                format!("{path} {how}, and {witness} says that it held something").into()
            }
            Self::Backup(error) => {
                let what = "no backup could be made, so its schema was left as it is";
                format!("{what}: {}", error.what()).into()
            }
            Self::At { path, error } => format!("{}: {}", path.display(), error.what()).into(),
            other => other.to_string().into(),
        }
    }

    /// What helps, where that is known.
    pub fn mend(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Unable { trouble, .. } => trouble.mend().into(),
            Self::Newer { by, backup, .. } => {
                let run = format!("run the version of the bot that made it ({by}), or a newer one");
                match backup {
                    None => run.into(),
                    Some(backup) => format!(
                        "{run}; or put {} in its place, without what was recorded since",
                        backup.display()
                    )
                    .into(),
                }
            }
            Self::Other { by, .. } => {
                format!("run {by} of that build, or bring the store back from a backup").into()
            }
            Self::Unfinished(_) => "bring it back from a backup".into(),
            Self::Gone { witness, .. } => format!(
                "bring it back from a backup, or remove {} to begin an empty store",
                witness.display()
            )
            .into(),
            Self::At { error, .. } | Self::Backup(error) => return error.mend(),
            _ => return None,
        })
    }

    /// What keeps the store from working, where that is why.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Unable { trouble, .. } => Some(*trouble),
            Self::At { error, .. } | Self::Backup(error) => error.trouble(),
            _ => None,
        }
    }

    /// The same about a file.
    pub(crate) fn at(self, path: &std::path::Path) -> Self {
        match self {
            Self::Unable { .. }
            | Self::Newer { .. }
            | Self::Other { .. }
            | Self::Unfinished(_)
            | Self::Backup(_)
            | Self::Database(_)
            | Self::Migration(_) => Self::At {
                path: path.to_owned(),
                error: Box::new(self),
            },
            other => other,
        }
    }

    /// Why a file can't be opened, made or written.
    pub(crate) fn file(error: &io::Error) -> Self {
        let trouble = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
            io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
            _ => Trouble::NotOpened,
        };
        Self::Unable {
            trouble,
            said: error.to_string(),
        }
    }

    /// The same for another caller.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Unable { trouble, said } => Self::Unable {
                trouble: *trouble,
                said: said.clone(),
            },
            Self::Database(said) => Self::Database(said.clone()),
            other => Self::Database(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let said = match &error {
            sqlx::Error::Database(error) => message(error.as_ref()),
            sqlx::Error::Io(error) => error.to_string(),
            sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
            other => other.to_string(),
        };
        match Trouble::of(&error) {
            Some(trouble) => Self::Unable { trouble, said },
            None => Self::Database(said),
        }
    }
}

/// In one line, and for SQLite with its number.
fn message(error: &(dyn DatabaseError + 'static)) -> String {
    match error.try_downcast_ref::<SqliteError>() {
        Some(error) => format!("{}, {}", error.message(), error.code().unwrap_or_default()),
        None => error.message().replace('\n', " "),
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match error {
            Execute(error) | ExecuteMigration(error, _) if Trouble::of(&error).is_some() => {
                error.into()
            }
            other => Self::Migration(other.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_in_one_line_what_is_wrong_and_what_helps() {
        for (code, begins) in [
            (13, "the store's disk is full"),
            (4_874, "the store's disk is full"),
            (8, "the store can only be read"),
            (1_544, "the store can only be read"),
            (261, "another process holds the store locked"),
            (778, "the store's disk gives errors"),
            (267, "the store is damaged"),
            (26, "what lies there is no database of SQLite"),
            (14, "the store's file can't be opened"),
        ] {
            let trouble = Trouble::of_sqlite(code).unwrap();
            let said = "so and so".to_owned();
            let told = StoreError::Unable { trouble, said }.to_string();
            assert!(told.starts_with(begins), "{code}: {told}");
            assert!(told.contains("(so and so); "), "{told}");
            assert!(!told.contains('\n'), "{told}");
        }
        // What was asked was wrong, and not the store.
        assert_eq!(Trouble::of_sqlite(2_067), None);
        assert_eq!(Trouble::of_postgres("23505"), None);
        for (code, trouble) in [
            ("53100", Trouble::Full),
            ("25006", Trouble::ReadOnly),
            ("57P03", Trouble::Away),
            ("08006", Trouble::Away),
            ("28P01", Trouble::Denied),
            ("XX001", Trouble::Damaged),
        ] {
            assert_eq!(Trouble::of_postgres(code), Some(trouble), "{code}");
        }
    }
}
