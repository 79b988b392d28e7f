//! A throw-away PostgreSQL cluster on a free port.

use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::free_port;

/// Who owns a cluster's files when the tests run as root; the server refuses to.
type Owner = Option<(u32, u32)>;

/// A running server; ends and is removed when dropped.
pub struct Postgres {
    server: Child,
    port: u16,
    owner: Owner,
    version: Option<u32>,
    data: PathBuf,
    _folder: tempfile::TempDir,
}

/// See [`Postgres::receive_log`]; ends when dropped.
pub struct LogReceiver {
    program: Child,
    _folder: tempfile::TempDir,
}

impl Drop for LogReceiver {
    fn drop(&mut self) {
        // It may have ended with its server.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Postgres {
    /// Makes a cluster and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with settings such as `max_connections=20`. The user `guarded` needs a password,
    /// all others come in without.
    pub async fn start_with(settings: &[&str]) -> Self {
        Self::start_version(None, settings).await
    }

    /// The same of this version, one of `tests/npm/package.json`; `None`: the machine's own.
    pub async fn start_version(version: Option<u32>, settings: &[&str]) -> Self {
        let (folder, data, owner) = folder();
        let made = run_as(&find("initdb", version), owner)
            .args(["--auth=trust", "--username=treasury", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let rules = data.join("pg_hba.conf");
        let trust = std::fs::read_to_string(&rules).unwrap();
        let guarded = format!("host all guarded all scram-sha-256\n{trust}");
        std::fs::write(&rules, guarded).unwrap();
        Self::serve(version, folder, data, owner, settings).await
    }

    /// A standby that streams from this server: a copy of its files between two calls, as there is no
    /// `pg_basebackup` of each version
    /// (<https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP>).
    pub async fn standby(&self) -> Self {
        let (folder, data, owner) = folder();
        let mut session = PgConnection::connect(&self.url()).await.unwrap();
        let (start, stop) = match self.version {
            Some(..=14) => (
                "SELECT pg_start_backup('standby', true, false)",
                "SELECT labelfile FROM pg_stop_backup(false, false)",
            ),
            _ => (
                "SELECT pg_backup_start('standby', true)",
                "SELECT labelfile FROM pg_backup_stop(false)",
            ),
        };
        sqlx::raw_sql(start).execute(&mut session).await.unwrap();
        let copied = run_as(Path::new("cp"), owner)
            .args(["-a".into(), self.data.join("."), data.clone()])
            .status()
            .unwrap();
        assert!(copied.success(), "the files can't be copied");
        let label: String = sqlx::query_scalar(stop)
            .fetch_one(&mut session)
            .await
            .unwrap();
        std::fs::remove_file(data.join("postmaster.pid")).unwrap();
        for slot in std::fs::read_dir(data.join("pg_replslot")).unwrap() {
            std::fs::remove_dir_all(slot.unwrap().path()).unwrap();
        }
        for (name, text) in [("backup_label", label.as_str()), ("standby.signal", "")] {
            std::fs::write(data.join(name), text).unwrap();
            // The server writes to them.
            let (uid, gid) = owner.unzip();
            chown(data.join(name), uid, gid).unwrap();
        }
        let settings = data.join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&settings).unwrap();
        let port = self.port;
        text += &format!("primary_conninfo = 'host=127.0.0.1 port={port} user=treasury'\n");
        std::fs::write(&settings, text).unwrap();
        Self::serve(self.version, folder, data, owner, &[]).await
    }

    /// A program that keeps this server's log and applies nothing of it.
    pub fn receive_log(&self) -> LogReceiver {
        let (folder, data, owner) = folder();
        let program = run_as(&find("pg_receivewal", None), owner)
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "treasury",
                "--no-sync",
                "--no-loop",
            ])
            .args(["-p", &self.port.to_string(), "-D"])
            .arg(&data)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        LogReceiver {
            program,
            _folder: folder,
        }
    }

    async fn serve(
        version: Option<u32>,
        folder: tempfile::TempDir,
        data: PathBuf,
        owner: Owner,
        settings: &[&str],
    ) -> Self {
        let port = free_port();
        let server = run_as(&find("postgres", version), owner)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(folder.path())
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postgres = Self {
            server,
            port,
            owner,
            version,
            data,
            _folder: folder,
        };
        postgres.answers().await;
        postgres
    }

