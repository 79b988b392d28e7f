//! What a check of a web address tells. `_ms` are milliseconds, `_bytes` bytes, `_s` seconds.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ProbeErrorKind;

/// One web address as a visitor meets it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebCheck {
    /// The address asked for, in its normal form and without fragment.
    pub url: String,
    /// It answered 2xx (or a 3xx that leads nowhere else), and every certificate on the way is
    /// valid. `None`: the bot can't speak what the server offers, or can't verify its certificate,
    /// which visitors' programs may.
    pub up: Option<bool>,
    /// Status of the final answer; `None` when there was none.
    pub status: Option<u16>,
    /// Why it is not up, in plain words.
    pub problem: Option<String>,
    /// The step that failed.
    pub problem_kind: Option<ProbeErrorKind>,
    /// What the final host resolved to, at most 8.
    pub addresses: Vec<String>,
    /// The one that was connected to.
    pub address: Option<String>,
    /// Time to resolve the name; `None` for a literal address. This and the next four are of the
    /// final hop.
    pub dns_ms: Option<f64>,
    /// Time to connect.
    pub connect_ms: Option<f64>,
    /// Time of the TLS handshake.
    pub tls_ms: Option<f64>,
    /// From the request until the first byte of the answer.
    pub first_byte_ms: Option<f64>,
    /// From the first step until the end of the body (or its bound).
    pub total_ms: Option<f64>,
    /// Such as `HTTP/1.1`.
    pub http_version: Option<String>,
    /// Redirects that were followed, in order, at most 5.
    pub redirects: Vec<Hop>,
    /// The certificate of the final hop; `None` over http.
    pub certificate: Option<Certificate>,
    /// For an https address at the default port: `http://` of the same host leads to https, or
    /// nobody listens there. `None` where it could not be told.
    pub https_enforced: Option<bool>,
    /// The security headers of the final answer; empty when there was none.
    pub security: Vec<HeaderCheck>,
    /// How many of them are not there.
    pub security_missing: u64,
    /// Compression of the body, such as `gzip`; `None` for none although br, gzip and zstd were
    /// offered.
    pub compression: Option<String>,
    /// Size of the body as transferred; no more than 2 MiB are read.
    pub body_bytes: u64,
    /// The body was read to its end.
    pub body_complete: bool,
    /// What the headers tell of a cache on the way.
    pub cache: CacheInfo,
    /// The `Server` header, at most 200 characters.
    pub server: Option<String>,
    /// What is worth mending, worst first, at most 12.
    pub warnings: Vec<String>,
}

/// One redirect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The address that answered with it, at most 300 characters.
    pub url: String,
    /// Its status, such as 301.
    pub status: u16,
    /// Where it leads, as it says itself, at most 300 characters.
    pub location: String,
    /// Time of this hop.
    pub total_ms: f64,
    /// Its certificate; `None` over http.
    pub certificate: Option<Certificate>,
}

impl WebCheck {
    /// The certificates on the way, those before a redirect each with its address; the final one last.
    pub fn certificates(&self) -> impl Iterator<Item = (Option<&str>, &Certificate)> {
        let hops = self.redirects.iter();
        let before = hops.filter_map(|hop| Some((Some(&*hop.url), hop.certificate.as_ref()?)));
        let last = self.certificate.iter().map(|one| (None, one));
        before.chain(last)
    }
}

/// The certificate of a server, and how the connection is encrypted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Whom it is for, such as `CN=treasury.example`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Host names and addresses it is good for, at most 20.
    pub names: Vec<String>,
    /// Good from.
    pub not_before: Timestamp,
    /// Good until.
    pub not_after: Timestamp,
    /// The earliest end on its way to an authority: its own, an intermediate's or the root's. Of
    /// several ways the one that is good for the longest time.
    pub good_until: Timestamp,
    /// Which one ends first, if that is not the server's own, such as `the intermediate certificate
    /// CN=Issuing A`.
    pub ends_first: Option<String>,
    /// Whole days until `good_until`; negative once it is over.
    pub days_left: i64,
    /// Seconds until `good_until`; negative once it is over.
    pub left_s: i64,
    /// It is good for this host, now, and signed by an authority that the bot knows.
    pub valid: bool,
    /// `false`: it is signed in a way that the bot can't verify, so that whether it is good is not
    /// known.
    pub judged: bool,
    /// Why it is not valid, or not known to be.
    pub problem: Option<String>,
    /// Subjects of the chain as sent, leaf first, at most 10.
    pub chain: Vec<String>,
    /// Such as `TLSv1.3`; empty when the handshake did not come to its end.
    pub tls_version: String,
    /// Such as `TLS13_AES_256_GCM_SHA384`; `RSA key exchange` and the like where the bot can't speak it;
    /// empty when the handshake did not come to its end.
    pub cipher: String,
}

/// One security header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderCheck {
    /// Its name.
    pub name: String,
    /// It is there (for `X-Frame-Options`, or `frame-ancestors` in its place).
    pub present: bool,
    /// Its value protects.
    pub good: bool,
    /// Its value, at most 200 characters.
    pub value: Option<String>,
    /// What to do; `None` when it is good.
    pub advice: Option<String>,
}

/// Did a cache answer?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheVerdict {
    /// A cache answered from what it holds.
    Hit,
    /// A cache had to ask behind.
    Miss,
    /// The answer is not to be cached.
    Bypass,
    /// Nothing tells.
    #[default]
    Unknown,
}

/// What the headers tell of a cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheInfo {
    /// Did a cache answer?
    pub verdict: CacheVerdict,
    /// The header that told; empty for `unknown`.
    pub by: String,
    /// How long the answer had been kept.
    pub age_s: Option<u64>,
    /// `Cache-Control`, at most 200 characters.
    pub cache_control: Option<String>,
    /// There is an `ETag`.
    pub etag: bool,
    /// Headers about caches as they came (name, value).
    pub headers: Vec<(String, String)>,
}

/// Several addresses checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebSet {
    /// In the order asked, at most 100.
    pub results: Vec<WebResult>,
    /// Addresses beyond that bound, not asked.
    pub left_out: u64,
    /// How many are up.
    pub up: u64,
    /// How many were asked and are not up.
    pub down: u64,
    /// How many were asked without its being known whether they are up.
    pub unknown: u64,
    /// How many must not be asked.
    pub refused: u64,
    /// Cache hits in percent of those that told hit or miss; `None` when none told.
    pub hit_percent: Option<f64>,
}

/// One of several addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebResult {
    /// As asked, at most 300 characters; credentials in it are never repeated.
    pub url: String,
    /// What was found; `None` when it must not be asked.
    pub check: Option<WebCheck>,
    /// Why it must not be asked, and what to do.
    pub refused: Option<String>,
    /// The kind of that.
    pub refused_kind: Option<ProbeErrorKind>,
}
