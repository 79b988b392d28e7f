//! Looking at a database from outside: nothing is made, brought up to date or locked.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::dialect::Dialect;
use super::error::StoreError;
use super::file;
use super::instance::alive;
use super::migrations::{Schema, Steps};

/// What a database is, seen from outside.
#[derive(Debug)]
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
    /// How many steps the next start takes; or why this version can't work with it.
    pub to_go: Result<usize, StoreError>,
    /// Processes that serve from it now.
    pub serving: usize,
    /// The server's clock at the moment of the answer.
    pub clock: Option<Timestamp>,
}

/// Looks at the database of this URL. A file of SQLite that nobody has open is read as it lies there, so
/// that no file comes to be beside it.
pub async fn inspect(url: &str) -> Result<Inspection, StoreError> {
    let file = url.strip_prefix("sqlite://").map(|path| {
        let path = path.split('?').next().unwrap_or(path);
        Path::new(path).to_owned()
    });
    match file.clone() {
        None => see(url, None).await,
        Some(path) => see(url, file).await.map_err(|error| error.at(&path)),
    }
}

async fn see(url: &str, file: Option<PathBuf>) -> Result<Inspection, StoreError> {
    sqlx::any::install_default_drivers();
    let dialect = match &file {
        Some(_) => Dialect::Sqlite,
        None => Dialect::Postgres,
    };
    let mut found = Inspection {
        dialect,
        exists: file.as_deref().map_or(Ok(true), file::is_there)?,
        file,
        schema: 0,
        newest: 0,
        to_go: Ok(0),
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
    if found.dialect == Dialect::Postgres {
        let clock = format!("SELECT {}", found.dialect.clock());
        let micros: i64 = sqlx::query(AssertSqlSafe(clock))
            .fetch_one(&mut *database)
            .await?
            .try_get(0)?;
        found.clock = Timestamp::from_microsecond(micros).ok();
    }
    let schema = Schema::read(database, found.dialect, &Steps::default()).await?;
    (found.schema, found.newest) = (schema.version(), schema.newest());
    found.to_go = schema.to_go(found.file.as_deref());
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
        assert!(seen.exists && matches!(seen.to_go, Ok(0)));
        assert_eq!(seen.schema, seen.newest);
        assert_eq!(files(), 2);
    }
}
