//! Alertmanager's own API, version 2: silences, and which alerts there are.
//!
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fetch::{Fetch, NoAnswer};
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
pub struct Alertmanager {
    config: Config,
    fetch: Fetch,
}

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alertmanager at {}", self.config.url)
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// It is over, by its time or because somebody ended it.
    pub expired: bool,
    /// Until when.
    pub ends_at: Timestamp,
    /// Why it was made.
    pub comment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    id: String,
    status: Status,
    ends_at: Timestamp,
    comment: String,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

impl From<Told> for Silence {
    fn from(told: Told) -> Self {
        Self {
            id: told.id,
            expired: told.status.state == "expired",
            ends_at: told.ends_at,
            comment: told.comment,
        }
    }
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
        Self {
            config,
            fetch: Fetch::new(MAX_BYTES),
        }
    }

    /// All silences, those that are over for some days among them.
    pub async fn silences(&self) -> Result<Vec<Silence>, ProbeError> {
        let told: Vec<Told> = self.ask("GET", "silences", None).await?;
        Ok(told.into_iter().map(Silence::from).collect())
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
            self.error(
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
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v2/{what}", self.config.url))
            .header(CONTENT_TYPE, "application/json");
        if let Some(header) = self.authorization()? {
            request = request.header(AUTHORIZATION, header);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(body).map_err(|error| {
            let what = format!("its address is not understood ({error})");
            self.error(Kind::Unsupported, &what, "correct [alertmanager] url")
        })?;
        let sent = self.fetch.send(request, self.config.timeout).await;
        sent.map_err(|NoAnswer { kind, what }| {
            let hint = match kind {
                Kind::Resolve => "correct [alertmanager] url, or mend DNS",
                Kind::Tls => "mend its certificate",
                _ => "is it running, and is [alertmanager] url right?",
            };
            self.error(kind, &what, hint)
        })
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, ProbeError> {
        let text = match (&self.config.token, &self.config.login) {
            (Some(token), _) => format!("Bearer {}", token.expose_secret()),
            (None, Some((user, password))) => {
                let both = format!("{user}:{}", password.expose_secret());
                format!("Basic {}", BASE64.encode(both))
            }
            (None, None) => return Ok(None),
        };
        let mut header = HeaderValue::from_str(&text).map_err(|_| {
            let what = "the token holds characters that can't be sent";
            self.error(
                Kind::Authenticate,
                what,
                "write it again without line breaks",
            )
        })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    fn refused(&self, status: u16, body: &[u8]) -> ProbeError {
        let words = cut(String::from_utf8_lossy(body).trim(), 300);
        match status {
            401 | 403 => self.error(
                Kind::Authenticate,
                &format!("refuses the token or password ({status})"),
                "set TREASURY_BOT_ALERTMANAGER_TOKEN, or `user` and its password",
            ),
            _ => self.error(
                Kind::Failed,
                &format!("answered {status}: {words}"),
                "is [alertmanager] url really Alertmanager's?",
            ),
        }
    }

    fn error(&self, kind: Kind, what: &str, hint: &str) -> ProbeError {
        ProbeError::new(
            kind,
            format!("Alertmanager at {} {what}", self.config.url),
            hint,
        )
    }
}
