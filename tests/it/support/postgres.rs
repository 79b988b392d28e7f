//! A throw-away PostgreSQL cluster on a free port.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::free_port;

/// A running server; ends and is removed when dropped.
pub struct Postgres {
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a cluster and waits until it answers.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        // The server refuses to run as root.
        let user = (current("-u") == 0).then(|| (id("-u"), id("-g")));
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let made = command("initdb", user)
            .args(["--auth=trust", "--username=treasury", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let port = free_port();
        let server = command("postgres", user)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postgres = Self {
            server,
            port,
            _folder: folder,
        };
        postgres.answers().await;
        postgres
    }

    /// The URL of its default database.
    pub fn url(&self) -> String {
        format!("postgres://treasury@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it as a power cut would; it can't be started again.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
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
        let _ = Command::new("kill")
            .args(["-QUIT", &self.server.id().to_string()])
            .status();
        let _ = self.server.wait();
    }
}

fn command(program: &str, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(find(program));
    // The caller's folder may not be readable for the other user.
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// Debian keeps the server's programs out of the PATH.
fn find(program: &str) -> PathBuf {
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
