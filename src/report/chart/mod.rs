//! Pictures of figures over time: PNG, made in this process, with embedded fonts.
//!
//! Legible on a phone (large type, thick lines, labels at the lines themselves), safe in light and
//! dark mode (an opaque light background), told apart without colour vision (Okabe and Ito's
//! palette, <https://jfly.uni-koeln.de/color/>), and said in words by [`Chart::alt_text`].

mod data;
mod draw;
mod scale;

pub use data::{Chart, ChartError, MAX_POINTS, MAX_SERIES, Series};
pub use scale::Unit;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
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
