//! HTTP mode: Slack's requests, verified before anything in them is believed.
//!
//! In this order: headers, size, signature and age, form or JSON, durable record, acknowledgement.
//! A malformed request is never our failure (4xx); only a store that can't record is (503), which
//! makes Slack send an event again and mark a button. A command it never sends again, and shows what
//! is answered with 200: there the requester reads why.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use slack_morphism::prelude::SlackSigningSecret;
use slack_morphism::signature_verifier::SlackEventSignatureVerifier;

use super::dispatch::Dispatch;
use super::inbound::Kind;
use crate::telemetry::metrics;

/// Largest body that is read.
const MAX_BODY: usize = 1024 * 1024;
/// Largest body of a look at the certificate, which Slack may send unsigned.
const MAX_SSL_CHECK: usize = 4096;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);

struct Door {
    verifier: SlackEventSignatureVerifier,
    dispatch: Dispatch,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejection {
    Unsigned,
    TooLarge,
    TooSlow,
    WrongSignature,
    Unreadable,
    NotRecorded,
}

impl Rejection {
    /// The word in metrics and logs, and the answer.
    fn reason_and_status(self) -> (&'static str, StatusCode) {
        match self {
            Self::Unsigned => ("unsigned", StatusCode::UNAUTHORIZED),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT),
            Self::WrongSignature => ("wrong_signature", StatusCode::UNAUTHORIZED),
            Self::Unreadable => ("unreadable", StatusCode::BAD_REQUEST),
            Self::NotRecorded => ("not_recorded", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// The three routes. Behind them everything is signed with `secret`.
pub fn router(secret: &SecretString, dispatch: Dispatch) -> Router {
    let secret = SlackSigningSecret(secret.expose_secret().trim().to_owned());
    let door = Arc::new(Door {
        verifier: SlackEventSignatureVerifier::new(&secret),
        dispatch,
    });
    let on = |kind: Kind| {
        post(
            async move |State(door): State<Arc<Door>>, request: Request<Body>| {
                take(&door, kind, request)
                    .await
                    .unwrap_or_else(|rejection| {
                        let (reason, status) = rejection.reason_and_status();
                        metrics::SLACK_HTTP_REJECTED.count(&[reason]);
                        tracing::debug!(%kind, reason, "a request was turned away");
                        status.into_response()
                    })
            },
        )
    };
    Router::new()
        .route("/slack/commands", on(Kind::Command))
        .route("/slack/interactions", on(Kind::Interaction))
        .route("/slack/events", on(Kind::Event))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(door)
}

async fn take(door: &Door, kind: Kind, request: Request<Body>) -> Result<Response, Rejection> {
    let started = std::time::Instant::now();
    let headers = request.headers().clone();
    let Some((signature, at)) = signature(&headers) else {
        return match announced(&headers) {
            Some(1..=MAX_SSL_CHECK) if is_ssl_check(&read(request).await?) => {
                Ok(StatusCode::OK.into_response())
            }
            _ => Err(Rejection::Unsigned),
        };
    };
    let body = read(request).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Rejection::WrongSignature)?;
    door.verifier
        .verify(signature, text, at)
        .map_err(|_| Rejection::WrongSignature)?;
    if is_ssl_check(&body) {
        return Ok(StatusCode::OK.into_response());
    }
    let payload = parse(kind, text).ok_or(Rejection::Unreadable)?;
    if kind == Kind::Event && payload["type"] == "url_verification" {
        let challenge = payload["challenge"].as_str().ok_or(Rejection::Unreadable)?;
        return Ok((
            [(CONTENT_TYPE, "text/plain; charset=utf-8")],
            challenge.to_owned(),
        )
            .into_response());
    }
    match door.dispatch.take(kind, &payload).await {
        Ok(()) => {
            metrics::SLACK_ACK.took(&["http"], started.elapsed());
            Ok(StatusCode::OK.into_response())
        }
        Err(why) if kind == Kind::Command => {
            metrics::SLACK_HTTP_REJECTED.count(&["not_recorded"]);
            Ok(Json(why.answer()).into_response())
        }
        Err(_) => Err(Rejection::NotRecorded),
    }
}

/// The signature and its time, if they look like ones. Without them nothing is read.
fn signature(headers: &HeaderMap) -> Option<(&str, &str)> {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    };
    let signature = only(SlackEventSignatureVerifier::SLACK_SIGNED_HASH_HEADER)?;
    let at = only(SlackEventSignatureVerifier::SLACK_SIGNED_TIMESTAMP)?;
    let is_signature = signature
        .strip_prefix("v0=")
        .is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_time = (1..=12).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
    (is_signature && is_time).then_some((signature, at))
}

/// Slack looks now and then, at any address, whether the certificate is good: a form with
/// `ssl_check=1`, that asks for nothing.
fn is_ssl_check(body: &[u8]) -> bool {
    body.len() <= MAX_SSL_CHECK
        && url::form_urlencoded::parse(body).any(|(key, value)| key == "ssl_check" && value == "1")
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(request: Request<Body>) -> Result<Bytes, Rejection> {
    if announced(request.headers()).is_some_and(|length| length > MAX_BODY) {
        return Err(Rejection::TooLarge);
    }
    match tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, &())).await {
        Err(_) => Err(Rejection::TooSlow),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Rejection::TooLarge)
        }
        Ok(Err(_)) => Err(Rejection::Unreadable),
    }
}

