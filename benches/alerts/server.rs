//! The bot and Alertmanager, as processes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use crate::load::{SERVICES, TOKEN};

/// A process that ends with the run.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bot with its sandbox and its store.
pub struct Bot {
    pub process: Process,
    pub sandbox: Sandbox,
    pub base: String,
    pub store_url: String,
    _folder: tempfile::TempDir,
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn ready(url: &str) {
    let client = reqwest::Client::new();
    let started = Instant::now();
    while !client
        .get(url)
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{url} is not ready"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Bot {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let sandbox = Sandbox::start(SandboxConfig {
            delivery: Delivery::Http {
                base_url: base.clone(),
            },
            ..SandboxConfig::default()
        })
        .await
        .unwrap();
        let store_url = format!("sqlite://{}", folder.path().join("bot.db").display());
        let services: String = SERVICES
            .iter()
            .map(|name| format!("[[service]]\nname = \"{name}\"\ncontainer = \"bench-{name}\"\n"))
            .collect();
        // Nothing of the machine's own is asked: the engine is not there.
        let text = format!(
            "[slack]\nmode = \"http\"\napi_url = \"{}\"\n[store]\nurl = \"{store_url}\"\n\
             [web]\nlisten = \"127.0.0.1:{port}\"\n[log]\nlevel = \"error\"\n\
             [docker]\nhost = \"tcp://127.0.0.1:{}\"\n[access]\nviewers = [\"*\"]\n\
             responders = [\"U0ANA00001\"]\n[alerts]\nack_within = \"10m\"\n\
             on_call = [\"U0ANA00001\"]\n[watch]\nenabled = false\n{services}",
            sandbox.api_url(),
            free_port(),
        );
        let file = folder.path().join("treasury-bot.toml");
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
            .arg("serve")
            .env("TREASURY_BOT_CONFIG", &file)
            .env("TREASURY_BOT_SLACK_BOT_TOKEN", sandbox.bot_token())
            .env(
                "TREASURY_BOT_SLACK_SIGNING_SECRET",
                sandbox.signing_secret(),
            )
            .env("TREASURY_BOT_ALERTS_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        ready(&format!("{base}/health/ready")).await;
        Self {
            process,
            sandbox,
            base,
            store_url,
            _folder: folder,
        }
    }

    pub async fn alerts(&self) -> (u64, u64) {
        let store = Store::open(&self.store_url, Use::Visit).await.unwrap();
        store.alerts_count().await.unwrap()
    }

    /// A line of the process's own status, MiB: `VmRSS:`, `VmHWM:` at its peak.
    pub fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()));
        let status = status.unwrap();
        let line = status.lines().find(|one| one.starts_with(line)).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() / 1_024
    }
}

impl Process {
    /// The processor time that it has used, of all its threads.
    pub fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // proc(5): utime and stime are the 14th and 15th, of 10 ms on Linux.
        let ticks = fields.split_whitespace().skip(11).take(2);
        Duration::from_millis(ticks.map(|one| one.parse::<u64>().unwrap() * 10).sum())
    }
}

/// A real Alertmanager that tells nobody; `None` where it is not installed.
pub async fn alertmanager(folder: &std::path::Path) -> Option<(Process, String)> {
    let config = "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n";
    std::fs::write(folder.join("alertmanager.yml"), config).unwrap();
    let port = free_port();
    let child = Command::new("prometheus-alertmanager")
        .current_dir(folder)
        .args([
            "--config.file=alertmanager.yml",
            "--cluster.listen-address=",
            "--storage.path=data",
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let process = Process(child);
    let base = format!("http://127.0.0.1:{port}");
    ready(&format!("{base}/-/ready")).await;
    Some((process, base))
}
