//! The alerts that are sent, and how.

use std::ops::Range;
use std::time::Instant;

use serde_json::{Value, json};

/// Alerts of a full body.
pub const BODY: usize = 100;
pub const SERVICES: [&str; 4] = ["frontend", "api", "postgres", "redis"];
pub const TOKEN: &str = "bench-token";

/// The labels of an alert that no other has.
fn labels(n: usize, run: &str) -> Value {
    json!({
        "alertname": format!("Kind{}", n % 7),
        "service": SERVICES[n % SERVICES.len()],
        "severity": "critical",
        "pod": format!("{run}-{n}"),
        "instance": format!("10.0.{}.{}:9100", n / 250 % 250, n % 250),
    })
}

fn annotations(n: usize) -> Value {
    json!({"summary": format!("Pod {n} is down"), "runbook": "restart-service"})
}

/// A body as Alertmanager's webhook sends it.
pub fn webhook(alerts: Range<usize>, run: &str) -> String {
    let alerts: Vec<Value> = alerts
        .map(|n| {
            json!({
                "status": "firing",
                "labels": labels(n, run),
                "annotations": annotations(n),
                "startsAt": "2026-11-24T03:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example/graph",
            })
        })
        .collect();
    json!({"version": "4", "groupKey": "{}", "status": "firing", "receiver": "bot", "alerts": alerts})
        .to_string()
}

/// The same alerts as Prometheus sends them to Alertmanager.
pub fn from_prometheus(alerts: Range<usize>, run: &str) -> String {
    let alerts: Vec<Value> = alerts
        .map(|n| json!({"labels": labels(n, run), "annotations": annotations(n)}))
        .collect();
    json!(alerts).to_string()
}

pub async fn post(client: &reqwest::Client, url: &str, body: String) {
    let answer = client
        .post(url)
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(
        status.is_success(),
        "{url}: {status}: {}",
        answer.text().await.unwrap()
    );
}

/// Sends these bodies over so many connections; how many a second are taken.
pub async fn rate(url: &str, bodies: Vec<String>, connections: usize) -> f64 {
    let count = bodies.len() as f64;
    let mut shares = vec![Vec::new(); connections];
    for (at, body) in bodies.into_iter().enumerate() {
        shares[at % connections].push(body);
    }
    // A client each: a connection each.
    let clients: Vec<reqwest::Client> = shares.iter().map(|_| reqwest::Client::new()).collect();
    let began = Instant::now();
    let senders: Vec<_> = shares
        .into_iter()
        .zip(clients)
        .map(|(share, client)| {
            let url = url.to_owned();
            tokio::spawn(async move {
                for body in share {
                    post(&client, &url, body).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    count / began.elapsed().as_secs_f64()
}
