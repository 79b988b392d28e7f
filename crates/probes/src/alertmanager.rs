//! Alertmanager's own API, version 2: silences, and which alerts there are.
//!
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fetch::Fetch;
use super::service::{Service, authorization, login};
use super::{ProbeError, ProbeErrorKind as Kind};
use treasury_domain::timeline::cut;

/// The largest answer that is read, bytes.
const MAX_BYTES: usize = 16 << 20;

/// Where and how Alertmanager is asked.
#[derive(Debug)]
pub struct Config {
    /// The addresses of all members of a cluster, at least one, without a slash at the end.
    pub urls: Vec<String>,
    /// A bearer token.
    pub token: Option<SecretString>,
    /// A user and their password.
    pub login: Option<(String, SecretString)>,
    /// The longest that a question may take.
    pub timeout: Duration,
}

/// An Alertmanager, or a cluster. Its members tell each other of silences and of what they have sent,
/// but not of alerts: Prometheus sends those to each.
pub struct Alertmanager {
    members: Vec<Service>,
    /// The member that answered last.
    last: AtomicUsize,
}

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.members.iter().map(|member| &member.label))
            .finish()
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

/// What is known of alerts there.
#[derive(Debug)]
pub struct Known {
    /// Each alert that any member knows to fire, by its fingerprint: silenced, inhibited or not.
    pub alerts: BTreeMap<String, KnownAlert>,
    /// Since when the longest running of the members that answered runs. One that has just been
    /// started knows nothing until Prometheus repeats it (a minute, by default).
    pub since: Timestamp,
    /// Members that did not answer: they may know more.
    pub away: Vec<ProbeError>,
}

/// An alert that is known there. What is over is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownAlert {
    /// The same as in the webhook.
    pub fingerprint: String,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it is over unless its sender repeats it.
    pub ends_at: Timestamp,
    /// When its sender last repeated it.
    pub updated_at: Timestamp,
    /// Its labels, such as `severity`.
    pub labels: BTreeMap<String, String>,
    /// Why Alertmanager keeps quiet about it, if it does.
    #[serde(rename = "status")]
    pub kept_quiet: KeptQuiet,
}

/// Why Alertmanager keeps quiet about an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptQuiet {
    /// Silences, by id.
    pub silenced_by: Vec<String>,
    /// Alerts that say enough, by fingerprint.
    pub inhibited_by: Vec<String>,
    /// Times in which its route is mute, by name (since 0.28).
    pub muted_by: Vec<String>,
}

#[derive(Deserialize)]
struct Running {
    /// When it began, whatever the word says.
    uptime: Timestamp,
}

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its version.
    pub version: String,
    /// Its configuration, YAML; secrets are left out.
    pub config: String,
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "silenceID")]
    id: String,
}

impl Alertmanager {
    /// Nothing is connected yet.
    pub fn new(config: Config) -> Self {
        let header = login("Bearer", config.token.as_ref(), config.login.as_ref());
        let member = |url: String| Service {
            label: format!("Alertmanager at {url}"),
            setting: "[alertmanager] url",
            url: format!("{url}/api/v2/"),
            authorization: header.as_deref().map(authorization),
            header: None,
            timeout: config.timeout,
            fetch: Fetch::new(MAX_BYTES),
        };
        Self {
            members: config.urls.into_iter().map(member).collect(),
            last: AtomicUsize::new(0),
        }
    }

    /// All silences, those that are over for some days among them: of the first member that
    /// answers. Silences are made and ended there.
    pub async fn silences(&self) -> Result<Vec<Silence>, ProbeError> {
        let (count, first) = (self.members.len(), self.last.load(Ordering::Relaxed));
        let mut failed = None;
        for at in (first..first + count).map(|at| at % count) {
            match ask(&self.members[at], "GET", "silences", None).await {
                Ok(silences) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(silences);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(nobody))
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
        let made: Made = ask(self.last()?, "POST", "silences", Some(&body)).await?;
        Ok(made.id)
    }

    /// Ends a silence; one that is over or unknown stays so.
    pub async fn end(&self, id: &str) -> Result<(), ProbeError> {
        let member = self.last()?;
        let gone = send(member, "DELETE", &format!("silence/{id}"), None).await?;
        match gone {
            (200 | 404, _) => Ok(()),
            // It was over already.
            (_, body) if body.windows(7).any(|part| part == b"expired") => Ok(()),
            (status, body) => Err(refused(member, status, &body)),
        }
    }

    /// What fires as far as its members know, all of it: an answer that is too long is an error.
    pub async fn alerts(&self) -> Result<Known, ProbeError> {
        let asked = self.members.iter().map(|member| async move {
            let running: Running = ask(member, "GET", "status", None).await?;
            let alerts: Vec<KnownAlert> = ask(member, "GET", "alerts", None).await?;
            Ok::<_, ProbeError>((running.uptime, alerts))
        });
        let mut known = Known {
            alerts: BTreeMap::new(),
            since: Timestamp::MAX,
            away: Vec::new(),
        };
        for answer in join_all(asked).await {
            let (uptime, alerts) = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    known.away.push(error);
                    continue;
                }
            };
            known.since = known.since.min(uptime);
            for alert in alerts {
                let before = known.alerts.get(&alert.fingerprint);
                if before.is_none_or(|before| before.updated_at < alert.updated_at) {
                    known.alerts.insert(alert.fingerprint.clone(), alert);
                }
            }
        }
        if known.away.len() == self.members.len() {
            return Err(known.away.pop().unwrap_or_else(nobody));
        }
        Ok(known)
    }

    /// What each member says of itself, in the order of the configuration.
    pub async fn members(&self) -> Vec<Result<Member, ProbeError>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let asked = self.members.iter().map(|member| async move {
            let status: Value = ask(member, "GET", "status", None).await?;
            Ok(Member {
                version: text(&status["versionInfo"]["version"]),
                config: text(&status["config"]["original"]),
            })
        });
        join_all(asked).await
    }

    /// The member that answered last.
    fn last(&self) -> Result<&Service, ProbeError> {
        let last = self.members.get(self.last.load(Ordering::Relaxed));
        last.ok_or_else(nobody)
    }
}

