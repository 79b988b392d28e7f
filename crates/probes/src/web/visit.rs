//! An address as a visitor meets it: its redirects are followed to the end.

use url::Url;

use super::answer::Hop;
use super::attempt::{Attempt, Bounds, Problem};
use super::cookies::Cookies;
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
    let mut cookies = Cookies::default();
    let mut seen = vec![(url.clone(), cookies.clone())];
    let (mut redirects, mut downgrades) = (Vec::new(), Vec::new());
    let mut first: Option<Problem> = None;
    loop {
        let mut attempt = hop::ask(&url, cookies.for_url(&url), bounds).await;
        if let Some(refused) = attempt.refused.take() {
            if redirects.is_empty() {
                return Err(refused);
            }
            let why = format!("a redirect leads to what must not be asked: {refused}");
            count(&mut first, Problem::new(ProbeErrorKind::Denied, why));
        }
        // A visitor's browser stops at the first bad certificate; the first problem counts.
        let certificate = attempt.check.certificate.as_ref();
        if let Some((one, why)) = certificate.and_then(|one| Some((one, one.problem.as_ref()?))) {
            let host = url.host_str().unwrap_or_default();
            let why = format!("the certificate of {host} {why}");
            let problem = if one.judged {
                Problem::new(ProbeErrorKind::Tls, why)
            } else {
                Problem::ours(why)
            };
            count(&mut first, problem);
        }
        if let Some(own) = attempt.problem.take() {
            count(&mut first, own);
        }
        if let Some(head) = &attempt.head {
            cookies.take(&url, head.headers());
        }
        let location = attempt.location();
        let next = location.and_then(|location| {
            let met = |next: &Url| seen.contains(&(next.clone(), cookies.clone()));
            match follow(&url, &location, met, redirects.len(), bounds) {
                Ok(next) => Some((next, location)),
                Err(own) => {
                    count(&mut first, own);
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
            certificate: attempt.check.certificate.take(),
        });
        if url.scheme() == "https" && next.scheme() == "http" {
            downgrades.push(url.host_str().unwrap_or_default().to_owned());
        }
        seen.push((next.clone(), cookies.clone()));
        url = next;
    }
}

/// The first problem counts; what is known counts more than what the bot can't do.
fn count(first: &mut Option<Problem>, problem: Problem) {
    if first.as_ref().is_none_or(|old| old.ours && !problem.ours) {
        *first = Some(problem);
    }
}

/// The next address of a redirect, if it may be followed. `met`: it was asked with the same cookies.
fn follow(
    from: &Url,
    location: &str,
    met: impl Fn(&Url) -> bool,
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
    if met(&next) {
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
        let attempt = hop::ask(&url, None, bounds).await;
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
