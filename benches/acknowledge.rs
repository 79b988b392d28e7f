//! How soon is a signed slash command acknowledged, when 32 connections send as fast as they can?
//!
//! `cargo bench --bench acknowledge [-- COUNT]` starts the real binary in HTTP mode on SQLite against
//! the sandbox, sends COUNT distinct commands (3,200 by default) over 32 connections, and prints the
//! times from request to answer. Each command is durably recorded before its answer; the run fails
//! if one is missing in the store afterwards. It also prints start-up time and memory.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use treasury_bot::domain::timeline::hex;
use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

const CONNECTIONS: usize = 32;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let count: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(3_200);
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let base = format!("http://127.0.0.1:{port}");
    let delivery = Delivery::Http {
        base_url: base.clone(),
    };
    let sandbox = Sandbox::start(SandboxConfig {
        delivery,
        ..SandboxConfig::default()
    })
    .await
    .unwrap();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    let file = folder.path().join("treasury-bot.toml");
    let text = format!(
        "[slack]\nmode = \"http\"\napi_url = \"{}\"\n[store]\nurl = \"{url}\"\n\
         [web]\nlisten = \"127.0.0.1:{port}\"\n[log]\nlevel = \"error\"\n",
        sandbox.api_url()
    );
    std::fs::write(&file, text).unwrap();

    let mut child = start(&sandbox, &file, &base).await;
    let begun = Instant::now();
    let senders = (0..CONNECTIONS).map(|sender| {
        let (base, secret) = (base.clone(), sandbox.signing_secret().to_owned());
        tokio::spawn(send(base, secret, sender, count / CONNECTIONS))
    });
    let mut times = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        times.extend(sender.await.unwrap());
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    println!(
        "{} acknowledgements at {CONNECTIONS} connections: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, \
         max {:.1} ms; {rate:.0} a second",
        times.len(),
        at(50),
        at(95),
        at(99),
        at(100)
    );
    println!("memory after the load: {} MiB", memory(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();

    // kill -9 at once: what was acknowledged is there.
    let store = Store::open(&url, Use::Visit).await.unwrap();
    let waiting = store.inbox_depth().await.unwrap();
    let answered = store
        .entries(&treasury_bot::domain::Stream::Audit)
        .await
        .unwrap()
        .len();
    let recorded = usize::try_from(waiting).unwrap() + answered;
    assert_eq!(recorded, times.len(), "an acknowledged command is missing");
    println!("all {recorded} are durably recorded ({answered} answered so far)");
    sandbox.stop();
}

/// Starts the binary and waits until it is ready.
async fn start(sandbox: &Sandbox, file: &Path, base: &str) -> Child {
    let started = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
        .arg("serve")
        .env("TREASURY_BOT_CONFIG", file)
        .env("TREASURY_BOT_SLACK_BOT_TOKEN", sandbox.bot_token())
        .env(
            "TREASURY_BOT_SLACK_SIGNING_SECRET",
            sandbox.signing_secret(),
        )
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let client = reqwest::Client::new();
    while !client
        .get(format!("{base}/health/ready"))
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the bot did not start"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    println!(
        "start to first health answer: {} ms",
        started.elapsed().as_millis()
    );
    println!("memory after the start: {} MiB", memory(child.id()));
    child
}

/// Sends so many commands over one connection; the times until their acknowledgement.
async fn send(base: String, secret: String, sender: usize, commands: usize) -> Vec<Duration> {
    // A client each: a connection each.
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    for n in 0..commands {
        let body = format!(
            "command=%2Ftreasury&text=version&user_id=U0ANA00001&user_name=ana\
             &channel_id=C0000000001&trigger_id={sender}.{n}"
        );
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{at}:{body}").as_bytes());
        let signature = format!("v0={}", hex(&mac.finalize().into_bytes()));
        let sent = Instant::now();
        let answer = client
            .post(format!("{base}/slack/commands"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", at)
            .header("x-slack-signature", signature)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        times.push(sent.elapsed());
    }
    times
}

/// Resident memory, MiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1_024
}
