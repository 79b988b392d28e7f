//! The steps of the schema, in the order in which they are taken.
//!
//! They are listed here and not found by sqlx's macro: for the macro, cargo would compile sqlx and
//! SQLite a second time, for the compiler's own use.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::dialect::Dialect;

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

const STEPS: &[(&str, &str, &str)] = &[step!("0001_schema.sql")];

/// Brings a database of this kind up to date.
pub(crate) fn migrator(dialect: Dialect) -> Migrator {
    let steps = STEPS.iter().map(|&(file, sqlite, postgres)| {
        let sql = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        let (number, words) = file.split_once('_').unwrap_or_default();
        // All are numbers: a test compares them with the files.
        let version = number.parse().unwrap_or_default();
        let description = words.trim_end_matches(".sql").replace('_', " ");
        let sql = SqlStr::from_static(sql);
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            sql,
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
                        one.description.clone(),
                        kind,
                        one.no_tx,
                        one.checksum.clone(),
                    )
                });
                facts.collect::<Vec<_>>()
            };
            assert_eq!(facts(&migrator(dialect)), facts(&found));
        }
    }
}
