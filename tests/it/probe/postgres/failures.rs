//! Each way of getting no answer is told apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use treasury_bot::probe::postgres::{Config, Postgres};
use treasury_bot::probe::{Database, ProbeError, ProbeErrorKind as Kind};

use super::{connect, patient, probe, root, run, server, server_of, until, watcher};
use crate::support::free_port;
use crate::support::postgres::Postgres as Server;

on_each_version! {
    who_is_not_let_in_is_told_why,
    when_all_connections_are_taken_a_kept_one_still_answers,
}

/// Why the glance fails; no text of it may hold the password.
async fn failure(url: &str) -> ProbeError {
    let probe = probe(url);
    let error = probe.summary().await.unwrap_err();
    let texts = format!("{probe:?} {error} {error:?}");
    assert!(!texts.contains("hunter2"), "{texts}");
    assert!(!texts.contains("postgres://"), "{texts}");
    assert!(!error.hint.is_empty());
    error
}

#[tokio::test]
async fn without_a_server_the_step_that_failed_is_told() {
    let unknown = failure("postgres://bot:hunter2@db.invalid/shop").await;
    assert_eq!(unknown.kind, Kind::Resolve);
    assert!(unknown.what.contains("db.invalid"), "{unknown}");

    let port = free_port();
    let nobody = failure(&format!("postgres://bot:hunter2@127.0.0.1:{port}/shop")).await;
    assert_eq!(nobody.kind, Kind::Connect);
    assert!(nobody.what.contains(&format!("127.0.0.1:{port}")));

    for url in [
        "",
        "hunter2",
        "mysql://bot:hunter2@db/x",
        "postgres://bot:hunter2@db:port/x",
    ] {
        let refused = Postgres::new(&Config {
            name: "orders".into(),
            url: url.to_owned().into(),
            timeout: Duration::from_secs(1),
        });
        let refused = refused.err().unwrap_or_else(|| panic!("taken: {url}"));
        assert_eq!(refused.kind, Kind::Unsupported);
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}

/// A listener that answers each caller with these bytes, and closes.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            caller.write_all(bytes).await.unwrap();
        }
    });
    format!("postgres://bot:hunter2@127.0.0.1:{port}/shop?sslmode=disable")
}

#[tokio::test]
async fn another_kind_of_server_is_no_riddle() {
    assert_eq!(failure(&answering(b"").await).await.kind, Kind::Connect);
    let rubbish = failure(&answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    assert!(
        matches!(rubbish.kind, Kind::Connect | Kind::Failed),
        "{rubbish}"
    );

    // It takes the call and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = patient(
        &format!("postgres://bot@127.0.0.1:{port}/shop"),
        Duration::from_millis(300),
    );
    assert_eq!(silent.summary().await.unwrap_err().kind, Kind::Timeout);
}

async fn who_is_not_let_in_is_told_why(version: Option<u32>) {
    // The default since 14.
    let server = server_of(version, &["password_encryption=scram-sha-256"]).await;
    let mut root = root(&server).await;
    run(&mut root, "CREATE ROLE guarded LOGIN PASSWORD 'right'").await;
    let right = probe(&server.url_of("guarded:right", "postgres"));
    right.summary().await.unwrap();

    for wrong in ["guarded:hunter2", "guarded", "nobody:hunter2"] {
        let refused = failure(&server.url_of(wrong, "postgres")).await;
        assert_eq!(refused.kind, Kind::Authenticate, "{wrong}: {refused}");
    }
    let elsewhere = failure(&server.url_of("watcher:hunter2", "shop")).await;
    assert_eq!(elsewhere.kind, Kind::NotFound);
    assert!(elsewhere.what.contains("\"shop\" does not exist"));

    let closed = "CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM public";
    for statement in closed.split("; ") {
        run(&mut root, statement).await;
    }
    let denied = failure(&server.url_of("watcher", "closed")).await;
    assert_eq!(denied.kind, Kind::Denied);
    assert!(denied.hint.contains("CONNECT"), "{denied}");

    let url = server.url_of("watcher:hunter2", "postgres");
    let plain = failure(&format!("{url}?sslmode=require")).await;
    assert_eq!(plain.kind, Kind::Tls);
    assert!(plain.hint.contains("sslmode"));
}

/// Takes every connection but the one that is kept: the ordinary ones, then those of the superuser.
async fn fill(server: &Server) -> Vec<PgConnection> {
    let mut taken = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    // The server may still be at ending the connection by which it was found to be up.
    while taken.len() < 99 {
        assert!(Instant::now() < deadline, "{} are taken", taken.len());
        for user in ["shop", "treasury"] {
            let url = format!("{}?application_name=leak", server.url_of(user, "postgres"));
            let full = loop {
                match connect(&url).await {
                    Ok(one) => taken.push(one),
                    Err(error) => break error,
                }
            };
            let code = full
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code);
            assert_eq!(code.as_deref(), Some("53300"), "{full}");
        }
    }
    taken
}

