//! kill -9 while alerts are followed up: each timer does once what it is for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use treasury_bot::domain::timeline::verify;
use treasury_bot::domain::{IncidentId, Stream};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use crate::support::process::{Serve, Setup};
use crate::support::stage::words_of;

const SERVICES: [&str; 3] = ["api", "frontend", "redis"];
/// The time between two follow-ups doubles from this.
const FOLLOW_UP: Duration = Duration::from_secs(2);
/// How long any part may take: less than a dead process's claim on a timer lasts.
const PATIENCE: Duration = Duration::from_secs(60);

fn setup() -> Setup {
    let services: String = SERVICES
        .iter()
        .map(|name| format!("[[service]]\nname = \"{name}\"\ncontainer = \"no-such-{name}\"\n\n"))
        .collect();
    let setup = Setup::new(
        false,
        &format!(
            "[alerts]\ntoken_file = \"alerts.token\"\nack_within = \"2s\"\nfollow_up = \"2s\"\n\
             quiet = \"2s\"\nresolve = \"auto\"\non_call = [\"U0ANA00001\", \"U0BEN00001\"]\n\n\
             [watch]\nenabled = false\n\n{services}"
        ),
    );
    std::fs::write(setup.folder.path().join("alerts.token"), "alerts-token").unwrap();
    setup
}

async fn post(setup: &Setup, firing: bool) {
    let alerts: Vec<Value> = SERVICES
        .iter()
        .map(|service| {
            json!({
                "status": if firing { "firing" } else { "resolved" },
                "labels": {"alertname": "Down", "severity": "critical", "service": service},
                "annotations": {},
                "startsAt": "2026-11-24T03:00:00Z",
                "endsAt": if firing { "0001-01-01T00:00:00Z" } else { "2026-11-24T03:09:00Z" },
            })
        })
        .collect();
    let answer = reqwest::Client::new()
        .post(format!(
            "http://127.0.0.1:{}/alerts/alertmanager",
            setup.port
        ))
        .bearer_auth("alerts-token")
        .body(json!({"version": "4", "alerts": alerts}).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

/// The timelines' texts with these words, in the order of the incidents.
async fn entries(store: &Store, words: &str) -> Vec<String> {
    let mut found = Vec::new();
    for id in 1..=SERVICES.len() as i64 {
        let stream = Stream::Incident(IncidentId(id));
        let all = store.entries(&stream).await.unwrap();
        verify(&stream, &all).unwrap();
        found.extend(
            all.into_iter()
                .map(|one| one.text)
                .filter(|one| one.contains(words)),
        );
    }
    found
}

/// Texts of the bot's messages with these words.
fn said(sandbox: &Sandbox, words: &str) -> Vec<String> {
    sandbox.look(|workspace| {
        let all = workspace.messages().filter(|m| m.by_bot).map(words_of);
        all.filter(|text| text.contains(words)).collect()
    })
}

/// A bot that is killed and started again, each time at another moment.
struct Mortal<'a> {
    setup: &'a Setup,
    sandbox: &'a Sandbox,
    store: &'a Store,
    serve: Option<Serve>,
    kills: u64,
}

impl Mortal<'_> {
    /// Everything that can be seen from outside of what timers did.
    async fn seen(&self) -> (usize, usize, i64) {
        let told = self.sandbox.look(|workspace| workspace.messages().count());
        let depth = self.store.outbox_depth().await.unwrap();
        (entries(self.store, "").await.len(), told, depth)
    }

    /// Kills it whenever something has been done, until this many entries have these words.
    async fn dies_until(&mut self, words: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while entries(self.store, words).await.len() < count {
            let now = entries(self.store, words).await;
            assert!(Instant::now() < deadline, "{} kills: {now:?}", self.kills);
            let before = self.seen().await;
            // What has been seen is the trigger; a further moment shifts the blow into the work
            // that follows.
            let patience = Instant::now() + Duration::from_secs(3);
            while self.seen().await == before && Instant::now() < patience {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let shift = [0, 3, 12, 40, 90, 150][self.kills as usize % 6];
            tokio::time::sleep(Duration::from_millis(shift)).await;
            self.serve.take().unwrap().kill();
            self.kills += 1;
            self.serve = Some(self.setup.serve(self.sandbox).await);
        }
    }
}

#[tokio::test]
async fn killed_again_and_again_each_follow_up_escalation_and_quiet_message_is_there_once() {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup();
    let serve = setup.serve(&sandbox).await;
    let store = Store::open(&setup.store_url(), Use::Visit).await.unwrap();
    let began = Instant::now();
    post(&setup, true).await;
    let mut mortal = Mortal {
        setup: &setup,
        sandbox: &sandbox,
        store: &store,
        serve: Some(serve),
        kills: 0,
    };
    let all = SERVICES.len();
    // Two people on call, then everybody.
    mortal.dies_until(" to acknowledge", 3 * all).await;
    mortal.dies_until("alert still fires after", 2 * all).await;
    let fired = began.elapsed();
    post(&setup, false).await;
    mortal.dies_until("resolved: Quiet for", all).await;

    // What was due has been done; what is written is brought to Slack.
    let deadline = Instant::now() + PATIENCE;
    let far = store.now() + jiff::SignedDuration::from_mins(4);
    // Far away only the next look at who is on call is left, and at what is kept for too long.
    let is_due = async || store.timer_next().await.unwrap().is_some_and(|at| at < far);
    while store.outbox_depth().await.unwrap() > 0 || is_due().await {
        assert!(Instant::now() < deadline, "{}", sandbox.dump(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(entries(&store, " to acknowledge").await.len(), 3 * all);
    // They ask no more.
    assert_eq!(said(&sandbox, "Nothing fires any more").len(), 3 * all);
    assert_eq!(said(&sandbox, "please acknowledge").len(), 0);
    assert_eq!(entries(&store, "resolved: Quiet for").await.len(), all);
    assert_eq!(said(&sandbox, "Quiet for").len(), all);
    assert_eq!(entries(&store, "1 alert fires: Down").await.len(), all);
    assert_eq!(said(&sandbox, "A first look at").len(), all);
    let follow_ups = entries(&store, "alert still fires after").await;
    assert_eq!(
        said(&sandbox, "alert still fires after").len(),
        follow_ups.len()
    );
    // The first after 2 s, then after 4, 8, 16 … more: never more than there was time for.
    let most = (1..30).find(|n| FOLLOW_UP * ((1 << (n + 1)) - 1) > fired + Duration::from_secs(3));
    assert!(
        follow_ups.len() <= most.unwrap() * all,
        "{fired:?}: {follow_ups:?}"
    );
    assert!(mortal.kills >= 10, "{} kills", mortal.kills);
    eprintln!(
        "{} kills in {:?}, {} follow-ups",
        mortal.kills,
        began.elapsed(),
        follow_ups.len()
    );
    assert_eq!(
        said(&sandbox, "1 alert is over for").len(),
        all,
        "{}",
        sandbox.dump(30)
    );
    store.close().await;
    assert!(mortal.serve.take().unwrap().end().await.success());
    sandbox.stop();
}
