//! How long certificates are good.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::finding::{Check, Finding, Group, Limit};
use super::reached::knock;
use crate::probe::web::{good_until, span};

const EXPIRY: Check = Check {
    id: "certificates.expiry",
    group: Group::Certificates,
    asks: "Are the certificates of all https addresses of the configuration, and the bot's own for \
           Docker, good for two more weeks?",
    mend: "renew the certificate",
};
pub(super) const CHECKS: &[Check] = &[EXPIRY];

/// Fewer days than this are a warning.
const SOON: i64 = 14;

/// Looks at the servers of these addresses (https), and at certificates that are at hand (PEM or DER),
/// each with its name. `roots`: further authorities.
pub(super) async fn look(
    urls: BTreeSet<String>,
    at_hand: Vec<(String, Vec<u8>)>,
    roots: Option<Vec<u8>>,
    limit: Limit,
) -> Vec<Finding> {
    let origin = |url: &String| Some(url::Url::parse(url).ok()?.origin().ascii_serialization());
    let origins: BTreeSet<String> = urls.iter().filter_map(origin).collect();
    let origins = origins
        .into_iter()
        .filter(|url| url.starts_with("https://"));
    let asked = origins.map(|origin| {
        let roots = roots.clone();
        async move {
            match limit.ask(knock(&origin, roots, limit)).await {
                Ok(Some(shown)) => {
                    let end = shown.good_until;
                    let of = shown.ends_first.map(|which| format!("{origin}: {which}"));
                    until(EXPIRY, &of.unwrap_or(origin), end)
                }
                Ok(None) => EXPIRY.unknown(&origin, "it showed none"),
                Err(fault) => EXPIRY.unknown(&origin, format!("not seen: {}", fault.what)),
            }
        }
    });
    let mut found = join_all(asked).await;
    for (subject, certificate) in at_hand {
        found.push(match good_until(&certificate) {
            Some(end) => until(EXPIRY, &subject, end),
            None => EXPIRY.unknown(&subject, "it can't be read"),
        });
    }
    found
}

/// How long one is good.
pub(super) fn until(check: Check, subject: &str, end: Timestamp) -> Finding {
    let left = end.duration_since(Timestamp::now());
    let days = left.as_hours().div_euclid(24);
    let day = end.strftime("%Y-%m-%d");
    if left.is_negative() {
        check.failed(subject, format!("it expired on {day}"))
    } else if days < SOON {
        let what = format!("it is good for {} more (until {day})", span(left.as_secs()));
        check.warning(subject, what)
    } else {
        check.ok(subject, format!("it is good until {day}"))
    }
}
