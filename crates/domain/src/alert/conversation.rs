//! An alert with where it belongs, and the conversations that report alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timeline::cut;

use super::{ReplicaCounts, Routed, Tracked};
use crate::{IncidentId, Person, ServiceName, Severity, Stream};

/// An alert with where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// What is known of it.
    pub tracked: Tracked,
    /// Where it belongs.
    pub routed: Routed,
    /// What it is told together with: the name of its group.
    #[serde(default)]
    pub group: String,
    /// Its sender's group, of which alerts may be left out ([`Body::group`](super::Body::group)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
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
    const UNITS: [&str; 43] = [
        "", "%", "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "ms", "us", "µs", "ns",
        "s", "sec", "secs", "m", "min", "mins", "h", "d", "k", "x", "×", "/s", "rps", "qps",
        "ms/s", "mb/s", "utc", "°c", "pct", "g", "t", "p", "ki", "mi", "gi", "ti", "pi", "ei",
    ];
    text.split(|c: char| c.is_whitespace() || "()[]{}\"'“”„,;=<>≥≤~≈".contains(c))
        .map(|word| word.trim_end_matches(['.', ':', '!', '?']))
        .any(|word| {
            let number = word.trim_start_matches(['+', '-', '−', '±']);
            let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ':' | '/');
            let end = number.find(|c| !is_part(c)).unwrap_or(number.len());
            let (digits, unit) = number.split_at(end);
            // As Prometheus writes what is large: `1.048576e+06`.
            let power = unit
                .strip_prefix(['e', 'E'])
                .map(|rest| rest.trim_start_matches(['+', '-']));
            let unit = power.map_or(unit, |power| {
                let rest = power.trim_start_matches(|c: char| c.is_ascii_digit());
                if rest.len() == power.len() {
                    unit
                } else {
                    rest
                }
            });
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
    /// Somebody declared its incident: people are asked though no alert fires.
    #[serde(default)]
    pub declared: bool,
    /// How often it began anew after it had been quiet for long enough to count as over: a runbook is
    /// begun once each time.
    #[serde(default)]
    pub episode: u32,
    /// The worst that people were asked about since it began (anew).
    #[serde(default)]
    pub asked_about: Option<Severity>,
    /// Names of the alerts that fired since it began (anew), at most [`Conversation::KINDS`].
    #[serde(default)]
    pub kinds: BTreeSet<String>,
    /// When somebody was last asked to acknowledge.
    #[serde(default)]
    pub asked_at: Option<jiff::Timestamp>,
    /// When the next is asked, if nobody acknowledges.
    #[serde(default)]
    pub next_ask_at: Option<jiff::Timestamp>,
    /// Until when the acknowledgement is not asked about.
    #[serde(default)]
    pub reask_at: Option<jiff::Timestamp>,
    /// When whoever acknowledged was asked whether they still have it.
    #[serde(default)]
    pub asked_again_at: Option<jiff::Timestamp>,
    /// The keys of the messages that ask people to acknowledge, as far as they still ask.
    #[serde(default)]
    pub asks: Vec<String>,
    /// How many messages of their own it has: it numbers their keys.
    #[serde(default)]
    pub messages: u32,
    /// Alerts that Alertmanager left out of its reports, by its group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// Its alerts that fire are told there since then.
    #[serde(default)]
    pub moved_to: Option<IncidentId>,
    /// Since when nobody has it any more, though somebody acknowledged it.
    #[serde(default)]
    pub free_since: Option<jiff::Timestamp>,
    /// Nobody is asked while this service fails, which its own stand on: that incident is asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<(ServiceName, IncidentId)>,
    /// Replicas of its services when the bot first looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts_before: BTreeMap<ServiceName, ReplicaCounts>,
}

impl Conversation {
    /// Most names of alerts that are remembered.
    pub const KINDS: usize = 200;

    /// A conversation that begins with this alert.
    pub fn new(key: String, first: AlertRecord, now: jiff::Timestamp) -> Self {
        Self {
            key,
            incident: None,
            service: first.routed.service.clone(),
            first,
            began_at: now,
            written_at: None,
            acknowledged: None,
            follow_ups: 0,
            escalated: 0,
            escalated_to: Vec::new(),
            quiet_since: None,
            runbook: None,
            ended: false,
            declared: false,
            episode: 0,
            asked_about: None,
            kinds: BTreeSet::new(),
            asked_at: None,
            next_ask_at: None,
            reask_at: None,
            asked_again_at: None,
            asks: Vec::new(),
            messages: 0,
            left_out: BTreeMap::new(),
            moved_to: None,
            free_since: None,
            waits_for: None,
            counts_before: BTreeMap::new(),
        }
    }

    /// It begins anew after everything was over: what was said before means nothing now. But an ask
    /// that nobody has answered yet stands for `ack_within`.
    pub fn begin_anew(&mut self, now: jiff::Timestamp, ack_within: Duration) {
        self.began_at = now;
        self.free_since = None;
        self.moved_to = None;
        self.waits_for = None;
        self.quiet_since = None;
        self.follow_ups = 0;
        self.kinds.clear();
        let is_asked = self.asked_at.is_some_and(|at| now < at + ack_within);
        if self.acknowledged.is_some() || !is_asked {
            self.ask_anew(now);
        }
    }

    /// It is worse than what people were asked about.
    pub fn is_worse(&self, worst: Severity) -> bool {
        self.asked_about.is_some_and(|before| worst < before)
    }

    /// People are asked about something so bad from now on; anew, where it is worse than before.
    pub fn ask_about(&mut self, worst: Severity, now: jiff::Timestamp) {
        let before = self.asked_about;
        if self.is_worse(worst) {
            self.ask_anew(now);
        }
        self.asked_about = Some(before.map_or(worst, |before| before.min(worst)));
    }

    /// Whom it was asked of and who took it up counts no more: it became worse, or nobody answers.
    pub fn ask_anew(&mut self, now: jiff::Timestamp) {
        if self.acknowledged.take().is_some() {
            self.free_since = Some(now);
        }
        self.asked_at = None;
        self.next_ask_at = None;
        self.reask_at = None;
        self.asked_again_at = None;
        self.escalated = 0;
        self.escalated_to.clear();
        self.asked_about = None;
    }

    /// The same of what fires as before: people are asked from the first on, about the same.
    pub fn ask_from_the_first(&mut self, now: jiff::Timestamp) {
        let asked_about = self.asked_about;
        self.ask_anew(now);
        self.asked_about = asked_about;
    }

    /// What Alertmanager left out of its reports, in words: `3 further …`.
    pub fn says_left_out(&self) -> Option<String> {
        let count: u64 = self.left_out.values().sum();
        (count > 0).then(|| {
            format!(
                "{count} further that Alertmanager left out (max_alerts): whether they fire is not known"
            )
        })
    }

    /// A key for a further message of this kind.
    pub fn message_key(&mut self, kind: &str) -> String {
        self.messages += 1;
        format!("{kind}:{}:{}", self.key, self.messages)
    }

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
