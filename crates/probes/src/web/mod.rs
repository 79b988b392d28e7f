//! Web addresses: are they up, how fast, how safe, and did a cache answer?
//!
//! The URL can come from chat: the module `guard` says what is never asked.

mod address;
mod answer;
mod attempt;
mod certificate;
mod cookies;
mod delivery;
mod exchange;
mod guard;
mod headers;
mod hop;
mod judge;
mod offer;
mod tls;
mod trust;
mod visit;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

pub use answer::{
    CacheInfo, CacheVerdict, Certificate, HeaderCheck, Hop, WebCheck, WebResult, WebSet,
};

pub use certificate::{good_until, span};

use super::ProbeError;
use attempt::Bounds;
use guard::Guard;
use trust::Roots;
use visit::{leads_to_https, shown, visit};

/// Addresses that are asked at the same time.
const AT_ONCE: usize = 20;
/// Addresses of one set.
const MAX_SET: usize = 100;
/// A check may never take longer.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Whether `http://` leads to `https://` is found out within this: a firewall may drop it silently,
/// and the answer should not wait for that.
const PLAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// How addresses are asked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The whole check of one address, redirects and all, ends within this; at most 60 s.
    pub timeout: Duration,
    /// Certificate authorities to trust besides those of the system, and servers' own certificates that
    /// nobody known has signed, as PEM.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Hosts that may be asked even when their addresses are private: `host`, `*.suffix`, an
    /// address, each with or without `:port`. Without a port, any port of it may be asked. A
    /// link-local address (a cloud's metadata) has to be listed itself.
    pub hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            extra_roots_pem: None,
            hosts: Vec::new(),
        }
    }
}

/// Asks web addresses. Sends no credentials, no body, and no cookies but those that the same check was
/// given on its way.
#[derive(Debug, Clone)]
pub struct Web {
    timeout: Duration,
    guard: Guard,
    roots: Roots,
}

impl Web {
    /// Reads the certificate authorities (the system's, and `extra_roots_pem`) and the hosts. A
    /// system without authorities is no error: then no certificate is valid.
    pub fn new(config: Config) -> Result<Self, ProbeError> {
        Ok(Self {
            timeout: config.timeout.min(MAX_TIMEOUT),
            guard: Guard::parse(&config.hosts)?,
            roots: Roots::load(config.extra_roots_pem.as_deref())?,
        })
    }

    /// Checks an address. `Err` only for what may not or can't be asked at all; a site that is down
    /// is an answer with `up: false`.
    pub async fn check(&self, url: &str) -> Result<WebCheck, ProbeError> {
        let url = self.guard.url(url)?;
        let bounds = self.bounds(self.timeout);
        let (visit, enforced) = tokio::join!(visit(url.clone(), bounds), self.https_enforced(&url));
        Ok(judge::judge(&url, visit?, enforced))
    }

    /// Connects, by TLS where the address says so, and says nothing: the certificate that was shown
    /// (judged, see [`Certificate::valid`]); none over http.
    pub async fn knock(&self, url: &str) -> Result<Option<Certificate>, ProbeError> {
        let url = self.guard.url(url)?;
        let attempt = hop::knock(&url, self.bounds(self.timeout)).await;
        match (attempt.refused, attempt.problem) {
            (Some(refused), _) => Err(refused),
            (None, Some(problem)) => Err(ProbeError::new(
                problem.kind,
                problem.text,
                "is the address right, and is it let through from here?",
            )),
            (None, None) => Ok(attempt.check.certificate),
        }
    }

    /// Does `http://` of the same host lead to https? `None` where it can't be told.
    async fn https_enforced(&self, url: &Url) -> Option<bool> {
        if url.scheme() != "https" || url.port().is_some() {
            return None;
        }
        let mut plain = url.clone();
        plain.set_scheme("http").ok()?;
        leads_to_https(plain, self.bounds(self.timeout.min(PLAIN_TIMEOUT))).await
    }

    fn bounds(&self, timeout: Duration) -> Bounds<'_> {
        Bounds {
            guard: &self.guard,
            roots: &self.roots,
            deadline: Instant::now() + timeout,
            timeout,
        }
    }

    /// Checks several addresses, at most 20 at the same time, at most 100 in all.
    pub async fn check_all<S: AsRef<str> + Sync>(&self, urls: &[S]) -> WebSet {
        let asked = &urls[..urls.len().min(MAX_SET)];
        let slots = Semaphore::new(AT_ONCE);
        let results: Vec<WebResult> = join_all(asked.iter().map(async |url| {
            // Never closed.
            let _slot = slots.acquire().await;
            self.one(url.as_ref()).await
        }))
        .await;
        let checks = || results.iter().filter_map(|result| result.check.as_ref());
        let verdicts = |verdict| checks().filter(|c| c.cache.verdict == verdict).count();
        let hits = verdicts(CacheVerdict::Hit);
        let judged = hits + verdicts(CacheVerdict::Miss);
        let of = |up| checks().filter(|check| check.up == up).count();
        let (up, down, unknown) = (of(Some(true)), of(Some(false)), of(None));
        let refused = results.len() - checks().count();
        WebSet {
            left_out: (urls.len() - asked.len()) as u64,
            up: up as u64,
            down: down as u64,
            unknown: unknown as u64,
            refused: refused as u64,
            hit_percent: (judged > 0).then(|| hits as f64 * 100.0 / judged as f64),
            results,
        }
    }

    async fn one(&self, url: &str) -> WebResult {
        match self.check(url).await {
            Ok(check) => WebResult {
                url: shown(&check.url),
                check: Some(check),
                refused: None,
                refused_kind: None,
            },
            Err(error) => WebResult {
                url: shown(url),
                check: None,
                refused: Some(error.to_string()),
                refused_kind: Some(error.kind),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server on a free port that answers once with these bytes.
    async fn server(head: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
        });
        port
    }

    async fn enforced(port: u16) -> Option<bool> {
        let web = Web::new(Config {
            hosts: vec![format!("127.0.0.1:{port}")],
            ..Config::default()
        })
        .unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        leads_to_https(
            Url::parse(&url).unwrap(),
            web.bounds(Duration::from_secs(5)),
        )
        .await
    }

    #[tokio::test]
    async fn http_leads_to_https_or_does_not() {
        for (head, told) in [
            (
                "HTTP/1.1 301 Moved\r\nLocation: https://x.example/\r\n\r\n",
                Some(true),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(false)),
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                Some(false),
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n",
                None,
            ),
            ("garbage\r\n\r\n", None),
        ] {
            assert_eq!(enforced(server(head).await).await, told, "{head}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_is_unencrypted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(enforced(port).await, Some(true));
    }

    #[test]
    fn a_refused_url_is_repeated_without_its_password() {
        for (text, repeated) in [
            ("ftp://x/@", "ftp://x/@"),
            ("example.com", "example.com"),
            ("http://ana:geheim@x/", "(a URL with credentials)"),
            ("ana:geheim@x", "(a URL with credentials)"),
        ] {
            assert_eq!(shown(text), repeated);
        }
    }
}
