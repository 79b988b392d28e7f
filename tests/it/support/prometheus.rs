//! A throw-away Prometheus on a free port.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;

/// A running server; ends and is removed when dropped.
pub struct Prometheus {
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that reads `/metrics` there ten times in a second as the job `shop`, and waits
    /// until it answers.
    pub async fn scraping(page: SocketAddr) -> Self {
        Self::scraping_as("shop", page).await
    }

    /// The same as another job.
    pub async fn scraping_as(job: &str, page: SocketAddr) -> Self {
        Self::started(job, page, &[]).await
    }

    /// The same with further arguments.
    pub async fn started(job: &str, page: SocketAddr, further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: {job}\n  scrape_interval: 100ms\n  scrape_timeout: 100ms\n  \
             static_configs:\n  - targets: ['{page}']\n"
        );
        std::fs::write(&config, text).unwrap();
        let server = Command::new("prometheus")
            .current_dir(folder.path())
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.path=data", "--log.level=error"])
            .args(further)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut prometheus = Self {
            server,
            port,
            _folder: folder,
        };
        prometheus.ready().await;
        prometheus
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What an instant query gives now: the numbers of its series.
    pub async fn ask(&self, query: &str) -> Result<Vec<f64>, String> {
        let address = format!("{}/api/v1/query", self.url());
        let address = reqwest::Url::parse_with_params(&address, [("query", query)]).unwrap();
        let answer = reqwest::get(address).await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let series = answer["data"]["result"].as_array().unwrap().iter();
        let number = |one: &serde_json::Value| one["value"][1].as_str().unwrap().parse().unwrap();
        Ok(series.map(number).collect())
    }

    /// Halts it: its connections stay open, nothing answers.
    pub fn freeze(&self) {
        let id = self.server.id().to_string();
        let sent = Command::new("kill").args(["-STOP", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    async fn ready(&mut self) {
        let url = format!("{}/-/ready", self.url());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !reqwest::get(&url)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            if let Some(status) = self.server.try_wait().unwrap() {
                panic!("Prometheus ended: {status}");
            }
            assert!(Instant::now() < deadline, "Prometheus is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Ended already where the test wanted that.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
