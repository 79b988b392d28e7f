//! What happens after minutes, hours and weeks: the real bot by a clock that goes by hand. Nobody is there
//! to post its messages; they are read in the outbox.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection};
use tokio_util::sync::CancellationToken;
use treasury_bot::app::simulated;
use treasury_bot::bot::{AlertSettings, Bot, COMMANDS, Library, run_due, take_alerts};
use treasury_bot::domain::alert::{Auto, alertmanager};
use treasury_bot::domain::{IncidentId, Stream};
use treasury_bot::probe::Http;
use treasury_bot::sandbox::stack::{Stack, StackConfig};
use treasury_bot::store::{Clock, Hand, Store, Use};

use crate::alerts::{alert, hasty};
use crate::support::stage::{Scenery, settings};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

struct Scene {
    bot: Bot,
    store: Store,
    hand: Hand,
    began: Timestamp,
    now: u64,
    url: String,
    _folder: tempfile::TempDir,
    _stack: Stack,
}

impl Scene {
    async fn new(alerts: AlertSettings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bot.db").display());
        let began: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        let (clock, hand) = Clock::by_hand(began);
        let store = Store::open_with(&url, Use::Visit, clock).await.unwrap();
        let stack = Stack::start(StackConfig::default());
        let scenery = Scenery {
            alerts,
            ..Scenery::default()
        };
        let bot = Bot::new(
            &COMMANDS,
            store.clone(),
            settings(&scenery),
            simulated(&stack, None).unwrap(),
            Library::open(COMMANDS.callables(), None, None).unwrap(),
            Http::new(),
            CancellationToken::new(),
        );
        Self {
            bot,
            store,
            hand,
            began,
            now: 0,
            url,
            _folder: folder,
            _stack: stack,
        }
    }

    /// The card is not written, which is most of the work of half a day.
    async fn without_card(&self) {
        let mut store = SqliteConnection::connect(&self.url).await.unwrap();
        let without = "CREATE TRIGGER no_card BEFORE INSERT ON timer WHEN NEW.kind = 'message' \
            BEGIN SELECT RAISE(IGNORE); END";
        sqlx::query(without).execute(&mut store).await.unwrap();
    }

    /// Time passes until this second; what becomes due is done.
    async fn pass(&mut self, until: u64) {
        let end = self.began + Duration::from_secs(until);
        while let Some(due) = self.store.timer_next().await.unwrap()
            && due <= end
        {
            self.hand.set(due);
            run_due(&self.bot).await.unwrap();
        }
        self.now = until;
        self.hand.set(end);
    }

    /// A sender reports an alert now.
    async fn reports(&self, source: &str, mut alert: Value) {
        let start = alert["startsAt"].take();
        let now = self.began + Duration::from_secs(self.now);
        alert["startsAt"] = if start == json!("now") {
            json!(now)
        } else {
            start
        };
        if alert["status"] == "resolved" {
            alert["endsAt"] = json!(now);
        }
        let body = json!({"version": "4", "receiver": "bot", "alerts": [alert]});
        let mut body = alertmanager::parse(body.to_string().as_bytes(), now).unwrap();
        for one in &mut body.alerts {
            source.clone_into(&mut one.source);
        }
        take_alerts(&self.bot, source, body).await.unwrap();
        run_due(&self.bot).await.unwrap();
    }

    /// Keys and texts of the outbox, as they are wanted now.
    async fn outbox(&self) -> Vec<(String, String)> {
        let mut store = SqliteConnection::connect(&self.url).await.unwrap();
        let rows = sqlx::query("SELECT key, outgoing FROM outbox ORDER BY id")
            .fetch_all(&mut store)
            .await
            .unwrap();
        rows.into_iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect()
    }

    /// The messages whose key begins so.
    async fn told(&self, kind: &str) -> Vec<String> {
        let all = self.outbox().await.into_iter();
        all.filter(|(key, _)| key.starts_with(kind))
            .map(|(_, text)| text)
            .collect()
    }

    /// How often people were asked to acknowledge. Nobody delivers the asks: a newer one takes an older back.
    async fn asked(&self) -> usize {
        let entries = self
            .store
            .entries(&Stream::Incident(IncidentId(1)))
            .await
            .unwrap();
        let is_ask = |text: &str| text.starts_with("asked ") && text.ends_with(" to acknowledge");
        entries.iter().filter(|entry| is_ask(&entry.text)).count()
    }

    /// When the first incident's timer of a kind goes off, in seconds since the begin.
    async fn due(&self, kind: &str) -> Option<u64> {
        let mut store = SqliteConnection::connect(&self.url).await.unwrap();
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT due_at FROM timer WHERE kind = $1 AND subject = 'incident:1'",
        )
        .bind(kind.to_owned())
        .fetch_optional(&mut store)
        .await
        .unwrap();
        due.map(|at| (at - self.began.as_microsecond()).unsigned_abs() / 1_000_000)
    }
}

