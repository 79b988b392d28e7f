//! What is known after a look, and the alerts that come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::readings::Reading;
use crate::domain::alert::{Alert, alertmanager};
use crate::domain::duration;

/// What is known of something ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ill {
    /// Since when.
    since: Timestamp,
    /// It fires; until then it has not lasted long enough.
    fires: bool,
    /// Its labels.
    labels: BTreeMap<String, String>,
}

/// What is known, by fingerprint.
pub(super) type Known = BTreeMap<String, Ill>;

/// What is known after a look, and the alerts that come of it.
pub(super) fn judge(
    mut known: Known,
    readings: &[Reading],
    lasting: Duration,
    now: Timestamp,
) -> (Known, Vec<Alert>) {
    let mut alerts = Vec::new();
    let mut report = |ill: &Ill, fingerprint: &str, firing: bool, reading: Option<&Reading>| {
        let mut annotations = BTreeMap::new();
        if let Some(reading) = reading {
            for (key, text) in [
                ("summary", reading.says.as_str()),
                ("value", &reading.value),
                ("threshold", &reading.threshold),
                ("runbook", reading.runbook),
            ] {
                annotations.insert(key.to_owned(), text.to_owned());
            }
        }
        alerts.push(Alert {
            fingerprint: fingerprint.to_owned(),
            firing,
            starts_at: ill.since,
            ends_at: (!firing).then_some(now),
            labels: ill.labels.clone(),
            annotations,
            source: "watch".to_owned(),
            other: serde_json::Map::new(),
        });
    };
    for reading in readings {
        let fingerprint = alertmanager::fingerprint(&reading.labels);
        match (reading.ill, known.get_mut(&fingerprint)) {
            (Some(true), None) => {
                let ill = Ill {
                    since: now,
                    fires: lasting.is_zero(),
                    labels: reading.labels.clone(),
                };
                if ill.fires {
                    report(&ill, &fingerprint, true, Some(reading));
                }
                known.insert(fingerprint, ill);
            }
            (Some(true), Some(ill))
                if !ill.fires && duration::between(ill.since, now) >= lasting =>
            {
                ill.fires = true;
                report(ill, &fingerprint, true, Some(reading));
            }
            (Some(false), Some(_)) => {
                if let Some(ill) = known.remove(&fingerprint)
                    && ill.fires
                {
                    report(&ill, &fingerprint, false, Some(reading));
                }
            }
            _ => {}
        }
    }
    // A replica that is gone, while its service answers, is ill no more.
    known.retain(|fingerprint, ill| {
        let service = ill.labels.get("service");
        let of_service = |r: &&Reading| r.labels.get("service") == service;
        let mut replicas = readings
            .iter()
            .filter(of_service)
            .filter(|r| r.labels.contains_key("replica"))
            .peekable();
        let is_gone = ill.labels.contains_key("replica")
            && replicas.peek().is_some()
            && replicas.all(|r| alertmanager::fingerprint(&r.labels) != *fingerprint);
        if is_gone && ill.fires {
            report(ill, fingerprint, false, None);
        }
        !is_gone
    });
    (known, alerts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::alerts::watch::readings::{labels, over};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn memory(replica: &str, percent: f64) -> Reading {
        Reading {
            labels: labels(&[
                ("alertname", "HighMemory"),
                ("service", "api"),
                ("replica", replica),
            ]),
            ill: over(percent, 90.0),
            says: "much".into(),
            value: String::new(),
            threshold: String::new(),
            runbook: "memory-leak",
        }
    }

    #[test]
    fn what_lasts_fires_and_ends_only_well_below_the_threshold() {
        let minute = Duration::from_secs(60);
        let mut known = Known::new();
        let mut told = Vec::new();
        for (second, percent) in [
            (0, 95.0),
            (30, 95.0),
            (60, 95.0),
            (75, 95.0),
            (90, 88.0),
            (105, 91.0),
            (120, 70.0),
            (135, 70.0),
        ] {
            let (next, alerts) = judge(known, &[memory("a", percent)], minute, at(second));
            known = next;
            told.extend(
                alerts
                    .into_iter()
                    .map(|alert| (second, alert.firing, alert.starts_at)),
            );
        }
        assert_eq!(told, [(60, true, at(0)), (120, false, at(0))]);
        assert_eq!(known, Known::new());
    }

    #[test]
    fn what_passes_or_is_gone_is_told_of_only_if_it_fired() {
        let none = Duration::ZERO;
        let (known, fired) = judge(
            Known::new(),
            &[memory("a", 99.0), memory("b", 10.0)],
            none,
            at(0),
        );
        assert_eq!(fired.len(), 1);
        let (unknown, nothing) = judge(known.clone(), &[], none, at(15));
        assert_eq!(
            (unknown, nothing.len()),
            (known.clone(), 0),
            "the platform did not answer"
        );
        let (gone, ended) = judge(known, &[memory("b", 10.0)], none, at(30));
        assert_eq!((gone.len(), ended[0].firing), (0, false));
        let (known, _) = judge(
            Known::new(),
            &[memory("a", 99.0)],
            Duration::from_secs(60),
            at(0),
        );
        let (known, nothing) = judge(known, &[memory("a", 1.0)], Duration::from_secs(60), at(15));
        assert_eq!((known.len(), nothing.len()), (0, 0));
    }
}
