//! When something is done again and again, in words: `daily 02:00`, `weekly sunday 03:00`,
//! `monthly 1 04:00`.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use crate::alert::Malformed;
use crate::oncall::{WEEKDAYS, time};

/// Moments at the same time of day by the clocks of one place.
///
/// A time that is left out on the day the clocks go forward means the time the clock shows so much
/// later (02:30 becomes 03:30); one that comes twice means the first of them. So each day has one
/// moment, whatever the clocks do. A month that is too short for its day has it on its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    days: Days,
    at: Time,
    zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    All,
    Weekly(Weekday),
    /// 1 to 31.
    Monthly(i8),
}

impl Days {
    fn has(self, day: Date) -> bool {
        match self {
            Self::All => true,
            Self::Weekly(weekday) => day.weekday() == weekday,
            Self::Monthly(number) => day.day() == number.min(day.days_in_month()),
        }
    }
}

impl Schedule {
    /// How far two moments are apart at most, in days, with some to spare for the change of the date
    /// from one zone to another.
    const REACH: usize = 36;

    /// Reads `daily 02:00`, `weekly sunday 03:00`, `monthly 1 04:00`.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed::text(text, what);
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let (days, at) = match words.as_slice() {
            ["daily", at] => (Days::All, at),
            ["weekly", day, at] => {
                let found = WEEKDAYS.into_iter().find(|(name, _)| name == day);
                let (_, weekday) =
                    found.ok_or_else(|| wrong("a day of the week is written as `sunday`"))?;
                (Days::Weekly(weekday), at)
            }
            ["monthly", number, at] => {
                let number = number.parse().ok().filter(|one| (1..=31).contains(one));
                let number = number.ok_or_else(|| wrong("a day of the month is from 1 to 31"))?;
                (Days::Monthly(number), at)
            }
            _ => {
                let usage = "write `daily 02:00`, `weekly sunday 03:00` or `monthly 1 04:00`";
                return Err(wrong(usage));
            }
        };
        let at = time(at).ok_or_else(|| wrong("a time of day is written as `09:00`"))?;
        Ok(Self { days, at, zone })
    }

    /// The place whose clocks count.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first moment after this one; `None` where the calendar ends.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let day = self.date(after);
        // The clocks may have put the moment of a day onto the next.
        let first = day.yesterday().unwrap_or(day);
        let mut days = std::iter::successors(Some(first), |day| day.tomorrow().ok());
        let mut days = days.by_ref().take(Self::REACH);
        days.find_map(|day| self.on(day).filter(|at| *at > after))
    }

    /// The last moment until this one, or at it; `None` where the calendar begins.
    pub fn last(&self, until: Timestamp) -> Option<Timestamp> {
        let day = self.date(until);
        let mut days = std::iter::successors(Some(day), |day| day.yesterday().ok());
        let mut days = days.by_ref().take(Self::REACH);
        days.find_map(|day| self.on(day).filter(|at| *at <= until))
    }

    /// The longest time from one moment to the next, by clocks that may be put back an hour.
    pub fn longest(&self) -> Duration {
        let days = match self.days {
            Days::All => 1,
            Days::Weekly(_) => 7,
            Days::Monthly(_) => 31,
        };
        Duration::from_secs(days * 86_400 + 3_600)
    }

    fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// The moment of a day, if it has one.
    fn on(&self, day: Date) -> Option<Timestamp> {
        if !self.days.has(day) {
            return None;
        }
        let wall = day.to_datetime(self.at);
        self.zone.to_ambiguous_timestamp(wall).compatible().ok()
    }
}

