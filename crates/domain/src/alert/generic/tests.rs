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
        // Anybody's bucket.
        ("https://sns.mine.s3.amazonaws.com/?x", false),
        ("https://sns..amazonaws.com/", false),
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
            other => panic!("{other:?}"),
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
    assert!(says_nothing(read(Preset::Sentry, &assigned)));
}

#[test]
fn sentry_says_by_a_header_what_it_tells_of() {
    let mapping = Preset::Sentry.mapping();
    let read = |resource: Option<&str>, body: &Value| {
        parse(
            body.to_string().as_bytes(),
            "sentry",
            &mapping,
            resource,
            noon(),
        )
    };
    let comment = json!({"action": "created", "data": {
        "comment": "hi", "comment_id": 1, "issue_id": 2, "project_slug": "api",
    }});
    let installation = json!({"action": "created", "data": {"installation": {"uuid": "a8e5"}}});
    let check = json!({"fields": [{"name": "room", "value": "ops"}], "installationId": "a8e5"});
    for (resource, body) in [
        ("comment", &comment),
        ("installation", &installation),
        ("seer", &json!({"action": "root_cause_started", "data": {}})),
        (
            "issue",
            &json!({"action": "unassigned", "data": {"issue": {"id": "1"}}}),
        ),
        ("", &check),
    ] {
        assert!(says_nothing(read(Some(resource), body)), "{resource}");
        assert!(
            says_nothing(read(None, body)),
            "{resource} without the header"
        );
    }
    let error = |id: &str, title: &str| {
        json!({"action": "created", "data": {"error": {
            "issue_id": id, "title": title, "level": "fatal", "tags": [["environment", "production"]],
        }}})
    };
    let alert = |resource, body: &Value| match read(resource, body) {
        Ok(Read::Alerts(mut body)) if body.alerts.len() == 1 => body.alerts.remove(0),
        other => panic!("{other:?}"),
    };
    let memory = alert(Some("error"), &error("9", "OutOfMemory"));
    let payment = alert(None, &error("10", "Payment lost"));
    assert_ne!(memory.fingerprint, payment.fingerprint);
    assert_eq!(
        (memory.name(), payment.summary()),
        ("OutOfMemory", "Payment lost")
    );
    assert_eq!(memory.label("severity"), Some("critical"));
    // An issue's rule, and the issue itself, are the same alert.
    let activity =
        json!({"action": "triggered", "data": {"issue": {"id": "9", "status": "resolved"}}});
    let over = alert(Some("activity_alert"), &activity);
    assert_eq!((over.firing, over.fingerprint), (false, memory.fingerprint));
    let told = read(Some("issue"), &comment).unwrap_err().to_string();
    assert_eq!(told, "data.issue: must be an object");
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
    // Its button “Test” sends no heartbeat, and neither do notices.
    let notice = |text: &str| json!({"heartbeat": null, "monitor": null, "msg": text});
    assert!(says_nothing(read(
        Preset::UptimeKuma,
        &notice("My Webhook Testing")
    )));
    let expiry = |days: u8| {
        notice(&format!(
            "[frontend][https://treasury.example/] server certificate treasury.example will expire in {days} days"
        ))
    };
    let week = one(Preset::UptimeKuma, &expiry(7));
    assert!(
        week.summary().ends_with("will expire in 7 days"),
        "{}",
        week.summary()
    );
    assert_eq!(
        (
            week.name(),
            week.label("service"),
            week.label("severity"),
            week.is_event()
        ),
        (
            "CertificateExpires",
            Some("frontend"),
            Some("warning"),
            true
        )
    );
    assert_eq!(
        one(Preset::UptimeKuma, &expiry(14)).fingerprint,
        week.fingerprint
    );
    assert_ne!(week.fingerprint, down.fingerprint);
    let other = one(
        Preset::UptimeKuma,
        &notice("Domain name treasury.example will expire in 9 days"),
    );
    assert_eq!(other.name(), "DomainExpires");
}

fn by_sns(subject: Option<&str>, message: &str) -> Value {
    json!({
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
        "Subject": subject,
        "Message": message,
    })
}

