//! Plays a history through the real bot, by a clock that goes by hand, and writes down the facts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sqlx::Connection;
use tokio_util::sync::CancellationToken;
use treasury_bot::bot::{
    AlertSettings, Bot, COMMANDS, Catalogue, Library, answer_key, run_due, take_alerts, visit,
};
use treasury_bot::domain::alert::{Auto, alertmanager};
use treasury_bot::domain::oncall::Rotation;
use treasury_bot::domain::request::{Door, Place, Reply, Request};
use treasury_bot::domain::{Content, Message, Person, ServiceName, Tone};
use treasury_bot::probe::Http;
use treasury_bot::probe::alertmanager::{Alertmanager, Config};
use treasury_bot::store::{Clock, Hand, Store, Use};

use super::history::{AFTER, ALERTS, Event, OF_FRONTEND, ON_CALL, What, kind_of};
use super::listing::Listing;
use super::model::{ACK_WITHIN, EVERYBODY, Fact, QUIET, REASK, Second};
use crate::support::stage::{Scenery, settings};

/// What all histories share: an empty store to copy, and services.
pub struct Bench {
    folder: tempfile::TempDir,
    catalogue: Catalogue,
    library: Library,
    http: Http,
}

impl Bench {
    /// In memory, where there is such a folder: what a disk does is not judged.
    pub async fn new(catalogue: Catalogue) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let bench = Self {
            folder: folder.unwrap(),
            catalogue,
            library: Library::open(COMMANDS.callables(), None, None).unwrap(),
            http: Http::new(),
        };
        let empty = url(&bench.path("empty"));
        let store = Store::open(&empty, Use::Visit).await;
        store.unwrap().close().await;
        // Nobody is judged by how old an edited message is: those are not written at all.
        let mut connection = sqlx::SqliteConnection::connect(&empty).await.unwrap();
        let without = "CREATE TRIGGER no_cards BEFORE INSERT ON timer WHEN NEW.kind = 'message' \
            BEGIN SELECT RAISE(IGNORE); END";
        sqlx::query(without).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.db"))
    }

    /// Plays these events; the facts, and when they end.
    pub async fn play(&self, name: &str, events: &[Event]) -> (Vec<(Second, Fact)>, Second) {
        let path = self.path(name);
        std::fs::copy(self.path("empty"), &path).unwrap();
        let (clock, hand) = Clock::by_hand(moment(0));
        let store = Store::open_with(&url(&path), Use::Visit, clock).await;
        let store = store.unwrap();
        let compares = events.iter().any(|event| event.what == What::Compares);
        let listing = if compares {
            Some(Listing::start().await)
        } else {
            None
        };
        let mut play = Play {
            bot: self.bot(&store, listing.as_ref()),
            bench: self,
            seen: sqlx::SqliteConnection::connect(&url(&path)).await.unwrap(),
            hand,
            store,
            now: 0,
            last_message: 0,
            listing,
            conversations: BTreeMap::new(),
            declared: Vec::new(),
            resolved: Vec::new(),
            facts: Vec::new(),
        };
        for (number, event) in events.iter().enumerate() {
            play.pass(event.at).await;
            play.happens(number, event.what).await;
        }
        let end = play.now + AFTER;
        play.pass(end).await;
        play.store.close().await;
        play.seen.close().await.unwrap();
        for file in ["", "-wal", "-shm"] {
            // The last connection removes those of the log.
            drop(std::fs::remove_file(format!("{}{file}", path.display())));
        }
        (play.facts, end)
    }

    /// A bot as it begins: all that it knows is in the store.
    fn bot(&self, store: &Store, listing: Option<&Listing>) -> Bot {
        let mut alerts = AlertSettings {
            ack_within: seconds(ACK_WITHIN),
            reask: seconds(REASK),
            ask_again: seconds(EVERYBODY),
            quiet: seconds(QUIET),
            follow_up: Duration::from_secs(86_400),
            resolves: true,
            on_call: ON_CALL.map(person).into(),
            ..AlertSettings::default()
        };
        alerts.routes.auto = Auto::Off;
        alerts.rotations = vec![Rotation {
            name: "frontend people".into(),
            members: OF_FRONTEND.map(person).into(),
            handover: None,
            holidays: [].into(),
            substitutes: Vec::new(),
            backups: None,
            services: vec![ServiceName::parse("frontend").unwrap()],
            teams: Vec::new(),
            default: false,
        }];
        let there = listing.map(|listing| {
            Alertmanager::new(Config {
                urls: vec![listing.url.clone()],
                token: None,
                login: None,
                timeout: Duration::from_secs(20),
            })
        });
        let scenery = Scenery {
            alerts,
            ..Scenery::default()
        };
        Bot::new(
            &COMMANDS,
            store.clone(),
            settings(&scenery),
            self.catalogue.clone().with_alertmanager(there),
            self.library.clone(),
            self.http.clone(),
            CancellationToken::new(),
        )
    }
}

