//! Pictures of figures over time: PNG, made in this process, with embedded fonts.
//!
//! Legible on a phone (large type, thick lines, labels at the lines themselves), safe in light and
//! dark mode (an opaque light background), told apart without colour vision (Okabe and Ito's
//! palette, <https://jfly.uni-koeln.de/color/>), and said in words by [`Chart::alt_text`].

mod draw;
mod scale;

use jiff::Timestamp;

pub use scale::Unit;

/// Most series of a picture; the subtitle tells of further ones.
pub const MAX_SERIES: usize = 8;
/// Most points of a series; longer ones are thinned.
pub const MAX_POINTS: usize = 1_000;

/// A picture before it is drawn.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// A line below it; may be empty.
    pub subtitle: String,
    /// Of all values.
    pub unit: Unit,
    /// The lines.
    pub series: Vec<Series>,
    /// A line that is not to be crossed: its name and height.
    pub limit: Option<(String, f64)>,
    /// Moments and what happened then.
    pub marks: Vec<(Timestamp, String)>,
    /// The left edge.
    pub from: Timestamp,
    /// The right edge.
    pub to: Timestamp,
    /// Where it is heading: a dashed line from one point to another.
    pub trend: Option<(Timestamp, f64, Timestamp, f64)>,
}

/// A line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Oldest first; NaN and infinite values are left out.
    pub points: Vec<(Timestamp, f64)>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[error("the picture could not be made: {0}")]
pub struct ChartError(String);

impl Chart {
    /// The picture, 1200 × 675 pixels.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        draw::png(self)
    }

    /// What the picture shows, in a few sentences, at most 900 bytes.
    pub fn alt_text(&self) -> String {
        let mut text = format!("Line chart: {}.", clean(&self.title, 80));
        if !self.subtitle.is_empty() {
            text.push_str(&format!(" {}.", clean(&self.subtitle, 160)));
        }
        let mut shown = 0;
        for series in self.series.iter().take(MAX_SERIES) {
            let values: Vec<f64> = series
                .points
                .iter()
                .map(|(_, value)| *value)
                .filter(|value| value.is_finite())
                .collect();
            let (Some(first), Some(last)) = (values.first(), values.last()) else {
                continue;
            };
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let of = |value: f64| self.unit.text(value);
            text.push_str(&format!(
                " {}: from {} to {}, between {} and {}.",
                clean(&series.name, 40),
                of(*first),
                of(*last),
                of(least),
                of(most)
            ));
            shown += 1;
        }
        if shown == 0 {
            text.push_str(" No data.");
        }
        if let Some((name, limit)) = &self.limit {
            text.push_str(&format!(
                " The {} is {}.",
                clean(name, 30),
                self.unit.text(*limit)
            ));
        }
        for (at, what) in self.marks.iter().take(6) {
            text.push_str(&format!(
                " {} at {} UTC.",
                clean(what, 30),
                at.strftime("%H:%M")
            ));
        }
        crate::domain::timeline::cut(&text, 900)
    }
}

/// Words of others: without what can't be drawn, and short.
fn clean(text: &str, most: usize) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && (*c as u32) < 0x2_0000)
        .collect();
    crate::domain::timeline::cut(&text, most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn leak() -> Chart {
        let mebibyte = f64::from(1 << 20);
        let points = |from: f64| {
            (0..60)
                .map(|n| {
                    let grown = f64::from(if n < 40 { n } else { n - 40 });
                    (at(n.into()), (from + grown * 9.0) * mebibyte)
                })
                .collect()
        };
        Chart {
            title: "frontend memory".into(),
            subtitle: "frontend-1 grows 540 MiB an hour, full in 18m".into(),
            unit: Unit::Bytes,
            series: vec![
                Series {
                    name: "treasury-frontend-1".into(),
                    points: points(130.0),
                },
                Series {
                    name: "treasury-frontend-2".into(),
                    points: points(120.0),
                },
            ],
            limit: Some(("limit".into(), 512.0 * mebibyte)),
            marks: vec![(at(40), "restart".into())],
            from: at(0),
            to: at(60),
            trend: Some((at(40), 130.0 * mebibyte, at(59), 300.0 * mebibyte)),
        }
    }

    /// Width and height out of the header of a PNG.
    fn size(png: &[u8]) -> (u32, u32) {
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        (number(16), number(20))
    }

    #[test]
    fn a_leak_is_drawn_and_said() {
        let chart = leak();
        let png = chart.png().unwrap();
        assert_eq!(size(&png), (1200, 675));
        assert!(png.len() < 200_000, "{} bytes", png.len());
        if let Some(folder) = std::env::var_os("TREASURY_BOT_TEST_PICTURES") {
            std::fs::write(std::path::Path::new(&folder).join("leak.png"), &png).unwrap();
        }
        let blank = Chart {
            series: Vec::new(),
            limit: None,
            marks: Vec::new(),
            trend: None,
            ..leak()
        };
        assert_ne!(blank.png().unwrap(), png, "the lines are on the picture");
        insta::assert_snapshot!(chart.alt_text(), @"Line chart: frontend memory. frontend-1 grows 540 MiB an hour, full in 18m. treasury-frontend-1: from 130 MiB to 301 MiB, between 130 MiB and 481 MiB. treasury-frontend-2: from 120 MiB to 291 MiB, between 120 MiB and 471 MiB. The limit is 512 MiB. restart at 08:40 UTC.");
        assert!(blank.alt_text().ends_with("No data."));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn no_data_panics(
            values in prop::collection::vec(
                prop_oneof![any::<f64>(), Just(0.0), Just(-5.0), Just(f64::NAN), 0.0..1e3], 0..12),
            name in any::<String>(),
            minutes in 0_i64..100_000,
            limit in any::<Option<f64>>(),
        ) {
            let points = values.iter().enumerate().map(|(n, v)| (at(n as i64), *v)).collect();
            let chart = Chart {
                title: name.clone(),
                subtitle: name.clone(),
                unit: Unit::Milliseconds,
                series: vec![Series { name: name.clone(), points }],
                limit: limit.map(|limit| (name.clone(), limit)),
                marks: vec![(at(1), name)],
                from: at(0),
                to: at(minutes),
                trend: Some((at(0), 0.0, at(3), f64::INFINITY)),
            };
            prop_assert_eq!(size(&chart.png().unwrap()), (1200, 675));
            prop_assert!(chart.alt_text().len() <= 900);
        }
    }
}
