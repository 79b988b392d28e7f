//! What the bot has seen of a service before anybody came, in the chat and as data on the timeline.

use std::time::Duration;

use serde_json::{Value, json};
use treasury_bot::domain::alert::Auto;
use treasury_bot::sandbox::stack::Fault;

use crate::alerts::{alert, hasty_without_escalation, post};
use crate::support::stage::{Scenery, Stage, words_of};

/// A first look at the api after these faults: its words, and its data on the timeline.
async fn looked_at(faults: &[Fault]) -> (Stage, String, Value) {
    let mut alerts = hasty_without_escalation();
    alerts.routes.auto = Auto::Diagnose;
    let stage = Stage::set(Scenery {
        alerts,
        ..Scenery::default()
    })
    .await;
    for fault in faults {
        stage.stack.put_in(*fault, None).unwrap();
    }
    stage.stack.advance(Duration::from_secs(60));
    post(&stage, &[alert("ApiIll", &[("service", "api")], true)]).await;
    let room = stage.room(1).await;
    let words = words_of(&stage.said(&room, "A first look at api").await);
    let entries = stage.timeline(1).await;
    let look = entries
        .iter()
        .find(|one| one.text.starts_with("a first look: "));
    let look = look.unwrap_or_else(|| panic!("{entries:#?}"));
    assert!(look.data.to_string().len() < 20_000, "{}", look.data);
    let data = look.data["first_look"].clone();
    (stage, words, data)
}

#[tokio::test]
async fn a_deployment_from_outside_is_pointed_at_and_errors_are_counted_by_their_kind() {
    let (stage, words, data) = looked_at(&[Fault::BadDeploy]).await;
    for part in [
        "Image ghcr.io/treasury/api:1.9.0-rc1 for ",
        "; before: ghcr.io/treasury/api:1.8.3",
        "another image within the last hour, not by the bot",
        "Newest errors in the log of the last 15 min:",
        " ×",
        "Nothing was changed by the bot in the last hour",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(data["image"]["former"], "ghcr.io/treasury/api:1.8.3");
    assert_eq!(data["replicas"]["total_replicas"], 2);
    assert!(!data["figures"]["memory_percent"].is_null(), "{data}");
    let errors = data["errors"].as_array().unwrap();
    let kind = |text: &str| {
        let is_it = |one: &&Value| one["text"].as_str().unwrap().contains(text);
        errors.iter().filter(is_it).collect::<Vec<_>>()
    };
    let same = kind("TypeError: Cannot read properties");
    let [one] = same.as_slice() else {
        panic!("{data}");
    };
    assert!(
        one["count"].as_u64() > Some(1) && errors.len() <= 8,
        "{data}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_replica_that_died_has_its_last_words_told() {
    let (stage, words, data) = looked_at(&[Fault::CrashLoop]).await;
    assert!(words.contains("Last words of treasury-api-"), "{words}");
    assert!(words.contains("exit code 1"), "{words}");
    let dead = data["last_words"].as_array().unwrap();
    let lines = dead.iter().filter_map(|one| one["lines"].as_array());
    assert!(lines.flatten().count() > 0, "{data}");
    assert_ne!(data["last_words"], json!([]));
    stage.finish().await;
}
