use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn report(start: i64, firing: bool) -> Alert {
    Alert {
        fingerprint: "a1".into(),
        firing,
        starts_at: at(start),
        ends_at: None,
        labels: [("alertname".to_owned(), "Down".to_owned())].into(),
        annotations: std::collections::BTreeMap::new(),
        source: "alertmanager".into(),
        other: serde_json::Map::new(),
    }
}

/// Takes a report up that comes at a second, without a reason.
fn take(tracked: &mut Tracked, report: Alert, second: i64) -> Transition {
    let came = Arrival {
        at: at(second),
        has_reason: false,
        repeats: true,
    };
    tracked.apply(report, came, Damping::default())
}

fn fired() -> Tracked {
    Tracked::first(report(0, true), at(1)).0
}

/// It fired at 0 and is over since second 60.
fn over() -> Tracked {
    let mut tracked = fired();
    assert_eq!(take(&mut tracked, end(0, 55), 60), Transition::Resolved);
    tracked
}

fn end(start: i64, end: i64) -> Alert {
    Alert {
        ends_at: Some(at(end)),
        ..report(start, false)
    }
}

#[test]
fn an_alert_fires_resolves_and_fires_again() {
    let (mut tracked, news) = Tracked::first(report(0, true), at(1));
    assert_eq!(news, Transition::Fired);
    assert_eq!(take(&mut tracked, report(0, true), 2), Transition::Nothing);
    assert_eq!(take(&mut tracked, end(0, 3), 3), Transition::Resolved);
    assert_eq!(take(&mut tracked, report(9, true), 10), Transition::Fired);
    assert_eq!((tracked.firings, tracked.changed_at), (2, at(10)));
    assert_eq!(tracked.since(), at(9));
}

/// Prometheus pauses and returns: Alertmanager sends firing, resolved, firing with one start.
#[test]
fn what_is_reported_to_fire_clearly_after_its_end_fires_again() {
    let mut tracked = over();
    assert_eq!(take(&mut tracked, report(0, true), 90), Transition::Fired);
    assert_eq!(tracked.since(), at(90), "of this firing");
    assert!(tracked.alert.firing);
}

#[test]
fn a_late_report_of_a_second_alertmanager_stays_quiet() {
    for has_reason in [false, true] {
        let came = |milliseconds: i64| Arrival {
            at: at(60) + SignedDuration::from_millis(milliseconds),
            has_reason,
            repeats: false,
        };
        let told = |milliseconds: i64| {
            let mut tracked = over();
            let damping = Damping::default();
            (
                tracked.apply(report(0, true), came(milliseconds), damping),
                tracked,
            )
        };
        let (late, mut tracked) = told(999);
        assert_eq!((late, tracked.is_active()), (Transition::Nothing, false));
        // A second one is no accident.
        let again = tracked.apply(report(0, true), came(999), Damping::default());
        assert_eq!(again, Transition::Fired);
        // From the second on it counts: at once if it says why, else unless the end is said again.
        for milliseconds in [1_000, 1_999] {
            let meant = if has_reason {
                Transition::Fired
            } else {
                Transition::Doubtful(at(90))
            };
            assert_eq!(told(milliseconds).0, meant, "{milliseconds} ms");
        }
        assert_eq!(told(30_000).0, Transition::Fired);
    }
}

#[test]
fn a_doubtful_report_fires_unless_the_end_is_said_again() {
    let mut tracked = over();
    let doubtful = Transition::Doubtful(at(90));
    assert_eq!(take(&mut tracked, report(0, true), 70), doubtful);
    assert_eq!(
        tracked.settle(Damping::default(), at(89)),
        Transition::Nothing
    );
    let mut other = tracked.clone();
    assert_eq!(
        tracked.settle(Damping::default(), at(90)),
        Transition::Fired
    );
    assert_eq!(tracked.since(), at(70));
    assert_eq!(take(&mut other, end(0, 55), 72), Transition::Nothing);
    assert_eq!(
        other.settle(Damping::default(), at(90)),
        Transition::Nothing
    );
}

