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

use crate::support::alertmanager::{Alertmanager, Rules};
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
    let asked = stage.said(HOME, "please acknowledge").await;
    assert!(
        words_of(&asked).contains("The cache does not answer"),
        "{}",
        words_of(&asked)
    );
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
