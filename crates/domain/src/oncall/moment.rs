//! A moment as people type it: in two hours, at six, on the 24th at six.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use super::handover::time;
use crate::duration;

/// A moment that is said in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So much later.
    In(Duration),
    /// When the clock shows this next.
    At(Time),
    /// On this day at this time.
    On(DateTime),
}

impl Moment {
    /// Reads `2h`, `18:00` or `2026-12-24T18:00`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(within) = duration::parse(text) {
            return Ok(Self::In(within));
        }
        if let Some(at) = time(text) {
            return Ok(Self::At(at));
        }
        let day = text.split_once(['T', 't', ' ']);
        if let Some((day, at)) = day
            && let (Ok(day), Some(at)) = (day.parse::<jiff::civil::Date>(), time(at.trim()))
        {
            return Ok(Self::On(day.to_datetime(at)));
        }
        Err("write `2h` (from now), `18:00` or `2026-12-24T18:00`".to_owned())
    }

    /// The moment itself, by the clocks of a place; `None` where the calendar ends.
    pub fn resolve(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moment = |wall: DateTime| zone.to_ambiguous_timestamp(wall).compatible().ok();
        match self {
            Self::In(within) => now.checked_add(within).ok(),
            Self::On(wall) => moment(wall),
            Self::At(at) => {
                let today = zone.to_datetime(now).date();
                let mut days = [today.yesterday().ok()?, today, today.tomorrow().ok()?]
                    .into_iter()
                    .chain(today.tomorrow().ok()?.tomorrow().ok());
                days.find_map(|day| moment(day.to_datetime(at)).filter(|found| *found > now))
            }
        }
    }
}