#[test]
fn what_else_comes_by_sns_is_told_as_what_it_is() {
    let said = |subject, message: &str| one(Preset::CloudWatch, &by_sns(subject, message));
    let text = said(Some("Backup"), "The nightly backup failed:\nno space left");
    assert_eq!(
        (text.name(), text.summary(), text.is_event()),
        ("Backup", "The nightly backup failed: no space left", true)
    );
    assert_eq!(said(None, "hello").name(), "some", "the source's name");
    assert_ne!(
        said(None, "hello").fingerprint,
        said(None, "hello?").fingerprint
    );
    assert_eq!(said(None, "42").summary(), "42");
    let made = said(
        None,
        r#"{"summary": "queue is full", "details": "5,000 wait", "severity": "high"}"#,
    );
    assert_eq!(
        (made.summary(), made.annotation("description")),
        ("queue is full", Some("5,000 wait"))
    );
    assert_eq!(
        (made.label("severity"), made.is_event()),
        (Some("high"), true)
    );
    // Our own shape has an end.
    let plain = said(None, r#"{"name": "BackupLate", "status": "ok"}"#);
    assert_eq!(
        (plain.name(), plain.firing, plain.is_event()),
        ("BackupLate", false, false)
    );
    let rds = said(Some("RDS Notification Message"), &json!({
        "Event Source": "db-instance",
        "Event Time": "2026-11-24 03:00:00.250",
        "Identifier Link": "https://console.aws.amazon.com/rds/home?region=eu-west-1#dbinstance:id=ledger",
        "Source ID": "ledger",
        "Event ID": "http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.html#RDS-EVENT-0006",
        "Event Message": "DB instance restarted",
    }).to_string());
    assert_eq!(
        (
            rds.name(),
            rds.summary(),
            rds.label("service"),
            rds.is_event()
        ),
        (
            "RDS-EVENT-0006",
            "ledger: DB instance restarted",
            Some("ledger"),
            true
        )
    );
    assert_eq!(rds.starts_at.to_string(), "2026-11-24T03:00:00.25Z");
    let event = said(None, &json!({
        "version": "0", "id": "6a7e8feb", "detail-type": "ECS Task State Change", "source": "aws.ecs",
        "account": "123456789012", "time": "2026-11-24T03:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:ecs:eu-west-1:123456789012:task/1"], "detail": {"lastStatus": "STOPPED"},
    }).to_string());
    assert_eq!(
        (event.summary(), event.label("severity"), event.is_event()),
        ("ECS Task State Change of aws.ecs", Some("info"), true)
    );
    // SNS' raw delivery.
    let raw = parse(
        b"no envelope",
        "aws",
        &Preset::CloudWatch.mapping(),
        None,
        noon(),
    );
    assert!(matches!(raw, Ok(Read::Alerts(body)) if body.alerts[0].summary() == "no envelope"));
    let unsubscribed = json!({"Type": "UnsubscribeConfirmation", "TopicArn": "arn:x"});
    assert_eq!(
        read(Preset::CloudWatch, &unsubscribed),
        Ok(Read::Unsubscribed {
            topic: "arn:x".into()
        })
    );
}

#[test]
fn an_alarm_by_eventbridge_is_the_alarm_by_sns() {
    let arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:api-cpu";
    let alarm = json!({"AlarmName": "api-cpu", "AlarmArn": arn, "NewStateValue": "OK"});
    let over = one(Preset::CloudWatch, &by_sns(None, &alarm.to_string()));
    let event = json!({
        "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
        "account": "123456789012", "region": "eu-west-1", "time": "2026-11-24T03:00:00Z",
        "resources": [arn],
        "detail": {
            "alarmName": "api-cpu",
            "state": {"value": "ALARM", "reason": "Threshold Crossed", "timestamp": "2026-11-24T02:59:59.000+0000"},
            "configuration": {"metrics": [{"metricStat": {"metric": {
                "namespace": "AWS/ECS", "name": "CPUUtilization", "dimensions": {"ServiceName": "api"},
            }}}]},
        },
    });
    let fires = one(Preset::CloudWatch, &by_sns(None, &event.to_string()));
    assert_eq!(
        (fires.firing, &fires.fingerprint),
        (true, &over.fingerprint)
    );
    assert_eq!(fires.starts_at.to_string(), "2026-11-24T02:59:59Z");
    for (label, value) in [
        ("alertname", "api-cpu"),
        ("severity", "critical"),
        ("ServiceName", "api"),
        ("metric", "CPUUtilization"),
    ] {
        assert_eq!(fires.label(label), Some(value), "{label}");
    }
}

