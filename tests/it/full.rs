//! The store's disk is full, or the store is away: what can't be recorded is not done and says so, and
//! what was acknowledged is not lost. Room given back, it goes on without a restart.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};
use treasury_bot::store::{Clock, Steps, Store, StoreError, Trouble, Use};

use crate::support::disk::Disk;
use crate::support::postgres::Postgres;
use crate::support::process::{Serve, Setup};
use crate::support::stage::{HOME, PATIENCE, words_of};

const FULL: &str = "the store's disk is full";

/// A bot in a process of its own, and what is asked of it.
struct Room {
    sandbox: Sandbox,
    setup: Setup,
    store_url: String,
}

impl Room {
    async fn new(http: bool, store_url: String) -> Self {
        let mut setup = Setup::new(http, "");
        setup.log = "level = \"info\"\n";
        let delivery = if http {
            let base_url = format!("http://127.0.0.1:{}", setup.port);
            Delivery::Http { base_url }
        } else {
            Delivery::Socket
        };
        let config = SandboxConfig {
            delivery,
            ..SandboxConfig::default()
        };
        Self {
            sandbox: Sandbox::start(config).await.unwrap(),
            setup,
            store_url,
        }
    }

    fn start(&self) -> Serve {
        let env = [
            ("TREASURY_BOT_STORE_URL", self.store_url.as_str()),
            ("TREASURY_BOT_ALERTS_TOKEN", "alerts-token"),
        ];
        self.setup.start(&self.sandbox, &env)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.setup.port);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The status of readiness, and what it says of the store.
    async fn ready(&self) -> (u16, String) {
        let (status, body) = self.get("/health/ready").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, body["store"].as_str().unwrap().to_owned())
    }

    async fn becomes_ready(&self) {
        let began = Instant::now();
        while self.ready().await.0 != 200 {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.ready().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends fifty alerts.
    async fn alert(&self) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}/alerts/alertmanager", self.setup.port);
        let alert = |number: u32| {
            json!({
                "status": "firing",
                "labels": {"alertname": "Slow", "instance": number.to_string()},
                "annotations": {"summary": "z".repeat(1_900)},
                "startsAt": "2026-11-24T03:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
            })
        };
        let alerts: Vec<Value> = (0..50).map(alert).collect();
        let body = json!({"version": "4", "groupKey": "{}", "status": "firing", "receiver": "bot",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://alertmanager.example", "truncatedAlerts": 0, "alerts": alerts});
        let sent = reqwest::Client::new().post(url).bearer_auth("alerts-token");
        let answer = sent.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What ana sees of a word, her own typing left out.
    fn seen(&self, word: &str) -> Vec<String> {
        let seen = self.sandbox.person("ana").sees(HOME);
        let texts = seen.iter().map(words_of);
        texts.filter(|text| text.contains(word)).collect()
    }

    async fn sees(&self, word: &str) -> String {
        let began = Instant::now();
        loop {
            if let Some(text) = self.seen(word).pop() {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "ana never sees {word}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Commands are typed until one can't be recorded; then everything says so, and it goes on with room.
async fn fills_up(room: Room, disk: &Disk, said: &str) {
    let mut serve = room.start();
    serve.ready().await;
    let ana = room.sandbox.person("ana");
    ana.types(HOME, "/treasury frist").await.unwrap();
    room.sees("frist").await;

    disk.fill();
    // Typed words are in the refusal's text, by which each is known again.
    let mut recorded = Vec::new();
    let told = loop {
        let word = format!("word-{}-end", recorded.len());
        let line = format!("/treasury {word} {}", "x".repeat(2_000));
        let receipt = ana.types(HOME, &line).await.unwrap();
        assert!(receipt.acked, "{receipt:?}");
        if let Some(body) = receipt.body {
            break body;
        }
        recorded.push(word);
        assert!(recorded.len() < 500, "it is never full");
    };
    assert_eq!(told["response_type"], "ephemeral");
    assert_eq!(
        told["text"],
        format!(
            "⚠️ This was not recorded, and nothing was done: {FULL} ({said}); make room there: it goes \
             on by itself. Then type it again."
        )
    );
    let (status, store) = room.ready().await;
    assert_eq!((status, store.starts_with(FULL)), (503, true), "{store}");
    let (_, metrics) = room.get("/metrics").await;
    assert!(metrics.contains("\ntreasury_bot_store_up 0\n"), "{metrics}");
    let (status, text) = room.alert().await;
    assert_eq!(status, 503, "{text}");
    assert!(
        text.contains("send them again") && text.contains(FULL),
        "{text}"
    );
    // A mention is sent again by Slack, and is not acknowledged; who wrote it hears of it once.
    // It is long: what is left of the room might do for a short one.
    let filler = "y".repeat(12_000);
    let mention = format!("<@UTREASURYBOT> mentioned {filler}");
    let said = ana.says(HOME, &mention, None).await.unwrap();
    assert!(!said.receipts[0].acked, "{:?}", said.receipts);
    assert!(said.receipts[0].attempts > 1, "{:?}", said.receipts);
    room.sees("nothing was done so far: the store's disk is full")
        .await;
    assert_eq!(room.seen("nothing was done so far").len(), 1);

    disk.empty();
    room.becomes_ready().await;
    let receipt = ana.types(HOME, "/treasury againe").await.unwrap();
    assert!(receipt.body.is_none(), "{receipt:?}");
    room.sees("againe").await;
    for word in &recorded {
        room.sees(word).await;
    }
    assert_eq!(room.alert().await.0, 200);
    assert!(serve.end().await.success());
    let log = std::fs::read_to_string(room.setup.log_file()).unwrap();
    assert!(!log.contains("Slack will send it again"), "{log}");
    assert!(
        log.contains("its requester is told, Slack does not send it again"),
        "{log}"
    );
    room.sandbox.stop();
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_full_disk_is_said_by_socket_and_nothing_acknowledged_is_lost() {
    let disk = Disk::new();
    let room = Room::new(false, disk.url()).await;
    fills_up(room, &disk, "database or disk is full, 13").await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_full_disk_is_said_by_http_and_nothing_acknowledged_is_lost() {
    let disk = Disk::new();
    let room = Room::new(true, disk.url()).await;
    fills_up(room, &disk, "database or disk is full, 13").await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_start_on_a_full_disk_says_so_in_one_line() {
    let disk = Disk::new();
    let room = Room::new(false, disk.url()).await;
    let mut serve = room.start();
    serve.ready().await;
    assert!(serve.end().await.success());

    disk.fill();
    let mut told = room.setup.command(&room.sandbox, "serve");
    let told = told.env("TREASURY_BOT_STORE_URL", &room.store_url).output();
    let told = told.unwrap();
    assert_eq!(told.status.code(), Some(1));
    let words = String::from_utf8(told.stderr).unwrap();
    let words = words.lines().last().unwrap_or_default();
    assert!(
        words.contains(FULL) && words.contains("make room there"),
        "{words}"
    );

    disk.empty();
    let mut serve = room.start();
    serve.ready().await;
    let ana = room.sandbox.person("ana");
    ana.types(HOME, "/treasury frist").await.unwrap();
    room.sees("frist").await;
    assert!(serve.end().await.success());
    room.sandbox.stop();
}

#[tokio::test]
#[ignore = "needs root, PostgreSQL"]
async fn a_full_disk_of_postgresql_is_said_in_the_same_words() {
    let disk = Disk::new();
    let postgres = Postgres::start().await;
    let url = postgres.database_in(disk.path()).await;
    // As the server says it, with the file's name.
    let room = Room::new(false, url.clone()).await;
    let mut serve = room.start();
    serve.ready().await;
    disk.fill();
    let ana = room.sandbox.person("ana");
    let mut recorded = Vec::new();
    let told = loop {
        let word = format!("word-{}-end", recorded.len());
        let line = format!("/treasury {word} {}", "x".repeat(2_000));
        let receipt = ana.types(HOME, &line).await.unwrap();
        if let Some(body) = receipt.body {
            break body["text"].as_str().unwrap().to_owned();
        }
        recorded.push(word);
        assert!(recorded.len() < 500, "it is never full");
    };
    assert!(
        told.contains(FULL) && told.contains("No space left on device"),
        "{told}"
    );
    let (status, store) = room.ready().await;
    assert_eq!((status, store.starts_with(FULL)), (503, true), "{store}");
    disk.empty();
    room.becomes_ready().await;
    for word in &recorded {
        room.sees(word).await;
    }
    assert!(serve.end().await.success());
    room.sandbox.stop();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_postgresql_that_is_away_is_said() {
    let mut postgres = Postgres::start().await;
    let room = Room::new(false, postgres.url()).await;
    let mut serve = room.start();
    serve.ready().await;
    postgres.kill();
    let ana = room.sandbox.person("ana");
    let away = "the store does not answer";
    // The first may or may not be known to be lost; from then on it is.
    let began = Instant::now();
    loop {
        let receipt = ana.types(HOME, "/treasury help").await.unwrap();
        let told = receipt.body.unwrap()["text"].as_str().unwrap().to_owned();
        let unknown = "It is not known whether this was recorded: the store gave no answer in time";
        assert!(told.contains(unknown) || told.contains(away), "{told}");
        let (status, store) = room.ready().await;
        assert_eq!(status, 503, "{store}");
        if store.starts_with(away) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{store}");
    }
    assert_eq!(room.alert().await.0, 503);
    serve.kill();

    // At the start it says why.
    let mut told = room.setup.command(&room.sandbox, "serve");
    let told = told.env("TREASURY_BOT_STORE_URL", &room.store_url).output();
    let told = told.unwrap();
    assert_eq!(told.status.code(), Some(1));
    let words = String::from_utf8(told.stderr).unwrap();
    assert!(
        words.contains("error: the store: the store does not answer (Connection refused"),
        "{words}"
    );
    assert!(words.contains("is PostgreSQL running"), "{words}");
    room.sandbox.stop();
}

/// A second step, as a later version has.
fn later() -> Steps {
    Steps::default().and("0002_more.sql", "CREATE TABLE more (a BIGINT)")
}

async fn open(url: &str, steps: &Steps) -> Result<(), StoreError> {
    let store = Store::open_as(url, Use::Serve, Clock::default(), steps).await?;
    store.close().await;
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn without_room_for_a_backup_the_schema_stays_as_it_is() {
    let disk = Disk::new();
    open(&disk.url(), &Steps::default()).await.unwrap();
    disk.fill();
    // Enough to open it, and too little for a copy.
    disk.give_back(64 << 10);
    let error = open(&disk.url(), &later()).await.unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Full), "{error}");
    let words = error.to_string();
    assert!(
        words.contains("no backup of the store could be made"),
        "{words}"
    );
    let left = std::fs::read_dir(disk.path()).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("schema-1")),
        "{names:?}"
    );
    open(&disk.url(), &Steps::default()).await.unwrap();
    disk.empty();
    open(&disk.url(), &later()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_postgresql_of_a_newer_version_is_refused() {
    let postgres = Postgres::start().await;
    open(&postgres.url(), &Steps::default()).await.unwrap();
    open(&postgres.url(), &later()).await.unwrap();
    let words = open(&postgres.url(), &Steps::default()).await.unwrap_err();
    let words = words.to_string();
    assert!(
        words.contains("its schema is 2, newer than this version knows"),
        "{words}"
    );
    assert!(
        words.contains("run the version of the bot that made it"),
        "{words}"
    );
}
