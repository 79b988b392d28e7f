//! Slack's Web API, with a time-out around every call and errors that say what to do next.
//!
//! The transport and the typed methods are slack-morphism's. Calls whose answers its models would
//! read more strictly than needed (a posted message comes back with all its blocks) go through its
//! raw `http_post`: an answer that can't be parsed must not make a posted message look unposted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use slack_morphism::api::{
    SlackApiAppsConnectionOpenRequest, SlackApiAuthTestResponse,
    SlackApiFilesGetUploadUrlExternalRequest, SlackApiFilesGetUploadUrlExternalResponse,
};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::{
    SlackApiToken, SlackApiTokenValue, SlackClient, SlackClientApiCallContext,
    SlackClientHttpConnector, SlackClientHyperConnector, SlackClientHyperHttpsConnector,
    SlackClientSession, SlackHyperClient,
};
use url::Url;

use super::error::{ApiError, classify, needed_scope};
use super::scopes::Method;
use super::state::State;
use crate::telemetry::metrics;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Slack itself.
const SLACK: &str = "https://slack.com/api";

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No certificate authorities on this machine.
    #[error("no TLS root certificates can be read: {0}")]
    Roots(std::io::Error),
    /// A token with characters that no header may have.
    #[error("the {0} token has characters that no token has")]
    Token(&'static str),
}

/// How far a list was read.
pub struct Pages {
    /// Where the next page begins; empty for the first.
    cursor: Option<String>,
    left: usize,
}

impl Pages {
    /// At most so many pages, from the first.
    pub fn new(most: usize) -> Self {
        Self {
            cursor: Some(String::new()),
            left: most,
        }
    }
}

/// The Web API of one workspace.
#[derive(Clone)]
pub struct Client {
    slack: Arc<SlackHyperClient>,
    /// Where the methods are, for what slack-morphism does not tell of an answer.
    pub(super) base: String,
    pub(super) connector: HttpsConnector<HttpConnector>,
    pub(super) bot: Arc<SlackApiToken>,
    app: Option<Arc<SlackApiToken>>,
    pub(super) timeout: Duration,
    allows_plain: bool,
    state: State,
}

impl Client {
    /// A client for the API at `api_url` (Slack's own if none); plain HTTP only if that is.
    pub fn new(
        api_url: Option<&Url>,
        bot: &SecretString,
        app: Option<&SecretString>,
    ) -> Result<Self, ClientError> {
        let allows_plain = api_url.is_some_and(|url| url.scheme() == "http");
        let base = api_url.map_or(SLACK, Url::as_str).trim_end_matches('/');
        let connector = connector(allows_plain)?;
        let hyper: SlackClientHyperHttpsConnector =
            SlackClientHyperConnector::from(connector.clone()).with_slack_api_url(base);
        Ok(Self {
            slack: Arc::new(SlackClient::new(hyper)),
            base: base.to_owned(),
            connector,
            bot: Arc::new(token("bot", bot)?),
            app: app.map(|app| token("app", app)).transpose()?.map(Arc::new),
            timeout: TIMEOUT,
            allows_plain,
            state: State::new().0,
        })
    }

