//! Alerts: posted as Alertmanager posts them, told in Slack, followed up, and over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::alert::{Auto, WatchSettings};
use treasury_bot::domain::{EntryKind, Person, Status};
use treasury_bot::sandbox::stack::Fault;

use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, PATIENCE, Scenery, Stage, another_bot, words_of};

/// Everything happens within seconds.
pub fn hasty() -> AlertSettings {
    let mut alerts = AlertSettings {
        ack_within: Duration::from_secs(2),
        follow_up: Duration::from_secs(3),
        quiet: Duration::from_secs(1),
        on_call: ["U0ANA00001", "U0BEN00001"]
            .map(|id| Person {
                id: id.into(),
                name: id.into(),
            })
            .into(),
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Off;
    alerts
}

pub async fn stage(alerts: AlertSettings) -> Stage {
    Stage::set(Scenery {
        alerts,
        ..Scenery::default()
    })
    .await
}

/// Waits until somebody is asked to acknowledge.
pub async fn is_asked(stage: &Stage, who: &str) {
    let asked = stage.sandbox.wait_for(PATIENCE, |workspace| {
        let mut all = workspace.messages().map(words_of);
        all.find(|words| words.contains("please acknowledge") && words.contains(who))
    });
    let asked = asked.await;
    asked.unwrap_or_else(|error| panic!("{who} is never asked to acknowledge: {error}"));
}

/// An alert as Alertmanager sends it.
pub fn alert(name: &str, labels: &[(&str, &str)], firing: bool) -> Value {
    let mut all = json!({"alertname": name, "severity": "critical"});
    for (key, value) in labels {
        all[*key] = json!(value);
    }
    json!({
        "status": if firing { "firing" } else { "resolved" },
        "labels": all,
        "annotations": {"summary": format!("{name}: it hurts"), "value": "12.5 %"},
        "startsAt": "2026-11-24T03:00:00Z",
        "endsAt": if firing { "0001-01-01T00:00:00Z" } else { "2026-11-24T03:09:00Z" },
        "generatorURL": "http://prometheus.example/graph",
    })
}

pub async fn post(stage: &Stage, alerts: &[Value]) -> (u16, String) {
    let body = json!({
        "version": "4",
        "groupKey": "{}",
        "status": "firing",
        "receiver": "bot",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "truncatedAlerts": 0,
        "alerts": alerts,
    });
    send(stage, "alerts-token", body.to_string()).await
}

async fn send(stage: &Stage, token: &str, body: String) -> (u16, String) {
    let answer = reqwest::Client::new()
        .post(format!("http://{}/alerts/alertmanager", stage.app.address))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_alert_becomes_an_incident_that_is_acknowledged_and_ends_when_it_is_quiet() {
    let stage = stage(hasty()).await;
    let down = ("service", "api");
    let (code, said) = post(&stage, &[alert("HighErrorRate", &[down], true)]).await;
    assert_eq!(
        (code, said.as_str()),
        (200, "1 fired, 0 ended, 0 known already\n")
    );
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    let words = words_of(&told);
    for part in [
        "HighErrorRate: it hurts",
        "SEV2",
        "12.5 %",
        "by nobody yet",
        "Silence 1 h",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    // Who is on call is asked at once.
    let asked = stage.said(HOME, "please acknowledge").await;
    assert!(
        words_of(&asked).contains("<@U0ANA00001>"),
        "{}",
        words_of(&asked)
    );

    stage
        .person("ana")
        .clicks(&room, &told.ts, "Acknowledge")
        .await
        .unwrap();
    let told = stage.becomes(&told, "by <@U0ANA00001>").await;
    assert!(
        !words_of(&told).contains("Acknowledge\n"),
        "{}",
        words_of(&told)
    );
    stage.said(&room, "still fires after").await;

    post(&stage, &[alert("HighErrorRate", &[down], false)]).await;
    let quiet = stage.said(&room, "Quiet for").await;
    assert!(words_of(&quiet).contains("Shall INC-1 be resolved?"));
    stage.becomes(&told, "1 alert is over for api").await;
    stage
        .person("ana")
        .clicks(&room, &quiet.ts, "Resolve…")
        .await
        .unwrap();
    let asked = stage.said(&room, "What was INC-1?").await;
    stage
        .person("ana")
        .clicks(&room, &asked.ts, "Resolve, cause not known yet")
        .await
        .unwrap();
    stage.said(&room, "INC-1 is resolved").await;

    // Acknowledged in time: nobody else was asked, and the message that asked asks no more.
    assert_eq!(stage.count("please acknowledge"), 0);
    let kinds: Vec<(EntryKind, String)> = stage
        .timeline(1)
        .await
        .into_iter()
        .map(|entry| (entry.kind, entry.text))
        .collect();
    let alerts: Vec<&str> = kinds
        .iter()
        .filter(|(kind, _)| *kind == EntryKind::Alert)
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(alerts[0], "1 alert fires: HighErrorRate", "{alerts:?}");
    assert!(
        alerts.contains(&"1 alert is over: HighErrorRate"),
        "{alerts:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn nobody_answers_so_the_next_and_then_everybody_is_asked_once_each() {
    let stage = stage(hasty()).await;
    post(&stage, &[alert("Down", &[("service", "redis")], true)]).await;
    for who in ["U0ANA00001", "U0BEN00001"] {
        is_asked(&stage, who).await;
    }
    let both = "<@U0ANA00001> <@U0BEN00001>";
    stage.said(HOME, both).await;
    let asked = stage
        .timeline(1)
        .await
        .into_iter()
        .filter(|entry| entry.text.ends_with(" to acknowledge"))
        .count();
    assert_eq!(asked, 3);
    stage.finish().await;
}

#[tokio::test]
async fn the_same_alerts_fifty_times_are_one_incident_a_service_and_no_further_message() {
    let stage = stage(hasty_without_escalation()).await;
    let alerts: Vec<Value> = (0..100)
        .map(|n| {
            let service = ["postgres", "redis"][n % 2];
            let pod = format!("pod-{n}");
            alert("PodDown", &[("service", service), ("pod", &pod)], true)
        })
        .collect();
    post(&stage, &alerts).await;
    for id in [1, 2] {
        let room = stage.room(id).await;
        stage.said(&room, "50 alerts fire for").await;
    }
    stage.quiet().await;
    let (calls, entries) = (posts(&stage), stage.timeline(1).await.len());
    for _ in 0..49 {
        let (code, said) = post(&stage, &alerts).await;
        assert_eq!(
            (code, said.as_str()),
            (200, "0 fired, 0 ended, 100 known already\n")
        );
    }
    stage.quiet().await;
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (100, 100));
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 2);
    assert_eq!(posts(&stage), calls);
    assert_eq!(stage.timeline(1).await.len(), entries);
    stage.finish().await;
}

pub fn hasty_without_escalation() -> AlertSettings {
    AlertSettings {
        ack_within: Duration::from_secs(600),
        follow_up: Duration::from_secs(600),
        on_call: hasty().on_call.into_iter().take(1).collect(),
        ..hasty()
    }
}

/// Messages written so far.
pub fn posts(stage: &Stage) -> usize {
    let calls = stage.sandbox.calls();
    calls
        .iter()
        .filter(|call| call.method == "chat.postMessage" || call.method == "chat.update")
        .count()
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_reason_and_nothing_is_recorded() {
    let stage = stage(hasty()).await;
    let good = json!({"version": "4", "alerts": [alert("Down", &[], true)]}).to_string();
    let huge = format!("{{\"version\": \"4\", \"x\": \"{}\"}}", "x".repeat(5 << 20));
    for (token, body, code, reason) in [
        ("wrong", good.clone(), 401, "this is not the bearer token"),
        ("alerts-token", "nonsense".into(), 400, "this is not JSON"),
        (
            "alerts-token",
            good.replace("\"4\"", "\"3\""),
            400,
            "\"3\" is not known",
        ),
        (
            "alerts-token",
            good.replace("firing", "burning"),
            400,
            "alerts[0].status",
        ),
        ("alerts-token", huge, 413, "length limit exceeded"),
    ] {
        let (answered, said) = send(&stage, token, body).await;
        assert_eq!(answered, code, "{said}");
        assert!(said.contains(reason), "{said}");
    }
    let nobody = reqwest::Client::new()
        .post(format!("http://{}/alerts/alertmanager", stage.app.address))
        .body(good)
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status().as_u16(), 401);
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (0, 0));
    assert_eq!(stage.app.store.incidents_open().await.unwrap(), []);
    let metrics = reqwest::get(format!("http://{}/metrics", stage.app.address));
    let page = metrics.await.unwrap().text().await.unwrap();
    for why in ["token", "malformed", "body"] {
        let line = format!("treasury_bot_alerts_refused_total{{why=\"{why}\"}}");
        assert!(page.contains(&line), "{why}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn an_alert_joins_the_incident_that_people_work_on_and_can_be_silenced() {
    let stage = stage(hasty_without_escalation()).await;
    stage.ana("incident declare Slow --service frontend").await;
    let room = stage.room(1).await;
    post(
        &stage,
        &[alert("SlowPages", &[("service", "frontend")], true)],
    )
    .await;
    let told = stage.said(&room, "1 alert fires for frontend").await;
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 1);
    stage
        .person("ana")
        .clicks(&room, &told.ts, "Silence 1 h")
        .await
        .unwrap();
    stage.said(&room, "silenced for 1h by").await;
    stage.becomes(&told, "Silenced").await;
    stage.ana("alerts").await;
    let list = words_of(&stage.said(HOME, "1 alert fires").await);
    assert!(
        list.contains("🔕") && list.contains("SlowPages") && list.contains("INC-1"),
        "{list}"
    );
    stage.ana("ack NoSuchAlert").await;
    stage.said(HOME, "I know no alert NoSuchAlert").await;
    stage.ana("ack SlowPages").await;
    stage
        .said(HOME, "has acknowledged the alerts of INC-1")
        .await;
    stage.ana("ack INC-1").await;
    stage.said(HOME, "was already acknowledged by").await;
    // A nuisance declares no incident: it is told in the main channel.
    let mut info = alert("CertificateSoon", &[("service", "redis")], true);
    info["labels"]["severity"] = json!("info");
    post(&stage, &[info]).await;
    let told = stage.said(HOME, "1 alert fires for redis").await;
    assert!(words_of(&told).contains("Declare incident"));
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn the_bot_has_looked_before_anybody_came_and_runs_the_runbook_where_it_may() {
    let mut alerts = hasty_without_escalation();
    alerts.routes.auto = Auto::Run;
    alerts.resolves = true;
    let mend = "name: mend\nparams:\n  service: {type: service}\nsteps:\n  - uses: service.restart\n    with: {service: '${{ params.service }}'}\n";
    let stage = Stage::set(Scenery {
        alerts,
        runbooks: vec![mend.into()],
        ..Scenery::default()
    })
    .await;
    stage.stack.put_in(Fault::ApiErrors, None).unwrap();
    stage.stack.advance(Duration::from_secs(60));
    let mut ill = alert("ApiErrors", &[("service", "api")], true);
    ill["annotations"]["runbook"] = json!("mend");
    post(&stage, std::slice::from_ref(&ill)).await;
    let room = stage.room(1).await;
    let seen = words_of(&stage.said(&room, "A first look at api").await);
    assert!(seen.contains("api healthy 2/2"), "{seen}");
    assert!(seen.contains("Newest errors in the log"), "{seen}");
    assert!(seen.contains("Nothing was changed"), "{seen}");
    let run = stage.said(&room, "Run 1 of").await;
    stage.becomes(&run, "succeeded").await;
    assert_eq!(stage.stack.calls(), ["restart api"]);
    assert_eq!(stage.stack.faults(), []);

    ill["status"] = json!("resolved");
    post(&stage, &[ill]).await;
    stage.said(&room, "INC-1 is resolved").await;
    let incident = stage.app.store.incidents(1).await.unwrap().remove(0);
    assert_eq!(incident.status, Status::Resolved);
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn two_bots_on_one_store_do_everything_once() {
    let server = Postgres::start().await;
    let scenery = Scenery {
        alerts: hasty(),
        store_url: Some(server.url()),
        ..Scenery::default()
    };
    let stage = Stage::set(scenery.clone()).await;
    let other = another_bot(&stage.sandbox, &stage.stack, &scenery).await;
    let down = alert("Down", &[("service", "postgres")], true);
    let other_post = reqwest::Client::new()
        .post(format!("http://{}/alerts/alertmanager", other.address))
        .bearer_auth("alerts-token")
        .body(json!({"version": "4", "alerts": [down.clone()]}).to_string())
        .send();
    let ((code, _), answer) = tokio::join!(post(&stage, std::slice::from_ref(&down)), other_post);
    assert_eq!((code, answer.unwrap().status().as_u16()), (200, 200));
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for postgres").await;
    stage.said(HOME, "<@U0ANA00001> <@U0BEN00001>").await;
    stage.said(&room, "still fires after").await;
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 1);
    let told = stage.timeline(1).await;
    let count = |words: &str| {
        told.iter()
            .filter(|entry| entry.text.contains(words))
            .count()
    };
    assert_eq!(
        (count("alert fires: Down"), count(" to acknowledge")),
        (1, 3)
    );
    other.stop().await;
    stage.finish().await;
}

#[tokio::test]
async fn without_prometheus_the_bot_sees_by_itself_what_is_ill_and_when_it_is_over() {
    let mut alerts = hasty_without_escalation();
    alerts.resolves = true;
    alerts.watch = Some(WatchSettings {
        every: Duration::from_millis(200),
        lasting: Duration::from_millis(300),
        ..WatchSettings::default()
    });
    let stage = stage(alerts).await;
    stage.stack.put_in(Fault::CacheDown, None).unwrap();
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for redis").await;
    assert!(words_of(&told).contains("CacheDown"), "{}", words_of(&told));
    stage.stack.take_out(Fault::CacheDown);
    stage.said(&room, "is resolved").await;
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (1, 0));
    stage.finish().await;
}

#[tokio::test]
async fn a_storm_of_ten_thousand_alerts_is_one_incident_a_cause_and_a_few_messages() {
    let mut alerts = hasty_without_escalation();
    alerts.routes.auto = Auto::Diagnose;
    let stage = stage(alerts).await;
    stage.sandbox.faults().rate("chat.postMessage", 1);
    stage.sandbox.faults().rate("chat.update", 1);
    let began = Instant::now();
    let services = ["frontend", "api", "postgres", "redis"];
    let mut slowest = Duration::ZERO;
    for body in 0..100 {
        let alerts: Vec<Value> = (0..100)
            .map(|n| {
                let (name, pod) = (format!("Kind{}", n % 7), format!("pod-{body}-{n}"));
                alert(&name, &[("service", services[n % 4]), ("pod", &pod)], true)
            })
            .collect();
        let (code, said) = post(&stage, &alerts).await;
        assert_eq!(
            (code, said.as_str()),
            (200, "100 fired, 0 ended, 0 known already\n")
        );
        if body % 20 == 0 {
            let receipt = stage.ana("version").await;
            slowest = slowest.max(receipt.elapsed);
        }
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(
        stage.app.store.alerts_count().await.unwrap(),
        (10_000, 10_000)
    );
    let open = stage.app.store.incidents_open().await.unwrap();
    // The api stands on PostgreSQL and Redis, and the frontend on the api: they join its incident.
    assert_eq!(open.len(), 2);
    for incident in &open {
        let room = stage.room(incident.id.0).await;
        let fire = match incident.services[0].as_str() {
            "postgres" => "7500 alerts fire",
            _ => "2500 alerts fire",
        };
        stage
            .sandbox
            .wait_for(Duration::from_secs(60), |workspace| {
                let mut all = workspace.messages();
                all.find(|m| m.channel == room && words_of(m).contains(fire))
                    .map(|_| ())
            })
            .await
            .unwrap();
    }
    stage.quiet().await;
    let calls = stage.sandbox.calls();
    let written = calls
        .iter()
        .filter(|call| {
            call.method.starts_with("chat.") || call.method.starts_with("conversations.")
        })
        .count();
    eprintln!("10,000 alerts in {took:?}, slowest acknowledgement {slowest:?}, {written} calls");
    assert!(
        written <= 20 * open.len() + 8,
        "{written} calls for {} incidents",
        open.len()
    );
    stage.finish().await;
}
