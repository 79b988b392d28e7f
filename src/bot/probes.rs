//! What is said of databases and caches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::services::Named;
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Tone, duration};
use crate::probe::database::Count;
use crate::probe::{ProbeError, ProbeErrorKind};

/// The state of a database or a cache, also when it is down.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "State")]
pub(in crate::bot) struct State<S> {
    /// The service it belongs to; its own name where the configuration names none.
    service: String,
    /// It answers.
    up: bool,
    /// Why not.
    problem: Option<String>,
    /// At which step it failed.
    problem_kind: Option<ProbeErrorKind>,
    /// All the rest, while it is up.
    #[serde(flatten)]
    summary: Option<S>,
}

impl<S> State<S> {
    /// It answers.
    pub(in crate::bot) fn up<P: ?Sized>(found: &Named<P>, summary: S) -> Self {
        Self {
            service: found.service.to_string(),
            up: true,
            problem: None,
            problem_kind: None,
            summary: Some(summary),
        }
    }

    /// It does not, with what is said of it. `again` asks once more.
    pub(in crate::bot) fn down<P: ?Sized>(
        context: &Context,
        found: &Named<P>,
        error: &ProbeError,
        again: String,
    ) -> (Self, Message) {
        let service = &found.service;
        let title = Line::new().code(&found.name).text(match error.kind {
            ProbeErrorKind::Full => " takes no more connections",
            ProbeErrorKind::Authenticate => " does not let me in",
            ProbeErrorKind::Starting => " is not ready",
            ProbeErrorKind::Timeout => " does not answer in time",
            _ => " can't be reached",
        });
        let mut also = vec![Button::new("Try again", again)];
        if context.catalogue().get(service).is_some() {
            also.push(Button::new("Status", format!("status {service}")));
            also.push(Button::new("Logs", format!("logs {service}")));
        }
        let message = Message::new(Tone::Bad, title)
            .text(format!("{}.", error.what))
            .text(Line::new().bold("Fix").text(format!(": {}", error.hint)))
            .buttons(also);
        let state = Self {
            service: service.to_string(),
            up: false,
            problem: Some(error.to_string()),
            problem_kind: Some(error.kind),
            summary: None,
        };
        (state, message)
    }
}

/// `active 3, idle 20, 2 others`.
pub(in crate::bot) fn counts(list: &[Count], most: usize) -> String {
    let mut parts: Vec<String> = list
        .iter()
        .take(most)
        .map(|one| {
            let name = if one.name.is_empty() {
                "(no name)"
            } else {
                &one.name
            };
            format!("{} {}", cut(name, 40), one.count)
        })
        .collect();
    let rest: u64 = list.iter().skip(most).map(|one| one.count).sum();
    if rest > 0 {
        parts.push(format!("others {rest}"));
    }
    if parts.is_empty() {
        "none".into()
    } else {
        parts.join(", ")
    }
}

/// `94.2 %`.
pub(in crate::bot) fn percent(value: Option<f64>) -> String {
    value.map_or("nothing read yet".into(), |value| format!("{value:.1} %"))
}

/// A time in ms, as people read it.
pub(in crate::bot) fn time(ms: u64) -> String {
    duration::text(std::time::Duration::from_millis(ms))
}
