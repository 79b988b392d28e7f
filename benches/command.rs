//! What does a command cost, from the signed request to the posted answer, and how soon is it
//! acknowledged?
//!
//! `cargo bench --bench command [-- COUNT]` starts the real binary in HTTP mode on SQLite beside a Slack
//! that only counts, and in turns:
//!
//! 1. `help`, one after another: the processor time of the bot for each, and the time until it is answered;
//! 2. COUNT of them (2,000 by default) over 32 connections at once: the processor time until all are
//!    answered; and their acknowledgements beside those of a bare axum handler in a process of its own;
//! 3. acknowledgements of 100 a second while COUNT wait to be answered, beside the same without.
//!
//! Beside them, where `TREASURY_BOT_GUNICORN` names a `gunicorn` that finds `flask` and `slack_bolt`
//! (PyPI), Bolt for Python in two processes; it stores nothing.
//!
//! `TREASURY_BOT_BESIDE=PATH` names another build of the bot that takes turns with this one;
//! `TREASURY_BOT_BINARY=PATH` another one in place of this. Ratios are of the same run; absolute times
//! differ from machine to machine.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

mod door;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use door::{
    Bot, Process, SECRET, Sender, Slack, bare, free_port, median, percentile, send_all, until_open,
};

const CONNECTIONS: usize = 32;
/// Turns of each.
const ROUNDS: usize = 5;
/// Commands of a round that is sent one after another.
const IN_TURN: usize = 200;
/// Acknowledgements that are measured while others wait.
const MEASURED: usize = 500;
/// Between two of them.
const EVERY: Duration = Duration::from_millis(10);

/// A build, and what was measured of it.
struct Side {
    name: &'static str,
    bot: Bot,
    sent: usize,
    /// Milliseconds of processor time a command, one after another and at once.
    in_turn: Vec<f64>,
    at_once: Vec<f64>,
    /// Milliseconds until a command was answered, one after another.
    answered: Vec<f64>,
    /// Acknowledgements a second, and the milliseconds that 99 of 100 did not exceed.
    rate: Vec<f64>,
    p99: Vec<f64>,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    if let Some("--bare") = std::env::args().nth(1).as_deref() {
        return bare(std::env::args().nth(2).unwrap().parse().unwrap()).await;
    }
    let count: usize = arguments.find_map(|one| one.parse().ok()).unwrap_or(2_000);
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let own = named("TREASURY_BOT_BINARY");
    let own = own.unwrap_or_else(|| env!("CARGO_BIN_EXE_treasury-bot").into());
    let mut sides = vec![Side::start("this build", &own).await];
    if let Some(beside) = named("TREASURY_BOT_BESIDE") {
        sides.push(Side::start("the build beside", &beside).await);
    }
    let port = free_port();
    let handler = Command::new(std::env::current_exe().unwrap())
        .args(["--bare", &port.to_string()])
        .stdin(Stdio::null())
        .spawn();
    let _handler = Process(handler.unwrap());
    until_open(port).await;

    let bolt = named("TREASURY_BOT_GUNICORN").map(|gunicorn| bolt(&gunicorn, &sides[0].bot.slack));
    if let Some((_, port, _)) = &bolt {
        until_open(*port).await;
    }

    let (mut rate, mut p99) = (Vec::new(), Vec::new());
    let (mut bolt_rate, mut bolt_p99) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for side in &mut sides {
            side.one_after_another().await;
        }
        // It is so fast that as few would be over before it is warm.
        let bodies = (0..count * 10).map(|n| sides[0].bot.help(n)).collect();
        let begun = Instant::now();
        let times = send_all(port, CONNECTIONS, bodies, None).await;
        rate.push(times.len() as f64 / begun.elapsed().as_secs_f64());
        p99.push(percentile(&times, 99));
        if let Some((_, port, _)) = &bolt {
            let bodies = (0..count / 4).map(|n| sides[0].bot.help(n)).collect();
            let begun = Instant::now();
            let times = send_all(*port, CONNECTIONS, bodies, None).await;
            bolt_rate.push(times.len() as f64 / begun.elapsed().as_secs_f64());
            bolt_p99.push(percentile(&times, 99));
        }
        for side in &mut sides {
            side.all_at_once(count).await;
        }
    }
    let (rate, p99) = (median(rate), median(p99));
    println!("bare handler: {rate:.0} acknowledgements a second, p99 {p99:.1} ms");
    for side in &sides {
        side.tell(rate);
    }
    if let Some((_, port, _)) = &bolt {
        let (rate, p99) = (median(bolt_rate), median(bolt_p99));
        println!("Bolt for Python, two processes: {rate:.0} a second, p99 {p99:.1} ms");
        let bodies = (0..MEASURED).map(|n| sides[0].bot.help(n)).collect();
        let idle = send_all(*port, CONNECTIONS, bodies, Some(EVERY)).await;
        println!(
            "Bolt for Python: at 100 a second p50 {:.2} ms, p99 {:.2} ms",
            percentile(&idle, 50),
            percentile(&idle, 99)
        );
    }
    if let [one, other] = &sides[..] {
        let ratio =
            |of: fn(&Side) -> &Vec<f64>| median(of(one).clone()) / median(of(other).clone());
        println!(
            "this build : the build beside: processor time {:.2} one after another, {:.2} at once; \
             until answered {:.2}; acknowledgements a second {:.2}, p99 {:.2}",
            ratio(|side| &side.in_turn),
            ratio(|side| &side.at_once),
            ratio(|side| &side.answered),
            ratio(|side| &side.rate),
            ratio(|side| &side.p99),
        );
    }
    for side in &mut sides {
        side.while_others_wait(count).await;
    }
}

