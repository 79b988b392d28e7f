//! What is known of one alert over time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Alert;
use crate::duration;

/// When an alert counts as flapping, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// More changes between firing and resolved than this …
    pub changes: usize,
    /// … within this time: it flaps, and counts as firing whatever is reported …
    pub within: SignedDuration,
    /// … until it has not changed for so long.
    pub calm: SignedDuration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            changes: 6,
            within: SignedDuration::from_mins(30),
            calm: SignedDuration::from_mins(10),
        }
    }
}

/// It changes so often that its changes say little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// The first of the changes.
    pub since: Timestamp,
    /// How many there were since then.
    pub changes: u64,
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Known already, or older than what is known.
    Nothing,
    /// It fires, and did not before.
    Fired,
    /// It fired, and does not any more.
    Resolved,
    /// It changed, but flaps: it counts as firing as before.
    Damped {
        /// By this change it began to.
        begins: bool,
    },
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
    /// When it changed, the newest last: as many as are needed to see that it flaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Timestamp>,
    /// It flaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<Flapping>,
}

impl Tracked {
    /// What is known after the first report.
    pub fn first(alert: Alert, at: Timestamp) -> (Self, Transition) {
        let news = if alert.firing {
            Transition::Fired
        } else {
            // It was over before this bot heard of it: nobody has to be told.
            Transition::Nothing
        };
        let tracked = Self {
            firings: u64::from(alert.firing),
            alert,
            changed_at: at,
            silenced_until: None,
            changes: vec![at],
            flapping: None,
        };
        (tracked, news)
    }

    /// Takes a further report up. The same report again, and one that is older than what is known,
    /// are no news: order and repetition of deliveries don't matter.
    pub fn apply(&mut self, alert: Alert, damping: Damping, at: Timestamp) -> Transition {
        if rank(&alert) < rank(&self.alert) {
            return Transition::Nothing;
        }
        let was = self.alert.firing;
        let same = rank(&alert) == rank(&self.alert);
        self.alert = alert;
        if same || was == self.alert.firing {
            return Transition::Nothing;
        }
        self.changed_at = at;
        self.firings += u64::from(self.alert.firing);
        if let Some(flapping) = &mut self.flapping {
            flapping.changes += 1;
            return Transition::Damped { begins: false };
        }
        let since = at.checked_sub(damping.within).unwrap_or(Timestamp::MIN);
        self.changes.retain(|change| *change >= since);
        self.changes.push(at);
        if self.changes.len() > damping.changes {
            self.flapping = Some(Flapping {
                since: self.changes[0],
                changes: self.changes.len() as u64,
            });
            self.changes.clear();
        }
        match (self.alert.firing, self.flapping) {
            (true, _) => Transition::Fired,
            (false, None) => Transition::Resolved,
            (false, Some(_)) => Transition::Damped { begins: true },
        }
    }

    /// It is to be treated as firing: it does, or it flaps.
    pub fn is_active(&self) -> bool {
        self.alert.firing || self.flapping.is_some()
    }

    /// When it no longer flaps, unless it changes again; `None`: it does not flap.
    pub fn calm_at(&self, damping: Damping) -> Option<Timestamp> {
        self.flapping?;
        Some(
            self.changed_at
                .checked_add(damping.calm)
                .unwrap_or(Timestamp::MAX),
        )
    }

    /// Ends the flapping, if it has not changed for long enough. Then it is as was last reported.
    pub fn calm_down(&mut self, damping: Damping, now: Timestamp) -> bool {
        let calm = self.calm_at(damping).is_some_and(|at| at <= now);
        if calm {
            self.flapping = None;
        }
        calm
    }

    /// `flapping, 9 changes in 4m`, if it does.
    pub fn flaps(&self) -> Option<String> {
        let Flapping { since, changes } = self.flapping?;
        let span = duration::text(duration::between(since, self.changed_at));
        Some(format!("flapping, {changes} changes in {span}"))
    }

    /// It counts as firing and people are to be told.
    pub fn is_audible(&self, now: Timestamp) -> bool {
        self.is_active() && self.silenced_until.is_none_or(|until| until <= now)
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
        assert_eq!(news, Transition::Fired);
        assert_eq!(
            tracked.apply(report(0, true), Damping::default(), at(2)),
            Transition::Nothing
        );
        assert_eq!(
            tracked.apply(report(0, false), Damping::default(), at(3)),
            Transition::Resolved
        );
        assert_eq!(
            tracked.apply(report(0, true), Damping::default(), at(4)),
            Transition::Nothing,
            "a late report"
        );
        assert_eq!(
            tracked.apply(report(9, true), Damping::default(), at(10)),
            Transition::Fired
        );
        assert_eq!((tracked.firings, tracked.changed_at), (2, at(10)));
    }

