//! What is seen of a run.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::run::{Run, SAID, TOKEN};
use super::shipped::{dashboards, queries};
use crate::support::process::root;
use crate::support::prometheus::Prometheus;

/// Queries that give nothing after this run, with the reason.
const MAY_BE_EMPTY: &[(&str, &str)] = &[(
    "time() - max(treasury_bot_store_pruned_timestamp_seconds{job=~\"$job\"})",
    "the first round is five minutes after the start",
)];

#[tokio::test]
#[ignore = "needs Docker, Prometheus and aiosmtpd"]
async fn every_query_finds_a_real_run_and_its_log_tells_what_belongs_together() {
    let mut run = Run::begin().await;
    let page = ([127, 0, 0, 1], run.setup.port).into();
    let prometheus = Prometheus::scraping_as("treasury-bot", page).await;
    reaches(&prometheus, "treasury_bot_build_info").await;
    run.play().await;
    reaches(&prometheus, "sum(treasury_bot_resolve_seconds_count) == 1").await;
    reaches(
        &prometheus,
        "sum(treasury_bot_notifications_total{outcome=\"dead\"}) > 0",
    )
    .await;
    is_clean(&run.page().await);
    says_what_happened(&prometheus).await;
    for (dashboard, panel, query) in queries() {
        let asked = query
            .replace("$__rate_interval", "1m")
            .replace("$__range", "2m")
            .replace("$job", "treasury-bot");
        assert!(!asked.contains('$'), "{dashboard}, {panel}: {asked}");
        let found = prometheus.ask(&asked).await;
        let found = found.unwrap_or_else(|why| panic!("{dashboard}, {panel}: {asked}: {why}"));
        let is_there = found.iter().any(|number| number.is_finite());
        let may_be_empty = MAY_BE_EMPTY.iter().any(|(one, _)| *one == query);
        assert_ne!(
            is_there, may_be_empty,
            "{dashboard}, {panel}: {asked}: {found:?}"
        );
    }
    assert_eq!(dashboards().len(), 2);

    let log = std::fs::read_to_string(run.setup.log_file()).unwrap();
    tells_what_belongs_together(&log, run.sandbox.bot_token());

    // What is open is in the store, not in the process.
    run.again().await;
    reaches(&prometheus, "absent(treasury_bot_commands_total)").await;
    reaches(
        &prometheus,
        "treasury_bot_incidents_open{severity=\"SEV3\"} == 1",
    )
    .await;
}

/// Waits until a query finds something.
async fn reaches(prometheus: &Prometheus, query: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while prometheus.ask(query).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "nothing of {query}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `promtool check metrics` finds nothing to say.
fn is_clean(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let done = promtool.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(
        done.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// Each thing was counted as often as it happened.
async fn says_what_happened(prometheus: &Prometheus) {
    for (query, wanted) in [
        (
            "treasury_bot_commands_total{command=\"ack\", outcome=\"done\"}",
            1.,
        ),
        (
            "treasury_bot_commands_total{command=\"status\", outcome=\"done\"}",
            1.,
        ),
        (
            "treasury_bot_commands_total{command=\"status\", outcome=\"refused\"}",
            1.,
        ),
        (
            "treasury_bot_commands_total{command=\"unknown\", outcome=\"refused\"}",
            1.,
        ),
        (
            "treasury_bot_actions_total{action=\"restart\", outcome=\"done\"}",
            2.,
        ),
        (
            "treasury_bot_runs_total{mode=\"run\", outcome=\"succeeded\"}",
            1.,
        ),
        (
            "treasury_bot_runs_total{mode=\"rehearsal\", outcome=\"succeeded\"}",
            1.,
        ),
        (
            "treasury_bot_run_steps_total{mode=\"run\", outcome=\"failed\"}",
            0.,
        ),
        (
            "treasury_bot_alerts_total{source=\"alertmanager\", outcome=\"fired\"}",
            1.,
        ),
        (
            "treasury_bot_alerts_total{source=\"alertmanager\", outcome=\"resolved\"}",
            1.,
        ),
        (
            "treasury_bot_alerts_malformed_total{source=\"alertmanager\"}",
            2.,
        ),
        ("treasury_bot_alerts_refused_total{why=\"token\"}", 1.),
        ("treasury_bot_alerts_firing{severity=\"SEV2\"}", 0.),
        ("treasury_bot_asks_total", 1.),
        (
            "treasury_bot_incidents_total{severity=\"SEV2\", by=\"bot\"}",
            1.,
        ),
        (
            "treasury_bot_incidents_total{severity=\"SEV3\", by=\"person\"}",
            1.,
        ),
        ("treasury_bot_incidents_open{severity=\"SEV2\"}", 0.),
        ("treasury_bot_incidents_open{severity=\"SEV3\"}", 1.),
        (
            "treasury_bot_acknowledge_seconds_count{severity=\"SEV2\"}",
            1.,
        ),
        ("treasury_bot_mitigate_seconds_count{severity=\"SEV2\"}", 1.),
        ("treasury_bot_resolve_seconds_count{severity=\"SEV2\"}", 1.),
        ("treasury_bot_slack_connected", 1.),
        ("treasury_bot_slack_refused", 0.),
        ("treasury_bot_store_up", 1.),
    ] {
        assert_eq!(prometheus.ask(query).await.unwrap(), [wanted], "{query}");
    }
}

/// The log is JSON a line; the lines of a command, an action, a run, alerts and a timer name what they
/// belong to; nothing secret is in it.
fn tells_what_belongs_together(log: &str, bot_token: &str) {
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let having = |wanted: &[(&str, &str)]| {
        let mut found = lines.iter().filter(|line| {
            let text = |name: &str| match &line[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            wanted.iter().all(|(name, value)| text(name) == *value)
        });
        let found = found.next();
        found.unwrap_or_else(|| panic!("no line with {wanted:?} in\n{log}"))
    };
    let ana = ("person", "U0ANA00001");
    let web = ("service", "web");
    let one = ("incident", "INC-1");
    let answered = having(&[
        ("message", "a request is answered"),
        ("command", "mitigate"),
        one,
        ana,
    ]);
    having(&[
        ("message", "an action ended"),
        ("kind", "restart"),
        web,
        one,
        ana,
    ]);
    let ended = having(&[("message", "an action ended"), ("run", "2"), web]);
    assert_eq!(ended["runbook"], "restart-service");
    having(&[
        ("message", "a run ended"),
        ("run", "2"),
        one,
        ("outcome", "succeeded"),
    ]);
    having(&[
        ("message", "alerts are taken in"),
        ("source", "alertmanager"),
        ("fired", "1"),
    ]);
    having(&[
        ("message", "an incident is declared"),
        ("source", "alertmanager"),
        one,
    ]);
    having(&[
        ("message", "an incident's status changed"),
        ("command", "resolve"),
        one,
        ana,
    ]);
    having(&[("way", "email"), one]);

    // The documentation shows such a line.
    let text = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let shown = text.lines().find(|line| line.starts_with("{\"timestamp\""));
    let shown: Value = serde_json::from_str(shown.unwrap()).unwrap();
    let names =
        |line: &Value| -> BTreeSet<String> { line.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&shown), names(answered));
    for name in [
        "level", "target", "message", "incident", "outcome", "person",
    ] {
        assert_eq!(shown[name], answered[name], "{name}");
    }

    for secret in [
        TOKEN,
        SAID,
        "hunter",
        bot_token,
        "/incidents/link/",
        "xapp-",
        "U0ANA00001/",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
