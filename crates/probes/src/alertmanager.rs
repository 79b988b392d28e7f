//! Alertmanager's own API, version 2: silences, and which alerts there are.
//!
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fetch::Fetch;
use super::service::{Service, authorization};
use super::{ProbeError, ProbeErrorKind as Kind};
use treasury_domain::timeline::cut;

/// The largest answer that is read, bytes.
const MAX_BYTES: usize = 16 << 20;

/// Where and how Alertmanager is asked.
#[derive(Debug)]
pub struct Config {
    /// Its address without a slash at the end.
    pub url: String,
    /// A bearer token.
    pub token: Option<SecretString>,
    /// A user and their password.
    pub login: Option<(String, SecretString)>,
    /// The longest that a question may take.
    pub timeout: Duration,
}

/// An Alertmanager.
pub struct Alertmanager(Service);

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.label)
    }
}

/// A silence to be made. Alerts with all of these labels are kept quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence<'a> {
    /// The labels.
    pub labels: &'a BTreeMap<String, String>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who wants it.
    pub created_by: &'a str,
    /// Why.
    pub comment: &'a str,
}

/// A silence that is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// It is over, by its time or because somebody ended it.
    #[serde(rename = "status", deserialize_with = "is_expired")]
    pub expired: bool,
    /// Until when.
    pub ends_at: Timestamp,
    /// Why it was made.
    pub comment: String,
}

fn is_expired<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    struct Status {
        state: String,
    }
    Ok(Status::deserialize(from)?.state == "expired")
}

/// The question for alerts with these labels.
fn alerts_with(labels: &BTreeMap<String, String>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in labels {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        query.append_pair("filter", &format!("{name}=\"{value}\""));
    }
    format!("alerts?{}", query.finish())
}

#[derive(Deserialize)]
struct Known {
    fingerprint: String,
}

#[derive(Deserialize)]
struct Running {
    /// When it began, whatever the word says.
    uptime: Timestamp,
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "silenceID")]
    id: String,
}

impl Alertmanager {
    /// Nothing is connected yet.
    pub fn new(config: Config) -> Self {
        let header = match (&config.token, &config.login) {
            (Some(token), _) => Some(format!("Bearer {}", token.expose_secret())),
            (None, Some((user, password))) => {
                let both = format!("{user}:{}", password.expose_secret());
                Some(format!("Basic {}", BASE64.encode(both)))
            }
            (None, None) => None,
        };
        Self(Service {
            label: format!("Alertmanager at {}", config.url),
            setting: "[alertmanager] url",
            url: format!("{}/api/v2/", config.url),
            authorization: header.map(|header| authorization(&header)),
            timeout: config.timeout,
            fetch: Fetch::new(MAX_BYTES),
        })
    }

    /// All silences, those that are over for some days among them.
    pub async fn silences(&self) -> Result<Vec<Silence>, ProbeError> {
        self.ask("GET", "silences", None).await
    }

    /// Makes a silence; its id.
    pub async fn silence(&self, new: &NewSilence<'_>) -> Result<String, ProbeError> {
        let matchers: Vec<Value> = new
            .labels
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true}))
            .collect();
        let body = json!({
            "matchers": matchers,
            "startsAt": new.starts_at,
            "endsAt": new.ends_at,
            "createdBy": new.created_by,
            "comment": new.comment,
        });
        let made: Made = self.ask("POST", "silences", Some(&body)).await?;
        Ok(made.id)
    }

    /// Ends a silence; one that is over or unknown stays so.
    pub async fn end(&self, id: &str) -> Result<(), ProbeError> {
        let gone = self.send("DELETE", &format!("silence/{id}"), None).await?;
        match gone {
            (200 | 404, _) => Ok(()),
            // It was over already.
            (_, body) if body.windows(7).any(|part| part == b"expired") => Ok(()),
            (status, body) => Err(self.refused(status, &body)),
        }
    }

    /// The fingerprints of the alerts with these labels that it knows, silenced or not.
    pub async fn known(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, ProbeError> {
        let known: Vec<Known> = self.ask("GET", &alerts_with(labels), None).await?;
        Ok(known.into_iter().map(|one| one.fingerprint).collect())
    }

    /// Since when it runs.
    pub async fn started_at(&self) -> Result<Timestamp, ProbeError> {
        let running: Running = self.ask("GET", "status", None).await?;
        Ok(running.uptime)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        what: &str,
        body: Option<&Value>,
    ) -> Result<T, ProbeError> {
        let (status, answer) = self.send(method, what, body).await?;
        if status != 200 {
            return Err(self.refused(status, &answer));
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let what = format!("gave an answer that is not understood ({error})");
            self.0.error(
                Kind::Failed,
                &what,
                "is [alertmanager] url really Alertmanager's?",
            )
        })
    }

    async fn send(
        &self,
        method: &str,
        what: &str,
        body: Option<&Value>,
    ) -> Result<(u16, hyper::body::Bytes), ProbeError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.0.send(method, what, "application/json", body).await
    }

    fn refused(&self, status: u16, body: &[u8]) -> ProbeError {
        let words = cut(String::from_utf8_lossy(body).trim(), 300);
        match status {
            401 | 403 => self.0.error(
                Kind::Authenticate,
                &format!("refuses the token or password ({status})"),
                "set TREASURY_BOT_ALERTMANAGER_TOKEN, or `user` and its password",
            ),
            _ => self.0.error(
                Kind::Failed,
                &format!("answered {status}: {words}"),
                "is [alertmanager] url really Alertmanager's?",
            ),
        }
    }
}
