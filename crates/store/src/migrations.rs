//! The steps of the schema, in the order in which they are taken.
//!
//! They are listed here and not found by sqlx's macro: for the macro, cargo would compile sqlx and
//! SQLite a second time, for the compiler's own use.

use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, SqlStr};

use super::dialect::Dialect;
use super::error::{OURS, StoreError};
use super::file;

/// The text of one step for SQLite and for PostgreSQL, with its file's name.
macro_rules! step {
    ($file:literal) => {
        (
            $file,
            include_str!(concat!("../migrations/sqlite/", $file)),
            include_str!(concat!("../migrations/postgres/", $file)),
        )
    };
}

/// The steps of a schema: file, SQLite's text, PostgreSQL's text.
#[derive(Debug, Clone)]
pub struct Steps(Vec<(&'static str, &'static str, &'static str)>);

impl Default for Steps {
    /// This version's.
    fn default() -> Self {
        Self(vec![step!("0001_schema.sql")])
    }
}

/// Between a step's words and who took it, in what the database keeps of it.
const BY: &str = ", by ";

impl Steps {
    /// With a further one, as a later version has.
    pub fn and(mut self, file: &'static str, text: &'static str) -> Self {
        self.0.push((file, text, text));
        self
    }

    fn migrator(&self, dialect: Dialect) -> Migrator {
        let steps = self.0.iter().map(|&(file, sqlite, postgres)| {
            let sql = match dialect {
                Dialect::Sqlite => sqlite,
                Dialect::Postgres => postgres,
            };
            let (number, words) = file.split_once('_').unwrap_or_default();
            // All are numbers: a test compares them with the files.
            let version = number.parse().unwrap_or_default();
            let words = words.trim_end_matches(".sql").replace('_', " ");
            Migration::new(
                version,
                format!("{words}{BY}{OURS}").into(),
                MigrationType::Simple,
                SqlStr::from_static(sql),
                false,
            )
        });
        Migrator::with_migrations(steps.collect())
    }
}

/// The schema of a database beside the one that is known here.
#[derive(Debug)]
pub(crate) struct Schema {
    known: Migrator,
    taken: Vec<Taken>,
}

/// A step that a database has taken.
#[derive(Debug)]
struct Taken {
    version: i64,
    by: String,
    is_finished: bool,
    checksum: Vec<u8>,
}

impl Schema {
    /// Reads which steps a database has taken. Nothing is changed.
    pub(crate) async fn read(
        database: &mut AnyConnection,
        dialect: Dialect,
        steps: &Steps,
    ) -> Result<Self, StoreError> {
        let mut schema = Self {
            known: steps.migrator(dialect),
            taken: Vec::new(),
        };
        let table = match dialect {
            Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations'",
            Dialect::Postgres => {
                "SELECT 1 FROM pg_tables WHERE tablename = '_sqlx_migrations' \
                 AND schemaname = ANY (current_schemas(false))"
            }
        };
        let table = sqlx::query(table).fetch_optional(&mut *database).await?;
        if table.is_some() {
            let rows = sqlx::query_as::<_, (i64, String, i64, Vec<u8>)>(
                "SELECT version, description, CAST(CASE WHEN success THEN 1 ELSE 0 END AS BIGINT), \
                 checksum FROM _sqlx_migrations ORDER BY version",
            );
            let rows = rows.fetch_all(database).await?.into_iter();
            let taken = rows.map(|(version, words, success, checksum)| Taken {
                version,
                by: match words.split_once(BY) {
                    Some((_, by)) => by.to_owned(),
                    None => "an unknown version".to_owned(),
                },
                is_finished: success == 1,
                checksum,
            });
            schema.taken = taken.collect();
        }
        Ok(schema)
    }

    /// The newest step taken; 0: none was.
    pub(crate) fn version(&self) -> i64 {
        self.taken.last().map_or(0, |step| step.version)
    }

    /// The newest step that is known here.
    pub(crate) fn newest(&self) -> i64 {
        self.known
            .iter()
            .map(|step| step.version)
            .max()
            .unwrap_or(0)
    }

    /// How many steps are to be taken; or why this version can't work with it.
    pub(crate) fn to_go(&self, file: Option<&Path>) -> Result<usize, StoreError> {
        let newest = self.newest();
        for step in &self.taken {
            let (version, by) = (step.version, step.by.clone());
            if !step.is_finished {
                return Err(StoreError::Unfinished(version));
            }
            let known = self.known.iter().find(|one| one.version == version);
            if known.is_none() && version > newest {
                return Err(StoreError::Newer {
                    schema: self.version(),
                    by: self.taken.last().map_or(by, |last| last.by.clone()),
                    newest,
                    backup: file.and_then(|file| file::backup_of(file, newest)),
                });
            }
            if known.is_none_or(|known| *known.checksum != *step.checksum) {
                return Err(StoreError::Other { step: version, by });
            }
        }
        let is_taken = |version| self.taken.iter().any(|step| step.version == version);
        Ok(self
            .known
            .iter()
            .filter(|step| !is_taken(step.version))
            .count())
    }

    /// Takes the steps that are to be taken, after a backup of what there is (of SQLite's file).
    pub(crate) async fn go(
        &self,
        database: &mut AnyConnection,
        file: Option<&Path>,
    ) -> Result<(), StoreError> {
        let (schema, newest) = (self.version(), self.newest());
        match file {
            _ if schema == 0 => {}
            Some(file) => file::back_up(database, file, schema).await?,
            None => tracing::warn!(
                schema,
                newest,
                "the schema is brought from {schema} to {newest} by {OURS}: the way back is your own \
                 backup of PostgreSQL from before (pg_dump --format=custom); the bot makes none"
            ),
        }
        // `run` takes what a connection is got from, and makes of this a future that can't be sent.
        self.known.run_direct(None, database, false).await?;
        if schema > 0 {
            tracing::info!(schema = newest, "the schema is brought up to date");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_steps_are_the_files_of_their_folder() {
        for (dialect, folder) in [(Dialect::Sqlite, "sqlite"), (Dialect::Postgres, "postgres")] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(folder);
            let found = Migrator::new(folder).await.unwrap();
            let facts = |all: &Migrator| {
                let facts = all.iter().map(|one| {
                    let kind = one.migration_type;
                    (
                        one.version,
                        one.description.replace(&format!("{BY}{OURS}"), ""),
                        kind,
                        one.no_tx,
                        one.checksum.clone(),
                    )
                });
                facts.collect::<Vec<_>>()
            };
            assert_eq!(facts(&Steps::default().migrator(dialect)), facts(&found));
        }
    }
}
