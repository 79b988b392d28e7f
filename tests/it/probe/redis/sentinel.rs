//! A master that Sentinels watch.

use std::time::{Duration, Instant};

use treasury_bot::probe::ProbeErrorKind as Kind;
use treasury_bot::probe::cache::{Cache, CacheSummary, Topology};
use treasury_bot::probe::redis::Redis as Probe;

use super::{PATIENCE, probe_of};
use crate::support::redis::Redis;

fn through(sentinel: &Redis, master: &str) -> Probe {
    let url = format!("redis://{}/1", sentinel.address());
    probe_of(url, Some("right"), Some(master), PATIENCE)
}

/// Asks until the answer is as it should become.
async fn until(bot: &Probe, right: impl Fn(&CacheSummary) -> bool) -> CacheSummary {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let summary = bot.summary().await.unwrap();
        if right(&summary) {
            return summary;
        }
        assert!(Instant::now() < deadline, "{summary:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn sentinels_lead_to_the_master_as_long_as_one_is_there() {
    let master = Redis::start(&["--requirepass", "right"]).await;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        // Without a password of their own, in front of a master that has one.
        sentinels.push(Redis::sentinel(&master, "sentinel auth-pass main right").await);
    }
    let bot = through(&sentinels[0], "main");
    // They take a moment to find and to reach each other.
    let whole = |told: &CacheSummary| told.nodes.len() == 4 && told.nodes.iter().all(|n| n.up);
    let summary = until(&bot, whole).await;
    for other in &sentinels[1..] {
        until(&through(other, "main"), whole).await;
    }
    assert_eq!(
        (summary.topology, summary.role.as_str()),
        (Topology::Sentinel, "master")
    );
    assert_eq!(summary.nodes[0].address, master.address());
    assert_eq!(summary.warnings, Vec::<String>::new());
    bot.memory().await.unwrap();

    let unknown = through(&sentinels[0], "mian").summary().await.unwrap_err();
    assert_eq!(unknown.kind, Kind::NotFound, "{unknown}");
    assert_eq!(unknown.hint, "set sentinel_master to one of: main");

    // The Sentinel of the URL dies: another one leads on, and two are enough.
    drop(sentinels.remove(0));
    let began = Instant::now();
    let summary = bot.summary().await.unwrap();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(summary.nodes[0].address, master.address());
    let down = |told: &CacheSummary| told.nodes.iter().filter(|node| !node.up).count();
    let summary = until(&bot, |told| down(told) == 1).await;
    assert_eq!(summary.warnings, Vec::<String>::new(), "{summary:?}");

    // The last one alone can't do a failover.
    drop(sentinels.remove(0));
    let warned = until(&bot, |told| !told.warnings.is_empty()).await;
    assert_eq!(
        warned.warnings[0],
        "1 of the 2 Sentinels that a failover needs are there"
    );
    drop(sentinels);
    assert_eq!(bot.summary().await.unwrap_err().kind, Kind::Connect);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_sentinel_that_asks_for_the_password_gets_it() {
    let master = Redis::start(&["--requirepass", "right"]).await;
    let lines = "sentinel auth-pass main right\nrequirepass right";
    let sentinel = Redis::sentinel(&master, lines).await;
    let summary = through(&sentinel, "main").summary().await.unwrap();
    assert_eq!(summary.nodes[0].address, master.address());
    let wrong = Redis::sentinel(&master, "requirepass other").await;
    let error = through(&wrong, "main").summary().await.unwrap_err();
    assert_eq!(error.kind, Kind::Authenticate, "{error}");
    assert!(error.what.contains(&wrong.address()), "{error}");
}
