//! When people are told, and what.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn own(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

fn nightly() -> Heartbeat {
    Heartbeat {
        name: "nightly".to_owned(),
        every: Duration::from_secs(86_400),
        grace: Duration::from_secs(3_600),
        service: Some(ServiceName::parse("postgres").unwrap()),
        severity: Severity::Sev2,
        watchdog: None,
    }
}

fn beat(at: Timestamp, size: Option<u64>) -> Beat {
    Beat {
        at,
        size,
        took: Some(Duration::from_secs(190)),
        failed: None,
    }
}

/// What is said at a moment: whether it fires, and its words.
fn said(ears: &mut Ears, heard: &mut Heard, seconds: i64) -> Vec<(bool, String)> {
    let moment = (at(seconds), own(seconds));
    ears.tick(moment.0, moment.1);
    let reports = ears.look(&nightly(), heard, moment);
    let facts = reports.iter();
    facts
        .map(|one| (one.firing, one.summary().to_owned()))
        .collect()
}

#[test]
fn one_that_does_not_come_is_told_once_and_its_return_too() {
    let (mut ears, mut heard) = (Ears::default(), Heard::since(at(0)));
    assert_eq!(said(&mut ears, &mut heard, 0), []);
    heard.beat(beat(at(60), Some(3 << 30)));
    assert_eq!(said(&mut ears, &mut heard, 60), []);
    assert_eq!(said(&mut ears, &mut heard, 60 + 90_000), []);
    let late = said(&mut ears, &mut heard, 60 + 90_001);
    let words = "nightly was last heard of at 2027-01-15 08:01:00 UTC (3.0 GiB in 3m 10s), 1d 1h ago: \
                 it is expected every 1d, 1h late at most";
    assert_eq!(late, [(true, words.to_owned())]);
    assert_eq!(said(&mut ears, &mut heard, 60 + 90_006), [], "once");
    heard.beat(beat(at(91_000), None));
    let back = "nightly was heard of at 2027-01-16 09:16:40 UTC (took 3m 10s)";
    assert_eq!(
        said(&mut ears, &mut heard, 91_000),
        [(false, back.to_owned())]
    );
}

#[test]
fn one_that_never_came_is_told_as_that() {
    let (mut ears, mut heard) = (Ears::default(), Heard::since(at(0)));
    said(&mut ears, &mut heard, 0);
    let told = said(&mut ears, &mut heard, 90_001).remove(0).1;
    let begins =
        "nightly was not heard of since 2027-01-15 08:00:00 UTC, when the bot began to listen";
    assert!(told.starts_with(begins), "{told}");
}

#[test]
fn what_is_empty_or_half_the_usual_or_failed_is_told() {
    let (mut ears, mut heard) = (Ears::default(), Heard::since(at(0)));
    let mut comes = |seconds, size, failed: Option<&str>| {
        let failed = failed.map(str::to_owned);
        heard.beat(Beat {
            failed,
            ..beat(at(seconds), Some(size))
        });
        said(&mut ears, &mut heard, seconds)
    };
    // Two are not usual yet.
    assert_eq!(comes(0, 1_000, None), []);
    assert_eq!(comes(10, 400, None), []);
    assert_eq!(comes(20, 1_100, None), []);
    assert_eq!(comes(30, 501, None), []);
    let small = comes(40, 400, None);
    let words = "nightly came at 2027-01-15 08:00:40 UTC with 400 B, usual are 1000 B";
    assert_eq!(small, [(true, words.to_owned())]);
    let empty = comes(50, 0, None);
    assert_eq!(empty, [], "it is told already");
    let good = comes(60, 900, Some("pg_dump: exit code 1"));
    let failed = "nightly says at 2027-01-15 08:01:00 UTC that it failed: pg_dump: exit code 1";
    assert_eq!((good[0].0, good[0].1.as_str()), (true, failed));
    assert!(!good[1].0, "the size is good again");
}

