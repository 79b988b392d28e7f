//! What the server does not say is not known: no zero, and no "well". Each was told wrongly once
//! (`shared/field/data.md`, P1 to P20).

use std::io::Write as _;
use std::net::TcpStream;

use treasury_bot::probe::database::End;
use treasury_bot::probe::{Database, ProbeErrorKind};

use super::{client, connect, probe, root, run, server_of, until, watcher};

on_each_version! {
    a_standby_that_is_cut_off_does_not_know_how_far_behind_it_is,
    prepared_transactions_are_told_by_name_and_hold_up_whom_they_hold_up,
    a_query_that_runs_on_after_it_was_cancelled_is_not_said_to_be_cancelled,
    without_the_right_to_see_others_that_is_said,
    a_slot_that_has_lost_its_log_is_told_as_lost_and_keeps_nothing,
    limits_of_a_database_and_of_a_role_are_told_as_what_they_are,
    a_vacuum_that_runs_is_shown_with_its_phase,
    what_takes_the_room_is_told_of_large_objects_partitions_and_temporary_files,
    what_runs_within_a_function_is_counted_once_or_said_to_be_counted_twice,
    a_standby_that_holds_vacuum_back_is_named,
}

async fn a_standby_that_is_cut_off_does_not_know_how_far_behind_it_is(version: Option<u32>) {
    let primary = server_of(version, &[]).await;
    run(&mut root(&primary).await, "ANALYZE payments").await;
    let standby = primary.standby().await;
    let below = watcher(&standby);
    let streams = until(async || below.summary().await, |s| s.streams_from.is_some()).await;
    assert_eq!(
        (streams.replay_paused, streams.replication_lag_bytes),
        (false, Some(0))
    );
    // These statistics are the primary's alone; what the tables hold is replicated.
    assert_eq!(
        (streams.last_vacuum_at, streams.dead_rows_percent),
        (None, None)
    );
    let tables = below.size().await.unwrap().tables;
    let payments = tables
        .iter()
        .find(|one| one.name == "public.payments")
        .unwrap();
    assert_eq!((payments.rows, payments.dead_percent), (Some(10), None));

    let mut reader = root(&standby).await;
    run(&mut reader, "SELECT pg_wal_replay_pause()").await;
    until(async || below.summary().await, |s| s.replay_paused).await;
    run(&mut reader, "SELECT pg_wal_replay_resume()").await;

    let elsewhere = "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'";
    run(&mut reader, elsewhere).await;
    run(&mut reader, "SELECT pg_reload_conf()").await;
    let cut_off = until(async || below.summary().await, |s| s.streams_from.is_none()).await;
    assert_eq!(cut_off.replication_lag_bytes, None);
    let cut_off = below.replication().await.unwrap();
    assert_eq!(
        (cut_off.replay_lag_bytes, cut_off.replay_lag_ms),
        (None, None)
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn what_only_keeps_the_log_is_no_replica_and_nobody_knows_how_far_behind_it_is() {
    // The program that keeps it is the machine's own, and asks no server that is newer.
    for version in [Some(13), Some(15), None] {
        knows_what_only_keeps_the_log(version).await;
    }
}

async fn knows_what_only_keeps_the_log(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let probe = watcher(&server);
    let _receiver = server.receive_log();
    let streams = |told: &treasury_bot::probe::database::Replication| {
        told.replicas.iter().any(|one| one.state == "streaming")
    };
    let told = until(async || probe.replication().await, streams).await;
    let one = &told.replicas[0];
    assert_eq!((one.applies, one.lag_bytes), (false, None), "{one:?}");
    let summary = probe.summary().await.unwrap();
    assert_eq!((summary.replicas, summary.receivers), (0, 1));
    assert_eq!(summary.replication_lag_bytes, None);
}

async fn prepared_transactions_are_told_by_name_and_hold_up_whom_they_hold_up(
    version: Option<u32>,
) {
    let server = server_of(version, &["max_prepared_transactions=4"]).await;
    let probe = watcher(&server);
    let mut shop = client(&server, "shop", "checkout").await;
    for statement in [
        "BEGIN; UPDATE payments SET card = 'a' WHERE id = 1; PREPARE TRANSACTION 'payroll-2026-11'",
        "BEGIN; UPDATE payments SET card = 'b' WHERE id = 2; PREPARE TRANSACTION 'order-77'",
    ] {
        run(&mut shop, statement).await;
    }
    let mut waiting = Vec::new();
    for statement in [
        "UPDATE payments SET card = 'c' WHERE id = 1",
        "UPDATE payments SET card = 'd' WHERE id = 2",
    ] {
        let mut one = client(&server, "shop", "checkout").await;
        waiting.push(tokio::spawn(async move {
            sqlx::raw_sql(statement).execute(&mut one).await.map(drop)
        }));
    }
    let locks = until(async || probe.locks().await, |locks| locks.blocked == 2).await;
    assert_eq!(locks.roots, Vec::<i32>::new(), "no session is to blame");
    let mut gids: Vec<&str> = locks.prepared.iter().map(|one| one.gid.as_str()).collect();
    gids.sort_unstable();
    assert_eq!(gids, ["order-77", "payroll-2026-11"]);
    let told = &locks.prepared[0];
    assert_eq!(
        (told.owner.as_str(), told.database.as_str()),
        ("shop", "postgres")
    );
    let roots = locks.tree.iter().filter(|one| one.depth == 0);
    let roots: Vec<(i32, &str)> = roots
        .map(|one| (one.session.pid, one.session.application.as_str()))
        .collect();
    assert_eq!(roots.len(), 2, "each holds up one: {roots:?}");
    assert!(
        roots.contains(&(0, "prepared transaction order-77")),
        "{roots:?}"
    );

    let summary = probe.summary().await.unwrap();
    assert_eq!(
        summary.prepared[0].gid, "payroll-2026-11",
        "the oldest first"
    );
    let held = summary.held_back.unwrap();
    assert_eq!(held.by, "prepared transaction payroll-2026-11");

    run(&mut shop, "ROLLBACK PREPARED 'payroll-2026-11'").await;
    run(&mut shop, "COMMIT PREPARED 'order-77'").await;
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    assert_eq!(probe.summary().await.unwrap().prepared, []);
}

/// A client that asks for a hundred megabytes and does not read them.
fn deaf(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let names = b"user\0shop\0database\0postgres\0application_name\0deaf\0\0";
    let mut message = (names.len() as u32 + 8).to_be_bytes().to_vec();
    message.extend(196_608_u32.to_be_bytes());
    message.extend(names);
    let query = b"SELECT repeat('x', 5000000) FROM generate_series(1, 20)\0";
    message.push(b'Q');
    message.extend((query.len() as u32 + 4).to_be_bytes());
    message.extend(query);
    stream.write_all(&message).unwrap();
    stream
}

async fn a_query_that_runs_on_after_it_was_cancelled_is_not_said_to_be_cancelled(
    version: Option<u32>,
) {
    let server = server_of(version, &[]).await;
    let probe = watcher(&server);
    let stream = deaf(server.port());
    let waits = "Client: ClientWrite";
    let stuck = |all: &treasury_bot::probe::database::Connections| {
        let waits = |one: &treasury_bot::probe::database::Session| {
            one.application == "deaf" && one.waits_for.as_deref() == Some(waits)
        };
        all.oldest.iter().any(waits)
    };
    let all = until(async || probe.connections().await, stuck).await;
    let session = all
        .oldest
        .iter()
        .find(|one| one.application == "deaf")
        .unwrap();
    let end = async |how| probe.end(session.pid, session.started_at, how).await;
    let error = end(End::Cancel).await.unwrap_err();
    assert_eq!(error.kind, ProbeErrorKind::Failed);
    let expected = format!(
        "the query of session {} was told to end but runs on (it waits for {waits})",
        session.pid
    );
    assert_eq!(error.what, expected);
    assert!(end(End::Terminate).await.unwrap());
    drop(stream);
}

async fn without_the_right_to_see_others_that_is_said(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let mut shop = client(&server, "shop", "checkout").await;
    run(
        &mut shop,
        "BEGIN; UPDATE payments SET card = 'a' WHERE id = 1",
    )
    .await;
    let blind = probe(&server.url_of("stranger", "postgres"))
        .summary()
        .await
        .unwrap();
    assert_eq!(
        blind.rights_lack.as_deref(),
        Some("GRANT pg_monitor TO stranger")
    );
    assert_eq!(blind.longest_transaction_ms, None);
    let seeing = watcher(&server).summary().await.unwrap();
    assert_eq!(seeing.rights_lack, None);
    assert!(seeing.longest_transaction_ms.is_some());
    assert_eq!(
        (seeing.database_limit, seeing.multixact_percent < 1.0),
        (None, true)
    );
}

async fn a_slot_that_has_lost_its_log_is_told_as_lost_and_keeps_nothing(version: Option<u32>) {
    let server = server_of(
        version,
        &[
            "max_slot_wal_keep_size=1MB",
            "min_wal_size=32MB",
            "max_wal_size=32MB",
        ],
    )
    .await;
    let mut writer = root(&server).await;
    run(
        &mut writer,
        "SELECT pg_create_physical_replication_slot('archive', true)",
    )
    .await;
    let probe = watcher(&server);
    let slots = probe.replication().await.unwrap().slots;
    assert_eq!(
        (slots[0].lost.as_deref(), slots[0].kept_bytes.is_some()),
        (None, true)
    );
    for _ in 0..4 {
        run(&mut writer, "INSERT INTO payments SELECT -id - (SELECT count(*) FROM payments), repeat('x', 500) FROM generate_series(1, 2000) id").await;
        run(&mut writer, "SELECT pg_switch_wal()").await;
    }
    run(&mut writer, "CHECKPOINT").await;
    let told = until(
        async || probe.summary().await,
        |summary| summary.slots[0].lost.is_some(),
    )
    .await;
    // Since 17 the server says why.
    let why = if version >= Some(17) {
        "wal_removed"
    } else {
        "lost"
    };
    assert_eq!(
        (told.slots[0].lost.as_deref(), told.slots[0].kept_bytes),
        (Some(why), None)
    );
}

async fn limits_of_a_database_and_of_a_role_are_told_as_what_they_are(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let mut writer = root(&server).await;
    run(&mut writer, "ALTER DATABASE postgres CONNECTION LIMIT 3").await;
    let probe_of_bot = watcher(&server);
    let summary = probe_of_bot.summary().await.unwrap();
    assert_eq!(summary.database_limit, Some(3));
    assert!(summary.database_used >= 2, "{summary:?}");
    run(&mut writer, "ALTER DATABASE postgres CONNECTION LIMIT 0").await;
    let error = probe(&server.url_of("stranger", "postgres"))
        .summary()
        .await
        .unwrap_err();
    assert_eq!(error.kind, ProbeErrorKind::Full);
    assert!(
        error.what.contains("lets nobody else into the database"),
        "{error}"
    );
    run(
        &mut writer,
        "ALTER DATABASE postgres CONNECTION LIMIT -1; ALTER ROLE stranger CONNECTION LIMIT 0",
    )
    .await;
    let error = probe(&server.url_of("stranger", "postgres"))
        .summary()
        .await
        .unwrap_err();
    assert_eq!(error.kind, ProbeErrorKind::Denied);
    assert!(
        error.hint.contains("ALTER ROLE stranger CONNECTION LIMIT"),
        "{error}"
    );
}

async fn a_vacuum_that_runs_is_shown_with_its_phase(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let mut vacuum = connect(&server.url()).await.unwrap();
    run(&mut vacuum, "INSERT INTO payments SELECT id, repeat('x', 500) FROM generate_series(100, 9000) id; SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1").await;
    let running = tokio::spawn(async move {
        // Ended below.
        let _ = sqlx::raw_sql("VACUUM (FREEZE) payments")
            .execute(&mut vacuum)
            .await;
    });
    let probe = watcher(&server);
    let told = until(
        async || probe.summary().await,
        |told| !told.vacuums.is_empty(),
    )
    .await;
    let one = &told.vacuums[0];
    assert_eq!(
        (one.table.as_str(), one.phase.as_str()),
        ("payments", "scanning heap")
    );
    let session = probe.session(one.pid).await.unwrap();
    // Only a superuser may end a superuser's session, and the advice says so.
    let error = probe
        .end(one.pid, session.started_at, End::Terminate)
        .await
        .unwrap_err();
    assert!(error.hint.contains("only a superuser may"), "{error}");

    // Who waits for it sees how far it is.
    let mut migration = root(&server).await;
    let waiting = tokio::spawn(async move {
        let lock = "BEGIN; LOCK TABLE payments IN SHARE UPDATE EXCLUSIVE MODE";
        let _ = sqlx::raw_sql(lock).execute(&mut migration).await;
    });
    let locks = until(async || probe.locks().await, |locks| locks.blocked == 1).await;
    assert_eq!(
        (&locks.roots, &locks.vacuums[0].table),
        (&vec![one.pid], &one.table)
    );
    assert!(locks.vacuums[0].scanned_percent.is_some(), "{locks:?}");
    waiting.abort();
    running.abort();
}

async fn what_takes_the_room_is_told_of_large_objects_partitions_and_temporary_files(
    version: Option<u32>,
) {
    let server = server_of(version, &["work_mem=64kB"]).await;
    let mut writer = root(&server).await;
    // Random, as the server compresses what it can.
    run(
        &mut writer,
        "SELECT lo_from_bytea(0, (SELECT string_agg(sha256((n || ':' || i)::text::bytea), '')
         FROM generate_series(1, 32768) AS i)) FROM generate_series(1, 12) AS n",
    )
    .await;
    run(
        // What a session has counted is known when it ends.
        &mut root(&server).await,
        "CREATE TABLE ledger (day int, entry text) PARTITION BY RANGE (day);
         CREATE TABLE ledger_01 PARTITION OF ledger FOR VALUES FROM (1) TO (2);
         CREATE TABLE ledger_02 PARTITION OF ledger FOR VALUES FROM (2) TO (3)
         PARTITION BY RANGE (day);
         CREATE TABLE ledger_02a PARTITION OF ledger_02 FOR VALUES FROM (2) TO (3);
         INSERT INTO ledger SELECT 1 + id % 2, repeat('x', 400) FROM generate_series(1, 4000) id",
    )
    .await;
    let probe = watcher(&server);
    let sizes = until(
        async || probe.size().await,
        |sizes| sizes.tables.iter().any(|one| one.rows == Some(4000)),
    )
    .await;
    let names: Vec<&str> = sizes.tables.iter().map(|one| one.name.as_str()).collect();
    let expected = [
        "pg_catalog.pg_largeobject",
        "public.ledger",
        "public.payments",
    ];
    assert_eq!(names, expected);
    assert!(sizes.tables[0].bytes >= 12 << 20, "{:?}", sizes.tables[0]);
    let ledger = &sizes.tables[1];
    let parts: i64 = sqlx::query_scalar(
        "SELECT (pg_total_relation_size('ledger_01') + pg_total_relation_size('ledger_02a'))::bigint",
    )
    .fetch_one(&mut writer)
    .await
    .unwrap();
    assert_eq!((ledger.bytes as i64, ledger.partitions), (parts, 2));

    assert_eq!(sizes.temporary_bytes, Some(0));
    run(
        &mut writer,
        "BEGIN; DECLARE sorted CURSOR FOR SELECT entry FROM ledger ORDER BY entry, day; \
         FETCH 1 FROM sorted",
    )
    .await;
    let sizes = probe.size().await.unwrap();
    assert!(
        sizes.temporary_bytes > Some(1 << 20),
        "{:?}",
        sizes.temporary_bytes
    );
    let stranger = super::probe(&server.url_of("stranger", "postgres"));
    let stranger = stranger.size().await.unwrap();
    assert_eq!((stranger.temporary_bytes, stranger.wal_bytes), (None, None));
}

