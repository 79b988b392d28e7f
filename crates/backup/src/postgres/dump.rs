//! A database by `pg_dump`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx_core::query::query;
use sqlx_core::query_as::query_as;
use sqlx_postgres::PgConnection;
use tokio::io::{AsyncRead, AsyncWrite};

use super::archive::Archive;
use super::child::{end_of, last_words, piped};
use super::fingerprint::{self, Recorded};
use super::programs::Suite;
use super::server::{Server, refused};
use crate::{Contents, Fault, Source, Taken};

/// What our sessions call themselves, so that those that wait are found.
const APPLICATION: &str = "treasury-bot backup";

/// By `pg_dump --format=custom`, of the same snapshot as its [`Recorded`] fingerprint.
pub struct Dump {
    server: Arc<Server>,
    recorded: Recorded,
}

impl Dump {
    pub(super) fn new(server: Arc<Server>, recorded: Recorded) -> Self {
        Self { server, recorded }
    }

    /// `pg_dump` to its end, into `to`.
    async fn run(
        &self,
        suite: &Suite,
        snapshot: &str,
        to: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), Fault> {
        let mut program = self.server.program(&suite.folder, "pg_dump");
        program
            .args(["--format=custom", "--no-password"])
            .arg(format!("--snapshot={snapshot}"))
            .arg(format!(
                "--lock-wait-timeout={}",
                self.server.lock_wait.as_millis()
            ))
            .env("PGAPPNAME", APPLICATION);
        program
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut program = program.spawn()?;
        let out = program.stdout.take();
        let err = program.stderr.take();
        let copied = async {
            let mut out = tokio::io::BufReader::with_capacity(256 * 1024, out.ok_or_else(piped)?);
            tokio::io::copy_buf(&mut out, to).await?;
            Ok(())
        };
        let ((), told) = tokio::try_join!(copied, last_words(err))?;
        let ended = program.wait().await?;
        if !ended.success() {
            return Err(end_of("pg_dump", ended, &told));
        }
        Ok(())
    }

    /// Who keeps our sessions waiting, as last seen; ends with an error when it can't be seen.
    async fn blockers(&self, seen: &tokio::sync::Mutex<Option<String>>) -> Result<(), Fault> {
        let mut session = self.server.connect("treasury-bot").await?;
        let asked = "SELECT w.wait_event_type = 'Lock', coalesce((SELECT string_agg(format('session %s of \
             %s (%s)', b.pid, b.usename, coalesce(nullif(b.application_name, ''), '?')), ', ') FROM \
             pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(w.pid))), '') FROM \
             pg_stat_activity w WHERE w.application_name = $1 AND w.datname = current_database() \
             AND w.wait_event_type = 'Lock'";
        loop {
            let waiting: Vec<(bool, String)> = query_as(asked)
                .bind(APPLICATION)
                .fetch_all(&mut session)
                .await
                .map_err(refused)?;
            let by = waiting
                .into_iter()
                .map(|(_, by)| by)
                .find(|by| !by.is_empty());
            if by.is_some() {
                *seen.lock().await = by;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

#[async_trait]
impl Source for Dump {
    fn extension(&self) -> &'static str {
        "dump"
    }

    async fn take(&self, to: &mut (dyn AsyncWrite + Unpin + Send)) -> Result<Taken, Fault> {
        let mut session = self.server.connect(APPLICATION).await?;
        let (suite, versions) = versions(&self.server, &mut session, "pg_dump").await?;
        let locks = self.server.lock_wait.as_millis();
        fingerprint::prepare(&mut session, locks).await?;
        let snapshot = Server::one(&mut session, "SELECT pg_export_snapshot()").await?;
        let seen = tokio::sync::Mutex::new(None);
        let both = async {
            let described = fingerprint::of(&mut session);
            let (mut described, ()) = tokio::try_join!(described, self.run(&suite, &snapshot, to))?;
            // They don't belong to the snapshot: they may have moved until pg_dump read them.
            fingerprint::sequences(&mut session, &mut described, "sequences after").await?;
            query("COMMIT")
                .execute(&mut session)
                .await
                .map_err(refused)?;
            Ok(described)
        };
        let described = tokio::select! {
            described = both => described,
            Err(fault) = self.blockers(&seen) => Err(fault),
        };
        let described = match (described, seen.into_inner()) {
            (Err(fault), Some(by)) if fault.to_string().contains("timeout") => {
                return Err(Fault::Refused(format!(
                    "a table was locked for longer than {} s, by {by}",
                    self.server.lock_wait.as_secs()
                )));
            }
            (described, _) => described?,
        };
        let covers = described.covers(self.server.database());
        self.recorded.keep(described);
        Ok(Taken { covers, versions })
    }

    async fn read_back(
        &self,
        from: &mut (dyn AsyncRead + Unpin + Send),
    ) -> Result<Contents, Fault> {
        Archive::new(&self.server.programs).read(from).await
    }
}

/// The programs that fit, and the versions to be recorded.
pub(super) async fn versions(
    server: &Server,
    session: &mut PgConnection,
    program: &str,
) -> Result<(Suite, BTreeMap<String, String>), Fault> {
    let version = "SELECT split_part(current_setting('server_version'), ' ', 1)";
    let version = Server::one(session, version).await?;
    let number = "SELECT (current_setting('server_version_num')::int / 10000)::text";
    let number = Server::one(session, number).await?;
    let suite = server
        .programs
        .for_server(number.parse().unwrap_or(u32::MAX), &version)
        .await?;
    let versions = BTreeMap::from([
        ("server".to_owned(), version),
        (program.to_owned(), suite.version.clone()),
    ]);
    Ok((suite, versions))
}

impl Server {
    /// Which programs would back it up, in words; nothing is written.
    ///
    /// # Errors
    /// It can't be reached, or no program fits.
    pub async fn fits(&self) -> Result<String, Fault> {
        let mut session = self.connect("treasury-bot").await?;
        let (suite, versions) = versions(self, &mut session, "pg_dump").await?;
        let server = versions.get("server").map_or("?", String::as_str);
        let (version, folder) = (suite.version, suite.folder.display().to_string());
        Ok(format!(
            "PostgreSQL {server}, pg_dump {version} of {folder}"
        ))
    }
}
