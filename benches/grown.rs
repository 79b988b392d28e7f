//! What a question costs on a store that has grown, beside the same on a small one; and the export of a
//! long timeline beside `sqlite3`, which dumps the same rows.
//!
//! `cargo bench --bench grown [-- ALERTS COMMANDS INCIDENTS ENTRIES]` starts the real binary twice, in
//! HTTP mode on SQLite against a sandbox each. Both stores hold a handful of alerts, commands and
//! incidents; one of them, copied by SQL, 400,000 alerts, 50,000 commands and 2,000 incidents more.
//! Each command is typed in turns to both until its answer is shown: it prints medians of the time and
//! the processor time of the bot's process, and the ratio of the processor times, which do not depend on
//! the machine's load. The export is of 100,000 entries, by `treasury-bot exec`, its memory the peak of
//! that process; `verify` has to find it whole.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};
use treasury_bot::domain::timeline::{Draft, GENESIS};
use treasury_bot::domain::{Entry, EntryKind, IncidentId, Person, Stream};
use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};

#[allow(dead_code, reason = "each run uses its part")]
mod process;

const ROUNDS: usize = 15;
const CHANNEL: &str = "treasury-incidents";
const COMMANDS: [&str; 5] = [
    "alerts",
    "status",
    "audit",
    "incident list",
    "timeline INC-1",
];
const TOKEN: &str = "bench-token";

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let numbers: Vec<i64> = std::env::args()
        .filter_map(|one| one.parse().ok())
        .collect();
    let number = |at: usize, usual| numbers.get(at).copied().unwrap_or(usual);
    let (small, grown) = (Bot::new().await, Bot::new().await);
    for bot in [&small, &grown] {
        bot.seed().await;
    }
    grown
        .grow(number(0, 400_000), number(1, 50_000), number(2, 2_000))
        .await;
    questions(&small, &grown).await;
    export(&small, number(3, 100_000)).await;
}

/// A process that ends with the run.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Processor time of its threads.
    fn used(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let used = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(used.sum())
    }
}

