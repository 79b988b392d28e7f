//! The whole way with the real things: a fault, Prometheus with the rules that we ship, Alertmanager,
//! the webhook, the incident, the runbook, the mend, and the end.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use treasury_bot::app::{App, simulated};
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::Status;
use treasury_bot::domain::alert::Auto;
use treasury_bot::sandbox::stack::Fault;

use crate::support::alertmanager::{Alertmanager, Rules, Setup};
use crate::support::free_port;
use crate::support::stage::{HOME, Scenery, Stage, plan, words_of};

fn alerts() -> AlertSettings {
    let mut alerts = AlertSettings {
        quiet: Duration::from_secs(1),
        resolves: true,
        on_call: vec![treasury_bot::domain::Person {
            id: "U0ANA00001".into(),
            name: "ana".into(),
        }],
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Run;
    alerts
}

#[test]
#[ignore = "needs promtool"]
fn the_shipped_rules_fire_when_they_should_and_not_otherwise() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
    for args in [
        ["test", "rules", "tests.yml"],
        ["check", "rules", "alerts.yml"],
    ] {
        let done = Command::new("promtool")
            .current_dir(folder)
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        assert!(said.contains("SUCCESS"), "{said}");
    }
}

#[tokio::test]
#[ignore = "needs Prometheus and Alertmanager"]
async fn a_fault_fires_is_looked_at_mended_by_its_runbook_and_ends_by_itself() {
    let stage = Stage::set(Scenery {
        pages: true,
        // The world at its own pace: Prometheus measures in real time.
        speed: 4.0,
        alerts: alerts(),
        ..Scenery::default()
    })
    .await;
    stage.stack.advance(Duration::from_secs(60));
    let alertmanager = Alertmanager::start(stage.app.address, "alerts-token").await;
    let page = stage.sandbox.addr();
    let _prometheus = Rules::start(page, "/stack/metrics", &alertmanager).await;
    // Nothing is wrong: nothing fires.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (0, 0));

    stage.stack.put_in(Fault::CacheDown, None).unwrap();
    // What stands on the cache may be asked about as well.
    let asked = stage
        .sandbox
        .wait_for(Duration::from_secs(60), |workspace| {
            let mut all = workspace.channel(HOME)?.messages.iter().map(words_of);
            all.find(|words| {
                words.contains("please acknowledge") && words.contains("The cache does not answer")
            })
        });
    asked.await.unwrap();
    let incident = stage.app.store.incidents(10).await.unwrap();
    let redis = incident
        .iter()
        .find(|one| one.title.contains("cache"))
        .unwrap();
    let room = stage.room(redis.id.0).await;
    stage.said(&room, "1 alert fires for redis").await;
    stage.said(&room, "A first look at redis").await;
    let run = stage.said(&room, "of Restart a service").await;
    // Whether it stays well takes longer to say.
    stage.becomes(&run, "redis restarted in").await;
    assert_eq!(stage.stack.faults(), []);
    stage.said(&room, "1 alert is over for redis").await;
    stage.said(&room, "is resolved").await;
    let now = stage.app.store.incident(redis.id).await.unwrap().unwrap();
    assert_eq!(now.status, Status::Resolved);
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_alertmanager_sends_while_the_bot_is_down_arrives_when_it_is_back() {
    let stage = Stage::new().await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let alertmanager = Alertmanager::start(address, "alerts-token").await;
    let sent = reqwest::Client::new()
        .post(format!("{}/api/v2/alerts", alertmanager.url()))
        .json(&json!([{
            "labels": {"alertname": "Down", "service": "api", "severity": "critical"},
            "annotations": {"summary": "The api is down"},
        }]))
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_success());
    while alertmanager.failures().await < 1.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("late.db").display());
    let catalogue = simulated(&stage.stack, None).unwrap();
    let plan = plan(&stage.sandbox, &Scenery::default(), address, url, catalogue);
    let late = App::start(plan, CancellationToken::new()).await.unwrap();
    let told = stage.said(HOME, "The api is down").await;
    assert!(
        words_of(&told).contains("INC-1 SEV2"),
        "{}",
        words_of(&told)
    );
    assert_eq!(late.store.alerts_count().await.unwrap(), (1, 1));
    late.stop().await;
    stage.finish().await;
}

