//! A throw-away Redis on a free port.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;

/// A running server; ends and is removed when dropped.
pub struct Redis {
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one without persistence, with further options, and waits until it listens.
    pub async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let server = Command::new("redis-server")
            .current_dir(folder.path())
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "Redis does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self {
            server,
            port,
            _folder: folder,
        }
    }

    /// `redis://127.0.0.1:<port>/0`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.server.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// A client of somebody else's.
    pub async fn client(&self, password: Option<&str>) -> redis::aio::MultiplexedConnection {
        let login = password.map_or(String::new(), |password| format!(":{password}@"));
        let url = format!("redis://{login}127.0.0.1:{}/0", self.port);
        let client = redis::Client::open(url).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
