//! One request as far as it came, and within what bounds it is made.

use std::fmt;
use std::time::Duration;

use hyper::Response;
use tokio::time::{Instant, timeout_at};

use super::answer::WebCheck;
use super::delivery;
use super::guard::Guard;
use super::trust::Roots;
use crate::{ProbeError, ProbeErrorKind};

/// Whom a request may ask, whom it trusts, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) guard: &'a Guard,
    pub(super) roots: &'a Roots,
    /// All has to be over by then.
    pub(super) deadline: Instant,
    /// The whole time there was, for the words about a time-out.
    pub(super) timeout: Duration,
}

/// What went wrong, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: ProbeErrorKind,
    pub(super) text: String,
    /// It is the bot that can't; others may.
    pub(super) ours: bool,
}

impl Problem {
    pub(super) fn new(kind: ProbeErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            ours: false,
        }
    }

    /// What the bot can't do, so that nothing is known of the server.
    pub(super) fn ours(text: impl Into<String>) -> Self {
        Self {
            ours: true,
            ..Self::new(ProbeErrorKind::Unsupported, text)
        }
    }
}

/// As far as a request came.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// What is known of the answer by then.
    pub(super) check: WebCheck,
    pub(super) head: Option<Response<()>>,
    pub(super) problem: Option<Problem>,
    /// The guard said no: nothing was connected to.
    pub(super) refused: Option<ProbeError>,
}

impl Attempt {
    /// Where the answer leads, if it is a redirect.
    pub(super) fn location(&self) -> Option<String> {
        let head = self.head.as_ref()?;
        delivery::redirect(head.status().as_u16(), head.headers())
    }
}

/// Where a request is while it waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Dns,
    Connect,
    Tls,
    FirstByte,
    Head,
    Body,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "resolving the name (DNS)",
            Self::Connect => "connecting",
            Self::Tls => "agreeing on TLS",
            Self::FirstByte => "waiting for the first byte",
            Self::Head => "reading the headers",
            Self::Body => "reading the body",
        })
    }
}

/// Waits for a step at most until the deadline.
pub(super) async fn within<T>(
    step: Step,
    bounds: Bounds<'_>,
    work: impl Future<Output = T>,
) -> Result<T, Problem> {
    timeout_at(bounds.deadline, work)
        .await
        .map_err(|_| late(step, bounds))
}

pub(super) fn late(step: Step, bounds: Bounds<'_>) -> Problem {
    Problem::new(
        ProbeErrorKind::Timeout,
        format!(
            "no answer within {} s; the time ran out while {step}",
            bounds.timeout.as_secs_f64()
        ),
    )
}

/// The time since then in milliseconds.
pub(super) fn ms_since(began: Instant) -> f64 {
    ms(began.elapsed())
}

/// A length of time in milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    // Tenths of a microsecond are noise.
    (time.as_secs_f64() * 1e6).round() / 1e3
}
