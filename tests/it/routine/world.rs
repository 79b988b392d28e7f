//! A store by a clock that goes by hand, and the bots on it.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use treasury_bot::app::simulated;
use treasury_bot::bot::{
    AlertSettings, Bot, COMMANDS, Library, Routine, answer_key, begin_routine, run_due,
    take_alerts, visit,
};
use treasury_bot::domain::alert::{Auto, alertmanager};
use treasury_bot::domain::message::Part;
use treasury_bot::domain::request::{Door, Place, Reply, Request};
use treasury_bot::domain::schedule::Schedule;
use treasury_bot::domain::{Content, Message, Person, Stream};
use treasury_bot::probe::Http;
use treasury_bot::sandbox::stack::{Stack, StackConfig};
use treasury_bot::store::{Clock, Hand, Sent, Store, Use};

use crate::support::stage::{Scenery, settings};

pub struct World {
    stack: Stack,
    pub store: Store,
    clock: Clock,
    hand: Hand,
    pub bots: Vec<Bot>,
    pub now: Timestamp,
    typed: u32,
    /// What was said, in its order; an edit is said as well.
    pub said: Vec<String>,
    routine: Routine,
    folder: tempfile::TempDir,
    url: String,
}

impl World {
    /// One bot on SQLite.
    pub async fn new(now: &str, routine: Routine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bot.db").display());
        Self::on(&url, folder, now, routine, 1).await
    }

    /// So many bots on this store.
    pub async fn on(
        url: &str,
        folder: tempfile::TempDir,
        now: &str,
        routine: Routine,
        bots: usize,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now: Timestamp = now.parse().unwrap();
        let (clock, hand) = Clock::by_hand(now);
        let store = Store::open_with(url, Use::Visit, clock.clone())
            .await
            .unwrap();
        let mut world = Self {
            stack: Stack::start(StackConfig::default()),
            store,
            clock,
            hand,
            bots: Vec::new(),
            now,
            typed: 0,
            said: Vec::new(),
            routine,
            folder,
            url: url.to_owned(),
        };
        for _ in 0..bots {
            world.starts().await;
        }
        world
    }

    /// A further bot starts.
    pub async fn starts(&mut self) {
        let store = Store::open_with(&self.url, Use::Visit, self.clock.clone()).await;
        let mut alerts = AlertSettings {
            on_call: ["U0ANA00001"].map(person).into(),
            ..AlertSettings::default()
        };
        alerts.routes.auto = Auto::Off;
        let scenery = Scenery {
            alerts,
            incident_channels: false,
            routine: self.routine.clone(),
            ..Scenery::default()
        };
        let bot = Bot::new(
            &COMMANDS,
            store.unwrap(),
            settings(&scenery),
            simulated(&self.stack, None).unwrap(),
            Library::open(COMMANDS.callables(), None, None).unwrap(),
            Http::new(),
            CancellationToken::new(),
        );
        begin_routine(&bot).await.unwrap();
        self.bots.push(bot);
    }

    /// All bots die without a word, the time passes, and as many start.
    pub async fn dead_for(&mut self, time: SignedDuration) {
        let bots = std::mem::take(&mut self.bots).len();
        self.now += time;
        self.hand.set(self.now);
        for _ in 0..bots {
            self.starts().await;
        }
        self.pass(SignedDuration::ZERO).await;
    }

    /// Time passes in one jump: what is due is done, by all bots at once, and what is to be said is said.
    pub async fn pass(&mut self, time: SignedDuration) {
        self.now += time;
        self.hand.set(self.now);
        for _ in 0..3 {
            let due = self.bots.iter().map(run_due);
            for done in futures_util::future::join_all(due).await {
                done.unwrap();
            }
            self.say_all().await;
        }
    }

    /// Time passes a minute at a time.
    pub async fn minutes(&mut self, minutes: i64) {
        for _ in 0..minutes {
            self.pass(SignedDuration::from_mins(1)).await;
        }
    }

