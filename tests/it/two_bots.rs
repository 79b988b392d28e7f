//! Two bots on one PostgreSQL: what one of them had in hand when it was killed, or halted, the other
//! does, soon and once; and each hears at once of what the other puts.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};
use treasury_bot::domain::mail::Mailbox;
use treasury_bot::domain::notification::{AckRequest, Notification, Purpose, Recipient, Thread};
use treasury_bot::domain::{
    Audience, Content, Destination, EntryKind, IncidentId, Message, Outgoing, Person, Reply,
    Severity, Stream, Tone,
};
use treasury_bot::notify::Security;
use treasury_bot::sandbox::slack::{Fault, Sandbox, SandboxConfig};
use treasury_bot::store::{Store, StoreError, Use};

use crate::alerts::alert;
use crate::mail::counts;
use crate::mail_crashes::email;
use crate::support::postgres::Postgres;
use crate::support::process::{Serve, Setup};
use crate::support::smtp::Smtp;
use crate::support::stage::{HOME, PATIENCE, said, words_of};

/// What a killed bot had in hand is in other hands within this time.
const TAKEN_UP: Duration = Duration::from_secs(15);

/// Two bots, their database and their Slack.
struct Two {
    postgres: Postgres,
    pool: PgPool,
    store: Store,
    sandbox: Sandbox,
    setups: [Setup; 2],
}

impl Two {
    async fn set(more: &str) -> Self {
        let postgres = Postgres::start().await;
        let more = format!(
            "[alerts]\ntoken_file = \"alerts.token\"\nack_within = \"4s\"\n\
             on_call = [\"U0ANA00001\", \"U0BEN00001\"]\n\n[watch]\nenabled = false\n\n\
             [[service]]\nname = \"api\"\ncontainer = \"no-such-api\"\n\n{more}"
        );
        let setups = [(); 2].map(|()| {
            let mut setup = Setup::new(false, &more);
            setup.log = "level = \"warn\"\nformat = \"json\"";
            std::fs::write(setup.folder.path().join("alerts.token"), "alerts-token").unwrap();
            setup
        });
        let store = Store::open(&postgres.url(), Use::Visit).await.unwrap();
        Self {
            pool: PgPool::connect(&postgres.url()).await.unwrap(),
            sandbox: Sandbox::start(SandboxConfig::default()).await.unwrap(),
            postgres,
            store,
            setups,
        }
    }

    async fn serve(&self, which: usize) -> Serve {
        let url = self.postgres.url();
        let env = [
            ("TREASURY_BOT_STORE_URL", url.as_str()),
            ("TREASURY_BOT_EMAIL_PASSWORD", "smtp-hunter2-secret"),
        ];
        self.setups[which].serve_with(&self.sandbox, &env).await
    }

    /// Nobody gets further than to this table until the lock is dropped.
    async fn lock(&self, table: &str) -> PgConnection {
        let mut session = PgConnection::connect(&self.postgres.url()).await.unwrap();
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        session.execute(AssertSqlSafe(lock)).await.unwrap();
        session
    }