/// Bolt for Python with a handler that only acknowledges, its port, and the folder of its file.
fn bolt(gunicorn: &Path, slack: &Slack) -> (Process, u16, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "from flask import Flask, request\n\
         from slack_bolt import App\n\
         from slack_bolt.adapter.flask import SlackRequestHandler\n\
         from slack_sdk import WebClient\n\
         slack = WebClient(token='xoxb-1-2-abc', base_url='{}/api/')\n\
         bolt = App(client=slack, signing_secret='{SECRET}',\n\
         \x20          token_verification_enabled=False, request_verification_enabled=True,\n\
         \x20          ssl_check_enabled=False)\n\
         bolt.command('/treasury')(lambda ack: ack())\n\
         handler = SlackRequestHandler(bolt)\n\
         app = Flask(__name__)\n\
         app.post('/slack/commands')(lambda: handler.handle(request))\n",
        slack.base
    );
    std::fs::write(folder.path().join("acks.py"), text).unwrap();
    let port = free_port();
    let child = Command::new(gunicorn)
        .args(["-w", "2", "--threads", "16", "--log-level", "error"])
        .args(["-b", &format!("127.0.0.1:{port}"), "acks:app"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .spawn();
    (Process(child.unwrap()), port, folder)
}

impl Side {
    async fn start(name: &'static str, binary: &Path) -> Self {
        let bot = Bot::start(binary).await;
        let mut side = Self {
            name,
            bot,
            sent: 0,
            in_turn: Vec::new(),
            at_once: Vec::new(),
            answered: Vec::new(),
            rate: Vec::new(),
            p99: Vec::new(),
        };
        // What is made once is made, and what a start does is done.
        side.one_after_another().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        side.in_turn.clear();
        side.answered.clear();
        side
    }

    fn bodies(&mut self, count: usize) -> Vec<String> {
        let from = self.sent;
        self.sent += count;
        (from..self.sent).map(|n| self.bot.help(n)).collect()
    }

    async fn one_after_another(&mut self) {
        let mut sender = Sender::connect(self.bot.port).await;
        let answers = self.bot.slack.answers();
        let (cpu, begun) = (self.bot.process.cpu(), Instant::now());
        for (n, body) in self.bodies(IN_TURN).iter().enumerate() {
            sender.send(body).await;
            self.bot.slack.until(answers + n + 1).await;
        }
        let each = |whole: Duration| whole.as_secs_f64() * 1_000.0 / IN_TURN as f64;
        self.answered.push(each(begun.elapsed()));
        self.in_turn
            .push(each(self.bot.process.cpu().saturating_sub(cpu)));
    }

    async fn all_at_once(&mut self, count: usize) {
        let answers = self.bot.slack.answers();
        let bodies = self.bodies(count);
        let (cpu, begun) = (self.bot.process.cpu(), Instant::now());
        let times = send_all(self.bot.port, CONNECTIONS, bodies, None).await;
        self.rate.push(count as f64 / begun.elapsed().as_secs_f64());
        self.p99.push(percentile(&times, 99));
        self.bot.slack.until(answers + count).await;
        let cpu = self.bot.process.cpu().saturating_sub(cpu);
        self.at_once
            .push(cpu.as_secs_f64() * 1_000.0 / count as f64);
    }

    fn tell(&self, bare: f64) {
        let rate = median(self.rate.clone());
        println!(
            "{}: {:.2} ms of processor time a help one after another (answered within {:.1} ms), {:.2} ms \
             at once; {rate:.0} acknowledgements a second ({:.2} of the bare handler), p99 {:.1} ms; \
             memory {} MiB",
            self.name,
            median(self.in_turn.clone()),
            median(self.answered.clone()),
            median(self.at_once.clone()),
            rate / bare,
            median(self.p99.clone()),
            self.bot.process.memory(),
        );
    }

    /// Acknowledgements at 100 a second: idle, and while `count` commands and more wait.
    async fn while_others_wait(&mut self, count: usize) {
        let every = Some(EVERY);
        let bodies = self.bodies(MEASURED);
        let idle = send_all(self.bot.port, CONNECTIONS, bodies, every).await;
        self.bot.slack.until(self.sent).await;
        let waiting = self.bodies(count);
        send_all(self.bot.port, CONNECTIONS, waiting, None).await;
        let bodies = self.bodies(MEASURED);
        let busy = send_all(self.bot.port, CONNECTIONS, bodies, every).await;
        let left = self.sent - self.bot.slack.answers();
        println!(
            "{}: at 100 a second p50 {:.2} ms, p99 {:.2} ms; while {count} waited (at the end {left}) \
             p50 {:.2} ms, p99 {:.2} ms",
            self.name,
            percentile(&idle, 50),
            percentile(&idle, 99),
            percentile(&busy, 50),
            percentile(&busy, 99),
        );
    }
}
