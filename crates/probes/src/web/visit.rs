//! An address as a visitor meets it: its redirects are followed to the end.

use url::Url;

use super::answer::Hop;
use super::attempt::{Attempt, Bounds, Problem};
use super::headers::printable;
use super::hop;
use crate::{ProbeError, ProbeErrorKind};

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Redirects that are followed to see whether `http://` leads to `https://`.
const MAX_PLAIN: usize = 3;
/// URLs are told up to this many characters.
const URL_CHARS: usize = 300;

/// A chain of redirects to its end.
pub(super) struct Visit {
    /// The final address.
    pub(super) url: Url,
    /// The final request. Its problem is the first of the whole chain.
    pub(super) attempt: Attempt,
    pub(super) redirects: Vec<Hop>,
    /// Hosts that led from https to http.
    pub(super) downgrades: Vec<String>,
}

/// A URL as it may be repeated.
pub(super) fn shown(url: &str) -> String {
    let parsed = Url::parse(url.trim());
    let clean = parsed
        .is_ok_and(|url| url.has_host() && url.username().is_empty() && url.password().is_none());
    if clean || !url.contains('@') {
        printable(url, URL_CHARS)
    } else {
        "(a URL with credentials)".to_owned()
    }
}

/// Follows redirects. `Err`: already the first address may not be asked.
pub(super) async fn visit(mut url: Url, bounds: Bounds<'_>) -> Result<Visit, ProbeError> {
    let mut seen = vec![url.clone()];
    let (mut redirects, mut downgrades) = (Vec::new(), Vec::new());
    let mut first: Option<Problem> = None;
    loop {
        let mut attempt = hop::ask(&url, bounds).await;
        if let Some(refused) = attempt.refused.take() {
            if redirects.is_empty() {
                return Err(refused);
            }
            let why = format!("a redirect leads to what must not be asked: {refused}");
            first.get_or_insert(Problem::new(ProbeErrorKind::Denied, why));
        }
        // A visitor's browser stops at the first bad certificate; the first problem counts.
        let certificate = attempt.check.certificate.as_ref();
        if let Some(why) = certificate.and_then(|one| one.problem.as_deref()) {
            let host = url.host_str().unwrap_or_default();
            let why = format!("the certificate of {host} {why}");
            first.get_or_insert(Problem::new(ProbeErrorKind::Tls, why));
        }
        if let Some(own) = attempt.problem.take() {
            first.get_or_insert(own);
        }
        let location = attempt.location();
        let next = location.and_then(|location| {
            match follow(&url, &location, &seen, redirects.len(), bounds) {
                Ok(next) => Some((next, location)),
                Err(own) => {
                    first.get_or_insert(own);
                    None
                }
            }
        });
        let (Some((next, location)), Some(head)) = (next, &attempt.head) else {
            attempt.problem = first;
            return Ok(Visit {
                url,
                attempt,
                redirects,
                downgrades,
            });
        };
        redirects.push(Hop {
            url: printable(url.as_str(), URL_CHARS),
            status: head.status().as_u16(),
            location: printable(&location, URL_CHARS),
            total_ms: attempt.check.total_ms.unwrap_or_default(),
        });
        if url.scheme() == "https" && next.scheme() == "http" {
            downgrades.push(url.host_str().unwrap_or_default().to_owned());
        }
        seen.push(next.clone());
        url = next;
    }
}

/// The next address of a redirect, if it may be followed.
fn follow(
    from: &Url,
    location: &str,
    seen: &[Url],
    followed: usize,
    bounds: Bounds<'_>,
) -> Result<Url, Problem> {
    let failed = |text: String| Problem::new(ProbeErrorKind::Failed, text);
    let next = from.join(location).map_err(|error| {
        let shown = shown(location);
        failed(format!(
            "a redirect leads nowhere: `{shown}` is no address ({error})"
        ))
    })?;
    let next = bounds.guard.url(next.as_str()).map_err(|error| {
        let why = format!("a redirect leads to what must not be asked: {error}");
        Problem::new(error.kind, why)
    })?;
    if seen.contains(&next) {
        let next = printable(next.as_str(), URL_CHARS);
        return Err(failed(format!("redirects run in a circle, back to {next}")));
    }
    if followed >= MAX_REDIRECTS {
        return Err(failed(format!("more than {MAX_REDIRECTS} redirects")));
    }
    Ok(next)
}

/// Does this `http://` address lead to https? `None` where it can't be told.
pub(super) async fn leads_to_https(mut url: Url, bounds: Bounds<'_>) -> Option<bool> {
    for hop in 0..MAX_PLAIN {
        let attempt = hop::ask(&url, bounds).await;
        if attempt.refused.is_some() {
            return None;
        }
        let Some(location) = attempt.location() else {
            return match attempt.problem {
                // Where nobody listens, nothing can be had unencrypted.
                Some(problem) if hop == 0 && problem.kind == ProbeErrorKind::Connect => Some(true),
                Some(_) if attempt.head.is_none() => None,
                _ => Some(false),
            };
        };
        let next = url.join(&location).ok()?;
        if next.scheme() == "https" {
            return Some(true);
        }
        url = bounds.guard.url(next.as_str()).ok()?;
    }
    Some(false)
}
