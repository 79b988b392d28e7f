//! What stands between the bot and the answer: a full server, TLS, passwords, rights.

use std::time::Instant;

use treasury_bot::probe::ProbeErrorKind as Kind;
use treasury_bot::probe::cache::{Cache, ClientId};

use super::{PATIENCE, probe};
use crate::support::redis::{Redis, newest_valkey, tell};

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_server_without_a_free_connection_is_full_not_a_wrong_password() {
    for password in [None, Some("right")] {
        let options = password.map_or(vec![], |password| vec!["--requirepass", password]);
        let server = Redis::start(&options).await;
        let known = probe(server.url(), password);
        known.summary().await.unwrap();
        let mut app = server.client(password).await;
        let _: () = tell(&mut app, &["CONFIG", "SET", "maxclients", "2"]).await;
        // Several times: the server's words may come before or after the bot's first ones.
        for _ in 0..10 {
            let error = probe(server.url(), password).summary().await.unwrap_err();
            assert_eq!(error.kind, Kind::Full, "{error}");
            assert!(error.what.contains("max number of clients"), "{error}");
        }
        // A connection that was there before still answers.
        let summary = known.summary().await.unwrap();
        assert_eq!((summary.clients, summary.clients_max), (2, 2));
        assert!(summary.rejected >= 10, "{summary:?}");
        assert_eq!(
            summary.warnings[0], "2 of 2 client connections are in use",
            "{:?}",
            summary.warnings
        );
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn tls_asked_of_a_plain_server_is_told_as_that() {
    let server = Redis::start(&[]).await;
    let url = server.url().replace("redis:", "rediss:");
    let bot = probe(url, None);
    let began = Instant::now();
    let error = bot.summary().await.unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind, Kind::Tls, "{error}");
    assert!(error.what.contains("speaks no TLS"), "{error}");
    assert!(error.hint.contains("redis://"), "{error}");
    assert!(took < PATIENCE, "{took:?}");

    // A frozen one may or may not.
    server.signal("-STOP");
    let error = bot.summary().await.unwrap_err();
    server.signal("-CONT");
    assert_eq!(error.kind, Kind::Timeout, "{error}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_password_that_the_server_does_not_want_is_told_as_that() {
    let server = Redis::start(&[]).await;
    let error = probe(server.url(), Some("hunter2"))
        .summary()
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Authenticate, "{error}");
    assert!(error.what.contains("has no password"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn behind_a_password_all_databases_are_looked_at() {
    let server = Redis::start(&["--requirepass", "right"]).await;
    for wrong in [None, Some("hunter2")] {
        let error = probe(server.url(), wrong).summary().await.unwrap_err();
        assert_eq!(error.kind, Kind::Authenticate, "{wrong:?}: {error}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
    let mut app = server.client(Some("right")).await;
    let _: () = tell(&mut app, &["SELECT", "1"]).await;
    let _: () = tell(&mut app, &["SET", "only:here", "1"]).await;
    for database in [1, 0] {
        let bot = probe(
            format!("redis://{}/{database}", server.address()),
            Some("right"),
        );
        assert_eq!(bot.keys("only:").await.unwrap().matched, 1);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_user_of_few_rights_gets_a_summary_and_is_told_what_else_it_needs() {
    let server = Redis::start(&["--slowlog-log-slower-than", "0"]).await;
    let mut app = server.client(None).await;
    let user = ["ACL", "SETUSER", "bot", "on", ">right", "~*", "+info"];
    let _: () = tell(&mut app, &user).await;
    let url = |database| format!("redis://bot@{}/{database}", server.address());
    let bot = probe(url(0), Some("right"));

    // Neither CONFIG nor a name for the connection: a summary all the same.
    let summary = bot.summary().await.unwrap();
    assert_eq!(
        (summary.role.as_str(), summary.persistence.as_str()),
        ("master", "nothing")
    );
    for (error, command, right) in [
        (bot.memory().await.unwrap_err(), "'dbsize'", "+dbsize"),
        (bot.keys("a").await.unwrap_err(), "'dbsize'", "+dbsize"),
        (
            bot.slowlog().await.unwrap_err(),
            "'slowlog|get'",
            "+slowlog|get",
        ),
        (
            bot.clients().await.unwrap_err(),
            "'client|list'",
            "+client|list",
        ),
        (
            probe(url(1), Some("right")).summary().await.unwrap_err(),
            "'select'",
            "+select",
        ),
    ] {
        assert_eq!(error.kind, Kind::Denied, "{error}");
        assert!(error.what.contains(command), "{command} in {error}");
        let rule = error.hint.strip_prefix("ACL SETUSER bot ").unwrap();
        assert!(rule.split(' ').any(|word| word == right), "{error}");
    }

    // A slow log without CONFIG: the threshold is not known, which is not "none".
    let _: () = tell(&mut app, &["ACL", "SETUSER", "bot", "+slowlog|get"]).await;
    let log = bot.slowlog().await.unwrap();
    assert!(!log.threshold_known && !log.entries.is_empty(), "{log:?}");
    let all = probe(server.url(), None);
    let _: () = tell(
        &mut app,
        &["CONFIG", "SET", "slowlog-log-slower-than", "-1"],
    )
    .await;
    let log = all.slowlog().await.unwrap();
    assert_eq!((log.threshold_known, log.threshold_us), (true, None));

    // The advice, taken at its word, is enough for everything.
    let advice = bot.memory().await.unwrap_err().hint;
    let words: Vec<&str> = advice.split(' ').collect();
    let _: () = tell(&mut app, &words).await;
    let bot = probe(url(1), Some("right"));
    let log = bot.slowlog().await.unwrap();
    assert!(log.threshold_known, "{log:?}");
    bot.summary().await.unwrap();
    bot.memory().await.unwrap();
    bot.keys("a").await.unwrap();
    let clients = bot.clients().await.unwrap();
    let own = clients.list.iter().find(|one| one.own).expect("its number");
    let id = ClientId {
        id: own.id,
        server: None,
    };
    assert_eq!(bot.kill(&id).await.unwrap_err().kind, Kind::Unsupported);
}

#[tokio::test]
#[ignore = "needs the wheel of Valkey"]
async fn the_advice_names_the_log_that_only_some_servers_have() {
    let server = Redis::start_of(&newest_valkey(), &[]).await;
    let mut app = server.client(None).await;
    let user = ["ACL", "SETUSER", "bot", "on", ">right", "~*", "+info"];
    let _: () = tell(&mut app, &user).await;
    let bot = probe(format!("redis://bot@{}/0", server.address()), Some("right"));
    let advice = bot.rights().await.unwrap().hint.unwrap();
    let words: Vec<&str> = advice.split(' ').collect();
    let _: () = tell(&mut app, &words).await;
    let rights = bot.rights().await.unwrap();
    assert!(rights.lacking.is_empty(), "{rights:?}");
    bot.slowlog().await.unwrap();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn keys_that_the_user_may_not_touch_are_left_out_and_that_is_told() {
    let server = Redis::start(&[]).await;
    let mut app = server.client(None).await;
    let user = ["ACL", "SETUSER", "bot", "on", ">right", "~fx:*", "+@all"];
    let _: () = tell(&mut app, &user).await;
    for key in ["fx:eur", "fx:usd", "session:1"] {
        let _: () = tell(&mut app, &["SET", key, "1"]).await;
    }
    let bot = probe(format!("redis://bot@{}", server.address()), Some("right"));
    let sample = bot.memory().await.unwrap();
    assert_eq!(
        (sample.keys, sample.sampled, sample.complete),
        (3, 2, false)
    );
    assert!(sample.missing[0].contains("NOPERM"), "{sample:?}");
    let found = bot.keys("").await.unwrap();
    let told: Vec<_> = found
        .keys
        .iter()
        .map(|key| (key.key.as_str(), key.kind.as_str(), key.described))
        .collect();
    assert_eq!(
        told,
        [
            ("fx:eur", "string", true),
            ("fx:usd", "string", true),
            ("session:1", "unknown", false)
        ]
    );
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn somebody_with_the_bots_name_is_not_the_bot() {
    let server = Redis::start(&[]).await;
    let bot = probe(server.url(), None);
    let mut app = server.client(None).await;
    let _: () = tell(&mut app, &["CLIENT", "SETNAME", "treasury-bot"]).await;
    let id: u64 = tell(&mut app, &["CLIENT", "ID"]).await;
    let clients = bot.clients().await.unwrap();
    assert_eq!(clients.connected, 2);
    let own: Vec<bool> = clients.list.iter().map(|one| one.own).collect();
    assert!(own.contains(&true) && own.contains(&false), "{clients:?}");
    assert!(bot.kill(&ClientId { id, server: None }).await.unwrap());
}
