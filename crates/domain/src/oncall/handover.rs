//! When shifts change hands.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::alert::Malformed;

/// Shifts change hands every so many days, always at the same time of day by the clocks of one
/// place: a shift over a change of clocks is an hour shorter or longer, but nobody is relieved at
/// another hour.
///
/// A time that is left out on the day the clocks go forward means the time the clock shows so much
/// later (02:30 becomes 03:30); one that comes twice means the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The day on which turn 0 begins.
    first: Date,
    /// Days from one handover to the next, at least 1.
    days: i64,
    at: Time,
    zone: TimeZone,
}

/// Turn 0 begins on this day or soon after where the configuration does not say it: a Monday.
const EPOCH: Date = Date::constant(2024, 1, 1);
/// No shift is longer, in days.
const LONGEST: i64 = 366;

pub(crate) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl Handover {
    /// Reads `monday 09:00`, `daily 09:00`, `every 2 weeks 09:00`, `every 3 days 09:00`. `starts`
    /// is the day on which the first member's first shift begins; with `every` it is needed.
    pub fn parse(text: &str, starts: Option<Date>, zone: TimeZone) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed::text(text, what);
        let usage =
            "write `monday 09:00`, `daily 09:00`, `every 2 weeks 09:00` or `every 3 days 09:00`";
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let (days, first, at) = match words.as_slice() {
            ["daily", at] => (1, starts.unwrap_or(EPOCH), at),
            ["every", number, unit, at] => {
                let number: i64 = number.parse().map_err(|_| wrong(usage))?;
                let days = match *unit {
                    "day" | "days" => Some(number),
                    "week" | "weeks" => number.checked_mul(7),
                    _ => return Err(wrong(usage)),
                };
                let days = days.filter(|days| (1..=LONGEST).contains(days));
                let days = days.ok_or_else(|| wrong("a shift lasts from 1 day to 366 days"))?;
                let first = starts.ok_or_else(|| {
                    wrong("needs `starts`, the day of the first shift, such as `2026-11-02`")
                })?;
                (days, first, at)
            }
            [day, at] => {
                let (_, weekday) = WEEKDAYS
                    .into_iter()
                    .find(|(name, _)| name == day)
                    .ok_or_else(|| wrong(usage))?;
                let first = match starts {
                    Some(first) if first.weekday() == weekday => first,
                    Some(first) => {
                        let is = WEEKDAYS.iter().find(|(_, day)| *day == first.weekday());
                        let is = is.map_or("another day", |(name, _)| name);
                        return Err(wrong(&format!("`starts` is no {day}: {first} is a {is}")));
                    }
                    None => {
                        let later = i64::from(EPOCH.weekday().until(weekday));
                        EPOCH.saturating_add(Span::new().days(later))
                    }
                };
                (7, first, at)
            }
            _ => return Err(wrong(usage)),
        };
        let at = time(at).ok_or_else(|| wrong("a time of day is written as `09:00`"))?;
        Ok(Self {
            first,
            days,
            at,
            zone,
        })
    }

    /// The place whose clocks count.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// When turn `n` begins. Turns are counted from the first one in both directions.
    pub fn begins(&self, n: i64) -> Timestamp {
        let extreme = if n < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        let day = n
            .checked_mul(self.days)
            .and_then(|days| Span::new().try_days(days).ok())
            .and_then(|days| self.first.checked_add(days).ok());
        day.map_or(extreme, |day| self.on(day))
    }

    /// The turn that `now` is in: the last one that has begun. (One that is over in the moment it
    /// begins, because the clocks left its whole day out, is nobody's.)
    pub fn turn(&self, now: Timestamp) -> i64 {
        let days = self
            .first
            .until(self.zone.to_datetime(now).date())
            .map_or(0, |span| i64::from(span.get_days()));
        // The date there may differ by one from that of the shift, so look from above.
        let mut n = days.div_euclid(self.days) + 2;
        while self.begins(n) > now {
            n -= 1;
        }
        n
    }

    /// The moment of the handover hour on a day.
    pub(super) fn on(&self, day: Date) -> Timestamp {
        let wall = day.to_datetime(self.at);
        let moment = self.zone.to_ambiguous_timestamp(wall).compatible();
        moment.unwrap_or(if wall < Date::ZERO.to_datetime(self.at) {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }

    /// What a clock there shows.
    pub(super) fn date(&self, now: Timestamp) -> Date {
        self.zone.to_datetime(now).date()
    }
}

/// Reads `09:00`.
pub(crate) fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let good = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        good.then(|| text.parse::<i8>().ok()).flatten()
    };
    let good = minute.len() == 2;
    good.then(|| Time::new(number(hour)?, number(minute)?, 0, 0).ok())?
}
