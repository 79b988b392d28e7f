//! The glance, sizes, and the queries that take time.

use treasury_bot::probe::Database;
use treasury_bot::probe::database::{Named, SlowQuery, TableSize};

use super::{client, pid, probe, root, run, server, server_with, until, watcher};

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_glance_tells_what_the_server_is() {
    let server = server().await;
    let summary = watcher(&server).summary().await.unwrap();
    let major: u32 = summary.version.split('.').next().unwrap().parse().unwrap();
    assert!(major >= 12, "{summary:?}");
    let age = jiff::Timestamp::now().duration_since(summary.started_at);
    assert!((0..120).contains(&age.as_secs()), "{age}");
    assert!(summary.primary);
    assert!(summary.size_bytes > 1_000_000);
    assert_eq!((summary.replicas, summary.replication_lag_bytes), (0, None));
    assert!(summary.wraparound_age > 0 && summary.wraparound_percent < 1.0);
    let hits = summary.cache_hit_percent.unwrap();
    assert!((0.0..=100.0).contains(&hits), "{hits}");
    assert_eq!(summary.last_vacuum_at, None);
}

fn table<'a>(tables: &'a [TableSize], name: &str) -> Option<&'a TableSize> {
    tables.iter().find(|table| table.name == name)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_table_with_dead_rows_shows_until_it_is_vacuumed() {
    let server = server().await;
    let probe = watcher(&server);
    let mut root = root(&server).await;
    run(
        &mut root,
        "CREATE TABLE carts (id int PRIMARY KEY, wish text); \
         INSERT INTO carts SELECT id, repeat('x', 500) FROM generate_series(1, 4000) id",
    )
    .await;
    run(&mut root, "DELETE FROM carts WHERE id % 4 <> 0").await;
    let sizes = until(
        async || probe.size().await,
        |sizes| {
            table(&sizes.tables, "public.carts").is_some_and(|carts| carts.dead_percent > Some(0.0))
        },
    )
    .await;
    let carts = &sizes.tables[0];
    assert_eq!(
        (carts.name.as_str(), carts.rows),
        ("public.carts", Some(1000))
    );
    assert!(
        (carts.dead_percent.unwrap() - 75.0).abs() < 0.01,
        "{carts:?}"
    );
    assert!(
        carts.bytes > 2_000_000 && carts.index_bytes > 0,
        "{carts:?}"
    );
    assert!(carts.index_bytes < carts.bytes);
    assert_eq!(carts.last_vacuum_at, None);
    let summary = probe.summary().await.unwrap();
    assert!(summary.dead_rows_percent.unwrap() > 70.0, "{summary:?}");

    run(&mut root, "VACUUM carts").await;
    let summary = until(
        async || probe.summary().await,
        |summary| summary.last_vacuum_at.is_some(),
    )
    .await;
    assert!(summary.dead_rows_percent.unwrap() < 1.0, "{summary:?}");
    let sizes = probe.size().await.unwrap();
    let carts = table(&sizes.tables, "public.carts").unwrap();
    assert!(carts.last_vacuum_at.is_some() && carts.dead_percent == Some(0.0));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn what_the_bot_may_not_see_is_left_out_of_the_sizes() {
    let server = server().await;
    let mut root = root(&server).await;
    run(&mut root, "CREATE DATABASE closed").await;
    run(&mut root, "REVOKE CONNECT ON DATABASE closed FROM public").await;
    let names = |list: &[Named]| {
        let mut names: Vec<String> = list.iter().map(|one| one.name.clone()).collect();
        names.sort();
        names
    };
    let all = watcher(&server).size().await.unwrap();
    assert_eq!(names(&all.databases), ["closed", "postgres", "template1"]);
    assert!(all.wal_bytes.unwrap() >= 16 << 20);
    assert!(all.databases.is_sorted_by(|a, b| a.bytes >= b.bytes));

    let few = probe(&server.url_of("stranger", "postgres"));
    let told = few.size().await.unwrap();
    assert_eq!(names(&told.databases), ["postgres", "template1"]);
    assert_eq!(told.wal_bytes, None);
    assert!(table(&told.tables, "public.payments").is_some());
    // And the connection is fine after the refusal.
    assert_eq!(few.summary().await.unwrap().blocked, 0);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn sizes_are_told_while_a_table_is_locked() {
    let server = server().await;
    let probe = watcher(&server);
    let mut root = root(&server).await;
    run(&mut root, "VACUUM payments").await;
    let before = probe.size().await.unwrap();
    run(
        &mut root,
        "BEGIN; ALTER TABLE payments ADD COLUMN note text; CREATE TABLE fresh (id int)",
    )
    .await;
    let sizes = probe.size().await.unwrap();
    assert!(sizes.databases.iter().any(|one| one.name == "postgres"));
    let payments = table(&sizes.tables, "public.payments").unwrap();
    let exact = table(&before.tables, "public.payments").unwrap();
    assert!(payments.index_bytes > 0 && payments.index_bytes <= exact.index_bytes);
    assert!(payments.bytes > payments.index_bytes, "{payments:?}");
    assert!(payments.bytes <= exact.bytes, "{payments:?} {exact:?}");
}

fn find<'a>(queries: &'a [SlowQuery], part: &str) -> Option<&'a SlowQuery> {
    queries.iter().find(|one| one.query.contains(part))
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn without_statistics_what_runs_is_told_and_how_to_get_them() {
    let server = server().await;
    let probe = watcher(&server);
    let mut report = client(&server, "shop", "report").await;
    let number = pid(&mut report).await;
    let report = tokio::spawn(async move {
        let query = "SELECT pg_sleep(60), 'hunter2'";
        sqlx::query(query).execute(&mut report).await.map(drop)
    });
    let told = until(
        async || probe.slow().await,
        |told| find(&told.queries, "pg_sleep").is_some_and(|one| one.mean_ms > 50.0),
    )
    .await;
    assert!(!told.from_statistics);
    let hint = told.hint.unwrap();
    assert!(
        hint.contains("CREATE EXTENSION pg_stat_statements"),
        "{hint}"
    );
    assert_eq!(told.queries.len(), 1);
    let one = &told.queries[0];
    assert_eq!(one.query, "SELECT pg_sleep(?), ?");
    assert_eq!((one.pid, one.calls), (Some(number), 1));
    assert_eq!(
        (one.user.as_str(), one.share_percent.round()),
        ("shop", 100.0)
    );

    let told = super::probe(&server.url_of("stranger", "postgres"))
        .slow()
        .await
        .unwrap();
    let hint = told.hint.unwrap();
    assert!(hint.contains("GRANT pg_monitor TO stranger"), "{hint}");
    assert!(!format!("{:?}", told.queries).contains("pg_sleep"));
    report.abort();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn statistics_come_from_the_extension_masked() {
    let server = server_with(&["shared_preload_libraries=pg_stat_statements"]).await;
    let probe = watcher(&server);
    let mut root = root(&server).await;
    run(
        &mut root,
        "CREATE SCHEMA \"Stat's\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Stat's\"; \
         GRANT USAGE ON SCHEMA \"Stat's\" TO watcher, stranger; \
         SELECT \"Stat's\".pg_stat_statements_reset()",
    )
    .await;
    // The server itself does not mask what is no query.
    run(&mut root, "ALTER ROLE shop PASSWORD 'hunter2'").await;
    let mut shop = client(&server, "shop", "web").await;
    for _ in 0..3 {
        run(
            &mut shop,
            "SELECT count(*), pg_sleep(0.05) FROM payments WHERE card = 'hunter2'",
        )
        .await;
    }
    let told = probe.slow().await.unwrap();
    assert!(told.from_statistics);
    assert_eq!(told.hint, None);
    let one = &told.queries[0];
    assert!(one.query.contains("FROM payments WHERE card ="), "{told:?}");
    assert_eq!((one.calls, one.user.as_str()), (3, "shop"));
    assert!(one.total_ms >= 150.0 && (one.mean_ms * 3.0 - one.total_ms).abs() < 1.0);
    assert!(one.share_percent > 50.0 && one.share_percent <= 100.0);
    assert_eq!(one.pid, None);
    assert!(find(&told.queries, "ALTER ROLE shop PASSWORD ?").is_some());
    assert!(!format!("{told:?}").contains("hunter2"));

    let told = super::probe(&server.url_of("stranger", "postgres"))
        .slow()
        .await
        .unwrap();
    let hint = told.hint.unwrap();
    assert!(hint.contains("GRANT pg_monitor TO stranger"), "{hint}");
    assert!(find(&told.queries, "payments").is_none());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_extension_that_is_not_loaded_is_told() {
    let server = server().await;
    let probe = watcher(&server);
    run(
        &mut root(&server).await,
        "CREATE EXTENSION pg_stat_statements",
    )
    .await;
    let told = probe.slow().await.unwrap();
    assert!(!told.from_statistics);
    let hint = told.hint.unwrap();
    assert!(hint.contains("shared_preload_libraries"), "{hint}");
}
