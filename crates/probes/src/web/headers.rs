//! What the headers of an answer do for security. Pure.

use hyper::HeaderMap;

use super::answer::HeaderCheck;

/// Half a year in seconds, the least `max-age` of HSTS that is worth it.
const HSTS_SECONDS: u64 = 15_552_000;

/// Values are told up to this many characters.
pub(super) const VALUE_CHARS: usize = 200;

/// Text from outside made fit to be shown: no control characters, at most `max` characters.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut clean = text.chars().filter(|c| !c.is_control());
    let mut short: String = clean.by_ref().take(max).collect();
    if clean.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// All values of a header joined as HTTP says; `None` when it is not there.
pub(super) fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Judges the security headers; `https` says whether the answer came encrypted (HSTS is only heard
/// then, and left out otherwise).
pub(super) fn security(headers: &HeaderMap, https: bool) -> Vec<HeaderCheck> {
    let csp = value(headers, "content-security-policy");
    let report_only = headers.contains_key("content-security-policy-report-only");
    // The newer directive overrules the header where a browser knows both.
    let ancestors = csp.as_deref().and_then(|csp| {
        policies(csp).find_map(|policy| {
            directive(policy, "frame-ancestors").map(|v| format!("frame-ancestors {v}"))
        })
    });
    let csp_advice = match (&csp, report_only) {
        (None, true) => "it only reports: send it as Content-Security-Policy too",
        (None, false) => "send one, at least `default-src 'self'`",
        (Some(_), _) => "restrict `script-src` without 'unsafe-inline'; use nonces or hashes",
    };
    let check = |name: &str, good: fn(&str) -> bool, advice: &str| {
        let value = match (name, &ancestors) {
            ("X-Frame-Options", Some(ancestors)) => Some(ancestors.clone()),
            _ => value(headers, name),
        };
        let good = value.as_deref().is_some_and(good);
        HeaderCheck {
            name: name.to_owned(),
            present: value.is_some(),
            good,
            value: value.map(|value| printable(&value, VALUE_CHARS)),
            advice: (!good).then(|| advice.to_owned()),
        }
    };
    let mut checks = vec![
        check(
            "Strict-Transport-Security",
            hsts,
            "send `max-age=31536000; includeSubDomains`",
        ),
        check("Content-Security-Policy", scripts_restricted, csp_advice),
        check("X-Content-Type-Options", no_sniffing, "send `nosniff`"),
        check(
            "X-Frame-Options",
            no_framing,
            "send `DENY`, or `frame-ancestors 'none'` in the Content-Security-Policy",
        ),
        check(
            "Referrer-Policy",
            little_referrer,
            "send `strict-origin-when-cross-origin` or `no-referrer`",
        ),
        check(
            "Permissions-Policy",
            |value| value.contains('='),
            "send one, such as `camera=(), microphone=(), geolocation=()`",
        ),
    ];
    if !https {
        checks.remove(0);
    }
    checks
}

fn no_sniffing(value: &str) -> bool {
    let first = value.split(',').next().unwrap_or_default();
    first.trim().eq_ignore_ascii_case("nosniff")
}

fn no_framing(value: &str) -> bool {
    match value.strip_prefix("frame-ancestors ") {
        Some(sources) => !sources
            .split_ascii_whitespace()
            .any(|source| matches!(source, "*" | "http:" | "https:")),
        None => matches!(
            value.to_ascii_uppercase().as_str(),
            "DENY" | "SAMEORIGIN" | "DENY, DENY" | "SAMEORIGIN, SAMEORIGIN"
        ),
    }
}

fn little_referrer(value: &str) -> bool {
    // Browsers take the last word that they know.
    let last = value.rsplit(',').next().unwrap_or_default().trim();
    let last = last.to_ascii_lowercase();
    !matches!(&*last, "" | "unsafe-url" | "no-referrer-when-downgrade")
}

fn hsts(value: &str) -> bool {
    // Only the first header counts, and header values are joined with commas.
    value
        .split(',')
        .next()
        .unwrap_or_default()
        .split(';')
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u64>().ok())
        .is_some_and(|seconds| seconds >= HSTS_SECONDS)
}

fn policies(csp: &str) -> impl Iterator<Item = &str> {
    csp.split(',')
}