    async fn say_all(&mut self) {
        loop {
            let parcels = self.store.outbox_claim("slack", 50).await.unwrap();
            if parcels.is_empty() {
                return;
            }
            for parcel in parcels {
                if let Content::Message(message) = &parcel.outgoing.content {
                    self.said.push(text(message));
                }
                let sent = Sent {
                    channel: Some("C0MAIN".into()),
                    ts: Some(format!("{}.0", parcel.id)),
                    via_response_url: false,
                };
                self.store.outbox_sent(&parcel, sent).await.unwrap();
            }
        }
    }

    /// How often these words were said since the beginning.
    pub fn count(&self, words: &str) -> usize {
        self.said.iter().filter(|text| text.contains(words)).count()
    }

    /// These words were said.
    #[track_caller]
    pub fn heard(&self, words: &str) -> &str {
        let found = self.said.iter().rev().find(|text| text.contains(words));
        found.unwrap_or_else(|| panic!("nobody said “{words}”: {:#?}", self.said))
    }

    /// An alert of a service is reported.
    pub async fn alert(&self, name: &str, service: &str, severity: &str, firing: bool) {
        let status = if firing { "firing" } else { "resolved" };
        let alert = json!({
            "status": status,
            "labels": {"alertname": name, "severity": severity, "service": service},
            "annotations": {"summary": format!("{name} hurts")},
            "startsAt": (self.now - SignedDuration::from_secs(9)).to_string(),
            "endsAt": if firing { "0001-01-01T00:00:00Z".into() } else { self.now.to_string() },
        });
        let body = json!({
            "version": "4", "status": status, "receiver": "bot", "alerts": [alert],
            "groupKey": format!("{{}}:{{{name}}}"),
        });
        let body = alertmanager::parse(body.to_string().as_bytes(), self.now).unwrap();
        take_alerts(&self.bots[0], "alertmanager", body)
            .await
            .unwrap();
    }

    /// Ana types this; the answer.
    pub async fn ana(&mut self, words: &str) -> String {
        self.types("U0ANA00001", "ana", words).await
    }

    /// Ben, who commands, types this; the answer.
    pub async fn ben(&mut self, words: &str) -> String {
        self.types("U0BEN00001", "ben", words).await
    }

    async fn types(&mut self, id: &str, name: &str, words: &str) -> String {
        self.typed += 1;
        let key = format!("slack:{}", self.typed);
        let request = Request {
            key: key.clone(),
            door: Door::Command,
            person: Person {
                id: id.into(),
                name: name.into(),
            },
            place: Place::channel("C0MAIN"),
            text: words.to_owned(),
            reply: Reply::default(),
        };
        visit(&self.bots[0], request).await.unwrap();
        let answer = self.store.outbox_read(&answer_key(&key)).await.unwrap();
        let Some((answer, ..)) = answer else {
            return String::new();
        };
        let Content::Message(message) = answer.content else {
            panic!("{words}: no message");
        };
        text(&message)
    }

    /// The texts of the audit.
    pub async fn audit(&self) -> Vec<String> {
        let entries = self.store.entries(&Stream::Audit).await.unwrap();
        entries.into_iter().map(|one| one.text).collect()
    }
}

pub fn person(id: &str) -> Person {
    Person {
        id: id.into(),
        name: id.into(),
    }
}

pub fn schedule(text: &str, zone: &str) -> Schedule {
    let zone = treasury_bot::bot::Zones::here().get(zone).unwrap();
    Schedule::parse(text, zone).unwrap()
}

/// A message as people read it, with the sentences of its buttons.
pub fn text(message: &Message) -> String {
    let mut lines = vec![message.title.plain()];
    for part in &message.parts {
        match part {
            Part::Text(line) => lines.push(line.plain()),
            Part::Buttons(buttons) => {
                lines.extend(
                    buttons
                        .iter()
                        .map(|one| format!("[{}: {}]", one.label, one.sentence)),
                );
            }
            Part::Fields(fields) => {
                lines.extend(
                    fields
                        .iter()
                        .map(|(name, line)| format!("{name}: {}", line.plain())),
                );
            }
            other => lines.push(format!("{other:?}")),
        }
    }
    lines.extend(message.footer.iter().map(treasury_bot::domain::Line::plain));
    lines.join("\n")
}