async fn when_all_connections_are_taken_a_kept_one_still_answers(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let kept = watcher(&server);
    kept.summary().await.unwrap();
    let taken = fill(&server).await;
    assert_eq!(taken.len(), 99);

    let began = Instant::now();
    let summary = kept.summary().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(
        (summary.connections_used, summary.connections_max),
        (100, 97)
    );
    assert_eq!(summary.by_application[0].name, "leak");
    assert_eq!(summary.by_application[0].count, 99);
    // Two at once: one waits for the other instead of failing for want of a second connection.
    let (connections, locks) = tokio::join!(kept.connections(), kept.locks());
    assert_eq!(connections.unwrap().used, 100);
    assert_eq!(locks.unwrap().blocked, 0);

    let began = Instant::now();
    let full = watcher(&server).summary().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(full.kind, Kind::Full);
    assert!(full.hint.contains("pg_use_reserved_connections TO watcher"));

    drop(taken);
    let free = watcher(&server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = free.summary().await {
        assert_eq!(error.kind, Kind::Full);
        assert!(Instant::now() < deadline, "{error}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_hangs_costs_the_time_out_and_not_more() {
    let server = server().await;
    let timeout = Duration::from_secs(1);
    let url = server.url_of("watcher", "postgres");
    let (kept, fresh) = (patient(&url, timeout), patient(&url, timeout));
    let session = {
        kept.summary().await.unwrap();
        kept.connections().await.unwrap().oldest.remove(0)
    };
    server.freeze();
    for probe in [&kept, &fresh] {
        let began = Instant::now();
        let hangs = probe.summary().await.unwrap_err();
        let took = began.elapsed();
        assert_eq!(hangs.kind, Kind::Timeout);
        assert!(took >= timeout, "{took:?}");
        assert!(took < timeout + Duration::from_millis(500), "{took:?}");
    }
    // The questions about one session, and many at once, are bounded as well.
    let began = Instant::now();
    let how = treasury_bot::probe::database::End::Cancel;
    let asked = (0..6).map(|_| kept.session(session.pid));
    let (many, ended) = tokio::join!(
        futures_util::future::join_all(asked),
        kept.end(session.pid, session.started_at, how)
    );
    let took = began.elapsed();
    assert!(took < timeout + Duration::from_millis(500), "{took:?}");
    assert_eq!(ended.unwrap_err().kind, Kind::Timeout);
    for one in many {
        assert_eq!(one.unwrap_err().kind, Kind::Timeout);
    }
    server.thaw();
    kept.summary().await.unwrap();
    fresh.summary().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_connection_that_was_cut_is_replaced_and_a_dead_server_told() {
    let mut server = server().await;
    let probe = watcher(&server);
    let (first, second) = tokio::join!(probe.summary(), probe.locks());
    first.unwrap();
    second.unwrap();
    let mut root = root(&server).await;
    run(
        &mut root,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'watcher'",
    )
    .await;
    // Both kept ones are dead; nobody notices.
    for _ in 0..3 {
        probe.summary().await.unwrap();
    }
    server.kill();
    let gone = until_gone(&probe).await;
    assert_eq!(gone.kind, Kind::Connect);
    assert!(gone.what.contains(&server.port().to_string()));
}

/// A firewall before the server; when told so it forgets the connections there are, without a word.
async fn firewall(server: &Server, forget: Arc<Notify>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, inner) = (listener.local_addr().unwrap().port(), server.port());
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            let forget = forget.clone();
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(("127.0.0.1", inner)).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut outside, &mut inside) => {}
                    () = forget.notified() => std::future::pending().await,
                }
            });
        }
    });
    port
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn connections_that_a_firewall_forgot_do_not_cost_the_question() {
    let server = server().await;
    let forget = Arc::new(Notify::new());
    let port = firewall(&server, forget.clone()).await;
    let url = format!("postgres://watcher@127.0.0.1:{port}/postgres");
    let probe = patient(&url, Duration::from_secs(2));
    let (first, second) = tokio::join!(probe.summary(), probe.locks());
    first.unwrap();
    second.unwrap();
    forget.notify_waiters();
    for _ in 0..3 {
        probe.summary().await.unwrap();
    }
}

/// The children of a killed server may answer for a moment.
async fn until_gone(probe: &Postgres) -> ProbeError {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Err(error) = probe.summary().await
            && error.kind == Kind::Connect
        {
            return error;
        }
        assert!(Instant::now() < deadline, "it still answers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_stops_says_so_and_answers_who_is_there() {
    let server = server().await;
    let kept = watcher(&server);
    kept.summary().await.unwrap();
    server.stop_when_empty();
    let deadline = Instant::now() + Duration::from_secs(10);
    let stopping = loop {
        match watcher(&server).summary().await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "it does not stop"),
        }
    };
    assert_eq!(stopping.kind, Kind::Starting, "{stopping}");
    kept.summary().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn many_questions_at_once_use_two_connections() {
    let server = server().await;
    let probe = watcher(&server);
    let asked = (0..12).map(|_| probe.summary());
    for answer in futures_util::future::join_all(asked).await {
        answer.unwrap();
    }
    let told = until(async || probe.connections().await, |_| true).await;
    let own = told.oldest.iter().filter(|session| session.own);
    assert_eq!(own.count(), 2);
}
