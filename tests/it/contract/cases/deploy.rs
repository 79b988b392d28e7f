//! Versions, and the way from one to another.

use tokio::sync::mpsc;
use treasury_bot::domain::service::{ServiceStatus, Version};
use treasury_bot::platform::{PlatformError, ProgressSink};

use crate::contract::{World, deploy, marks, status, version, within};

async fn versions<W: World>(world: &W) -> Vec<Version> {
    world.driver().versions(&world.service()).await.unwrap()
}

fn runs(status: &ServiceStatus, image: &str) -> bool {
    status
        .replicas
        .iter()
        .all(|one| one.image == image || one.image.ends_with(image))
}

pub async fn the_present_version_comes_first<W: World>() {
    let world = W::new().await;
    let versions = versions(&world).await;
    assert!((1..=10).contains(&versions.len()), "{versions:?}");
    assert!(
        runs(&status(&world).await, &versions[0].image),
        "{versions:?}"
    );
    let mut ids: Vec<&str> = versions.iter().map(|one| one.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), versions.len(), "each once");
}

pub async fn another_image_comes_to_all_and_is_remembered<W: World>() {
    let world = W::new().await;
    let before = versions(&world).await;
    let [good, _] = world.images().await;
    let next = version(&world, &good).await;
    let done = within(90, deploy(&world, &next)).await.unwrap();
    assert!(
        done.is_well() && done.replicas.len() == 2 && runs(&done, &next.image),
        "{done:?}"
    );
    let after = versions(&world).await;
    assert_eq!(after[0].image, next.image);
    assert_eq!(after[1].image, before[0].image);
}

pub async fn the_same_deployment_again_changes_nothing<W: World>() {
    let world = W::new().await;
    let [good, _] = world.images().await;
    let next = version(&world, &good).await;
    within(90, deploy(&world, &next)).await.unwrap();
    let before = (
        marks(&world).await,
        world.starts().await,
        versions(&world).await,
    );
    let again = within(30, deploy(&world, &next)).await.unwrap();
    assert!(again.is_well());
    let after = (
        marks(&world).await,
        world.starts().await,
        versions(&world).await,
    );
    assert_eq!(after, before);
}

pub async fn a_bad_deployment_is_put_back<W: World>() {
    let world = W::new().await;
    let before = status(&world).await.replicas[0].image.clone();
    let [_, bad] = world.images().await;
    let bad = version(&world, &bad).await;
    let error = within(120, deploy(&world, &bad)).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unwell { .. }), "{error:?}");
    let now = status(&world).await;
    assert!(
        now.is_well() && now.replicas.len() == 2 && runs(&now, &before),
        "{now:?}"
    );
    assert_eq!(versions(&world).await[0].image, before);
}

pub async fn a_deployment_that_was_interrupted_can_be_called_again<W: World>() {
    let world = W::new().await;
    let [good, _] = world.images().await;
    let next = version(&world, &good).await;
    let (sender, mut steps) = mpsc::channel(99);
    let sink = ProgressSink::new(sender);
    let (service, patience) = (world.service(), world.patience());
    {
        let deploying = world.driver().deploy(&service, &next, patience, &sink);
        tokio::select! {
            done = deploying => panic!("it told nothing: {done:?}"),
            step = steps.recv() => drop(step),
        }
    }
    let done = within(90, deploy(&world, &next)).await.unwrap();
    assert!(
        done.is_well() && done.replicas.len() == 2 && runs(&done, &next.image),
        "{done:?}"
    );
}

pub async fn an_image_that_is_not_there_is_refused<W: World>() {
    let world = W::new().await;
    let service = world.service();
    let error = world
        .driver()
        .deployable(&service, "nowhere:1")
        .await
        .unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("nowhere:1"),
        "{error:?}"
    );
}

pub async fn a_denied_deployment_touches_nothing<W: World>() {
    let world = W::new().await;
    let [good, _] = world.images().await;
    let next = version(&world, &good).await;
    let before = marks(&world).await;
    world.forbid().await;
    let error = within(20, deploy(&world, &next)).await.unwrap_err();
    assert!(matches!(error, PlatformError::Denied { .. }), "{error:?}");
    assert_eq!(marks(&world).await, before);
}

pub async fn the_way_back_is_a_deployment_too<W: World>() {
    let world = W::new().await;
    let [good, _] = world.images().await;
    let next = version(&world, &good).await;
    within(90, deploy(&world, &next)).await.unwrap();
    let former = versions(&world).await[1].clone();
    let back = within(90, deploy(&world, &former)).await.unwrap();
    assert!(back.is_well() && runs(&back, &former.image), "{back:?}");
    let after = versions(&world).await;
    assert_eq!(
        (&after[0].image, &after[1].image),
        (&former.image, &next.image)
    );
}
