use jiff::SignedDuration;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn person(id: &str) -> Person {
    Person {
        id: id.into(),
        name: id.into(),
    }
}

fn paris() -> TimeZone {
    TimeZone::get("Europe/Paris").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn wall(text: &str, zone: &TimeZone) -> Timestamp {
    let wall: jiff::civil::DateTime = text.parse().unwrap();
    zone.to_ambiguous_timestamp(wall).compatible().unwrap()
}

fn rotation(handover: &str, starts: Option<&str>, zone: TimeZone) -> Rotation {
    let starts = starts.map(|day| day.parse().unwrap());
    Rotation {
        name: "primary".into(),
        members: ["ana", "ben", "cid"].map(person).into(),
        handover: Some(Handover::parse(handover, starts, zone).unwrap()),
        holidays: BTreeSet::new(),
        substitutes: Vec::new(),
        backups: None,
        services: Vec::new(),
        teams: Vec::new(),
        default: true,
    }
}

fn replaced(id: i64, who: &str, from: Timestamp, until: Option<Timestamp>) -> Override {
    Override {
        id,
        rotation: "primary".into(),
        person: person(who),
        from,
        until,
        by: person("ana"),
    }
}

fn told(shifts: &[Shift], zone: &TimeZone) -> Vec<String> {
    shifts
        .iter()
        .map(|shift| {
            let from = shift.from.to_zoned(zone.clone());
            format!("{} {}", from.strftime("%m-%d %H:%M"), shift.person.id)
        })
        .collect()
}

#[test]
fn handovers_are_read_and_what_is_wrong_with_them_is_said() {
    let day = |text: &str| Some(text.parse().unwrap());
    for (text, starts) in [
        ("monday 09:00", None),
        ("Monday 9:00", day("2026-11-02")),
        ("daily 21:30", None),
        ("every 2 weeks 09:00", day("2026-11-03")),
        ("every 1 day 00:00", day("2026-11-03")),
    ] {
        assert!(Handover::parse(text, starts, paris()).is_ok(), "{text}");
    }
    for (text, starts, why) in [
        ("moonday 09:00", None, "write `monday 09:00`"),
        ("monday", None, "write `monday 09:00`"),
        ("monday 25:00", None, "a time of day"),
        ("monday 9", None, "a time of day"),
        ("monday 9:5", None, "a time of day"),
        ("every 2 weeks 09:00", None, "needs `starts`"),
        ("every 0 days 09:00", day("2026-11-02"), "from 1 day"),
        (
            "every 99999999999999999 weeks 09:00",
            day("2026-11-02"),
            "from 1 day",
        ),
        (
            "every 2 months 09:00",
            day("2026-11-02"),
            "write `monday 09:00`",
        ),
        (
            "monday 09:00",
            day("2026-11-04"),
            "2026-11-04 is a wednesday",
        ),
    ] {
        let error = Handover::parse(text, starts, paris()).unwrap_err();
        assert!(error.what.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_week_is_a_week_by_the_clock_though_the_clocks_change() {
    // The clocks of Paris go back on 2026-10-25 and forward on 2027-03-28.
    let zone = paris();
    let rotation = rotation("monday 09:00", Some("2026-10-19"), zone.clone());
    let shifts = rotation.shifts(&[], wall("2026-10-19T09:00", &zone), 3);
    assert_eq!(
        told(&shifts, &zone),
        ["10-19 09:00 ana", "10-26 09:00 ben", "11-02 09:00 cid"]
    );
    let week = shifts[1].from.duration_since(shifts[0].from);
    assert_eq!(week, SignedDuration::from_hours(169));
    let before = shifts[1].from - SignedDuration::from_micros(1);
    assert_eq!(rotation.shift(&[], before).person.id, "ana");
    assert_eq!(rotation.shift(&[], shifts[1].from).person.id, "ben");
}

#[test]
fn a_handover_in_a_gap_is_later_and_one_that_comes_twice_is_the_first() {
    let daily = rotation("daily 02:30", Some("2026-10-24"), paris());
    let handover = daily.handover.as_ref().unwrap();
    // 02:30 comes twice on the 25th of October: in summer time first.
    assert_eq!(handover.begins(1), at("2026-10-25T00:30:00Z"));
    assert_eq!(handover.begins(2), at("2026-10-26T01:30:00Z"));
    // It is left out on the 28th of March.
    let daily = rotation("daily 02:30", Some("2027-03-27"), paris());
    let handover = daily.handover.as_ref().unwrap();
    assert_eq!(handover.begins(1), at("2027-03-28T01:30:00Z"));
    assert_eq!(handover.begins(2), at("2027-03-29T00:30:00Z"));
    // Samoa left out the whole 30th of December 2011: who had that day had none.
    let samoa = TimeZone::get("Pacific/Apia").unwrap();
    let daily = rotation("daily 09:00", Some("2011-12-29"), samoa.clone());
    let shifts = daily.shifts(&[], wall("2011-12-29T09:00", &samoa), 3);
    assert_eq!(
        told(&shifts, &samoa),
        ["12-29 09:00 ana", "12-31 09:00 cid", "01-01 09:00 ana"]
    );
}

#[test]
fn holidays_are_taken_in_turn_from_handover_hour_to_handover_hour() {
    let zone = paris();
    let mut rotation = rotation("monday 09:00", Some("2026-12-21"), zone.clone());
    rotation.holidays = ["2026-12-25", "2026-12-26", "2027-01-01"]
        .map(|day| day.parse().unwrap())
        .into();
    rotation.substitutes = ["dan", "eva"].map(person).into();
    let shifts = rotation.shifts(&[], wall("2026-12-22T12:00", &zone), 8);
    assert_eq!(
        told(&shifts, &zone),
        [
            "12-22 12:00 ana",
            "12-25 09:00 dan",
            "12-26 09:00 eva",
            "12-27 09:00 ana",
            "12-28 09:00 ben",
            "01-01 09:00 dan",
            "01-02 09:00 ben",
            "01-04 09:00 cid",
        ]
    );
    let duty = rotation.duty(&[], wall("2026-12-22T12:00", &zone));
    assert_eq!(duty.next, Some(person("dan")));
}

#[test]
fn the_newest_override_counts_and_what_it_covers_comes_back() {
    let zone = paris();
    let rotation = rotation("monday 09:00", Some("2026-11-23"), zone.clone());
    let now = wall("2026-11-24T12:00", &zone);
    let hour = |n: i64| now + SignedDuration::from_hours(n);
    let mut all = vec![
        replaced(1, "dan", hour(1), Some(hour(10))),
        replaced(2, "eva", hour(2), Some(hour(4))),
        replaced(3, "fox", hour(9), Some(hour(11))),
        // Of another rotation, and an empty one.
        Override {
            rotation: "other".into(),
            ..replaced(4, "gus", now, None)
        },
        replaced(5, "hal", hour(3), Some(hour(3))),
    ];
    let shifts = rotation.shifts(&all, now, 7);
    assert_eq!(
        told(&shifts, &zone),
        [
            "11-24 12:00 ana",
            "11-24 13:00 dan",
            "11-24 14:00 eva",
            "11-24 16:00 dan",
            "11-24 21:00 fox",
            "11-24 23:00 ana",
            "11-30 09:00 ben",
        ]
    );
    all.push(replaced(6, "ivy", hour(5), None));
    let last = rotation.shifts(&all, now, 9).pop().unwrap();
    assert_eq!((last.person.id.as_str(), last.until), ("ivy", None));
}

#[test]
fn who_is_asked_next_is_whoever_it_is_then() {
    let zone = paris();
    let mut primary = rotation("monday 09:00", Some("2026-11-23"), zone.clone());
    let mut second = rotation("daily 09:00", Some("2026-11-24"), zone.clone());
    second.name = "second".into();
    second.default = false;
    second.members = ["dan", "ana"].map(person).into();
    let now = wall("2026-11-24T12:00", &zone);
    let ids = |on_call: &OnCall, now| -> Vec<String> {
        let rotation = on_call.rotation_for(None, None).unwrap();
        let order = on_call.escalation_order(rotation, &[], now);
        order.into_iter().map(|person| person.id).collect()
    };
    let alone = OnCall::new(vec![primary.clone()], &[]);
    assert_eq!(ids(&alone, now), ["ana", "ben"], "the next turn's");
    primary.backups = Some(vec![
        Backup::Rotation("second".into()),
        Backup::Person(person("boss")),
    ]);
    let both = OnCall::new(vec![primary, second], &[]);
    assert_eq!(ids(&both, now), ["ana", "dan", "boss"]);
    let tomorrow = now + SignedDuration::from_hours(24);
    assert_eq!(ids(&both, tomorrow), ["ana", "boss"], "nobody twice");
}

#[test]
fn a_service_s_rotation_comes_before_the_team_s_and_the_default() {
    let name = |text: &str| ServiceName::parse(text).unwrap();
    let mut api = rotation("daily 09:00", None, paris());
    (api.name, api.default) = ("api".into(), false);
    api.services = vec![name("api")];
    let mut web = rotation("daily 09:00", None, paris());
    (web.name, web.default) = ("web".into(), false);
    web.teams = vec!["web".into()];
    let fixed = ["eva", "fox"].map(person);
    let on_call = OnCall::new(vec![api, web], &fixed);
    let rotation_for = |service: Option<&str>, team| {
        let service = service.map(name);
        on_call
            .rotation_for(service.as_ref(), team)
            .unwrap()
            .name
            .clone()
    };
    assert_eq!(rotation_for(Some("api"), Some("web")), "api");
    assert_eq!(rotation_for(Some("redis"), Some("web")), "web");
    assert_eq!(rotation_for(Some("redis"), None), OnCall::FIXED);
    let fixed = on_call.rotation(OnCall::FIXED).unwrap();
    let ids: Vec<String> = on_call
        .escalation_order(fixed, &[], Timestamp::UNIX_EPOCH)
        .into_iter()
        .map(|person| person.id)
        .collect();
    assert_eq!(ids, ["eva", "fox"]);
    assert_eq!(fixed.duty(&[], Timestamp::UNIX_EPOCH).until, None);
    assert_eq!(OnCall::default().rotation_for(None, None), None);
}

#[test]
fn moments_are_read_as_they_are_typed() {
    let zone = paris();
    let now = wall("2026-11-27T16:00", &zone);
    for (text, expected) in [
        ("2h", "2026-11-27T18:00"),
        ("18:00", "2026-11-27T18:00"),
        ("09:30", "2026-11-28T09:30"),
        ("16:00", "2026-11-28T16:00"),
        ("2026-12-24T18:00", "2026-12-24T18:00"),
        ("2026-12-24 18:00", "2026-12-24T18:00"),
    ] {
        let found = Moment::parse(text).unwrap().resolve(now, &zone);
        assert_eq!(found, Some(wall(expected, &zone)), "{text}");
    }
    for text in ["", "soon", "25:00", "2026-13-01T09:00", "18", "-2h"] {
        assert!(Moment::parse(text).is_err(), "{text}");
    }
}

/// Places with gaps, folds, half hours, a gap at midnight, and days left out or lived twice.
const ZONES: [&str; 9] = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "UTC",
];

fn handovers() -> impl Strategy<Value = (String, &'static str)> {
    let words = prop::sample::select(vec![
        "monday",
        "sunday",
        "daily",
        "every 2 weeks",
        "every 5 days",
    ]);
    let zones = prop::sample::select(ZONES.to_vec());
    (
        words,
        0..24_u8,
        prop::sample::select(vec![0_u8, 30, 59]),
        zones,
    )
        .prop_map(|(words, hour, minute, zone)| (format!("{words} {hour:02}:{minute:02}"), zone))
}

fn moments() -> impl Strategy<Value = Timestamp> {
    // 1990 to 2040.
    (631_152_000_i64..2_208_988_800).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn of_many(handover: &str, zone: &str) -> Rotation {
    let starts = handover.starts_with("every").then_some("2026-11-02");
    let mut rotation = rotation(handover, starts, TimeZone::get(zone).unwrap());
    rotation.holidays = [
        "2011-12-30",
        "2025-12-25",
        "2026-03-29",
        "2026-12-25",
        "2026-12-26",
    ]
    .map(|day| day.parse().unwrap())
    .into();
    rotation.substitutes = ["dan", "eva"].map(person).into();
    rotation
}

proptest! {
    /// The shifts leave no moment out and none twice, whatever overrides there are, and `shift`
    /// says at each moment the same as the schedule that was made before.
    #[test]
    fn at_every_moment_exactly_one_is_on_call(
        (handover, zone) in handovers(),
        begin in moments(),
        spans in prop::collection::vec((0_i64..200, 0_i64..60, any::<bool>()), 0..5),
        probes in prop::collection::vec(0_i64..3_000, 20),
    ) {
        let rotation = of_many(&handover, zone);
        let hour = |n: i64| begin + SignedDuration::from_hours(n);
        let overrides: Vec<Override> = spans
            .iter()
            .zip(1..)
            .map(|((from, long, ends), id)| {
                let until = ends.then(|| hour(from + long));
                replaced(id, &format!("o{id}"), hour(*from), until)
            })
            .collect();
        let shifts = rotation.shifts(&overrides, begin, 40);
        prop_assert_eq!(shifts[0].from, begin);
        for pair in shifts.windows(2) {
            prop_assert_eq!(pair[0].until, Some(pair[1].from));
            prop_assert!(pair[0].from < pair[1].from, "an empty shift");
            prop_assert_ne!(pair[0].reason, pair[1].reason, "one shift told as two");
        }
        for probe in probes {
            let now = begin + SignedDuration::from_mins(probe * 7);
            let covering: Vec<&Shift> = shifts
                .iter()
                .filter(|one| one.from <= now && one.until.is_none_or(|until| now < until))
                .collect();
            let last = shifts.last().unwrap();
            if last.until.is_none_or(|until| now < until) {
                prop_assert_eq!(covering.len(), 1);
                let shift = rotation.shift(&overrides, now);
                prop_assert_eq!(
                    (&shift.person, shift.until, shift.reason),
                    (&covering[0].person, covering[0].until, covering[0].reason)
                );
                // The oracle: the newest override that covers it, else the plan.
                let newest = overrides.iter().rev().find(|one| one.covers(now));
                let expected = newest.map_or(rotation.planned(now).person, |one| one.person.clone());
                prop_assert_eq!(shift.person, expected);
            }
        }
    }

    /// Each handover is when the clock there shows the time; where it never shows it, as much later
    /// as the clock was put forward.
    #[test]
    fn handovers_are_at_the_hour_by_the_clock(
        (handover, zone) in handovers(),
        begin in moments(),
    ) {
        let rotation = of_many(&handover, zone);
        let zone = TimeZone::get(zone).unwrap();
        let text = handover.rsplit(' ').next().unwrap();
        for shift in rotation.shifts(&[], begin, 20).into_iter().skip(1) {
            let wall = zone.to_datetime(shift.from);
            let shown = wall.time().strftime("%H:%M").to_string();
            if shown != text {
                // Then there is a gap just before.
                let before = zone.to_offset(shift.from - SignedDuration::from_hours(25));
                let after = zone.to_offset(shift.from);
                prop_assert!(after > before, "{} at {wall}", handover);
            }
            // Of two such hours the first.
            let earlier = zone.to_ambiguous_timestamp(wall).earlier().unwrap();
            prop_assert_eq!(earlier, shift.from);
        }
    }

    /// Everybody has their turn in order, also long before the first.
    #[test]
    fn turns_go_round_in_order((handover, zone) in handovers(), begin in moments()) {
        let mut rotation = of_many(&handover, zone);
        rotation.holidays.clear();
        let shifts = rotation.shifts(&[], begin, 12);
        for shift in &shifts {
            let ShiftReason::Turn(n) = shift.reason else { panic!("{shift:?}") };
            let due = &rotation.members[n.rem_euclid(3) as usize];
            prop_assert_eq!(&shift.person, due);
            let handover = rotation.handover.as_ref().unwrap();
            prop_assert!(handover.begins(n) <= shift.from && shift.from < handover.begins(n + 1));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,30}", second in any::<i64>()) {
        let _ = Handover::parse(&text, None, TimeZone::UTC);
        if let Ok(when) = Moment::parse(&text) {
            let now = Timestamp::from_second(second % 250_000_000_000).unwrap_or_default();
            let _ = when.resolve(now, &TimeZone::UTC);
        }
    }

    #[test]
    fn the_ends_of_the_calendar_have_somebody_too((handover, zone) in handovers()) {
        let rotation = of_many(&handover, zone);
        for now in [Timestamp::MIN, Timestamp::MAX] {
            rotation.shifts(&[], now, 5);
            rotation.duty(&[], now);
        }
    }
}
