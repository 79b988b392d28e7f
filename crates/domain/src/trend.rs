//! Where a series is heading: a line through its points that outliers do not bend.
//!
//! The line is the Theil–Sen estimator (Theil 1950, Sen 1968): its slope is the median of the
//! slopes `(yⱼ − yᵢ) / (xⱼ − xᵢ)` of all pairs of points at different times, its height the median
//! of the residuals `yᵢ − slope · xᵢ`. Up to 29 % of the points may lie anywhere at all.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Fewest points that make a trend.
const MIN_POINTS: usize = 5;
/// Shortest stretch of time that makes a trend, hours (60 s).
const MIN_HOURS: f64 = 60.0 / 3_600.0;
/// Most points that are looked at: 44,850 pairs.
const MAX_POINTS: usize = 300;
/// Further ahead nothing is foretold, hours (30 days).
const MAX_AHEAD_HOURS: f64 = 30.0 * 24.0;

/// The line through a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Slope, units of the series an hour.
    pub per_hour: f64,
    /// Height of the line at the last point, units of the series.
    pub at_end: f64,
    /// How steadily the series goes the line's way, 0 to 100 percent: Kendall's τ (share of the
    /// pairs of points that go the line's way, less the share that goes the other) less what
    /// chance gives as many points without any trend (one standard deviation of τ,
    /// `√(2(2n+5) / 9n(n−1))`). Five points on a line are worth 59, a hundred 93, noise near 0.
    pub confidence: f64,
    /// How many points the line was drawn through, at most 300.
    pub points: usize,
}

impl Trend {
    /// A series below this confidence is noise: nothing is foretold of it.
    pub const MIN_CONFIDENCE: f64 = 40.0;

    /// How long after the last point the line reaches `limit` from below; zero if it is there
    /// already. `None` when it is flat or falls, when it is noise (below
    /// [`Trend::MIN_CONFIDENCE`]), and when it would be more than 30 days.
    pub fn time_to(&self, limit: f64) -> Option<Duration> {
        // Written so that NaN anywhere means no answer.
        if !(self.per_hour > 0.0 && self.confidence >= Self::MIN_CONFIDENCE && limit.is_finite()) {
            return None;
        }
        let hours = ((limit - self.at_end) / self.per_hour).max(0.0);
        (hours <= MAX_AHEAD_HOURS).then(|| Duration::from_secs_f64(hours * 3_600.0))
    }
}

/// The line through these points, in any order; NaN and infinite values do not count. `None` for
/// fewer than 5 points or less than 60 s from the first to the last. More than 300 points are
/// thinned evenly, always in the same way.
pub fn trend(points: &[(Timestamp, f64)]) -> Option<Trend> {
    let points = thinned(points)?;
    let slopes = slopes(&points);
    let confidence = confidence(&slopes, points.len());
    let per_hour = median(slopes)?;
    let height = median(
        points
            .iter()
            .map(|(x, y)| y - per_hour * x)
            .filter(|residual| residual.is_finite())
            .collect(),
    )?;
    let at_end = height + per_hour * points.last()?.0;
    at_end.is_finite().then_some(Trend {
        per_hour,
        at_end,
        confidence,
        points: points.len(),
    })
}

/// Hours since the first point, and the value; in order of time, at most [`MAX_POINTS`] of them,
/// the first and the last among them.
fn thinned(points: &[(Timestamp, f64)]) -> Option<Vec<(f64, f64)>> {
    let mut points: Vec<_> = points
        .iter()
        .copied()
        .filter(|(_, value)| value.is_finite())
        .collect();
    // Ordered by value among equal times, so that the order they come in is irrelevant.
    points.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    if points.len() < MIN_POINTS {
        return None;
    }
    let first = points.first()?.0;
    let hours = |at: Timestamp| at.duration_since(first).as_secs_f64() / 3_600.0;
    if hours(points.last()?.0) < MIN_HOURS {
        return None;
    }
    let count = points.len().min(MAX_POINTS);
    Some(
        (0..count)
            .map(|i| points[i * (points.len() - 1) / (count - 1)])
            .map(|(at, value)| (hours(at), value))
            .collect(),
    )
}

/// The slopes of all pairs at different times.
fn slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (i, (x, y)) in points.iter().enumerate() {
        for (later_x, later_y) in &points[i + 1..] {
            let slope = (later_y - y) / (later_x - x);
            // Not finite: at the same time, or beyond what a number can hold.
            if later_x > x && slope.is_finite() {
                slopes.push(slope);
            }
        }
    }
    slopes
}

