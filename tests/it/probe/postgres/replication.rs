//! A primary and its standby.

use treasury_bot::probe::Database;

use super::{root, run, server, until, watcher};

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_standby_that_lags_is_seen_from_both_sides() {
    let primary = server().await;
    let mut writer = root(&primary).await;
    run(
        &mut writer,
        "SELECT pg_create_physical_replication_slot('left_behind', true)",
    )
    .await;
    let standby = primary.standby().await;
    let (above, below) = (watcher(&primary), watcher(&standby));
    let caught_up = until(
        async || below.replication().await,
        |told| told.streams_from.is_some() && told.replay_lag_bytes == Some(0),
    )
    .await;
    assert!(!caught_up.primary);
    let port = primary.port();
    assert_eq!(caught_up.streams_from, Some(format!("127.0.0.1:{port}")));
    assert_eq!(caught_up.replay_lag_ms, None);

    run(&mut writer, "INSERT INTO payments VALUES (99, 'x')").await;
    let mut reader = root(&standby).await;
    let applied = async || {
        let found = sqlx::query("SELECT FROM payments WHERE id = 99");
        Ok(found.fetch_all(&mut reader).await.unwrap().len())
    };
    until(applied, |rows| *rows == 1).await;

    // The standby receives and does not apply.
    run(&mut reader, "SELECT pg_wal_replay_pause()").await;
    run(
        &mut writer,
        "INSERT INTO payments SELECT id, repeat('x', 500) FROM generate_series(100, 2000) id",
    )
    .await;
    let seen = until(
        async || above.replication().await,
        |told| {
            told.replicas
                .first()
                .is_some_and(|one| one.lag_bytes > Some(500_000))
        },
    )
    .await;
    assert!(seen.primary);
    assert_eq!((seen.streams_from, seen.replay_lag_bytes), (None, None));
    let replica = &seen.replicas[0];
    assert_eq!(
        (replica.client.as_str(), replica.sync.as_str()),
        ("127.0.0.1", "async")
    );
    let slot = seen.slots.iter().find(|slot| slot.name == "left_behind");
    let slot = slot.unwrap();
    assert!(!slot.active && slot.kept_bytes.unwrap() > 500_000);
    let lags = until(
        async || below.replication().await,
        |told| told.replay_lag_bytes.is_some_and(|bytes| bytes > 500_000),
    )
    .await;
    assert!(lags.replay_lag_ms.is_some());

    let summary = above.summary().await.unwrap();
    assert!(summary.primary);
    assert_eq!(summary.replicas, 1);
    assert!(summary.replication_lag_bytes.unwrap() > 500_000);
    let summary = below.summary().await.unwrap();
    assert!(!summary.primary);
    assert!(summary.replication_lag_bytes.unwrap() > 500_000);

    // All else answers on a standby as well.
    below.connections().await.unwrap();
    below.locks().await.unwrap();
    below.slow().await.unwrap();
    below.size().await.unwrap();

    run(&mut reader, "SELECT pg_wal_replay_resume()").await;
    let even = until(
        async || below.replication().await,
        |told| told.replay_lag_bytes == Some(0),
    )
    .await;
    assert_eq!(even.replay_lag_ms, None);
    until(
        async || above.replication().await,
        |told| told.replicas[0].lag_bytes == Some(0),
    )
    .await;

    // A primary that is gone: the standby answers, and streams from nobody.
    drop(writer);
    drop(primary);
    let alone = until(
        async || below.replication().await,
        |told| told.streams_from.is_none(),
    )
    .await;
    assert!(!alone.primary);
}