    /// Waits until a query that gives one text has an answer.
    async fn row(&self, query: &'static str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: Option<String> = sqlx::query_scalar(query)
                .fetch_optional(&self.pool)
                .await
                .unwrap();
            if let Some(found) = found {
                return found;
            }
            assert!(Instant::now() < deadline, "{query}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a query finds nothing; how long that took since a moment.
    async fn gone(&self, query: &'static str, since: Instant) -> Duration {
        loop {
            let rows = self.pool.fetch_all(query).await.unwrap();
            let took = since.elapsed();
            if rows.is_empty() {
                return took;
            }
            assert!(
                took < TAKEN_UP,
                "{query} after {took:?}: {}",
                self.sandbox.dump(20)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn count(&self, channel: &str, words: &str) -> usize {
        self.sandbox.look(|workspace| {
            let all = workspace.channel(channel).unwrap().messages.iter();
            all.filter(|m| m.by_bot && words_of(m).contains(words))
                .count()
        })
    }

    /// Waits until a bot's log says these words.
    async fn logged(&self, which: usize, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(self.setups[which].log_file()).unwrap();
            if log.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "no “{words}” in: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn finish(self, served: Serve) {
        assert!(served.end().await.success());
        self.store.close().await;
        self.pool.close().await;
        self.sandbox.stop();
    }
}

#[tokio::test]
#[ignore = "needs aiosmtpd and PostgreSQL"]
async fn a_message_and_a_mail_of_a_killed_bot_are_sent_by_the_other_soon_and_once() {
    let smtp = Smtp::start(Security::StartTls);
    let mail = email(&smtp, &["stalls@example.com"]).replace("\"2s\"", "\"30s\"");
    let two = Two::set(&mail).await;
    let first = two.serve(0).await;
    two.sandbox
        .faults()
        .next("chat.postMessage", 1, Fault::Hang);
    let declare = "/treasury incident declare Down --severity SEV1";
    two.sandbox
        .person("ana")
        .types(HOME, declare)
        .await
        .unwrap();
    two.row("SELECT key FROM outbox WHERE state = 'waiting' AND attempted = 1 AND lease_until > 0")
        .await;
    two.row("SELECT key FROM notification WHERE channel = 'email' AND lease_until > 0")
        .await;
    let second = two.serve(1).await;
    first.kill();
    let killed = Instant::now();
    let message = two.gone("SELECT id FROM outbox WHERE state = 'waiting'", killed);
    let mail = "SELECT id FROM notification WHERE channel = 'email' AND state = 'waiting'";
    let (message, mail) = tokio::join!(message, two.gone(mail, killed));
    eprintln!("taken up and sent after the kill: message {message:?}, mail {mail:?}");
    assert_eq!(
        two.count(HOME, "INC-1 SEV1: Down — declared by"),
        1,
        "{}",
        two.sandbox.dump(20)
    );
    assert_eq!(counts(&smtp.letters())["stalls@example.com"], (1, 1));
    two.finish(second).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_timer_and_the_requests_of_a_killed_bot_are_done_by_the_other_soon_and_once() {
    let two = Two::set("").await;
    let mut serves = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for which in 0..2 {
        serves.push(two.serve(which).await);
        let all: Vec<String> = sqlx::query_scalar("SELECT id FROM instance")
            .fetch_all(&two.pool)
            .await
            .unwrap();
        names.extend(all.into_iter().find(|name| !names.contains(name)));
    }
    let body = serde_json::json!({
        "version": "4",
        "alerts": [alert("Down", &[("service", "api"), ("severity", "critical")], true)],
    });
    let url = format!(
        "http://127.0.0.1:{}/alerts/alertmanager",
        two.setups[0].port
    );
    let post = reqwest::Client::new().post(url).bearer_auth("alerts-token");
    let answer = post.body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    said(&two.sandbox, HOME, "INC-1").await;

    // Both get as far as to the audit and the timelines.
    let lock = two.lock("entry").await;
    let typed = 8;
    for _ in 0..typed {
        let ana = two.sandbox.person("ana");
        assert!(ana.types(HOME, "/treasury version").await.unwrap().acked);
    }
    // Who holds the timer of the escalation and some of the requests.
    let holder = two
        .row(
            "SELECT owner FROM timer WHERE kind = 'escalation' AND lease_until > 0 \
             AND owner IN (SELECT owner FROM inbox WHERE state = 'working')",
        )
        .await;
    let which = names.iter().position(|name| *name == holder).unwrap();
    serves.remove(which).kill();
    let killed = Instant::now();
    lock.close().await.unwrap();
    let requests = two.gone("SELECT id FROM inbox WHERE state <> 'done'", killed);
    let asked = "SELECT 1 WHERE NOT EXISTS \
                 (SELECT 1 FROM entry WHERE stream = 'INC-1' AND text LIKE '% to acknowledge%')";
    let (requests, timer) = tokio::join!(requests, two.gone(asked, killed));
    eprintln!("done after the kill: requests {requests:?}, timer {timer:?}");

    let audit = two.store.entries(&Stream::Audit).await.unwrap();
    let versions = audit
        .iter()
        .filter(|one| one.kind == EntryKind::Asked && one.text == "version");
    assert_eq!(versions.count(), typed);
    let entries = two
        .store
        .entries(&Stream::Incident(IncidentId(1)))
        .await
        .unwrap();
    let asked: Vec<&str> = entries
        .iter()
        .map(|one| one.text.as_str())
        .filter(|text| text.contains(" to acknowledge"))
        .collect();
    assert!(
        asked.iter().filter(|text| **text == asked[0]).count() == 1,
        "{asked:?}"
    );
    two.finish(serves.remove(0)).await;
}

#[tokio::test]
#[ignore = "needs aiosmtpd and PostgreSQL"]
async fn a_bot_that_was_halted_finds_out_that_another_did_its_work() {
    let smtp = Smtp::start(Security::StartTls);
    let two = Two::set(&email(&smtp, &[])).await;
    let halted = two.serve(0).await;
    let declare = "/treasury incident declare Down --severity SEV2";
    two.sandbox
        .person("ana")
        .types(HOME, declare)
        .await
        .unwrap();
    two.row("SELECT channel FROM incident WHERE channel IS NOT NULL")
        .await;
    two.gone(
        "SELECT id FROM outbox WHERE state = 'waiting'",
        Instant::now(),
    )
    .await;

    // It has a message and a mail in hand, and gets as far as to look where and whether.
    let locks = [
        two.lock("incident").await,
        two.lock("alert, conversation").await,
    ];
    put(&two.store).await;
    two.row("SELECT key FROM outbox WHERE key = 'held' AND lease_until > 0")
        .await;
    two.row("SELECT key FROM notification WHERE key = 'held' AND lease_until > 0")
        .await;
    two.row("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%incident%'")
        .await;
    two.row("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%conversation%'")
        .await;
    halted.halt();
    let stopped = Instant::now();
    for lock in locks {
        lock.close().await.unwrap();
    }
    let other = two.serve(1).await;
    two.gone("SELECT id FROM outbox WHERE state = 'waiting'", stopped)
        .await;
    two.gone(
        "SELECT id FROM notification WHERE state = 'waiting'",
        stopped,
    )
    .await;
    assert_eq!(two.count("inc-1-down", "We are on it"), 1);

    halted.go_on();
    two.logged(0, "a delivery\"").await;
    two.logged(0, "another process has taken a notification over")
        .await;
    assert_eq!(
        two.count("inc-1-down", "We are on it"),
        1,
        "{}",
        two.sandbox.dump(20)
    );
    assert_eq!(counts(&smtp.letters())["ana@example.com"], (1, 1));
    // It is a bot like any other again.
    two.sandbox
        .person("ana")
        .types(HOME, "/treasury version")
        .await
        .unwrap();
    two.gone("SELECT id FROM inbox WHERE state <> 'done'", Instant::now())
        .await;
    assert!(halted.end().await.success());
    two.finish(other).await;
}

/// A message to an incident, and a mail that asks for an acknowledgement.
async fn put(store: &Store) {
    let words = |text: &str| Message::new(Tone::Plain, text);
    let message = Outgoing {
        key: "held".into(),
        to: Destination::Incident(IncidentId(1)),
        audience: Audience::Everyone,
        requester: None,
        reply: Reply::default(),
        severity: None,
        content: Content::Message(words("We are on it")),
    };
    let mail = Notification {
        key: "held".into(),
        to: Recipient::Email(Mailbox::parse("ana@example.com").unwrap()),
        purpose: Purpose::Escalation,
        incident: Some(IncidentId(1)),
        thread: Thread::new("INC-1/1".into(), "[INC-1] Down"),
        message: words("Please acknowledge"),
        at: store.now(),
        ack: Some(Box::new(AckRequest {
            person: Person {
                id: "U0ANA00001".into(),
                name: "ana".into(),
            },
            conversation: "incident:1".into(),
            sentence: "ack INC-1".into(),
            severity: Severity::Sev2,
        })),
    };
    store
        .write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                tx.outbox_put(&message).await?;
                tx.notification_put(&mail).await
            })
        })
        .await
        .unwrap();
}

/// How long, at worst of ten, a message put by one process is under way to another's Slack.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn what_one_process_puts_another_hears_of_at_once() {
    let two = Two::set("").await;
    let serve = two.serve(0).await;
    let mut times = Vec::new();
    for n in 0..10 {
        let put = Instant::now();
        let message = Outgoing {
            key: format!("heard-{n}"),
            to: Destination::Home,
            audience: Audience::Everyone,
            requester: None,
            reply: Reply::default(),
            severity: None,
            content: Content::Message(Message::new(Tone::Plain, format!("word {n}."))),
        };
        two.store.outbox_put(message).await.unwrap();
        said(&two.sandbox, HOME, &format!("word {n}.")).await;
        times.push(put.elapsed());
    }
    times.sort();
    eprintln!(
        "from put to Slack: median {:?}, worst {:?}",
        times[5], times[9]
    );
    // By looking alone it is a second on average. Slack's own limit of one a second in a channel is
    // not kept by the sandbox.
    assert!(times[5] < Duration::from_millis(500), "{times:?}");
    two.finish(serve).await;
}
