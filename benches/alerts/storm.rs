//! A storm of alerts, with a Slack that takes one message a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use treasury_bot::store::{Store, Use};

use crate::load::{BODY, SERVICES, post, webhook};
use crate::process;
use crate::server::Bot;

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

pub async fn run(count: usize) {
    let bot = Bot::start().await;
    for method in ["chat.postMessage", "chat.update"] {
        bot.sandbox.faults().rate(method, 1);
    }
    println!("storm: memory before: {} MiB", bot.memory("VmRSS:"));
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
        post(&client, &url, webhook(at * BODY..(at + 1) * BODY, "storm")).await;
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
    let (now, peak) = (bot.memory("VmRSS:"), bot.memory("VmHWM:"));
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
        let trigger = format!("storm.{}", times.len());
        times.push(process::command(&client, &base, &secret, ("help", &trigger)).await);
    }
    times
}
