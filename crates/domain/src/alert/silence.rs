//! A silence that is kept in Alertmanager too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Alert;
use crate::timeline::cut;
use crate::{IncidentId, Outgoing, Person};

/// What somebody wanted to be quiet, and how far that has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Names it for ever; in the comment of what is made in Alertmanager.
    pub id: String,
    /// Who wants it.
    pub by: Person,
    /// Why.
    pub reason: Option<String>,
    /// The incident that it was said about.
    pub incident: Option<IncidentId>,
    /// What was named.
    pub name: String,
    /// From when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The conversations of the alerts.
    pub conversations: BTreeSet<String>,
    /// What is to be made in Alertmanager.
    pub pieces: Vec<Piece>,
    /// The message that tells it.
    pub answer: Outgoing,
    /// Why the last attempt came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Attempts that came to nothing, in a row.
    #[serde(default)]
    pub attempts: u32,
    /// Who ended it before its time; nobody known: it was ended in Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Option<Person>>,
}

/// One silence in Alertmanager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Alerts with all of these labels are meant.
    pub labels: BTreeMap<String, String>,
    /// The one alert that is meant; otherwise all with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its id there, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// It is to be ended before its time.
    #[serde(default)]
    pub end: bool,
    /// It is over there.
    #[serde(default)]
    pub ended: bool,
}

impl Piece {
    fn new(labels: BTreeMap<String, String>, fingerprint: Option<String>) -> Self {
        Self {
            labels,
            fingerprint,
            made: None,
            end: false,
            ended: false,
        }
    }
}

impl Silence {
    /// Most silences that are made in Alertmanager for one wish.
    pub const MOST: usize = 20;

    /// What is to be made for these alerts: one silence each, or, of many, one for each name with
    /// the labels that its alerts have in common. Nothing where that would be more than
    /// [`Silence::MOST`], or so wide that others' alerts might be meant.
    pub fn pieces<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Vec<Piece> {
        // Only what Alertmanager sent is known there.
        let alerts: Vec<&Alert> = alerts
            .into_iter()
            .filter(|alert| alert.source == Alert::OWN_SOURCES[0] && !named(alert).is_empty())
            .collect();
        if alerts.len() <= Self::MOST {
            return alerts
                .into_iter()
                .map(|alert| Piece::new(named(alert), Some(alert.fingerprint.clone())))
                .collect();
        }
        let mut common: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        for alert in alerts {
            common
                .entry(alert.name())
                .and_modify(|labels| labels.retain(|name, value| alert.label(name) == Some(value)))
                .or_insert_with(|| named(alert));
        }
        // The name and the severity alone are said of alerts of all services.
        let narrow = |labels: &BTreeMap<String, String>| {
            labels
                .keys()
                .any(|name| name != "alertname" && name != "severity")
        };
        if common.len() > Self::MOST || !common.values().all(narrow) {
            return Vec::new();
        }
        common
            .into_values()
            .map(|labels| Piece::new(labels, None))
            .collect()
    }

    /// What a piece's comment ends with: by it the piece is found again whose making had no answer.
    pub fn marker(&self, piece: usize) -> String {
        format!("[treasury-bot {}-{piece}]", self.id)
    }

    /// What Alertmanager shows as the reason.
    pub fn comment(&self, piece: usize) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        let incident = self
            .incident
            .map(|id| format!(", {id}"))
            .unwrap_or_default();
        format!("{}{incident} {}", cut(reason, 500), self.marker(piece))
    }

    /// An alert is meant by this piece.
    pub fn covers(piece: &Piece, alert: &Alert) -> bool {
        // Others' alerts may have the same labels.
        if alert.source != Alert::OWN_SOURCES[0] {
            return false;
        }
        match &piece.fingerprint {
            Some(fingerprint) => *fingerprint == alert.fingerprint,
            None => piece
                .labels
                .iter()
                .all(|(name, value)| alert.label(name) == Some(value)),
        }
    }
}

/// The labels that say something: in Alertmanager an empty one is none.
fn named(alert: &Alert) -> BTreeMap<String, String> {
    let labels = alert.labels.iter().filter(|(_, value)| !value.is_empty());
    labels
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(name: &str, pod: &str, service: &str) -> Alert {
        let labels: BTreeMap<String, String> = [
            ("alertname", name),
            ("pod", pod),
            ("service", service),
            ("severity", "critical"),
            ("empty", ""),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        Alert {
            fingerprint: super::super::alertmanager::fingerprint(&labels),
            firing: true,
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            labels,
            annotations: BTreeMap::new(),
            source: "alertmanager".into(),
            other: serde_json::Map::new(),
        }
    }

    fn of(pieces: &[Piece]) -> Vec<Vec<&str>> {
        pieces
            .iter()
            .map(|piece| piece.labels.values().map(String::as_str).collect())
            .collect()
    }

    #[test]
    fn a_few_alerts_are_meant_one_by_one_and_many_by_what_they_have_in_common() {
        let few = [alert("Down", "a", "api"), alert("Down", "b", "api")];
        let pieces = Silence::pieces(&few);
        assert_eq!(
            of(&pieces),
            [
                ["Down", "a", "api", "critical"],
                ["Down", "b", "api", "critical"]
            ]
        );
        assert!(Silence::covers(&pieces[0], &few[0]) && !Silence::covers(&pieces[0], &few[1]));

        let many: Vec<Alert> = (0..50)
            .map(|n| alert(["Down", "Slow"][n % 2], &format!("pod-{n}"), "api"))
            .collect();
        let pieces = Silence::pieces(&many);
        assert_eq!(
            of(&pieces),
            [["Down", "api", "critical"], ["Slow", "api", "critical"]]
        );
        assert!(Silence::covers(&pieces[1], &many[49]) && !Silence::covers(&pieces[1], &many[48]));
    }

    #[test]
    fn what_would_silence_others_or_is_not_alertmanagers_is_not_made_there() {
        let wide: Vec<Alert> = (0..50)
            .map(|n| alert("Down", &format!("pod-{n}"), &format!("service-{n}")))
            .collect();
        assert_eq!(Silence::pieces(&wide), []);
        let kinds: Vec<Alert> = (0..50)
            .map(|n| alert(&format!("Kind{n}"), "a", "api"))
            .collect();
        assert_eq!(Silence::pieces(&kinds), []);
        let mut own = alert("Down", "a", "api");
        own.source = "watch".into();
        assert_eq!(Silence::pieces([&own]), []);
    }
}
