//! nginx: as a cache in front of a server, and as a site that wants its cookie back.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use treasury_bot::probe::web::CacheVerdict;

use super::server::{Script, Server, answer};
use super::web;
use crate::support::free_port;

/// An nginx with a throw-away configuration, ended when dropped.
struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn before(origin: &Server) -> Self {
        Self::serves(&format!(
            "location / {{
               proxy_pass http://{};
               proxy_set_header Accept-Encoding \"\";
               proxy_cache web; proxy_cache_valid 200 1m;
               add_header X-Cache-Status $upstream_cache_status always;
             }}",
            origin.address()
        ))
        .await
    }

    /// With these locations.
    async fn serves(locations: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let root = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 64; }}
             http {{
               access_log off;
               client_body_temp_path {root}/b; proxy_temp_path {root}/p;
               fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
               proxy_cache_path {root}/cache keys_zone=web:1m;
               gzip on; gzip_proxied any; gzip_min_length 256; gzip_types text/plain;
               server {{ listen 127.0.0.1:{port}; {locations} }}
             }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nginx can be started");
        let nginx = Self {
            child,
            port,
            _folder: folder,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            assert!(Instant::now() < deadline, "nginx did not come up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        nginx
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Already gone is as good; the test itself tells what is wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_cache_misses_and_then_hits() {
    let origin = Server::plain(Script::Once(answer(
        "200 OK",
        &["Content-Type: text/html; charset=utf-8"],
        &"<p>all quiet in the treasury</p>".repeat(200),
    )))
    .await;
    let nginx = Nginx::before(&origin).await;
    let web = web();

    let first = web.check(&nginx.url("/rates")).await.unwrap();
    println!("{first:#?}");
    assert_eq!(first.up, Some(true));
    assert_eq!(first.cache.verdict, CacheVerdict::Miss);
    assert_eq!(first.cache.by, "X-Cache-Status");

    let second = web.check(&nginx.url("/rates")).await.unwrap();
    assert_eq!(second.cache.verdict, CacheVerdict::Hit);
    assert_eq!(second.compression.as_deref(), Some("gzip"));
    assert!(second.body_complete);
    assert!(
        second.body_bytes < 6_400 / 4,
        "{} bytes are what came over the wire",
        second.body_bytes
    );
    assert!(second.warnings.iter().any(|w| w.contains("Server: nginx/")));
    assert_eq!(origin.asked().len(), 1, "the cache answered the second");

    let set = web
        .check_all(&[
            nginx.url("/rates"),
            nginx.url("/rates"),
            nginx.url("/rates"),
            nginx.url("/positions"),
            origin.url("/mute"),
        ])
        .await;
    assert_eq!(set.up, 5);
    assert_eq!(
        set.hit_percent,
        Some(75.0),
        "the origin itself tells nothing"
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_site_that_sets_a_cookie_and_leads_to_itself_is_up_and_one_that_never_ends_is_not() {
    let nginx = Nginx::serves(
        "location /shop {
           if ($cookie_seen = \"\") {
             add_header Set-Cookie \"seen=1; Path=/; HttpOnly\";
             return 302 /shop?from=itself;
           }
           return 200 there;
         }
         location /maze {
           add_header Set-Cookie \"lost=1; Path=/\";
           return 302 /maze;
         }",
    )
    .await;
    let check = web().check(&nginx.url("/shop?from=itself")).await.unwrap();
    println!("{check:#?}");
    assert_eq!((check.up, check.status), (Some(true), Some(200)));
    assert_eq!(check.redirects.len(), 1);
    // The next check begins without it, as a new visitor does.
    let again = web().check(&nginx.url("/shop")).await.unwrap();
    assert_eq!(again.redirects.len(), 1);

    let maze = web().check(&nginx.url("/maze")).await.unwrap();
    assert_eq!(maze.up, Some(false));
    let problem = maze.problem.unwrap();
    assert!(problem.contains("in a circle"), "{problem}");
}