/// What a bot is started with.
struct Bot {
    sandbox: Sandbox,
    base: String,
    config: PathBuf,
    database: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bot {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = process::free_port();
        let base = format!("http://127.0.0.1:{port}");
        let sandbox = Sandbox::start(SandboxConfig {
            delivery: Delivery::Http {
                base_url: base.clone(),
            },
            ..SandboxConfig::default()
        });
        let sandbox = sandbox.await.unwrap();
        let database = folder.path().join("bot.db");
        let config = folder.path().join("treasury-bot.toml");
        let url = format!("sqlite://{}", database.display());
        let text = format!(
            "{}[docker]\nhost = \"tcp://127.0.0.1:{}\"\n[access]\nviewers = [\"*\"]\n\
             responders = [\"U0ANA00001\"]\n[watch]\nenabled = false\n\
             [[service]]\nname = \"frontend\"\ncontainer = \"bench-frontend\"\n",
            process::configuration(&sandbox, &url, port),
            process::free_port(),
        );
        std::fs::write(&config, text).unwrap();
        Self {
            sandbox,
            base,
            config,
            database,
            _folder: folder,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::bot(&self.sandbox, &self.config);
        command
            .args(arguments)
            .env("TREASURY_BOT_ALERTS_TOKEN", TOKEN);
        command
    }

    /// A process that is ready, how long that took, and its processor time until then.
    async fn serve(&self) -> (Process, Duration, Duration) {
        let started = Instant::now();
        let process = Process(self.command(&["serve"]).spawn().unwrap());
        let url = format!("{}/health/ready", self.base);
        process::ready(&url, Duration::from_secs(60)).await;
        let (took, used) = (started.elapsed(), process.used());
        (process, took, used)
    }

    fn answers(&self) -> usize {
        let messages = self.sandbox.messages(CHANNEL);
        messages.iter().filter(|message| message.by_bot).count()
    }

    /// Types a command; how long until its answer is shown.
    async fn ask(&self, text: &str) -> Duration {
        let (before, started) = (self.answers(), Instant::now());
        let ana = self.sandbox.person("ana");
        ana.types(CHANNEL, &format!("/treasury {text}"))
            .await
            .unwrap();
        while self.answers() == before {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{text}: no answer"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        started.elapsed()
    }

    /// A little of everything, by the bot itself: what is copied later.
    async fn seed(&self) {
        let (process, ..) = self.serve().await;
        let alerts: Vec<Value> = (0..40).map(alert).collect();
        let body = json!({"version": "4", "groupKey": "{}", "status": "firing", "receiver": "bot",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://alertmanager", "alerts": alerts});
        let answer = reqwest::Client::new()
            .post(format!("{}/alerts/alertmanager", self.base))
            .bearer_auth(TOKEN)
            .body(body.to_string())
            .header("content-type", "application/json");
        let answer = answer.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
        for text in [
            "version",
            "incident declare Bench --severity SEV3",
            "audit",
            "alerts",
            "status",
        ] {
            self.ask(text).await;
        }
        // Until nothing is on its way.
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(process);
    }

    async fn connect(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", self.database.display());
        AnyConnection::connect(&url).await.unwrap()
    }

    /// Copies what is there.
    async fn grow(&self, alerts: i64, commands: i64, incidents: i64) {
        let started = Instant::now();
        let mut database = self.connect().await;
        database.execute("BEGIN").await.unwrap();
        let old = "'group:old-' || (n % 2000)";
        let alert = [
            ("fingerprint", "fingerprint || '-' || n"),
            ("conversation", old),
            ("firing", "n % 10 = 0"),
            (
                "record",
                "replace(record, fingerprint, fingerprint || '-' || n)",
            ),
        ];
        copy(&mut database, "alert", alerts, &alert).await;
        let key = ("key", "key || '-' || n");
        copy(
            &mut database,
            "inbox",
            commands,
            &[key, ("id", "NULL"), ("state", "'done'")],
        )
        .await;
        copy(
            &mut database,
            "outbox",
            commands,
            &[key, ("id", "NULL"), ("state", "'done'")],
        )
        .await;
        let status = "CASE WHEN n % 50 = 0 THEN 'open' ELSE 'resolved' END";
        let incident = [("id", "NULL"), ("status", status), ("channel", "'C' || n")];
        copy(&mut database, "incident", incidents, &incident).await;
        for stream in ["audit", "incident:1"] {
            let seq = format!("n + (SELECT seq FROM stream WHERE name = '{stream}')");
            copy_where(
                &mut database,
                "entry",
                &format!("stream = '{stream}' AND seq = 1"),
                commands * 2,
                &[("seq", &seq)],
            )
            .await;
            let end = format!(
                "UPDATE stream SET seq = seq + {} WHERE name = '{stream}'",
                commands * 2
            );
            database.execute(AssertSqlSafe(end)).await.unwrap();
        }
        database.execute("COMMIT").await.unwrap();
        println!(
            "grown by {alerts} alerts, {commands} commands, {incidents} incidents in {} s: {} MiB",
            started.elapsed().as_secs(),
            std::fs::metadata(&self.database).unwrap().len() >> 20
        );
    }
}

fn alert(n: usize) -> Value {
    json!({"status": "firing", "startsAt": "2026-11-23T09:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": format!("{n:016x}"), "generatorURL": "",
        "labels": {"alertname": format!("Kind{}", n % 7), "service": "frontend",
            "severity": "warning", "pod": format!("pod-{n}")},
        "annotations": {"summary": format!("Pod {n} is down")}})
}

async fn copy(database: &mut AnyConnection, table: &str, count: i64, with: &[(&str, &str)]) {
    copy_where(database, table, "1 = 1", count, with).await;
}

/// Copies rows of a table so often that there are `count` more, with other values in some columns.
async fn copy_where(
    database: &mut AnyConnection,
    table: &str,
    only: &str,
    count: i64,
    with: &[(&str, &str)],
) {
    let columns = format!("SELECT name FROM pragma_table_info('{table}')");
    let columns = sqlx::query(AssertSqlSafe(columns)).fetch_all(&mut *database);
    let columns: Vec<String> = columns
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let values = columns.iter().map(|column| {
        let other = with.iter().find(|(name, _)| name == column);
        other.map_or(column.as_str(), |(_, value)| value)
    });
    let values: Vec<&str> = values.collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let text = format!(
        "INSERT INTO {table} ({columns}) WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL \
         SELECT n + 1 FROM copies WHERE n < {count}), base AS (SELECT *, ROW_NUMBER() OVER () AS k, \
         COUNT(*) OVER () AS all_of_them FROM {table} WHERE {only}) \
         SELECT {values} FROM copies JOIN base ON k = 1 + n % all_of_them"
    );
    database.execute(AssertSqlSafe(text)).await.unwrap();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn row(what: &str, small: &(Vec<Duration>, Vec<Duration>), grown: &(Vec<Duration>, Vec<Duration>)) {
    let [a, b] = [small, grown].map(|(took, _)| median(took.clone()));
    let [c, d] = [small, grown].map(|(_, used)| median(used.clone()));
    println!(
        "{what:16} {a:>10.1?} {b:>10.1?}   {c:>10.1?} {d:>10.1?}   {:.2}",
        d.as_secs_f64() / c.as_secs_f64()
    );
}

async fn questions(small: &Bot, grown: &Bot) {
    println!(
        "                 time: small, grown      processor: small, grown  ratio (at most 1.2)"
    );
    let mut starts = [(vec![], vec![]), (vec![], vec![])];
    for _ in 0..ROUNDS {
        for (bot, (took, used)) in [small, grown].into_iter().zip(&mut starts) {
            let (_process, ready, processor) = bot.serve().await;
            took.push(ready);
            used.push(processor);
        }
    }
    row("start to ready", &starts[0], &starts[1]);
    let (one, other) = (small.serve().await.0, grown.serve().await.0);
    for text in COMMANDS {
        let mut asked = [(vec![], vec![]), (vec![], vec![])];
        for round in 0..=ROUNDS {
            let bots = [(small, &one), (grown, &other)];
            for ((bot, process), (took, used)) in bots.into_iter().zip(&mut asked) {
                let before = process.used();
                let time = bot.ask(text).await;
                if round > 0 {
                    took.push(time);
                    used.push(process.used().saturating_sub(before));
                }
            }
        }
        row(text, &asked[0], &asked[1]);
    }
}

/// Makes the timeline of INC-1 so long, by SQL, with its chain.
async fn lengthen(bot: &Bot, entries: i64) {
    let mut database = bot.connect().await;
    database.execute("BEGIN").await.unwrap();
    let stream = Stream::Incident(IncidentId(1));
    let last = "SELECT seq, hash, at FROM stream WHERE name = 'incident:1'";
    let last = sqlx::query(last).fetch_one(&mut database).await.unwrap();
    let (mut seq, mut prev): (i64, String) = (last.get(0), last.get(1));
    assert_ne!(prev, GENESIS);
    let at = jiff::Timestamp::from_microsecond(last.get(2)).unwrap();
    let ana = Person {
        id: "U0ANA00001".into(),
        name: "ana".into(),
    };
    while seq < entries {
        let draft = Draft::new(
            &ana,
            EntryKind::Note,
            format!("Looked at {seq}: the queue is longer than usual, nothing to do yet"),
        );
        let draft = draft.data(json!({"queue": seq, "door": "slack"}));
        let entry = Entry::seal(stream.clone(), seq + 1, &prev, at, draft);
        let insert = "INSERT INTO entry (stream, seq, at, actor_id, actor_name, kind, text, data, \
                      prev, hash) VALUES ('incident:1', $1, $2, $3, $4, $5, $6, $7, $8, $9)";
        sqlx::query(insert)
            .bind(entry.seq)
            .bind(at.as_microsecond())
            .bind(entry.actor.id.clone())
            .bind(entry.actor.name.clone())
            .bind(entry.kind.as_str())
            .bind(entry.text.clone())
            .bind(entry.data.to_string())
            .bind(entry.prev.clone())
            .bind(entry.hash.clone())
            .execute(&mut database)
            .await
            .unwrap();
        (seq, prev) = (entry.seq, entry.hash);
    }
    let end = "UPDATE stream SET seq = $1, hash = $2 WHERE name = 'incident:1'";
    let end = sqlx::query(end).bind(seq).bind(prev);
    end.execute(&mut database).await.unwrap();
    database.execute("COMMIT").await.unwrap();
}

/// Runs a command with its output in a file; how long it took, and the peak of its memory in MiB.
async fn run(mut command: Command, into: &Path) -> (Duration, u64) {
    let started = Instant::now();
    command.stdout(std::fs::File::create(into).unwrap());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(ended.success(), "{command:?}");
    (started.elapsed(), peak >> 10)
}

async fn export(bot: &Bot, entries: i64) {
    lengthen(bot, entries).await;
    let folder = bot.database.parent().unwrap();
    let (file, dump) = (folder.join("export.json"), folder.join("dump.json"));
    let before = std::fs::metadata(&bot.database).unwrap().len();
    let (mut ours, mut theirs, mut memory) = (vec![], vec![], 0);
    for _ in 0..5 {
        let command = bot.command(&["exec", "export INC-1 --format json"]);
        let (took, peak) = run(command, &file).await;
        ours.push(took);
        memory = memory.max(peak);
        let mut command = Command::new("sqlite3");
        command.arg("-json").arg(&bot.database).arg(
            "SELECT stream, seq, at, actor_id, actor_name, kind, text, data, prev, hash FROM entry \
             WHERE stream = 'incident:1' ORDER BY seq",
        );
        theirs.push(run(command, &dump).await.0);
    }
    let verified = bot.command(&["verify", file.to_str().unwrap()]).status();
    assert!(verified.unwrap().success());
    let [ours, theirs] = [ours, theirs].map(median);
    let grown = std::fs::metadata(&bot.database)
        .unwrap()
        .len()
        .saturating_sub(before);
    println!(
        "export of {entries} entries: {ours:.2?}, {} MiB; sqlite3: {theirs:.2?}; ratio {:.2} (at most \
         2.0); memory {memory} MiB (at most 50); the store grew by {} KiB in 5 exports",
        std::fs::metadata(&file).unwrap().len() >> 20,
        ours.as_secs_f64() / theirs.as_secs_f64(),
        grown >> 10,
    );
}
