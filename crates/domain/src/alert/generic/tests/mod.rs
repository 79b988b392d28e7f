//! Bodies as senders document them, and what is made of them.

mod aws;
mod senders;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn read(preset: Preset, body: &Value) -> Result<Read, Malformed> {
    parse(
        body.to_string().as_bytes(),
        "some",
        &preset.mapping(),
        None,
        noon(),
    )
}

/// Nothing in it is an alert.
fn says_nothing(read: Result<Read, Malformed>) -> bool {
    matches!(read, Ok(Read::Alerts(body)) if body.ignored == 1 && body.alerts.is_empty())
}

fn one(preset: Preset, body: &Value) -> Alert {
    match read(preset, body) {
        Ok(Read::Alerts(mut body)) if body.alerts.len() == 1 => body.alerts.remove(0),
        other => panic!("{other:?}"),
    }
}

fn at(places: &[&str]) -> Places {
    Places::new(
        places
            .iter()
            .map(|text| Place::parse(text).unwrap())
            .collect(),
    )
}

#[test]
fn a_label_that_is_named_is_not_lost_among_too_many_and_long_ones_tell_alerts_apart() {
    let mut tags: serde_json::Map<String, Value> =
        (0..100).map(|n| (format!("a{n}"), json!("x"))).collect();
    let plain = |tags: &serde_json::Map<String, Value>| {
        one(
            Preset::Plain,
            &json!({"name": "Odd", "status": "firing", "service": "api", "tags": tags}),
        )
    };
    let alert = plain(&tags);
    assert_eq!(
        (alert.labels.len(), alert.label("service")),
        (64, Some("api"))
    );
    tags.insert("a0".into(), format!("{}1", "x".repeat(300)).into());
    let first = plain(&tags);
    tags.insert("a0".into(), format!("{}2", "x".repeat(300)).into());
    assert_ne!(first.fingerprint, plain(&tags).fingerprint);
}

#[test]
fn a_list_of_alerts_is_as_many_and_a_bad_one_costs_only_itself() {
    let body = json!([
        {"name": "Disk", "status": "firing", "service": "api"},
        {"name": "Backup", "status": "maybe"},
        {"name": "Queue", "status": "ok"},
    ]);
    let Ok(Read::Alerts(read)) = read(Preset::Plain, &body) else {
        panic!("it is read");
    };
    let alerts = read.alerts.iter().map(|one| (one.name(), one.firing));
    assert_eq!(
        alerts.collect::<Vec<_>>(),
        [("Disk", true), ("Queue", false)]
    );
    assert_eq!(read.malformed.len(), 1);
}

#[test]
fn without_any_mapping_a_plain_shape_is_understood() {
    let alert = one(
        Preset::Plain,
        &json!({"name": "BackupLate", "state": "OK", "severity": "low", "labels": {"disk": 3}, "time": 1_795_489_200}),
    );
    assert_eq!((alert.firing, alert.label("disk")), (false, Some("3")));
    assert_eq!(alert.starts_at.as_second(), 1_795_489_200);
    let many = json!({"alerts": [
        {"name": "A", "status": "firing"},
        {"name": "B", "status": "resolved"},
    ], "labels": {"site": "north"}});
    let Ok(Read::Alerts(Body {
        alerts, ignored: 0, ..
    })) = read(Preset::Plain, &many)
    else {
        panic!("{many}");
    };
    assert_eq!(alerts.len(), 2);
    assert_eq!(
        alerts[1].label("site"),
        Some("north"),
        "looked for in the body too"
    );
    assert_eq!(alerts[0].starts_at, noon(), "it says no time: now");
    assert_ne!(alerts[0].fingerprint, alerts[1].fingerprint);
}

