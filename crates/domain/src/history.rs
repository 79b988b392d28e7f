//! What a value was over the last days, in a fixed amount of memory.
//!
//! | kept          | newest | which is, recorded regularly |
//! |---------------|--------|------------------------------|
//! | one each 5 s  | 180    | 15 minutes                   |
//! | 1-min means   | 360    | 6 hours                      |
//! | 10-min means  | 432    | 3 days                       |
//!
//! Places are counted, not the clock: where the recording has gaps they reach further back.

use std::collections::VecDeque;

use jiff::Timestamp;

/// How far behind the newest point one may come late, milliseconds (15 min).
const LATE: i64 = 15 * 60 * 1_000;
/// So many points in a row that are later than [`LATE`] mean that the clock was set back.
const SET_BACK: u8 = 3;

/// One value over time. Takes [`History::BYTES`] of memory at most, from the first point on.
#[derive(Debug, Clone)]
pub struct History {
    raw: Ring,
    minutes: Ring,
    tens: Ring,
    /// Points in a row that came too late.
    late: u8,
}

impl History {
    /// Most points that are kept.
    pub const POINTS: usize = 180 + 360 + 432;
    /// Memory of one series, bytes: 24 a point, 23 KiB in all.
    pub const BYTES: usize = Self::POINTS * size_of::<Slot>() + size_of::<Self>();

    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self {
            raw: Ring::new(5, 180),
            minutes: Ring::new(60, 360),
            tens: Ring::new(600, 432),
            late: 0,
        }
    }

    /// Records a value. Of several within the same 5 s the newest stays (all of them count in the
    /// means). Points may come late and twice; NaN and infinite values are not recorded.
    ///
    /// After the clock was set back, what was recorded in its future is forgotten: known by three
    /// points in a row that lie more than 15 min before the newest.
    pub fn record(&mut self, at: Timestamp, value: f64) {
        if !value.is_finite() {
            return;
        }
        let at = at.as_millisecond();
        let newest = self.raw.slots.back().map_or(at, |slot| slot.at);
        self.late = if at < newest.saturating_sub(LATE) {
            self.late.saturating_add(1)
        } else {
            0
        };
        if self.late >= SET_BACK {
            self.late = 0;
            for ring in [&mut self.raw, &mut self.minutes, &mut self.tens] {
                ring.forget_after(at);
            }
        }
        self.raw.put_newest(at, value);
        self.minutes.put_mean(at, value);
        self.tens.put_mean(at, value);
    }

    /// The points at or after `at`, oldest first, at most [`History::POINTS`], each time once: the
    /// finest there is for each time. A mean stands in the middle of its minute (ten minutes).
    pub fn since(&self, at: Timestamp) -> Vec<(Timestamp, f64)> {
        let mut points: Vec<(i64, f64)> = self
            .raw
            .slots
            .iter()
            .map(|slot| (slot.at, slot.value))
            .collect();
        for ring in [&self.minutes, &self.tens] {
            let finer_from = points.first().map_or(i64::MAX, |point| point.0);
            let mut coarse: Vec<_> = ring
                .slots
                .iter()
                .map(|slot| (slot.at.saturating_add(ring.step / 2), slot.value))
                .take_while(|point| point.0 < finer_from)
                .collect();
            coarse.append(&mut points);
            points = coarse;
        }
        let from = at.as_millisecond();
        points
            .into_iter()
            .filter(|point| point.0 >= from)
            // The middle of the last minute of the year 9999 is no time any more.
            .filter_map(|(at, value)| Some((Timestamp::from_millisecond(at).ok()?, value)))
            .collect()
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

/// The newest so many slots of one width, in order of time.
#[derive(Debug, Clone)]
struct Ring {
    /// Width of a slot, milliseconds.
    step: i64,
    /// Most slots.
    most: usize,
    slots: VecDeque<Slot>,
}

/// What is kept of a stretch of time.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Raw: the value's own time; mean: where the slot begins. Milliseconds since 1970.
    at: i64,
    value: f64,
    /// How many values the mean is of.
    count: u32,
}

impl Ring {
    fn new(step_seconds: i64, most: usize) -> Self {
        Self {
            step: step_seconds * 1_000,
            most,
            slots: VecDeque::with_capacity(most),
        }
    }

    fn put_newest(&mut self, at: i64, value: f64) {
        if let Some(slot) = self.slot(at, at)
            && (slot.count == 0 || at >= slot.at)
        {
            *slot = Slot {
                at,
                value,
                count: 1,
            };
        }
    }

    fn put_mean(&mut self, at: i64, value: f64) {
        let begins = at.div_euclid(self.step).saturating_mul(self.step);
        if let Some(slot) = self.slot(at, begins) {
            let before = f64::from(slot.count);
            slot.count = slot.count.saturating_add(1);
            let share = 1.0 / (before + 1.0);
            // Two products, because a sum of large values would be infinite.
            slot.value = slot.value * (1.0 - share) + value * share;
        }
    }

    /// The slot of this time; a new one (with count 0, at `begins`) takes the place of the oldest
    /// when all are in use. `None` for a time before the oldest then.
    fn slot(&mut self, at: i64, begins: i64) -> Option<&mut Slot> {
        let number = at.div_euclid(self.step);
        let mut place = self
            .slots
            .partition_point(|slot| slot.at.div_euclid(self.step) < number);
        let there = self
            .slots
            .get(place)
            .is_some_and(|slot| slot.at.div_euclid(self.step) == number);
        if !there {
            if self.slots.len() == self.most {
                place = place.checked_sub(1)?;
                self.slots.pop_front();
            }
            self.slots.insert(
                place,
                Slot {
                    at: begins,
                    value: 0.0,
                    count: 0,
                },
            );
        }
        self.slots.get_mut(place)
    }

