//! What was found, made into an answer: the verdict and the warnings. Pure.

use hyper::Response;
use url::Url;

use super::answer::{Certificate, HeaderCheck, WebCheck};
use super::attempt::Problem;
use super::certificate::span;
use super::visit::Visit;
use super::{delivery, headers};
use crate::ProbeErrorKind;

/// Warnings that are told.
const MAX_WARNINGS: usize = 12;
/// A certificate with fewer days left should be renewed now.
const URGENT_DAYS: i64 = 14;
/// A certificate with fewer days left should have been renewed by a machine.
const SOON_DAYS: i64 = 30;
/// A first byte after this is slow, milliseconds.
const SLOW_FIRST_BYTE: f64 = 1_000.0;

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
struct Warnings(Vec<(Weight, String)>);

impl Warnings {
    fn add(&mut self, weight: Weight, text: impl Into<String>) {
        self.0.push((weight, text.into()));
    }

    /// Worst first.
    fn sorted(mut self) -> Vec<String> {
        // The sort is stable: equals stay in the order found.
        self.0.sort_by_key(|(weight, _)| *weight);
        self.0.truncate(MAX_WARNINGS);
        self.0.into_iter().map(|(_, text)| text).collect()
    }
}

/// Makes the answer.
pub(super) fn judge(url: &Url, visit: Visit, https_enforced: Option<bool>) -> WebCheck {
    let https = visit.url.scheme() == "https";
    let attempt = visit.attempt;
    let head = attempt.head.as_ref();
    let mut problem = attempt.problem;
    // What the server says of itself is known.
    if problem.as_ref().is_none_or(|problem| problem.ours) {
        problem = head.and_then(bad_status).or(problem);
    }
    let mut check = WebCheck {
        url: url.to_string(),
        up: match &problem {
            None => Some(head.is_some()),
            Some(problem) => (!problem.ours).then_some(false),
        },
        problem_kind: problem.as_ref().map(|problem| problem.kind),
        problem: problem.map(|problem| problem.text),
        redirects: visit.redirects,
        https_enforced,
        total_ms: attempt.check.total_ms.filter(|_| head.is_some()),
        ..attempt.check
    };
    if let Some(head) = head {
        let headers = head.headers();
        check.status = Some(head.status().as_u16());
        check.security = headers::security(headers, https);
        check.compression = delivery::compression(headers);
        check.cache = delivery::cache(headers);
        check.server = headers::value(headers, "server")
            .map(|server| headers::printable(&server, headers::VALUE_CHARS));
    }
    let absent = check.security.iter().filter(|one| !one.present);
    check.security_missing = absent.count() as u64;
    let mut warnings = Warnings::default();
    for host in visit.downgrades {
        let text = format!("a redirect of {host} leads from https back to http");
        warnings.add(Weight::Unsafe, text);
    }
    warn(&mut warnings, &check, head, https);
    check.warnings = warnings.sorted();
    check
}

/// 4xx and 5xx are not up.
fn bad_status(head: &Response<()>) -> Option<Problem> {
    let status = head.status();
    (!status.is_success() && !status.is_redirection())
        .then(|| Problem::new(ProbeErrorKind::Failed, format!("it answered {status}")))
}

fn warn(warnings: &mut Warnings, check: &WebCheck, head: Option<&Response<()>>, https: bool) {
    if let Some(problem) = &check.problem {
        warnings.add(Weight::Broken, problem.clone());
    }
    for (url, certificate) in check.certificates().filter(|(_, one)| one.valid) {
        let before = url.and_then(|url| Url::parse(url).ok());
        let host = before.as_ref().and_then(Url::host_str);
        expiry(host, certificate, warnings);
    }
    if check.https_enforced == Some(false) {
        warnings.add(
            Weight::Unsafe,
            "http:// of this host is answered without leading to https",
        );
    }
    if head.is_some() && !https {
        warnings.add(Weight::Unsafe, "the answer comes unencrypted (http)");
    }
    let names = |wanted: fn(&&HeaderCheck) -> bool| {
        let names = check.security.iter().filter(wanted);
        let names: Vec<_> = names.map(|one| one.name.as_str()).collect();
        names.join(", ")
    };
    let missing = names(|one| !one.present);
    if !missing.is_empty() {
        // Without HSTS the first request can be caught.
        let weight = if missing.contains("Strict-Transport-Security") {
            Weight::Unsafe
        } else {
            Weight::Weak
        };
        warnings.add(weight, format!("missing security headers: {missing}"));
    }
    let weak = names(|one| one.present && !one.good);
    if !weak.is_empty() {
        warnings.add(Weight::Weak, format!("weak security headers: {weak}"));
    }
    if let Some(head) = head {
        for version in headers::versions(head.headers()) {
            warnings.add(Weight::Hint, format!("tells its version ({version})"));
        }
        if check.compression.is_none()
            && delivery::worth_compressing(head.headers(), check.body_bytes)
        {
            warnings.add(
                Weight::Hint,
                "not compressed, though br, gzip and zstd were offered",
            );
        }
    }
    if let Some(ms) = check.first_byte_ms.filter(|ms| *ms >= SLOW_FIRST_BYTE) {
        let text = format!("slow: the first byte came after {:.1} s", ms / 1_000.0);
        warnings.add(Weight::Weak, text);
    }
}

fn expiry(before: Option<&str>, certificate: &Certificate, warnings: &mut Warnings) {
    let days = certificate.days_left;
    let weight = if days < URGENT_DAYS {
        Weight::Urgent
    } else if days < SOON_DAYS {
        Weight::Weak
    } else {
        return;
    };
    let which = certificate.ends_first.as_deref();
    let which = which.unwrap_or("the certificate");
    let of = before.map_or(String::new(), |host| format!(" of {host} (a redirect)"));
    let left = span(certificate.left_s);
    let text = format!("{which}{of} expires in {left}");
    // Several hops of one host show the same.
    if !warnings.0.iter().any(|(_, told)| *told == text) {
        warnings.add(weight, text);
    }
}