#[test]
fn a_mapping_of_ones_own_says_where_things_are() {
    let mapping = Mapping {
        name: at(&["{/check/kind} of {/host}"]),
        status: at(&["/now"]),
        firing: vec!["bad".into()],
        resolved: vec!["good".into()],
        severity: at(&["/prio"]),
        severities: [("p1".to_owned(), "SEV1".to_owned())].into(),
        labels: [
            ("*".to_owned(), at(&["/tags"])),
            ("host".to_owned(), at(&["/host"])),
        ]
        .into(),
        ..Mapping::default()
    };
    let body = json!({
        "check": {"kind": "disk"}, "host": "db-1", "now": "BAD", "prio": "P1",
        "tags": {"host": "other", "1st": true, "deep": {"x": 1}, "empty": ""},
    });
    let read = parse(
        body.to_string().as_bytes(),
        "checker",
        &mapping,
        None,
        noon(),
    )
    .unwrap();
    let Read::Alerts(Body { alerts, .. }) = read else {
        panic!("{read:?}");
    };
    let labels: Vec<(&str, &str)> = alerts[0]
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("_1st", "true"),
            ("alertname", "disk of db-1"),
            ("host", "db-1"),
            ("severity", "SEV1"),
            ("source", "checker"),
        ]
    );
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (preset, body, expected) in [
        (Preset::Plain, json!([]), "a JSON object is expected"),
        (
            Preset::Plain,
            json!({"alerts": 1}),
            "/alerts: must be a list",
        ),
        (
            Preset::Plain,
            json!({"name": "x"}),
            "status (/status, /state): there is no such thing",
        ),
        (
            Preset::Plain,
            json!({"alerts": [{"status": "burning"}]}),
            "/alerts/0: status (/status, /state): `burning` is neither among firing (firing, ",
        ),
        (
            Preset::Plain,
            json!({"status": "ok", "time": "noon"}),
            "starts_at (/starts_at, /startsAt, /timestamp, /time): `noon` is no time",
        ),
    ] {
        let told = read(preset, &body).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
    let told = parse(b"nonsense", "x", &Mapping::default(), None, noon()).unwrap_err();
    assert!(told.to_string().starts_with("this is not JSON"), "{told}");
    for (text, expected) in [
        ("data/title", "write a JSON Pointer such as /data/title"),
        ("{/a} and {/b", "a `{` without its `}`"),
        ("{a}", "what stands in braces has to begin with `/`"),
    ] {
        let told = Place::parse(text).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn all_places_of_the_presets_are_understood() {
    // What is not understood is left out there.
    for source in [include_str!("../presets.rs"), include_str!("../aws.rs")] {
        let code = source.lines().filter(|line| !line.trim().starts_with("//"));
        let code: String = code.collect();
        let places = code.split('"').skip(1).step_by(2);
        let places: Vec<&str> = places.filter(|text| text.contains('/')).collect();
        assert!(places.len() > 20);
        for place in places {
            assert!(Place::parse(place).is_ok(), "{place}");
        }
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, preset) in Preset::ALL {
            let _ = parse(&body, "x", &preset.mapping(), None, noon());
            let message = aws::by_sns(Some("s"), &String::from_utf8_lossy(&body));
            let _ = parse(message.to_string().as_bytes(), "x", &preset.mapping(), None, noon());
        }
        let _ = sns::signed(&body);
    }

    #[test]
    fn no_value_in_any_place_makes_it_panic(
        key in "action|status|data|heartbeat|msg|Type|Message|Signature|payload|detail-type|alerts|NewStateValue",
        inner in "issue|error|state|detail|severity",
        text in "\\PC{0,40}",
    ) {
        for value in [json!(text), json!([text]), json!({inner: text}), json!(1), Value::Null] {
            for (_, preset) in Preset::ALL {
                let body = json!({key.clone(): value, "event_action": "trigger", "create": true});
                let _ = parse(body.to_string().as_bytes(), "x", &preset.mapping(), Some("issue"), noon());
                let _ = sns::signed(body.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn no_place_makes_it_panic(text in "[/{}~01a-c ]{0,20}", key in "[a-c/]{0,3}") {
        if let Ok(place) = Place::parse(&text) {
            let places = Places::new(vec![place]);
            places.find(&json!({key.clone(): [key.clone(), 1]}));
            places.pairs(&json!({key.clone(): {key: 1}}), &Value::Null);
        }
    }
}
