//! Tasks that come again and again: done by a runbook, or by whoever is on call.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Person;
use crate::schedule::Schedule;

/// A task of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name in chat.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// Who does it.
    pub by: TaskBy,
    /// What is to be done, in a sentence.
    pub text: String,
    /// While it is not done it is asked about so often.
    pub every: Duration,
}

/// Who does a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskBy {
    /// A runbook of this name; whoever is on call where it fails.
    Runbook(String),
    /// Whoever is on call by the rotation of this name; `None`: by the default one.
    Rotation(Option<String>),
}

/// What is known of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskState {
    /// The schedule that `next` is by, as it is written.
    pub schedule: String,
    /// When it is due next.
    pub next: Option<Timestamp>,
    /// It is due, and neither done nor skipped.
    pub open: Option<Due>,
    /// How it ended last, in words.
    pub last: Option<(String, Timestamp)>,
    /// How often it began: it numbers its messages and runs.
    pub count: u64,
}

/// A task that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Since when.
    pub at: Timestamp,
    /// The keys of the messages that ask.
    pub messages: Vec<String>,
    /// Who was asked last.
    pub asked: Option<Person>,
    /// The run that is to do it.
    pub run: Option<i64>,
    /// Why its runbook did not do it.
    pub failed: Option<String>,
    /// Earlier times that passed while no bot was there.
    pub missed: u64,
    /// It was late by more than a moment, because no bot was there.
    pub late: bool,
}

impl TaskState {
    /// A time that is due now, with what passed before it: `None` when nothing is. The next time is set.
    ///
    /// A clock that was set back, or another schedule, leaves no time in a far future.
    pub fn falls_due(&mut self, schedule: &Schedule, now: Timestamp) -> Option<Due> {
        let upcoming = schedule.next(now);
        let written = schedule.to_string();
        if self.schedule != written {
            self.schedule = written;
            self.next = upcoming;
        }
        if self.next.is_none() || self.next > upcoming {
            self.next = upcoming;
        }
        let next = self.next.filter(|next| *next <= now)?;
        self.next = upcoming;
        let at = schedule.last(now).unwrap_or(next);
        let before = std::iter::successors(Some(next), |at| schedule.next(*at));
        let missed = before.take_while(|one| *one < at).take(1_000).count();
        Some(Due {
            at,
            messages: Vec::new(),
            asked: None,
            run: None,
            failed: None,
            missed: missed as u64,
            late: crate::duration::between(at, now) > Self::LATE,
        })
    }

    /// What begins later than this was late.
    const LATE: Duration = Duration::from_secs(300);
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn what_was_missed_is_counted_and_a_clock_set_back_leaves_nothing_undone() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let daily = Schedule::parse("daily 02:30", paris).unwrap();
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let mut state = TaskState::default();
        assert_eq!(state.falls_due(&daily, at("2026-10-23T12:00:00Z")), None);
        assert_eq!(state.next, Some(at("2026-10-24T00:30:00Z")));
        let due = state.falls_due(&daily, at("2026-10-24T00:30:01Z")).unwrap();
        assert_eq!(
            (due.at, due.missed, due.late),
            (at("2026-10-24T00:30:00Z"), 0, false)
        );
        // Away for three days, over the change of clocks: 25th, 26th and 27th; the last is due.
        let due = state.falls_due(&daily, at("2026-10-27T09:00:00Z")).unwrap();
        assert_eq!(
            (due.at, due.missed, due.late),
            (at("2026-10-27T01:30:00Z"), 2, true)
        );
        // Set forward by a week and back again: the days between come.
        let due = state.falls_due(&daily, at("2026-11-03T09:00:00Z")).unwrap();
        assert_eq!(due.missed, 6);
        assert_eq!(state.falls_due(&daily, at("2026-10-27T09:01:00Z")), None);
        assert_eq!(state.next, Some(at("2026-10-28T01:30:00Z")));
        // Another schedule begins with its next time.
        let weekly = Schedule::parse("weekly monday 09:00", TimeZone::UTC).unwrap();
        assert_eq!(state.falls_due(&weekly, at("2026-10-29T09:00:00Z")), None);
        assert_eq!(state.next, Some(at("2026-11-02T09:00:00Z")));
    }
}
