//! A storm under Slack's own limits: the worst is said first.

use std::time::Duration;

use crate::domain::{
    Content, Destination, IncidentId, Message, Outgoing, Person, Severity, Tone, announcement_key,
};
use crate::sandbox::slack::Fault;
use crate::slack::tests::{Bench, in_channel, message};
use crate::store::{NewIncident, StoreError, Tx};

const CHANNEL: &str = "#treasury-incidents";

/// An incident with all that is said when it begins, and the ask for somebody.
async fn begins(tx: &mut Tx, severity: Severity, title: &str) -> Result<IncidentId, StoreError> {
    let new = NewIncident {
        title: title.into(),
        severity,
        services: Vec::new(),
        declared_by: Person::bot(),
    };
    let id = tx.incident_insert(new).await?.id;
    let said = |what: &str| Message::new(Tone::Bad, format!("{severity} {what} {title}"));
    let home = Destination::Home;
    let room = Content::Room {
        incident: id,
        name: Some(format!("inc-{}", id.0)),
        topic: String::new(),
    };
    let there = Destination::Incident(id);
    let empty = || Outgoing::announcement(format!("room:{id}"), there.clone(), said(""));
    let header = Outgoing::announcement(format!("header:{id}"), there.clone(), said("header"));
    let ask = Outgoing::announcement(format!("ask:{id}"), home.clone(), said("ask"));
    for outgoing in [
        Outgoing::announcement(announcement_key(id), home, said("announced")),
        empty().with(room),
        header,
        ask,
    ] {
        tx.outbox_put(&outgoing.urgent(severity)).await?;
    }
    Ok(id)
}

#[tokio::test]
async fn of_forty_one_incidents_the_worst_is_told_and_asked_about_first() {
    let bench = Bench::start().await;
    bench.sandbox.faults().slacks_limits();
    let worst = bench.store.write::<_, StoreError, _>(|tx| {
        Box::pin(async move {
            for n in 0..40 {
                begins(tx, Severity::Sev3, &format!("warning {n}")).await?;
            }
            begins(tx, Severity::Sev1, "critical").await
        })
    });
    let worst = worst.await.unwrap();
    let said = bench.said(CHANNEL, |said| said.len() >= 5).await;
    // The announcement says so in its newest words: with the room it already has, perhaps.
    let is_announced = said[0].contains("SEV1") && said[0].contains("critical");
    assert!(
        is_announced && said[1] == "❌ SEV1 ask critical",
        "{said:?}"
    );
    assert!(said[2].contains("warning 0"), "{said:?}");
    // It has its room, too, though only twenty can be made in this minute.
    let room = format!("inc-{}", worst.0);
    let header = bench.said(&room, |said| !said.is_empty()).await;
    assert_eq!(header, ["❌ SEV1 header critical"]);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_worse_overtakes_what_waits_for_slack() {
    let bench = Bench::start().await;
    let faults = bench.sandbox.faults();
    faults.limit("chat.postMessage", 1, Duration::from_secs(1), true);
    faults.limit("conversations.create", 1, Duration::from_secs(30), false);
    let lesser = bench.store.write::<_, StoreError, _>(|tx| {
        Box::pin(async move {
            for n in 0..4 {
                begins(tx, Severity::Sev4, &format!("nuisance {n}")).await?;
            }
            Ok(())
        })
    });
    lesser.await.unwrap();
    bench.said(CHANNEL, |said| !said.is_empty()).await;
    let worse = bench.store.write::<_, StoreError, _>(|tx| {
        Box::pin(async move { begins(tx, Severity::Sev2, "outage").await })
    });
    worse.await.unwrap();
    let said = bench.said(CHANNEL, |said| said.len() >= 5).await;
    let at = |words: &str| said.iter().position(|said| said.contains(words));
    // One may have been on its way.
    assert!(at("announced outage").unwrap() <= 2, "{said:?}");
    assert!(at("ask outage").unwrap() <= 3, "{said:?}");
    bench.stop().await;
}

#[tokio::test]
async fn edits_that_slack_limits_hold_up_nothing_new() {
    let bench = Bench::start().await;
    let to = || in_channel(CHANNEL);
    bench.put("old", to(), message(Tone::Plain, "before")).await;
    bench.until_empty().await;
    let limited = Fault::RateLimited { retry_after_s: 3 };
    bench.sandbox.faults().next("chat.update", 1, limited);
    bench.put("old", to(), message(Tone::Plain, "after")).await;
    bench.put("new", to(), message(Tone::Plain, "new")).await;
    let said = bench.said(CHANNEL, |said| said.len() == 2).await;
    assert_eq!(said, ["before", "new"]);
    bench.until_empty().await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["after", "new"]);
    bench.stop().await;
}
