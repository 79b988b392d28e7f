//! What all pages share: the frame, small marks, and the policy that goes with them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::bot::pages::Visitor;
use crate::domain::duration::{self, between, canonical, utc_text};
use crate::domain::{Severity, Status};

const STYLE: &str = include_str!("style.css");

/// How often a page of something open is fetched anew, seconds.
pub(super) const REFRESH: u32 = 15;

/// Nothing but our own style (by its digest), no script, no frame around it, forms only to here.
pub(super) fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; style-src 'sha256-{}'; img-src data:; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
            BASE64.encode(Sha256::digest(STYLE))
        )
    });
    &POLICY
}

/// A whole page. `refresh`: it is fetched anew by itself.
pub(super) fn frame(title: &str, refresh: bool, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex, nofollow";
                @if refresh { meta http-equiv="refresh" content=(REFRESH); }
                // Browsers ask for one anyway.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

/// A page that says one thing.
pub(super) fn notice(title: &str, heading: &str, body: Markup) -> Markup {
    frame(
        title,
        false,
        html! { main.notice { h1 { (heading) } (body) } },
    )
}

/// The same in a sentence.
pub(super) fn plain(title: &str, text: &str) -> Markup {
    let body = html! {
        p { (text) }
        p { a href="/incidents" { "All incidents" } }
    };
    notice(title, title, body)
}

/// The end of a page: who reads, how to act, and the way out.
pub(super) fn foot(visitor: &Visitor, command: &str, now: Timestamp) -> Markup {
    html! {
        footer {
            p {
                "This page only reads. To do something, type it in Slack: "
                code { (command) " help" }
                ". When Slack is down: "
                code { "treasury-bot exec \"help\"" }
                " on the bot's machine."
            }
            form.account method="post" action="/incidents/sign-out" {
                span {
                    "As of " (moment(now)) ". Signed in as " bdi { strong { (visitor.person.name) } }
                    " until " (moment(visitor.until)) "."
                }
                input type="hidden" name="check" value=(visitor.check);
                button type="submit" { "Sign out" }
            }
        }
    }
}

/// The badge of a severity.
pub(super) fn severity(severity: Severity) -> Markup {
    let class = match severity {
        Severity::Sev1 => "badge sev1",
        Severity::Sev2 => "badge sev2",
        Severity::Sev3 => "badge sev3",
        Severity::Sev4 => "badge sev4",
    };
    html! { span class=(class) { (severity) } }
}

/// The badge of a status; its colour is never all that tells it.
pub(super) fn status(status: Status) -> Markup {
    let class = match status {
        Status::Open => "badge open",
        Status::Mitigated => "badge mitigated",
        Status::Resolved | Status::Closed => "badge over",
    };
    html! { span class=(class) { (status) } }
}

/// A moment, UTC.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(canonical(at)) { (utc_text(at)) } }
}

/// `12m ago`.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(canonical(at)) title=(utc_text(at)) {
            (duration::text(whole(between(at, now)))) " ago"
        }
    }
}

/// For how long, without parts of a second.
pub(super) fn lasting(since: Timestamp, until: Timestamp) -> String {
    duration::text(whole(between(since, until)))
}

fn whole(duration: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(duration.as_secs().max(1))
}

/// Whether the page refreshes by itself, and the way to change that.
pub(super) fn refreshing(on: bool, here: &str) -> Markup {
    html! {
        p.refresh {
            @if on {
                "Refreshes every " (REFRESH) " s. "
                a href={ (here) "refresh=off" } { "Stop" }
            } @else {
                "Does not refresh by itself. "
                a href=(here.trim_end_matches(['?', '&'])) { "Refresh every " (REFRESH) " s" }
            }
        }
    }
}
