//! The probe of web addresses against servers that this process runs itself, good ones and bad
//! ones, and against nginx.

mod certificate;
mod chain;
mod nginx;
mod openssl;
mod server;

use std::time::{Duration, Instant};

use treasury_bot::probe::ProbeErrorKind;
use treasury_bot::probe::web::{CacheVerdict, Config, Web, WebCheck};

use server::{Script, Server, answer};

/// A probe that may ask this machine.
fn web() -> Web {
    within(Duration::from_secs(5))
}

fn within(timeout: Duration) -> Web {
    Web::new(Config {
        timeout,
        extra_roots_pem: None,
        hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
    })
    .unwrap()
}

async fn check(server: &Server, path: &str) -> WebCheck {
    let check = web().check(&server.url(path)).await.unwrap();
    println!("{check:#?}");
    check
}

#[tokio::test]
async fn a_plain_answer_is_told_with_its_times() {
    let server = Server::plain(Script::Once(answer(
        "200 OK",
        &["Server: stub", "ETag: \"1\""],
        "hello",
    )))
    .await;
    let url = server
        .url("/health?x=1#part")
        .replace("127.0.0.1", "localhost");
    let check = web().check(&url).await.unwrap();

    assert_eq!(check.up, Some(true), "{check:#?}");
    assert_eq!(check.status, Some(200));
    assert_eq!(check.problem, None);
    assert!(check.addresses.contains(&"127.0.0.1".to_owned()));
    assert_eq!(check.address, Some(server.address()));
    assert_eq!((check.body_bytes, check.body_complete), (5, true));
    assert_eq!(check.http_version.as_deref(), Some("HTTP/1.1"));
    assert_eq!(check.server.as_deref(), Some("stub"));
    assert!(check.cache.etag);
    assert!(check.certificate.is_none() && check.tls_ms.is_none());
    let parts = check.dns_ms.unwrap() + check.connect_ms.unwrap() + check.first_byte_ms.unwrap();
    assert!(
        parts <= check.total_ms.unwrap(),
        "the parts are within the whole"
    );

    // What the server was asked: a GET without cookie, credentials and body.
    let asked = server.asked();
    assert!(
        asked[0].starts_with("GET /health?x=1 HTTP/1.1\r\n"),
        "{asked:?}"
    );
    let lower = asked[0].to_ascii_lowercase();
    assert!(lower.contains("user-agent: treasury-bot/"));
    assert!(lower.contains("accept-encoding: br, gzip, zstd"));
    for never in ["cookie", "authorization", "content-length", "referer"] {
        assert!(!lower.contains(never), "{never} was sent: {lower}");
    }
}

#[tokio::test]
async fn an_error_page_is_not_up() {
    let server = Server::plain(Script::Once(answer(
        "503 Service Unavailable",
        &[],
        "sorry",
    )))
    .await;
    let check = check(&server, "/").await;
    assert_eq!(check.up, Some(false));
    assert_eq!(check.status, Some(503));
    assert_eq!(
        check.problem.as_deref(),
        Some("it answered 503 Service Unavailable")
    );
    assert_eq!(check.problem_kind, Some(ProbeErrorKind::Failed));
    assert_eq!(check.warnings[0], "it answered 503 Service Unavailable");
}

