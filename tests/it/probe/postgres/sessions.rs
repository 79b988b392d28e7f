//! Looking at sessions, and ending them.

use jiff::SignedDuration;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use treasury_bot::probe::database::{End, Session};
use treasury_bot::probe::postgres::Postgres;
use treasury_bot::probe::{Database, ProbeErrorKind};

use super::{client, pid, probe, root, run, server, until, watcher};

/// Sleeps, in the server, and gives the SQLSTATE of how that ended.
fn sleep(mut client: PgConnection) -> JoinHandle<(PgConnection, String)> {
    tokio::spawn(async move {
        let slept = sqlx::query("SELECT pg_sleep(60)")
            .execute(&mut client)
            .await;
        let error = slept.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        (client, code.unwrap_or_default().into_owned())
    })
}

async fn active(probe: &Postgres, pid: i32) -> Session {
    until(
        async || probe.session(pid).await,
        |one| one.state == "active",
    )
    .await
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_cancel_stops_the_query_and_leaves_the_session() {
    let server = server().await;
    let probe = watcher(&server);
    let mut report = client(&server, "shop", "report").await;
    let pid = pid(&mut report).await;
    let report = sleep(report);
    let session = active(&probe, pid).await;
    assert_eq!(session.query, "SELECT pg_sleep(?)");
    assert_eq!(
        (session.application.as_str(), session.database.as_str()),
        ("report", "postgres")
    );
    assert!(session.client.starts_with("127.0.0.1:"), "{session:?}");
    assert!(!session.own);

    let cancel = async || probe.end(pid, session.started_at, End::Cancel).await;
    assert!(cancel().await.unwrap());
    let (mut report, code) = report.await.unwrap();
    assert_eq!(code, "57014");
    report.ping().await.unwrap();
    // It runs nothing any more.
    until(async || probe.session(pid).await, |one| one.state == "idle").await;
    assert!(!cancel().await.unwrap());
    report.ping().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_terminate_ends_the_session_once() {
    let server = server().await;
    let probe = watcher(&server);
    let mut report = client(&server, "shop", "report").await;
    let pid = pid(&mut report).await;
    let report = sleep(report);
    let session = active(&probe, pid).await;

    let terminate = async || probe.end(pid, session.started_at, End::Terminate).await;
    assert!(terminate().await.unwrap());
    let gone = probe.session(pid).await.unwrap_err();
    assert_eq!(gone.kind, ProbeErrorKind::NotFound);
    assert_eq!(report.await.unwrap().1, "57P01");
    assert!(!terminate().await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_number_that_is_used_again_means_another_session() {
    let server = server().await;
    let probe = watcher(&server);
    let mut report = client(&server, "shop", "report").await;
    let pid = pid(&mut report).await;
    let report = sleep(report);
    let session = active(&probe, pid).await;
    for earlier in [1, 1_000_000] {
        let started_at = session.started_at - SignedDuration::from_micros(earlier);
        for how in [End::Cancel, End::Terminate] {
            assert!(!probe.end(pid, started_at, how).await.unwrap());
        }
    }
    assert_eq!(active(&probe, pid).await.started_at, session.started_at);
    assert!(!report.is_finished());
    report.abort();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_bots_own_sessions_and_the_servers_are_not_ended() {
    let server = server().await;
    let probe = watcher(&server);
    let other = watcher(&server);
    other.summary().await.unwrap();
    let connections = probe.connections().await.unwrap();
    let own: Vec<Session> = connections.oldest.into_iter().filter(|s| s.own).collect();
    assert_eq!(own.len(), 2, "{own:?}");
    let standby = server.standby().await;
    let mut root = root(&server).await;
    let inner: Vec<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity WHERE backend_type IN ('walsender', 'checkpointer')",
    )
    .fetch_all(&mut root)
    .await
    .unwrap();
    assert_eq!(inner.len(), 2);
    let numbers = own.iter().map(|session| session.pid).chain(inner.clone());
    for number in numbers {
        let session = probe.session(number).await.unwrap();
        for how in [End::Cancel, End::Terminate] {
            let refused = probe.end(number, session.started_at, how).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind, ProbeErrorKind::Unsupported, "{session:?}");
            assert!(refused.is_refusal());
        }
        assert_eq!(
            probe.session(number).await.unwrap().started_at,
            session.started_at
        );
    }
    drop(standby);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn without_the_right_to_end_the_mend_is_told() {
    let server = server().await;
    let mut root = root(&server).await;
    run(&mut root, "GRANT pg_monitor TO stranger").await;
    let looks = probe(&server.url_of("stranger", "postgres"));
    let mut report = client(&server, "shop", "report").await;
    let number = pid(&mut report).await;
    let report = sleep(report);
    let session = active(&looks, number).await;
    let denied = looks.end(number, session.started_at, End::Cancel).await;
    let denied = denied.unwrap_err();
    assert_eq!(denied.kind, ProbeErrorKind::Denied);
    assert!(denied.hint.contains("pg_signal_backend TO stranger"));
    assert!(!report.is_finished());

    // Not even that right reaches a superuser's session.
    let number = pid(&mut root).await;
    let sleeping = sleep(root);
    let probe = watcher(&server);
    let session = active(&probe, number).await;
    let denied = probe.end(number, session.started_at, End::Terminate).await;
    let denied = denied.unwrap_err();
    assert_eq!(denied.kind, ProbeErrorKind::Denied);
    assert!(denied.hint.contains("superuser"), "{denied}");
    assert!(!sleeping.is_finished());
    report.abort();
    sleeping.abort();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn connections_are_counted_by_what_they_are() {
    let server = server().await;
    let probe = watcher(&server);
    let mut leaks = Vec::new();
    for _ in 0..4 {
        leaks.push(client(&server, "shop", "checkout").await);
    }
    run(
        &mut leaks[2],
        "BEGIN; SELECT count(*) FROM payments WHERE card = '4111'",
    )
    .await;
    let holder = pid(&mut leaks[2]).await;
    let mut oddly = client(&server, "shop", "a%0Ab%1B%5B31m").await;
    let odd = pid(&mut oddly).await;

    let told = until(async || probe.connections().await, |told| told.used == 6).await;
    assert_eq!(told.max, 97);
    let count = |list: &[treasury_bot::probe::database::Count], name: &str| {
        list.iter()
            .find(|one| one.name == name)
            .map(|one| one.count)
    };
    assert_eq!(count(&told.by_application, "checkout"), Some(4));
    assert_eq!(count(&told.by_application, "treasury-bot"), Some(1));
    assert_eq!(count(&told.by_state, "idle in transaction"), Some(1));
    assert_eq!(count(&told.by_client, "127.0.0.1"), Some(6));
    assert_eq!(count(&told.by_user, "shop@postgres"), Some(5));
    assert_eq!(told.oldest[0].pid, holder);
    assert!(told.oldest[0].transaction_ms.is_some());
    let odd = told.oldest.iter().find(|one| one.pid == odd).unwrap();
    assert!(!odd.application.contains(char::is_control), "{odd:?}");
    assert!(!format!("{told:?}").contains("4111"));

    let summary = probe.summary().await.unwrap();
    assert_eq!(summary.longest_transaction_pid, Some(holder));
    assert_eq!((summary.connections_used, summary.connections_max), (6, 97));
}
