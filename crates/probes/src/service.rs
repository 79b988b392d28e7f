//! A service that is asked over HTTP, such as Prometheus, and how its errors name it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::fetch::{Fetch, NoAnswer};
use super::{ProbeError, ProbeErrorKind as Kind};

/// A service at its address.
pub(super) struct Service {
    /// What an error begins with, such as `Alertmanager at http://…`.
    pub(super) label: String,
    /// Where its address is configured, such as `[alertmanager] url`.
    pub(super) setting: &'static str,
    /// The start of all its addresses, with a slash at the end.
    pub(super) url: String,
    pub(super) authorization: Option<Result<HeaderValue, InvalidHeaderValue>>,
    /// A further header of all requests.
    pub(super) header: Option<(&'static str, String)>,
    /// The longest that a question may take.
    pub(super) timeout: Duration,
    pub(super) fetch: Fetch,
}

/// An `Authorization` header that no log shows.
pub(super) fn authorization(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::from_str(text)?;
    header.set_sensitive(true);
    Ok(header)
}

/// The text of an `Authorization` header: a token of this kind (such as `Bearer`), or a user.
pub(super) fn login(
    kind_of_token: &str,
    token: Option<&SecretString>,
    login: Option<&(String, SecretString)>,
) -> Option<String> {
    match (token, login) {
        (Some(token), _) => Some(format!("{kind_of_token} {}", token.expose_secret())),
        (None, Some((user, password))) => {
            let both = format!("{user}:{}", password.expose_secret());
            Some(format!("Basic {}", BASE64.encode(both)))
        }
        (None, None) => None,
    }
}

impl Service {
    /// The status and the whole body, whatever the status.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<(u16, Bytes), ProbeError> {
        let setting = self.setting;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(CONTENT_TYPE, content_type);
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        match &self.authorization {
            Some(Ok(header)) => request = request.header(AUTHORIZATION, header),
            Some(Err(_)) => {
                let what = "the token holds characters that can't be sent";
                let hint = "write it again without line breaks";
                return Err(self.error(Kind::Authenticate, what, hint));
            }
            None => {}
        }
        let request = request.body(body).map_err(|error| {
            let what = format!("its address is not understood ({error})");
            self.error(Kind::Unsupported, &what, format!("correct {setting}"))
        })?;
        let sent = self.fetch.send(request, self.timeout).await;
        let sent = sent.map(|answer| (answer.status().as_u16(), answer.into_body()));
        sent.map_err(|NoAnswer { kind, what }| {
            let hint = match kind {
                Kind::Resolve => format!("correct {setting}, or fix DNS"),
                Kind::Tls => "fix its certificate".to_owned(),
                _ => format!("is it running, and is {setting} right?"),
            };
            self.error(kind, &what, hint)
        })
    }

    /// An error that names the service.
    pub(super) fn error(&self, kind: Kind, what: &str, hint: impl Into<String>) -> ProbeError {
        ProbeError::new(kind, format!("{} {what}", self.label), hint)
    }
}
