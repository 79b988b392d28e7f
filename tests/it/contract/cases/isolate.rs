//! Cut off, examined, joined again.

use tokio::sync::mpsc;
use treasury_bot::domain::service::{Attachment, Evidence};
use treasury_bot::platform::{PlatformError, ProgressSink};

use crate::contract::{World, marks, quiet, status, within};
use crate::support::engine::eventually;

/// The ties, as they come back from where the bot records them.
async fn attachments<W: World>(world: &W) -> Vec<Attachment> {
    let attachments = world.driver().attachments(&world.service()).await.unwrap();
    assert!(!attachments.is_empty());
    serde_json::from_str(&serde_json::to_string(&attachments).unwrap()).unwrap()
}

async fn isolate<W: World>(world: &W, attachments: &[Attachment]) {
    let service = world.service();
    let cut = world
        .driver()
        .isolate(&service, attachments, &quiet())
        .await
        .unwrap();
    assert_eq!(cut.replicas.len(), 2);
}

/// Releases the ties; what was told.
async fn release<W: World>(world: &W, attachments: &[Attachment]) -> Vec<String> {
    let (sender, mut steps) = mpsc::channel(99);
    let sink = ProgressSink::new(sender);
    let service = world.service();
    within(60, world.driver().release(&service, attachments, &sink))
        .await
        .unwrap();
    drop(sink);
    let mut told = Vec::new();
    while let Some(step) = steps.recv().await {
        told.push(step.line);
    }
    told
}

async fn until_reached<W: World>(world: &W, wanted: bool) {
    let reached = async || (world.reached().await == wanted).then_some(());
    eventually(&format!("reached: {wanted}"), reached).await;
}

pub async fn evidence_is_of_each_replica_and_without_secrets<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let pieces = within(60, world.driver().evidence(&world.service()))
        .await
        .unwrap();
    for mark in &before {
        let of = |piece: &&Evidence| piece.name.contains(&mark.name);
        assert!(
            pieces.iter().filter(of).count() >= 2,
            "{}: {pieces:?}",
            mark.name
        );
    }
    for piece in &pieces {
        assert!(!piece.text.contains("hunter2"), "{}", piece.name);
        assert!(piece.text.len() <= Evidence::MAX_BYTES);
        assert!(
            !piece.name.contains(['/', '\\']) && piece.name.contains('.'),
            "{}",
            piece.name
        );
    }
    assert_eq!(
        (marks(&world).await, world.starts().await),
        (before, starts)
    );
}

pub async fn nobody_reaches_what_is_cut_off_and_its_processes_go_on<W: World>() {
    let world = W::new().await;
    until_reached(&world, true).await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let attachments = attachments(&world).await;
    isolate(&world, &attachments).await;
    until_reached(&world, false).await;
    assert_eq!(
        world.driver().attachments(&world.service()).await.unwrap(),
        [],
        "nothing is joined"
    );
    assert_eq!(
        (marks(&world).await, world.starts().await),
        (before, starts)
    );
}

pub async fn isolating_again_changes_nothing<W: World>() {
    let world = W::new().await;
    let attachments = attachments(&world).await;
    isolate(&world, &attachments).await;
    until_reached(&world, false).await;
    let (bonds, before) = (world.bonds().await, marks(&world).await);
    isolate(&world, &attachments).await;
    assert_eq!((world.bonds().await, marks(&world).await), (bonds, before));
}

pub async fn what_was_cut_is_joined_again_exactly<W: World>() {
    let world = W::new().await;
    until_reached(&world, true).await;
    let (bonds, before) = (world.bonds().await, marks(&world).await);
    let attachments = attachments(&world).await;
    isolate(&world, &attachments).await;
    until_reached(&world, false).await;
    assert_ne!(world.bonds().await, bonds);
    for _ in 0..2 {
        release(&world, &attachments).await;
        until_reached(&world, true).await;
        let same = async || (world.bonds().await == bonds).then_some(());
        let now = tokio::time::timeout(std::time::Duration::from_secs(5), eventually("", same));
        assert!(now.await.is_ok(), "{}\n{bonds}", world.bonds().await);
        assert_eq!(marks(&world).await, before);
    }
}

pub async fn a_replica_that_is_gone_is_left_out_of_the_release<W: World>() {
    let world = W::new().await;
    let attachments = attachments(&world).await;
    isolate(&world, &attachments).await;
    let gone = world.remove_one().await;
    let name = attachments
        .iter()
        .find(|attachment| attachment.id == gone)
        .map(|attachment| attachment.replica.clone());
    let name = name.unwrap_or_else(|| panic!("no tie of {gone}: {attachments:?}"));
    let told = release(&world, &attachments).await;
    assert!(
        told.iter()
            .any(|line| line.contains(&name) && line.contains("gone")),
        "{told:?}"
    );
    until_reached(&world, true).await;
    assert!(status(&world).await.well() >= 1);
}

pub async fn a_denied_isolation_cuts_nothing<W: World>() {
    let world = W::new().await;
    until_reached(&world, true).await;
    let (attachments, bonds) = (attachments(&world).await, world.bonds().await);
    world.forbid().await;
    let service = world.service();
    let error = world
        .driver()
        .isolate(&service, &attachments, &ProgressSink::none())
        .await;
    assert!(
        matches!(error, Err(PlatformError::Denied { .. })),
        "{error:?}"
    );
    assert!(world.reached().await);
    assert_eq!(world.bonds().await, bonds);
}