/// An alert of the api, as Prometheus sends it.
fn down(instance: &str) -> serde_json::Value {
    json!({
        "labels": {"alertname": "Down", "service": "api", "severity": "critical", "instance": instance},
        "annotations": {"summary": "The api is down"},
        "startsAt": jiff::Timestamp::now(),
    })
}

#[tokio::test]
#[ignore = "needs Prometheus and Alertmanager"]
async fn a_prometheus_that_pauses_ends_no_outage() {
    let mut settings = alerts();
    settings.routes.auto = Auto::Off;
    settings.quiet = Duration::from_secs(45);
    let stage = Stage::set(Scenery {
        pages: true,
        speed: 4.0,
        alerts: settings,
        ..Scenery::default()
    })
    .await;
    stage.stack.advance(Duration::from_secs(60));
    let alertmanager = Alertmanager::start(stage.app.address, "alerts-token").await;
    let prometheus = Rules::start(stage.sandbox.addr(), "/stack/metrics", &alertmanager).await;
    stage.stack.put_in(Fault::CacheDown, None).unwrap();
    stage.said(HOME, "please acknowledge").await;
    let (conversation, began) = cache(&stage, true).await;

    // It stands still for a while, Alertmanager reports the end; then it goes on where it was.
    prometheus.freeze();
    cache(&stage, false).await;
    // Within the second it would be a second sender's late report.
    tokio::time::sleep(Duration::from_secs(2)).await;
    prometheus.thaw();
    let again = cache(&stage, true).await;
    assert_eq!(again, (conversation.clone(), began), "the same start");
    let pool = stage.pool().await;
    let (ends,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM timer WHERE kind = 'quiet' AND subject = $1")
            .bind(conversation)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(ends, 0, "nothing ends it any more");
    let incidents = stage.app.store.incidents(10).await.unwrap();
    assert!(incidents.iter().all(|one| one.status == Status::Open));
    stage.finish().await;
}

/// Waits until the cache's alert fires, or is over: where it is told, and its start.
async fn cache(stage: &Stage, fires: bool) -> (String, String) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let all = stage.app.store.alerts_list(true, 30).await.unwrap();
        let found = all.into_iter().find(|(_, record)| {
            let alert = &record.tracked.alert;
            alert.firing == fires && alert.summary().contains("cache")
        });
        if let Some((conversation, record)) = found {
            return (conversation, record.tracked.alert.starts_at.to_string());
        }
        assert!(tokio::time::Instant::now() < deadline, "firing: {fires}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_alertmanager_leaves_out_is_told() {
    let stage = Stage::set(Scenery {
        alerts: alerts(),
        ..Scenery::default()
    })
    .await;
    let setup = Setup {
        max_alerts: 1,
        ..Setup::new(free_port(), stage.app.address, "alerts-token")
    };
    let alertmanager = Alertmanager::set(setup).await;
    alertmanager
        .post(&json!([down("a"), down("b"), down("c")]))
        .await;
    let room = stage.room(1).await;
    stage
        .said(&room, "and 2 further that Alertmanager left out")
        .await;
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_alertmanager_repeats_is_told_and_asked_once() {
    let stage = Stage::set(Scenery {
        alerts: alerts(),
        ..Scenery::default()
    })
    .await;
    let setup = Setup {
        repeat_interval: "1s",
        ..Setup::new(free_port(), stage.app.address, "alerts-token")
    };
    let alertmanager = Alertmanager::set(setup).await;
    alertmanager.post(&json!([down("a")])).await;
    while alertmanager.notifications().await < 4.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.said(HOME, "please acknowledge").await;
    stage.quiet().await;
    assert_eq!(stage.count("please acknowledge"), 1);
    assert_eq!(stage.app.store.incidents(10).await.unwrap().len(), 1);
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn two_alertmanagers_are_one_sender_and_either_makes_silences() {
    let ports = [free_port(), free_port()];
    let gossip = [free_port(), free_port()];
    let urls = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let mut settings = alerts();
    settings.routes.auto = Auto::Off;
    settings.silence_check = Duration::from_millis(300);
    let stage = Stage::set(Scenery {
        alerts: settings,
        alertmanager: Some(urls.join(",")),
        ..Scenery::default()
    })
    .await;
    let member = |own: usize| {
        Alertmanager::set(Setup {
            cluster: Some((gossip[own], gossip[1 - own])),
            ..Setup::new(ports[own], stage.app.address, "alerts-token")
        })
    };
    let (first, second) = futures_util::join!(member(0), member(1));
    // Prometheus sends to each.
    let alerts = json!([down("a")]);
    for one in [&first, &second] {
        one.post(&alerts).await;
    }
    stage.said(HOME, "please acknowledge").await;
    while first.notifications().await + second.notifications().await < 1.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (1, 1));
    assert_eq!(stage.count("please acknowledge"), 1);

    stage.ana("silence Down 1h").await;
    let told = stage.said(HOME, "1 alert of Down silenced for 1h by").await;
    stage
        .becomes(&told, "Alertmanager is quiet too: silence")
        .await;
    // One of them goes, once the other has heard of it; the other ends the silence.
    let url = format!("{}/api/v2/silences", second.url());
    let silences =
        async || -> serde_json::Value { reqwest::get(&url).await.unwrap().json().await.unwrap() };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while silences().await.as_array().unwrap().is_empty() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "they do not share it"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(first);
    stage.ana("silence Down --end").await;
    stage.becomes(&told, "Ended by <@U0ANA00001>").await;
    let all = silences().await;
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    assert_eq!(all[0]["status"]["state"], "expired");
    stage.finish().await;
}

/// A stage that looks often what its Alertmanager lists, and that Alertmanager.
async fn compared(more: &str) -> (Stage, Alertmanager) {
    let port = free_port();
    let mut settings = alerts();
    settings.routes.auto = Auto::Off;
    settings.silence_check = Duration::from_millis(300);
    settings.ack_within = Duration::from_secs(2);
    let stage = Stage::set(Scenery {
        alerts: settings,
        alertmanager: Some(format!("http://127.0.0.1:{port}")),
        ..Scenery::default()
    })
    .await;
    let setup = Setup {
        more,
        ..Setup::new(port, stage.app.address, "alerts-token")
    };
    (stage, Alertmanager::set(setup).await)
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_another_alert_inhibits_is_shown_so_and_asks_nobody_until_it_is_inhibited_no_more() {
    let (stage, alertmanager) = compared(
        "inhibit_rules:\n- source_matchers: [alertname=ClusterDown]\n  \
         target_matchers: [alertname=Down]\n",
    )
    .await;
    alertmanager.post(&json!([down("a")])).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for api").await;
    stage.said(HOME, "please acknowledge").await;
    // It is of no service, and needs nobody by itself.
    let cluster = |ends: Option<jiff::Timestamp>| {
        json!([{
            "labels": {"alertname": "ClusterDown", "severity": "info"},
            "annotations": {"summary": "The cluster is down"},
            "endsAt": ends,
        }])
    };
    alertmanager.post(&cluster(None)).await;
    let quiet = stage
        .becomes(&card, "Silenced or inhibited in Alertmanager")
        .await;
    assert!(
        !words_of(&quiet).contains("Not heard of"),
        "{}",
        words_of(&quiet)
    );
    stage.quiet().await;
    let asked = stage.count("please acknowledge");
    // Twice as long as it takes until the next is asked.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(stage.count("please acknowledge"), asked);

    let now = jiff::Timestamp::now();
    alertmanager.post(&cluster(Some(now))).await;
    stage
        .said(
            &room,
            "1 alert still fires: no other alert inhibits it any more",
        )
        .await;
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_alertmanager_never_listed_is_asked_about_and_said_not_to_be_listed() {
    let (stage, _alertmanager) = compared("").await;
    let stray = crate::alerts::alert("Stray", &[("service", "api")], true);
    assert_eq!(crate::alerts::post(&stage, &[stray]).await.0, 200);
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for api").await;
    stage
        .becomes(&card, "does not list it: whether it fires is not known")
        .await;
    // Asking is the safe side: it may be another Alertmanager's.
    let asks = stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let asks = workspace.messages().map(words_of);
            (asks
                .filter(|words| words.contains("please acknowledge"))
                .count()
                > 1)
            .then_some(())
        });
    asks.await.unwrap();
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (1, 1));
    stage.finish().await;
}
