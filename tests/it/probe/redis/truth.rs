//! What is told beside what the servers themselves say, on Debian's Redis and every Valkey (and
//! Redis) that tests/run installs. Each was told wrongly once (`shared/field/data.md`, P9 to P18).

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use treasury_bot::probe::cache::{Cache, CacheSummary, SlowLog};
use treasury_bot::probe::redis::Redis as Probe;

use super::{probe, probe_of, set};
use crate::support::redis::{Redis, newest_valkey, programs, tell, try_tell};

/// Asks until the answer is right.
async fn until<T: std::fmt::Debug>(ask: impl AsyncFn() -> T, right: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let told = ask().await;
        if right(&told) {
            return told;
        }
        assert!(Instant::now() < deadline, "{told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A bot with time: other tests keep the processors busy.
fn patient(server: &Redis) -> Probe {
    probe_of(server.url(), None, None, Duration::from_secs(20))
}

/// What `program --version` says: `Valkey 9.1.2`.
fn product(program: &Path) -> String {
    let told = Command::new(program).arg("--version").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut words = told.split(' ');
    let (product, _) = (words.next().unwrap(), words.next());
    format!("{product} {}", &words.next().unwrap()[2..])
}

/// Keys of every type, in each of which one element is as large as all of the others a few times
/// over, and is not among the first. Returns their names.
async fn fill_with_lopsided_keys(app: &mut MultiplexedConnection) -> Vec<String> {
    let fill = "
        local huge = string.rep('h', 3000000)
        for n = 1, 2000 do
            local text = n == 1000 and huge or string.rep('e', 70) .. n
            redis.call('HSET', 'positions:all', 'f' .. n, text)
            redis.call('RPUSH', 'queue:all', text)
            redis.call('SADD', 'tags:all', text)
            redis.call('ZADD', 'board:all', n, text)
            redis.call('XADD', 'events:all', '*', 'f', text)
        end
        redis.call('SET', 'report:last', string.rep('s', 1000000))";
    let _: () = tell(app, &["EVAL", fill, "0"]).await;
    let names = ["positions", "queue", "tags", "board", "events"];
    names.map(|name| format!("{name}:all")).to_vec()
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn all_databases_are_looked_at_and_sizes_are_those_of_all_elements() {
    for program in programs() {
        let server = Redis::start_of(&program, &[]).await;
        let bot = patient(&server);
        let mut app = server.client(None).await;
        let mut names = fill_with_lopsided_keys(&mut app).await;
        names.push("report:last".into());
        let mut true_sum = 0;
        let mut true_sizes = Vec::new();
        for name in &names {
            let usage = ["MEMORY", "USAGE", name, "SAMPLES", "0"];
            let bytes: u64 = tell(&mut app, &usage).await;
            true_sizes.push((name.as_str(), bytes));
            true_sum += bytes;
        }
        let _: () = tell(&mut app, &["SELECT", "4"]).await;
        for n in 1..=5 {
            set(&mut app, format!("sess:{n}").as_bytes(), 200_000).await;
            let usage = ["MEMORY", "USAGE", &format!("sess:{n}")];
            true_sum += tell::<u64>(&mut app, &usage).await;
        }

        let told = bot.memory().await.unwrap();
        assert_eq!((told.keys, told.sampled, told.complete), (11, 11, true));
        assert_eq!(
            (told.databases.as_slice(), told.estimates),
            (&[0, 4][..], 0)
        );
        for (name, bytes) in true_sizes {
            let one = told.biggest.iter().find(|one| one.key == name).unwrap();
            assert_eq!((one.bytes, one.estimated_from), (bytes, None), "{one:?}");
            let elements = (name != "report:last").then_some(2_000);
            assert_eq!((one.elements, one.database), (elements, 0), "{name}");
        }
        assert_eq!(told.bytes, true_sum, "{program:?}");
        let used: u64 = server.info("used_memory").await.parse().unwrap();
        assert!(told.used_bytes.abs_diff(used) < used / 5, "{told:?}");
        assert!(told.bytes < told.used_bytes);

        let found = bot.keys("sess:").await.unwrap();
        assert_eq!(
            (found.matched, found.complete, found.scanned),
            (5, true, 11)
        );
        assert!(found.keys.iter().all(|key| key.database == 4), "{found:?}");
        let summary = bot.summary().await.unwrap();
        let each = summary.databases.iter();
        let each: Vec<_> = each.map(|one| (one.database, one.keys)).collect();
        assert_eq!((summary.keys, each), (11, vec![(0, 6), (4, 5)]));
        let server = format!("{} {}", summary.product, summary.version);
        assert_eq!(server, product(&program));
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_key_with_very_many_elements_is_told_as_an_estimate() {
    let server = Redis::start(&[]).await;
    let mut app = server.client(None).await;
    let fill = "for n = 1, 150000 do redis.call('HSET', 'positions:all', n, 'x' .. n) end";
    let _: () = tell(&mut app, &["EVAL", fill, "0"]).await;
    let told = patient(&server).memory().await.unwrap();
    let one = &told.biggest[0];
    assert_eq!(
        (one.elements, one.estimated_from, told.estimates),
        (Some(150_000), Some(10_000), 1)
    );
    let usage = ["MEMORY", "USAGE", "positions:all", "SAMPLES", "0"];
    let bytes: u64 = tell(&mut app, &usage).await;
    assert!(one.bytes.abs_diff(bytes) < bytes / 20, "{one:?}, {bytes}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_database_that_may_not_be_chosen_is_named() {
    let server = Redis::start(&[]).await;
    let mut app = server.client(None).await;
    let user = [
        "ACL", "SETUSER", "bot", "on", ">right", "~*", "+@all", "-select", "-hlen",
    ];
    let _: () = tell(&mut app, &user).await;
    let _: () = tell(&mut app, &["HSET", "fx:a", "a", "1"]).await;
    let _: () = tell(&mut app, &["SELECT", "4"]).await;
    set(&mut app, b"sess:1", 200_000).await;
    let bot = probe(format!("redis://bot@{}", server.address()), Some("right"));
    let found = bot.keys("sess:").await.unwrap();
    assert_eq!((found.matched, found.complete), (0, false));
    assert_eq!((found.databases.as_slice(), found.scanned), (&[0][..], 1));
    let why = &found.missing[0];
    assert!(why.starts_with("Database 4 was not looked at: "), "{why}");
    assert!(why.contains("'select'") && why.contains("+select"), "{why}");

    let told = bot.memory().await.unwrap();
    assert_eq!((told.keys, told.sampled, told.complete), (2, 1, false));
    assert!(told.missing.contains(why), "{told:?}");
    // How many elements a hash has, this user may not know either.
    assert_eq!((told.estimates, told.biggest[0].elements), (1, None));
    let hlen = |one: &String| one.contains("'hlen'");
    assert!(told.missing.iter().any(hlen), "{told:?}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_cluster_with_numbered_databases_is_looked_at_whole() {
    let options = ["--cluster-databases", "16"];
    let nodes = Redis::cluster_of(&newest_valkey(), 1, 5_000, &options).await;
    let mut app = nodes[0].client(None).await;
    set(&mut app, b"a:1", 10).await;
    let _: () = tell(&mut app, &["SELECT", "3"]).await;
    for n in 0..8 {
        set(&mut app, format!("b:{n}").as_bytes(), 10).await;
    }
    let bot = patient(&nodes[0]);
    assert_eq!(bot.keys("b:").await.unwrap().matched, 8);
    let told = bot.memory().await.unwrap();
    assert_eq!((told.sampled, told.complete), (9, true));
    assert_eq!(told.databases, [0, 3]);
    assert_eq!(bot.summary().await.unwrap().keys, 9);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_rewrite_of_the_append_only_file_that_fails_is_told() {
    for program in programs() {
        let server = Redis::start_of(&program, &["--appendonly", "yes"]).await;
        let bot = patient(&server);
        let calm = bot.summary().await.unwrap();
        assert_eq!((calm.rewrite_failed, calm.warnings.len()), (false, 0));
        // It has nowhere to write to.
        std::fs::remove_dir_all(server.folder()).unwrap();
        let mut app = server.client(None).await;
        let _: redis::RedisResult<()> = try_tell(&mut app, &["BGREWRITEAOF"]).await;
        let status = async || server.info("aof_last_bgrewrite_status").await;
        until(status, |status| status == "err").await;
        let summary = bot.summary().await.unwrap();
        assert!(summary.rewrite_failed, "{program:?}");
        let told = "The last rewrite of the append-only file failed";
        assert!(summary.warnings[0].starts_with(told), "{summary:?}");
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_replica_that_is_being_filled_is_one_and_is_not_broken() {
    for program in programs() {
        let name = program.to_string_lossy().into_owned();
        // Two channels at a time, where the server can.
        let channels: &[&str] = if name.contains("valkey") {
            &["--dual-channel-replication-enabled", "yes"]
        } else if name.contains("redis-server-8") {
            &["--repl-rdb-channel", "yes"]
        } else {
            &[]
        };
        let slow = [
            "--rdb-key-save-delay",
            "10000",
            "--repl-diskless-sync",
            "yes",
        ];
        let slow = [&slow[..], &["--repl-diskless-sync-delay", "0"], channels].concat();
        let master = Redis::start_of(&program, &slow).await;
        let mut app = master.client(None).await;
        let fill = "for n = 1, 300 do redis.call('SET', 'fx:' .. n, n) end";
        let _: () = tell(&mut app, &["EVAL", fill, "0"]).await;
        let port = master.port().to_string();
        let follow = [&["--replicaof", "127.0.0.1", &port], channels].concat();
        let replica = Redis::start_of(&program, &follow).await;

        let above = patient(&master);
        let summary = async || above.summary().await.unwrap();
        let told = until(summary, |told| told.syncing > 0).await;
        assert_eq!(
            (told.replicas, told.syncing, told.replication_ok),
            (1, 1, true)
        );
        let warned = "1 replica is being filled: it can't take over yet";
        assert_eq!(told.warnings, [warned], "{name}");
        assert_eq!(above.clients().await.unwrap().replicas, 1, "{name}");
        let below = patient(&replica);
        let filled = async || below.summary().await.unwrap();
        let told = until(filled, |told| told.syncing > 0).await;
        assert!(told.replication_ok, "{told:?}");
        assert_eq!(
            told.warnings,
            ["This replica is being filled: it can't take over yet"]
        );

        // It is there: no client, and marked as what it is.
        let whole = |told: &CacheSummary| (told.replicas, told.syncing) == (1, 0);
        let told = until(summary, whole).await;
        assert_eq!((told.warnings.len(), told.replication_ok), (0, true));
        let clients = above.clients().await.unwrap();
        let truth = master.info("connected_clients").await;
        // The reader of that is one more.
        let truth: u64 = truth.parse().unwrap();
        assert_eq!(clients.connected + 1, truth, "{clients:?}");
        let kinds = clients.list.iter().filter(|one| one.kind == "replica");
        assert_eq!((clients.replicas, kinds.count()), (1, 1), "{clients:?}");
    }
}

/// Sizes, largest first, as the server lists them.
async fn sizes(app: &mut MultiplexedConnection, what: &str) -> Vec<u64> {
    let rows: Vec<redis::Value> = tell(app, &["COMMANDLOG", "GET", "-1", what]).await;
    let size = |row: redis::Value| match row {
        redis::Value::Array(fields) => redis::from_redis_value(fields[2].clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    let mut sizes: Vec<u64> = rows.into_iter().map(size).collect();
    sizes.sort_by_key(|bytes| std::cmp::Reverse(*bytes));
    sizes
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn large_requests_and_replies_are_told_where_they_are_kept() {
    for program in programs() {
        let server = Redis::start_of(&program, &[]).await;
        let mut app = server.client(None).await;
        for n in 2..5 {
            let key = format!("report:{n}");
            set(&mut app, key.as_bytes(), n * 1_000_000).await;
            let _: String = tell(&mut app, &["GET", &key]).await;
        }
        let log: SlowLog = patient(&server).slowlog().await.unwrap();
        assert_eq!(log.missing, Vec::<String>::new());
        if !program.to_string_lossy().contains("valkey") {
            assert_eq!((log.large_requests, log.large_replies), (None, None));
            continue;
        }
        for (told, what, first) in [
            (log.large_requests, "large-request", "SET report:4 +1"),
            (log.large_replies, "large-reply", "GET report:4"),
        ] {
            let told = told.expect("it keeps them");
            assert_eq!(told.threshold_bytes, Some(1 << 20));
            let bytes: Vec<u64> = told.entries.iter().map(|one| one.bytes).collect();
            assert_eq!(bytes, sizes(&mut app, what).await, "{program:?}");
            assert_eq!(told.entries.len(), 3, "{what}");
            assert_eq!(told.entries[0].recorded.to_string(), first);
        }
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn questions_at_the_same_time_do_not_mix_up_their_databases() {
    let server = Redis::start(&[]).await;
    let mut app = server.client(None).await;
    for database in 0..8 {
        let _: () = tell(&mut app, &["SELECT", &database.to_string()]).await;
        for n in 0..700 {
            set(&mut app, format!("d{database}:{n}").as_bytes(), 10).await;
        }
    }
    // Long enough that all are looked at by so many at once.
    let bot = probe_of(server.url(), None, None, Duration::from_secs(120));
    let searches = (0..8).map(|database| {
        let bot = &bot;
        async move {
            let found = bot.keys(&format!("d{database}:")).await.unwrap();
            assert!(found.keys.iter().all(|one| one.database == database));
            assert_eq!((found.matched, found.scanned), (700, 5_600));
            bot.memory().await.unwrap().sampled
        }
    });
    let sampled = futures_util::future::join_all(searches).await;
    assert_eq!(sampled, [5_600; 8]);
}
