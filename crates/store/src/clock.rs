//! Moments of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// The time as a store has it, in whole microseconds: it never stands still or runs backwards within
/// a process. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    last: Arc<AtomicI64>,
    /// Where it is set by hand; otherwise it shows wall time.
    by_hand: Option<Arc<AtomicI64>>,
}

/// The hand of a clock that shows what it is set to, so that hours pass in a moment.
#[derive(Debug, Clone)]
pub struct Hand(Arc<AtomicI64>);

impl Hand {
    /// From now on it is this late. A time that the clock has shown already is not shown again.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_microsecond(), Ordering::SeqCst);
    }
}

impl Clock {
    /// A clock that stands at `at`, but for a microsecond with each look, until its hand is set.
    pub fn by_hand(at: Timestamp) -> (Self, Hand) {
        let hand = Arc::new(AtomicI64::new(at.as_microsecond()));
        let clock = Self {
            last: Arc::default(),
            by_hand: Some(hand.clone()),
        };
        (clock, Hand(hand))
    }

    pub(super) fn now(&self) -> Timestamp {
        let shown = match &self.by_hand {
            Some(hand) => hand.load(Ordering::SeqCst),
            None => Timestamp::now().as_microsecond(),
        };
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
                Some(shown.max(last + 1))
            })
            .unwrap_or(shown);
        moment(shown.max(last + 1))
    }
}

/// A stored time. Out of jiff's range (year 9999) can't come from us: shown as 1970.
pub(super) fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_stands_still() {
        let clock = Clock::default();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now > last);
            last = now;
        }
    }

    #[test]
    fn a_clock_goes_by_hand_and_never_back() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (clock, hand) = Clock::by_hand(at(1_000));
        assert_eq!(clock.now(), at(1_000));
        assert!(clock.now() > at(1_000) && clock.clone().now() < at(1_001));
        hand.set(at(5_000));
        assert_eq!(clock.now(), at(5_000));
        hand.set(at(2_000));
        assert!(clock.now() > at(5_000));
    }
}
