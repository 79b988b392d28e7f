//! A throw-away Alertmanager, and a Prometheus that evaluates our rules for it, on free ports.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;

/// A server; ends when dropped.
struct Server(Child);

impl Server {
    async fn start(program: &str, folder: &Path, args: &[String], ready: &str) -> Self {
        let child = Command::new(program)
            .current_dir(folder)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !reqwest::get(ready)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            if let Some(status) = server.0.try_wait().unwrap() {
                panic!("{program} ended: {status}");
            }
            assert!(Instant::now() < deadline, "{program} is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already where the test wanted that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running Alertmanager.
pub struct Alertmanager {
    _server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    /// Starts one that sends everything to a bot there, with this token, without waiting.
    pub async fn start(bot: SocketAddr, token: &str) -> Self {
        Self::start_on(free_port(), bot, token).await
    }

    /// The same, on a port that was chosen before.
    pub async fn start_on(port: u16, bot: SocketAddr, token: &str) -> Self {
        Self::set(Setup::new(port, bot, token)).await
    }

    /// One that is set up otherwise.
    pub async fn set(setup: Setup<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let Setup {
            port,
            bot,
            token,
            path,
            ..
        } = setup;
        let config = format!(
            "route:\n  receiver: bot\n  group_by: [service]\n  group_wait: 0s\n  group_interval: 1s\n  \
             repeat_interval: {}\nreceivers:\n- name: bot\n  webhook_configs:\n  - url: \
             http://{bot}{path}\n    send_resolved: true\n    max_alerts: {}\n    \
             http_config:\n      authorization:\n        credentials: {token}\n{}",
            setup.repeat_interval, setup.max_alerts, setup.more
        );
        std::fs::write(folder.path().join("alertmanager.yml"), config).unwrap();
        let mut args = vec![
            "--config.file=alertmanager.yml".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--storage.path=data".to_owned(),
        ];
        match setup.cluster {
            None => args.push("--cluster.listen-address=".to_owned()),
            Some((own, other)) => args.extend([
                format!("--cluster.listen-address=127.0.0.1:{own}"),
                format!("--cluster.peer=127.0.0.1:{other}"),
                "--cluster.peer-timeout=1s".to_owned(),
                "--cluster.gossip-interval=50ms".to_owned(),
                "--cluster.settle-timeout=1s".to_owned(),
            ]),
        }
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        let server = Server::start("prometheus-alertmanager", folder.path(), &args, &ready).await;
        Self {
            _server: server,
            port,
            _folder: folder,
        }
    }

    /// Sends alerts as Prometheus does.
    pub async fn post(&self, alerts: &serde_json::Value) {
        let sent = reqwest::Client::new()
            .post(format!("{}/api/v2/alerts", self.url()))
            .json(alerts)
            .send()
            .await
            .unwrap();
        assert!(sent.status().is_success(), "{}", sent.status());
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often a notification could not be delivered so far.
    pub async fn failures(&self) -> f64 {
        self.counted("alertmanager_notification_requests_failed_total")
            .await
    }

    /// How many notifications were sent so far.
    pub async fn notifications(&self) -> f64 {
        self.counted("alertmanager_notifications_total").await
    }

    async fn counted(&self, counter: &str) -> f64 {
        let page = reqwest::get(format!("{}/metrics", self.url()))
            .await
            .unwrap();
        let page = page.text().await.unwrap();
        page.lines()
            .filter(|line| line.starts_with(counter) && line.contains("integration=\"webhook\""))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

/// How an Alertmanager is set up.
pub struct Setup<'a> {
    pub port: u16,
    pub bot: SocketAddr,
    pub token: &'a str,
    /// Where it sends to there.
    pub path: &'a str,
    /// How often it repeats what fires.
    pub repeat_interval: &'a str,
    /// Most alerts of a notification; 0: all.
    pub max_alerts: u32,
    /// Its own port in a cluster, and that of another member.
    pub cluster: Option<(u16, u16)>,
    /// Further lines of its configuration.
    pub more: &'a str,
}

impl<'a> Setup<'a> {
    /// Alone; everything is sent, and repeated after an hour.
    pub fn new(port: u16, bot: SocketAddr, token: &'a str) -> Self {
        Self {
            port,
            bot,
            token,
            path: "/alerts/alertmanager",
            repeat_interval: "1h",
            max_alerts: 0,
            cluster: None,
            more: "",
        }
    }
}

/// A Prometheus with the rules that we ship, in a hurry: it scrapes a page and evaluates each 200 ms.
pub struct Rules {
    server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Rules {
    /// Starts it; `page` is `host:port`, `path` where the metrics are.
    pub async fn start(page: SocketAddr, path: &str, alertmanager: &Alertmanager) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yml");
        let rules = std::fs::read_to_string(shipped).unwrap();
        let hasty = rules
            .replace("for: 2m", "for: 0s")
            .replace("for: 5m", "for: 0s")
            .replace("for: 30s", "for: 0s")
            .replace("[2m]", "[3s]");
        std::fs::write(folder.path().join("alerts.yml"), hasty).unwrap();
        let config = format!(
            "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  evaluation_interval: 200ms\n\
             rule_files: [alerts.yml]\nalerting:\n  alertmanagers:\n  - static_configs:\n    - targets: \
             ['127.0.0.1:{}']\nscrape_configs:\n- job_name: treasury\n  honor_labels: true\n  \
             metrics_path: {path}\n  static_configs:\n  - targets: ['{page}']\n",
            alertmanager.port
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let args = [
            "--config.file=prometheus.yml".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--storage.tsdb.path=data".to_owned(),
            "--log.level=error".to_owned(),
            // What it does not repeat for four times as long is over for Alertmanager.
            "--rules.alert.resend-delay=300ms".to_owned(),
        ];
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        let server = Server::start("prometheus", folder.path(), &args, &ready).await;
        Self {
            server,
            port,
            _folder: folder,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Halts it: it evaluates nothing and sends nothing, and Alertmanager takes its alerts for over.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on with what it knows.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.server.0.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }
}
