//! What is known of one alert over time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Alert;

/// When an alert counts as flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// So many changes between firing and resolved …
    pub changes: usize,
    /// … within this time: it flaps.
    pub within: SignedDuration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            changes: 6,
            within: SignedDuration::from_mins(30),
        }
    }
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Known already, or older than what is known.
    Nothing,
    /// It fires, and did not before.
    Fired,
    /// It fired, and does not any more.
    Resolved,
}

/// One alert as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// The newest report.
    pub alert: Alert,
    /// When it last began to fire, or to be resolved, as this bot saw it.
    pub changed_at: Timestamp,
    /// How often it began to fire.
    pub firings: u64,
    /// Nobody is to be told of it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<Timestamp>,
    /// When it changed, the newest last, at most [`Tracked::MOST_CHANGES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Timestamp>,
}

impl Tracked {
    /// Changes that are remembered.
    pub const MOST_CHANGES: usize = 12;

    /// What is known after the first report.
    pub fn first(alert: Alert, at: Timestamp) -> (Self, News) {
        let news = if alert.firing {
            News::Fired
        } else {
            // It was over before this bot heard of it: nobody has to be told.
            News::Nothing
        };
        let tracked = Self {
            firings: u64::from(alert.firing),
            alert,
            changed_at: at,
            silenced_until: None,
            changes: vec![at],
        };
        (tracked, news)
    }

    /// Takes a further report up. The same report again, and one that is older than what is known,
    /// are no news: order and repetition of deliveries don't matter.
    pub fn seen(&mut self, alert: Alert, at: Timestamp) -> News {
        if rank(&alert) < rank(&self.alert) {
            return News::Nothing;
        }
        let was = self.alert.firing;
        let same = rank(&alert) == rank(&self.alert);
        self.alert = alert;
        if same || was == self.alert.firing {
            return News::Nothing;
        }
        self.changed_at = at;
        self.changes.push(at);
        if self.changes.len() > Self::MOST_CHANGES {
            self.changes.remove(0);
        }
        if self.alert.firing {
            self.firings += 1;
            News::Fired
        } else {
            News::Resolved
        }
    }

    /// It changes so often that its changes say little.
    pub fn flaps(&self, damping: Damping, now: Timestamp) -> bool {
        let since = now.checked_sub(damping.within).unwrap_or(Timestamp::MIN);
        self.changes.iter().filter(|at| **at >= since).count() > damping.changes
    }

    /// It fires and people are to be told.
    pub fn is_loud(&self, now: Timestamp) -> bool {
        self.alert.firing && self.silenced_until.is_none_or(|until| until <= now)
    }
}

/// The order of reports of one alert: a later start is newer, and so is the end of the same one.
fn rank(alert: &Alert) -> (Timestamp, bool) {
    (alert.starts_at, !alert.firing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn report(start: i64, firing: bool) -> Alert {
        Alert {
            fingerprint: "a1".into(),
            firing,
            starts_at: at(start),
            ends_at: None,
            labels: [("alertname".to_owned(), "Down".to_owned())].into(),
            annotations: std::collections::BTreeMap::new(),
            source: "test".into(),
            other: serde_json::Map::new(),
        }
    }

    #[test]
    fn an_alert_fires_resolves_and_fires_again() {
        let (mut tracked, news) = Tracked::first(report(0, true), at(1));
        assert_eq!(news, News::Fired);
        assert_eq!(tracked.seen(report(0, true), at(2)), News::Nothing);
        assert_eq!(tracked.seen(report(0, false), at(3)), News::Resolved);
        assert_eq!(
            tracked.seen(report(0, true), at(4)),
            News::Nothing,
            "a late report"
        );
        assert_eq!(tracked.seen(report(9, true), at(10)), News::Fired);
        assert_eq!((tracked.firings, tracked.changed_at), (2, at(10)));
    }

    #[test]
    fn what_was_over_before_it_was_heard_of_is_no_news() {
        let (tracked, news) = Tracked::first(report(0, false), at(1));
        assert_eq!((news, tracked.firings), (News::Nothing, 0));
    }

    #[test]
    fn what_changes_all_the_time_flaps_until_it_was_quiet() {
        let (mut tracked, _) = Tracked::first(report(0, true), at(0));
        for n in 1..=6 {
            assert!(!tracked.flaps(Damping::default(), at(n * 60)));
            tracked.seen(report(n / 2 * 60, n % 2 == 0), at(n * 60));
        }
        assert!(tracked.flaps(Damping::default(), at(400)));
        assert!(!tracked.flaps(Damping::default(), at(400 + 1_800)));
    }

    proptest! {
        #[test]
        fn order_and_repetition_don_t_matter(
            reports in proptest::collection::vec((0_i64..5, any::<bool>()), 1..12),
            seed in any::<u64>(),
        ) {
            let play = |order: &[(i64, bool)]| {
                let mut all = order.iter();
                let (start, firing) = *all.next().unwrap();
                let (mut tracked, _) = Tracked::first(report(start, firing), at(0));
                for (start, firing) in all {
                    tracked.seen(report(*start, *firing), at(1));
                    let again = tracked.clone();
                    prop_assert_eq!(tracked.seen(report(*start, *firing), at(2)), News::Nothing);
                    prop_assert_eq!(&tracked, &again);
                }
                Ok((tracked.alert.starts_at, tracked.alert.firing))
            };
            let one = play(&reports)?;
            let mut other = reports.clone();
            let by = (seed as usize) % other.len();
            other.rotate_left(by);
            other.reverse();
            prop_assert_eq!(one, play(&other)?);
        }
    }
}
