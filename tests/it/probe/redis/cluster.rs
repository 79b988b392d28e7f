//! A cluster: all of its masters are asked, and what one does not tell is told as missing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use treasury_bot::probe::ProbeErrorKind as Kind;
use treasury_bot::probe::cache::{Cache, CacheSummary, ClientId, Topology};
use treasury_bot::probe::redis::Redis as Probe;

use super::{PATIENCE, probe};
use crate::support::redis::{Redis, tell, try_tell};

/// Puts keys `fx:0` … where they belong. Returns how many each server has.
async fn fill(nodes: &[Redis], keys: usize) -> Vec<u64> {
    let mut clients = Vec::new();
    for node in nodes {
        clients.push(node.client(None).await);
    }
    for n in 0..keys {
        let key = format!("fx:{n}");
        let mut taken = false;
        for client in &mut clients {
            let put: redis::RedisResult<()> = try_tell(client, &["SET", &key, "1"]).await;
            taken |= put.is_ok();
        }
        assert!(taken, "{key}");
    }
    let mut sizes = Vec::new();
    for client in &mut clients {
        sizes.push(tell(client, &["DBSIZE"]).await);
    }
    sizes
}

/// Every question is answered in time by the servers that are there, and names the one that is
/// not. Returns the summary.
async fn answers_without(bot: &Probe, gone: &str, left: u64) -> CacheSummary {
    let in_time = async |began: Instant, missing: &[String]| {
        let took = began.elapsed();
        assert!(took < PATIENCE, "{took:?}");
        assert!(missing.iter().any(|one| one.contains(gone)), "{missing:?}");
    };
    let began = Instant::now();
    let summary = bot.summary().await.unwrap();
    in_time(began, &summary.warnings).await;
    let down: Vec<_> = summary.nodes.iter().filter(|node| !node.up).collect();
    assert_eq!((down.len(), summary.nodes.len()), (1, 3), "{summary:?}");
    assert_eq!(down[0].address, gone);
    assert!(down[0].problem.is_some());
    assert_eq!(summary.keys, left);

    let began = Instant::now();
    let sample = bot.memory().await.unwrap();
    in_time(began, &sample.missing).await;
    assert_eq!((sample.keys, sample.complete), (left, false));

    let began = Instant::now();
    let found = bot.keys("fx:").await.unwrap();
    in_time(began, &found.missing).await;
    assert_eq!((found.matched, found.complete), (left, false));
    assert_eq!(found.keys.len(), 50);

    let began = Instant::now();
    let log = bot.slowlog().await.unwrap();
    in_time(began, &log.missing).await;
    assert!(log.threshold_known && !log.entries.is_empty(), "{log:?}");

    let began = Instant::now();
    let clients = bot.clients().await.unwrap();
    in_time(began, &clients.missing).await;
    assert!(clients.list.iter().all(|one| one.server != gone));
    summary
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn all_questions_are_asked_of_all_masters() {
    let nodes = Redis::cluster(3, 5_000).await;
    let sizes = fill(&nodes, 300).await;
    assert!(sizes.iter().all(|keys| *keys > 50), "{sizes:?}");
    let bot = probe(nodes[0].url(), None);
    let summary = bot.summary().await.unwrap();
    assert_eq!(
        (summary.topology, summary.role.as_str(), summary.keys),
        (Topology::Cluster, "cluster", 300)
    );
    assert_eq!(summary.warnings, Vec::<String>::new());
    let told: BTreeSet<_> = summary
        .nodes
        .iter()
        .map(|node| (node.address.clone(), node.up, node.slots.clone()))
        .collect();
    let slots = ["0-5461", "5462-10923", "10924-16383"];
    let real: BTreeSet<_> = nodes
        .iter()
        .zip(slots)
        .map(|(node, slots)| (node.address(), true, slots.to_owned()))
        .collect();
    assert_eq!(told, real);

    let sample = bot.memory().await.unwrap();
    assert_eq!((sample.keys, sample.sampled), (300, 300));
    assert!(sample.complete && sample.missing.is_empty(), "{sample:?}");
    assert_eq!(sample.by_prefix[0].keys, 300);
    let found = bot.keys("fx:").await.unwrap();
    assert_eq!((found.matched, found.keys.len()), (300, 50));
    assert!(found.complete && found.keys.iter().all(|key| key.described));
    assert!(bot.slowlog().await.unwrap().missing.is_empty());

    // Numbers of clients count only with their server.
    let mut app = nodes[1].client(None).await;
    let id: u64 = tell(&mut app, &["CLIENT", "ID"]).await;
    let clients = bot.clients().await.unwrap();
    let servers: BTreeSet<_> = clients.list.iter().map(|one| &one.server).collect();
    assert_eq!(servers.len(), 3);
    let mut client = ClientId { id, server: None };
    assert_eq!(bot.kill(&client).await.unwrap_err().kind, Kind::Unsupported);
    client.server = Some("127.0.0.1:1".into());
    assert_eq!(bot.kill(&client).await.unwrap_err().kind, Kind::NotFound);
    client.server = Some(nodes[1].address());
    assert!(bot.kill(&client).await.unwrap());
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_frozen_master_is_named_and_the_others_answer_in_time() {
    // The others notice nothing within the test.
    let nodes = Redis::cluster(3, 60_000).await;
    for node in &nodes {
        let mut client = node.client(None).await;
        let _: () = tell(
            &mut client,
            &["CONFIG", "SET", "slowlog-log-slower-than", "0"],
        )
        .await;
    }
    let sizes = fill(&nodes, 300).await;
    // One bot knows the cluster by the server that freezes, the other by another one.
    let by_frozen = probe(nodes[2].url(), None);
    let by_other = probe(nodes[0].url(), None);
    by_frozen.summary().await.unwrap();
    by_other.summary().await.unwrap();
    nodes[2].signal("-STOP");
    let left = sizes[0] + sizes[1];
    answers_without(&by_other, &nodes[2].address(), left).await;
    answers_without(&by_frozen, &nodes[2].address(), left).await;
    nodes[2].signal("-CONT");
    let summary = by_frozen.summary().await.unwrap();
    assert_eq!((summary.keys, summary.warnings.len()), (300, 0));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_dead_master_is_named_before_and_after_the_cluster_goes_down() {
    let mut nodes = Redis::cluster(3, 2_000).await;
    for node in &nodes {
        let mut client = node.client(None).await;
        let _: () = tell(
            &mut client,
            &["CONFIG", "SET", "slowlog-log-slower-than", "0"],
        )
        .await;
    }
    let sizes = fill(&nodes, 300).await;
    let by_dead = probe(nodes[2].url(), None);
    let by_other = probe(nodes[0].url(), None);
    by_dead.summary().await.unwrap();
    let left = sizes[0] + sizes[1];
    let gone = nodes[2].address();
    drop(nodes.pop());
    // The others still think that it is there.
    answers_without(&by_dead, &gone, left).await;

    // Now they give it up, and with it the cluster.
    let mut app = nodes[0].client(None).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let state: String = tell(&mut app, &["CLUSTER", "INFO"]).await;
        if state.contains("cluster_state:fail") {
            break;
        }
        assert!(Instant::now() < deadline, "{state}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for bot in [&by_other, &by_dead] {
        let summary = answers_without(bot, &gone, left).await;
        assert_eq!(
            summary.warnings[0],
            "The cluster is down: 10924 of 16384 slots are served"
        );
        // Such a cluster tells names of keys, not their sizes.
        let found = bot.keys("fx:").await.unwrap();
        assert!(found.keys.iter().all(|key| !key.described), "{found:?}");
        assert_eq!(found.missing.len(), 3, "{:?}", found.missing);
        assert_eq!(bot.memory().await.unwrap().sampled, 0);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_key_that_moves_between_servers_does_not_spoil_the_rest() {
    let nodes = Redis::cluster(3, 5_000).await;
    fill(&nodes, 30).await;
    // `a` is of slot 15495, which the third server has; the first is about to get it.
    let mut owner = nodes[2].client(None).await;
    let id: String = tell(&mut owner, &["CLUSTER", "MYID"]).await;
    let mut heir = nodes[0].client(None).await;
    let import = ["CLUSTER", "SETSLOT", "15495", "IMPORTING", &id];
    let _: () = tell(&mut heir, &import).await;
    let _: () = tell(&mut heir, &["ASKING"]).await;
    let _: () = tell(&mut heir, &["SET", "a", "1"]).await;
    let bot = probe(nodes[1].url(), None);
    let sample = bot.memory().await.unwrap();
    assert_eq!(
        (sample.keys, sample.sampled, sample.complete),
        (31, 30, false)
    );
    assert_eq!(
        sample.missing,
        [format!(
            "the cache at {} does not describe keys that are moving between servers",
            nodes[0].address()
        )]
    );
    let found = bot.keys("a").await.unwrap();
    assert_eq!((found.matched, found.keys[0].described), (1, false));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_cluster_of_one_is_named_as_it_was_asked() {
    let nodes = Redis::cluster(1, 5_000).await;
    let bot = probe(nodes[0].url(), None);
    let summary = bot.summary().await.unwrap();
    assert_eq!(summary.topology, Topology::Cluster);
    assert_eq!(summary.nodes[0].address, nodes[0].address());
    assert_eq!(summary.warnings, Vec::<String>::new());
    bot.memory().await.unwrap();
}
