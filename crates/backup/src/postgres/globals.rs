//! Roles and tablespaces, which belong to a server and not to a database.

use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::child::end_of;
use super::dump::versions;
use super::server::Server;
use crate::{Contents, Fault, Source, Taken};

/// How `pg_dumpall` begins and ends what it writes.
const HEAD: &str = "-- PostgreSQL database cluster dump\n";
const END: &str = "-- PostgreSQL database cluster dump complete\n";

/// As many roles as nobody has, bytes.
const MOST: u64 = 256 * 1024 * 1024;

/// By `pg_dumpall --globals-only`, without the digests of passwords.
pub struct Globals {
    server: Arc<Server>,
}

impl Globals {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }
}

#[async_trait]
impl Source for Globals {
    fn extension(&self) -> &'static str {
        "sql"
    }

    async fn take(&self, to: &mut (dyn AsyncWrite + Unpin + Send)) -> Result<Taken, Fault> {
        let mut session = self.server.connect("treasury-bot").await?;
        let (suite, versions) = versions(&self.server, &mut session, "pg_dumpall").await?;
        let mut program = self.server.program(&suite.folder, "pg_dumpall");
        program
            .args(["--globals-only", "--no-role-passwords", "--no-password"])
            .arg(format!("--database={}", self.server.database()))
            .arg(format!(
                "--lock-wait-timeout={}",
                self.server.lock_wait.as_millis()
            ));
        program
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut program = program.spawn()?;
        let mut text = Vec::new();
        let mut told = Vec::new();
        if let (Some(out), Some(err)) = (program.stdout.take(), program.stderr.take()) {
            let (mut out, mut err) = (out.take(MOST), err.take(64 * 1024));
            tokio::try_join!(out.read_to_end(&mut text), err.read_to_end(&mut told))?;
        }
        let ended = program.wait().await?;
        if !ended.success() {
            return Err(end_of("pg_dumpall", ended, &told));
        }
        let roles = roles(&text)?;
        to.write_all(&text).await?;
        Ok(Taken {
            covers: format!("{roles} roles without their passwords, tablespaces"),
            versions,
        })
    }

    async fn read_back(
        &self,
        from: &mut (dyn AsyncRead + Unpin + Send),
    ) -> Result<Contents, Fault> {
        let mut text = Vec::new();
        from.take(MOST).read_to_end(&mut text).await?;
        let mut contents = Contents::default();
        contents.counts.insert("roles".to_owned(), roles(&text)?);
        Ok(contents)
    }
}

/// How many roles it makes.
fn roles(text: &[u8]) -> Result<u64, Fault> {
    let damaged = |why: &str| Fault::Damaged(format!("the roles are not whole: {why}"));
    let text = std::str::from_utf8(text).map_err(|_| damaged("not a text"))?;
    if !text.contains(HEAD) {
        return Err(damaged("the head of pg_dumpall is missing"));
    }
    if !text.contains(END) {
        return Err(damaged("the end of pg_dumpall is missing"));
    }
    let made = text.lines().filter(|line| line.starts_with("CREATE ROLE "));
    Ok(made.count() as u64)
}
