//! Looking at a database from outside: nothing is made, brought up to date or locked.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::dialect::Dialect;
use super::error::StoreError;
use super::instance::alive;
use super::migrations::migrator;

/// What a database is, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Which database it is.
    pub dialect: Dialect,
    /// The file of SQLite.
    pub file: Option<PathBuf>,
    /// It is there. What follows is only known of one that is.
    pub exists: bool,
    /// The newest step of its schema; 0: none was taken.
    pub schema: i64,
    /// The newest step that this version knows.
    pub newest: i64,
    /// A step that was begun and did not come to its end.
    pub broken: Option<i64>,
    /// Processes that serve from it now.
    pub serving: usize,
    /// The server's clock at the moment of the answer.
    pub clock: Option<Timestamp>,
}

/// Looks at the database of this URL. A file of SQLite that nobody has open is read as it lies there, so
/// that no file comes to be beside it.
pub async fn inspect(url: &str) -> Result<Inspection, StoreError> {
    sqlx::any::install_default_drivers();
    let file = url.strip_prefix("sqlite://").map(|path| {
        let path = path.split('?').next().unwrap_or(path);
        Path::new(path).to_owned()
    });
    let dialect = match &file {
        Some(_) => Dialect::Sqlite,
        None => Dialect::Postgres,
    };
    let newest = migrator(dialect).iter().map(|step| step.version).max();
    let mut found = Inspection {
        dialect,
        exists: file.as_ref().is_none_or(|file| file.exists()),
        file,
        schema: 0,
        newest: newest.unwrap_or(0),
        broken: None,
        serving: 0,
        clock: None,
    };
    if !found.exists {
        return Ok(found);
    }
    let url = match &found.file {
        None => url.to_owned(),
        Some(file) => {
            let mut log = file.clone().into_os_string();
            log.push("-wal");
            let how = if Path::new(&log).exists() {
                "mode=ro"
            } else {
                "mode=ro&immutable=1"
            };
            format!("sqlite://{}?{how}", file.display())
        }
    };
    let mut database = AnyConnection::connect(&url).await?;
    let looked = look(&mut database, &mut found).await;
    // All is known by then.
    let _ = database.close().await;
    looked.map(|()| found)
}

async fn look(database: &mut AnyConnection, found: &mut Inspection) -> Result<(), StoreError> {
    let tables = match found.dialect {
        Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations'",
        Dialect::Postgres => {
            let clock = format!("SELECT {}", found.dialect.clock());
            let micros: i64 = sqlx::query(AssertSqlSafe(clock))
                .fetch_one(&mut *database)
                .await?
                .try_get(0)?;
            found.clock = Timestamp::from_microsecond(micros).ok();
            "SELECT 1 FROM pg_tables WHERE tablename = '_sqlx_migrations' \
             AND schemaname = ANY (current_schemas(false))"
        }
    };
    if sqlx::query(tables)
        .fetch_optional(&mut *database)
        .await?
        .is_none()
    {
        return Ok(());
    }
    let steps = "SELECT version, CASE WHEN success THEN 1 ELSE 0 END FROM _sqlx_migrations \
                 ORDER BY version";
    for row in sqlx::query(steps).fetch_all(&mut *database).await? {
        let (version, success): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if success == 1 {
            found.schema = version;
        } else {
            found.broken = Some(version);
        }
    }
    if found.schema > 0 {
        let serving = format!("{} AND kind = 'serve'", alive(found.dialect));
        let serving = sqlx::query(AssertSqlSafe(serving)).fetch_all(database);
        found.serving = serving.await?.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, Use};

    #[tokio::test]
    async fn a_database_is_looked_at_and_nothing_comes_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        assert!(!inspect(&url).await.unwrap().exists);
        assert_eq!(files(), 0);

        let store = Store::open(&url, Use::Serve).await.unwrap();
        store.instance_start("one", true).await.unwrap();
        let seen = inspect(&url).await.unwrap();
        assert_eq!((seen.serving, seen.schema), (1, seen.newest));
        store.close().await;

        // The lock's file stays.
        assert_eq!(files(), 2);
        let seen = inspect(&url).await.unwrap();
        assert_eq!(
            (seen.exists, seen.schema, seen.broken),
            (true, seen.newest, None)
        );
        assert_eq!(files(), 2);
    }
}
