//! How many alerts a second are durably taken in, beside a real Alertmanager that keeps them in
//! memory; and a storm of them, with a Slack that takes one message a second.
//!
//! `cargo bench --bench alerts [-- COUNT]` starts the real binary in HTTP mode on SQLite against the
//! sandbox.
//!
//! 1. Intake: bodies of 100 distinct alerts, one after another and over 4 connections, in turns to the
//!    bot (`POST /alerts/alertmanager`, answered after the commit) and to `prometheus-alertmanager`
//!    (`POST /api/v2/alerts`), if that is installed.
//! 2. The storm, with a bot and a store of its own: COUNT distinct alerts (10,000 by default) of four
//!    services in bodies of 100, as fast as they are taken, while slash commands are sent every
//!    40 ms. It prints how long it took, what is in the store, the calls to Slack, the memory of the
//!    bot's process, and the times of the acknowledgements; it fails where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use treasury_bot::domain::timeline::hex;
use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

/// Alerts of a body.
const BODY: usize = 100;
/// Bodies of each measurement of the intake.
const BODIES: usize = 40;
const CONNECTIONS: usize = 4;
const SERVICES: [&str; 4] = ["frontend", "api", "postgres", "redis"];
const TOKEN: &str = "bench-token";
/// Between two slash commands.
const COMMANDS_EVERY: Duration = Duration::from_millis(40);
/// At least so many acknowledgements are measured.
const COMMANDS: usize = 300;
/// Until Slack shows the last number.
const PATIENCE: Duration = Duration::from_secs(180);

/// What has to hold of a storm of 10,000 alerts in a release build.
const MOST_SECONDS: u64 = 60;
const MOST_CALLS: usize = 20;
const MOST_MIB: u64 = 120;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let count: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10_000);
    intake().await;
    storm(count).await;
}

