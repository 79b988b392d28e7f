//! A thousand runs of ten read-only steps at the same time, on SQLite.
//!
//! `cargo bench --bench runs [-- COUNT]` drives them in one process with the simulated stack, and
//! prints steps a second, the engine's own µs a step (without a store), what the same number of
//! bare commits costs, and the process's greatest memory. Exits 1 if a run does not succeed or the
//! memory passes 150 MiB.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use treasury_bot::app::simulated;
use treasury_bot::bot::{Access, Bot, COMMANDS, Library, Settings};
use treasury_bot::domain::service::Patience;
use treasury_bot::domain::{Door, Person, Place, Reply, Request};
use treasury_bot::probe::Http;
use treasury_bot::runbook::Source;
use treasury_bot::runbook::engine::{Drive, Outcome, RunState, Start};
use treasury_bot::sandbox::stack::{Stack, StackConfig};
use treasury_bot::store::{Store, StoreError, Use};

const STEPS: usize = 10;

fn text() -> String {
    let step = "  - uses: service.status\n    with: {service: api}\n";
    format!("name: ten\nsteps:\n{}", step.repeat(STEPS))
}

/// The engine alone: µs a step.
fn engine(library: &Library, rounds: usize) -> f64 {
    let runbook = library.find("ten").unwrap();
    let now = jiff::Timestamp::now();
    let result = serde_json::json!({"well": true, "replicas": [{"name": "a"}, {"name": "b"}]});
    let began = Instant::now();
    for id in 0..rounds {
        let start = Start {
            params: serde_json::Map::new(),
            by_id: "U1".into(),
            by: "ana".into(),
            role: treasury_bot::domain::Role::Responder,
            callers: Vec::new(),
            approvals: Vec::new(),
            incident: None,
            rehearsal: false,
            at: now,
            hold_ms: 0,
        };
        let state = RunState::new(id as i64, start);
        let mut drive = Drive::new(runbook, library.vocabulary(), state);
        loop {
            let batch = drive.advance(now);
            if batch.verdict.is_some() {
                break;
            }
            for wanted in drive.start(now) {
                let outcome = Outcome::Good {
                    result: result.clone(),
                    line: "well".into(),
                };
                drive.finished(&wanted.path, wanted.attempt, outcome, now);
            }
        }
    }
    began.elapsed().as_secs_f64() * 1e6 / (rounds * STEPS) as f64
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let count: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000);
    let library = Library::of(
        COMMANDS.callables(),
        vec![Source::new("ten.yml", &text())],
        None,
    );
    println!("engine alone: {:.1} µs a step", engine(&library, 2_000));

    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    let store = Store::open(&url, Use::Serve).await.unwrap();
    let stack = Stack::start(StackConfig::default());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let bot = Bot::new(
        &COMMANDS,
        store.clone(),
        settings(),
        simulated(&stack, None).unwrap(),
        library,
        Http::new(),
        shutdown.clone(),
    );
    treasury_bot::bot::appear(&bot, true).await.unwrap();
    let worker = tokio::spawn({
        let bot = bot.clone();
        async move { treasury_bot::bot::run(&bot).await }
    });
    let began = Instant::now();
    for n in 0..count {
        let request = Request {
            key: format!("bench:{n}"),
            door: Door::Terminal,
            person: Person::terminal("bench"),
            place: Place::terminal(),
            text: "runbook run ten".into(),
            reply: Reply::default(),
        };
        treasury_bot::bot::accept(&bot, request).await.unwrap();
    }
    let accepted = began.elapsed();
    loop {
        let rows = store.runs(count as u32).await.unwrap();
        let ended = rows.iter().filter(|row| row.verdict.is_some()).count();
        if ended == count {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "{ended} of {count} ended"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = began.elapsed();
    let rows = store.runs(count as u32).await.unwrap();
    let good = rows
        .iter()
        .filter(|row| row.verdict.as_deref() == Some("\"succeeded\""))
        .count();
    let peak = peak_mib();
    println!(
        "{count} runs of {STEPS} steps: {:.1} s (accepted in {:.1} s), {:.0} steps a second, \
         {good} succeeded, memory at most {peak:.0} MiB",
        took.as_secs_f64(),
        accepted.as_secs_f64(),
        (count * STEPS) as f64 / took.as_secs_f64(),
    );
    shutdown.cancel();
    worker.await.unwrap().unwrap();

    let commits = count.min(500);
    let began = Instant::now();
    for n in 0..commits {
        let name = format!("bench-{n}");
        store
            .write(move |tx| Box::pin(async move { tx.run_tell(0, &name, "x").await }))
            .await
            .map_err(|error: StoreError| error)
            .unwrap();
    }
    println!(
        "a bare commit: {:.0} µs",
        began.elapsed().as_secs_f64() * 1e6 / commits as f64
    );
    store.close().await;
    if good == count && peak < 150.0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn settings() -> Settings {
    Settings {
        routine: treasury_bot::bot::Routine::default(),
        keep: Settings::KEEP,
        command: "/treasury".into(),
        access: Access::default(),
        confirm: treasury_bot::domain::Guarded::all(),
        second_person: std::collections::BTreeSet::new(),
        confirm_within: Duration::from_secs(60),
        show_keys: false,
        patience: Patience::default(),
        hold: Duration::ZERO,
        alerts: treasury_bot::bot::AlertSettings::default(),
        notify: None,
        reach: treasury_bot::bot::ReachSettings::default(),
        incident_channels: false,
        public_url: None,
    }
}