#[test]
fn a_reason_makes_a_report_count_at_once() {
    let mut tracked = over();
    let came = Arrival {
        at: at(65),
        has_reason: true,
        repeats: false,
    };
    let news = tracked.apply(report(0, true), came, Damping::default());
    assert_eq!(news, Transition::Fired);
}

#[test]
fn the_end_of_an_earlier_time_ends_nothing_and_an_end_with_an_earlier_start_does() {
    let mut tracked = over();
    assert_eq!(
        take(&mut tracked, report(100, true), 101),
        Transition::Fired
    );
    assert_eq!(take(&mut tracked, end(0, 55), 102), Transition::Nothing);
    assert!(tracked.alert.firing);
    // Alertmanager keeps the earliest start of two replicas.
    assert_eq!(take(&mut tracked, end(90, 130), 131), Transition::Resolved);
}

/// A batch job's planned time, a clock that was set back, the repeated hour of October.
#[test]
fn a_start_that_does_not_move_or_goes_back_hides_nothing() {
    for start in [0, -3_000] {
        let mut tracked = fired();
        assert_eq!(
            take(&mut tracked, report(0, false), 600),
            Transition::Resolved
        );
        assert_eq!(
            take(&mut tracked, report(start, true), 900),
            Transition::Fired
        );
        assert_eq!(
            take(&mut tracked, report(start, false), 950),
            Transition::Resolved
        );
    }
}

/// Its sender's clock went back by an hour while it fired.
#[test]
fn an_end_before_the_start_ends_all_the_same_unless_it_comes_at_once() {
    let mut tracked = fired();
    assert_eq!(
        take(&mut tracked, end(-3_600, -3_000), 20),
        Transition::Nothing
    );
    assert_eq!(
        take(&mut tracked, end(-3_600, -3_000), 600),
        Transition::Resolved
    );
}

#[test]
fn a_start_that_is_still_to_come_is_no_negative_age() {
    let (tracked, _) = Tracked::first(report(5_000, true), at(1));
    assert_eq!(tracked.since(), at(1));
}

#[test]
fn what_is_not_repeated_for_three_times_as_long_as_usual_is_not_heard_of() {
    let mut tracked = fired();
    tracked.alert.source = "script".into();
    // Of a sender that has repeated nothing yet it is not known how often it would: Alertmanager's
    // usual four hours are taken for it.
    assert_eq!(tracked.unheard_at(None), Some(at(1 + 12 * 3_600)));
    let mut own = fired();
    for source in [Alert::WATCH, Alert::HEARTBEAT] {
        own.alert.source = source.into();
        let given = Some(Duration::from_secs(60));
        assert_eq!((own.unheard_at(None), own.unheard_at(given)), (None, None));
    }
    let mut known = fired();
    assert_eq!(known.unheard_at(None), Some(at(1 + 12 * 3_600)));
    take(&mut known, report(0, true), 601);
    assert_eq!(known.unheard_at(None), Some(at(601 + 1_800)));
    take(&mut tracked, report(0, true), 3_601);
    assert_eq!(tracked.unheard_at(None), Some(at(3_601 + 3 * 3_600)));
    take(&mut tracked, report(0, true), 3_611);
    let given = Some(Duration::from_secs(60));
    assert_eq!(tracked.unheard_at(given), Some(at(3_671)));
    tracked.muted = Some(Muted::Unheard);
    assert!(tracked.is_active() && !tracked.is_audible(at(9_999)));
    // When it is heard again, people are told again.
    assert_eq!(
        take(&mut tracked, report(0, true), 20_000),
        Transition::Fired
    );
    assert!(tracked.is_audible(at(20_001)));
}

#[test]
fn what_was_over_before_it_was_heard_of_is_no_news() {
    let (tracked, news) = Tracked::first(report(0, false), at(1));
    assert_eq!((news, tracked.firings), (Transition::Nothing, 0));
}

/// Plays changes at these seconds, firing and resolved in turn; it fires at second 0.
fn played(seconds: &[i64]) -> (Tracked, Vec<Transition>) {
    let (mut tracked, _) = Tracked::first(report(0, true), at(0));
    let mut news = Vec::new();
    let mut start = 0;
    for (n, second) in seconds.iter().enumerate() {
        let firing = n % 2 == 1;
        if firing {
            start = *second;
        }
        news.push(take(&mut tracked, report(start, firing), *second));
    }
    (tracked, news)
}

