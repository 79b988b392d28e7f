//! `POST /alerts/alertmanager`: where alerts come in.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::bot::Bot;
use crate::domain::alert::{Alert, Malformed, alertmanager};

/// The largest body, bytes: 1,000 alerts of 4 KB.
const MAX_BODY: usize = 4 << 20;

/// What the routes work on.
#[derive(Clone)]
struct Intake {
    bot: Bot,
    /// Digest of the bearer token; `None`: nothing is taken in.
    token: Option<[u8; 32]>,
}

/// The routes. Without a token every request is refused, with the mend.
pub fn alerts_router(bot: Bot, token: Option<&SecretString>) -> Router {
    let token = token.map(|token| digest(token.expose_secret().as_bytes()));
    Router::new()
        .route("/alerts/alertmanager", post(alertmanager))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Intake { bot, token })
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

async fn alertmanager(State(intake): State<Intake>, headers: HeaderMap, body: Body) -> Response {
    intake.take(&headers, body, alertmanager::parse).await
}

/// The body, or why it was not read to its end (too large, cut off).
type Body = Result<Bytes, axum::extract::rejection::BytesRejection>;

impl Intake {
    async fn take(
        &self,
        headers: &HeaderMap,
        body: Body,
        parse: fn(&[u8]) -> Result<Vec<Alert>, Malformed>,
    ) -> Response {
        if let Err(why) = self.allowed(headers) {
            return refused("token", StatusCode::UNAUTHORIZED, why);
        }
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                let status = error.status();
                return refused("body", status, &error.body_text());
            }
        };
        let alerts = match parse(&body) {
            Ok(alerts) => alerts,
            Err(error) => {
                return refused("malformed", StatusCode::BAD_REQUEST, &error.to_string());
            }
        };
        match self.bot.take_alerts(alerts).await {
            Ok(taken) => {
                let said = format!(
                    "{} fired, {} are over, {} were known\n",
                    taken.fired, taken.resolved, taken.known
                );
                (StatusCode::OK, said).into_response()
            }
            // The sender tries again: nothing is lost.
            Err(error) => {
                tracing::error!(%error, "alerts could not be recorded");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                refused(
                    "store",
                    status,
                    "the alerts could not be recorded: send them again",
                )
            }
        }
    }

    /// The digests are compared: how long that takes says nothing about the token.
    fn allowed(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let Some(token) = self.token else {
            return Err(
                "no token is configured: set TREASURY_BOT_ALERTS_TOKEN or [alerts] token_file",
            );
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match given {
            None => Err("a bearer token is needed: Authorization: Bearer …"),
            Some(given) if digest(given.trim().as_bytes()) == token => Ok(()),
            Some(_) => Err("this is not the bearer token"),
        }
    }
}

fn refused(why: &'static str, status: StatusCode, text: &str) -> Response {
    metrics::counter!("treasury_bot_alerts_refused_total", "why" => why).increment(1);
    if why != "store" {
        tracing::warn!(why, %status, text, "a body of alerts was refused");
    }
    (status, format!("{text}\n")).into_response()
}
