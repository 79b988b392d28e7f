//! One parcel to the bot: by a socket or by signed HTTP, with Slack's patience and its retries.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::config::Delivery;
use super::post;
use super::sandbox::Sandbox;
use super::workspace::uuid;

/// Pauses before the retries of an event. Slack's are: almost at once, 1 minute, 5 minutes.
const RETRY_AFTER: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
];

/// What a parcel holds; decides its path and its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Command,
    Interaction,
    Event,
}

impl Kind {
    fn envelope(self) -> &'static str {
        match self {
            Kind::Command => "slash_commands",
            Kind::Interaction => "interactive",
            Kind::Event => "events_api",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Kind::Command => "/slack/commands",
            Kind::Interaction => "/slack/interactions",
            Kind::Event => "/slack/events",
        }
    }
}

/// How a delivery went, as Slack saw it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Receipt {
    /// The bot acknowledged in time.
    pub acked: bool,
    /// Times it was sent.
    pub attempts: u32,
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
    /// HTTP mode: the status of the last answer.
    pub status: Option<u16>,
    /// What the bot answered with the acknowledgement.
    pub body: Option<Value>,
    /// `operation_timeout`, `dispatch_failed`, …: what the person was told instead of an answer.
    pub error: Option<String>,
}

fn milliseconds<S: serde::Serializer>(elapsed: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(elapsed.as_millis() as u64)
}

enum Failure {
    Timeout,
    Unreachable,
    Status(u16),
}

impl Failure {
    /// As in `X-Slack-Retry-Reason`.
    fn retry_reason(&self) -> &'static str {
        match self {
            Failure::Timeout => "http_timeout",
            Failure::Unreachable => "connection_failed",
            Failure::Status(_) => "http_error",
        }
    }

    /// As the person who typed reads it.
    fn shown(&self) -> String {
        match self {
            Failure::Timeout => "operation_timeout".to_string(),
            Failure::Unreachable => "dispatch_failed".to_string(),
            Failure::Status(500..) => "http_service_error".to_string(),
            Failure::Status(_) => "http_client_error".to_string(),
        }
    }
}

struct Answer {
    status: Option<u16>,
    body: Option<Value>,
    /// `X-Slack-No-Retry: 1`
    no_retry: bool,
}