/// A cluster without members; the configuration refuses that.
fn nobody() -> ProbeError {
    let what = "no Alertmanager is configured".to_owned();
    ProbeError::new(Kind::Unsupported, what, "write [alertmanager] url")
}

async fn ask<T: serde::de::DeserializeOwned>(
    member: &Service,
    method: &str,
    what: &str,
    body: Option<&Value>,
) -> Result<T, ProbeError> {
    let (status, answer) = send(member, method, what, body).await?;
    if status != 200 {
        return Err(refused(member, status, &answer));
    }
    serde_json::from_slice(&answer).map_err(|error| {
        let what = format!("gave an answer that is not understood ({error})");
        member.error(
            Kind::Failed,
            &what,
            "is [alertmanager] url really Alertmanager's?",
        )
    })
}

async fn send(
    member: &Service,
    method: &str,
    what: &str,
    body: Option<&Value>,
) -> Result<(u16, hyper::body::Bytes), ProbeError> {
    let body = body.map(Value::to_string).unwrap_or_default();
    member.send(method, what, "application/json", body).await
}

fn refused(member: &Service, status: u16, body: &[u8]) -> ProbeError {
    let words = cut(String::from_utf8_lossy(body).trim(), 300);
    match status {
        401 | 403 => member.error(
            Kind::Authenticate,
            &format!("refuses the token or password ({status})"),
            "set TREASURY_BOT_ALERTMANAGER_TOKEN, or `user` and its password",
        ),
        _ => member.error(
            Kind::Failed,
            &format!("answered {status}: {words}"),
            "is [alertmanager] url really Alertmanager's?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use axum::{Json, Router};

    use super::*;

    /// A member since a moment, with these alerts: fingerprint, last repeated, silenced by.
    async fn member(since: &'static str, alerts: &[(&str, &str, &[&str])]) -> String {
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|(fingerprint, updated, silences)| {
                json!({
                    "fingerprint": fingerprint, "startsAt": "2026-11-29T01:00:00.000Z",
                    "endsAt": "2026-11-29T09:00:00.000Z", "updatedAt": updated,
                    "labels": {"alertname": "Down", "severity": "critical"}, "annotations": {},
                    "receivers": [{"name": "bot"}], "generatorURL": "",
                    "status": {"state": "suppressed", "silencedBy": silences, "inhibitedBy": []},
                })
            })
            .collect();
        let app = Router::new()
            .route(
                "/api/v2/status",
                get(move || async move { Json(json!({"uptime": since})) }),
            )
            .route(
                "/api/v2/alerts",
                get(move || async move { Json(json!(alerts)) }),
            )
            .route("/api/v2/silences", get(|| async { Json(json!([])) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn cluster(urls: Vec<String>) -> Alertmanager {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Alertmanager::new(Config {
            urls,
            token: None,
            login: None,
            timeout: Duration::from_secs(5),
        })
    }

    #[tokio::test]
    async fn an_alert_is_known_if_any_member_knows_it_and_who_is_away_is_told() {
        let older = member(
            "2026-11-29T00:00:00Z",
            &[("a", "2026-11-29T02:00:00Z", &[])],
        );
        let newer = member(
            "2026-11-29T03:00:00Z",
            &[
                ("a", "2026-11-29T04:00:00Z", &["s1"]),
                ("b", "2026-11-29T04:00:00Z", &[]),
            ],
        );
        let gone = "http://127.0.0.1:1".to_owned();
        let there = cluster(vec![gone.clone(), older.await, newer.await]);
        let known = there.alerts().await.unwrap();
        assert_eq!(known.alerts.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(known.alerts["a"].kept_quiet.silenced_by, ["s1"]);
        assert_eq!(known.alerts["b"].labels["severity"], "critical");
        assert_eq!(known.since.to_string(), "2026-11-29T00:00:00Z");
        assert_eq!(known.away.len(), 1);
        assert!(known.away[0].to_string().contains("127.0.0.1:1 can't be"));
        assert_eq!(there.silences().await.unwrap(), []);
        assert_eq!(there.last.load(Ordering::Relaxed), 1);
        // Nobody answers: nothing is known, which is not the same as no alerts.
        assert!(cluster(vec![gone]).alerts().await.is_err());
    }
}
