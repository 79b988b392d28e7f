//! Alerts that flap: they count as firing until they are calm.

use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::EntryKind;
use treasury_bot::domain::alert::Damping;

use crate::alerts::{alert, hasty_without_escalation, post, stage};
use crate::mail::resolves;
use crate::support::stage::{HOME, words_of};

/// The n-th time that an alert fires, or is over.
pub fn nth(n: usize, firing: bool) -> Value {
    let mut one = alert("Flaps", &[("service", "api")], firing);
    one["startsAt"] = json!(format!("2026-11-24T03:{:02}:{:02}Z", n / 60, n % 60));
    if !firing {
        one["endsAt"] = json!(format!("2026-11-24T03:{:02}:{:02}.5Z", n / 60, n % 60));
    }
    one
}

#[tokio::test]
async fn an_alert_that_flaps_fifty_times_is_told_once_and_over_when_it_has_calmed_down() {
    let alerts = AlertSettings {
        damping: Damping {
            changes: 4,
            calm: jiff::SignedDuration::from_secs(13),
            ..Damping::default()
        },
        ..hasty_without_escalation()
    };
    let stage = stage(alerts).await;
    for n in 0..50 {
        for firing in [true, false] {
            let (code, _) = post(&stage, &[nth(n, firing)]).await;
            assert_eq!(code, 200);
        }
    }
    // What was reported last is that it does not fire; that has often been so.
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (1, 1));
    stage.ana("alerts").await;
    let list = words_of(&stage.said(HOME, "1 alert fires").await);
    assert!(list.contains("flapping, 100 changes in"), "{list}");
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    // It is written once it flaps, and counts what had changed by then.
    stage.becomes(&told, "flapping, ").await;
    assert_eq!(stage.count("Quiet for"), 0);

    let quiet = words_of(&stage.said(&room, "Quiet for 13s").await);
    assert!(quiet.contains("Shall INC-1 be resolved?"), "{quiet}");
    stage.becomes(&told, "1 alert is over for api").await;
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (1, 0));
    assert_eq!(
        (
            stage.count("Quiet for"),
            stage.count("Nothing fires any more")
        ),
        (1, 1),
        "asked once, which stands until it is over"
    );
    let calls = stage.sandbox.calls();
    let written = |method: &str| calls.iter().filter(|call| call.method == method).count();
    let (posts, updates) = (written("chat.postMessage"), written("chat.update"));
    assert!(posts <= 9 && updates <= 8, "{posts} posts, {updates} edits");
    let told: Vec<String> = stage
        .timeline(1)
        .await
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Alert)
        .map(|entry| entry.text)
        .collect();
    let flaps = "1 alert flaps: it counts as firing until it has not changed for 13s: Flaps";
    assert!(told.iter().any(|text| text == flaps), "{told:?}");
    assert!(told.len() < 12, "{told:?}");
    stage.finish().await;
}

#[tokio::test]
async fn an_alert_that_flaps_is_not_forgotten_when_people_resolve_the_incident_too_early() {
    let alerts = AlertSettings {
        damping: Damping {
            changes: 2,
            ..Damping::default()
        },
        // Nobody looks before the next report.
        quiet: std::time::Duration::from_secs(600),
        ..hasty_without_escalation()
    };
    let stage = stage(alerts).await;
    for n in 0..4 {
        post(&stage, &[nth(n, true)]).await;
        post(&stage, &[nth(n, false)]).await;
    }
    let room = stage.room(1).await;
    resolves(&stage, &room, "resolve it was the cable").await;
    stage.said(&room, "INC-1 is resolved").await;
    let (_, said) = post(&stage, &[nth(5, true)]).await;
    assert_eq!(said, "0 fired, 0 ended, 1 known already\n");
    let room = stage.room(2).await;
    let told = words_of(&stage.said(&room, "1 alert fires for api").await);
    assert!(told.contains("flapping"), "{told}");
    post(&stage, &[nth(5, false)]).await;
    post(&stage, &[nth(6, true)]).await;
    assert_eq!(stage.app.store.incidents(10).await.unwrap().len(), 2);
    stage.finish().await;
}
