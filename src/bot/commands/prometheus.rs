//! `prometheus.query`: one question to Prometheus.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::entry::Probe;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone, counted};

/// Longest query, characters.
const LONGEST: usize = 4_000;
/// Most values told of to people.
const SHOWN: usize = 20;

/// What is asked.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// An expression (PromQL) of at most 4,000 characters; its value now is asked.
    #[schemars(length(min = 1, max = 4_000))]
    query: String,
}

/// What Prometheus says.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Values {
    /// How many values.
    count: usize,
    /// Further values were left out.
    truncated: bool,
    /// The value where there is exactly one, a number.
    value: Option<f64>,
    /// The values, at most 100; NaN and infinite ones stand in `not_numbers`.
    result: Vec<Valued>,
    /// Series whose value is no number.
    not_numbers: Vec<Odd>,
    /// What Prometheus warns of, in its words.
    warnings: Vec<String>,
}

/// A series whose value is no number.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Odd {
    /// What tells it apart.
    labels: BTreeMap<String, String>,
    /// `NaN`, `+Inf` or `-Inf`.
    value: String,
}

/// One value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Valued {
    /// What tells it apart; nothing for a scalar.
    labels: BTreeMap<String, String>,
    /// The value.
    value: f64,
}

impl Probe for Query {
    const STEP: &'static str = "prometheus.query";
    const SUMMARY: &'static str = "The value of a Prometheus expression now";
    type Found = Values;

    async fn look(self, context: &Context) -> Result<(Values, Message), Fault> {
        let length = self.query.chars().count();
        if self.query.trim().is_empty() || length > LONGEST {
            let title = format!("Write a query of 1 to {LONGEST} characters, not {length}");
            return Err(Refusal::new(title).into());
        }
        let prometheus = context.catalogue().prometheus()?;
        let samples = prometheus
            .samples(&self.query, context.store().now())
            .await?;
        let result: Vec<Valued> = samples
            .list
            .into_iter()
            .map(|sample| Valued {
                labels: sample.labels,
                value: sample.value,
            })
            .collect();
        let odd = samples.odd.into_iter();
        let odd: Vec<Odd> = odd.map(|(labels, value)| Odd { labels, value }).collect();
        let mut found = counted(result.len(), "value");
        if !odd.is_empty() {
            found.push_str(&format!(
                " and {} that {} no number",
                odd.len(),
                if odd.len() == 1 { "is" } else { "are" }
            ));
        }
        let title = Line::new()
            .text(format!("{found} of "))
            .code(cut(&self.query, 200));
        let numbers = result
            .iter()
            .map(|one| (one.value.to_string(), &one.labels));
        let all = numbers.chain(odd.iter().map(|one| (one.value.clone(), &one.labels)));
        let lines = all
            .take(SHOWN)
            .map(|(value, labels)| format!("{value}  {}", labels_text(labels)));
        let lines: Vec<String> = lines.collect();
        let mut message = Message::new(Tone::Plain, title).code(lines.join("\n"));
        if result.len() + odd.len() > SHOWN || samples.truncated {
            message = message.footer("Further values were left out");
        }
        for note in &samples.notes {
            message = message.footer(format!("⚠️ Prometheus: {note}"));
        }
        let values = Values {
            count: result.len(),
            truncated: samples.truncated,
            value: match &result[..] {
                [only] if odd.is_empty() => Some(only.value),
                _ => None,
            },
            result,
            not_numbers: odd,
            warnings: samples.notes,
        };
        Ok((values, message))
    }
}

fn labels_text(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    cut(&pairs.collect::<Vec<_>>().join(" "), 120)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::post;
    use serde_json::{Value, json};

    use super::*;
    use crate::bot::COMMANDS;
    use crate::bot::commands::tests::bot;
    use crate::probe::prometheus::{Config, Prometheus};

    /// A Prometheus that answers so many values `0, 1, 2 …`.
    async fn answering(count: usize) -> Prometheus {
        let result: Vec<Value> = (0..count)
            .map(|n| json!({"metric": {"pod": format!("api-{n}")}, "value": [1, n.to_string()]}))
            .collect();
        let data = json!({"resultType": "vector", "result": result});
        saying(json!({"status": "success", "data": data})).await
    }

    async fn saying(answer: Value) -> Prometheus {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = answer.to_string();
        let router = Router::new().route("/api/v1/query", post(async move || answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Prometheus::new(Config {
            url,
            token: None,
            timeout: Duration::from_secs(5),
        })
    }

    async fn asked(count: usize) -> Values {
        let folder = tempfile::tempdir().unwrap();
        let bot = bot(&folder, Some(answering(count).await)).await;
        let told = crate::bot::ask_probe(&bot, "prometheus.query", json!({"query": "up"})).await;
        serde_json::from_value(told.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn values_are_told_with_their_labels_and_never_more_than_a_hundred() {
        let one = asked(1).await;
        assert_eq!((one.count, one.value, one.truncated), (1, Some(0.0), false));
        assert_eq!(one.result[0].labels["pod"], "api-0");
        let many = asked(150).await;
        assert_eq!((many.count, many.value, many.truncated), (100, None, true));
        assert_eq!(many.result.len(), 100);
    }

    #[tokio::test]
    async fn what_is_no_number_and_what_prometheus_warns_of_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let prometheus = saying(json!({
            "status": "success",
            "infos": ["PromQL info: metric might not be a counter"],
            "data": {"resultType": "vector", "result": [
                {"metric": {"pod": "a"}, "value": [1, "2"]},
                {"metric": {"pod": "b"}, "value": [1, "+Inf"]},
            ]},
        }));
        let bot = bot(&folder, Some(prometheus.await)).await;
        let asked = json!({"query": "up"});
        let told = COMMANDS
            .call(&bot, "prometheus.query", asked)
            .await
            .unwrap();
        assert_eq!(told.value["value"], Value::Null, "there is another series");
        assert_eq!(
            told.value["warnings"][0],
            "PromQL info: metric might not be a counter"
        );
        let message = told.message;
        assert_eq!(
            message.title.plain(),
            "1 value and 1 that is no number of up"
        );
        let rest = format!("{message:?}");
        assert!(rest.contains("+Inf  pod=b"), "{rest}");
        assert!(rest.contains(" Prometheus: PromQL info"), "{rest}");
    }

    #[tokio::test]
    async fn without_a_prometheus_or_a_query_the_asker_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let without = bot(&folder, None).await;
        let refused = COMMANDS
            .call(&without, "prometheus.query", json!({"query": "up"}))
            .await;
        let Err(Fault::Refusal(refusal)) = refused else {
            panic!("no refusal");
        };
        assert_eq!(refusal.title.plain(), "No Prometheus is configured");
        let folder = tempfile::tempdir().unwrap();
        let with = bot(&folder, Some(answering(1).await)).await;
        for bad in [
            json!({}),
            json!({"query": " "}),
            json!({"query": "x".repeat(5_000)}),
        ] {
            let told = COMMANDS.call(&with, "prometheus.query", bad).await;
            assert!(matches!(told, Err(Fault::Refusal(_))));
        }
    }
}
