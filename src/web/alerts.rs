//! `POST /alerts/alertmanager` and `POST /alerts/generic`: where alerts come in.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::bot::Bot;
use crate::domain::alert::generic::{self, Mapping, Read};
use crate::domain::alert::{Body, Malformed, alertmanager};

/// The largest body, bytes: 1,000 alerts of 4 KB.
const MAX_BODY: usize = 4 << 20;
/// The header that names the source, where the path does not.
const SOURCE: &str = "x-alert-source";

/// A sender beside Alertmanager.
#[derive(Debug, Clone)]
pub struct AlertSource {
    /// It sends to `/alerts/generic/NAME`.
    pub name: String,
    /// What it has to show; without one, what Alertmanager has to show.
    pub token: Option<SecretString>,
    /// Where things are in its JSON.
    pub mapping: Mapping,
}

/// What the routes work on.
#[derive(Clone)]
struct Intake {
    bot: Bot,
    /// The token of senders without their own; `None`: from them nothing is taken in.
    token: Option<Token>,
    sources: Arc<Vec<(AlertSource, Option<Token>)>>,
}

/// What a sender has to show.
#[derive(Clone)]
struct Token {
    secret: SecretString,
    digest: [u8; 32],
}

impl Token {
    fn new(secret: &SecretString) -> Self {
        Self {
            secret: secret.clone(),
            digest: digest(secret.expose_secret().as_bytes()),
        }
    }
}

/// The routes. Without a token every request is refused, and told what to do.
pub fn alerts_router(bot: Bot, token: Option<&SecretString>, sources: Vec<AlertSource>) -> Router {
    let token = token.map(Token::new);
    let with_token = |source: AlertSource| {
        let own = source.token.as_ref().map(Token::new);
        (source, own.or_else(|| token.clone()))
    };
    let sources = Arc::new(sources.into_iter().map(with_token).collect());
    Router::new()
        .route("/alerts/alertmanager", post(alertmanager))
        .route("/alerts/generic", post(generic))
        .route("/alerts/generic/{name}", post(generic_named))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Intake {
            bot,
            token,
            sources,
        })
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The bytes of a body, or why they were not read to their end (too large, cut off).
type Sent = Result<Bytes, BytesRejection>;

