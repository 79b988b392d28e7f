//! Amazon SNS, and what comes through it.

use super::*;

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
    let mut raw: Value = serde_json::from_str(alarm("ALARM")["Message"].as_str().unwrap()).unwrap();
    assert!(one(Preset::CloudWatch, &raw).firing);
    // Of metric math the metric has no name; a composite alarm has a rule in its place.
    raw["Trigger"] = json!({"Metrics": [{"Expression": "m1/m2", "Id": "e1"}], "Threshold": 5.0});
    let math = one(Preset::CloudWatch, &raw);
    assert_eq!((math.name(), math.label("metric")), ("api-cpu", None));
    raw.as_object_mut().unwrap().remove("Trigger");
    raw["AlarmRule"] = "ALARM(api-cpu) OR ALARM(api-memory)".into();
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

pub(super) fn by_sns(subject: Option<&str>, message: &str) -> Value {
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
