//! Sentry, Uptime Kuma, and those that send to PagerDuty or Opsgenie.

use super::*;

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
