//! What a sender is answered, in the form that it understands.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::domain::alert::generic::Shape;
use crate::telemetry::metrics::ALERTS_REFUSED;

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Taken in; in words.
    Taken(String),
    /// Received, and left to a person.
    Received(String),
    /// The sender showed nothing that lets it in.
    NotAllowed(String),
    /// There is no such source.
    NoSource(String),
    /// The body was not read to its end: too large, cut off.
    Unread(StatusCode, String),
    /// Nothing in the body is understood.
    Malformed(String),
    /// It can't be judged or recorded now: the sender tries again, and nothing is lost.
    Later(String),
}

impl Outcome {
    /// The status, the word in metrics (for what is refused), and the text.
    fn parts(self) -> (StatusCode, Option<&'static str>, String) {
        match self {
            Self::Taken(text) => (StatusCode::OK, None, text),
            Self::Received(text) => (StatusCode::ACCEPTED, None, text),
            Self::NotAllowed(text) => (StatusCode::UNAUTHORIZED, Some("token"), text),
            Self::NoSource(text) => (StatusCode::NOT_FOUND, Some("source"), text),
            Self::Unread(status, text) => (status, Some("body"), text),
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, Some("malformed"), text),
            Self::Later(text) => (StatusCode::SERVICE_UNAVAILABLE, Some("later"), text),
        }
    }

    /// The answer. `key`: what names the alert, for senders that are told.
    pub(super) fn answer(self, shape: Shape, key: &str) -> Response {
        let (mut status, refused, text) = self.parts();
        if let Some(why) = refused {
            ALERTS_REFUSED.count(&[why]);
            tracing::warn!(why, %status, text, "a body of alerts was refused");
        }
        let own: Option<Value> = match (shape, status.is_success()) {
            (Shape::PagerDuty, good) => Some(if good {
                json!({"status": "success", "message": "Event processed", "dedup_key": key})
            } else {
                json!({
                    "status": "invalid event",
                    "message": "Event object is invalid",
                    "errors": [text],
                })
            }),
            (Shape::Opsgenie, good) => {
                let result = if good { "result" } else { "message" };
                let text = if good {
                    "Request will be processed"
                } else {
                    &text
                };
                Some(json!({result: text, "took": 0.0, "requestId": key}))
            }
            _ => None,
        };
        if own.is_some() && status == StatusCode::OK {
            status = StatusCode::ACCEPTED;
        }
        if shape == Shape::Opsgenie && status == StatusCode::BAD_REQUEST {
            status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        let answer = match own {
            Some(own) => (status, Json(own)).into_response(),
            None => (status, format!("{text}\n")).into_response(),
        };
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2. Amazon SNS shows its user and password only when asked like this.
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"treasury-bot\"")];
            return (challenge, answer).into_response();
        }
        answer
    }
}
