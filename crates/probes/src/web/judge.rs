//! What was found, made into an answer: the verdict and the warnings. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use url::Url;

use super::answer::{CacheInfo, Certificate, WebCheck};
use super::hop::{Asked, Problem};
use super::{Walk, delivery, headers};
use crate::ProbeErrorKind;

/// Addresses of a name that are told.
const MAX_ADDRESSES: usize = 8;
/// Warnings that are told.
const MAX_WARNINGS: usize = 12;
/// A certificate with fewer days left should be renewed now.
const URGENT_DAYS: i64 = 14;
/// A certificate with fewer days left should have been renewed by a machine.
const SOON_DAYS: i64 = 30;
/// A first byte after this is slow.
const SLOW_FIRST_BYTE: Duration = Duration::from_secs(1);

/// How bad a warning is; the order is the order of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Broken,
    Urgent,
    Unsafe,
    Weak,
    Hint,
}

/// Warnings while they are gathered.
#[derive(Debug, Default)]
pub(super) struct Warnings(Vec<(Weight, String)>);

impl Warnings {
    fn add(&mut self, weight: Weight, text: impl Into<String>) {
        self.0.push((weight, text.into()));
    }

    /// A redirect leads from https to http.
    pub(super) fn downgrade(&mut self, from: &Url) {
        let host = from.host_str().unwrap_or_default();
        self.add(
            Weight::Unsafe,
            format!("a redirect of {host} leads from https back to http"),
        );
    }

    /// Worst first.
    fn told(mut self) -> Vec<String> {
        // The sort is stable: equals stay in the order found.
        self.0.sort_by_key(|(weight, _)| *weight);
        self.0.truncate(MAX_WARNINGS);
        self.0.into_iter().map(|(_, text)| text).collect()
    }
}

/// A length of time in milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    // Tenths of a microsecond are noise.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Why the certificate of this address is not valid, if it is not.
pub(super) fn certificate_problem(url: &Url, certificate: Option<&Certificate>) -> Option<String> {
    let why = certificate?.problem.as_deref()?;
    Some(format!(
        "the certificate of {} {why}",
        url.host_str().unwrap_or_default()
    ))
}

/// Makes the answer.
pub(super) fn judge(url: &Url, walk: Walk, https_enforced: Option<bool>) -> WebCheck {
    let Walk {
        url: last,
        asked,
        redirects,
        problem,
        mut warnings,
    } = walk;
    let problem = problem.or_else(|| bad_status(&asked));
    let https = last.scheme() == "https";
    if let Some(problem) = &problem {
        warnings.add(Weight::Broken, problem.text.clone());
    }
    if let Some(certificate) = asked.certificate.as_ref().filter(|c| c.valid) {
        expiry(certificate, &mut warnings);
    }
    if https_enforced == Some(false) {
        warnings.add(
            Weight::Unsafe,
            "http:// of this host is answered without leading to https",
        );
    }
    let head = asked.head.as_ref();
    if head.is_some() && !https {
        warnings.add(Weight::Unsafe, "the answer comes unencrypted (http)");
    }
    let security = head
        .map(|head| headers::security(&head.headers, https))
        .unwrap_or_default();
    let absent = |name: &str| security.iter().any(|c| c.name == name && !c.present);
    let (missing, weak): (Vec<_>, Vec<_>) = security
        .iter()
        .filter(|check| !check.good)
        .partition(|check| !check.present);
    let list = |checks: &[&super::HeaderCheck]| {
        let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
        names.join(", ")
    };
    if !missing.is_empty() {
        // Without HSTS the first request can be caught.
        let weight = if absent("Strict-Transport-Security") {
            Weight::Unsafe
        } else {
            Weight::Weak
        };
        warnings.add(
            weight,
            format!("missing security headers: {}", list(&missing)),
        );
    }
    if !weak.is_empty() {
        warnings.add(
            Weight::Weak,
            format!("weak security headers: {}", list(&weak)),
        );
    }
    let compression = head.and_then(|head| delivery::compression(&head.headers));
    if let Some(head) = head {
        for version in headers::versions(&head.headers) {
            warnings.add(Weight::Hint, format!("tells its version ({version})"));
        }
        if compression.is_none() && delivery::worth_compressing(&head.headers, asked.body_bytes) {
            warnings.add(
                Weight::Hint,
                "not compressed, though br, gzip and zstd were offered",
            );
        }
    }
    if let Some(first) = asked.first_byte.filter(|first| *first >= SLOW_FIRST_BYTE) {
        warnings.add(
            Weight::Weak,
            format!(
                "slow: the first byte came after {:.1} s",
                first.as_secs_f64()
            ),
        );
    }
    WebCheck {
        url: url.to_string(),
        up: problem.is_none() && head.is_some(),
        status: head.map(|head| head.status.as_u16()),
        problem_kind: problem.as_ref().map(|problem| problem.kind),
        problem: problem.map(|problem| problem.text),
        addresses: asked
            .addresses
            .iter()
            .take(MAX_ADDRESSES)
            .map(IpAddr::to_string)
            .collect(),
        address: asked.address.as_ref().map(SocketAddr::to_string),
        dns_ms: asked.dns.map(ms),
        connect_ms: asked.connect.map(ms),
        tls_ms: asked.tls.map(ms),
        first_byte_ms: asked.first_byte.map(ms),
        total_ms: head.map(|_| ms(asked.total)),
        http_version: head.map(|head| head.version.clone()),
        redirects,
        https_enforced,
        security_missing: missing.len() as u64,
        compression,
        body_bytes: asked.body_bytes,
        body_complete: asked.body_complete,
        cache: head.map_or_else(CacheInfo::unknown, |head| delivery::cache(&head.headers)),
        server: head
            .and_then(|head| headers::value(&head.headers, "server"))
            .map(|server| headers::told(&server, headers::VALUE_CHARS)),
        warnings: warnings.told(),
        certificate: asked.certificate,
        security,
    }
}

/// 4xx and 5xx are not up.
fn bad_status(asked: &Asked) -> Option<Problem> {
    let status = asked.head.as_ref()?.status;
    (!status.is_success() && !status.is_redirection())
        .then(|| Problem::new(ProbeErrorKind::Failed, format!("it answered {status}")))
}

fn expiry(certificate: &Certificate, warnings: &mut Warnings) {
    let days = certificate.days_left;
    let weight = if days < URGENT_DAYS {
        Weight::Urgent
    } else if days < SOON_DAYS {
        Weight::Weak
    } else {
        return;
    };
    let unit = if days == 1 { "day" } else { "days" };
    warnings.add(weight, format!("the certificate expires in {days} {unit}"));
}
