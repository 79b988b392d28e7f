//! Label and field selectors.

use serde_json::Value;

use crate::json::{list, text};
use crate::status::Status;

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A label selector: all of its requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<Need>);

impl Labels {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub fn parse(asked: &str) -> Result<Self, Status> {
        let mut needs = Vec::new();
        for part in split(asked) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            needs.push(need(part).ok_or_else(|| {
                Status::bad_request(format!(
                    "unable to parse requirement: found '{part}', expected: a requirement"
                ))
            })?);
        }
        Ok(Self(needs))
    }

    /// Of a `metav1.LabelSelector`. An empty one selects everything.
    pub fn of(selector: &Value) -> Self {
        let mut needs = Vec::new();
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        for (key, value) in labels.into_iter().flatten() {
            let value = value.as_str().unwrap_or("").to_owned();
            needs.push(Need::In(key.clone(), vec![value]));
        }
        for one in list(selector, "/matchExpressions") {
            let key = text(one, "/key").to_owned();
            let values = list(one, "/values").iter();
            let values = values
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            needs.push(match text(one, "/operator") {
                "In" => Need::In(key, values),
                "NotIn" => Need::NotIn(key, values),
                "Exists" => Need::Exists(key),
                _ => Need::Absent(key),
            });
        }
        Self(needs)
    }

    /// Of a Service: a map of labels.
    pub fn map(labels: &Value) -> Self {
        Self::of(&serde_json::json!({"matchLabels": labels}))
    }

    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &String| {
            object["metadata"]["labels"]
                .get(key)
                .and_then(Value::as_str)
        };
        let has = |values: &[String], value: &str| values.iter().any(|one| one == value);
        self.0.iter().all(|need| match need {
            Need::In(key, values) => label(key).is_some_and(|value| has(values, value)),
            Need::NotIn(key, values) => label(key).is_none_or(|value| !has(values, value)),
            Need::Exists(key) => label(key).is_some(),
            Need::Absent(key) => label(key).is_none(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the `scale` subresource tells it.
    pub fn text(&self) -> String {
        let text = self.0.iter().map(|need| match need {
            Need::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
            Need::In(key, values) => format!("{key} in ({})", values.join(",")),
            Need::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
            Need::Exists(key) => key.clone(),
            Need::Absent(key) => format!("!{key}"),
        });
        text.collect::<Vec<_>>().join(",")
    }
}

/// Splits at commas outside of parentheses.
fn split(asked: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in asked.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts
}

fn need(part: &str) -> Option<Need> {
    let plain = |text: &str| -> Option<String> {
        let text = text.trim();
        let good = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        good.then(|| text.to_owned())
    };
    let values = |text: &str| -> Option<Vec<String>> {
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        inner.split(',').map(plain).collect()
    };
    if let Some(key) = part.strip_prefix('!') {
        return Some(Need::Absent(plain(key)?));
    }
    if let Some((key, all)) = part.split_once(" notin ") {
        return Some(Need::NotIn(plain(key)?, values(all)?));
    }
    if let Some((key, all)) = part.split_once(" in ") {
        return Some(Need::In(plain(key)?, values(all)?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Need::NotIn(plain(key)?, vec![plain(value)?]));
    }
    let equal = part.split_once("==").or_else(|| part.split_once('='));
    match equal {
        Some((key, value)) => Some(Need::In(plain(key)?, vec![plain(value)?])),
        None => Some(Need::Exists(plain(part)?)),
    }
}

/// A field selector: pointers, values, and whether they must be equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String, bool)>);

impl Fields {
    /// Reads `metadata.name=x,status.phase!=Running` for objects kept under a plural.
    pub fn parse(asked: &str, plural: &str) -> Result<Self, Status> {
        let mut needs = Vec::new();
        for part in asked.split(',').filter(|part| !part.is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = part.split_once("==") {
                (field, value, true)
            } else if let Some((field, value)) = part.split_once('=') {
                (field, value, true)
            } else {
                return Err(Status::bad_request(format!(
                    "invalid selector: '{part}'; can't understand '{part}'"
                )));
            };
            let field = field.replacen("regarding.", "involvedObject.", 1);
            let known = match plural {
                "pods" => matches!(
                    field.as_str(),
                    "spec.nodeName"
                        | "spec.restartPolicy"
                        | "spec.schedulerName"
                        | "spec.serviceAccountName"
                        | "status.phase"
                        | "status.podIP"
                        | "status.nominatedNodeName"
                ),
                "events" => {
                    matches!(
                        field.as_str(),
                        "reason" | "type" | "reportingComponent" | "source"
                    ) || matches!(
                        field.strip_prefix("involvedObject."),
                        Some("kind" | "namespace" | "name" | "uid" | "apiVersion" | "fieldPath")
                    )
                }
                "namespaces" => field == "status.phase",
                "replicasets" => field == "status.replicas",
                "secrets" => field == "type",
                _ => false,
            };
            if !known && !matches!(field.as_str(), "metadata.name" | "metadata.namespace") {
                let message = format!("field label not supported: {field}");
                return Err(Status::bad_request(message));
            }
            let pointer = match field.as_str() {
                "source" => "/source/component".to_owned(),
                field => format!("/{}", field.replace('.', "/")),
            };
            needs.push((pointer, value.to_owned(), equal));
        }
        Ok(Self(needs))
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|(pointer, value, equal)| (text(object, pointer) == value) == *equal)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
