//! Who blocks whom.

use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use treasury_bot::probe::Database;
use treasury_bot::probe::database::{End, Locks};

use super::{client, pid, probe, run, server, server_of, until, watcher};

on_each_version! {
    a_chain_of_five_blocked_sessions_names_its_one_root,
    a_locked_table_is_named_and_a_long_queue_is_cut,
}

/// Sets the card of a row; the number is a secret.
async fn pay(client: &mut PgConnection, id: i32) -> Result<(), sqlx::Error> {
    let statement = format!("UPDATE payments SET card = '4111 1111' WHERE id = {id}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(client)
        .await
        .map(drop)
}

fn shape(locks: &Locks) -> Vec<(u32, i32, Option<i32>)> {
    let entry =
        |one: &treasury_bot::probe::database::Blocked| (one.depth, one.session.pid, one.blocked_by);
    locks.tree.iter().map(entry).collect()
}

async fn a_chain_of_five_blocked_sessions_names_its_one_root(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let probe = watcher(&server);
    assert_eq!(probe.locks().await.unwrap().blocked, 0);

    // Each holds its own row; from the second on, each wants the row of the one before.
    let (mut pids, mut clients) = (Vec::new(), Vec::new());
    for id in 1..=6 {
        let mut one = client(&server, "shop", "checkout").await;
        run(&mut one, "BEGIN").await;
        pay(&mut one, id).await.unwrap();
        pids.push(pid(&mut one).await);
        clients.push(one);
    }
    let mut waiting = JoinSet::new();
    for (wanted, mut one) in (1..).zip(clients.drain(1..)) {
        waiting.spawn(async move {
            let paid = pay(&mut one, wanted).await;
            (one, paid)
        });
    }
    // PostgreSQL shows a lock as waited for a moment before it shows since when, and on what.
    let complete = |locks: &Locks| {
        locks.blocked == 5
            && locks
                .tree
                .iter()
                .skip(1)
                .all(|one| one.waits_ms.is_some() && one.session.waits_for.is_some())
    };
    let locks = until(async || probe.locks().await, complete).await;
    assert_eq!(locks.roots, [pids[0]]);
    assert_eq!(locks.left_out, 0);
    let chain: Vec<_> = (0..6)
        .map(|at| (at as u32, pids[at], at.checked_sub(1).map(|at| pids[at])))
        .collect();
    assert_eq!(shape(&locks), chain);
    for blocked in &locks.tree {
        assert_eq!(blocked.session.application, "checkout");
        assert_eq!(blocked.session.user, "shop");
    }
    assert_eq!(locks.tree[0].session.state, "idle in transaction");
    assert_eq!(
        (locks.tree[0].lock.as_str(), locks.tree[0].waits_ms),
        ("", None)
    );
    let second = &locks.tree[1];
    assert_eq!(second.lock, "ShareLock on a transaction's end");
    assert!(second.waits_ms.unwrap() < 20_000, "{second:?}");
    assert_eq!(
        second.session.waits_for.as_deref(),
        Some("Lock: transactionid")
    );
    assert_eq!(
        second.session.query,
        "UPDATE payments SET card = ? WHERE id = ?"
    );
    assert!(!format!("{locks:?}").contains("4111"));
    assert_eq!(probe.summary().await.unwrap().blocked, 5);

    // Ending the root lets the next one through.
    let root = &locks.tree[0].session;
    let ended = probe.end(root.pid, root.started_at, End::Terminate).await;
    assert!(ended.unwrap());
    until(
        async || probe.locks().await,
        |locks| locks.blocked == 4 && locks.roots == [pids[1]],
    )
    .await;
    waiting.shutdown().await;
}

async fn a_locked_table_is_named_and_a_long_queue_is_cut(version: Option<u32>) {
    let server = server_of(version, &[]).await;
    let probe = watcher(&server);
    let mut owner = client(&server, "treasury", "migration").await;
    run(&mut owner, "BEGIN; LOCK TABLE payments").await;
    let mut waiting = JoinSet::new();
    for _ in 0..25 {
        let mut one = client(&server, "shop", "web").await;
        waiting.spawn(async move { pay(&mut one, 1).await });
    }
    let locks = until(async || probe.locks().await, |locks| locks.blocked == 25).await;
    assert_eq!(locks.roots, [pid(&mut owner).await]);
    assert_eq!((locks.tree.len(), locks.left_out), (20, 6));
    assert_eq!(locks.tree[1].lock, "RowExclusiveLock on payments");
    assert_eq!(locks.tree[0].session.application, "migration");

    // The glance needs no lock on the table.
    assert_eq!(probe.summary().await.unwrap().blocked, 25);
    waiting.shutdown().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn without_the_right_to_look_the_chain_is_told_and_the_texts_are_not() {
    let server = server().await;
    let stranger = probe(&server.url_of("stranger", "postgres"));
    let mut first = client(&server, "shop", "web").await;
    run(&mut first, "BEGIN").await;
    pay(&mut first, 1).await.unwrap();
    let mut second = client(&server, "shop", "web").await;
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { pay(&mut second, 1).await });
    let locks = until(async || stranger.locks().await, |locks| locks.blocked == 1).await;
    assert_eq!(locks.roots, [pid(&mut first).await]);
    assert_eq!(locks.tree[1].session.state, "hidden");
    assert_eq!(locks.tree[1].session.query, "<insufficient privilege>");
    waiting.shutdown().await;
}
