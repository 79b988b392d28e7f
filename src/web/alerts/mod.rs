//! `POST /alerts/alertmanager`, `/alerts/generic`, `/alerts/pagerduty` and `/alerts/opsgenie`: where
//! alerts come in.

mod answer;
mod heartbeats;
mod paging;
mod sns;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{any, post};
use secrecy::SecretString;
use serde_json::Value;
use tracing::Instrument;

pub use heartbeats::{HeartbeatSender, heartbeats_router};

use answer::Outcome;
use token::{Token, allowed, is_signed, shown};

use crate::bot::{self, Bot};
use crate::domain::alert::generic::{self, Mapping, Read, Shape};
use crate::domain::alert::{Body, Malformed, alertmanager};
use crate::store::StoreError;

/// The largest body, bytes: 1,000 alerts of 4 KB.
const MAX_BODY: usize = 4 << 20;
/// The header that names the source, where the path does not.
const SOURCE: &str = "x-alert-source";
/// The header by which Sentry says what it tells of.
const RESOURCE: &str = "sentry-hook-resource";

/// A sender beside Alertmanager.
#[derive(Debug, Clone)]
pub struct AlertSource {
    /// It sends to `/alerts/generic/NAME`.
    pub name: String,
    /// What it has to show; without one, what Alertmanager has to show.
    pub token: Option<SecretString>,
    /// Where things are in its JSON.
    pub mapping: Mapping,
    /// Topics of Amazon SNS (ARNs): what SNS has signed of these needs no token.
    pub topics: Vec<String>,
    /// The origin of a server that has SNS' certificates, where Amazon's own can't be reached.
    pub certificates: Option<String>,
}

/// What the routes work on.
#[derive(Clone)]
struct Intake {
    bot: Bot,
    /// The token of senders without their own; `None`: from them nothing is taken in.
    token: Option<Token>,
    sources: Arc<Vec<Source>>,
}

/// A source, and what it has to show.
struct Source {
    name: String,
    token: Option<Token>,
    of: AlertSource,
}

/// The routes. Without a token every request is refused, and told what to do.
pub fn alerts_router(bot: Bot, token: Option<&SecretString>, sources: Vec<AlertSource>) -> Router {
    let token = token.map(Token::new);
    let with_token = |of: AlertSource| Source {
        name: of.name.clone(),
        token: of.token.as_ref().map(Token::new).or_else(|| token.clone()),
        of,
    };
    let sources = Arc::new(sources.into_iter().map(with_token).collect());
    Router::new()
        .route("/alerts/alertmanager", post(alertmanager))
        .route("/alerts/generic", post(generic))
        .route("/alerts/generic/{name}", post(generic_named))
        .route("/alerts/pagerduty/v2/enqueue", post(paging::pagerduty))
        .route("/alerts/opsgenie/v2/alerts", post(paging::opsgenie))
        .route(
            "/alerts/opsgenie/v2/alerts/{*rest}",
            any(paging::opsgenie_about),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Intake {
            bot,
            token,
            sources,
        })
}

/// The bytes of a body, or why they were not read to their end (too large, cut off).
type Sent = Result<Bytes, BytesRejection>;

async fn alertmanager(State(intake): State<Intake>, headers: HeaderMap, body: Sent) -> Response {
    let outcome = intake.alertmanager(&headers, body).await;
    outcome.answer(Shape::Json, "")
}

async fn generic(
    State(intake): State<Intake>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    let asked = query.as_deref().unwrap_or_default();
    let asked = url::form_urlencoded::parse(asked.as_bytes());
    let named = headers
        .get(SOURCE)
        .and_then(|name| Some(name.to_str().ok()?.to_owned()));
    let named = named.or_else(|| {
        asked
            .into_iter()
            .find(|(key, _)| key == "source")
            .map(|(_, name)| name.into_owned())
    });
    intake.generic(named.as_deref(), &headers, body).await
}

async fn generic_named(
    State(intake): State<Intake>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    intake.generic(Some(&name), &headers, body).await
}

impl Intake {
    async fn alertmanager(&self, headers: &HeaderMap, body: Sent) -> Outcome {
        if let Err(why) = allowed(self.token.as_ref(), shown(headers).as_deref()) {
            return Outcome::NotAllowed(why.to_owned());
        }
        let body = match body {
            Ok(body) => body,
            Err(error) => return unread(&error),
        };
        match alertmanager::parse(&body, self.bot.now()) {
            Ok(mut said) => match bot::hear_watchdogs(&self.bot, &mut said).await {
                Ok(()) => self.take("alertmanager", said).await,
                Err(error) => later(&error),
            },
            Err(error) => self.malformed("alertmanager", error).await,
        }
    }

