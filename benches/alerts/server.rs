//! The bot and Alertmanager, as processes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use crate::load::{SERVICES, TOKEN};
use crate::process;

/// Until a process answers.
const PATIENCE: Duration = Duration::from_secs(20);

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

impl Bot {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = process::free_port();
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
            "{}[docker]\nhost = \"tcp://127.0.0.1:{}\"\n[access]\nviewers = [\"*\"]\n\
             responders = [\"U0ANA00001\"]\n[alerts]\nack_within = \"10m\"\n\
             on_call = [\"U0ANA00001\"]\n[watch]\nenabled = false\n{services}",
            process::configuration(&sandbox, &store_url, port),
            process::free_port(),
        );
        let file = folder.path().join("treasury-bot.toml");
        std::fs::write(&file, text).unwrap();
        let mut serve = process::serve(&sandbox, &file);
        let child = serve.env("TREASURY_BOT_ALERTS_TOKEN", TOKEN).spawn();
        let process = Process(child.unwrap());
        process::ready(&format!("{base}/health/ready"), PATIENCE).await;
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
        process::memory(self.process.0.id(), line)
    }
}

impl Process {
    /// The processor time that it has used, of all its threads.
    pub fn processor(&self) -> Duration {
        process::processor(self.0.id())
    }
}

/// A real Alertmanager that tells nobody; `None` where it is not installed.
pub async fn alertmanager(folder: &std::path::Path) -> Option<(Process, String)> {
    let config = "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n";
    std::fs::write(folder.join("alertmanager.yml"), config).unwrap();
    let port = process::free_port();
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
    process::ready(&format!("{base}/-/ready"), PATIENCE).await;
    Some((process, base))
}
