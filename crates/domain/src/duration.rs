//! Durations, moments and byte sizes as people write and read them.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Why a text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a duration: write a number and a unit, such as `90s`, `10m`, `2h` or `3d`")]
pub struct InvalidDuration(String);

/// A duration that is written as people do (`10m`), also in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Human(pub Duration);

impl FromStr for Human {
    type Err = InvalidDuration;
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        parse(text).map(Self)
    }
}

impl TryFrom<String> for Human {
    type Error = InvalidDuration;
    fn try_from(text: String) -> Result<Self, InvalidDuration> {
        text.parse()
    }
}

impl From<Human> for String {
    fn from(duration: Human) -> Self {
        format!("{}s", duration.0.as_secs().max(1))
    }
}

impl schemars::JsonSchema for Human {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "duration-text"})
    }
}

/// Parses `90s`, `10m`, `2h`, `3d` or a sequence such as `1h30m`; at most 366 days, not zero.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let bad = || InvalidDuration(text.chars().take(40).collect());
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let unit = match rest[digits..].chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(bad()),
        };
        seconds = number
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .ok_or_else(bad)?;
        rest = &rest[digits + 1..];
    }
    if seconds == 0 || seconds > 366 * 86_400 {
        return Err(bad());
    }
    Ok(Duration::from_secs(seconds))
}

/// `3d 4h`, `2h 5m`, `45s`, `820ms`: the two largest units.
pub fn text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{}ms", duration.as_millis());
    }
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    parts[first..(first + 2).min(4)]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The time between two moments; zero if `later` is earlier.
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// `2026-11-23 03:04:05 UTC`.
pub fn utc_text(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

/// `2026-11-23T03:04:05.123456Z`: always six decimals, so that texts sort as times.
pub fn canonical(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

/// `812 B`, `1.5 KiB`, `340 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_and_shown() {
        assert_eq!(parse("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5_400)));
        for bad in [
            "",
            "10",
            "m",
            "0s",
            "-5m",
            "10 minutes",
            "9999999999999d",
            "5µ",
            "400d",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(text(Duration::from_millis(820)), "820ms");
        assert_eq!(text(Duration::from_secs(3_600)), "1h");
        assert_eq!(text(Duration::from_secs(93_784)), "1d 2h");
        assert_eq!(text(Duration::from_secs(86_460)), "1d");
    }

    #[test]
    fn moments_have_six_decimals() {
        let at = Timestamp::from_microsecond(1_700_000_000_000_100).unwrap();
        assert_eq!(canonical(at), "2023-11-14T22:13:20.000100Z");
        assert_eq!(utc_text(at), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes_text(812), "812 B");
        assert_eq!(bytes_text(1_536), "1.5 KiB");
        assert_eq!(bytes_text(356_515_840), "340 MiB");
    }
}