    #[test]
    fn what_was_over_before_it_was_heard_of_is_no_news() {
        let (tracked, news) = Tracked::first(report(0, false), at(1));
        assert_eq!((news, tracked.firings), (Transition::Nothing, 0));
    }

    /// Plays changes at these seconds, firing and resolved in turn; it fires at second 0.
    fn played(seconds: &[i64]) -> (Tracked, Vec<Transition>) {
        let (mut tracked, _) = Tracked::first(report(0, true), at(0));
        let mut news = Vec::new();
        let mut start = 0;
        for (n, second) in seconds.iter().enumerate() {
            let firing = n % 2 == 1;
            if firing {
                start = *second;
            }
            news.push(tracked.apply(report(start, firing), Damping::default(), at(*second)));
        }
        (tracked, news)
    }

    #[test]
    fn what_changes_all_the_time_counts_as_firing_until_it_was_calm() {
        use Transition::{Fired, Resolved};
        const DAMPED: Transition = Transition::Damped { begins: false };
        let minutes: Vec<i64> = (1..=9).map(|n| n * 60).collect();
        let (mut tracked, news) = played(&minutes);
        assert_eq!(
            news,
            [
                Resolved, Fired, Resolved, Fired, Resolved, Fired, DAMPED, DAMPED, DAMPED
            ]
        );
        assert!(!tracked.alert.firing && tracked.is_active());
        assert_eq!(
            tracked.flaps().as_deref(),
            Some("flapping, 10 changes in 9m")
        );
        let damping = Damping::default();
        assert!(!tracked.calm_down(damping, at(540 + 599)));
        assert!(tracked.calm_down(damping, at(540 + 600)));
        assert!(!tracked.is_active() && tracked.flaps().is_none());
        // From now on it is an alert like any other.
        let again = tracked.apply(report(2_000, true), damping, at(2_000));
        assert_eq!((again, tracked.flaps()), (Fired, None));
    }

    #[test]
    fn what_changes_now_and_then_does_not_flap() {
        let hours: Vec<i64> = (1..=40).map(|n| n * 360).collect();
        let (tracked, news) = played(&hours);
        assert!(tracked.flapping.is_none());
        assert!(
            news.iter()
                .all(|one| !matches!(one, Transition::Damped { .. }))
        );
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
                    tracked.apply(report(*start, *firing), Damping::default(), at(1));
                    let again = tracked.clone();
                    prop_assert_eq!(tracked.apply(report(*start, *firing), Damping::default(), at(2)), Transition::Nothing);
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

        /// While it flaps nobody is told anything; what is told in all goes to and fro; and whether
        /// it counts is what was told last.
        #[test]
        fn what_is_told_goes_to_and_fro(gaps in proptest::collection::vec(1_i64..1_200, 1..80)) {
            let damping = Damping::default();
            let (mut tracked, first) = Tracked::first(report(0, true), at(0));
            let mut told = vec![first];
            let (mut now, mut start) = (0, 0);
            let mut quiet_since = 0;
            for (n, gap) in gaps.iter().enumerate() {
                // As the timer does it: it goes off when calm is reached.
                let calm = tracked.calm_at(damping);
                if calm.is_some_and(|calm| calm <= at(now + gap)) {
                    prop_assert!(tracked.calm_down(damping, calm.unwrap()));
                    if !tracked.is_active() {
                        told.push(Transition::Resolved);
                    }
                }
                now += gap;
                let firing = n % 2 == 1;
                if firing {
                    start = now;
                }
                let flapped = tracked.flapping.is_some();
                let news = tracked.apply(report(start, firing), damping, at(now));
                if flapped {
                    prop_assert_eq!(news, Transition::Damped { begins: false });
                    prop_assert!(now - quiet_since < damping.calm.as_secs());
                }
                quiet_since = now;
                if !matches!(news, Transition::Damped { .. }) {
                    told.push(news);
                }
                prop_assert_eq!(tracked.is_active(), told.last() == Some(&Transition::Fired));
                prop_assert!(tracked.changes.len() <= damping.changes);
            }
            for pair in told.windows(2) {
                prop_assert_ne!(pair[0], pair[1]);
            }
        }
    }
}
