//! The table: the bot beside Alertmanager, and beside itself with nothing in its store.

use crate::load::{BODY, from_prometheus, rate, webhook};
use crate::server::{Bot, Process, alertmanager};

const CONNECTIONS: usize = 32;
/// The rounds of a row; each side has its turn in each.
const ROUNDS: usize = 5;
/// Alerts of a round in full bodies, and one a request.
const FULL: usize = 16_000;
const SINGLE: usize = 3_200;
/// Where the memory is read.
const MEMORY_AT: usize = 300_000;

/// A row: what it is, a figure of each side, and what the ratio has to be.
fn row(what: &str, ours: f64, theirs: f64, target: &str) {
    let ratio = ours / theirs;
    println!("| {what:<58} | {ours:>9.1} | {theirs:>9.1} | {ratio:>6.2} | {target:>6} |");
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// The bodies of a round: so many alerts from this one on.
fn bodies(
    make: fn(std::ops::Range<usize>, &str) -> String,
    alerts: usize,
    size: usize,
    run: &str,
) -> Vec<String> {
    (0..alerts / size)
        .map(|at| make(at * size..(at + 1) * size, run))
        .collect()
}

pub async fn print(stored: usize) {
    println!(
        "| {:<58} | {:>9} | {:>9} | {:>6} | {:>6} |",
        "what", "bot", "beside", "ratio", "target"
    );
    println!(
        "|{}|{}|{}|{}|{}|",
        "-".repeat(60),
        "-".repeat(11),
        "-".repeat(11),
        "-".repeat(8),
        "-".repeat(8)
    );
    let bot = Bot::start().await;
    let folder = tempfile::tempdir().unwrap();
    match alertmanager(folder.path()).await {
        Some(other) => beside_alertmanager(&bot, &other).await,
        None => println!("no prometheus-alertmanager is installed to compare with"),
    }
    bot.sandbox.stop();
    drop(bot);
    beside_an_empty_store(stored).await;
}

/// Alerts a second.
async fn beside_alertmanager(bot: &Bot, (_, base): &(Process, String)) {
    let ours_at = format!("{}/alerts/alertmanager", bot.base);
    let theirs_at = format!("{base}/api/v2/alerts");
    let mut sent = 0;
    for (size, alerts, same, what, target) in [
        (
            BODY,
            FULL,
            false,
            "distinct alerts, bodies of 100, a second",
            "≥ 0.8",
        ),
        (
            BODY,
            FULL,
            true,
            "the same alerts again, bodies of 100, a second",
            "≥ 3",
        ),
        (
            1,
            SINGLE,
            false,
            "distinct alerts, one a request, a second",
            "≥ 0.5",
        ),
        (
            1,
            SINGLE,
            true,
            "the same alerts again, one a request, a second",
            "-",
        ),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // The same again: those of the row before.
            let run = format!("{size}-{round}");
            let all = size as f64;
            ours.push(all * rate(&ours_at, bodies(webhook, alerts, size, &run), CONNECTIONS).await);
            let again = bodies(from_prometheus, alerts, size, &run);
            theirs.push(all * rate(&theirs_at, again, CONNECTIONS).await);
            sent += if same { 0 } else { alerts as u64 };
        }
        row(what, mean(&ours), mean(&theirs), target);
    }
    assert_eq!(bot.alerts().await, (sent, sent), "an alert is missing");
}

/// Processor time an alert, µs.
async fn beside_an_empty_store(stored: usize) {
    let (full, empty) = (Bot::start().await, Bot::start().await);
    let peak = fill(&full, stored).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (bot, costs) in [(&full, &mut ours), (&empty, &mut theirs)] {
            let url = format!("{}/alerts/alertmanager", bot.base);
            let before = bot.process.processor();
            let run = format!("cost-{round}");
            rate(&url, bodies(webhook, FULL / 2, BODY, &run), CONNECTIONS).await;
            let took = bot.process.processor().saturating_sub(before);
            costs.push(took.as_secs_f64() * 1e6 / (FULL / 2) as f64);
        }
    }
    let what = format!("processor time an alert, µs: {stored} stored, and none");
    row(&what, mean(&ours), mean(&theirs), "≤ 1.1");
    if let Some(peak) = peak {
        row(
            "memory, peak until 300,000 alerts, MiB, and what is given",
            peak,
            70.0,
            "≤ 1",
        );
    }
    full.sandbox.stop();
    empty.sandbox.stop();
}

/// Puts so many alerts into its store; the peak of memory at [`MEMORY_AT`], MiB.
async fn fill(bot: &Bot, stored: usize) -> Option<f64> {
    let mut peak = None;
    let url = format!("{}/alerts/alertmanager", bot.base);
    let part = 20_000;
    for at in 0..stored / part {
        rate(
            &url,
            bodies(webhook, part, BODY, &format!("fill-{at}")),
            CONNECTIONS,
        )
        .await;
        if (at + 1) * part == MEMORY_AT {
            peak = Some(bot.memory("VmHWM:") as f64);
        }
    }
    peak
}
