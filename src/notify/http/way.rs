//! A way to reach somebody by one HTTP request.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secrecy::{ExposeSecret, SecretString};

use super::call::{self, Call};
use super::presets::Service;
use super::template::{Field, Values};
use crate::domain::causes;
use crate::domain::notification::{Channel, Notification, Purpose, Recipient, one_line};
use crate::domain::timeline::cut;
use crate::notify::sender::{SendError, Sender};
use crate::notify::text::body;

/// So much of an answer is read, bytes.
const MOST: usize = 64 << 10;
/// So much of it is told.
const TOLD: usize = 200;
/// Whoever wants to be left alone for longer is asked again all the same.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// A proposed header (draft-ietf-httpapi-idempotency-key-header) that several services know; the
/// others take no notice.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A way as the configuration has it.
#[derive(Debug, Clone)]
pub struct WayConfig {
    /// Its name.
    pub name: String,
    /// Who takes it.
    pub service: Service,
    /// What it has to be shown.
    pub token: Option<SecretString>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// Hands notifications over by HTTP. Addresses are those of the configuration; no redirect is
/// followed.
pub struct HttpWay {
    config: WayConfig,
    client: Client<HttpsConnector<HttpConnector>, String>,
}

impl HttpWay {
    /// Nothing is connected yet.
    pub fn new(config: WayConfig, connector: HttpsConnector<HttpConnector>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            // What is held open may be dead by the next alert.
            .pool_max_idle_per_host(0)
            .build(connector);
        Self { config, client }
    }

    fn token(&self) -> &str {
        self.config
            .token
            .as_ref()
            .map_or("", ExposeSecret::expose_secret)
    }

    fn values(&self, notification: &Notification, link: Option<&str>) -> Option<Values> {
        let Recipient::Way(to) = &notification.to else {
            return None;
        };
        let event = match notification.purpose {
            Purpose::Acknowledged => "acknowledge",
            Purpose::Over => "resolve",
            _ => "trigger",
        };
        let text = body(&notification.message);
        let severity = notification
            .ack
            .as_ref()
            .map(|ack| ack.severity.to_string());
        let incident = notification.incident.map(|id| id.to_string());
        Some(
            Values::default()
                .with(Field::Title, one_line(&notification.message.title.plain()))
                .with(Field::Text, text.trim_end())
                .with(Field::Subject, one_line(&notification.thread.subject))
                .with(Field::Link, link.unwrap_or_default())
                .with(Field::Id, notification.id())
                .with(Field::Severity, severity.unwrap_or_default())
                .with(Field::Incident, incident.unwrap_or_default())
                .with(Field::Person, &to.name)
                .with(Field::To, &to.to)
                .with(Field::Token, self.token())
                .with(Field::Thread, &notification.thread.key)
                .with(Field::Event, event),
        )
    }

    /// What is told of a failure: no secret, on one line.
    fn told(&self, host: &str, what: &str) -> String {
        let mut text = one_line(what);
        if !self.token().is_empty() {
            text = text.replace(self.token(), "***");
        }
        format!("{host} {}", cut(&text, TOLD))
    }
}

#[async_trait]
impl Sender for HttpWay {
    fn channel(&self) -> Channel {
        Channel::Way(self.config.name.clone())
    }

    fn timeout(&self) -> Duration {
        self.config.timeout
    }

    async fn send(&self, notification: &Notification, link: Option<&str>) -> Result<(), SendError> {
        let refused = |why: &str| SendError::Refused(why.to_owned());
        let values = self.values(notification, link);
        let values = values.ok_or_else(|| refused("it is for another way"))?;
        let call = self.config.service.call(&values);
        let uri: Uri = call
            .url
            .parse()
            .map_err(|_| refused("its address is none: check url"))?;
        let host = uri
            .authority()
            .map_or_else(String::new, ToString::to_string);
        let request = request(call, uri, values.of(Field::Id))
            .map_err(|error| SendError::Refused(self.told(&host, &error.to_string())))?;
        let asked = async {
            let answer = self.client.request(request).await.map_err(|error| {
                SendError::Later(self.told(&host, &format!("can't be reached: {}", causes(&error))))
            })?;
            let (head, body) = answer.into_parts();
            // The status is all that counts; what can't be read of the rest is not told.
            let body = Limited::new(body, MOST).collect().await;
            let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
            Ok((head, body.unwrap_or_default()))
        };
        let (head, body) = tokio::time::timeout(self.config.timeout, asked)
            .await
            .unwrap_or_else(|_| {
                let what = format!("gave no answer within {} s", self.config.timeout.as_secs());
                Err(SendError::Later(self.told(&host, &what)))
            })?;
        if head.status.is_success() {
            return Ok(());
        }
        let why = self.told(&host, &format!("answered {}: {body}", head.status));
        Err(judged(
            head.status,
            wait(&head.headers, Timestamp::now()),
            why,
        ))
    }
}

fn request(call: Call, uri: Uri, id: &str) -> Result<Request<String>, hyper::http::Error> {
    let mut request = Request::builder()
        .method(call.method)
        .uri(uri)
        .header(USER_AGENT, "treasury-bot")
        .header(IDEMPOTENCY_KEY, id);
    if let Some(media_type) = call.media_type {
        request = request.header(CONTENT_TYPE, media_type);
    }
    let headers = request.headers_mut().into_iter();
    for map in headers {
        for (name, value) in &call.headers {
            map.insert(name, call::value(value)?);
        }
    }
    request.body(call.body)
}

/// What an answer means. A secret may be mended, so that what it kept out is to go out then.
fn judged(status: StatusCode, wait: Option<Duration>, why: String) -> SendError {
    let is_later = status.is_server_error()
        || matches!(
            status.as_u16(),
            401 | 402 | 403 | 407 | 408 | 409 | 421 | 423 | 425 | 429
        );
    match wait {
        _ if !is_later => SendError::Refused(why),
        Some(wait) => SendError::Wait(wait, why),
        None => SendError::Later(why),
    }
}

/// `Retry-After`: seconds or a date (RFC 9110 10.2.3).
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_long() {
        let now = Timestamp::from_second(1_764_255_600).unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            ("86400", Some(600)),
            ("Thu, 27 Nov 2025 15:00:30 GMT", Some(30)),
            ("Thu, 27 Nov 2025 14:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(
                wait(&headers, now),
                expected.map(Duration::from_secs),
                "{text}"
            );
        }
        assert_eq!(wait(&HeaderMap::new(), now), None);
    }

    #[test]
    fn what_can_be_mended_is_tried_again_and_a_wrong_request_is_not() {
        for (status, again) in [
            (400, false),
            (401, true),
            (301, false),
            (404, false),
            (413, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let judged = judged(status, None, String::new());
            assert_eq!(matches!(judged, SendError::Later(_)), again, "{status}");
        }
    }
}
