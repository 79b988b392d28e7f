//! Alerts: what is reported, by whom, and what is known of it.

pub mod alertmanager;
mod body;
mod conversation;
mod counts;
pub mod generic;
mod route;
mod severity;
mod silence;
mod summary;
mod tracked;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use body::{Body, Reason};
pub use conversation::{AlertRecord, Conversation};
pub use counts::ReplicaCounts;
pub use route::{Auto, Matcher, Route, Routed, Routes};
pub use severity::severity_word;
pub use silence::{Piece as SilencePiece, Silence};
pub use summary::{Name, Summary, likely_cause};
pub use tracked::{Arrival, Damping, Flapping, Muted, Tracked, Transition};

/// One report of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Names the alert for ever: the same labels have the same fingerprint.
    pub fingerprint: String,
    /// It fires; otherwise it is resolved.
    pub firing: bool,
    /// Since when it fires (fired).
    pub starts_at: Timestamp,
    /// Since when it does not fire any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// What it is about; `alertname` is its name.
    pub labels: BTreeMap<String, String>,
    /// What is said of it, such as `summary`, `description`, `runbook`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where it comes from: `alertmanager`, `watch`, or the name of a generic source.
    pub source: String,
    /// Fields that this version does not know, kept as they came.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Alert {
    /// Sources of the bot's own; no generic one may be called so.
    pub const OWN_SOURCES: [&str; 3] = ["alertmanager", Self::WATCH, Self::HEARTBEAT];
    /// The bot's own alerts: what it sees for itself.
    pub const WATCH: &str = "watch";
    /// The source of alerts about heartbeats.
    pub const HEARTBEAT: &str = "heartbeat";

    /// The field of `other` that marks an event.
    pub(crate) const NO_END: &str = "no_end";

    /// A further report of a generic source of the same state is about the same time of firing:
    /// such sources tell when they report, or nothing, rather than since when it fires.
    pub fn after(mut self, known: &Self) -> Self {
        if !self.is_from_alertmanager()
            && self.source != Self::WATCH
            && self.firing == known.firing
            && self.starts_at >= known.starts_at
        {
            self.starts_at = known.starts_at;
            self.ends_at = known.ends_at;
        }
        self
    }

    /// Alertmanager sent it (or Grafana, which has its ways).
    pub fn is_from_alertmanager(&self) -> bool {
        self.source == "alertmanager"
    }

    /// The bot sees for itself whether it fires: nobody repeats it.
    pub fn is_the_bots_own(&self) -> bool {
        [Self::WATCH, Self::HEARTBEAT].contains(&self.source.as_str())
    }

    /// Its name: the label `alertname`.
    pub fn name(&self) -> &str {
        self.label("alertname").unwrap_or("alert")
    }

    /// The value of a label, if it is there and not empty.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The text of an annotation, if it is there and not empty.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// What people type to name it: the first eight characters of the fingerprint.
    pub fn short(&self) -> &str {
        self.fingerprint.get(..8).unwrap_or(&self.fingerprint)
    }

    /// It is an event, such as a restart: its sender never says that it is over.
    pub fn is_event(&self) -> bool {
        self.other.get(Self::NO_END).is_some()
    }

    /// It says only which alert it is about, by its fingerprint.
    pub fn is_bare(&self) -> bool {
        let own = Self::OWN_SOURCES.contains(&self.source.as_str());
        !own && !self.labels.contains_key("alertname")
    }

    /// What it says in one line.
    pub fn summary(&self) -> &str {
        self.annotation("summary")
            .or_else(|| self.annotation("description"))
            .or_else(|| self.annotation("message"))
            .unwrap_or_else(|| self.name())
    }
}

/// What the bot watches for by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchSettings {
    /// Figures, databases and caches as well; otherwise only how replicas ended, which Prometheus
    /// seldom sees.
    pub figures: bool,
    /// How often it looks.
    pub every: Duration,
    /// For so long something has to be ill until it fires.
    pub lasting: Duration,
    /// Memory of a replica, percent of its limit.
    pub memory_percent: f64,
    /// Answers 5xx in a service's access log, percent.
    pub error_percent: f64,
}

impl WatchSettings {
    /// Something that is a moment, such as an end for lack of memory, is over when it was not seen
    /// for so long.
    pub fn calm(&self) -> Duration {
        self.lasting * 5
    }
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            figures: true,
            every: Duration::from_secs(15),
            lasting: Duration::from_secs(60),
            memory_percent: 90.0,
            error_percent: 10.0,
        }
    }
}

/// Why a report is refused. The text names the place and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where, such as `alerts[3].startsAt`.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

impl Malformed {
    /// What is wrong at a place.
    pub fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            what: what.into(),
        }
    }

    /// What is wrong with a text that somebody wrote.
    pub fn text(text: &str, what: impl Into<String>) -> Self {
        Self::new(text.chars().take(80).collect::<String>(), what)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.at, self.what)
        }
    }
}

impl std::error::Error for Malformed {}
