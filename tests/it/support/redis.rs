//! Throw-away servers of Redis and Valkey on free ports: one, Sentinels, a cluster.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use super::free_port;

/// A running server; ends and is removed when dropped.
pub struct Redis {
    server: Child,
    port: u16,
    folder: tempfile::TempDir,
}

/// The program of Debian's Redis.
const DEBIANS: &str = "redis-server";

/// Every server that is here, by its program: Debian's Redis, and those that tests/run installs.
pub fn programs() -> Vec<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let mut found: Vec<PathBuf> = ["python/bin", "debian/bin"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(tools.join(folder)))
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("-server-"))
        .collect();
    assert!(
        found.len() >= 4,
        "tests/run installs two of Redis and two of Valkey: {found:?}"
    );
    found.push(DEBIANS.into());
    found
}

/// The newest Valkey that tests/run installs.
pub fn newest_valkey() -> PathBuf {
    program("valkey-server-9.1")
}

/// The newest Redis that tests/run installs.
pub fn newest_redis() -> PathBuf {
    program("redis-server-8.0")
}

/// The oldest Redis that tests/run installs.
pub fn oldest_redis() -> PathBuf {
    program("redis-server-6.2")
}

fn program(name: &str) -> PathBuf {
    let found = programs().into_iter().find(|one| one.ends_with(name));
    found.unwrap_or_else(|| panic!("tests/run installs {name}"))
}

impl Redis {
    /// Starts one without persistence, with further options, and waits until it listens.
    pub async fn start(options: &[&str]) -> Self {
        Self::start_of(Path::new(DEBIANS), options).await
    }

    /// The same of another program.
    pub async fn start_of(program: &Path, options: &[&str]) -> Self {
        Self::run(program, "save \"\"\n", options).await
    }

    /// Starts a Sentinel that watches the master `main`, with further lines of configuration, and
    /// a quorum of 2.
    pub async fn sentinel(master: &Self, lines: &str) -> Self {
        let config = format!(
            "sentinel monitor main 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds main 1000\n{lines}\n",
            master.port
        );
        Self::run(Path::new(DEBIANS), &config, &["--sentinel"]).await
    }

    /// Starts masters that share all slots evenly, and waits until each sees the whole.
    pub async fn cluster(masters: usize, node_timeout_ms: u32) -> Vec<Self> {
        Self::cluster_of(Path::new(DEBIANS), masters, node_timeout_ms, &[]).await
    }

    /// The same of another program, with further options.
    pub async fn cluster_of(
        program: &Path,
        masters: usize,
        node_timeout_ms: u32,
        options: &[&str],
    ) -> Vec<Self> {
        let mut nodes = Vec::new();
        for _ in 0..masters {
            let patience = node_timeout_ms.to_string();
            let cluster = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                &patience,
            ];
            nodes.push(Self::start_of(program, &[&cluster, options].concat()).await);
        }
        let share = 16_384_usize.div_ceil(masters);
        let port = nodes[0].port.to_string();
        for (n, node) in nodes.iter().enumerate() {
            let mut client = node.client(None).await;
            let first = (n * share).to_string();
            let last = ((n + 1) * share - 1).min(16_383).to_string();
            let epoch = (n + 1).to_string();
            let _: () = tell(&mut client, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
            let _: () = tell(&mut client, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            // One alone meets nobody, and so never learns its own address.
            if n > 0 {
                let _: () = tell(&mut client, &["CLUSTER", "MEET", "127.0.0.1", &port]).await;
            }
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        for node in &nodes {
            let mut client = node.client(None).await;
            loop {
                let state: String = tell(&mut client, &["CLUSTER", "INFO"]).await;
                if state.contains("cluster_state:ok")
                    && state.contains(&format!("cluster_known_nodes:{masters}\r"))
                {
                    break;
                }
                assert!(Instant::now() < deadline, "no cluster: {state}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        nodes
    }

    async fn run(program: &Path, config: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = port();
        let file = folder.path().join("redis.conf");
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{config}")).unwrap();
        let mut server = Command::new(program)
            .current_dir(folder.path())
            .arg(&file)
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server ended: {ended:?}");
            assert!(Instant::now() < deadline, "Redis does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self {
            server,
            port,
            folder,
        }
    }

    /// `redis://127.0.0.1:<port>/0`
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    /// `127.0.0.1:<port>`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What somebody else reads there: the figure of this name in `INFO`.
    pub async fn info(&self, name: &str) -> String {
        let mut client = self.client(None).await;
        let told: String = tell(&mut client, &["INFO", "everything"]).await;
        let line = told
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().to_owned()
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
    pub async fn client(&self, password: Option<&str>) -> MultiplexedConnection {
        let login = password.map_or(String::new(), |password| format!(":{password}@"));
        let url = format!("redis://{login}127.0.0.1:{}/0", self.port);
        let client = redis::Client::open(url).unwrap();
        // A busy machine is no reason to fail.
        let patience = Some(Duration::from_secs(20));
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(patience)
            .set_response_timeout(patience);
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A client says a command, such as `["CONFIG", "SET", "maxclients", "1"]`, which must succeed.
pub async fn tell<T: redis::FromRedisValue>(
    client: &mut MultiplexedConnection,
    words: &[&str],
) -> T {
    try_tell(client, words)
        .await
        .unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// A client says a command.
pub async fn try_tell<T: redis::FromRedisValue>(
    client: &mut MultiplexedConnection,
    words: &[&str],
) -> redis::RedisResult<T> {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.query_async(client).await
}

/// A free port that leaves room for the port of the cluster's own traffic, 10,000 above.
fn port() -> u16 {
    loop {
        let port = free_port();
        if port < 55_000 && std::net::TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