    /// What a sender beside Alertmanager has to say.
    async fn generic(&self, named: Option<&str>, headers: &HeaderMap, body: Sent) -> Response {
        let found = match named {
            Some(name) => self.sources.iter().find(|one| one.name == name),
            None if self.sources.len() == 1 => self.sources.first(),
            None => None,
        };
        let Some(source) = found else {
            return self
                .no_source(headers, self.which())
                .answer(Shape::Json, "");
        };
        let shape = source.of.mapping.shape;
        if shape == Shape::PagerDuty {
            return self.pagerduty(Some(source), headers, body).await;
        }
        self.sent(source, headers, body).await.answer(shape, "")
    }

    /// What a source sent, once it has shown what lets it in.
    async fn sent(&self, source: &Source, headers: &HeaderMap, body: Sent) -> Outcome {
        let body = match body {
            Ok(body) => body,
            Err(error) => return unread(&error),
        };
        let mapping = &source.of.mapping;
        let token = source.token.as_ref();
        let shown = shown(headers);
        let let_in = match is_signed(token, headers, &mapping.signatures, &body) {
            Some(true) => Ok(()),
            Some(false) => Err("this is not the signature of the body"),
            None => allowed(token, shown.as_deref()),
        };
        let let_in = let_in.map_err(|why| Outcome::NotAllowed(why.to_owned()));
        let let_in = match mapping.shape {
            Shape::Sns => self.signed_by_sns(&source.of, &body, let_in).await,
            _ => let_in,
        };
        if let Err(outcome) = let_in {
            return outcome;
        }
        let resource = headers.get(RESOURCE).and_then(|name| name.to_str().ok());
        self.read(source, &body, resource).await
    }

    /// Only who may send learns which sources there are.
    fn no_source(&self, headers: &HeaderMap, told: String) -> Outcome {
        match allowed(self.token.as_ref(), shown(headers).as_deref()) {
            Ok(()) => Outcome::NoSource(told),
            Err(why) => Outcome::NotAllowed(why.to_owned()),
        }
    }

    async fn read(&self, source: &Source, body: &[u8], resource: Option<&str>) -> Outcome {
        let now = self.bot.now();
        match generic::parse(body, &source.name, &source.of.mapping, resource, now) {
            Ok(Read::Alerts(said)) => self.take(&source.name, said).await,
            Ok(Read::Subscription { topic, url }) => sns::subscription(&source.name, &topic, url),
            Ok(Read::Unsubscribed { topic }) => self.unsubscribed(&source.name, &topic).await,
            Err(error) => self.malformed(&source.name, error).await,
        }
    }

    /// Which sources there are.
    fn which(&self) -> String {
        let names: Vec<&str> = self.sources.iter().map(|one| one.name.as_str()).collect();
        match names.as_slice() {
            [] => "there is no [[source]] in the configuration".to_owned(),
            names => format!(
                "say which source it is, /alerts/generic/NAME: {}",
                names.join(", ")
            ),
        }
    }

    async fn take(&self, source: &str, said: Body) -> Outcome {
        let bad = said.malformed.len();
        let span = tracing::error_span!("alerts", source);
        let taken = match bot::receive(&self.bot, source, said).instrument(span).await {
            Ok(taken) => taken,
            // The sender tries again: nothing is lost.
            Err(error) => return later(&error),
        };
        let (taken, ignored) = taken;
        let further = [(ignored, "ignored"), (bad, "not understood")];
        let further: String = further
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        Outcome::Taken(format!(
            "{} fired, {} ended, {} known already{further}",
            taken.fired, taken.resolved, taken.known
        ))
    }

    /// Nothing in a body is understood.
    async fn malformed(&self, source: &str, error: Malformed) -> Outcome {
        let told = error.to_string();
        if let Err(error) = bot::refused(&self.bot, source, error).await {
            tracing::error!(%error, "it could not be recorded that a body was not understood");
        }
        Outcome::Malformed(told)
    }
}

fn later(error: &StoreError) -> Outcome {
    tracing::error!(%error, "alerts could not be recorded");
    Outcome::Later("the alerts could not be recorded: send them again".to_owned())
}

fn unread(error: &BytesRejection) -> Outcome {
    Outcome::Unread(error.status(), error.body_text())
}

/// The JSON of a body; nothing where it is none.
fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}
