//! Restarts.

use std::time::Duration;

use tokio::sync::mpsc;
use treasury_bot::domain::service::{Patience, ReplicaMark, ReplicaOutcome};
use treasury_bot::platform::{PlatformError, ProgressSink};

use crate::contract::{World, intent, marks, quiet, restart, status, within};

pub async fn each_replica_starts_anew_once<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let after = within(60, restart(&world)).await.unwrap();
    assert!(after.is_well() && after.replicas.len() == 2, "{after:?}");
    assert_eq!(world.starts().await, starts + 2);
    let after: Vec<ReplicaMark> = after.replicas.iter().map(ReplicaMark::from).collect();
    let same = |mark: &ReplicaMark| {
        before
            .iter()
            .any(|old| old.id == mark.id && old.started_at == mark.started_at)
    };
    assert!(!after.iter().any(same), "{before:?} {after:?}");
}

pub async fn one_replica_after_another_so_that_the_service_goes_on<W: World>() {
    let world = W::new().await;
    let (sender, mut steps) = mpsc::channel(999);
    let sink = ProgressSink::new(sender);
    let (service, patience, intent) = (world.service(), world.patience(), intent());
    // What a driver finds out once, it does now: below, one of two futures waits for the other.
    assert!(status(&world).await.is_well());
    let after = {
        let restarting = world
            .driver()
            .restart(&service, None, &intent, patience, &sink);
        let mut restarting = std::pin::pin!(restarting);
        loop {
            tokio::select! {
                done = &mut restarting => break done.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    let now = status(&world).await;
                    assert!(now.well() >= 1, "nobody serves: {now:?}");
                }
            }
        }
    };
    assert!(after.is_well());
    drop(sink);
    let mut told = Vec::new();
    while let Some(step) = steps.recv().await {
        told.push(step);
    }
    assert!(told.len() >= 2, "{told:?}");
    assert!(
        told.iter()
            .all(|step| step.done <= step.total && !step.line.is_empty()),
        "{told:?}"
    );
    assert!(
        told.windows(2).all(|pair| pair[0].done <= pair[1].done),
        "{told:?}"
    );
}

pub async fn a_restart_of_none_touches_nothing<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let (service, patience) = (world.service(), world.patience());
    let driver = world.driver();
    driver
        .restart(&service, Some(&[]), &intent(), patience, &quiet())
        .await
        .unwrap();
    assert_eq!(
        (marks(&world).await, world.starts().await),
        (before, starts)
    );
}

pub async fn only_the_replica_asked_for_is_restarted<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let (service, patience) = (world.service(), world.patience());
    let only = [before[1].id.clone()];
    let (intent, sink) = (intent(), quiet());
    let done = world
        .driver()
        .restart(&service, Some(&only), &intent, patience, &sink);
    let done = within(60, done).await.unwrap();
    assert!(done.is_well() && done.replicas.len() == 2, "{done:?}");
    assert_eq!(world.starts().await, starts + 1);
    let after = marks(&world).await;
    assert!(
        after.contains(&before[0]) && !after.contains(&before[1]),
        "{after:?}"
    );
}

pub async fn an_unknown_replica_is_refused_before_any_is_touched<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let (service, patience) = (world.service(), world.patience());
    let only = [before[0].id.clone(), "0".repeat(64)];
    let driver = world.driver();
    let error = driver
        .restart(&service, Some(&only), &intent(), patience, &quiet())
        .await;
    assert!(
        matches!(error, Err(PlatformError::NotFound { .. })),
        "{error:?}"
    );
    assert_eq!(
        (marks(&world).await, world.starts().await),
        (before, starts)
    );
}

pub async fn a_replica_that_ends_again_is_told_with_how_it_ended<W: World>() {
    let world = W::new().await;
    world.crash_new().await;
    let error = within(60, restart(&world)).await.unwrap_err();
    let PlatformError::Unwell { what } = error else {
        panic!("{error:?}");
    };
    assert!(what.contains("code"), "{what}");
}

