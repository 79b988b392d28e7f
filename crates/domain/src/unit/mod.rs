//! What figures are measured in, and how they are said.

mod promql;

use serde::{Deserialize, Serialize};

pub use promql::Measured;

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Bytes, said in binary multiples.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// A share of 1, said in percent.
    Ratio,
    /// Percent.
    Percent,
    /// So many a second.
    PerSecond,
    /// A plain number, or one of which the unit is not known.
    Number,
}

crate::words!(Unit {
    Seconds: "seconds",
    Milliseconds: "milliseconds",
    Bytes: "bytes",
    BytesPerSecond: "bytes-per-second",
    Ratio: "ratio",
    Percent: "percent",
    PerSecond: "per-second",
    Number: "number",
});

impl Unit {
    /// The unit in the words of a metric's metadata: `# UNIT` of OpenMetrics, or UCUM as
    /// OpenTelemetry writes it.
    pub fn of_metadata(text: &str) -> Option<Self> {
        match text {
            "seconds" | "s" => Some(Self::Seconds),
            "milliseconds" | "ms" => Some(Self::Milliseconds),
            "bytes" | "By" => Some(Self::Bytes),
            "ratio" => Some(Self::Ratio),
            "percent" | "%" => Some(Self::Percent),
            _ => None,
        }
    }

    /// A value in words, such as `301 MiB` or `2.06 ms`: three digits that matter.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Bytes => bytes(value),
            Self::BytesPerSecond => format!("{}/s", bytes(value)),
            Self::Ratio => format!("{} %", short(value * 100.0)),
            Self::Percent => format!("{} %", short(value)),
            Self::Number => thousands(value),
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::Milliseconds => seconds(value / 1e3),
            Self::Seconds => seconds(value),
        }
    }
}

fn seconds(value: f64) -> String {
    let (times, unit) = match value.abs() {
        n if n >= 1.0 || n == 0.0 => (1.0, "s"),
        n if n >= 1e-3 => (1e3, "ms"),
        n if n >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", short(value * times))
}

fn bytes(mut value: f64) -> String {
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 1_024.0 {
            return format!("{} {unit}", short(value));
        }
        value /= 1_024.0;
    }
    format!("{} PiB", short(value))
}

fn thousands(value: f64) -> String {
    match value.abs() {
        n if n >= 1e6 => format!("{} M", short(value / 1e6)),
        n if n >= 1e4 => format!("{} k", short(value / 1e3)),
        _ => short(value),
    }
}

/// Three digits that matter, no more; a small figure keeps its own.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        n if !(1e-6..1e15).contains(&n) => return format!("{value:.2e}"),
        n => (2.0 - n.log10().floor()).clamp(0.0, 9.0) as usize,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_said_shortly_and_small_ones_keep_their_digits() {
        for (unit, value, text) in [
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 1_536.0, "1.5 KiB"),
            (Unit::Bytes, 512.0 * 1_048_576.0, "512 MiB"),
            (Unit::BytesPerSecond, 2_048.0, "2 KiB/s"),
            (Unit::Percent, 12.34, "12.3 %"),
            (Unit::Ratio, 0.25, "25 %"),
            (Unit::Ratio, 0.000_25, "0.025 %"),
            (Unit::Milliseconds, 1_250.0, "1.25 s"),
            (Unit::Milliseconds, 35.0, "35 ms"),
            (Unit::Seconds, 2.5, "2.5 s"),
            (Unit::Seconds, 0.002_06, "2.06 ms"),
            (Unit::Seconds, 0.000_045, "45 µs"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 86_400.0, "86400 s"),
            (Unit::PerSecond, 12_000.0, "12 k/s"),
            (Unit::PerSecond, 0.004_2, "0.0042/s"),
            (Unit::Number, 97.0, "97"),
            (Unit::Number, 2.5, "2.5"),
            (Unit::Number, -0.002_06, "-0.00206"),
            (Unit::Number, 2e-9, "2.00e-9"),
        ] {
            assert_eq!(unit.text(value), text);
        }
    }
}