async fn what_runs_within_a_function_is_counted_once_or_said_to_be_counted_twice(
    version: Option<u32>,
) {
    let settings = [
        "shared_preload_libraries=pg_stat_statements",
        "pg_stat_statements.track=all",
    ];
    let server = server_of(version, &settings).await;
    let mut shop = root(&server).await;
    run(
        &mut shop,
        "CREATE EXTENSION pg_stat_statements;
         CREATE FUNCTION settle() RETURNS void LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(0.3); END $$;
         SELECT pg_stat_statements_reset()",
    )
    .await;
    run(&mut shop, "SELECT settle()").await;
    run(
        &mut shop,
        "SELECT * FROM payments WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8)",
    )
    .await;
    let told = watcher(&server).slow().await.unwrap();
    let of = |part: &str| told.queries.iter().find(|one| one.query.contains(part));
    let call = of("SELECT settle()").unwrap();
    assert_eq!(
        (call.user.as_str(), call.database.as_str()),
        ("treasury", "postgres")
    );
    if version < Some(14) {
        let hint = told.hint.clone().unwrap_or_default();
        assert!(
            hint.contains("counts for itself and for the function"),
            "{hint}"
        );
        assert!(of("pg_sleep").is_some());
    } else {
        assert_eq!(
            (told.hint.as_deref(), of("pg_sleep").is_some()),
            (None, false)
        );
        assert!(call.share_percent > 90.0, "{call:?}");
    }
    let list = &of("FROM payments WHERE id IN").unwrap().query;
    let shown = if version >= Some(18) {
        "IN ($1, …)"
    } else {
        "IN ($1, $2, $3"
    };
    assert!(list.contains(shown), "{list}");
}

async fn a_standby_that_holds_vacuum_back_is_named(version: Option<u32>) {
    let primary = server_of(version, &[]).await;
    let standby = primary.standby().await;
    let mut reader = root(&standby).await;
    run(&mut reader, "ALTER SYSTEM SET hot_standby_feedback = on").await;
    run(
        &mut reader,
        "ALTER SYSTEM SET wal_receiver_status_interval = 1",
    )
    .await;
    run(&mut reader, "SELECT pg_reload_conf()").await;
    let mut long = root(&standby).await;
    run(
        &mut long,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM payments",
    )
    .await;
    let mut writer = root(&primary).await;
    for _ in 0..20 {
        run(&mut writer, "UPDATE payments SET card = 'x' WHERE id = 1").await;
    }
    let probe = watcher(&primary);
    let told = until(
        async || probe.summary().await,
        |told| {
            told.held_back
                .as_ref()
                .is_some_and(|held| held.transactions >= 20)
        },
    )
    .await;
    assert_eq!(told.held_back.unwrap().by, "standby walreceiver");
}