pub async fn a_replica_that_ends_again_stops_the_restart<W: World>() {
    let world = W::new().await;
    let before = marks(&world).await;
    world.crash_new().await;
    within(60, restart(&world)).await.unwrap_err();
    let after = marks(&world).await;
    let untouched = before.iter().filter(|mark| after.contains(mark)).count();
    assert!(
        untouched >= 1,
        "the rest is left alone: {before:?} {after:?}"
    );
    assert!(status(&world).await.well() >= 1);
}

pub async fn a_restart_that_never_gets_well_is_told_in_time<W: World>() {
    let world = W::new().await;
    world.ail_new().await;
    let patience = Patience {
        stop: Duration::from_secs(1),
        healthy: Duration::from_secs(3),
    };
    let service = world.service();
    let driver = world.driver();
    let (intent, sink) = (intent(), quiet());
    let done = driver.restart(&service, None, &intent, patience, &sink);
    let error = within(20, done).await.unwrap_err();
    let told = matches!(
        error,
        PlatformError::Unwell { .. } | PlatformError::Timeout { .. }
    );
    assert!(told, "{error:?}");
    assert!(
        status(&world).await.well() >= 1,
        "the other one is left alone"
    );
}

pub async fn a_restart_without_an_answer_ends_in_a_timeout<W: World>() {
    let world = W::new().await;
    world.hang().await;
    let patience = Patience {
        stop: Duration::from_secs(1),
        ..world.patience()
    };
    let service = world.service();
    let (intent, sink) = (intent(), quiet());
    let done = world
        .driver()
        .restart(&service, None, &intent, patience, &sink);
    let error = within(60, done).await.unwrap_err();
    assert!(matches!(error, PlatformError::Timeout { .. }), "{error:?}");
}

pub async fn a_denied_restart_touches_nothing<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    world.forbid().await;
    let error = within(10, restart(&world)).await.unwrap_err();
    assert!(matches!(error, PlatformError::Denied { .. }), "{error:?}");
    assert!(
        error.to_string().contains(": "),
        "it names the mend: {error}"
    );
    assert_eq!(
        (marks(&world).await, world.starts().await),
        (before, starts)
    );
}

pub async fn a_service_that_disappears_in_the_middle_ends_the_restart<W: World>() {
    let world = W::new().await;
    let (sender, mut steps) = mpsc::channel(99);
    let sink = ProgressSink::new(sender);
    let (service, patience, intent) = (world.service(), world.patience(), intent());
    let restarting = world
        .driver()
        .restart(&service, None, &intent, patience, &sink);
    let removing = async {
        steps.recv().await.unwrap();
        world.remove_all().await;
    };
    let (done, ()) = within(60, async { tokio::join!(restarting, removing) }).await;
    let error = done.unwrap_err();
    let told = matches!(
        error,
        PlatformError::NotFound { .. } | PlatformError::Unwell { .. }
    );
    assert!(told, "{error:?}");
}

pub async fn a_conflict_is_retried_and_overwrites_nobody<W: World>() {
    let world = W::new().await;
    let starts = world.starts().await;
    world.interfere().await;
    let after = within(60, restart(&world)).await.unwrap();
    assert!(after.is_well() && world.kept().await);
    assert_eq!(world.starts().await, starts + 2);
}

/// Where the platform keeps marks, the driver sees to it; elsewhere it tells that it was done, and
/// the bot's lock does the rest.
pub async fn five_equal_requests_are_one_restart<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let (service, patience, intent, sink) = (world.service(), world.patience(), intent(), quiet());
    let driver = world.driver();
    let request = || driver.restart(&service, None, &intent, patience, &sink);
    if W::MARKS {
        let five = futures_util::future::join_all((0..5).map(|_| request()));
        for done in within(60, five).await {
            assert!(done.unwrap().is_well());
        }
        assert!(request().await.unwrap().is_well());
    } else {
        assert!(request().await.unwrap().is_well());
    }
    assert_eq!(world.starts().await, starts + 2);
    let outcomes = driver
        .restart_outcome(&service, &before, &intent)
        .await
        .unwrap();
    assert_eq!(outcomes, [ReplicaOutcome::Restarted; 2]);
}
