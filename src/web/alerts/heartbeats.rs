//! `POST /heartbeats/NAME`: a job says that it ran. Its size, its duration and why it failed stand in the
//! query, for a shell, or in a JSON object.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use secrecy::SecretString;
use serde::Deserialize;

use super::token::{Token, allowed, shown};
use super::{Sent, unread};
use crate::bot::{self, Bot};
use crate::domain::alert::generic::Shape;
use crate::domain::heartbeat::Beat;
use crate::domain::timeline::cut;

/// The largest body, bytes.
const MAX_BODY: usize = 16 << 10;
/// The longest reason of a failure that is kept, characters.
const MAX_REASON: usize = 500;

/// Who may send a heartbeat.
#[derive(Debug, Clone)]
pub struct HeartbeatSender {
    /// It sends to `/heartbeats/NAME`.
    pub name: String,
    /// What it has to show; without one, what senders of alerts have to show.
    pub token: Option<SecretString>,
}

#[derive(Clone)]
struct Listening {
    bot: Bot,
    senders: Arc<Vec<(String, Option<Token>)>>,
    /// What senders without a token of their own have to show.
    token: Option<Token>,
}

/// What a job says. All of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// What it made, bytes.
    size: Option<u64>,
    /// How long it took, seconds.
    duration: Option<f64>,
    /// Why it failed.
    failed: Option<String>,
}

/// The route. Without a token every request is refused, and told what to do.
pub fn heartbeats_router(
    bot: Bot,
    token: Option<&SecretString>,
    senders: Vec<HeartbeatSender>,
) -> Router {
    let own = |of: HeartbeatSender| (of.name, of.token.as_ref().map(Token::new));
    let listening = Listening {
        bot,
        senders: Arc::new(senders.into_iter().map(own).collect()),
        token: token.map(Token::new),
    };
    Router::new()
        .route("/heartbeats/{name}", post(heard))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(listening)
}

fn answer(status: StatusCode, text: impl std::fmt::Display) -> Response {
    (status, format!("{text}\n")).into_response()
}

const SHAPE: &str = "size is a number of bytes, duration one of seconds, failed a text; all of them may \
                     be left out";

async fn heard(
    State(listening): State<Listening>,
    Path(name): Path<String>,
    query: Result<Query<Said>, QueryRejection>,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    let mut senders = listening.senders.iter();
    let sender = senders.find(|(known, _)| *known == name);
    let own = sender.and_then(|(_, token)| token.as_ref());
    let token = own.or(listening.token.as_ref());
    if let Err(why) = allowed(token, shown(&headers).as_deref()) {
        return answer(StatusCode::UNAUTHORIZED, why);
    }
    let body = match body {
        Ok(body) => body,
        Err(error) => return unread(&error).answer(Shape::Json, ""),
    };
    let in_query = match query {
        Ok(Query(said)) => said,
        Err(error) => {
            let text = error.body_text();
            return answer(StatusCode::BAD_REQUEST, format!("{text}: {SHAPE}"));
        }
    };
    let in_body = if body.trim_ascii().is_empty() {
        Ok(Said::default())
    } else {
        serde_json::from_slice::<Said>(&body)
    };
    let in_body = match in_body {
        Ok(said) => said,
        Err(error) => return answer(StatusCode::BAD_REQUEST, format!("{error}: {SHAPE}")),
    };
    let took = in_query.duration.or(in_body.duration);
    let took = match took.map(Duration::try_from_secs_f64).transpose() {
        Ok(took) => took,
        Err(error) => return answer(StatusCode::BAD_REQUEST, format!("duration: {error}")),
    };
    let failed = in_query.failed.or(in_body.failed);
    let failed = failed.map(|why| match why.trim() {
        "" => "it says no reason".to_owned(),
        why => cut(why, MAX_REASON),
    });
    let beat = |at| Beat {
        at,
        size: in_query.size.or(in_body.size),
        took,
        failed,
    };
    match bot::hear(&listening.bot, &name, beat).await {
        Ok(Some(heard)) => {
            let last = heard.last_text().unwrap_or_default();
            answer(StatusCode::OK, format!("{name} is heard of {last}"))
        }
        Ok(None) => {
            let names: Vec<&str> = listening
                .senders
                .iter()
                .map(|(one, _)| one.as_str())
                .collect();
            let known = match names.as_slice() {
                [] => "there is no [[heartbeat]] in the configuration".to_owned(),
                names => format!("there are: {}", names.join(", ")),
            };
            let text = format!("there is no heartbeat {}: {known}", cut(&name, 60));
            answer(StatusCode::NOT_FOUND, text)
        }
        Err(error) => {
            tracing::error!(%error, name, "a heartbeat could not be recorded");
            let text = "the heartbeat could not be recorded: send it again";
            answer(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}
