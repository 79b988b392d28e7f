//! Bodies as senders document them, and what is made of them.

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
        noon(),
    )
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
fn cloudwatch_comes_in_the_envelope_of_sns() {
    let alarm = |state: &str| {
        let message = json!({
            "AlarmName": "api-cpu",
            "AlarmDescription": "The api is short of CPU",
            "AWSAccountId": "123456789012",
            "NewStateValue": state,
            "NewStateReason": "Threshold Crossed: 1 datapoint [97.2] was greater than 90.0.",
            "StateChangeTime": "2026-11-24T03:00:00.000+0000",
            "Region": "EU (Ireland)",
            "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:api-cpu",
            "OldStateValue": "OK",
            "Trigger": {
                "MetricName": "CPUUtilization",
                "Namespace": "AWS/ECS",
                "Dimensions": [
                    {"value": "api", "name": "ServiceName"},
                    {"value": "treasury", "name": "ClusterName"},
                ],
                "Threshold": 90.0,
            },
        });
        json!({
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
            "Subject": "ALARM: \"api-cpu\" in EU (Ireland)",
            "Message": message.to_string(),
        })
    };
    let alert = one(Preset::CloudWatch, &alarm("ALARM"));
    assert!(alert.firing);
    assert_eq!(alert.starts_at.to_string(), "2026-11-24T03:00:00Z");
    assert_eq!(alert.summary(), "The api is short of CPU");
    for (label, value) in [
        ("alertname", "api-cpu"),
        ("source", "some"),
        ("severity", "critical"),
        ("ServiceName", "api"),
        ("ClusterName", "treasury"),
        ("metric", "CPUUtilization"),
        ("region", "EU (Ireland)"),
    ] {
        assert_eq!(alert.label(label), Some(value), "{label}");
    }
    assert_eq!(alert.annotation("threshold"), Some("90.0"));
    assert_eq!(
        alert.other["OldStateValue"], "OK",
        "what is not mapped is kept"
    );
    let over = one(Preset::CloudWatch, &alarm("OK"));
    assert_eq!((over.firing, over.fingerprint), (false, alert.fingerprint));
    let unsure = read(Preset::CloudWatch, &alarm("INSUFFICIENT_DATA"));
    assert!(
        matches!(unsure, Ok(Read::Alerts(body)) if body.ignored == 1 && body.alerts.is_empty())
    );
    // Raw delivery: the message itself.
    let raw: Value = serde_json::from_str(alarm("ALARM")["Message"].as_str().unwrap()).unwrap();
    assert!(one(Preset::CloudWatch, &raw).firing);
}

#[test]
fn a_subscription_is_told_and_its_address_only_if_it_is_amazons() {
    for (url, good) in [
        (
            "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=23",
            true,
        ),
        (
            "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription",
            true,
        ),
        (
            "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            false,
        ),
        ("https://sns.example.com/?x=.amazonaws.com", false),
        ("https://sns.a@evil.example/.amazonaws.com", false),
        ("https://169.254.169.254/latest/meta-data", false),
    ] {
        let body = json!({
            "Type": "SubscriptionConfirmation",
            "TopicArn": "arn:aws:sns:eu-west-1:1:alarms",
            "Message": "You have chosen to subscribe …",
            "SubscribeURL": url,
        });
        match read(Preset::CloudWatch, &body).unwrap() {
            Read::Subscription { topic, url: told } => {
                assert_eq!(topic, "arn:aws:sns:eu-west-1:1:alarms");
                assert_eq!(told.as_deref(), good.then_some(url), "{url}");
            }
            other @ Read::Alerts(_) => panic!("{other:?}"),
        }
    }
}

