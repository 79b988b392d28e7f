//! What the benches of commands share: a Slack that only counts, a bot beside it, and connections that
//! send signed commands and cost next to nothing themselves.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::routing::{any, post};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use treasury_bot::domain::timeline::hex;

pub const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// A Slack that takes everything, and counts the answers to commands.
#[derive(Clone)]
pub struct Slack {
    pub base: String,
    answers: Arc<AtomicUsize>,
}

impl Slack {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(AtomicUsize::new(0));
        let answer = async |State(answers): State<Arc<AtomicUsize>>, body: String| {
            assert!(body.contains("help"), "no help: {body}");
            answers.fetch_add(1, Ordering::SeqCst);
            "ok"
        };
        let call = async || {
            axum::Json(json!({
                "ok": true, "url": "http://x/", "team": "T", "user": "bot", "team_id": "T1",
                "user_id": "U0BOT000001", "bot_id": "B1", "members": [], "users": [],
            }))
        };
        let router = Router::new()
            .route("/respond/{n}", post(answer))
            .route("/api/{method}", any::<_, _, Arc<AtomicUsize>>(call))
            .with_state(answers.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, answers }
    }

    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    /// Waits until so many commands were answered.
    pub async fn until(&self, answers: usize) {
        let started = Instant::now();
        while self.answers() < answers {
            assert!(
                started.elapsed() < Duration::from_secs(600),
                "{} of {answers} answers",
                self.answers()
            );
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

/// A process that ends with the run.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Processor time so far, of the process and of the system for it, by `/proc/PID/stat`.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks = |at: usize| -> u64 { rest.split(' ').nth(at).unwrap().parse().unwrap() };
        // The kernel tells this to everybody in hundredths of a second.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Resident memory, MiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() / 1_024
    }
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A bot in HTTP mode on SQLite, and its Slack.
pub struct Bot {
    pub process: Process,
    pub slack: Slack,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Bot {
    pub async fn start(binary: &Path) -> Self {
        let slack = Slack::start().await;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let store = folder.path().join("bot.db");
        let file = folder.path().join("treasury-bot.toml");
        let text = format!(
            "[slack]\nmode = \"http\"\napi_url = \"{}/api\"\n[store]\nurl = \"sqlite://{}\"\n\
             [web]\nlisten = \"127.0.0.1:{port}\"\n[log]\nlevel = \"error\"\n",
            slack.base,
            store.display()
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(binary)
            .arg("serve")
            .env("TREASURY_BOT_CONFIG", &file)
            .env("TREASURY_BOT_SLACK_BOT_TOKEN", "xoxb-1-2-abc")
            .env("TREASURY_BOT_SLACK_SIGNING_SECRET", SECRET)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        until_open(port).await;
        Self {
            process,
            slack,
            port,
            _folder: folder,
        }
    }

    /// A command of this number; each is another's, so that places don't wait for each other.
    pub fn help(&self, n: usize) -> String {
        let base: String =
            url::form_urlencoded::byte_serialize(self.slack.base.as_bytes()).collect();
        format!(
            "command=%2Ftreasury&text=help&user_id=U0ANA{:05}&user_name=ana&channel_id=C{:010}\
             &trigger_id=1.{n}&response_url={base}%2Frespond%2F{n}",
            n % 100,
            n % 50
        )
    }
}

/// Waits until somebody listens there.
pub async fn until_open(port: u16) {
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "it did not start"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One connection that sends signed commands.
pub struct Sender {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Sender {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends a command; the time until its acknowledgement.
    pub async fn send(&mut self, body: &str) -> Duration {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("v0:{at}:{body}").as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        let request = format!(
            "POST /slack/commands HTTP/1.1\r\nhost: 127.0.0.1\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
             x-slack-request-timestamp: {at}\r\nx-slack-signature: v0={signature}\r\n\r\n{body}",
            body.len()
        );
        let sent = Instant::now();
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let head = self.answer().await;
        let took = sent.elapsed();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        took
    }

    /// Reads one answer to its end; its head, in small letters.
    async fn answer(&mut self) -> String {
        let mut chunk = [0; 4_096];
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
                let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                    rest.split("\r\n").next().unwrap().parse::<usize>().unwrap()
                });
                while self.buffer.len() < end + 4 + length {
                    let read = self.stream.read(&mut chunk).await.unwrap();
                    assert!(read > 0, "the connection was closed");
                    self.buffer.extend_from_slice(&chunk[..read]);
                }
                self.buffer.drain(..end + 4 + length);
                return head;
            }
            let read = self.stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the connection was closed");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// Sends so many commands over so many connections as fast as they are taken, or so many a second:
/// the times until their acknowledgements, shortest first.
pub async fn send_all(
    port: u16,
    connections: usize,
    bodies: Vec<String>,
    every: Option<Duration>,
) -> Vec<Duration> {
    let begun = tokio::time::Instant::now();
    let bodies = Arc::new(bodies);
    let next = Arc::new(AtomicUsize::new(0));
    let senders = (0..connections).map(|_| {
        let (bodies, next) = (bodies.clone(), next.clone());
        tokio::spawn(async move {
            let mut sender = Sender::connect(port).await;
            let mut times = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let Some(body) = bodies.get(n) else {
                    return times;
                };
                if let Some(every) = every {
                    tokio::time::sleep_until(begun + every * n as u32).await;
                }
                times.push(sender.send(body).await);
            }
        })
    });
    let mut times = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        times.extend(sender.await.unwrap());
    }
    times.sort();
    times
}

/// The time that so many of a hundred don't exceed, in milliseconds.
pub fn percentile(times: &[Duration], percent: usize) -> f64 {
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
}

/// A handler that only says yes: what the connections and axum cost alone.
pub async fn bare(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let router = Router::new().route("/slack/commands", post(async |_: String| ""));
    axum::serve(listener, router).await.unwrap();
}

/// The middle one of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