/// Delivers and waits for the acknowledgement. Commands and interactions have one chance, as a
/// person waits; events are retried up to three times.
pub(super) async fn deliver(sandbox: &Sandbox, kind: Kind, payload: &Value) -> Receipt {
    let started = Instant::now();
    let mut receipt = Receipt::default();
    let mut retry: Option<(usize, &'static str)> = None;
    loop {
        let outcome = match &sandbox.config().delivery {
            Delivery::Socket => by_socket(sandbox, kind, payload, retry, &mut receipt).await,
            Delivery::Http { base_url } => {
                receipt.attempts += 1;
                by_http(sandbox, base_url, kind, payload, retry).await
            }
        };
        receipt.elapsed = started.elapsed();
        match outcome {
            Ok(answer) if answer.status.is_none_or(|s| (200..300).contains(&s)) => {
                return Receipt {
                    acked: true,
                    status: answer.status,
                    body: answer.body,
                    error: None,
                    ..receipt
                };
            }
            outcome => {
                let (failure, stop) = match outcome {
                    Err(failure) => (failure, false),
                    Ok(answer) => {
                        receipt.status = answer.status;
                        (
                            Failure::Status(answer.status.unwrap_or_default()),
                            answer.no_retry,
                        )
                    }
                };
                receipt.error = Some(failure.shown());
                let attempt = retry.map_or(0, |(n, _)| n);
                if kind != Kind::Event || stop || attempt == RETRY_AFTER.len() {
                    return receipt;
                }
                sleep(RETRY_AFTER[attempt]).await;
                retry = Some((attempt + 1, failure.retry_reason()));
            }
        }
    }
}

async fn by_socket(
    sandbox: &Sandbox,
    kind: Kind,
    payload: &Value,
    retry: Option<(usize, &'static str)>,
    receipt: &mut Receipt,
) -> Result<Answer, Failure> {
    let deadline = Instant::now() + sandbox.config().ack_timeout;
    let envelope_id = uuid();
    let mut envelope = json!({
        "envelope_id": envelope_id,
        "type": kind.envelope(),
        "payload": payload,
        "accepts_response_payload": kind != Kind::Event,
    });
    if kind == Kind::Event {
        let (attempt, reason) = retry.unwrap_or((0, ""));
        // Socket Mode says `timeout` where HTTP says `http_timeout`.
        envelope["retry_attempt"] = json!(attempt);
        envelope["retry_reason"] = json!(reason.trim_start_matches("http_"));
    }
    let text = envelope.to_string();
    let mut acked = sandbox.hub().expect(&envelope_id);
    let mut tried = Vec::new();
    let outcome = loop {
        let Some(socket) = sandbox
            .hub()
            .next(&tried)
            .filter(|s| !tried.contains(&s.id))
        else {
            break Err(Failure::Unreachable);
        };
        tried.push(socket.id);
        if !socket.send(text.clone()) {
            continue;
        }
        receipt.attempts += 1;
        if take_redelivery(sandbox)
            && let Some(other) = sandbox.hub().next(&tried)
            && other.send(text.clone())
        {
            receipt.attempts += 1;
        }
        tokio::select! {
            answer = timeout_at(deadline, &mut acked) => break match answer {
                Ok(Ok(body)) => Ok(Answer { status: None, body, no_retry: false }),
                Ok(Err(_)) => Err(Failure::Unreachable),
                Err(_) => Err(Failure::Timeout),
            },
            // The connection ended before the acknowledgement: the same envelope goes elsewhere.
            () = socket.gone.cancelled() => {}
        }
    };
    sandbox.hub().forget(&envelope_id);
    if matches!(outcome, Err(Failure::Timeout))
        && kind != Kind::Event
        && let Some(other) = sandbox
            .hub()
            .next(&tried)
            .filter(|s| !tried.contains(&s.id))
    {
        // The person has been told of the time-out; Slack may still try another connection.
        if other.send(text) {
            receipt.attempts += 1;
        }
    }
    outcome
}

fn take_redelivery(sandbox: &Sandbox) -> bool {
    let mut plan = sandbox.plan();
    let due = plan.redeliver > 0;
    plan.redeliver = plan.redeliver.saturating_sub(1);
    due
}

async fn by_http(
    sandbox: &Sandbox,
    base_url: &str,
    kind: Kind,
    payload: &Value,
    retry: Option<(usize, &'static str)>,
) -> Result<Answer, Failure> {
    let (content_type, body) = match kind {
        Kind::Command => (post::FORM, form_of(payload)),
        Kind::Interaction => {
            let form = [("payload", payload.to_string())];
            (
                post::FORM,
                url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(form)
                    .finish(),
            )
        }
        Kind::Event => (post::JSON, payload.to_string()),
    };
    let mut headers = post::signature(sandbox.signing_secret(), &body);
    if let Some((attempt, reason)) = retry {
        headers.push(("X-Slack-Retry-Num".to_string(), attempt.to_string()));
        headers.push(("X-Slack-Retry-Reason".to_string(), reason.to_string()));
    }
    let url = format!("{}{}", base_url.trim_end_matches('/'), kind.path());
    if take_redelivery(sandbox) {
        // The same signed request a second time, as a proxy or an impatient Slack would send it.
        let (url, headers, body) = (url.clone(), headers.clone(), body.clone());
        tokio::spawn(async move {
            post::post(&url, content_type, &headers, &body).await.ok();
        });
    }
    let sent = post::post(&url, content_type, &headers, &body);
    let answer = match tokio::time::timeout(sandbox.config().ack_timeout, sent).await {
        Err(_) => return Err(Failure::Timeout),
        Ok(Err(error)) => {
            tracing::debug!(%error, url, "the sandbox cannot reach the bot");
            return Err(Failure::Unreachable);
        }
        Ok(Ok(answer)) => answer,
    };
    let no_retry = answer.header("x-slack-no-retry") == Some("1");
    let body = match answer.body.trim() {
        "" => None,
        text => Some(serde_json::from_str(text).unwrap_or_else(|_| json!({"text": text}))),
    };
    Ok(Answer {
        status: Some(answer.status),
        body,
        no_retry,
    })
}

fn form_of(payload: &Value) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in payload.as_object().into_iter().flatten() {
        form.append_pair(key, value.as_str().unwrap_or_default());
    }
    form.finish()
}
