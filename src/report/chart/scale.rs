//! Units, round numbers for an axis, and their words.

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, in binary multiples.
    Bytes,
    /// Percent.
    Percent,
    /// Plain numbers.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// So many a second.
    PerSecond,
}

impl Unit {
    /// A value in words, such as `301 MiB` or `1.2 s`.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Bytes => {
                let mut value = value;
                for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
                    if value.abs() < 1_024.0 || unit == "TiB" {
                        return format!("{} {unit}", short(value));
                    }
                    value /= 1_024.0;
                }
                format!("{} PiB", short(value))
            }
            Self::Percent => format!("{} %", short(value)),
            Self::Count => thousands(value),
            Self::Milliseconds if value.abs() >= 1_000.0 => format!("{} s", short(value / 1e3)),
            Self::Milliseconds => format!("{} ms", short(value)),
            Self::PerSecond => format!("{}/s", thousands(value)),
        }
    }

    /// The distance between two grid lines so that about five fit below `top`: a round number.
    pub(super) fn step(self, top: f64) -> f64 {
        let rough = (top / 5.0).clamp(1e-6, 1e18);
        if self == Self::Bytes {
            return 2_f64.powf(rough.log2().ceil());
        }
        let power = 10_f64.powf(rough.log10().floor());
        [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|times| times * power)
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power)
    }
}

fn thousands(value: f64) -> String {
    match value.abs() {
        n if n >= 1e6 => format!("{} M", short(value / 1e6)),
        n if n >= 1e4 => format!("{} k", short(value / 1e3)),
        _ => short(value),
    }
}

/// Three digits that matter, no more.
fn short(value: f64) -> String {
    let text = match value.abs() {
        n if n >= 100.0 => format!("{value:.0}"),
        n if n >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
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
    fn values_are_said_shortly() {
        for (unit, value, text) in [
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 1_536.0, "1.5 KiB"),
            (Unit::Bytes, 512.0 * 1_048_576.0, "512 MiB"),
            (Unit::Percent, 12.34, "12.3 %"),
            (Unit::Milliseconds, 1_250.0, "1.25 s"),
            (Unit::Milliseconds, 35.0, "35 ms"),
            (Unit::PerSecond, 12_000.0, "12 k/s"),
            (Unit::Count, 97.0, "97"),
        ] {
            assert_eq!(unit.text(value), text);
        }
    }

    #[test]
    fn steps_are_round_and_few() {
        assert!((Unit::Count.step(97.0) - 20.0).abs() < 1e-9);
        assert!((Unit::Percent.step(4.0) - 1.0).abs() < 1e-9);
        assert!((Unit::Bytes.step(512.0) - 128.0).abs() < 1e-9);
        for top in [1e-9, 0.3, 7.0, 1e15, f64::MAX] {
            assert!(Unit::Milliseconds.step(top).is_finite());
        }
    }
}