#[test]
fn sentrys_issues_and_their_alerts_are_one_alert_each() {
    let issue = json!({
        "action": "created",
        "data": {"issue": {
            "id": "1170820242",
            "shortId": "API-3",
            "title": "OperationalError: could not connect",
            "culprit": "ledger.balance",
            "level": "error",
            "metadata": {"type": "OperationalError"},
            "project": {"slug": "api"},
            "web_url": "https://sentry.example/issues/1170820242/",
            "firstSeen": "2026-11-24T03:00:00Z",
        }},
        "installation": {"uuid": "a8e5d37a"},
    });
    let alert = one(Preset::Sentry, &issue);
    assert_eq!(
        (alert.name(), alert.label("service")),
        ("OperationalError", Some("api"))
    );
    assert_eq!(alert.label("severity"), Some("warning"));
    assert_eq!(
        alert.other["generatorURL"],
        "https://sentry.example/issues/1170820242/"
    );
    let event = json!({
        "action": "triggered",
        "data": {
            "event": {
                "issue_id": "1170820242",
                "title": "OperationalError: could not connect",
                "level": "fatal",
                "tags": [["environment", "production"], ["os.name", "Linux"]],
            },
            "triggered_rule": "Many errors",
        },
    });
    let same = one(Preset::Sentry, &event);
    assert_eq!(same.fingerprint, alert.fingerprint);
    assert_eq!(same.label("severity"), Some("critical"));
    assert_eq!(
        same.label("os_name"),
        Some("Linux"),
        "as routes can name it"
    );
    let metric = |action: &str| {
        json!({
            "action": action,
            "data": {
                "metric_alert": {
                    "id": "7",
                    "alert_rule": {"name": "p95 of the api"},
                    "projects": ["api"],
                },
                "description_title": "Critical: p95 of the api",
                "web_url": "https://sentry.example/alerts/7/",
            },
        })
    };
    let (fires, over) = (
        one(Preset::Sentry, &metric("critical")),
        one(Preset::Sentry, &metric("resolved")),
    );
    assert_eq!((fires.firing, over.firing), (true, false));
    assert_eq!(fires.fingerprint, over.fingerprint);
    let mut assigned = issue;
    assigned["action"] = json!("assigned");
    assert!(matches!(
        read(Preset::Sentry, &assigned),
        Ok(Read::Alerts(Body { ignored: 1, .. }))
    ));
}

#[test]
fn uptime_kuma_says_down_and_up_by_numbers_and_times_without_a_zone() {
    let beat = |status: u8, at: &str| {
        json!({
            "heartbeat": {"monitorID": 4, "status": status, "time": at, "msg": "timeout of 48 s"},
            "monitor": {"id": 4, "name": "frontend", "url": "https://treasury.example/", "type": "http"},
            "msg": "[frontend] [🔴 Down] timeout of 48 s",
        })
    };
    let down = one(Preset::UptimeKuma, &beat(0, "2026-11-24 03:00:00.123"));
    assert_eq!(
        (down.firing, down.name(), down.label("service")),
        (true, "frontend", Some("frontend"))
    );
    assert_eq!(down.starts_at.to_string(), "2026-11-24T03:00:00.123Z");
    let up = one(Preset::UptimeKuma, &beat(1, "2026-11-24 03:05:00"));
    assert_eq!((up.firing, &up.fingerprint), (false, &down.fingerprint));
    // Down for the third time: it is down since the first.
    let again = one(Preset::UptimeKuma, &beat(0, "2026-11-24 03:02:00"));
    assert_eq!(again.after(&down).starts_at, down.starts_at);
    assert_eq!(
        up.clone().after(&down).starts_at,
        up.starts_at,
        "another state"
    );
    // Its button “Test” sends no heartbeat.
    let test = json!({"heartbeat": null, "monitor": null, "msg": "Testing"});
    let told = read(Preset::UptimeKuma, &test).unwrap_err().to_string();
    assert_eq!(
        told,
        "status (/heartbeat/status): there is no such thing in the body"
    );
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
    let read = parse(body.to_string().as_bytes(), "checker", &mapping, noon()).unwrap();
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
        (
            Preset::CloudWatch,
            json!({"Type": "Notification", "Message": "hello"}),
            "Message: this is no alarm, but other text",
        ),
    ] {
        let told = read(preset, &body).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
    let told = parse(b"nonsense", "x", &Mapping::default(), noon()).unwrap_err();
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
    // What is not understood is left out there: each place that is written is to be found again.
    let source = include_str!("presets.rs");
    let written = source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains('/'))
        .count();
    let read: usize = Preset::ALL
        .iter()
        .map(|(_, preset)| {
            let mapping = preset.mapping();
            let own = [
                &mapping.fingerprint,
                &mapping.name,
                &mapping.summary,
                &mapping.status,
                &mapping.starts_at,
                &mapping.severity,
                &mapping.link,
            ];
            let all = own
                .into_iter()
                .chain(mapping.labels.values())
                .chain(mapping.annotations.values());
            all.map(|places| {
                places
                    .to_string()
                    .split(", ")
                    .filter(|text| !text.is_empty())
                    .count()
            })
            .sum::<usize>()
                + usize::from(mapping.alerts.is_some())
        })
        .sum();
    assert_eq!(read, written);
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, preset) in Preset::ALL {
            let _ = parse(&body, "x", &preset.mapping(), noon());
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
