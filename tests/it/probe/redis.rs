//! Redis is asked when it is well, full, closed, frozen, and gone.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use treasury_bot::probe::ProbeErrorKind as Kind;
use treasury_bot::probe::cache::{Cache, ClientId};
use treasury_bot::probe::redis::{Config, Redis as Probe};

use crate::support::redis::Redis;

fn probe(url: String, password: Option<&str>) -> Probe {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Probe::new(Config {
        name: "cache".into(),
        url,
        password: password.map(SecretString::from),
        sentinel_master: None,
        timeout: Duration::from_secs(2),
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
        log.entries.iter().any(|one| one.command == "SET token +1"),
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
async fn a_server_without_a_free_connection_is_full_with_a_password_and_without() {
    for password in [None, Some("hunter2")] {
        let options: Vec<&str> = password
            .iter()
            .flat_map(|password| ["--requirepass", password])
            .collect();
        let server = Redis::start(&options).await;
        let bot = probe(server.url(), password);
        let mut only = server.client(password).await;
        redis::cmd("CONFIG")
            .arg(&["SET", "maxclients", "1"])
            .exec_async(&mut only)
            .await
            .unwrap();
        let error = bot.summary().await.unwrap_err();
        assert_eq!(error.kind, Kind::Full, "{password:?}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"));
        redis::cmd("PING").exec_async(&mut only).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_is_kept_on_disk_is_told_as_it_is() {
    let server = Redis::start(&[]).await;
    let summary = probe(server.url(), None).summary().await.unwrap();
    assert_eq!(
        (summary.persistence.as_str(), summary.last_save_at),
        ("nothing", None)
    );
    let server = Redis::start(&["--save", "3600 1", "--appendonly", "yes"]).await;
    let bot = probe(server.url(), None);
    let summary = bot.summary().await.unwrap();
    assert_eq!(summary.persistence, "append-only file, snapshots");
    let mut app = server.client(None).await;
    redis::cmd("SAVE").exec_async(&mut app).await.unwrap();
    assert!(bot.summary().await.unwrap().last_save_at.is_some());
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_server_that_speaks_no_tls_is_told_with_the_mend() {
    let server = Redis::start(&[]).await;
    let bot = probe(server.url().replace("redis://", "rediss://"), None);
    let error = bot.summary().await.unwrap_err();
    assert!(error.mend.contains("redis://"), "{error}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_password_that_nobody_wants_and_one_that_is_wrong_are_told() {
    let open = Redis::start(&[]).await;
    let error = probe(open.url(), Some("hunter2"))
        .summary()
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Authenticate, "{error}");
    let closed = Redis::start(&["--requirepass", "right"]).await;
    for wrong in [None, Some("hunter2")] {
        let error = probe(closed.url(), wrong).summary().await.unwrap_err();
        assert_eq!(error.kind, Kind::Authenticate, "{wrong:?}: {error}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
    // Another database than the first is chosen after the login.
    let mut app = closed.client(Some("right")).await;
    redis::cmd("SELECT")
        .arg(1)
        .exec_async(&mut app)
        .await
        .unwrap();
    set(&mut app, b"only:here", 10).await;
    let bot = probe(closed.url().replace("/0", "/1"), Some("right"));
    assert_eq!(bot.keys("only:").await.unwrap().matched, 1);
}