    /// Makes a database whose files lie in this folder, and tells its URL.
    pub async fn database_in(&self, folder: &Path) -> String {
        let (uid, gid) = self.owner.unzip();
        chown(folder, uid, gid).unwrap();
        let mut session = PgConnection::connect(&self.url()).await.unwrap();
        let place = format!(
            "CREATE TABLESPACE elsewhere LOCATION '{}'",
            folder.display()
        );
        for text in [
            place.as_str(),
            "CREATE DATABASE elsewhere TABLESPACE elsewhere",
        ] {
            let text = sqlx::AssertSqlSafe(text.to_owned());
            sqlx::raw_sql(text).execute(&mut session).await.unwrap();
        }
        self.url_of("treasury", "elsewhere")
    }

    /// The URL of its default database.
    pub fn url(&self) -> String {
        self.url_of("treasury", "postgres")
    }

    /// The URL of a database for a user, who may carry a password (`guarded:secret`).
    pub fn url_of(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a power cut would; it can't be started again.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Lets nobody in any more and ends when the last client has gone.
    pub fn stop_when_empty(&self) {
        self.signal("-TERM", &[self.server.id()]);
    }

    /// Halts all its processes: connections stay open, nothing answers.
    pub fn freeze(&self) {
        // The father first, so that no child is born meanwhile.
        self.signal("-STOP", &[self.server.id()]);
        self.signal("-STOP", &self.children());
    }

    /// Goes on after [`Self::freeze`].
    pub fn thaw(&self) {
        self.signal("-CONT", &self.children());
        self.signal("-CONT", &[self.server.id()]);
    }

    fn children(&self) -> Vec<u32> {
        let father = self.server.id().to_string();
        let told = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &father])
            .output()
            .unwrap();
        String::from_utf8(told.stdout)
            .unwrap()
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    /// As its owner, who can hit nobody else's process.
    fn signal(&self, signal: &str, pids: &[u32]) {
        // One of them may have ended by itself.
        let _ = run_as(Path::new("kill"), self.owner)
            .arg(signal)
            .args(pids.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status();
    }

    async fn answers(&self) {
        sqlx::any::install_default_drivers();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            match sqlx::AnyPool::connect(&self.url()).await {
                Ok(pool) => return pool.close().await,
                Err(error) => {
                    assert!(std::time::Instant::now() < deadline, "PostgreSQL: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Immediate shutdown; nothing of it is kept.
        if let Ok(None) = self.server.try_wait() {
            self.signal("-QUIT", &[self.server.id()]);
            self.thaw();
            let _ = self.server.wait();
        }
    }
}

/// A folder for a cluster's data, and who owns it.
fn folder() -> (tempfile::TempDir, PathBuf, Owner) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&data)
        .unwrap();
    let owner = (current("-u") == 0).then(|| (id("-u"), id("-g")));
    if let Some((uid, gid)) = owner {
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
        chown(&data, Some(uid), Some(gid)).unwrap();
    }
    (folder, data, owner)
}

fn run_as(program: &Path, user: Owner) -> Command {
    let mut command = Command::new(program);
    // The caller's folder may not be readable for the other user.
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// A program of a version that `./tests/run` has installed, or of the machine's own: Debian keeps
/// those out of the PATH.
pub fn find(program: &str, version: Option<u32>) -> PathBuf {
    if let Some(version) = version {
        let path = format!("target/tools/npm/node_modules/postgres{version}/native/bin/{program}");
        // A crate's tests start them too.
        let mut roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let root = roots.find(|root| root.join("target/tools").exists());
        return root.unwrap().join(path);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(program)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| Path::new(program).to_owned())
}

fn id(flag: &str) -> u32 {
    number(Command::new("id").args([flag, "postgres"]))
}

fn current(flag: &str) -> u32 {
    number(Command::new("id").arg(flag))
}

fn number(command: &mut Command) -> u32 {
    String::from_utf8(command.output().unwrap().stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
