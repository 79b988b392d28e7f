//! Moments and lengths as people type them: in two hours, at six, on the 24th at six; for a day.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::handover::time;
use crate::duration::{self, InvalidDuration};

/// How long something lasts by the clocks of a place: a day ends at the same hour tomorrow, also
/// where the clocks change in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    days: i64,
    /// Hours and less.
    rest: Duration,
}

impl FromStr for Length {
    type Err = InvalidDuration;
    /// Reads `30m`, `2h`, `1d`, `1d12h`.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let all = duration::parse(text)?;
        let parts = text.trim().split_inclusive(|c: char| !c.is_ascii_digit());
        let days = parts.filter_map(|part| part.strip_suffix('d')?.parse::<u32>().ok());
        let days: u32 = days.sum();
        Ok(Self {
            days: i64::from(days),
            rest: all.saturating_sub(Duration::from_secs(86_400) * days),
        })
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.rest.as_secs();
        let parts = [
            (self.days.unsigned_abs(), "d"),
            (seconds / 3_600, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

impl Length {
    /// So much later; `None` where the calendar ends.
    pub fn after(self, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = from;
        if self.days > 0 {
            let days = Span::new().try_days(self.days).ok()?;
            let wall = zone.to_datetime(from).checked_add(days).ok()?;
            at = zone.to_ambiguous_timestamp(wall).compatible().ok()?;
        }
        at.checked_add(self.rest).ok()
    }
}

/// A moment that is said in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So much later.
    In(Length),
    /// When the clock shows this next.
    At(Time),
    /// On this day at this time.
    On(DateTime),
}

impl Moment {
    /// Reads `2h`, `18:00` or `2026-12-24T18:00`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(length) = text.parse() {
            return Ok(Self::In(length));
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
            Self::In(length) => length.after(now, zone),
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

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(length) => length.fmt(f),
            Self::At(at) => write!(f, "{}", at.strftime("%H:%M")),
            Self::On(wall) => write!(f, "{}", wall.strftime("%Y-%m-%dT%H:%M")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_the_same_hour_also_where_the_clocks_change() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let until = |from: &str, length: &str| {
            let wall: DateTime = from.parse().unwrap();
            let from = paris.to_timestamp(wall).unwrap();
            let length: Length = length.parse().unwrap();
            let until = paris.to_datetime(length.after(from, &paris).unwrap());
            until.strftime("%m-%d %H:%M").to_string()
        };
        // The clocks go back in the night to the 25th of October, and forward on the 28th of March.
        for (from, length, ends) in [
            ("2026-10-24T09:00", "1d", "10-25 09:00"),
            ("2026-10-24T09:00", "24h", "10-25 08:00"),
            ("2026-10-24T09:00", "1d12h", "10-25 21:00"),
            ("2026-10-23T09:00", "3d", "10-26 09:00"),
            ("2027-03-27T09:00", "1d", "03-28 09:00"),
            ("2027-03-27T02:30", "1d", "03-28 03:30"),
            ("2026-11-10T09:00", "90m", "11-10 10:30"),
        ] {
            assert_eq!(until(from, length), ends, "{from} {length}");
        }
    }

    #[test]
    fn lengths_and_moments_are_written_as_they_are_read() {
        for text in ["1d", "1d2h30m", "90d", "45s"] {
            assert_eq!(text.parse::<Length>().unwrap().to_string(), text);
            assert_eq!(Moment::parse(text).unwrap().to_string(), text);
        }
        for text in ["18:00", "2026-12-24T18:00"] {
            assert_eq!(Moment::parse(text).unwrap().to_string(), text);
        }
        assert_eq!("26h".parse::<Length>().unwrap().to_string(), "26h");
        assert!("1x".parse::<Length>().is_err());
    }
}
