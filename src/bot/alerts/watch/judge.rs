//! What is known after a look, and the alerts that come of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::readings::{Look, Reading};
use crate::domain::alert::{Alert, WatchSettings, alertmanager};
use crate::domain::duration;

/// What is known of something ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ill {
    /// Since when.
    since: Timestamp,
    /// Of what is a moment: when it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
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
    look: &Look,
    watch: WatchSettings,
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
                if !text.is_empty() {
                    annotations.insert(key.to_owned(), text.to_owned());
                }
            }
        }
        if reading.is_none()
            && let Some(replica) = ill.labels.get("replica")
        {
            annotations.insert("summary".to_owned(), format!("{replica} is there no more"));
        }
        alerts.push(Alert {
            fingerprint: fingerprint.to_owned(),
            firing,
            starts_at: ill.since,
            ends_at: (!firing).then_some(now),
            labels: ill.labels.clone(),
            annotations,
            source: Alert::WATCH.to_owned(),
            other: serde_json::Map::new(),
        });
    };
    for reading in &look.readings {
        let fingerprint = alertmanager::fingerprint(&reading.labels);
        match (reading.ill, known.get_mut(&fingerprint)) {
            (Some(true), None) => {
                let ill = Ill {
                    since: reading.last.unwrap_or(now),
                    last: reading.last,
                    fires: watch.lasting.is_zero() || reading.last.is_some(),
                    labels: reading.labels.clone(),
                };
                if ill.fires {
                    report(&ill, &fingerprint, true, Some(reading));
                }
                known.insert(fingerprint, ill);
            }
            (Some(true), Some(ill)) => {
                let again = reading.last > ill.last;
                ill.last = reading.last.max(ill.last);
                if (ill.fires && again)
                    || (!ill.fires && duration::between(ill.since, now) >= watch.lasting)
                {
                    ill.fires = true;
                    report(ill, &fingerprint, true, Some(reading));
                }
            }
            (Some(false), Some(ill))
                // The engine may have forgotten what it saw.
                if ill.last.is_none_or(|at| duration::between(at, now) >= watch.calm()) =>
            {
                if ill.fires {
                    report(ill, &fingerprint, false, Some(reading));
                }
                known.remove(&fingerprint);
            }
            _ => {}
        }
    }
    // A replica that is gone, while its service answers, is ill no more. One that is there and of
    // which nothing was measured stays as it is: a process that has ended uses no memory.
    known.retain(|fingerprint, ill| {
        let label = |name: &str| ill.labels.get(name);
        let there = label("service").and_then(|service| look.replicas.get(service));
        let is_gone = match (label("replica"), there) {
            (Some(replica), Some(there)) => !there.contains(replica),
            _ => false,
        };
        if is_gone && ill.fires {
            report(ill, fingerprint, false, None);
        }
        !is_gone
    });
    (known, alerts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bot::alerts::watch::readings::{labels, over};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn reading(name: &str, replica: &str, ill: Option<bool>) -> Reading {
        Reading {
            labels: labels(&[
                ("alertname", name),
                ("service", "api"),
                ("replica", replica),
            ]),
            ill,
            last: None,
            says: "much".into(),
            value: String::new(),
            threshold: String::new(),
            runbook: "memory-leak",
        }
    }

    fn memory(replica: &str, percent: f64) -> Reading {
        reading("HighMemory", replica, over(percent, 90.0))
    }

    /// A look at a service of these replicas.
    fn look(replicas: &[&str], readings: Vec<Reading>) -> Look {
        let names = replicas.iter().map(|name| (*name).to_owned()).collect();
        Look {
            readings,
            replicas: [("api".to_owned(), names)].into(),
            ..Look::default()
        }
    }

    fn lasting(seconds: u64) -> WatchSettings {
        WatchSettings {
            lasting: Duration::from_secs(seconds),
            ..WatchSettings::default()
        }
    }

    #[test]
    fn what_lasts_fires_and_ends_only_well_below_the_threshold() {
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
            let seen = look(&["a"], vec![memory("a", percent)]);
            let (next, alerts) = judge(known, &seen, lasting(60), at(second));
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
        let both = look(&["a", "b"], vec![memory("a", 99.0), memory("b", 10.0)]);
        let (known, fired) = judge(Known::new(), &both, lasting(0), at(0));
        assert_eq!(fired.len(), 1);
        let (unknown, nothing) = judge(known.clone(), &Look::default(), lasting(0), at(15));
        assert_eq!(
            (unknown, nothing.len()),
            (known.clone(), 0),
            "the platform did not answer"
        );
        let other = look(&["b"], vec![memory("b", 10.0)]);
        let (gone, ended) = judge(known, &other, lasting(0), at(30));
        assert_eq!((gone.len(), ended[0].firing), (0, false));
        let high = look(&["a"], vec![memory("a", 99.0)]);
        let (known, _) = judge(Known::new(), &high, lasting(60), at(0));
        let low = look(&["a"], vec![memory("a", 1.0)]);
        let (known, nothing) = judge(known, &low, lasting(60), at(15));
        assert_eq!((known.len(), nothing.len()), (0, 0));
    }

    #[test]
    fn a_process_that_was_ended_for_lack_of_memory_is_no_all_clear_of_its_memory() {
        let high = look(&["a", "b"], vec![memory("a", 99.0), memory("b", 10.0)]);
        let (known, _) = judge(Known::new(), &high, lasting(0), at(0));
        // It is there, but has no figures.
        let ended = look(&["a", "b"], vec![memory("b", 10.0)]);
        let (known, told) = judge(known, &ended, lasting(0), at(15));
        assert_eq!((known.len(), told.len()), (1, 0));
    }

    #[test]
    fn a_moment_fires_at_once_again_when_it_comes_again_and_ends_when_it_stays_away() {
        let killed = |second: i64| Reading {
            last: Some(at(second)),
            ..reading("OutOfMemory", "a", Some(true))
        };
        let (mut known, mut told) = (Known::new(), Vec::new());
        for (second, seen) in [
            (10, killed(3)),
            (25, killed(3)),
            (40, killed(31)),
            // The engine forgets it within its time.
            (55, reading("OutOfMemory", "a", Some(false))),
            (330, reading("OutOfMemory", "a", Some(false))),
            (331, reading("OutOfMemory", "a", None)),
            (332, reading("OutOfMemory", "a", Some(false))),
        ] {
            let (next, alerts) = judge(known, &look(&["a"], vec![seen]), lasting(60), at(second));
            // As the timer keeps it.
            let kept = serde_json::to_string(&next).unwrap();
            known = serde_json::from_str(&kept).unwrap();
            told.extend(alerts.into_iter().map(|one| (second, one.firing)));
        }
        assert_eq!(told, [(10, true), (40, true), (332, false)]);
    }
}
