//! An alert with where it belongs, and the conversations that report alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timeline::cut;

use super::{ReplicaCounts, Routed, Tracked};
use crate::{IncidentId, Person, ServiceName, Stream};

/// An alert with where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// What is known of it.
    pub tracked: Tracked,
    /// Where it belongs.
    pub routed: Routed,
}

impl AlertRecord {
    /// What an incident or its channel can be called for ever: what the alert says, but without
    /// figures that will have moved when it is read; then its name, and the service's.
    pub fn title(&self) -> String {
        let alert = &self.tracked.alert;
        let says = alert.summary();
        let has_name = alert.label("alertname").is_some();
        let says = if has_name && has_moving_figures(says) {
            alert.name()
        } else {
            says
        };
        let text = match &self.routed.service {
            Some(service) if !says.contains(service.as_str()) => format!("{service}: {says}"),
            _ => says.to_owned(),
        };
        cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 150)
    }
}

/// A number with or without its unit, a time of day, a duration; not a name with a number in it
/// (`db-7`), an address, or a status of HTTP.
fn has_moving_figures(text: &str) -> bool {
    const UNITS: [&str; 33] = [
        "", "%", "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "ms", "us", "µs", "ns",
        "s", "sec", "secs", "m", "min", "mins", "h", "d", "k", "x", "×", "/s", "rps", "qps",
        "ms/s", "mb/s", "utc", "°c",
    ];
    text.split(|c: char| c.is_whitespace() || "()[]{}\"'“”„,;=<>≥≤~≈".contains(c))
        .map(|word| word.trim_end_matches(['.', ':', '!', '?']))
        .any(|word| {
            let number = word.trim_start_matches(['+', '-', '−', '±']);
            let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ':' | '/');
            let end = number.find(|c| !is_part(c)).unwrap_or(number.len());
            let (digits, unit) = number.split_at(end);
            let is_status = |text: &str| {
                unit.is_empty() && text.parse::<u16>().is_ok_and(|n| (400..600).contains(&n))
            };
            let is_address = || {
                word.parse::<std::net::IpAddr>().is_ok()
                    || word.parse::<std::net::SocketAddr>().is_ok()
            };
            number.starts_with(|c: char| c.is_ascii_digit())
                && UNITS.contains(&unit.to_lowercase().as_str())
                && !is_status(digits)
                && !is_address()
        })
}

/// A conversation about alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Names it: `incident:12`, or `group:…` where no incident was declared.
    pub key: String,
    /// The incident.
    pub incident: Option<IncidentId>,
    /// The service, if one is known.
    pub service: Option<ServiceName>,
    /// What the bot knows of the first alert, for runbooks and titles.
    pub first: AlertRecord,
    /// When it began.
    pub began_at: jiff::Timestamp,
    /// When the message was last written.
    pub written_at: Option<jiff::Timestamp>,
    /// Who has taken it up, and when.
    pub acknowledged: Option<(Person, jiff::Timestamp)>,
    /// How often it was followed up.
    pub follow_ups: u32,
    /// How far it was escalated.
    pub escalated: u32,
    /// Who was asked to acknowledge, by id.
    #[serde(default)]
    pub escalated_to: Vec<String>,
    /// Nothing fires since then.
    pub quiet_since: Option<jiff::Timestamp>,
    /// The runbook that fits.
    pub runbook: Option<String>,
    /// It is over.
    pub ended: bool,
    /// Replicas of its services when the bot first looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts_before: BTreeMap<ServiceName, ReplicaCounts>,
}

impl Conversation {
    /// The key of an incident's conversation.
    pub fn key_of(incident: IncidentId) -> String {
        format!("incident:{}", incident.0)
    }

    /// The timeline that it is written on: its incident's, or the audit.
    pub fn stream(&self) -> Stream {
        self.incident.map_or(Stream::Audit, Stream::Incident)
    }
}

#[cfg(test)]
mod tests {
    use super::has_moving_figures;

    #[test]
    fn figures_that_move_are_told_from_names_with_numbers() {
        for moving in [
            "12.5 % of the answers are errors",
            "frontend-1 uses 93% of its memory",
            "Down since 14 min",
            "down for 3m",
            "p99 is 2.50s",
            "killed at 10:02:11 UTC",
            "queue has 18,000 jobs",
            "latency >250ms",
            "disk: 1.5GiB left",
        ] {
            assert!(has_moving_figures(moving), "{moving}");
        }
        for standing in [
            "db-7 is down",
            "HTTP 502 from api",
            "frontend 5xx",
            "10.0.0.5:9100 is down",
            "p99 of api2 is high",
            "the cache does not answer",
            "postgres16 lags",
        ] {
            assert!(!has_moving_figures(standing), "{standing}");
        }
    }
}