#[test]
fn what_changes_all_the_time_counts_as_firing_until_it_was_calm() {
    use Transition::{Fired, Resolved};
    const DAMPED: Transition = Transition::Damped { begins: false };
    let minutes: Vec<i64> = (1..=9).map(|n| n * 60).collect();
    let (mut tracked, news) = played(&minutes);
    assert_eq!(
        news,
        [
            Resolved, Fired, Resolved, Fired, Resolved, Fired, DAMPED, DAMPED, DAMPED
        ]
    );
    assert!(!tracked.alert.firing && tracked.is_active());
    assert_eq!(
        tracked.flaps().as_deref(),
        Some("flapping, 10 changes in 9m")
    );
    let damping = Damping::default();
    assert!(!tracked.calm_down(damping, at(540 + 599)));
    assert!(tracked.calm_down(damping, at(540 + 600)));
    assert!(!tracked.is_active() && tracked.flaps().is_none());
    // From now on it is an alert like any other.
    let again = take(&mut tracked, report(2_000, true), 2_000);
    assert_eq!((again, tracked.flaps()), (Fired, None));
}

#[test]
fn what_changes_now_and_then_does_not_flap() {
    let hours: Vec<i64> = (1..=40).map(|n| n * 360).collect();
    let (tracked, news) = played(&hours);
    assert!(tracked.flapping.is_none());
    assert!(
        news.iter()
            .all(|one| !matches!(one, Transition::Damped { .. }))
    );
}

proptest! {
    /// Whatever came before: the last word of a sender counts, at the latest when it is repeated.
    #[test]
    fn the_last_word_counts(
        reports in proptest::collection::vec((-500_i64..500, any::<bool>(), 0_i64..100), 0..12),
        start in -500_i64..500,
        firing in any::<bool>(),
    ) {
        let mut tracked = fired();
        let mut now = 1;
        for (start, firing, gap) in reports {
            now += gap;
            take(&mut tracked, report(start, firing), now);
        }
        let last = |now| if firing { report(start, true) } else { end(start, now) };
        for _ in 0..2 {
            now += 600;
            take(&mut tracked, last(now), now);
        }
        prop_assert_eq!(tracked.alert.firing, firing);
        prop_assert!(tracked.since() <= at(now));
        let before = tracked.clone();
        prop_assert_eq!(take(&mut tracked, last(now), now), Transition::Nothing);
        prop_assert_eq!(tracked.firings, before.firings);
    }

    /// While it flaps nobody is told anything; what is told in all goes to and fro; and whether
    /// it counts is what was told last.
    #[test]
    fn what_is_told_goes_to_and_fro(gaps in proptest::collection::vec(1_i64..1_200, 1..80)) {
        let damping = Damping::default();
        let (mut tracked, first) = Tracked::first(report(0, true), at(0));
        let mut told = vec![first];
        let (mut now, mut start) = (0, 0);
        let mut quiet_since = 0;
        for (n, gap) in gaps.iter().enumerate() {
            // As the timer does it: it goes off when calm is reached.
            let calm = tracked.calm_at(damping);
            if calm.is_some_and(|calm| calm <= at(now + gap)) {
                prop_assert!(tracked.calm_down(damping, calm.unwrap()));
                if !tracked.is_active() {
                    told.push(Transition::Resolved);
                }
            }
            now += gap;
            let firing = n % 2 == 1;
            if firing {
                start = now;
            }
            let flapped = tracked.flapping.is_some();
            let news = take(&mut tracked, report(start, firing), now);
            if flapped {
                prop_assert_eq!(news, Transition::Damped { begins: false });
                prop_assert!(now - quiet_since < damping.calm.as_secs());
            }
            quiet_since = now;
            if !matches!(news, Transition::Damped { .. }) {
                told.push(news);
            }
            prop_assert_eq!(tracked.is_active(), told.last() == Some(&Transition::Fired));
            prop_assert!(tracked.changes.len() <= damping.changes);
        }
        for pair in told.windows(2) {
            prop_assert_ne!(pair[0], pair[1]);
        }
    }
}
