//! The judge: random histories are played through the real bot, and a plain model says what was
//! wrong. `TREASURY_BOT_JUDGE` says how many histories (500: about a minute of four processors),
//! `TREASURY_BOT_JUDGE_FROM` the first seed (0), `TREASURY_BOT_JUDGE_SHRINK` how often a wrong one is
//! played to make it shorter (400).

mod history;
mod listing;
mod model;
mod play;
mod seen;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use treasury_bot::app::simulated;
use treasury_bot::sandbox::stack::{Stack, StackConfig};

use history::{Event, history};
use model::{Kind, Wrong, judge};
use play::Bench;

/// What is wrong with this history.
async fn wrong_with(bench: &Bench, name: &str, events: &[Event]) -> Option<Wrong> {
    let (facts, end) = bench.play(name, events).await;
    judge(&facts, end)
}

/// The shortest history that is found by leaving events out, and that has the same kind of wrong.
async fn shrunk(bench: &Bench, mut events: Vec<Event>, kind: Kind) -> (Vec<Event>, Wrong) {
    let mut found = None;
    let mut plays = number("TREASURY_BOT_JUDGE_SHRINK", 400);
    let mut size = events.len().div_ceil(2);
    loop {
        let mut at = 0;
        while at < events.len() && plays > 0 {
            plays -= 1;
            let mut fewer = events.clone();
            fewer.drain(at..events.len().min(at + size));
            match wrong_with(bench, "shrunk", &fewer).await {
                Some(wrong) if wrong.kind == kind => (events, found) = (fewer, Some(wrong)),
                _ => at += size,
            }
        }
        if size == 1 || plays == 0 {
            break;
        }
        size = size.div_ceil(2);
    }
    let wrong = match found {
        Some(wrong) => wrong,
        None => wrong_with(bench, "shrunk", &events).await.unwrap(),
    };
    (events, wrong)
}

/// A history, the facts and what is wrong with them, for people.
async fn story(bench: &Bench, events: &[Event], wrong: &Wrong) -> String {
    let mut text = String::new();
    for event in events {
        writeln!(text, "  {event}").unwrap();
    }
    let (facts, _) = bench.play("shrunk", events).await;
    for (at, fact) in facts.iter().filter(|(at, _)| *at <= wrong.at) {
        writeln!(text, "    at {at} s: {fact:?}").unwrap();
    }
    writeln!(text, "  {:?} at {} s: {}", wrong.kind, wrong.at, wrong.what).unwrap();
    text
}

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable);
    set.map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs minutes, and all processors"]
async fn who_must_hear_of_it_does_in_random_histories() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::start(StackConfig::default());
    let bench = Arc::new(Bench::new(simulated(&stack, None).unwrap()).await);
    let from = number("TREASURY_BOT_JUDGE_FROM", 0);
    let end = from + number("TREASURY_BOT_JUDGE", 500);
    let next = Arc::new(AtomicU64::new(from));
    let found: Arc<Mutex<BTreeMap<Kind, Vec<u64>>>> = Arc::default();
    let workers = (0..4).map(|worker| {
        let (bench, next, found) = (bench.clone(), next.clone(), found.clone());
        tokio::spawn(async move {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return;
                }
                let name = format!("worker-{worker}");
                if let Some(wrong) = wrong_with(&bench, &name, &history(seed)).await {
                    found
                        .lock()
                        .unwrap()
                        .entry(wrong.kind)
                        .or_default()
                        .push(seed);
                }
            }
        })
    });
    let began = std::time::Instant::now();
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    println!("{} histories in {:.1?}", end - from, began.elapsed());
    let found = std::mem::take(&mut *found.lock().unwrap());
    let mut text = String::new();
    for (kind, mut seeds) in found {
        seeds.sort_unstable();
        println!("{kind:?}: {seeds:?}");
        seeds.sort_by_key(|seed| history(*seed).len());
        let (events, wrong) = shrunk(&bench, history(seeds[0]), kind).await;
        let count = seeds.len();
        writeln!(text, "{kind:?} in {count} histories, such as {}:", seeds[0]).unwrap();
        text += &story(&bench, &events, &wrong).await;
    }
    assert!(text.is_empty(), "\n{text}");
}
