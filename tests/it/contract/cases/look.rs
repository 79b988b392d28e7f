//! Looking on.

use treasury_bot::domain::service::ReplicaState;
use treasury_bot::platform::PlatformError;

use crate::contract::{World, intent, quiet, restart, status, within};
use crate::support::engine::eventually;

pub async fn the_platform_answers<W: World>() {
    let world = W::new().await;
    within(5, world.driver().ping()).await.unwrap();
    assert!(!world.driver().name().is_empty());
}

pub async fn a_service_shows_its_replicas_by_name<W: World>() {
    let world = W::new().await;
    let status = status(&world).await;
    assert!(status.is_well() && status.replicas.len() == 2, "{status:?}");
    let names: Vec<&str> = status
        .replicas
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    for one in &status.replicas {
        assert!(
            one.started_at.is_some() && !one.image.is_empty() && !one.id.is_empty(),
            "{one:?}"
        );
    }
    assert_ne!(status.replicas[0].id, status.replicas[1].id);
}

pub async fn a_service_that_is_not_there_is_told_with_a_mend<W: World>() {
    let world = W::new().await;
    let (driver, absent) = (world.driver(), world.absent());
    let query = super::logs::query();
    let now = jiff::Timestamp::now();
    let patience = world.patience();
    let all = [
        driver.status(&absent).await.err(),
        driver.logs(&absent, &query).await.err(),
        driver.events(&absent, now).await.err(),
        driver
            .restart(&absent, None, &intent(), patience, &quiet())
            .await
            .err(),
        driver.scalable(&absent, 2).await.err(),
        driver.scale(&absent, 2, patience, &quiet()).await.err(),
        driver.versions(&absent).await.err(),
        driver.attachments(&absent).await.err(),
        driver.evidence(&absent).await.err(),
    ];
    for (place, error) in all.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("{place} found it"));
        assert!(
            matches!(error, PlatformError::NotFound { .. }),
            "{place}: {error:?}"
        );
        assert!(
            error.is_refusal() && error.to_string().contains(": "),
            "{place}: {error}"
        );
    }
}

pub async fn a_process_that_ended_is_shown_with_how_it_ended<W: World>() {
    let world = W::new().await;
    world.end_one().await;
    let seen = async || {
        let now = status(&world).await;
        let restarted = now.replicas.iter().any(|one| one.restarts > 0);
        (now.is_well() && restarted).then_some(now)
    };
    let now = eventually("it is counted", seen).await;
    assert!(
        now.replicas
            .iter()
            .all(|one| one.state == ReplicaState::Running)
    );
}

pub async fn a_platform_out_of_reach_is_told_and_found_again<W: World>() {
    let world = W::new().await;
    let service = world.service();
    let starts = world.starts().await;
    world.reach(false).await;
    for error in [
        within(40, world.driver().ping()).await.err(),
        within(40, restart(&world)).await.err(),
        within(40, world.driver().evidence(&service)).await.err(),
    ] {
        let error = error.expect("it is out of reach");
        assert!(
            matches!(error, PlatformError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(!error.is_refusal());
    }
    world.reach(true).await;
    let back = async || world.driver().status(&service).await.ok();
    let now = eventually("it is back", back).await;
    assert!(now.is_well());
    assert_eq!(world.starts().await, starts);
}

pub async fn use_is_told_of_each_running_replica<W: World>() {
    let world = W::new().await;
    let measured = async || {
        let stats = world.driver().stats(&world.service()).await.unwrap();
        (stats.replicas.len() == 2).then_some(stats)
    };
    let stats = eventually("both are measured", measured).await;
    let names: Vec<String> = status(&world)
        .await
        .replicas
        .into_iter()
        .map(|one| one.name)
        .collect();
    for one in &stats.replicas {
        assert!(names.contains(&one.replica), "{one:?}");
        assert!(one.cpu_percent >= 0.0 && one.memory_bytes > 0, "{one:?}");
    }
    let age = jiff::Timestamp::now()
        .duration_since(stats.taken_at)
        .as_secs();
    assert!((-2..60).contains(&age), "{age}");
}

pub async fn use_that_nobody_measures_is_told_so<W: World>() {
    let world = W::new().await;
    world.blind().await;
    let error = world.driver().stats(&world.service()).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unsupported(_)), "{error:?}");
    // The rest goes on.
    assert!(status(&world).await.is_well());
}

pub async fn events_come_oldest_first_and_bounded<W: World>() {
    let world = W::new().await;
    let service = world.service();
    let since = jiff::Timestamp::now();
    restart(&world).await.unwrap();
    let told = async || {
        let events = world.driver().events(&service, since).await.unwrap().list;
        (events.len() >= 2).then_some(events)
    };
    let events = eventually("the restart is told", told).await;
    assert!(events.len() <= 200);
    assert!(
        events.windows(2).all(|pair| pair[0].at <= pair[1].at),
        "{events:?}"
    );
    // Some platforms have whole seconds.
    assert!(
        events
            .iter()
            .all(|one| one.at.as_second() >= since.as_second()),
        "{events:?}"
    );
    assert!(events.iter().all(|one| !one.what.is_empty()));
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    assert_eq!(
        world.driver().events(&service, later).await.unwrap().list,
        []
    );
}