/// As a team has it.
fn usual() -> AlertSettings {
    let defaults = AlertSettings::default();
    let mut usual = AlertSettings {
        ack_within: defaults.ack_within,
        follow_up: defaults.follow_up,
        quiet: defaults.quiet,
        ..hasty()
    };
    usual.routes.auto = Auto::Diagnose;
    usual
}

fn down(firing: bool) -> Value {
    let mut one = alert("Down", &[("service", "api")], firing);
    one["startsAt"] = json!("now");
    one
}

#[tokio::test]
async fn the_card_is_edited_each_minute_while_it_fires_and_not_after() {
    let mut scene = Scene::new(usual()).await;
    scene.reports("alertmanager", down(true)).await;
    for (second, age) in [(61, "(1m)"), (121, "(2m)"), (301, "(5m)")] {
        scene.pass(second).await;
        let card = scene.told("alerts:incident:1").await.remove(0);
        assert!(card.contains(age), "{age}: {card}");
    }
    scene.reports("alertmanager", down(false)).await;
    scene.pass(330).await;
    let card = scene.told("alerts:incident:1").await.remove(0);
    assert!(card.contains("is over"), "{card}");
    assert_eq!(scene.due("message").await, None);
}

#[tokio::test]
async fn after_quiet_the_first_look_and_the_follow_up_are_set_anew() {
    let mut scene = Scene::new(usual()).await;
    scene.reports("alertmanager", down(true)).await;
    scene.pass(MINUTE).await;
    assert_eq!(scene.told("triage:").await.len(), 1);
    assert_eq!(scene.due("follow-up").await, Some(10 * MINUTE));
    scene.pass(2 * MINUTE).await;
    scene.reports("alertmanager", down(false)).await;
    scene.pass(20 * MINUTE).await;
    assert_eq!(
        scene.told("quiet:").await.len(),
        1,
        "it was quiet for long enough"
    );
    assert_eq!(scene.due("follow-up").await, None);
    // Nobody has resolved its incident when it begins again.
    scene.reports("alertmanager", down(true)).await;
    scene.pass(21 * MINUTE).await;
    assert_eq!(scene.told("triage:").await.len(), 2, "looked at anew");
    assert_eq!(scene.due("follow-up").await, Some(30 * MINUTE));
    scene.pass(31 * MINUTE).await;
    let told = scene.told("follow-up:").await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("still fires after 10m"), "{told:?}");
}

#[tokio::test]
async fn a_start_that_is_long_past_is_shown_and_says_nothing_of_how_long_nobody_came() {
    let mut scene = Scene::new(usual()).await;
    let mut old = down(true);
    old["startsAt"] = json!("2026-10-15T03:00:00Z");
    scene.reports("alertmanager", old).await;
    scene.pass(6 * MINUTE).await;
    let card = scene.told("alerts:incident:1").await.remove(0);
    assert!(
        card.contains("2026-10-15T03:00:00Z") && card.contains("(40d"),
        "{card}"
    );
    let asks = scene.told("escalation:").await;
    assert!(asks[0].contains("nobody has for 5m"), "{asks:?}");
}

#[tokio::test]
async fn what_a_script_said_once_is_not_heard_of_after_half_a_day_and_asks_nobody_further() {
    let mut scene = Scene::new(usual()).await;
    scene.without_card().await;
    scene.reports("script", down(true)).await;
    scene.pass(12 * HOUR - 1).await;
    assert!(scene.told("news:").await.is_empty());
    let asked = scene.asked().await;
    assert!(asked > 3, "asked {asked} times so far");
    scene.pass(12 * HOUR + MINUTE).await;
    let told = scene.told("news:").await;
    assert!(
        told[0].contains("Whether anything still fires is not known"),
        "{told:?}"
    );
    let asked = scene.asked().await;
    scene.pass(14 * HOUR).await;
    assert_eq!(scene.asked().await, asked);
    assert_eq!(scene.told("news:").await.len(), 1, "told once");
}

#[tokio::test]
async fn what_the_bot_sees_for_itself_is_heard_of_while_it_looks() {
    let mut scene = Scene::new(AlertSettings {
        unheard: Some(Duration::from_secs(1_800)),
        ..usual()
    })
    .await;
    scene.reports("watch", down(true)).await;
    scene.pass(3 * HOUR).await;
    assert!(scene.told("news:").await.is_empty());
    // Everybody is asked, again and again.
    assert!(scene.asked().await > 10);
}
