//! Incidents: from declared to closed, where they are worked on, and what is exported of them.

use std::time::Duration;

use treasury_bot::domain::timeline::verify;
use treasury_bot::domain::{IncidentId, Stream};
use treasury_bot::sandbox::slack::Fault;

use crate::support::stage::{HOME, Scenery, Stage, words_of};

#[tokio::test]
async fn an_incident_lives_in_its_channel_from_declared_to_closed() {
    let stage = Stage::new().await;
    stage
        .ana("incident declare Payments are stuck --severity SEV1 --service api")
        .await;
    let room = stage.room(1).await;
    let header = stage.said(&room, "INC-1: Payments are stuck").await;
    stage.said(HOME, "INC-1 SEV1: Payments are stuck").await;

    // In its channel no id is needed.
    let say = |words: &'static str| stage.types("ana", &room, words);
    say("note it's \"odd\"\nsecond line").await;
    stage.said(&room, "it's \"odd\"\nsecond line").await;
    say("incident severity SEV2").await;
    stage.said(&room, "INC-1 is now SEV2 (was SEV1)").await;
    say("incident assign commander @ben").await;
    stage.said(&room, "is commander").await;
    say("mitigate rolled back").await;
    stage.said(&room, "INC-1 is mitigated").await;
    say("close").await;
    stage
        .said(&room, "from there it can't go straight to closed")
        .await;
    say("resolve bad release").await;
    stage.said(&room, "INC-1 is resolved").await;
    say("close").await;
    stage.said(&room, "INC-1 is closed").await;
    say("note too late").await;
    stage.said(&room, "is closed: nothing more is added").await;
    let header = stage.becomes(&header, "closed").await;
    assert!(
        words_of(&header).contains("SEV2"),
        "the header shows how it stands"
    );

    let timeline = stage.timeline(1).await;
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "declared", "note", "severity", "assigned", "status", "status", "status"
        ]
    );
    verify(&Stream::Incident(IncidentId(1)), &timeline).unwrap();
    stage.quiet().await;
    stage.finish().await;
}

#[tokio::test]
async fn without_channels_an_incident_is_a_thread_and_without_the_right_too() {
    for own_channels in [false, true] {
        let stage = Stage::set(Scenery {
            incident_channels: own_channels,
            ..Scenery::default()
        })
        .await;
        if own_channels {
            let denied = Fault::ApiError("restricted_action".into());
            stage
                .sandbox
                .faults()
                .next("conversations.create", 99, denied);
        }
        stage.ana("incident declare Slow").await;
        let root = stage.said(HOME, "INC-1 SEV3: Slow").await;
        let header = stage.said(HOME, "INC-1: Slow").await;
        assert_eq!(header.thread_ts.as_deref(), Some(root.ts.as_str()));
        // A mention in that thread means that incident.
        let ana = stage.person("ana");
        ana.says(HOME, "<@UTREASURYBOT> note seen here", Some(&root.ts))
            .await
            .unwrap();
        let note = stage.said(HOME, "seen here").await;
        assert_eq!(note.thread_ts.as_deref(), Some(root.ts.as_str()));
        stage.finish().await;
    }
}

#[tokio::test]
async fn exports_arrive_as_files_and_verify() {
    let stage = Stage::new().await;
    stage.ana("incident declare Slow").await;
    let room = stage.room(1).await;
    for format in ["md", "json", "csv"] {
        stage
            .types("ana", &room, &format!("export --format {format}"))
            .await;
        let end = format!(".{format}");
        let file = stage
            .sandbox
            .wait_for(Duration::from_secs(20), |workspace| {
                let mut files = workspace.files.iter();
                files
                    .find(|f| f.is_complete() && f.name.ends_with(&end))
                    .cloned()
            })
            .await
            .unwrap();
        assert!(!file.content.is_empty());
        if format == "json" {
            let verified = treasury_bot::report::verify_export(&file.content).unwrap();
            assert_eq!(verified.entries, 1);
        }
    }
    stage.finish().await;
}