    /// What is refused is remembered here.
    pub(super) fn remembering(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// What Slack refuses at present.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Another time-out for every call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The API is reached over plain HTTP, so sockets may be plain, too.
    pub fn allows_plain(&self) -> bool {
        self.allows_plain
    }

    /// Calls a method with a JSON body.
    pub async fn post(&self, method: Method, body: &Value) -> Result<Value, ApiError> {
        let session = self.session();
        self.bounded(
            method.as_str(),
            session
                .http_session_api
                .http_post(method.as_str(), body, None),
        )
        .await
    }

    /// Calls a method that reads; these take no JSON.
    pub async fn query(
        &self,
        method: Method,
        parameters: &[(&str, &str)],
    ) -> Result<Value, ApiError> {
        let parameters: Vec<(&str, Option<&str>)> = parameters
            .iter()
            .map(|(key, value)| (*key, Some(*value)))
            .collect();
        let session = self.session();
        self.bounded(
            method.as_str(),
            session
                .http_session_api
                .http_get(method.as_str(), &parameters, None),
        )
        .await
    }

    /// The next page of a method that lists; `None` after the last.
    pub async fn page(
        &self,
        method: Method,
        parameters: &[(&str, &str)],
        pages: &mut Pages,
    ) -> Result<Option<Value>, ApiError> {
        let Some(cursor) = pages.cursor.take().filter(|_| pages.left > 0) else {
            return Ok(None);
        };
        pages.left -= 1;
        let mut parameters = parameters.to_vec();
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let page = self.query(method, &parameters).await?;
        let next = page["response_metadata"]["next_cursor"].as_str();
        pages.cursor = next.filter(|next| !next.is_empty()).map(str::to_owned);
        Ok(Some(page))
    }

    /// Posts to a request's own address for answers. The address is a secret: never logged.
    pub async fn respond(&self, url: &Url, body: &Value) -> Result<(), ApiError> {
        let span = tracing::debug_span!("response_url");
        let context = SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let connector = &self.slack.http_api.connector;
        let answered: Value = self
            .bounded(
                "response_url",
                connector.http_post_uri(url.clone(), body, context),
            )
            .await?;
        match answered["ok"].as_bool() {
            Some(false) => Err(ApiError::Refused("not_ok".into())),
            _ => Ok(()),
        }
    }

    /// Who the bot is.
    pub async fn auth_test(&self) -> Result<SlackApiAuthTestResponse, ApiError> {
        let call = Method::AuthTest.as_str();
        self.bounded(call, self.session().auth_test()).await
    }

    /// The address of a new socket.
    pub async fn socket_url(&self) -> Result<Url, ApiError> {
        let Some(token) = &self.app else {
            return Err(ApiError::Token("not_allowed_token_type".into()));
        };
        let session = self.slack.open_session(token);
        let request = SlackApiAppsConnectionOpenRequest::new();
        let opened = self
            .bounded(
                Method::AppsConnectionsOpen.as_str(),
                session.apps_connections_open(&request),
            )
            .await?;
        Ok(opened.url.0)
    }

    /// Where to put a file's bytes, and the file's id; `alt` says what a picture shows.
    pub async fn upload_url(
        &self,
        name: &str,
        length: usize,
        alt: Option<String>,
    ) -> Result<SlackApiFilesGetUploadUrlExternalResponse, ApiError> {
        let request =
            SlackApiFilesGetUploadUrlExternalRequest::new(name.to_owned(), length).opt_alt_txt(alt);
        let session = self.session();
        self.bounded(
            Method::FilesGetUploadUrlExternal.as_str(),
            session.get_upload_url_external(&request),
        )
        .await
    }

    fn session(&self) -> SlackClientSession<'_, SlackClientHyperHttpsConnector> {
        self.slack.open_session(&self.bot)
    }

    /// What it comes to within the time that a call may take.
    pub(super) async fn timely<T>(
        &self,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let timely = tokio::time::timeout(self.timeout, call).await;
        timely.unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", self.timeout.as_secs_f32());
            Err(ApiError::transient(cause, true))
        })
    }

    async fn bounded<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, SlackClientError>>,
    ) -> Result<T, ApiError> {
        let started = Instant::now();
        let mut needed = None;
        let classified = async {
            call.await.map_err(|error| {
                needed = needed_scope(&error);
                classify(&error)
            })
        };
        let result = self.timely(classified).await;
        metrics::SLACK_CALL.took(&[], started.elapsed());
        self.state.called(method, &result, needed);
        let outcome = result.as_ref().err().map_or("ok", ApiError::kind);
        metrics::SLACK_CALLS.count(&[method, outcome]);
        result
    }
}

fn connector(allows_plain: bool) -> Result<HttpsConnector<HttpConnector>, ClientError> {
    let roots = match hyper_rustls::HttpsConnectorBuilder::new().with_native_roots() {
        Ok(roots) => roots,
        // A bare container image has none; a Slack on plain http needs none.
        Err(_) if allows_plain => hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(
            rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
        ),
        Err(error) => return Err(ClientError::Roots(error)),
    };
    let roots = if allows_plain {
        roots.https_or_http()
    } else {
        roots.https_only()
    };
    Ok(roots.enable_http1().enable_http2().build())
}

fn token(name: &'static str, secret: &SecretString) -> Result<SlackApiToken, ClientError> {
    let secret = secret.expose_secret().trim();
    if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ClientError::Token(name));
    }
    Ok(SlackApiToken::new(SlackApiTokenValue(secret.to_owned())))
}

