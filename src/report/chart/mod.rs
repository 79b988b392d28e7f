//! Pictures of figures over time: PNG, made in this process, with embedded fonts.
//!
//! Legible on a phone (large type, thick lines, labels at the lines themselves), safe in light and
//! dark mode (an opaque light background), told apart without colour vision (Okabe and Ito's
//! palette, <https://jfly.uni-koeln.de/color/>), and said in words by [`Chart::alt_text`].

mod data;
mod draw;
mod scale;

pub use data::{Chart, ChartError, MAX_POINTS, MAX_SERIES, Series};

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Unit;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn series(name: &str, points: Vec<(Timestamp, f64)>) -> Series {
        Series {
            name: name.into(),
            points,
            ended: false,
        }
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
                series("treasury-frontend-1", points(130.0)),
                series("treasury-frontend-2", points(120.0)),
            ],
            total: 2,
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
        show("leak", &png);
        let blank = Chart {
            series: Vec::new(),
            total: 0,
            limit: None,
            marks: Vec::new(),
            trend: None,
            ..leak()
        };
        assert_ne!(blank.png().unwrap(), png, "the lines are on the picture");
        insta::assert_snapshot!(chart.alt_text(), @"Line chart: frontend memory. frontend-1 grows 540 MiB an hour, full in 18m. treasury-frontend-1: from 130 MiB to 301 MiB, between 130 MiB and 481 MiB. treasury-frontend-2: from 120 MiB to 291 MiB, between 120 MiB and 471 MiB. The limit is 512 MiB. restart at 08:40 UTC.");
        assert!(blank.alt_text().ends_with("No data."));
    }

    /// Where somebody wants to look at the pictures.
    fn show(name: &str, png: &[u8]) {
        if let Some(folder) = std::env::var_os("TREASURY_BOT_TEST_PICTURES") {
            let path = std::path::Path::new(&folder).join(format!("{name}.png"));
            std::fs::write(path, png).unwrap();
        }
    }

    #[test]
    fn small_and_negative_figures_and_lines_that_end_are_drawn_and_said_as_they_are() {
        let line = |from: f64, by: f64, most: i64| {
            (0..most).map(|n| (at(n), from + by * n as f64)).collect()
        };
        let mut chart = Chart {
            title: "api latency".into(),
            subtitle: "now 2.06 ms (api-1) to 4 ms (api-2)".into(),
            unit: Unit::Seconds,
            series: vec![
                series("node-exporter.internal:9100", line(0.001, 0.000_018, 60)),
                series("node-exporter.internal:9200", line(0.004, -0.000_1, 60)),
                Series {
                    ended: true,
                    ..series("api-3", line(0.003, 0.0, 40))
                },
            ],
            total: 56,
            limit: None,
            marks: Vec::new(),
            trend: None,
            ..leak()
        };
        show("small", &chart.png().unwrap());
        insta::assert_snapshot!(chart.alt_text(), @"Line chart: api latency. now 2.06 ms (api-1) to 4 ms (api-2). 3 of 56 series; 53 are left out. node-exporter.internal:9100: from 1 ms to 2.06 ms, between 1 ms and 2.06 ms. node-exporter.internal:9200: from 4 ms to -1.9 ms, between -1.9 ms and 4 ms. api-3: from 3 ms to 3 ms, between 3 ms and 3 ms, nothing after 08:39 UTC.");
        chart.series.truncate(1);
        let below = chart.png().unwrap();
        for (_, value) in &mut chart.series[0].points {
            *value = -*value;
        }
        assert_ne!(
            chart.png().unwrap(),
            below,
            "what is below zero is drawn there"
        );
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
                series: vec![series(&name, points)],
                total: 1,
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