/// See [`Trend::confidence`].
fn confidence(slopes: &[f64], points: usize) -> f64 {
    if slopes.is_empty() {
        return 0.0;
    }
    let rising = slopes.iter().filter(|slope| **slope > 0.0).count() as f64;
    let falling = slopes.iter().filter(|slope| **slope < 0.0).count() as f64;
    let tau = (rising - falling).abs() / slopes.len() as f64;
    let n = points as f64;
    let chance = (2.0 * (2.0 * n + 5.0) / (9.0 * n * (n - 1.0))).sqrt();
    (100.0 * (tau - chance)).clamp(0.0, 100.0)
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !even {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    // Halved first: the sum of two large ones would be infinite.
    Some(lower / 2.0 + upper / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    /// One point a minute.
    fn minutely(values: impl IntoIterator<Item = f64>) -> Vec<(Timestamp, f64)> {
        values
            .into_iter()
            .enumerate()
            .map(|(i, value)| (at(i as i64 * 60), value))
            .collect()
    }

    fn hours(trend: Trend, limit: f64) -> Option<f64> {
        trend
            .time_to(limit)
            .map(|time| (time.as_secs_f64() / 36.0).round() / 100.0)
    }

    #[test]
    fn a_leak_is_foretold_and_other_series_are_not() {
        let noise = [5.0, 1.0, 4.0, 2.0, 3.0, 5.5, 0.5, 4.5, 1.5, 3.5, 2.5, 4.2];
        // Rises by 1 each 10 minutes, in steps.
        let stairs = (0..61).map(|i| f64::from(i / 10));
        let cases: Vec<(&str, Vec<f64>, f64, Option<f64>)> = vec![
            (
                "60 an hour",
                (0..31).map(f64::from).collect(),
                90.0,
                Some(1.0),
            ),
            (
                "there already",
                (0..31).map(f64::from).collect(),
                30.0,
                Some(0.0),
            ),
            ("past it", (0..31).map(f64::from).collect(), 7.0, Some(0.0)),
            ("flat", vec![7.0; 31], 90.0, None),
            (
                "falling",
                (0..31).map(|i| -f64::from(i)).collect(),
                90.0,
                None,
            ),
            ("noise", noise.to_vec(), 90.0, None),
            ("stairs", stairs.collect(), 12.0, Some(1.13)),
            (
                "31 days off",
                (0..31).map(f64::from).collect(),
                30.0 + 60.0 * 24.0 * 31.0,
                None,
            ),
            (
                "29 days off",
                (0..31).map(f64::from).collect(),
                30.0 + 60.0 * 24.0 * 29.0,
                Some(696.0),
            ),
            (
                "no limit",
                (0..31).map(f64::from).collect(),
                f64::INFINITY,
                None,
            ),
        ];
        for (what, values, limit, expected) in cases {
            let trend = trend(&minutely(values)).unwrap();
            match (hours(trend, limit), expected) {
                (Some(found), Some(expected)) => {
                    assert!((found - expected).abs() < 0.1, "{what}: {found} {trend:?}");
                }
                (found, expected) => assert_eq!(found, expected, "{what}: {trend:?}"),
            }
        }
    }

    #[test]
    fn too_little_makes_no_trend() {
        assert_eq!(trend(&[]), None);
        assert_eq!(trend(&minutely([1.0, 2.0, 3.0, 4.0])), None);
        assert!(trend(&minutely([1.0, 2.0, 3.0, 4.0, 5.0])).is_some());
        let quick: Vec<_> = (0..20).map(|i| (at(i), i as f64)).collect();
        assert_eq!(trend(&quick), None, "20 points within 20 s");
        assert_eq!(trend(&[(at(0), 1.0); 9]), None, "all at one time");
        assert_eq!(
            trend(&minutely([1.0, f64::NAN, 3.0, 4.0, 5.0])),
            None,
            "four that count"
        );
    }

    #[test]
    fn the_steadier_the_more_confident() {
        let steady = |n: i32| trend(&minutely((0..n).map(f64::from))).unwrap().confidence;
        assert!((steady(5) - 59.0).abs() < 0.5);
        assert!((steady(100) - 93.0).abs() < 0.5);
        let flat = trend(&minutely([3.0; 50])).unwrap();
        assert_eq!((flat.confidence, flat.per_hour), (0.0, 0.0));
    }

    #[test]
    fn a_day_of_points_is_thinned_and_keeps_its_end() {
        let day = minutely((0..1_440).map(f64::from));
        let trend = trend(&day).unwrap();
        assert_eq!(trend.points, MAX_POINTS);
        assert!((trend.per_hour - 60.0).abs() < 1e-6);
        assert!((trend.at_end - 1_439.0).abs() < 1e-6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_exact_line_is_found(
            slope in -1e4..1e4_f64,
            start in -1e6..1e6_f64,
            times in proptest::collection::btree_set(0..1_000_000_i64, 5..60),
        ) {
            let points: Vec<_> = times
                .iter()
                .map(|t| (at(*t), start + slope * *t as f64 / 3_600.0))
                .collect();
            let span = times.last().unwrap() - times.first().unwrap();
            prop_assume!(span >= 60);
            let trend = trend(&points).unwrap();
            prop_assert!((trend.per_hour - slope).abs() <= 1e-3 + slope.abs() * 1e-6, "{trend:?}");
            prop_assert!((trend.at_end - points.last().unwrap().1).abs() <= 1e-2 + trend.at_end.abs() * 1e-6);
        }

        #[test]
        fn a_quarter_of_outliers_hardly_moves_it(
            slope in 1.0..100.0_f64,
            outliers in proptest::collection::vec(-1e9..1e9_f64, 10),
            places in proptest::sample::subsequence((0..40_usize).collect::<Vec<_>>(), 10),
        ) {
            // A small, regular wobble, so that the slopes are not all one.
            let mut values: Vec<f64> = (0..40)
                .map(|i| slope * f64::from(i) / 60.0 + if i % 2 == 0 { 0.01 } else { -0.01 } * slope)
                .collect();
            for (place, outlier) in places.iter().zip(&outliers) {
                values[*place] = *outlier;
            }
            let trend = trend(&minutely(values)).unwrap();
            // All ten at one end is the worst there is: the median then sits at the edge.
            prop_assert!(trend.per_hour > 0.0, "{trend:?}");
            prop_assert!(trend.per_hour < 10.0 * slope, "{trend:?}");
        }

        #[test]
        fn scattered_outliers_do_not_move_it(slope in 1.0..100.0_f64, high in 1e3..1e9_f64) {
            let values = (0..40).map(|i| match i % 8 {
                1 => high,
                5 => -high,
                _ => slope * f64::from(i) / 60.0,
            });
            let trend = trend(&minutely(values)).unwrap();
            prop_assert!((trend.per_hour - slope).abs() < slope * 0.02, "{trend:?}");
        }

        #[test]
        fn a_constant_has_no_time(value in -1e12..1e12_f64, n in 5..400_usize) {
            let trend = trend(&minutely(std::iter::repeat_n(value, n))).unwrap();
            prop_assert!(trend.per_hour.abs() < f64::EPSILON);
            prop_assert_eq!(trend.time_to(value + 1.0), None);
        }

        #[test]
        fn the_order_is_irrelevant(
            points in proptest::collection::vec((0..50_i64, -100..100_i32), 5..60),
            keys in proptest::collection::vec(any::<u32>(), 60),
        ) {
            let points: Vec<_> = points.iter().map(|(t, v)| (at(t * 30), f64::from(*v))).collect();
            let mut shuffled: Vec<_> = points.iter().copied().zip(keys).collect();
            shuffled.sort_by_key(|(_, key)| *key);
            let shuffled: Vec<_> = shuffled.into_iter().map(|(point, _)| point).collect();
            prop_assert_eq!(trend(&points), trend(&shuffled));
        }

        #[test]
        fn nothing_makes_it_panic(
            points in proptest::collection::vec((-377_705_023_201_i64..253_402_207_200, any::<f64>()), 0..40),
            limit in any::<f64>(),
        ) {
            let wild: Vec<_> = points
                .iter()
                .map(|(t, v)| (Timestamp::from_second(*t).unwrap(), *v))
                .collect();
            if let Some(found) = trend(&wild) {
                prop_assert!(found.per_hour.is_finite() && found.at_end.is_finite());
                prop_assert!((0.0..=100.0).contains(&found.confidence));
                let _ = found.time_to(limit);
                let finite: Vec<_> = wild.iter().copied().filter(|(_, v)| v.is_finite()).collect();
                prop_assert_eq!(trend(&finite), Some(found), "others do not count");
            }
        }
    }
}