async fn alertmanager(State(intake): State<Intake>, headers: HeaderMap, body: Sent) -> Response {
    if let Err(why) = allowed(intake.token.as_ref(), &headers, None) {
        return refused("token", StatusCode::UNAUTHORIZED, why);
    }
    let body = match body {
        Ok(body) => body,
        Err(error) => return unread(&error),
    };
    match alertmanager::parse(&body) {
        Ok(said) => intake.take(said).await,
        Err(error) => malformed(&error),
    }
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
    /// What a sender beside Alertmanager has to say.
    async fn generic(&self, named: Option<&str>, headers: &HeaderMap, body: Sent) -> Response {
        let found = match named {
            Some(name) => self.sources.iter().find(|(one, _)| one.name == name),
            None if self.sources.len() == 1 => self.sources.first(),
            None => None,
        };
        let Some((source, token)) = found else {
            // Only who may send learns which sources there are.
            if let Err(why) = allowed(self.token.as_ref(), headers, None) {
                return refused("token", StatusCode::UNAUTHORIZED, why);
            }
            return refused("source", StatusCode::NOT_FOUND, &self.which());
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => return unread(&error),
        };
        let signed = source
            .mapping
            .signature
            .as_deref()
            .map(|name| (name, &body[..]));
        if let Err(why) = allowed(token.as_ref(), headers, signed) {
            return refused("token", StatusCode::UNAUTHORIZED, why);
        }
        let now = self.bot.now();
        match generic::parse(&body, &source.name, &source.mapping, now) {
            Ok(Read::Alerts(said)) => self.take(said).await,
            Ok(Read::Subscription { topic, url }) => subscription(&source.name, &topic, url),
            Err(error) => malformed(&error),
        }
    }

    /// Which sources there are.
    fn which(&self) -> String {
        let names: Vec<&str> = self
            .sources
            .iter()
            .map(|(one, _)| one.name.as_str())
            .collect();
        match names.as_slice() {
            [] => "there is no [[source]] in the configuration".to_owned(),
            names => format!(
                "say which source it is, /alerts/generic/NAME: {}",
                names.join(", ")
            ),
        }
    }

    async fn take(&self, said: Body) -> Response {
        let (bad, ignored) = (said.malformed.len(), said.ignored);
        match crate::bot::take_alerts(&self.bot, said).await {
            Ok(taken) => {
                let further = [(ignored, "say nothing of it"), (bad, "are not understood")];
                let further: String = further
                    .iter()
                    .filter(|(count, _)| *count > 0)
                    .map(|(count, what)| format!(", {count} {what}"))
                    .collect();
                let said = format!(
                    "{} fired, {} are over, {} were known{further}\n",
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
}

fn unread(error: &BytesRejection) -> Response {
    refused("body", error.status(), &error.body_text())
}

fn malformed(error: &Malformed) -> Response {
    refused("malformed", StatusCode::BAD_REQUEST, &error.to_string())
}

/// Amazon SNS asks whether it may send here. Who confirms decides whose messages come in: that is no
/// program's to do, and the address came in with the request.
fn subscription(source: &str, topic: &str, url: Option<String>) -> Response {
    metrics::counter!("treasury_bot_alerts_subscriptions_total").increment(1);
    match url {
        Some(url) => tracing::warn!(
            source,
            topic,
            url,
            "SNS asks to confirm a subscription: if the topic is yours, open this address once"
        ),
        None => tracing::warn!(
            source,
            topic,
            "somebody asks to confirm a subscription with an address that is not Amazon's: ignore it"
        ),
    }
    let said = "not confirmed by itself: the bot's log has the address that a person opens\n";
    (StatusCode::ACCEPTED, said).into_response()
}

/// A bearer token, the password of a user of any name (SNS can send nothing else), or a signature of
/// the body. Digests are compared: how long that takes says nothing about the token.
fn allowed(
    token: Option<&Token>,
    headers: &HeaderMap,
    signed: Option<(&str, &[u8])>,
) -> Result<(), &'static str> {
    let Some(token) = token else {
        return Err("no token is configured: set TREASURY_BOT_ALERTS_TOKEN or [alerts] token_file");
    };
    if let Some((name, body)) = signed
        && let Some(signature) = headers.get(name)
    {
        let signature = signature.as_bytes();
        return if is_signature(token, signature, body) {
            Ok(())
        } else {
            Err("this is not the signature of the body")
        };
    }
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let shown = given.and_then(|value| match value.split_once(' ') {
        Some(("Bearer", token)) => Some(token.trim().to_owned()),
        Some(("Basic", both)) => {
            let both = BASE64.decode(both.trim()).ok()?;
            let both = String::from_utf8(both).ok()?;
            Some(both.split_once(':')?.1.to_owned())
        }
        _ => None,
    });
    match shown {
        None => Err("a bearer token is needed: Authorization: Bearer …"),
        Some(shown) if digest(shown.as_bytes()) == token.digest => Ok(()),
        Some(_) => Err("this is not the bearer token"),
    }
}

/// HMAC-SHA256 in hexadecimal, perhaps after `sha256=`.
fn is_signature(token: &Token, given: &[u8], body: &[u8]) -> bool {
    let given = given.strip_prefix(b"sha256=").unwrap_or(given);
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> = given
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    let key = token.secret.expose_secret().as_bytes();
    let (Some(bytes), Ok(mut mac)) = (bytes, Hmac::<Sha256>::new_from_slice(key)) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&bytes).is_ok()
}

fn refused(why: &'static str, status: StatusCode, text: &str) -> Response {
    metrics::counter!("treasury_bot_alerts_refused_total", "why" => why).increment(1);
    if why != "store" {
        tracing::warn!(why, %status, text, "a body of alerts was refused");
    }
    (status, format!("{text}\n")).into_response()
}
