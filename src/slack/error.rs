//! Why a call of Slack's Web API failed, by what to do about it.

use std::error::Error;
use std::io;
use std::time::Duration;

use serde_json::Value;
use slack_morphism::errors::SlackClientError;

use crate::domain::timeline::cut;

/// The wait after a 429 without `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Longest wait that is believed.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Why a call failed, by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Too much of it; not done. Again after this time.
    #[error("Slack asks to wait {} s", after.as_secs())]
    RateLimited {
        /// What `Retry-After` said.
        after: Duration,
    },
    /// May work in a while.
    #[error("{cause}")]
    Transient {
        /// In a few words.
        cause: String,
        /// It may have been done all the same.
        perhaps_done: bool,
    },
    /// The token is refused: nothing will work until somebody corrects it.
    #[error("Slack refuses the token: {0}")]
    Token(String),
    /// Won't work: Slack's own word for it.
    #[error("{0}")]
    Refused(String),
}

impl ApiError {
    /// Slack's word, if it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(code) | Self::Token(code) => Some(code),
            _ => None,
        }
    }

    /// The call may have been carried out all the same.
    pub(super) fn is_perhaps_done(&self) -> bool {
        matches!(self, Self::Transient { perhaps_done, .. } if *perhaps_done)
    }

    /// The word in metrics: few different ones.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Transient { .. } => "transient",
            Self::Token(_) => "token",
            Self::Refused(_) => "refused",
        }
    }

    pub(super) fn transient(cause: impl Into<String>, perhaps_done: bool) -> Self {
        Self::Transient {
            cause: cause.into(),
            perhaps_done,
        }
    }
}

/// What an operator can do about one of Slack's errors.
pub fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" => {
            "check the tokens: TREASURY_BOT_SLACK_BOT_TOKEN (xoxb-…) and TREASURY_BOT_SLACK_APP_TOKEN (xapp-…)"
        }
        "not_allowed_token_type" => {
            "Socket Mode needs the app-level token (xapp-…) with the scope connections:write, everything else the bot token (xoxb-…)"
        }
        "account_inactive" | "team_access_not_granted" => "install the app in the workspace again",
        "missing_scope" | "no_permission" => {
            "add the scope to the app at api.slack.com/apps and install it again"
        }
        "link_disabled" | "forbidden_team" => "switch Socket Mode on in the app's settings",
        _ => return None,
    })
}

/// The scope that the app lacks, by Slack's answer (`needed`).
pub(super) fn needed_scope(error: &SlackClientError) -> Option<String> {
    let SlackClientError::ApiError(api) = error else {
        return None;
    };
    let body: Value = serde_json::from_str(api.http_response_body.as_deref()?).ok()?;
    Some(cut(body["needed"].as_str()?, 80))
}

pub(super) fn classify(error: &SlackClientError) -> ApiError {
    match error {
        SlackClientError::RateLimitError(limit) => ApiError::RateLimited {
            after: limit
                .retry_after
                .unwrap_or(RETRY_AFTER)
                .min(MAX_RETRY_AFTER),
        },
        SlackClientError::ApiError(api) => from_code(&api.code),
        SlackClientError::HttpError(http) => {
            let status = http.status_code;
            if status.is_server_error() || status == 408 {
                ApiError::transient(format!("HTTP {}", status.as_u16()), true)
            } else {
                // A refused response_url says so by status and a word in the body.
                ApiError::Refused(format!("http_{}", status.as_u16()))
            }
        }
        SlackClientError::HttpProtocolError(http) => {
            // Only a connection that never came about is sure not to have carried the call.
            // hyper's own word for it, since its error type is not ours to name.
            match &http.cause {
                Some(cause) if cause.to_string().contains("(Connect)") => {
                    let why = why_no_connection(&**cause);
                    ApiError::transient(format!("no connection: {why}"), false)
                }
                _ => ApiError::transient("connection lost", true),
            }
        }
        // The body can hold what people said: it is not repeated in the log.
        SlackClientError::ProtocolError(_) => ApiError::transient("unreadable answer", true),
        SlackClientError::EndOfStream(_)
        | SlackClientError::SystemError(_)
        | SlackClientError::SocketModeProtocolError(_) => {
            ApiError::transient("connection lost", true)
        }
    }
}

/// Why no connection came about, in a few words: the first of the errors behind it that says so, or
/// the last.
pub(super) fn why_no_connection(error: &(dyn Error + 'static)) -> String {
    let (mut last, mut next) = (String::new(), Some(error));
    while let Some(one) = next {
        next = one.source();
        last = one.to_string();
        if last.contains("failed to lookup address") || last == "dns error" {
            return "its name is not known (DNS)".to_owned();
        }
        let io = one.downcast_ref::<io::Error>();
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => {
                return "refused, nobody listens there".to_owned();
            }
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                return "no way leads there".to_owned();
            }
            Some(io::ErrorKind::TimedOut) => return "no answer in time".to_owned(),
            _ => {}
        }
        // What an error of this kind holds is not its source.
        let held = io.and_then(|io| io.get_ref());
        let tls = held.and_then(|held| held.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls.or_else(|| one.downcast_ref()) {
            return format!("TLS: {}", cut(&tls.to_string(), 160));
        }
    }
    cut(&last, 160)
}

/// What Slack's own word means.
pub(super) fn from_code(code: &str) -> ApiError {
    match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            ApiError::RateLimited { after: RETRY_AFTER }
        }
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "accesslimited"
        | "external_channel_migrating" => ApiError::transient(code, true),
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "not_allowed_token_type"
        | "org_login_required"
        | "ekm_access_denied"
        | "team_access_not_granted" => ApiError::Token(code.to_owned()),
        code => ApiError::Refused(code.chars().filter(|c| !c.is_control()).take(80).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_connection_is_said_in_few_words() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        for (error, why) in [
            (
                io::ErrorKind::ConnectionRefused.into(),
                "refused, nobody listens there",
            ),
            (
                io::ErrorKind::NetworkUnreachable.into(),
                "no way leads there",
            ),
            (
                io::Error::other("failed to lookup address information: Name or service not known"),
                "its name is not known (DNS)",
            ),
            (
                io::Error::new(io::ErrorKind::InvalidData, tls),
                "TLS: invalid peer certificate: UnknownIssuer",
            ),
            (io::Error::other("odd"), "odd"),
        ] {
            assert_eq!(why_no_connection(&error), why);
        }
    }
}
