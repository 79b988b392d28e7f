//! Redis is asked when it is well, full, closed, frozen, and gone.

mod cluster;
mod doors;
mod played;
mod sentinel;
mod truth;

use std::time::{Duration, Instant};

use secrecy::SecretString;
use treasury_bot::probe::ProbeErrorKind as Kind;
use treasury_bot::probe::cache::{Cache, ClientId};
use treasury_bot::probe::redis::{Config, Redis as Probe};

use crate::support::redis::{Redis, tell, try_tell};

/// The longest that a question may take here.
const PATIENCE: Duration = Duration::from_secs(2);

fn probe(url: String, password: Option<&str>) -> Probe {
    probe_of(url, password, None, PATIENCE)
}

fn probe_of(
    url: String,
    password: Option<&str>,
    sentinel_master: Option<&str>,
    timeout: Duration,
) -> Probe {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Probe::new(Config {
        name: "cache".into(),
        url,
        password: password.map(SecretString::from),
        sentinel_master: sentinel_master.map(str::to_owned),
        timeout,
    })
    .unwrap()
}

async fn set(client: &mut redis::aio::MultiplexedConnection, key: &[u8], bytes: usize) {
    let value = "x".repeat(bytes);
    redis::cmd("SET")
        .arg(key)
        .arg(value)
        .exec_async(client)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_full_cache_is_told_and_who_fills_it() {
    let server = Redis::start(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    for n in 0..1_000 {
        set(&mut app, format!("fx:{n}").as_bytes(), 1_000).await;
    }
    set(&mut app, b"session:all", 500_000).await;
    // Until the server takes no more.
    let value = "x".repeat(20_000);
    let mut filled = 0;
    loop {
        let put = redis::cmd("SET")
            .arg(format!("balance:{filled}"))
            .arg(&value)
            .exec_async(&mut app)
            .await;
        match put {
            Ok(()) => filled += 1,
            Err(error) => break assert_eq!(error.code(), Some("OOM")),
        }
    }
    let summary = bot.summary().await.unwrap();
    assert!(
        summary.memory_percent >= Some(90.0),
        "{:?}",
        summary.memory_percent
    );
    assert!(
        summary.warnings[0].contains("writes are refused"),
        "{:?}",
        summary.warnings
    );
    assert_eq!(
        (summary.keys, summary.role.as_str()),
        (1_001 + filled, "master")
    );
    let keys = bot.memory().await.unwrap();
    assert!(keys.complete && keys.sampled == 1_001 + filled, "{keys:?}");
    assert_eq!(keys.biggest[0].key, "session:all");
    let fx = keys
        .by_prefix
        .iter()
        .find(|group| group.prefix == "fx:")
        .unwrap();
    assert_eq!(fx.keys, 1_000);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_prefix_is_taken_literally_and_a_search_is_bounded() {
    let server = Redis::start(&[]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    for key in ["a*b[c]?\\1", "aXb[c]?", "a*b", "plain", "ab"] {
        set(&mut app, key.as_bytes(), 10).await;
    }
    let found = bot.keys("a*b[c]?\\").await.unwrap();
    assert_eq!(
        (found.matched, found.keys[0].key.as_str()),
        (1, "a*b[c]?\\1")
    );
    assert_eq!(bot.keys("a").await.unwrap().matched, 4);
    for n in 0..200 {
        set(&mut app, format!("many:{n}").as_bytes(), 1).await;
    }
    let found = bot.keys("many:").await.unwrap();
    assert_eq!((found.matched, found.keys.len()), (200, 50));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_slow_log_tells_no_values_and_no_passwords() {
    let server = Redis::start(&["--slowlog-log-slower-than", "0", "--requirepass", "right"]).await;
    let bot = probe(server.url(), Some("right"));
    let mut app = server.client(Some("right")).await;
    redis::cmd("SET")
        .arg("token")
        .arg("hunter2")
        .exec_async(&mut app)
        .await
        .unwrap();
    let log = bot.slowlog().await.unwrap();
    assert_eq!(log.threshold_us, Some(0));
    assert!(
        log.entries
            .iter()
            .any(|one| one.recorded.to_string() == "SET token +1"),
        "{log:?}"
    );
    let told = format!("{log:?}");
    assert!(
        !told.contains("hunter2") && !told.contains("right"),
        "{told}"
    );

    for wrong in [None, Some("hunter2")] {
        let error = probe(server.url(), wrong).summary().await.unwrap_err();
        assert_eq!(error.kind, Kind::Authenticate, "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    assert!(!format!("{bot:?}").contains("right"));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_client_is_closed_once_and_the_bot_and_replicas_never() {
    let server = Redis::start(&[]).await;
    let port = server.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    let id: u64 = redis::cmd("CLIENT")
        .arg("ID")
        .query_async(&mut app)
        .await
        .unwrap();
    let client = |id| ClientId { id, server: None };
    assert!(bot.kill(&client(id)).await.unwrap());
    assert!(!bot.kill(&client(id)).await.unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    let of_replica = loop {
        let clients = bot.clients().await.unwrap();
        if let Some(found) = clients.list.iter().find(|one| one.kind == "replica") {
            break found.id;
        }
        assert!(Instant::now() < deadline, "no replica: {clients:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        bot.kill(&client(of_replica)).await.unwrap_err().kind,
        Kind::Unsupported
    );
    let clients = bot.clients().await.unwrap();
    let own = clients.list.iter().find(|one| one.own).unwrap().id;
    assert_eq!(
        bot.kill(&client(own)).await.unwrap_err().kind,
        Kind::Unsupported
    );

    // Its master is gone: the replica says so.
    let lonely = probe(replica.url(), None);
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let summary = lonely.summary().await.unwrap();
        if !summary.replication_ok {
            assert_eq!(summary.warnings[0], "This replica has lost its master");
            break;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_frozen_server_costs_no_more_than_the_time_out_and_a_gone_one_is_told() {
    let server = Redis::start(&[]).await;
    let bot = probe(server.url(), None);
    bot.summary().await.unwrap();
    server.signal("-STOP");
    let began = Instant::now();
    let error = bot.summary().await.unwrap_err();
    let took = began.elapsed();
    server.signal("-CONT");
    assert_eq!(error.kind, Kind::Timeout, "{error}");
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    bot.summary().await.expect("it answers again");
    drop(server);
    assert_eq!(bot.summary().await.unwrap_err().kind, Kind::Connect);
    let nowhere = probe("redis://nowhere.invalid:6379".into(), None);
    assert_eq!(nowhere.summary().await.unwrap_err().kind, Kind::Resolve);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn keys_that_were_thrown_out_are_told() {
    let server = Redis::start(&["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    let calm = bot.summary().await.unwrap();
    assert_eq!((calm.evicted, calm.warnings.len()), (0, 0), "{calm:?}");
    for n in 0..400 {
        set(&mut app, format!("balance:{n}").as_bytes(), 20_000).await;
    }
    let summary = bot.summary().await.unwrap();
    assert!(
        summary.evicted > 100 && summary.keys + summary.evicted == 400,
        "{summary:?}"
    );
    let told = format!(
        "{} keys were thrown out for lack of memory since the start",
        summary.evicted
    );
    assert!(summary.warnings.contains(&told), "{:?}", summary.warnings);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_is_kept_on_the_disk_is_what_is_set_and_a_start_is_no_save() {
    let server = Redis::start(&[]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    let nothing = bot.summary().await.unwrap();
    assert_eq!(
        (nothing.persistence.as_str(), nothing.last_save_at),
        ("nothing", None)
    );
    let _: () = tell(&mut app, &["CONFIG", "SET", "save", "3600 1"]).await;
    let set = bot.summary().await.unwrap();
    assert_eq!(
        (set.persistence.as_str(), set.last_save_at),
        ("snapshots", None)
    );
    let before = jiff::Timestamp::now().as_second();
    let _: () = tell(&mut app, &["SAVE"]).await;
    let saved = bot.summary().await.unwrap();
    let at = saved.last_save_at.expect("a snapshot was made").as_second();
    // The server's clock of seconds may lag a little.
    assert!(
        (before - 2..before + 30).contains(&at),
        "{at} after {before}"
    );
    let _: () = tell(&mut app, &["CONFIG", "SET", "appendonly", "yes"]).await;
    let _: () = tell(&mut app, &["CONFIG", "SET", "save", ""]).await;
    let file = bot.summary().await.unwrap();
    assert_eq!(file.persistence, "append-only file");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn of_200_000_keys_no_more_are_looked_at_than_is_good_for_the_server() {
    let server = Redis::start(&[]).await;
    // Long enough that the number ends it, not the time.
    let bot = probe_of(server.url(), None, None, Duration::from_secs(120));
    let mut app = server.client(None).await;
    let fill = "for n = 1, 200000 do redis.call('SET', 'many:' .. n, 'x') end";
    let _: () = tell(&mut app, &["EVAL", fill, "0"]).await;
    let sample = bot.memory().await.unwrap();
    assert_eq!(
        (sample.keys, sample.sampled, sample.complete),
        (200_000, 50_000, false)
    );
    assert_eq!(
        (sample.biggest.len(), sample.by_prefix[0].keys),
        (20, 50_000)
    );
    let search = bot.keys("many:").await.unwrap();
    assert_eq!((search.complete, search.keys.len()), (false, 50));
    // COUNT is a hint: about as many come back, and what came back was looked at.
    assert!((90_000..110_000).contains(&search.matched), "{search:?}");
    assert_eq!(search.scanned, search.matched.max(100_000));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn no_secret_of_the_slow_log_is_told() {
    let server = Redis::start(&["--slowlog-log-slower-than", "0"]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    for words in [
        &["AUTH", "hunter2"][..],
        &["AUTH", "somebody", "hunter2"],
        &["CONFIG", "SET", "masterauth", "hunter2"],
        &["ACL", "SETUSER", "bob", ">hunter2"],
        &["EVAL", "return 'hunter2'", "0"],
        &["EVAL_RO", "return 'hunter2'", "0"],
        &["EVALSHA_RO", "hunter2", "0"],
        &["FCALL_RO", "hunter2", "0"],
        &["PUBLISH", "hunter2", "m"],
        &["SPUBLISH", "hunter2", "m"],
        &["PING", "hunter2"],
        &["SET", "token", "hunter2"],
    ] {
        // Some of these fail; they are kept in the log as well.
        let _: redis::RedisResult<redis::Value> = try_tell(&mut app, words).await;
    }
    let log = bot.slowlog().await.unwrap();
    let commands = log.entries.iter().map(|one| one.recorded.to_string());
    let commands: Vec<String> = commands.collect();
    for told in ["CONFIG +3", "EVALSHA_RO +2", "FCALL_RO +2", "SET token +1"] {
        assert!(
            commands.iter().any(|one| one == told),
            "{told} in {commands:?}"
        );
    }
    assert!(!format!("{log:?}").contains("hunter2"), "{log:?}");
}