#[test]
fn what_sns_signs_is_put_together_as_it_documents() {
    let body = json!({
        "Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:t", "Subject": "s", "Message": "hello",
        "Timestamp": "2026-11-24T03:00:00.000Z", "SignatureVersion": "2", "Signature": "c2ln",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01d0.pem",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    });
    let signed = |body: &Value| sns::signed(body.to_string().as_bytes());
    let found = signed(&body).unwrap().unwrap();
    assert_eq!(
        found.text,
        "Message\nhello\nMessageId\nm-1\nSubject\ns\nTimestamp\n2026-11-24T03:00:00.000Z\nTopicArn\narn:t\nType\nNotification\n"
    );
    assert_eq!((found.sha256, found.topic.as_str()), (true, "arn:t"));
    let with = |key: &str, value: &str| {
        let mut body = body.clone();
        body[key] = json!(value);
        body
    };
    for (key, value) in [
        ("SigningCertURL", "http://sns.eu-west-1.amazonaws.com/x.pem"),
        (
            "SigningCertURL",
            "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        ),
        ("SigningCertURL", "https://sns.mine.s3.amazonaws.com/x.pem"),
        (
            "SigningCertURL",
            "https://sns.eu-west-1.amazonaws.com/?Action=x",
        ),
        ("SignatureVersion", "3"),
    ] {
        assert_eq!(signed(&with(key, value)).unwrap_err().at, key, "{value}");
    }
    let mut unsigned = body;
    unsigned.as_object_mut().unwrap().remove("Signature");
    assert_eq!(signed(&unsigned), Ok(None));
}

#[test]
fn pagerdutys_and_opsgenies_senders_are_understood() {
    let event = |action: &str, further: Value| {
        let mut event = json!({"routing_key": "R0UT1NG", "event_action": action});
        event
            .as_object_mut()
            .unwrap()
            .extend(further.as_object().unwrap().clone());
        event
    };
    let payload = json!({"payload": {
        "summary": "DISK at 99% on db-1", "source": "db-1", "severity": "error", "component": "postgres",
        "class": "disk", "timestamp": "2026-11-24T03:00:00Z", "custom_details": {"free": "1 GB"},
    }, "client_url": "https://mon.example"});
    let trigger = event("trigger", payload);
    let alert = one(Preset::PagerDuty, &trigger);
    assert_eq!(
        (
            alert.name(),
            alert.label("service"),
            alert.label("severity"),
            alert.annotation("free")
        ),
        ("disk", Some("postgres"), Some("error"), Some("1 GB"))
    );
    assert!(
        !alert.other.contains_key("routing_key"),
        "no secret is kept"
    );
    // Without a key of its own, the one that the answer tells.
    let key = shape::dedup_key(&trigger);
    let over = one(
        Preset::PagerDuty,
        &event("resolve", json!({"dedup_key": key})),
    );
    assert_eq!(
        (over.firing, &over.fingerprint),
        (false, &alert.fingerprint)
    );
    assert!(over.is_bare() && !alert.is_bare());
    assert!(says_nothing(read(
        Preset::PagerDuty,
        &event("acknowledge", json!({"dedup_key": key}))
    )));

    let create = json!({
        "action": "create", "alias": "disk-db-1", "message": "Disk is full", "priority": "P1",
        "entity": "postgres", "details": {"cluster": "prod"},
    });
    let alert = one(Preset::Opsgenie, &create);
    assert_eq!(
        (
            alert.name(),
            alert.label("service"),
            alert.label("severity"),
            alert.label("cluster")
        ),
        ("Disk is full", Some("postgres"), Some("p1"), Some("prod"))
    );
    let over = one(
        Preset::Opsgenie,
        &json!({"action": "close", "alias": "disk-db-1", "note": "x"}),
    );
    assert_eq!(
        (over.firing, &over.fingerprint, over.is_bare()),
        (false, &alert.fingerprint, true)
    );
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
    for source in [include_str!("presets.rs"), include_str!("aws.rs")] {
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
            let message = by_sns(Some("s"), &String::from_utf8_lossy(&body));
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
