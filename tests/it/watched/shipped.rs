//! The dashboards and rules that we ship, as files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use treasury_bot::telemetry::metrics::{ALL, Kind};

use crate::support::process::root;

/// Units of Grafana that are used.
const UNITS: [&str; 6] = ["short", "s", "bytes", "percentunit", "reqps", "wps"];

/// Our dashboards, by the names of their files.
pub fn dashboards() -> Vec<(String, Value)> {
    let folder = root().join("deploy/grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap();
    let read = |file: std::fs::DirEntry| {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, serde_json::from_str(&text).unwrap())
    };
    files.map(|file| read(file.unwrap())).collect()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

/// Dashboard, panel and text of each query.
pub fn queries() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                found.push((name.clone(), text(&panel["title"]), text(&target["expr"])));
            }
        }
    }
    assert!(found.len() > 70, "{}", found.len());
    found
}

/// The names that a query asks for: ours, and whether we are reached.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query.split(move |c| !is_in_name(c));
    let ours = ["treasury_bot_", "process_"];
    words.filter(move |word| *word == "up" || ours.iter().any(|start| word.starts_with(start)))
}

fn is_declared(name: &str) -> bool {
    let mut all = ALL.iter();
    name == "up"
        || all.any(|one| match one.kind {
            Kind::Histogram => name
                .strip_prefix(one.name)
                .is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end)),
            Kind::Counter | Kind::Gauge => name == one.name,
        })
}

/// Prometheus 3 keeps the bound `300` as `300.0` (seen of 3.5.3).
#[test]
fn no_query_takes_a_bucket_by_one_way_to_write_its_bound() {
    let rules = root().join("deploy/prometheus/treasury-bot.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let queries = queries().into_iter().map(|(_, _, query)| query);
    for text in queries.chain([rules]) {
        assert!(!text.contains("le=\""), "{text}");
    }
}

#[test]
fn what_dashboards_and_rules_ask_for_is_declared_and_what_is_declared_is_shown() {
    let rules = root().join("deploy/prometheus/treasury-bot.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let queries = queries();
    let mut asked = queries
        .iter()
        .map(|(.., query)| query.as_str())
        .collect::<Vec<_>>();
    // In words for people a name stands in brackets.
    asked.extend(
        rules
            .lines()
            .filter(|line| !line.contains("action:") && !line.contains("- alert")),
    );
    let asked: BTreeSet<&str> = asked.into_iter().flat_map(names).collect();
    let unknown: Vec<_> = asked.iter().filter(|name| !is_declared(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let is_asked = |name: &str| asked.iter().any(|asked| asked.starts_with(name));
    let unseen: Vec<_> = ALL
        .iter()
        .map(|one| one.name)
        .filter(|name| !is_asked(name))
        .collect();
    // These explain others when one looks closer.
    let further = [
        "treasury_bot_inbox_waiting",
        "treasury_bot_slack_envelopes_total",
        "treasury_bot_slack_http_rejected_total",
        "treasury_bot_slack_connect_failures_total",
        "treasury_bot_outbox_blocks_refused_total",
        "treasury_bot_alerts_unverified_total",
        "treasury_bot_alerts_subscriptions_total",
        "treasury_bot_alerts_unknown_severity_total",
        "treasury_bot_deadman_pings_total",
    ];
    assert_eq!(unseen, further);
}

#[test]
fn dashboards_have_the_shape_that_grafana_takes() {
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["schemaVersion"], 39, "{name}");
        assert!(
            dashboard.get("id").is_none_or(Value::is_null),
            "{name}: ids are Grafana's to give"
        );
        assert_eq!(dashboard["uid"], name.trim_end_matches(".json"));
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variable = |at: usize| (&variables[at]["name"], &variables[at]["type"]);
        assert_eq!(variable(0), (&"datasource".into(), &"datasource".into()));
        assert_eq!(variable(1), (&"job".into(), &"query".into()));
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {title} is too wide");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {title} covers another");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(
                !panel["description"].as_str().unwrap().is_empty(),
                "{name}: {title}"
            );
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            assert!(UNITS.contains(&unit), "{name}: {title}: {unit}");
            assert_eq!(
                panel["datasource"]["uid"], "${datasource}",
                "{name}: {title}"
            );
            let mut letters = BTreeSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert!(
                    letters.insert(target["refId"].as_str().unwrap()),
                    "{name}: {title}"
                );
                assert_eq!(
                    target["datasource"]["uid"], "${datasource}",
                    "{name}: {title}"
                );
                let query = target["expr"].as_str().unwrap();
                let of_job = query.matches("job=~\"$job\"").count();
                let metrics = names(query).count();
                assert_eq!(
                    of_job, metrics,
                    "{name}: {title}: all of the chosen job: {query}"
                );
            }
        }
    }
}

#[test]
fn provisioning_names_what_is_there() {
    let read = |path: &str| -> Value {
        let text = std::fs::read_to_string(root().join("deploy/grafana/provisioning").join(path));
        serde_saphyr::from_str(&text.unwrap()).unwrap()
    };
    let source = read("datasources/prometheus.yml");
    assert_eq!(source["apiVersion"], 1);
    assert_eq!(source["datasources"][0]["type"], "prometheus");
    let boards = read("dashboards/treasury-bot.yml");
    let path = boards["providers"][0]["options"]["path"].as_str().unwrap();
    let told = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    assert!(told.contains(path), "{path}");
}

#[test]
#[ignore = "needs promtool"]
fn each_rule_about_the_bot_is_tried() {
    let folder = root().join("deploy/prometheus");
    for args in [
        &["test", "rules", "treasury-bot-tests.yml"][..],
        &["check", "config", "prometheus.example.yml"],
    ] {
        promtool(&folder, args);
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (rules, tests) = (read("treasury-bot.yml"), read("treasury-bot-tests.yml"));
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 18);
    for name in names {
        let fires = format!("alertname=\"{name}\"");
        assert!(tests.contains(&fires), "{name} is never seen to fire");
    }
}

fn promtool(folder: &Path, args: &[&str]) {
    let done = Command::new("promtool")
        .current_dir(folder)
        .args(args)
        .output();
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let wrong = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && said.contains("SUCCESS"),
        "{said}{wrong}"
    );
}
