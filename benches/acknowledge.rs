//! How soon is a signed slash command acknowledged, when 32 connections send as fast as they can?
//!
//! `cargo bench --bench acknowledge [-- COUNT]` starts the real binary in HTTP mode on SQLite against
//! the sandbox, sends COUNT distinct commands (3,200 by default) over 32 connections, and prints the
//! times from request to answer. Each command is durably recorded before its answer; the run fails
//! if one is missing in the store afterwards. It also prints start-up time and memory.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

#[allow(dead_code, reason = "each run uses its part")]
mod process;

const CONNECTIONS: usize = 32;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let count: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(3_200);
    let folder = tempfile::tempdir().unwrap();
    let port = process::free_port();
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
    std::fs::write(&file, process::configuration(&sandbox, &url, port)).unwrap();

    let mut child = start(&sandbox, &file, &base).await;
    let begun = Instant::now();
    let senders = (0..CONNECTIONS).map(|sender| {
        let (base, secret) = (base.clone(), sandbox.signing_secret().to_owned());
        tokio::spawn(process::commands(base, secret, sender, count / CONNECTIONS))
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
    println!(
        "memory after the load: {} MiB",
        process::memory(child.id(), "VmRSS:")
    );
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
    let child = process::serve(sandbox, file).spawn().unwrap();
    let health = format!("{base}/health/ready");
    process::ready(&health, Duration::from_secs(10)).await;
    println!(
        "start to first health answer: {} ms",
        started.elapsed().as_millis()
    );
    println!(
        "memory after the start: {} MiB",
        process::memory(child.id(), "VmRSS:")
    );
    child
}
