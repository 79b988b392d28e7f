//! Routes with a channel of their own.

use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::alert::{Matcher, Route};

use crate::alerts::{alert, hasty, hasty_without_escalation, post};
use crate::support::stage::{HOME, Scenery, Stage, words_of};

fn to_channel(channel: &str, alerts: AlertSettings) -> AlertSettings {
    let mut alerts = alerts;
    alerts.routes.routes = vec![Route {
        matchers: vec![Matcher::parse("service=\"api\"").unwrap()],
        team: Some("payments".into()),
        channel: Some(channel.into()),
        ..Route::default()
    }];
    alerts
}

async fn stage(alerts: AlertSettings, incident_channels: bool) -> Stage {
    Stage::set(Scenery {
        incident_channels,
        alerts,
        ..Scenery::default()
    })
    .await
}

#[tokio::test]
async fn a_teams_alerts_are_told_in_its_channel() {
    let stage = stage(to_channel("#general", hasty()), true).await;
    let mut lesser = alert("Odd", &[("service", "api")], true);
    lesser["labels"]["severity"] = "info".into();
    post(&stage, &[lesser]).await;
    let told = stage.said("#general", "1 alert fires for api").await;
    let words = words_of(&told);
    assert!(
        words.contains("payments") && words.contains("Declare incident"),
        "{words}"
    );

    post(&stage, &[alert("Down", &[("service", "frontend")], true)]).await;
    stage.said(HOME, "INC-1 SEV2").await;
    // A bad one declares an incident, though a lesser one is told already.
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    stage.said("#general", "INC-2 SEV2").await;
    stage.finish().await;
}

#[tokio::test]
async fn its_incident_is_announced_there_and_its_people_are_asked_there() {
    let stage = stage(to_channel("#general", hasty()), false).await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    let announced = stage.said("#general", "INC-1 SEV2").await;
    stage.said("#general", "please acknowledge").await;
    // Without channels of their own, incidents are worked on in a thread below.
    let told = stage.said("#general", "1 alert fires for api").await;
    assert_eq!(told.thread_ts.as_ref(), Some(&announced.ts));
    stage.quiet().await;
    assert_eq!(
        stage
            .sandbox
            .look(|w| w.channel(HOME).unwrap().messages.len()),
        0
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_channel_that_is_not_there_is_said_in_the_main_one() {
    let stage = stage(to_channel("#nowhere", hasty_without_escalation()), true).await;
    let mut lesser = alert("Odd", &[("service", "api")], true);
    lesser["labels"]["severity"] = "info".into();
    post(&stage, &[lesser.clone()]).await;
    let told = stage.said(HOME, "1 alert fires for api").await;
    let why = "Meant for #nowhere, where it can't be posted (channel_not_found)";
    assert!(words_of(&told).contains(why), "{}", words_of(&told));
    lesser["status"] = "resolved".into();
    post(&stage, &[lesser]).await;
    let told = stage.becomes(&told, "1 alert is over for api").await;
    assert!(
        words_of(&told).contains(why),
        "an edit says it too: {}",
        words_of(&told)
    );
    stage.said(HOME, "Quiet for").await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    let announced = stage.said(HOME, "INC-1 SEV2").await;
    assert!(
        words_of(&announced).contains(why),
        "{}",
        words_of(&announced)
    );
    stage.finish().await;
}