impl fmt::Display for Schedule {
    /// As it is written, with the zone where that is not UTC: `daily 02:00 Europe/Paris`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.days {
            Days::All => f.write_str("daily")?,
            Days::Weekly(weekday) => {
                let name = WEEKDAYS.iter().find(|(_, one)| *one == weekday);
                write!(f, "weekly {}", name.map_or("", |(name, _)| name))?;
            }
            Days::Monthly(number) => write!(f, "monthly {number}")?,
        }
        write!(f, " {}", self.at.strftime("%H:%M"))?;
        match self.zone.iana_name() {
            Some(name) if name != "UTC" => write!(f, " {name}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::parse(text, TimeZone::get(zone).unwrap()).unwrap()
    }

    /// The moments after this one, with the offset of the clocks there.
    fn moments(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = schedule.next(at).unwrap();
            let there = at.to_zoned(schedule.zone().clone());
            found.push(there.strftime("%m-%d %H:%M %:z").to_string());
            assert_eq!(schedule.last(at), Some(at), "{at}");
        }
        found
    }

    #[test]
    fn schedules_are_read_and_written_and_what_is_wrong_with_them_is_said() {
        for text in ["daily 02:00", "weekly sunday 03:00", "monthly 31 04:30"] {
            assert_eq!(schedule(text, "UTC").to_string(), text);
        }
        let there = schedule("Weekly  Sunday 3:00", "Europe/Paris");
        assert_eq!(there.to_string(), "weekly sunday 03:00 Europe/Paris");
        for (text, why) in [
            ("", "write `daily 02:00`"),
            ("sunday 03:00", "write `daily 02:00`"),
            ("daily", "write `daily 02:00`"),
            ("daily 25:00", "a time of day"),
            ("daily 2", "a time of day"),
            ("weekly sun 03:00", "a day of the week"),
            ("monthly 0 03:00", "from 1 to 31"),
            ("monthly 32 03:00", "from 1 to 31"),
            ("monthly first 03:00", "from 1 to 31"),
        ] {
            let error = Schedule::parse(text, TimeZone::UTC).unwrap_err();
            assert!(error.what.contains(why), "{text}: {error}");
        }
    }

    /// A schedule, its place, a moment, and the three that follow it.
    type Case = (&'static str, &'static str, &'static str, [&'static str; 3]);

    const OVER_CHANGES_OF_CLOCKS: [Case; 9] = [
        // Paris goes forward at 02:00 on the 29th of March and back at 03:00 on the 25th of October.
        (
            "daily 02:30",
            "Europe/Paris",
            "2026-03-27T12:00:00Z",
            [
                "03-28 02:30 +01:00",
                "03-29 03:30 +02:00",
                "03-30 02:30 +02:00",
            ],
        ),
        (
            "daily 02:30",
            "Europe/Paris",
            "2026-10-23T12:00:00Z",
            [
                "10-24 02:30 +02:00",
                "10-25 02:30 +02:00",
                "10-26 02:30 +01:00",
            ],
        ),
        (
            "weekly sunday 03:00",
            "Europe/Paris",
            "2026-10-17T12:00:00Z",
            [
                "10-18 03:00 +02:00",
                "10-25 03:00 +01:00",
                "11-01 03:00 +01:00",
            ],
        ),
        // New York goes forward on the 8th of March and back on the 1st of November.
        (
            "weekly sunday 02:15",
            "America/New_York",
            "2026-03-02T00:00:00Z",
            [
                "03-08 03:15 -04:00",
                "03-15 02:15 -04:00",
                "03-22 02:15 -04:00",
            ],
        ),
        (
            "monthly 1 01:30",
            "America/New_York",
            "2026-10-15T00:00:00Z",
            [
                "11-01 01:30 -04:00",
                "12-01 01:30 -05:00",
                "01-01 01:30 -05:00",
            ],
        ),
        // Lord Howe's clocks change by half an hour: on the 4th of October, at 02:00.
        (
            "daily 02:10",
            "Australia/Lord_Howe",
            "2026-10-02T14:00:00Z",
            [
                "10-03 02:10 +10:30",
                "10-04 02:40 +11:00",
                "10-05 02:10 +11:00",
            ],
        ),
        // Santiago leaves out midnight itself: on the 6th of September.
        (
            "daily 00:00",
            "America/Santiago",
            "2026-09-04T12:00:00Z",
            [
                "09-05 00:00 -04:00",
                "09-06 01:00 -03:00",
                "09-07 00:00 -03:00",
            ],
        ),
        // Apia left out the whole 30th of December 2011: two days had one moment.
        (
            "daily 09:00",
            "Pacific/Apia",
            "2011-12-28T20:00:00Z",
            [
                "12-29 09:00 -10:00",
                "12-31 09:00 +14:00",
                "01-01 09:00 +14:00",
            ],
        ),
        // Where the clocks never change, nothing changes; a short month has its last day.
        (
            "monthly 31 04:00",
            "Asia/Kolkata",
            "2028-01-31T00:00:00Z",
            [
                "02-29 04:00 +05:30",
                "03-31 04:00 +05:30",
                "04-30 04:00 +05:30",
            ],
        ),
    ];

    #[test]
    fn a_time_that_the_clocks_leave_out_is_so_much_later_and_one_that_comes_twice_comes_once() {
        for (text, zone, after, expected) in OVER_CHANGES_OF_CLOCKS {
            let found = moments(&schedule(text, zone), after, 3);
            assert_eq!(found, expected, "{text} in {zone}");
        }
    }

    #[test]
    fn where_the_calendar_ends_nothing_comes() {
        let daily = schedule("daily 02:00", "Europe/Paris");
        assert_eq!(daily.next(Timestamp::MAX), None);
        assert_eq!(daily.last(Timestamp::MIN), None);
    }

    proptest! {
        /// Each day that has a moment has one, in its order, and nothing lies between two.
        #[test]
        fn a_year_has_each_moment_once(
            zone in prop::sample::select(vec![
                "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
                "Africa/Casablanca", "Asia/Kolkata", "Pacific/Auckland", "UTC",
            ]),
            (text, most) in prop::sample::select(vec![("daily", 1), ("weekly friday", 7), ("monthly 30", 31)]),
            minute in 0..1_440_i32,
            year in 2015_i16..2035,
        ) {
            let text = format!("{text} {:02}:{:02}", minute / 60, minute % 60);
            let schedule = schedule(&text, zone);
            let begin = Date::new(year, 1, 1).unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
            let end = Date::new(year + 1, 1, 1).unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
            let mut at = schedule.next(begin).unwrap();
            while let Some(next) = schedule.next(at).filter(|next| *next < end) {
                let hours = next.duration_since(at).as_hours();
                prop_assert!(hours >= 22 && hours <= most * 24 + 2, "{at} {next}");
                let before = next - jiff::SignedDuration::from_micros(1);
                prop_assert_eq!(schedule.last(before), Some(at));
                prop_assert_eq!(schedule.next(before), Some(next));
                let days = schedule.date(at).until(schedule.date(next)).unwrap().get_days();
                prop_assert!(i64::from(days) <= most && days >= 1, "{at} {next}");
                at = next;
            }
        }
    }
}