    fn forget_after(&mut self, at: i64) {
        let stay = self.slots.partition_point(|slot| slot.at <= at);
        self.slots.truncate(stay);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_790_000_400; // the beginning of a ten-minute slot

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(START + seconds).unwrap()
    }

    fn memory(history: &History) -> usize {
        [&history.raw, &history.minutes, &history.tens]
            .iter()
            .map(|ring| ring.slots.capacity() * size_of::<Slot>())
            .sum::<usize>()
            + size_of::<History>()
    }

    #[test]
    fn four_days_each_5_s_are_kept_finely_at_the_end_and_coarsely_before() {
        let mut history = History::new();
        let days = 4 * 86_400;
        for second in (0..days).step_by(5) {
            history.record(at(second), second as f64);
        }
        let points = history.since(at(0));
        assert!(points.len() <= History::POINTS);
        assert!(points.len() > 900, "{}", points.len());
        let first = points[0].0.duration_since(at(0)).as_secs();
        assert!(
            (86_400..86_400 + 1_200).contains(&first),
            "3 days back: {first}"
        );
        let steps: Vec<_> = points
            .windows(2)
            .map(|two| two[1].0.duration_since(two[0].0).as_secs())
            .collect();
        assert_eq!(steps.first(), Some(&600));
        assert_eq!(steps[steps.len() / 2 - 30], 60);
        assert_eq!(steps[steps.len() - 179..], [5; 179]);
        assert!(steps.iter().all(|step| *step <= 600), "no hole at a seam");
        // The value is the time: a mean in the middle of its slot is off by half a step at most.
        for (at_point, value) in points {
            let time = at_point.duration_since(at(0)).as_secs_f64();
            assert!((value - time).abs() < 2.6, "{value} at {time}");
        }
    }

    #[test]
    fn late_and_double_points_find_their_place() {
        let mut history = History::new();
        for second in [0, 10, 30, 20, 10, 10, 40, 39] {
            history.record(at(second), second as f64);
        }
        let seconds: Vec<_> = history.since(at(5)).iter().map(|p| p.1).collect();
        assert_eq!(seconds, [10.0, 20.0, 30.0, 39.0, 40.0]);
        history.record(at(41), f64::NAN);
        history.record(at(46), f64::INFINITY);
        assert_eq!(history.since(at(41)), []);
    }

    #[test]
    fn a_clock_that_leaps_ahead_and_is_set_back_leaves_no_trace() {
        let year = 365 * 86_400;
        let mut history = History::new();
        for second in 0..20 {
            history.record(at(second * 5), 1.0);
        }
        history.record(at(year), 99.0);
        for second in 20..40 {
            history.record(at(second * 5), 2.0);
        }
        let points = history.since(at(0));
        assert_eq!(points.len(), 40, "{points:?}");
        assert!(points.iter().all(|point| point.1 < 99.0));
    }

    #[test]
    fn one_stray_old_point_forgets_nothing() {
        let mut history = History::new();
        for second in 0..20 {
            history.record(at(second * 5), 1.0);
            if second % 3 == 1 {
                history.record(at(-86_400), 7.0);
            }
        }
        assert_eq!(history.since(at(0)).len(), 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_is_bounded_ordered_and_between_what_was_recorded(
            points in proptest::collection::vec(
                prop_oneof![
                    8 => (0..100_000_i64, -1e6..1e6_f64),
                    1 => (-370_000_000_000_i64..250_000_000_000, any::<f64>()),
                ],
                1..1_500,
            ),
        ) {
            let mut history = History::new();
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for (seconds, value) in &points {
                history.record(at(*seconds), *value);
                if value.is_finite() {
                    (low, high) = (low.min(*value), high.max(*value));
                }
            }
            prop_assert!(memory(&history) <= History::BYTES, "{}", memory(&history));
            let kept = history.since(Timestamp::MIN);
            prop_assert!(kept.len() <= History::POINTS);
            prop_assert!(kept.windows(2).all(|two| two[0].0 < two[1].0));
            let slack = 1e-9 * low.abs().max(high.abs());
            prop_assert!(kept.iter().all(|p| p.1 >= low - slack && p.1 <= high + slack));
        }

        #[test]
        fn a_constant_stays_one(value in -1e9..1e9_f64, step in 1..700_i64, n in 1..2_000_i64) {
            let mut history = History::new();
            for i in 0..n {
                history.record(at(i * step), value);
            }
            let kept = history.since(at(-600));
            prop_assert!(!kept.is_empty());
            prop_assert!(kept.iter().all(|p| (p.1 - value).abs() <= value.abs() * 1e-9));
            prop_assert_eq!(kept.last().unwrap().0, at((n - 1) * step), "the newest is kept as it was");
        }

        #[test]
        fn since_is_a_cut(from in -100..5_000_i64) {
            let mut history = History::new();
            for i in 0..700 {
                history.record(at(i * 7), i as f64);
            }
            let all = history.since(at(-1_000));
            let cut: Vec<_> = all.iter().copied().filter(|p| p.0 >= at(from)).collect();
            prop_assert_eq!(history.since(at(from)), cut);
        }
    }
}