/// The payload, whatever the content type says: JSON for events, a form for the others, which for
/// interactions holds JSON in its `payload`.
fn parse(kind: Kind, text: &str) -> Option<Value> {
    let payload: Value = match kind {
        Kind::Event => serde_json::from_str(text).ok()?,
        Kind::Interaction => serde_json::from_str(form(text).get("payload")?.as_str()?).ok()?,
        Kind::Command => {
            let form = form(text);
            if !form.contains_key("command") {
                return None;
            }
            Value::Object(form)
        }
    };
    payload.is_object().then_some(payload)
}

fn form(text: &str) -> serde_json::Map<String, Value> {
    url::form_urlencoded::parse(text.as_bytes())
        .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha2::Sha256;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::bot::Acceptance;
    use crate::domain::Request as Asked;
    use crate::domain::timeline::hex;
    use crate::slack::directory::People;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

    struct Bench {
        client: reqwest::Client,
        base: String,
        taken: Arc<Mutex<Vec<Asked>>>,
    }

    impl Bench {
        async fn start(works: bool) -> Self {
            let taken = Arc::new(Mutex::new(Vec::<Asked>::new()));
            let library = taken.clone();
            let dispatch = Dispatch::new(
                Arc::new(move |request: Asked| {
                    let library = library.clone();
                    Box::pin(async move {
                        if !works {
                            return Err("the disk is full".to_owned());
                        }
                        let mut library = library.lock().unwrap();
                        if library.iter().any(|r| r.key == request.key) {
                            return Ok(Acceptance::Duplicate);
                        }
                        library.push(request);
                        Ok(Acceptance::New)
                    })
                }),
                People::default(),
                None,
            );
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let router = router(&SecretString::from(SECRET), dispatch);
            tokio::spawn(async move { axum::serve(listener, router).await });
            // Only loopback is spoken to; a proxy from the environment would be in the way.
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            Self {
                client,
                base,
                taken,
            }
        }

        async fn send(&self, path: &str, body: impl Into<Vec<u8>>, age: i64) -> (u16, String) {
            let body = body.into();
            let at = (jiff::Timestamp::now().as_second() - age).to_string();
            let signature = sign(SECRET, &at, &body);
            self.send_signed(
                path,
                body,
                &[
                    ("x-slack-signature", &signature),
                    ("x-slack-request-timestamp", &at),
                ],
            )
            .await
        }

        async fn send_signed(
            &self,
            path: &str,
            body: Vec<u8>,
            headers: &[(&str, &str)],
        ) -> (u16, String) {
            let mut request = self
                .client
                .post(format!("{}/slack/{path}", self.base))
                .body(body);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }

        fn taken(&self) -> Vec<String> {
            self.taken
                .lock()
                .unwrap()
                .iter()
                .map(|r| r.text.clone())
                .collect()
        }
    }

    fn sign(secret: &str, at: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{at}:").as_bytes());
        mac.update(body);
        format!("v0={}", hex(&mac.finalize().into_bytes()))
    }

    const COMMAND: &str = "command=%2Ftreasury&text=restart+frontend&user_id=U0ANA&user_name=ana\
                           &channel_id=C1&trigger_id=1.2.3";

    #[tokio::test]
    async fn commands_presses_and_events_come_in_once() {
        let bench = Bench::start(true).await;
        assert_eq!(
            bench.send("commands", COMMAND, 0).await,
            (200, String::new())
        );
        assert_eq!(
            bench.send("commands", COMMAND, 5).await,
            (200, String::new())
        );
        let press = r#"{"type":"block_actions","user":{"id":"U0ANA"},"channel":{"id":"C1"},
            "trigger_id":"7","actions":[{"action_id":"say:1.0","value":"rollback api"}]}"#;
        let press: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", press)
            .finish();
        assert_eq!(bench.send("interactions", press, 0).await.0, 200);
        let event = r#"{"type":"event_callback","event_id":"E","event":{"type":"app_mention",
            "user":"U0ANA","channel":"C1","ts":"1.1","text":"<@UBOT> status"}}"#;
        assert_eq!(bench.send("events", event, 0).await.0, 200);
        assert_eq!(
            bench.taken(),
            ["restart frontend", "rollback api", "status"]
        );
        let challenge = r#"{"type":"url_verification","challenge":"abc"}"#;
        assert_eq!(
            bench.send("events", challenge, 0).await,
            (200, "abc".to_owned())
        );
    }

    #[tokio::test]
    async fn what_is_not_slacks_is_turned_away_before_it_is_read() {
        let bench = Bench::start(true).await;
        let body = COMMAND.as_bytes().to_vec();
        assert_eq!(bench.send("commands", COMMAND, 400).await.0, 401, "too old");
        assert_eq!(
            bench.send("commands", COMMAND, -400).await.0,
            401,
            "from the future"
        );
        let now = jiff::Timestamp::now().as_second().to_string();
        let good = sign(SECRET, &now, &body);
        let other = sign("another", &now, &body);
        for (signature, at) in [
            (other.as_str(), now.as_str()),
            ("v0=00", &now),
            ("", &now),
            (&good[3..], &now),
            (&good, "soon"),
            (&good, "-9223372036854775808"),
            (&good, "99999999999999999999"),
        ] {
            let headers = [
                ("x-slack-signature", signature),
                ("x-slack-request-timestamp", at),
            ];
            assert_eq!(
                bench
                    .send_signed("commands", body.clone(), &headers)
                    .await
                    .0,
                401,
                "{signature} {at}"
            );
        }
        assert_eq!(
            bench.send_signed("commands", body.clone(), &[]).await.0,
            401
        );
        let only = [("x-slack-signature", good.as_str())];
        assert_eq!(bench.send_signed("commands", body, &only).await.0, 401);
        // Large bodies are refused by their announced length, whoever signed them.
        assert_eq!(
            bench.send("commands", vec![b'a'; MAX_BODY + 1], 0).await.0,
            413
        );
        assert!(bench.taken().is_empty());
    }

    #[tokio::test]
    async fn a_body_that_grows_too_large_is_refused_without_its_length() {
        let bench = Bench::start(true).await;
        let now = jiff::Timestamp::now().as_second().to_string();
        let head = format!(
            "POST /slack/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
             X-Slack-Signature: {}\r\nX-Slack-Request-Timestamp: {now}\r\n\r\n",
            sign(SECRET, &now, b"a"),
        );
        let address = bench.base.trim_start_matches("http://");
        let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
        tokio::spawn(async move {
            to.write_all(head.as_bytes()).await.unwrap();
            let chunk = format!("186a0\r\n{}\r\n", "a".repeat(100_000));
            // Never ended: an answer can only come of the limit.
            for _ in 0..20 {
                if to.write_all(chunk.as_bytes()).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        let mut status = [0; 12];
        from.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 413");
    }

    #[tokio::test]
    async fn malformed_is_400_and_a_failing_store_503_or_words_for_who_typed() {
        let bench = Bench::start(true).await;
        for (path, body) in [
            ("commands", ""),
            ("commands", "a=b"),
            ("commands", "{}"),
            ("interactions", "payload=%7B"),
            ("interactions", "payload=[]"),
            ("interactions", "nothing=1"),
            ("events", "{"),
            ("events", "[]"),
            ("events", "\"x\""),
            ("events", r#"{"type":"url_verification"}"#),
        ] {
            assert_eq!(bench.send(path, body, 0).await.0, 400, "{path} {body}");
        }
        assert_eq!(bench.send("commands", vec![0xff, 0xfe], 0).await.0, 401);
        for path in ["commands", "interactions", "events"] {
            assert_eq!(bench.send(path, "ssl_check=1&token=x", 0).await.0, 200);
        }
        let broken = Bench::start(false).await;
        let (status, told) = broken.send("commands", COMMAND, 0).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((status, &told["response_type"]), (200, &"ephemeral".into()));
        assert_eq!(
            told["text"],
            "⚠️ This was not recorded, and nothing was done: the disk is full. Then type it again."
        );
        let event = r#"{"type":"event_callback","event_id":"E","event":{"type":"app_mention",
            "user":"U0ANA","channel":"C1","ts":"1.1","text":"<@UBOT> status"}}"#;
        assert_eq!(broken.send("events", event, 0).await.0, 503);
    }

    proptest! {
        #[test]
        fn no_form_or_json_panics(text in "\\PC{0,80}", encoded in "([a-z%&=+]|%[0-9A-F]{2}|payload=|command=){0,40}") {
            for kind in [Kind::Command, Kind::Interaction, Kind::Event] {
                let _ = parse(kind, &text);
                let _ = parse(kind, &encoded);
            }
        }
    }
}
