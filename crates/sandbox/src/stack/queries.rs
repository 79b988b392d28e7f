//! Stories of the faults, as one who asks the database sees and mends them. No test waits.

#![expect(clippy::float_cmp, reason = "the model's figures are exact")]

use std::time::Duration;

use super::backend::sessions;
use super::stories::{restart, seen, stack};
use super::{Fault, Role, SimulatedDatabase};
use treasury_domain::service::Service;
use treasury_ports::platform::Platform;
use treasury_ports::probe::ProbeErrorKind as Kind;
use treasury_ports::probe::database::{Count, Database, End, Session};

const MINUTE: Duration = Duration::from_mins(1);

async fn root(database: &SimulatedDatabase) -> Session {
    let locks = database.locks().await.unwrap();
    database.session(locks.roots[0]).await.unwrap()
}

fn count(all: &[Count], name: &str) -> u64 {
    let found = all.iter().find(|one| one.name == name);
    found.map_or(0, |one| one.count)
}

#[tokio::test]
async fn on_a_quiet_day_nobody_waits_and_the_numbers_agree() {
    let stack = stack();
    let database = stack.database();
    stack.advance(MINUTE);
    let summary = database.summary().await.unwrap();
    let used = seen(&stack, Role::Postgres).connections.unwrap().used;
    assert_eq!(
        (summary.connections_used, summary.connections_max),
        (u64::from(used), 100)
    );
    let connections = database.connections().await.unwrap();
    for by in [
        &connections.by_state,
        &connections.by_application,
        &connections.by_client,
        &connections.by_user,
    ] {
        assert_eq!(
            by.iter().map(|one| one.count).sum::<u64>(),
            connections.used
        );
    }
    assert_eq!(connections.oldest.len() as u64, connections.used.min(20));
    assert_eq!(database.locks().await.unwrap().tree, []);
    let sizes = database.size().await.unwrap();
    assert!(sizes.tables.iter().map(|one| one.bytes).sum::<u64>() < summary.size_bytes);
    assert!(summary.last_vacuum_at.unwrap() > "2026-03-01T11:30:00Z".parse().unwrap());
    assert!(
        database
            .slow()
            .await
            .unwrap()
            .queries
            .iter()
            .all(|one| one.mean_ms < 100.0)
    );
    assert!(summary.replication_lag_ms.unwrap() < 10);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answers() {
    let tell = async || {
        let stack = stack();
        stack.put_in(Fault::ConnectionsExhausted, None).unwrap();
        stack.advance(MINUTE);
        stack.database().connections().await.unwrap()
    };
    assert_eq!(tell().await, tell().await);
}

#[tokio::test]
async fn given_a_runaway_query_when_it_is_cancelled_then_nobody_waits_any_more() {
    for how in [End::Cancel, End::Terminate] {
        let stack = stack();
        let database = stack.database();
        stack.put_in(Fault::SlowDatabase, None).unwrap();
        stack.advance(MINUTE);
        let worst = database.slow().await.unwrap().queries.remove(0);
        assert!(worst.query.contains("JOIN payments p"), "{worst:?}");
        assert_eq!(worst.mean_ms.round(), 60_000.0);
        let locks = database.locks().await.unwrap();
        let shape: Vec<u32> = locks.tree.iter().map(|one| one.depth).collect();
        assert_eq!((locks.blocked, shape), (5, vec![0, 1, 2, 2, 1, 2]));
        assert_eq!(locks.tree[2].blocked_by, Some(locks.tree[1].session.pid));
        assert!(
            locks.tree[1..].iter().all(|one| one.waits_ms > Some(30_000)
                && one.session.query.starts_with("UPDATE payments"))
        );
        let summary = database.summary().await.unwrap();
        assert_eq!(
            (summary.blocked, summary.longest_transaction_pid),
            (5, worst.pid)
        );
        let replication = database.replication().await.unwrap();
        assert!(replication.replicas[0].lag_ms.unwrap() > 1_000);

        let runaway = root(&database).await;
        assert_eq!(Some(runaway.pid), worst.pid);
        assert!(
            database
                .end(runaway.pid, runaway.started_at, how)
                .await
                .unwrap()
        );
        assert_eq!(stack.faults(), []);
        assert_eq!(database.locks().await.unwrap().blocked, 0);
        let there = database.session(runaway.pid).await;
        match how {
            End::Cancel => assert_eq!(there.unwrap().state, "idle"),
            End::Terminate => assert_eq!(there.unwrap_err().kind, Kind::NotFound),
        }
        assert!(
            !database
                .end(runaway.pid, runaway.started_at, how)
                .await
                .unwrap()
        );
        stack.advance(MINUTE);
        assert!(
            seen(&stack, Role::Api).p95_ms < 200.0,
            "as a restart fixes it"
        );
    }
}

#[tokio::test]
async fn one_who_waits_can_be_sent_away_and_the_next_takes_its_place() {
    let stack = stack();
    let database = stack.database();
    stack.put_in(Fault::SlowDatabase, None).unwrap();
    stack.advance(MINUTE);
    let first = database.locks().await.unwrap().tree[1].session.clone();
    assert_eq!(first.waits_for.as_deref(), Some("Lock: transactionid"));
    assert!(
        database
            .end(first.pid, first.started_at, End::Cancel)
            .await
            .unwrap()
    );
    let locks = database.locks().await.unwrap();
    assert!(locks.tree.iter().all(|one| one.session.pid != first.pid));
    assert_eq!(stack.faults().len(), 1, "the query itself runs on");
}

#[tokio::test]
async fn given_leaked_connections_when_they_are_terminated_then_there_is_room_until_it_leaks_again()
{
    let stack = stack();
    let database = stack.database();
    stack.put_in(Fault::ConnectionsExhausted, None).unwrap();
    stack.advance(2 * MINUTE);
    let full = database.summary().await.unwrap();
    assert_eq!(
        full.connections_percent, 100.0,
        "the kept connection still answers"
    );
    assert!(
        count(&full.by_state, "idle in transaction") > 20,
        "{full:?}"
    );
    assert!(count(&full.by_application, "treasury-api") > 90);
    let before = database.connections().await.unwrap();
    let oldest = &before.oldest[0];
    assert_eq!(oldest.state, "idle in transaction");
    assert!(
        oldest.transaction_ms.unwrap() > 110_000,
        "as old as the leak"
    );

    let mut ended = 0;
    for one in &before.oldest {
        if one.state == "idle in transaction" {
            let done = database.end(one.pid, one.started_at, End::Terminate).await;
            ended += u64::from(done.unwrap());
        }
    }
    let after = database.connections().await.unwrap();
    assert_eq!((ended, after.used), (20, 80));
    assert!(after.oldest.iter().all(|one| one.pid != oldest.pid));
    stack.advance(Duration::from_secs(5));
    assert!(seen(&stack, Role::Postgres).connections.unwrap().used < 95);
    stack.advance(2 * MINUTE);
    assert_eq!(
        database.summary().await.unwrap().connections_used,
        100,
        "it leaks on"
    );
    assert_eq!(stack.faults().len(), 1);
    let newest = database.connections().await.unwrap();
    let old: Vec<i32> = before.oldest.iter().map(|one| one.pid).collect();
    assert!(
        newest.oldest.iter().all(|one| !old.contains(&one.pid)),
        "numbers are not used again"
    );
}

#[tokio::test]
async fn only_that_very_session_of_a_client_is_ended() {
    let stack = stack();
    let database = stack.database();
    let all = sessions(&stack.world());
    let of = |what: &dyn Fn(&&Session) -> bool| all.iter().find(what).unwrap();
    for (session, words) in [
        (of(&|one| one.own), "the bot's own"),
        (of(&|one| one.kind == "walsender"), "a walsender"),
        (of(&|one| one.kind == "checkpointer"), "a checkpointer"),
    ] {
        let error = database
            .end(session.pid, session.started_at, End::Terminate)
            .await;
        let error = error.unwrap_err();
        assert!(
            error.kind == Kind::Unsupported && error.what.contains(words),
            "{error}"
        );
    }
    let idle = of(&|one| one.application == "treasury-api" && one.state == "idle");
    let end = async |pid, at, how| database.end(pid, at, how).await.unwrap();
    let other = idle.started_at - Duration::from_secs(1);
    assert!(
        !end(idle.pid, other, End::Terminate).await,
        "another session"
    );
    assert!(!end(1_000_000, idle.started_at, End::Terminate).await);
    assert!(
        !end(idle.pid, idle.started_at, End::Cancel).await,
        "runs nothing"
    );
    assert_eq!(stack.calls(), [""; 0]);
    assert!(end(idle.pid, idle.started_at, End::Terminate).await);
    assert_eq!(stack.calls(), [format!("terminate session {}", idle.pid)]);
    let error = database.session(idle.pid).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let used = sessions(&stack.world()).len();
    assert_eq!(used, all.len(), "the pool connects again");
}

#[tokio::test]
async fn while_postgres_is_down_or_starts_nobody_answers() {
    let stack = stack();
    let database = stack.database();
    let before = sessions(&stack.world());
    stack.put_in(Fault::CrashLoop, Some("postgres")).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..120 {
        stack.advance(Duration::from_millis(500));
        if let Err(error) = database.summary().await {
            kinds.insert(format!("{:?}", error.kind));
        }
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["Connect", "Starting"]
    );
    stack.take_out(Fault::CrashLoop);
    restart(&stack, Role::Postgres).await.unwrap();
    stack.advance(MINUTE);
    let summary = database.summary().await.unwrap();
    let service: Service = Role::Postgres.service().unwrap();
    let status = stack.status(&service).await.unwrap();
    assert_eq!(Some(summary.started_at), status.replicas[0].started_at);
    let after = sessions(&stack.world());
    assert!(after.iter().all(|one| one.started_at >= summary.started_at));
    assert!(after[0].pid > before.last().unwrap().pid);
}