pub struct Play<'a> {
    bench: &'a Bench,
    /// The store, by another way than the bot's.
    pub(super) seen: sqlx::SqliteConnection,
    hand: Hand,
    bot: Bot,
    store: Store,
    pub(super) now: Second,
    pub(super) last_message: i64,
    /// What Alertmanager lists, where the bot looks.
    listing: Option<Listing>,
    /// Where each alert is told.
    pub(super) conversations: BTreeMap<usize, String>,
    /// The conversations of what people declared.
    pub(super) declared: Vec<String>,
    pub(super) resolved: Vec<i64>,
    pub(super) facts: Vec<(Second, Fact)>,
}

impl Play<'_> {
    /// Time passes until then: what becomes due is done.
    async fn pass(&mut self, until: Second) {
        while let Some(due) = self.store.timer_next().await.unwrap()
            && due <= moment(until)
        {
            self.hand.set(due);
            self.now = self.now.max(due.duration_since(moment(0)).as_secs());
            self.work(due).await;
            self.look(false).await;
        }
        self.now = self.now.max(until);
        self.hand.set(moment(self.now));
    }

    /// The bot does what is due now; what it saw in Alertmanager meanwhile is known before.
    async fn work(&mut self, now: Timestamp) {
        if let Some(listing) = &self.listing {
            listing.passes(now);
        }
        run_due(&self.bot).await.unwrap();
        if let Some(listing) = self.listing.as_ref().filter(|one| one.was_asked()) {
            for alert in 0..ALERTS.len() {
                let firing = listing.holds(&fingerprint(alert));
                self.facts.push((self.now, Fact::Listed { alert, firing }));
            }
        }
    }

    async fn happens(&mut self, number: usize, what: What) {
        match what {
            What::Report {
                alert,
                firing,
                start,
                end,
                severity,
                left_out,
                ..
            } => {
                let fact = Fact::Report {
                    alert,
                    kind: kind_of(alert),
                    firing,
                    start,
                    severity,
                };
                self.facts.push((self.now, fact));
                let count = left_out;
                self.facts.push((self.now, Fact::LeftOut { alert, count }));
                let mut body = report(alert, (!firing).then_some(end), start, severity);
                body["truncatedAlerts"] = left_out.into();
                let body =
                    alertmanager::parse(body.to_string().as_bytes(), moment(self.now)).unwrap();
                take_alerts(&self.bot, "alertmanager", body).await.unwrap();
            }
            What::Acknowledge { alert } => {
                let words = format!("ack {}", fingerprint(alert));
                let said = self.says(number, 0, &words).await;
                let conversation = self.conversations.get(&alert).cloned();
                if let (true, Some(conversation)) = (is_yes(&said), conversation) {
                    let fact = Fact::Acknowledged { conversation };
                    self.facts.push((self.now, fact));
                }
            }
            What::Silence { alert, minutes } => {
                let words = format!("silence {} {minutes}m", fingerprint(alert));
                self.silences(number, &words, alert, self.now + minutes * 60)
                    .await;
            }
            What::Unsilence { alert } => {
                let words = format!("silence {} --end", fingerprint(alert));
                self.silences(number, &words, alert, self.now).await;
            }
            What::Resolve { alert } => {
                let conversation = self.conversations.get(&alert).cloned();
                self.resolves(number, conversation).await;
            }
            What::Compares => {}
            What::Lists { alert, since } => {
                if let Some(listing) = &self.listing {
                    let since = since.map(|since| moment(0) + SignedDuration::from_secs(since));
                    listing.lists(fingerprint(alert), since);
                }
            }
            What::Declare { severity, service } => {
                self.declares(number, severity, service).await;
            }
            What::AcknowledgeDeclared => {
                if let Some(conversation) = self.declared.last().cloned() {
                    let words = format!("ack {}", name_of(&conversation));
                    if is_yes(&self.says(number, 0, &words).await) {
                        let fact = Fact::Acknowledged { conversation };
                        self.facts.push((self.now, fact));
                    }
                }
            }
            What::ResolveDeclared => {
                let conversation = self.declared.last().cloned();
                self.resolves(number, conversation).await;
            }
            What::Restart { crash, away } => self.restart(crash, away).await,
        }
        self.work(moment(self.now)).await;
        self.look(false).await;
    }

    async fn declares(&mut self, number: usize, severity: u8, service: Option<&str>) {
        let of = service.map_or(String::new(), |service| format!(" --service {service}"));
        let words = format!("incident declare \"something odd\" --severity SEV{severity}{of}");
        self.says(number, 1, &words).await;
        let newest = sqlx::query_scalar("SELECT MAX(id) FROM incident");
        let id: i64 = newest.fetch_one(&mut self.seen).await.unwrap();
        let conversation = format!("incident:{id}");
        self.declared.push(conversation.clone());
        let fact = Fact::Declared {
            conversation,
            severity,
        };
        self.facts.push((self.now, fact));
    }

    async fn silences(&mut self, number: usize, words: &str, alert: usize, until: Second) {
        if is_yes(&self.says(number, 0, words).await) {
            self.facts.push((self.now, Fact::Silenced { alert, until }));
        }
    }

    async fn resolves(&mut self, number: usize, conversation: Option<String>) {
        let Some(key) = conversation.filter(|key| key.starts_with("incident:")) else {
            return;
        };
        let words = format!("resolve mended --incident {}", name_of(&key));
        let said = self.says(number, 1, &words).await;
        // Whoever is asked whether they mean it says yes.
        let said = serde_json::to_string(&said).unwrap();
        if let Some((_, rest)) = said.split_once("\"confirm ") {
            let token = rest.split('"').next().unwrap();
            // The answer is an edit of the question.
            self.types(number, 1, &format!("confirm {token}")).await;
        }
        self.look(true).await;
    }

    /// Somebody types this; the answer.
    async fn says(&mut self, number: usize, who: usize, words: &str) -> Message {
        let key = self.types(number, who, words).await;
        let answer = self.store.outbox_read(&answer_key(&key)).await.unwrap();
        let answer = answer.unwrap_or_else(|| panic!("{words}: no answer"));
        match answer.0.content {
            Content::Message(message) => message,
            other => panic!("{words}: {other:?}"),
        }
    }

    /// Somebody types this; the request's key.
    async fn types(&mut self, number: usize, who: usize, words: &str) -> String {
        let key = format!("{number}:{words}");
        let request = Request {
            key: key.clone(),
            door: Door::Command,
            person: person(ON_CALL[who]),
            place: Place::channel("C0MAIN"),
            text: words.to_owned(),
            reply: Reply::default(),
        };
        visit(&self.bot, request).await.unwrap();
        key
    }

    async fn restart(&mut self, crashed: bool, away: Second) {
        self.facts.push((self.now, Fact::Died));
        let back = self.now + away;
        if crashed
            && let Some(due) = self.store.timer_next().await.unwrap()
            && due <= moment(back)
        {
            // It dies with these in its hands.
            self.hand.set(due);
            drop(self.store.timers_due("dead", 16).await.unwrap());
        }
        self.now = back;
        self.hand.set(moment(back));
        self.bot = self.bench.bot(&self.store, self.listing.as_ref());
        self.facts.push((self.now, Fact::Restarted { crashed }));
    }
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn moment(at: Second) -> Timestamp {
    let begin: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    begin + Duration::from_secs(at.unsigned_abs())
}

fn seconds(count: Second) -> Duration {
    Duration::from_secs(count.unsigned_abs())
}

fn person(id: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: id.to_owned(),
    }
}

fn is_yes(said: &Message) -> bool {
    said.tone == Tone::Good
}

/// The incident of a conversation.
fn name_of(conversation: &str) -> String {
    conversation.replace("incident:", "INC-")
}

pub fn fingerprint(alert: usize) -> String {
    format!("alert{alert:02}")
}

/// A report as Alertmanager sends it.
fn report(alert: usize, end: Option<Second>, start: Second, severity: u8) -> Value {
    let (name, service) = ALERTS[alert];
    let begin = moment(0).as_second();
    let at = |second: Second| Timestamp::from_second(begin + second).unwrap().to_string();
    let status = if end.is_none() { "firing" } else { "resolved" };
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{{name} {service}}}"),
        "status": status,
        "receiver": "bot",
        "alerts": [{
            "status": status,
            "fingerprint": fingerprint(alert),
            "labels": {
                "alertname": name, "service": service, "severity": format!("sev{severity}"),
                "instance": alert.to_string(),
            },
            "annotations": {"summary": format!("{name} of {service}")},
            "startsAt": at(start),
            "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), at),
        }],
    })
}