/// A process that ends with the run.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bot with its sandbox and its store.
struct Bot {
    process: Process,
    sandbox: Sandbox,
    base: String,
    store_url: String,
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
    async fn start() -> Self {
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

    async fn alerts(&self) -> (u64, u64) {
        let store = Store::open(&self.store_url, Use::Visit).await.unwrap();
        store.alerts_count().await.unwrap()
    }
}

/// A real Alertmanager that tells nobody; `None` where it is not installed.
async fn alertmanager(folder: &std::path::Path) -> Option<(Process, String)> {
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

/// The labels of an alert that no other has.
fn labels(n: usize, run: &str) -> Value {
    json!({
        "alertname": format!("Kind{}", n % 7),
        "service": SERVICES[n % SERVICES.len()],
        "severity": "critical",
        "pod": format!("{run}-{n}"),
        "instance": format!("10.0.{}.{}:9100", n / 250 % 250, n % 250),
    })
}

fn annotations(n: usize) -> Value {
    json!({"summary": format!("Pod {n} is down"), "runbook": "restart-service"})
}

/// A body as Alertmanager's webhook sends it.
fn webhook(first: usize, run: &str) -> String {
    let alerts: Vec<Value> = (first..first + BODY)
        .map(|n| {
            json!({
                "status": "firing",
                "labels": labels(n, run),
                "annotations": annotations(n),
                "startsAt": "2026-11-24T03:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example/graph",
            })
        })
        .collect();
    json!({"version": "4", "groupKey": "{}", "status": "firing", "receiver": "bot", "alerts": alerts})
        .to_string()
}

/// The same alerts as Prometheus sends them to Alertmanager.
fn from_prometheus(first: usize, run: &str) -> String {
    let alerts: Vec<Value> = (first..first + BODY)
        .map(|n| json!({"labels": labels(n, run), "annotations": annotations(n)}))
        .collect();
    json!(alerts).to_string()
}

async fn post(client: &reqwest::Client, url: &str, body: String) {
    let answer = client
        .post(url)
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(
        status.is_success(),
        "{url}: {status}: {}",
        answer.text().await.unwrap()
    );
}

/// Sends these bodies over so many connections; alerts a second.
async fn rate(url: &str, bodies: Vec<String>, connections: usize) -> f64 {
    let alerts = (bodies.len() * BODY) as f64;
    let mut shares = vec![Vec::new(); connections];
    for (at, body) in bodies.into_iter().enumerate() {
        shares[at % connections].push(body);
    }
    let began = Instant::now();
    let senders: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let url = url.to_owned();
            tokio::spawn(async move {
                // A client each: a connection each.
                let client = reqwest::Client::new();
                for body in share {
                    post(&client, &url, body).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    alerts / began.elapsed().as_secs_f64()
}

async fn intake() {
    let bot = Bot::start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = alertmanager(folder.path()).await;
    if other.is_none() {
        println!("intake: no prometheus-alertmanager is installed to compare with");
    }
    let mut sent = 0;
    for connections in [1, CONNECTIONS] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // In turns, so that both see the same machine.
        for round in 0..4 {
            let run = format!("{connections}-{round}");
            let bodies = |make: fn(usize, &str) -> String| -> Vec<String> {
                (0..BODIES / 4).map(|at| make(at * BODY, &run)).collect()
            };
            let url = format!("{}/alerts/alertmanager", bot.base);
            ours.push(rate(&url, bodies(webhook), connections).await);
            sent += BODIES / 4 * BODY;
            if let Some((_, base)) = &other {
                let url = format!("{base}/api/v2/alerts");
                theirs.push(rate(&url, bodies(from_prometheus), connections).await);
            }
        }
        let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
        print!(
            "intake, bodies of {BODY}, {connections} at a time: {:.0} alerts a second, durable",
            mean(&ours)
        );
        if theirs.is_empty() {
            println!();
        } else {
            println!("; Alertmanager {:.0}, in memory", mean(&theirs));
        }
    }
    assert_eq!(
        bot.alerts().await,
        (sent as u64, sent as u64),
        "an alert is missing"
    );
    println!("intake: all {sent} are in the store");
    bot.sandbox.stop();
}

async fn storm(count: usize) {
    let bot = Bot::start().await;
    for method in ["chat.postMessage", "chat.update"] {
        bot.sandbox.faults().rate(method, 1);
    }
    println!("storm: memory before: {} MiB", memory(&bot, "VmRSS:"));
    let over = Arc::new(AtomicBool::new(false));
    let commands = tokio::spawn(commands(
        bot.base.clone(),
        bot.sandbox.signing_secret().to_owned(),
        over.clone(),
    ));
    let client = reqwest::Client::new();
    let url = format!("{}/alerts/alertmanager", bot.base);
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for at in 0..count / BODY {
        let sent = Instant::now();
        post(&client, &url, webhook(at * BODY, "storm")).await;
        slowest = slowest.max(sent.elapsed());
    }
    let took = began.elapsed();
    let count = count / BODY * BODY;
    println!(
        "storm: {count} alerts in {:.1} s ({:.0} a second), slowest body {} ms",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        slowest.as_millis()
    );
    // Slack shows the last number of each service.
    let each = format!("{} alerts fire", count / SERVICES.len());
    let shown = bot
        .sandbox
        .wait_for(PATIENCE, |workspace| {
            let showing = workspace
                .messages()
                .filter(|m| m.by_bot && m.shown().contains(&each));
            (showing.count() >= SERVICES.len()).then_some(())
        })
        .await;
    assert!(
        shown.is_ok(),
        "“{each}” is not shown: {}",
        bot.sandbox.dump(20)
    );
    println!(
        "storm: Slack shows all after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    over.store(true, Ordering::Relaxed);
    let p99 = acknowledged(commands.await.unwrap());
    let (now, peak) = (memory(&bot, "VmRSS:"), memory(&bot, "VmHWM:"));
    println!("storm: memory {now} MiB, at its peak {peak} MiB");
    let stored = bot.alerts().await;
    let store = Store::open(&bot.store_url, Use::Visit).await.unwrap();
    let incidents = store.incidents_open().await.unwrap().len();
    // Answers to the commands go to their asker only, by another method.
    let calls: Vec<_> = bot
        .sandbox
        .calls()
        .into_iter()
        .filter(|call| {
            call.method != "chat.postEphemeral"
                && (call.method.starts_with("chat.") || call.method.starts_with("conversations."))
        })
        .collect();
    let taken = calls
        .iter()
        .filter(|call| call.answer["ok"] == true)
        .count();
    println!(
        "storm: {} alerts stored, {} of them fire; {incidents} incidents; {} calls to Slack ({taken} \
         taken), {:.1} an incident",
        stored.0,
        stored.1,
        calls.len(),
        calls.len() as f64 / incidents.max(1) as f64
    );
    assert_eq!(stored, (count as u64, count as u64), "an alert is missing");
    assert_eq!(incidents, SERVICES.len(), "one incident a service");
    if !cfg!(debug_assertions) {
        assert!(took.as_secs() < MOST_SECONDS, "{took:?}");
        assert!(
            calls.len() <= MOST_CALLS * incidents,
            "{} calls",
            calls.len()
        );
        assert!(peak < MOST_MIB, "{peak} MiB");
        assert!(p99 < 100.0, "p99 {p99} ms");
    }
    bot.sandbox.stop();
}

/// Prints how long acknowledgements took; the 99th percentile, ms.
fn acknowledged(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    println!(
        "storm: {} acknowledgements of commands meanwhile: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, \
         max {:.1} ms",
        times.len(),
        at(50),
        at(95),
        at(99),
        at(100)
    );
    at(99)
}

/// Sends commands until it is over, at least [`COMMANDS`]; the time of each acknowledgement.
async fn commands(base: String, secret: String, over: Arc<AtomicBool>) -> Vec<Duration> {
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    let mut tick = tokio::time::interval(COMMANDS_EVERY);
    while !over.load(Ordering::Relaxed) || times.len() < COMMANDS {
        tick.tick().await;
        let body = format!(
            "command=%2Ftreasury&text=help&user_id=U0ANA00001&user_name=ana\
             &channel_id=C0000000001&trigger_id=storm.{}",
            times.len()
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

/// A line of the process's own status, MiB.
fn memory(bot: &Bot, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bot.process.0.id())).unwrap();
    let line = status.lines().find(|one| one.starts_with(line)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1_024
}
