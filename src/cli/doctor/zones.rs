//! The table of time zones.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::finding::{Check, Finding, Group};
use crate::bot::Zones;
use crate::domain::counted;

const ZONES: Check = Check {
    id: "time.zones",
    group: Group::Time,
    asks: "Is the table of time zones in use (the newer of the system's and the bot's own) younger than a \
           year? Rotations hand over by it.",
    mend: "update the system's tzdata (`apt-get install --only-upgrade tzdata`), or the bot",
};
pub(super) const CHECKS: &[Check] = &[ZONES];

/// Looks at it.
pub(super) fn look() -> Finding {
    let zones = Zones::here();
    let year: Option<i16> = zones.version.get(..4).and_then(|year| year.parse().ok());
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    match year {
        // A version tells the year that it is of, not the day.
        Some(year) if now.year() > year + 1 => {
            let years = now.year() - year - 1;
            let years = counted(years, "year");
            let what = format!("it is at least {years} old: {}", zones.told);
            ZONES.warning("time zones", what)
        }
        Some(_) => ZONES.ok("time zones", zones.told.clone()),
        None => ZONES.unknown("time zones", format!("of no known version: {}", zones.told)),
    }
}
