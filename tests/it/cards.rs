//! What the card of alerts shows: the worst first, each text once, and what the sender says of it.

use serde_json::json;

use crate::alerts::{alert, hasty_without_escalation, post, stage};
use crate::support::stage::words_of;

#[tokio::test]
async fn of_several_alerts_of_one_name_each_text_is_said_the_worst_first() {
    let stage = stage(hasty_without_escalation()).await;
    let rule = |rule: &str, severity: &str, says: &str| {
        let mut one = alert(
            "DatasourceError",
            &[("service", "api"), ("rule", rule)],
            true,
        );
        one["labels"]["severity"] = json!(severity);
        one["annotations"]["summary"] = json!(says);
        one
    };
    let mut all = vec![
        rule("1", "critical", "PAYMENTS stuck"),
        rule("2", "warning", "chart empty"),
        rule("3", "warning", "chart empty"),
        rule("4", "info", "third rule"),
    ];
    // More of them, but lesser ones.
    all.extend(["1", "2", "3", "4", "5"].map(|n| {
        let mut one = alert("Nuisance", &[("service", "api"), ("n", n)], true);
        one["labels"]["severity"] = json!("warning");
        one
    }));
    post(&stage, &all).await;
    let room = stage.room(1).await;
    let card = words_of(&stage.said(&room, "9 alerts fire for api").await);
    let listed = "🔥 DatasourceError ×4  PAYMENTS stuck; chart empty; third rule";
    assert!(card.contains(listed), "{card}");
    assert!(
        card.find("DatasourceError") < card.find("Nuisance"),
        "{card}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_card_shows_value_labels_and_links_and_the_title_holds_no_figures() {
    let stage = stage(hasty_without_escalation()).await;
    let labels = [("service", "api"), ("host", "db-7"), ("__meta", "noise")];
    let mut full = alert("DiskFull", &labels, true);
    full["annotations"] = json!({
        "summary": "93.4 % of the disk of db-7 are in use",
        "value": "93.4 %",
        "runbook_url": "https://wiki.example/disk-full",
        "dashboard": "not an address",
    });
    full["dashboardURL"] = json!("https://grafana.example/d/1");
    post(&stage, &[full]).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for api").await;
    let words = words_of(&card);
    for part in [
        "93.4 % of the disk of db-7 are in use",
        "Value\n93.4 %",
        "Labels\nhost=db-7",
        "Links\n",
        "wiki.example/disk-full",
        "grafana.example/d/1",
        "prometheus.example/graph",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!words.contains("noise"), "{words}");
    let incident = stage.app.store.incidents(1).await.unwrap().remove(0);
    assert_eq!(incident.title, "api: DiskFull");
    stage.finish().await;
}

#[tokio::test]
async fn a_start_that_is_to_come_is_shown_as_its_senders_and_not_as_since() {
    let stage = stage(hasty_without_escalation()).await;
    let mut ahead = alert("Down", &[("service", "api")], true);
    let start = jiff::Timestamp::now() + std::time::Duration::from_secs(7_200);
    ahead["startsAt"] = json!(start);
    post(&stage, &[ahead]).await;
    let room = stage.room(1).await;
    let card = words_of(&stage.said(&room, "1 alert fires for api").await);
    let second = start.as_second();
    assert!(card.contains("Since, says its sender"), "{card}");
    assert!(card.contains(&format!("<!date^{second}^")), "{card}");
    assert!(card.contains("which is to come"), "{card}");
    let since = card.split("Fires since").nth(1).unwrap();
    assert!(!since.starts_with(&format!("<!date^{second}^")), "{card}");

    // What was known when it began stands on the timeline as data.
    let began = &stage.timeline(1).await;
    let began = began.iter().find(|one| one.text == "1 alert fires: Down");
    assert_eq!(began.unwrap().data["alerts"][0]["value"], "12.5 %");
    stage.finish().await;
}