#[tokio::test]
async fn nobody_listens() {
    let port = crate::support::free_port();
    let check = web()
        .check(&format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap();
    assert_eq!(check.up, Some(false));
    assert_eq!(check.problem_kind, Some(ProbeErrorKind::Connect));
    assert!(check.problem.unwrap().contains("nobody listens"));
}

#[tokio::test]
async fn a_name_without_an_address() {
    let web = Web::new(Config {
        timeout: Duration::from_secs(10),
        ..Config::default()
    })
    .unwrap();
    let check = web.check("http://nobody.invalid/").await.unwrap();
    assert_eq!(check.up, Some(false));
    // Where there is no DNS at all, it is silent instead.
    assert!(
        matches!(
            check.problem_kind,
            Some(ProbeErrorKind::Resolve | ProbeErrorKind::Timeout)
        ),
        "{check:#?}"
    );
}

#[tokio::test]
async fn this_machine_is_refused_to_a_chat() {
    let server = Server::plain(Script::Once(answer("200 OK", &[], "secret"))).await;
    let port = server.port();
    let listed_elsewhere = Web::new(Config {
        // The port is allowed by a listed host, the address is not.
        hosts: vec![format!("api.corp:{port}"), "8.8.8.8".to_owned()],
        ..Config::default()
    })
    .unwrap();
    for url in [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://0x7f.1:8080/",
        "http://2130706433:8443/",
        "https://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0/",
        &format!("http://127.0.0.1:{port}/"),
    ] {
        let error = listed_elsewhere.check(url).await.expect_err(url);
        assert_eq!(error.kind, ProbeErrorKind::Denied, "{url}: {error}");
        assert!(error.hint.contains("[check] hosts"), "{url}: {error}");
    }
    assert!(server.asked().is_empty(), "somebody came through");
}

#[tokio::test]
async fn redirects_are_followed_and_told() {
    let server = Server::plain(Script::Redirects(vec![
        ("/a", "302 Found", "/b?x=1".to_owned()),
        ("/b?x=1", "301 Moved Permanently", "c".to_owned()),
    ]))
    .await;
    let check = check(&server, "/a").await;
    assert_eq!(check.up, Some(true));
    let told: Vec<_> = check
        .redirects
        .iter()
        .map(|hop| (hop.status, hop.location.as_str()))
        .collect();
    assert_eq!(told, [(302, "/b?x=1"), (301, "c")]);
    assert_eq!(check.redirects[1].url, server.url("/b?x=1"));
    assert_eq!(check.url, server.url("/a"), "the address asked for");
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = Server::plain(Script::Redirects(vec![
        ("/a", "302 Found", "/b".to_owned()),
        ("/b", "302 Found", "/a".to_owned()),
    ]))
    .await;
    let check = check(&server, "/a").await;
    assert_eq!(check.up, Some(false));
    assert!(check.problem.unwrap().contains("in a circle"));
    assert!(check.warnings[0].contains("in a circle"));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn too_many_redirects_end() {
    let paths = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"];
    let steps = paths
        .windows(2)
        .map(|pair| (pair[0], "307 Temporary Redirect", pair[1].to_owned()))
        .collect();
    let server = Server::plain(Script::Redirects(steps)).await;
    let check = check(&server, "/0").await;
    assert_eq!(check.up, Some(false));
    assert_eq!(check.problem.as_deref(), Some("more than 5 redirects"));
    assert_eq!(check.redirects.len(), 5);
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn a_redirect_inwards_is_told_but_not_followed() {
    let inner = Server::plain(Script::Once(answer("200 OK", &[], "secret"))).await;
    let port = inner.port();
    for (place, word) in [
        // The same machine under a name that is not listed.
        (format!("http://127.0.0.2:{port}/"), "port"),
        ("http://127.0.0.2:8080/".to_owned(), "loopback"),
        ("http://169.254.169.254/latest/".to_owned(), "link-local"),
        ("http://[::ffff:10.0.0.1]/".to_owned(), "private"),
        ("file:///etc/passwd".to_owned(), "only http"),
        (format!("http://ana:geheim@127.0.0.1:{port}/"), "user name"),
    ] {
        let steps = vec![("/", "302 Found", place.clone())];
        let server = Server::plain(Script::Redirects(steps)).await;
        let check = check(&server, "/").await;
        assert_eq!(check.up, Some(false), "{place}");
        let problem = check.problem.unwrap();
        assert!(problem.contains("must not be asked"), "{place}: {problem}");
        assert!(problem.contains(word), "{place}: {problem}");
        assert_eq!(server.asked().len(), 1);
    }
    assert!(inner.asked().is_empty(), "the inner server was asked");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_no_more_than_the_time_out() {
    let server = Server::plain(Script::Silent).await;
    let started = Instant::now();
    let check = within(Duration::from_millis(400))
        .check(&server.url("/"))
        .await
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(check.up, Some(false));
    assert_eq!(check.problem_kind, Some(ProbeErrorKind::Timeout));
    let problem = check.problem.unwrap();
    assert!(
        problem.contains("while waiting for the first byte"),
        "{problem}"
    );
    assert!(check.connect_ms.is_some() && check.first_byte_ms.is_none());
}

#[tokio::test]
async fn a_server_that_says_nothing_to_tls() {
    let server = Server::plain(Script::Silent).await;
    let url = server.url("/").replace("http://", "https://");
    let check = within(Duration::from_millis(400))
        .check(&url)
        .await
        .unwrap();
    let problem = check.problem.unwrap();
    assert!(problem.contains("while agreeing on TLS"), "{problem}");
}

#[tokio::test]
async fn headers_byte_by_byte_do_not_stretch_the_time() {
    let server = Server::plain(Script::Dripping).await;
    let started = Instant::now();
    let check = within(Duration::from_millis(600))
        .check(&server.url("/"))
        .await
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(check.up, Some(false));
    let problem = check.problem.unwrap();
    assert!(problem.contains("while reading the headers"), "{problem}");
    assert!(check.first_byte_ms.is_some(), "the first byte did come");
}

#[tokio::test]
async fn of_a_big_body_only_two_mebibytes_are_read() {
    let server = Server::plain(Script::Big(10 * 1024 * 1024)).await;
    let check = check(&server, "/").await;
    assert_eq!(check.up, Some(true));
    assert_eq!(check.body_bytes, 2 * 1024 * 1024);
    assert!(!check.body_complete);
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let line = format!("X-Filler: {}", "x".repeat(1_000));
    let lines = vec![line.as_str(); 90];
    let server = Server::plain(Script::Once(answer("200 OK", &lines, ""))).await;
    let check = check(&server, "/").await;
    assert_eq!(check.up, Some(false));
    assert_eq!(
        check.problem.as_deref(),
        Some("its headers are too big (more than 64 KiB, or more than 100)")
    );
}

#[tokio::test]
async fn what_is_no_http_is_told() {
    for (bytes, word) in [
        ("SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "no HTTP"),
        ("", "closed the connection"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
            "broke off after 5 bytes",
        ),
    ] {
        let server = Server::plain(Script::Once(bytes.to_owned())).await;
        let check = check(&server, "/").await;
        assert_eq!(check.up, Some(false));
        let problem = check.problem.unwrap();
        assert!(problem.contains(word), "{bytes:?}: {problem}");
    }
    let server = Server::plain(Script::Once(answer("200 OK", &[], ""))).await;
    let url = server.url("/").replace("http://", "https://");
    let check = web().check(&url).await.unwrap();
    assert_eq!(check.problem_kind, Some(ProbeErrorKind::Tls));
}

#[tokio::test]
async fn weak_headers_are_told() {
    let server = Server::plain(Script::Once(answer(
        "200 OK",
        &[
            "Content-Type: text/html",
            "Server: nginx/1.18.0",
            "Content-Security-Policy: script-src 'unsafe-inline'",
            "X-Content-Type-Options: nosniff",
        ],
        &"<p>treasury</p>".repeat(100),
    )))
    .await;
    let check = check(&server, "/").await;
    assert_eq!(check.up, Some(true), "weak is not down");
    assert_eq!(check.security.len(), 5, "HSTS is not asked of http");
    assert_eq!(check.security_missing, 3);
    assert_eq!(
        check.warnings,
        [
            "the answer comes unencrypted (http)",
            "missing security headers: X-Frame-Options, Referrer-Policy, Permissions-Policy",
            "weak security headers: Content-Security-Policy",
            "tells its version (Server: nginx/1.18.0)",
            "not compressed, though br, gzip and zstd were offered",
        ]
    );
}

#[tokio::test]
async fn a_set_is_asked_at_once_and_in_order() {
    let slow = Server::plain(Script::Silent).await;
    let hit = Server::plain(Script::Once(answer("200 OK", &["X-Cache: HIT"], ""))).await;
    let miss = Server::plain(Script::Once(answer("200 OK", &["X-Cache: MISS"], ""))).await;
    let mute = Server::plain(Script::Once(answer("404 Not Found", &[], ""))).await;
    let urls = vec![
        slow.url("/1"),
        slow.url("/2"),
        slow.url("/3"),
        hit.url("/1"),
        hit.url("/2"),
        hit.url("/3"),
        miss.url("/"),
        mute.url("/"),
        "http://ana:geheim@10.0.0.1/".to_owned(),
    ];
    let started = Instant::now();
    let set = within(Duration::from_millis(700)).check_all(&urls).await;
    assert!(
        started.elapsed() < Duration::from_millis(2_000),
        "not one after another"
    );
    assert_eq!((set.up, set.down, set.refused, set.left_out), (4, 4, 1, 0));
    assert_eq!(set.hit_percent, Some(75.0));
    assert_eq!(
        set.results[3].check.as_ref().unwrap().cache.verdict,
        CacheVerdict::Hit
    );
    let refused = &set.results[8];
    assert!(refused.check.is_none() && refused.refused.is_some());
    let text = serde_json::to_string(&set).unwrap();
    assert!(!text.contains("geheim"), "the password was repeated");
    let back: treasury_bot::probe::web::WebSet = serde_json::from_str(&text).unwrap();
    assert_eq!(back, set);
}

#[tokio::test]
async fn a_set_is_bounded() {
    let urls = vec!["ftp://x/"; 130];
    let set = web().check_all(&urls).await;
    assert_eq!((set.results.len(), set.left_out), (100, 30));
    assert_eq!(set.hit_percent, None);
}