/// The value of a directive of one policy; the first of a name counts.
fn directive<'a>(policy: &'a str, name: &str) -> Option<&'a str> {
    policy.split(';').find_map(|part| {
        let part = part.trim();
        let (found, value) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// All policies apply, so that one that restricts scripts is enough.
fn scripts_restricted(csp: &str) -> bool {
    policies(csp).any(|policy| {
        let fallback = directive(policy, "script-src").or_else(|| directive(policy, "default-src"));
        let Some(sources) = directive(policy, "script-src-elem").or(fallback) else {
            return false;
        };
        let sources = sources.to_ascii_lowercase();
        let words = || sources.split_ascii_whitespace();
        // With a nonce or a hash browsers do not hear 'unsafe-inline'.
        let by_nonce = words().any(|word| {
            ["'nonce-", "'sha256-", "'sha384-", "'sha512-"]
                .iter()
                .any(|start| word.starts_with(start))
        });
        by_nonce || !words().any(|word| matches!(word, "'unsafe-inline'" | "*" | "data:"))
    })
}

/// Headers that tell an attacker the version of what answers, as `Server: nginx/1.18.0`.
pub(super) fn versions(headers: &HeaderMap) -> Vec<String> {
    ["Server", "X-Powered-By", "X-AspNet-Version"]
        .iter()
        .filter_map(|name| {
            let value = value(headers, name)?;
            value
                .contains(|c: char| c.is_ascii_digit())
                .then(|| format!("{name}: {}", printable(&value, 80)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (
                    name.to_ascii_lowercase().parse::<HeaderName>().unwrap(),
                    value.parse::<HeaderValue>().unwrap(),
                )
            })
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn each_security_header_is_judged_by_its_value() {
        let own =
            |(line, good): (&'static str, bool)| (line, line.split_once(": ").unwrap().0, good);
        let good = [
            "Strict-Transport-Security: max-age=15552000",
            "Strict-Transport-Security: includeSubDomains; Max-Age=\"31536000\"",
            "Content-Security-Policy: default-src 'self'",
            "Content-Security-Policy: default-src 'self'; style-src 'unsafe-inline'",
            "Content-Security-Policy: script-src 'unsafe-inline' 'nonce-r4nd0m'",
            "Content-Security-Policy: default-src 'unsafe-inline', script-src 'self'",
            "X-Content-Type-Options: nosniff",
            "X-Content-Type-Options: NoSniff",
            "X-Frame-Options: DENY",
            "X-Frame-Options: sameorigin",
            "Referrer-Policy: no-referrer",
            "Referrer-Policy: unsafe-url, strict-origin",
            "Permissions-Policy: camera=()",
        ];
        let bad = [
            "Strict-Transport-Security: max-age=15551999",
            "Strict-Transport-Security: max-age=0",
            "Strict-Transport-Security: yes",
            "Content-Security-Policy: script-src 'self' 'unsafe-inline'",
            "Content-Security-Policy: script-src 'self' 'UNSAFE-INLINE'",
            "Content-Security-Policy: default-src 'self'; script-src-elem 'unsafe-inline'",
            "Content-Security-Policy: script-src *",
            "Content-Security-Policy: img-src 'self'",
            "X-Content-Type-Options: none",
            "X-Frame-Options: ALLOW-FROM https://x.example",
            "Referrer-Policy: unsafe-url",
        ];
        let elsewhere = [
            (
                "Content-Security-Policy: frame-ancestors 'none'",
                "X-Frame-Options",
                true,
            ),
            (
                "Content-Security-Policy: frame-ancestors *",
                "X-Frame-Options",
                false,
            ),
        ];
        let cases = good.map(|line| (line, true)).into_iter();
        let cases = cases.chain(bad.map(|line| (line, false))).map(own);
        for (line, name, good) in cases.chain(elsewhere) {
            let checks = security(&headers(&[line]), true);
            let check = checks.iter().find(|check| check.name == name).unwrap();
            assert!(check.present, "{line}");
            assert_eq!(check.good, good, "{line}");
            assert_eq!(check.advice.is_none(), good, "{line}");
        }
    }

    #[test]
    fn a_header_that_is_not_there_is_told_with_advice() {
        let checks = security(&HeaderMap::new(), true);
        assert_eq!(checks.len(), 6);
        assert!(
            checks
                .iter()
                .all(|c| !c.present && !c.good && c.advice.is_some())
        );
        let plain = security(&HeaderMap::new(), false);
        assert_eq!(plain.len(), 5, "HSTS is not heard over http");
    }

    #[test]
    fn a_policy_that_only_reports_is_no_policy() {
        let lines = ["Content-Security-Policy-Report-Only: default-src 'self'"];
        let checks = security(&headers(&lines), true);
        assert!(!checks[1].present);
        assert!(
            checks[1]
                .advice
                .as_deref()
                .unwrap()
                .contains("only reports")
        );
    }

    #[test]
    fn values_are_short_and_clean() {
        let long = format!("Referrer-Policy: {}", "x".repeat(500));
        let checks = security(&headers(&[&long]), false);
        let value = checks.iter().find_map(|check| check.value.as_deref());
        assert_eq!(value.unwrap().chars().count(), 200);
        assert_eq!(printable("a\u{1b}[31mb\n", 200), "a[31mb");
    }

    #[test]
    fn a_version_number_is_told() {
        let found = versions(&headers(&["Server: nginx/1.18.0", "X-Powered-By: PHP/8.1"]));
        assert_eq!(found, ["Server: nginx/1.18.0", "X-Powered-By: PHP/8.1"]);
        assert!(versions(&headers(&["Server: nginx"])).is_empty());
    }
}
