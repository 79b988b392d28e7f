//! The real binary as a process of its own, against a sandbox in the test.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use treasury_bot::sandbox::slack::Sandbox;

use super::free_port;

/// `treasury-bot serve`; killed when dropped.
pub struct Serve {
    child: Child,
    port: u16,
}

/// What is written into the configuration file beside Slack, store and web.
pub struct Setup {
    pub folder: tempfile::TempDir,
    pub http: bool,
    pub port: u16,
    /// What stands in `[log]`; anything but the usual goes into the file `log` of the folder.
    pub log: &'static str,
    rest: String,
}

impl Setup {
    /// A configuration with these further sections.
    pub fn new(http: bool, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            http,
            port: free_port(),
            log: "level = \"warn\"",
            rest: rest.to_owned(),
        }
    }

    /// The embedded database's URL.
    pub fn store_url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("bot.db").display())
    }

    /// Where a log goes that the test reads.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Writes the file and starts the process; waits until it is ready.
    pub async fn serve(&self, sandbox: &Sandbox) -> Serve {
        self.serve_with(sandbox, &[]).await
    }

    /// The same, with further variables.
    pub async fn serve_with(&self, sandbox: &Sandbox, env: &[(&str, &str)]) -> Serve {
        let mut command = self.command(sandbox, "serve");
        if self.log.contains('\n') {
            let mut file = std::fs::OpenOptions::new();
            let file = file.create(true).append(true).open(self.log_file());
            command.stderr(file.unwrap());
        }
        let child = command.envs(env.iter().copied()).spawn().unwrap();
        let mut serve = Serve {
            child,
            port: self.port,
        };
        serve.ready().await;
        serve
    }

    /// The binary with a subcommand, the configuration and the secrets.
    pub fn command(&self, sandbox: &Sandbox, subcommand: &str) -> Command {
        let file = self.folder.path().join("treasury-bot.toml");
        std::fs::write(&file, self.text(sandbox)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
        command
            .arg(subcommand)
            .env("TREASURY_BOT_CONFIG", &file)
            .env("TREASURY_BOT_SLACK_BOT_TOKEN", sandbox.bot_token())
            .env("TREASURY_BOT_SLACK_APP_TOKEN", sandbox.app_token())
            .env(
                "TREASURY_BOT_SLACK_SIGNING_SECRET",
                sandbox.signing_secret(),
            )
            .env("USER", "tester")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn text(&self, sandbox: &Sandbox) -> String {
        let mode = if self.http { "http" } else { "socket" };
        format!(
            "[slack]\nmode = \"{mode}\"\napi_url = \"{}\"\n\n[store]\nurl = \"{}\"\n\n\
             [web]\nlisten = \"127.0.0.1:{}\"\n\n[log]\n{}\n\n\
             [access]\nviewers = [\"*\"]\nresponders = [\"U0ANA00001\"]\n\n{}",
            sandbox.api_url(),
            self.store_url(),
            self.port,
            self.log,
            self.rest
        )
    }
}

impl Serve {
    /// Waits until it is ready and Slack has let it in.
    async fn ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/health/ready", self.port);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success()
                && let Ok(body) = answer.json::<serde_json::Value>().await
                && body["slack"]["connected"] == true
            {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("treasury-bot serve ended: {status}");
            }
            assert!(
                std::time::Instant::now() < deadline,
                "not ready within 20 s"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -STOP`: it is there, and does nothing.
    pub fn halt(&self) {
        self.signal("-STOP");
    }

    /// It goes on after [`Self::halt`].
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// `kill -TERM`, and waits for the orderly end.
    pub async fn end(mut self) -> std::process::ExitStatus {
        self.signal("-TERM");
        tokio::task::spawn_blocking(move || self.child.wait().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Ended already in most tests; a failing one must not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where this crate's files are.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
