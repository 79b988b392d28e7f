//! Two bots on one PostgreSQL behind one load, beside one bot there, and beside one on SQLite.
//!
//! `cargo bench --bench two [-- COUNT]` starts a PostgreSQL of its own (with its usual flushes) and, in
//! turns, one bot on SQLite, one on PostgreSQL and two on PostgreSQL: the real binary in HTTP mode
//! against the sandbox. COUNT distinct signed commands (3,200 by default) come over 32 connections in
//! all. It prints how many a second are acknowledged (each is recorded by then), the times until the
//! acknowledgement, how many a second are answered from the first to the last, and the processor time of
//! the bots for each; then two bots as a ratio to one. Bots, PostgreSQL, sandbox and load share the
//! machine: where that is the limit, two bots can't do more than one. The run fails if a command is
//! missing, or answered twice.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use treasury_bot::domain::{EntryKind, Stream};
use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

#[allow(dead_code, reason = "the stories use the rest")]
#[path = "../tests/it/support/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "each run uses its part")]
mod process;

use process::free_port;

const CONNECTIONS: usize = 32;
/// Each setting is measured so often, in turns; the best counts, since others use the machine, too.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(600);

/// What a run came to.
#[derive(Clone, Copy)]
struct Figures {
    acknowledged: f64,
    p50: f64,
    p99: f64,
    answered: f64,
    /// Milliseconds of processor time a command.
    work: f64,
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let count: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(3_200);
    let server = postgres::Postgres::start().await;
    let mut best: [Option<Figures>; 3] = [None; 3];
    for round in 0..ROUNDS {
        for (which, bots) in [1, 1, 2].into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let url = if which == 0 {
                format!("sqlite://{}", folder.path().join("bot.db").display())
            } else {
                let name = format!("round{round}_{which}");
                let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
                let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
                sqlx::query(create).execute(&pool).await.unwrap();
                pool.close().await;
                server.url_of("treasury", &name)
            };
            let now = measure(folder.path(), &url, bots, count).await;
            let kept = best[which].get_or_insert(now);
            kept.acknowledged = kept.acknowledged.max(now.acknowledged);
            kept.p50 = kept.p50.min(now.p50);
            kept.p99 = kept.p99.min(now.p99);
            kept.answered = kept.answered.max(now.answered);
            kept.work = kept.work.min(now.work);
        }
    }
    let [sqlite, one, two] = best.map(Option::unwrap);
    println!("{count} commands over {CONNECTIONS} connections, the best of {ROUNDS}:");
    println!(
        "                    acknowledged/s  p50 ms  p99 ms  answered/s  ms of processor each"
    );
    let line = |name: &str, of: Figures| {
        println!(
            "{name:<19} {:>14.0}  {:>6.1}  {:>6.1}  {:>10.0}  {:>20.2}",
            of.acknowledged, of.p50, of.p99, of.answered, of.work
        );
    };
    line("SQLite, one bot", sqlite);
    line("PostgreSQL, one", one);
    line("PostgreSQL, two", two);
    println!(
        "two : one           {:>14.2}  {:>6.2}  {:>6.2}  {:>10.2}  {:>20.2}",
        two.acknowledged / one.acknowledged,
        two.p50 / one.p50,
        two.p99 / one.p99,
        two.answered / one.answered,
        two.work / one.work
    );
}

async fn measure(folder: &Path, url: &str, bots: usize, count: usize) -> Figures {
    let sandbox = Sandbox::start(SandboxConfig {
        delivery: Delivery::Http {
            base_url: "http://127.0.0.1:9".into(),
        },
        ..SandboxConfig::default()
    });
    let sandbox = sandbox.await.unwrap();
    let mut running = Vec::new();
    for _ in 0..bots {
        running.push(start(&sandbox, folder, url).await);
    }
    let store = Store::open(url, Use::Visit).await.unwrap();
    let work = || -> Duration {
        let bots = running.iter();
        bots.map(|(bot, _)| process::processor(bot.id())).sum()
    };
    let before = work();
    let begun = Instant::now();
    let senders = (0..CONNECTIONS).map(|sender| {
        let base = running[sender % bots].1.clone();
        let secret = sandbox.signing_secret().to_owned();
        tokio::spawn(process::commands(base, secret, sender, count / CONNECTIONS))
    });
    let mut times = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        times.extend(sender.await.unwrap());
    }
    let acknowledged = times.len() as f64 / begun.elapsed().as_secs_f64();
    while store.inbox_depth().await.unwrap() + store.outbox_depth().await.unwrap() > 0 {
        assert!(begun.elapsed() < PATIENCE, "not answered in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answered = times.len() as f64 / begun.elapsed().as_secs_f64();
    let work = work().saturating_sub(before);
    for (mut bot, _) in running {
        bot.kill().unwrap();
        bot.wait().unwrap();
    }
    let audit = store.entries(&Stream::Audit).await.unwrap();
    let asked = audit.iter().filter(|one| one.kind == EntryKind::Asked);
    assert_eq!(asked.count(), times.len(), "each once");
    store.close().await;
    sandbox.stop();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    Figures {
        acknowledged,
        p50: at(50),
        p99: at(99),
        answered,
        work: work.as_secs_f64() * 1_000.0 / times.len() as f64,
    }
}

/// Starts the binary and waits until it is ready; its address.
async fn start(sandbox: &Sandbox, folder: &Path, url: &str) -> (Child, String) {
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let file = folder.join(format!("{port}.toml"));
    std::fs::write(&file, process::configuration(sandbox, url, port)).unwrap();
    let bot = process::serve(sandbox, &file).spawn().unwrap();
    let health = format!("{base}/health/ready");
    process::ready(&health, Duration::from_secs(60)).await;
    (bot, base)
}
