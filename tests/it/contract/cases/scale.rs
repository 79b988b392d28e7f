//! More and fewer replicas.

use treasury_bot::platform::PlatformError;

use crate::contract::{World, marks, quiet, scale, status, within};

pub async fn more_replicas_are_made_and_get_well<W: World>() {
    let world = W::new().await;
    let before = marks(&world).await;
    world.driver().scalable(&world.service(), 3).await.unwrap();
    let three = within(60, scale(&world, 3)).await.unwrap();
    assert!(three.is_well() && three.replicas.len() == 3, "{three:?}");
    let after = marks(&world).await;
    assert!(
        before.iter().all(|mark| after.contains(mark)),
        "the others are left alone"
    );
    assert_eq!(status(&world).await.replicas.len(), 3);
}

pub async fn fewer_replicas_are_the_former_ones<W: World>() {
    let world = W::new().await;
    let mut before = marks(&world).await;
    within(60, scale(&world, 3)).await.unwrap();
    let two = within(60, scale(&world, 2)).await.unwrap();
    assert!(two.is_well(), "{two:?}");
    let mut after = marks(&world).await;
    before.sort_by(|a, b| a.id.cmp(&b.id));
    after.sort_by(|a, b| a.id.cmp(&b.id));
    if W::CHOOSES {
        assert_eq!(after, before, "the newest went");
    } else {
        let left = after.iter().filter(|mark| before.contains(mark)).count();
        assert!(after.len() == 2 && left >= 1, "{before:?} {after:?}");
    }
}

pub async fn the_same_number_changes_nothing<W: World>() {
    let world = W::new().await;
    let (before, starts) = (marks(&world).await, world.starts().await);
    let same = within(20, scale(&world, 2)).await.unwrap();
    assert_eq!(same.replicas.len(), 2);
    assert_eq!(
        (marks(&world).await, world.starts().await),
        (before, starts)
    );
}

pub async fn a_number_that_can_not_be_is_refused<W: World>() {
    let world = W::new().await;
    let (service, replicas) = world.unscalable().await;
    let driver = world.driver();
    let asked = driver.scalable(&service, replicas).await.unwrap_err();
    let done = driver
        .scale(&service, replicas, world.patience(), &quiet())
        .await;
    for error in [asked, done.unwrap_err()] {
        assert!(matches!(error, PlatformError::Unsupported(_)), "{error:?}");
        assert!(
            error.is_refusal() && error.to_string().len() > 20,
            "{error}"
        );
    }
}

pub async fn new_replicas_that_fail_leave_the_others_well<W: World>() {
    let world = W::new().await;
    let before = marks(&world).await;
    world.crash_new().await;
    let error = within(60, scale(&world, 3)).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unwell { .. }), "{error:?}");
    let after = marks(&world).await;
    assert!(
        before.iter().all(|mark| after.contains(mark)),
        "{before:?} {after:?}"
    );
    assert_eq!(status(&world).await.well(), 2);
}

pub async fn a_denied_scale_changes_nothing<W: World>() {
    let world = W::new().await;
    let before = marks(&world).await;
    world.forbid().await;
    let error = within(10, scale(&world, 3)).await.unwrap_err();
    assert!(matches!(error, PlatformError::Denied { .. }), "{error:?}");
    assert_eq!(marks(&world).await, before);
}