/// The wait before try number `attempt` (from 0): anything up to a limit that doubles, so that
/// many clients don't come back at once.
pub(super) fn backoff(attempt: u32, base: Duration, max: Duration) -> Duration {
    let limit = base
        .saturating_mul(2u32.saturating_pow(attempt.min(16)))
        .min(max);
    limit.mul_f64(rand::random())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{StatusCode, header};
    use axum::response::{IntoResponse, Response};
    use axum::routing::any;
    use serde_json::json;

    use super::super::error::MAX_RETRY_AFTER;
    use super::*;

    /// What a call comes to when Slack answers so.
    async fn answered(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> ApiError {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let router = Router::new().route("/api/{method}", any(async move || answer()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        call(&url).await.unwrap_err()
    }

    async fn call(url: &str) -> Result<Value, ApiError> {
        let url = Url::parse(url).unwrap();
        let client = Client::new(Some(&url), &"xoxb-secret".into(), None).unwrap();
        let client = client.timeout(Duration::from_millis(500));
        client
            .post(Method::ChatPostMessage, &json!({"text": "said in private"}))
            .await
    }

    fn is_error(code: &'static str) -> impl Fn() -> Response + Clone + Send + Sync + 'static {
        move || axum::Json(json!({"ok": false, "error": code})).into_response()
    }

    #[tokio::test]
    async fn errors_say_what_to_do() {
        let limited = |seconds: &'static str| {
            move || {
                let body = axum::Json(json!({"ok": false, "error": "ratelimited"}));
                let wait = [(header::RETRY_AFTER, seconds)];
                (StatusCode::TOO_MANY_REQUESTS, wait, body).into_response()
            }
        };
        for (said, believed) in [("7", Duration::from_secs(7)), ("9999999", MAX_RETRY_AFTER)] {
            let error = answered(limited(said)).await;
            assert_eq!(error, ApiError::RateLimited { after: believed });
        }
        for perhaps in ["internal_error", "fatal_error", "service_unavailable"] {
            assert_eq!(
                answered(is_error(perhaps)).await,
                ApiError::transient(perhaps, true)
            );
        }
        let down = || StatusCode::BAD_GATEWAY.into_response();
        assert_eq!(answered(down).await, ApiError::transient("HTTP 502", true));
        assert_eq!(
            answered(is_error("invalid_auth")).await,
            ApiError::Token("invalid_auth".into())
        );
        assert_eq!(
            answered(is_error("is_archived")).await,
            ApiError::Refused("is_archived".into())
        );
        // Garbage may have been a success; what it holds is not repeated.
        let garbage = || {
            (
                [(header::CONTENT_TYPE, "application/json")],
                "said in private {",
            )
                .into_response()
        };
        assert_eq!(
            answered(garbage).await,
            ApiError::transient("unreadable answer", true)
        );
    }

    #[tokio::test]
    async fn only_a_connection_that_never_was_is_sure_to_have_done_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        // Taken, and never answered.
        let hangs = call(&url).await.unwrap_err();
        assert!(
            matches!(
                hangs,
                ApiError::Transient {
                    perhaps_done: true,
                    ..
                }
            ),
            "{hangs:?}"
        );
        drop(listener);
        let refused = call(&url).await.unwrap_err();
        assert_eq!(
            refused,
            ApiError::transient("no connection: refused, nobody listens there", false)
        );
    }

    #[test]
    fn a_token_of_impossible_characters_is_refused_and_not_shown() {
        let error = Client::new(None, &"xoxb-sec\nret".into(), None)
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "the bot token has characters that no token has"
        );
    }

    #[test]
    fn waits_grow_to_a_limit_and_are_spread() {
        let (base, max) = (Duration::from_millis(500), Duration::from_secs(30));
        for attempt in [0, 1, 5, 6, 40, u32::MAX] {
            let limit = base
                .saturating_mul(2u32.saturating_pow(attempt.min(16)))
                .min(max);
            let waits: Vec<_> = (0..50).map(|_| backoff(attempt, base, max)).collect();
            assert!(waits.iter().all(|wait| *wait <= limit), "{attempt}");
            assert!(waits.iter().any(|wait| *wait > limit / 2), "{attempt}");
            assert!(waits.iter().any(|wait| *wait < limit / 2), "{attempt}");
        }
    }
}