#[test]
fn what_is_paused_is_not_missed_and_is_awaited_anew_afterwards() {
    let (mut ears, mut heard) = (Ears::default(), Heard::since(at(0)));
    said(&mut ears, &mut heard, 0);
    assert_eq!(said(&mut ears, &mut heard, 90_001).len(), 1);
    let by = Person {
        id: "U1".to_owned(),
        name: "Ana".to_owned(),
    };
    heard.paused = Some(Pause {
        until: Some(at(100_000)),
        by,
        reason: String::new(),
    });
    let paused = said(&mut ears, &mut heard, 90_010);
    assert_eq!(paused, [(false, "nightly is paused".to_owned())]);
    assert_eq!(said(&mut ears, &mut heard, 100_000 + 90_000), []);
    assert_eq!(said(&mut ears, &mut heard, 100_000 + 90_001).len(), 1);
    assert!(heard.resume(at(200_000)));
    assert_eq!(said(&mut ears, &mut heard, 200_000).len(), 1);
    assert_eq!(said(&mut ears, &mut heard, 290_000), []);
}

#[test]
fn what_is_no_longer_configured_is_over() {
    let (mut ears, mut heard) = (Ears::default(), Heard::since(at(0)));
    said(&mut ears, &mut heard, 0);
    let moment = (at(90_001), own(90_001));
    let fired = ears.look(&nightly(), &mut heard, moment).remove(0);
    let gone = Heartbeat::forgotten("nightly", &heard, at(90_010)).remove(0);
    assert_eq!(
        (gone.firing, &gone.fingerprint),
        (false, &fired.fingerprint)
    );
}

/// A small generator of its own: the same seed, the same history.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % most) as i64
    }
}

/// A job that comes in time until it dies, a bot that is restarted and whose clock is set: people are
/// told in time, and not before.
fn history(seed: u64) {
    let mut random = Random(seed);
    let (every, grace) = (60 + random.below(540), 10 + random.below(50));
    let expected = Heartbeat {
        every: own(every),
        grace: own(grace),
        ..nightly()
    };
    let dies_at = every * 3 + random.below(every.unsigned_abs() * 4);
    let (mut set, mut began) = (random.below(1_000), 0);
    let (mut ears, mut heard) = (Ears::default(), Heard::since(at(set)));
    let (mut planned, mut comes_at, mut last) = (every, every, 0);
    let (mut down_until, mut was_down, mut told) = (0, 0, None);
    for second in 0..dies_at + 3 * (every + grace) {
        let wall = at(second + set);
        if second < down_until {
            continue;
        }
        if second == down_until && second > 0 {
            (ears, began) = (Ears::default(), second);
        }
        // Whoever found nobody comes again soon.
        let clock = own(second - began + 7);
        if second >= comes_at && second < dies_at {
            ears.tick(wall, clock);
            heard.beat(beat(wall, None));
            ears.hear("nightly", &heard, clock);
            last = second;
            planned += every;
            comes_at = planned + random.below(grace.unsigned_abs() * 4 / 5);
        }
        if second % 5 == 0 || second == down_until {
            ears.tick(wall, clock);
            for report in ears.look(&expected, &mut heard, (wall, clock)) {
                let awaited = second - last;
                assert!(
                    report.firing && awaited > every + grace,
                    "{seed}: after {awaited} s"
                );
                told.get_or_insert(awaited);
            }
        }
        if second % 5 == 1 && random.below(60) == 0 {
            set += random.below(400_000) - 200_000;
        } else if second % 5 == 0 && random.below(80) == 0 {
            down_until = second + 1 + random.below(grace.unsigned_abs() / 2);
            was_down = down_until;
        }
    }
    let late = told.unwrap_or_else(|| panic!("{seed}: nobody was told")) - every - grace;
    let waits = if was_down > 0 {
        grace.min(60) + grace / 2
    } else {
        0
    };
    assert!(late <= 5 + waits, "{seed}: {late} s late");
}

#[test]
fn in_two_thousand_histories_nobody_is_told_too_soon_or_too_late() {
    for seed in 0..2_000 {
        history(seed);
    }
}
