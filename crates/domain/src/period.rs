//! Times in which something is otherwise than usual: maintenance windows and freezes.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;
use crate::{Person, ServiceName, Severity};

/// What is otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeriodKind {
    /// Alerts of the service are recorded, and nobody is asked about them.
    Window,
    /// Nothing is deployed.
    Freeze,
}

crate::words!(PeriodKind {
    Window: "window",
    Freeze: "freeze",
});

/// Such a time of one service, or of all; of each there is one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its number; 0 until it is recorded.
    #[serde(skip)]
    pub id: i64,
    /// What is otherwise.
    pub kind: PeriodKind,
    /// Of which service; `None`: of all.
    pub service: Option<ServiceName>,
    /// Since when.
    pub begins_at: Timestamp,
    /// Until when; once it is over, when that was.
    pub ends_at: Timestamp,
    /// Who began it; the bot itself, where the configuration plans it.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// It is over.
    #[serde(default)]
    pub over: bool,
}

impl Period {
    /// A window holds nothing that is as bad: it is told and asked about as always.
    pub const NEVER_HELD: Severity = Severity::Sev1;

    /// No window is longer: it is silence.
    pub const LONGEST_WINDOW: Duration = Duration::from_secs(3 * 86_400);

    /// How it names what it is of: a service, or `all`.
    pub fn scope(&self) -> &str {
        self.service.as_ref().map_or(Self::ALL, ServiceName::as_str)
    }

    /// What stands for all services.
    pub const ALL: &str = "all";

    /// It counts at this moment.
    pub fn is_on(&self, now: Timestamp) -> bool {
        !self.over && self.begins_at <= now && now < self.ends_at
    }

    /// The key of the alerts that it holds.
    pub fn key(&self) -> String {
        format!("{}{}", Self::KEY, self.id)
    }

    /// The key of its message in the main channel.
    pub fn message_key(&self) -> String {
        format!("period:{}", self.id)
    }

    /// With what the keys of alerts that one holds begin.
    pub const KEY: &str = "window:";
}

/// One that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPeriod {
    /// What is otherwise.
    pub kind: PeriodKind,
    /// Of which service; `None`: of all.
    pub service: Option<ServiceName>,
    /// When it begins.
    pub schedule: Schedule,
    /// How long it lasts, whatever clocks do meanwhile.
    pub length: Duration,
    /// Why.
    pub reason: String,
}

impl PlannedPeriod {
    /// It names the plan, the same after a restart.
    pub fn name(&self) -> String {
        let service = self.service.as_ref();
        let scope = service.map_or(Period::ALL, ServiceName::as_str);
        format!("{} {scope} {}", self.kind, self.schedule)
    }

    /// When the one that is on now began and ends.
    pub fn on(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let begins = self.schedule.last(now)?;
        let ends = begins.checked_add(self.length).ok()?;
        (now < ends).then_some((begins, ends))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_planned_window_over_a_change_of_clocks_lasts_as_long_as_it_is_to() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let planned = PlannedPeriod {
            kind: PeriodKind::Window,
            service: None,
            schedule: Schedule::parse("weekly sunday 02:30", paris).unwrap(),
            length: Duration::from_secs(7_200),
            reason: String::new(),
        };
        assert_eq!(
            planned.name(),
            "window all weekly sunday 02:30 Europe/Paris"
        );
        let on = |now: &str| {
            let found = planned.on(now.parse().unwrap())?;
            Some(format!("{} {}", found.0, found.1))
        };
        // The clocks go back at 01:00 UTC: 02:30 comes twice, and the first counts.
        assert_eq!(on("2026-10-25T00:29:59Z"), None);
        for now in ["2026-10-25T00:30:00Z", "2026-10-25T02:29:59Z"] {
            let found = on(now).unwrap();
            assert_eq!(found, "2026-10-25T00:30:00Z 2026-10-25T02:30:00Z");
        }
        assert_eq!(on("2026-10-25T02:30:00Z"), None);
        // They go forward, and 02:30 is left out: 03:30, for two hours.
        let found = on("2027-03-28T02:00:00Z").unwrap();
        assert_eq!(found, "2027-03-28T01:30:00Z 2027-03-28T03:30:00Z");
    }
}
