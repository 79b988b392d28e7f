//! Bodies of alerts that wait to be taken in. Those that come while others are taken in are taken in
//! together after them: one transaction for all.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::alert::{Alert, Reason, Routed};

/// At most so many alerts are taken in together: a command that waits for the same writer waits for
/// no more.
const MOST: usize = 500;
/// After a failure so many bodies are taken in one by one.
const APART: usize = 64;

/// What became of a body of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Alerts that began to fire.
    pub fired: usize,
    /// Alerts that are over.
    pub resolved: usize,
    /// Reports that said nothing new.
    pub known: usize,
}

/// An alert as it is reported, where it belongs, and the name of its group.
pub(super) type Report = (Alert, Routed, String);

/// What a body says, with where each alert belongs.
pub(super) struct Reports {
    pub(super) alerts: Vec<Report>,
    /// Why its sender reports now, if it says so.
    pub(super) reason: Option<Reason>,
    /// Its sender's group, and how many alerts of it were left out.
    pub(super) left_out: Option<(String, u64)>,
}

impl Reports {
    /// It is taken in alone: what was left out concerns the conversations of just these alerts.
    fn is_alone(&self) -> bool {
        self.left_out.as_ref().is_some_and(|(_, count)| *count > 0)
    }
}

/// A body, and who waits for it.
type Arrival = (Reports, oneshot::Sender<Taken>);

/// The bodies that wait.
#[derive(Default)]
pub(super) struct Arrivals {
    waiting: Mutex<Waiting>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    bodies: VecDeque<Arrival>,
    /// So many of them are taken in one by one.
    apart: usize,
}

impl Arrivals {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body waits from now on; what became of it is heard once that is durable, and nothing where it
    /// could not be taken in.
    pub(super) fn push(&self, body: Reports) -> oneshot::Receiver<Taken> {
        let (tell, told) = oneshot::channel();
        self.waiting().bodies.push_back((body, tell));
        told
    }

    /// Whoever has the turn takes in what waits.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The next that can be taken in together, in the order in which they came: of an alert they all say
    /// the same.
    pub(super) fn next(&self) -> Vec<Arrival> {
        let mut waiting = self.waiting();
        let mut together: Vec<Arrival> = Vec::new();
        let mut said: HashMap<String, (bool, String)> = HashMap::new();
        let mut count = 0;
        while let Some((body, tell)) = waiting.bodies.pop_front() {
            if tell.is_closed() {
                // Its sender has gone without an answer, and sends it again.
                continue;
            }
            let differs = |(alert, _, group): &Report| {
                let before = said.get(&alert.fingerprint);
                before.is_some_and(|before| before.0 != alert.firing || before.1 != *group)
            };
            let is_apart = body.is_alone() || waiting.apart > 0;
            let is_too_much = is_apart || count + body.alerts.len() > MOST;
            if count > 0 && (is_too_much || body.alerts.iter().any(differs)) {
                waiting.bodies.push_front((body, tell));
                break;
            }
            count += body.alerts.len().max(1);
            for (alert, _, group) in &body.alerts {
                said.insert(alert.fingerprint.clone(), (alert.firing, group.clone()));
            }
            together.push((body, tell));
            if is_apart {
                waiting.apart = waiting.apart.saturating_sub(1);
                break;
            }
        }
        together
    }

    /// Something could not be taken in: the next are taken in one by one, so that it fails alone when
    /// it is sent again.
    pub(super) fn part(&self) {
        self.waiting().apart = APART;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Severity;
    use crate::domain::alert::Auto;

    fn body(left_out: u64, alerts: &[(&str, bool)]) -> Reports {
        let routed = Routed {
            service: None,
            severity: Severity::Sev2,
            runbook: None,
            team: None,
            channel: None,
            auto: Auto::Off,
        };
        let report = |(fingerprint, firing): &(&str, bool)| {
            let alert = Alert {
                fingerprint: (*fingerprint).to_owned(),
                firing: *firing,
                starts_at: jiff::Timestamp::UNIX_EPOCH,
                ends_at: None,
                labels: std::collections::BTreeMap::new(),
                annotations: std::collections::BTreeMap::new(),
                source: "alertmanager".to_owned(),
                other: serde_json::Map::new(),
            };
            (alert, routed.clone(), "g".to_owned())
        };
        Reports {
            alerts: alerts.iter().map(report).collect(),
            reason: None,
            left_out: Some(("g".to_owned(), left_out)),
        }
    }

    /// How many bodies are taken in together, turn by turn.
    fn turns(arrivals: &Arrivals) -> Vec<usize> {
        std::iter::repeat_with(|| arrivals.next().len())
            .take_while(|count| *count > 0)
            .collect()
    }

    #[test]
    fn bodies_that_say_the_same_of_an_alert_are_taken_in_together() {
        let arrivals = Arrivals::default();
        let told: Vec<_> = [
            body(0, &[("a", true), ("b", true)]),
            body(0, &[("a", true)]),
            // It is over: that is to be heard of, after it fired.
            body(0, &[("a", false)]),
            body(0, &[("c", true)]),
            body(3, &[("d", true)]),
            body(0, &[("e", true)]),
        ]
        .into_iter()
        .map(|one| arrivals.push(one))
        .collect();
        assert_eq!(turns(&arrivals), [2, 2, 1, 1]);
        drop(told);
    }

    #[test]
    fn who_has_gone_is_not_taken_in_and_a_failure_parts_the_next() {
        let arrivals = Arrivals::default();
        let mut told: Vec<_> = (0..3)
            .map(|_| arrivals.push(body(0, &[("a", true)])))
            .collect();
        told.remove(1);
        assert_eq!(turns(&arrivals), [2]);
        arrivals.part();
        let told: Vec<_> = (0..70)
            .map(|_| arrivals.push(body(0, &[("a", true)])))
            .collect();
        let turns = turns(&arrivals);
        assert_eq!(turns.iter().filter(|count| **count == 1).count(), APART);
        assert_eq!(turns.last(), Some(&(70 - APART)));
        drop(told);
    }

    #[test]
    fn no_more_than_so_many_alerts_are_taken_in_together() {
        let arrivals = Arrivals::default();
        let names: Vec<String> = (0..400).map(|n| n.to_string()).collect();
        let alerts: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), true)).collect();
        let told: Vec<_> = (0..3).map(|_| arrivals.push(body(0, &alerts))).collect();
        assert_eq!(turns(&arrivals), [1, 1, 1]);
        drop(told);
    }
}
