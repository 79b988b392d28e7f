//! Beside the tools: random states, from a seed, are put into real servers; then each figure that the
//! bot's binary tells is compared with what docker, psql and redis-cli say, and where these say trouble,
//! no answer of the bot may carry a ✓.
//!
//! Nothing of the product reads on the tools' side: plain SQL, plain options, text taken apart. Alone or
//! further: `BESIDE_SEEDS=7` or `BESIDE_SEEDS=100-160` with `cargo test --test it -- beside::postgres
//! --include-ignored`.

mod caches;
mod containers;
mod db;
mod docker;
mod keys;
mod postgres;
mod pressure;
mod sessions;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::process::Command;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::checked::{Written, binary, run};

/// What moves between the two readings is read again; what differs so many times does differ.
const READINGS: usize = 4;

/// The bot's binary with a configuration of its own.
struct Bot(Written);

impl Bot {
    fn new(configuration: &str) -> Self {
        Self(Written::new(configuration))
    }

    /// What a probe finds, as JSON; or why it has no answer.
    fn probe(&self, name: &str, params: &[&str]) -> Result<Value, String> {
        let mut command = binary(&["probe", name]);
        let (code, out, err) = run(command.args(params).current_dir(self.0.path()));
        match code {
            0 => Ok(serde_json::from_str(&out).unwrap()),
            _ => Err(err),
        }
    }

    /// What a person reads.
    fn says(&self, sentence: &str) -> String {
        let mut command = binary(&["exec", sentence]);
        let (_, out, err) = run(command.current_dir(self.0.path()));
        out + &err
    }
}

/// What one state's readings came to.
#[derive(Default)]
struct Beside {
    compared: usize,
    differences: Vec<String>,
}

impl Beside {
    fn same<T: PartialEq + Debug>(&mut self, what: &str, bot: T, tool: T) {
        self.compared += 1;
        if bot != tool {
            let text = format!("{what}: the bot says {bot:?}, the tool {tool:?}");
            self.differences.push(text);
        }
    }

    /// Figures that move by themselves, with how much they may have moved.
    fn near(&mut self, what: &str, bot: Option<f64>, tool: f64, slack: f64) {
        self.compared += 1;
        if bot.is_none_or(|bot| (bot - tool).abs() > slack) {
            let text =
                format!("{what}: the bot says {bot:?}, the tool {tool} (give or take {slack})");
            self.differences.push(text);
        }
    }

    /// No ✓ where a tool says trouble.
    fn no_tick(&mut self, sentence: &str, answer: &str, trouble: &[String]) {
        self.compared += 1;
        let marks = ["✓", "🟢"];
        if !trouble.is_empty() && marks.iter().any(|mark| answer.starts_with(mark)) {
            let text = format!("`{sentence}` is ✓, but there is {trouble:?}:\n{answer}");
            self.differences.push(text);
        }
    }

    fn failed(&mut self, what: &str, why: &str) {
        self.differences.push(format!("{what}: no answer: {why}"));
    }
}

/// Reads until both agree, [`READINGS`] times at most.
fn read(look: impl Fn(&mut Beside)) -> Beside {
    let mut left = READINGS;
    loop {
        let mut beside = Beside::default();
        look(&mut beside);
        left -= 1;
        if beside.differences.is_empty() || left == 0 {
            return beside;
        }
        pause(300);
    }
}

/// Which seeds: these, or those of `BESIDE_SEEDS`.
fn seeds(first: u64, count: u64) -> Vec<u64> {
    let Ok(wanted) = std::env::var("BESIDE_SEEDS") else {
        return (first..first + count).collect();
    };
    let (from, to) = wanted.split_once('-').unwrap_or((&wanted, &wanted));
    (from.parse().unwrap()..=to.parse().unwrap()).collect()
}

/// All states of one kind of servers: what differed, and how much was compared.
struct Tally {
    tool: &'static str,
    started: Instant,
    state: String,
    states: usize,
    compared: usize,
    differences: Vec<String>,
}

impl Tally {
    fn new(tool: &'static str) -> Self {
        Self {
            tool,
            started: Instant::now(),
            state: String::new(),
            states: 0,
            compared: 0,
            differences: Vec::new(),
        }
    }

    /// A state is put in; what goes wrong from now on is its.
    fn begin(&mut self, seed: u64, state: &dyn Debug) {
        self.state = format!("BESIDE_SEEDS={seed}: {state:?}");
        println!("{}", self.state);
        self.states += 1;
    }

    fn add(&mut self, beside: Beside) {
        self.compared += beside.compared;
        if !beside.differences.is_empty() {
            let all = beside.differences.join("\n  ");
            self.differences.push(format!("{}\n  {all}", self.state));
        }
    }

    fn end(self) {
        let (states, figures, seconds) = (
            self.states,
            self.compared,
            self.started.elapsed().as_secs_f64(),
        );
        println!(
            "beside {}: {states} states, {figures} comparisons, {seconds:.0} s",
            self.tool
        );
        let wrong = self.differences.len();
        assert!(
            wrong == 0,
            "{wrong} of {states} states differ:\n{}",
            self.differences.join("\n")
        );
    }
}

/// A choice of `most` at most, each another one, in the order of the list.
fn some<T: Clone>(rng: &mut StdRng, all: &[T], most: usize) -> Vec<T> {
    let mut left: Vec<usize> = (0..all.len()).collect();
    let count = rng.random_range(1..=most.min(all.len()));
    let mut taken: Vec<usize> = (0..count)
        .map(|_| left.swap_remove(rng.random_range(0..left.len())))
        .collect();
    taken.sort_unstable();
    taken.into_iter().map(|at| all[at].clone()).collect()
}

fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// `[{"name": …, "count": …}]` as a map.
fn counts(list: &Value, name: &str, count: &str) -> BTreeMap<String, u64> {
    let list = list.as_array().into_iter().flatten();
    list.map(|one| {
        (
            one[name].as_str().unwrap_or_default().to_owned(),
            one[count].as_u64().unwrap_or_default(),
        )
    })
    .collect()
}

/// What a program prints.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Looks until it is so, for at most 20 s.
fn until(what: &str, look: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !look() {
        assert!(Instant::now() < deadline, "never: {what}");
        pause(50);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "who waits here is a thread of its own, beside programs"
)]
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
