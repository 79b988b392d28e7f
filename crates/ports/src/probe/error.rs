//! Why a probe has no answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// At which step a probe failed: against each something else helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeErrorKind {
    /// The host name has no address.
    Resolve,
    /// Nobody listens, or the network refuses.
    Connect,
    /// No answer in time.
    Timeout,
    /// The encrypted connection could not be agreed on.
    Tls,
    /// Wrong user, password or token, or no right to connect.
    Authenticate,
    /// The server is starting, stopping or loading its data.
    Starting,
    /// The server has no free connection.
    Full,
    /// What was asked about is not there.
    NotFound,
    /// Connected, but without the right to see or do this.
    Denied,
    /// It can't be done, or must not be.
    Unsupported,
    /// The server answered with an error of its own.
    Failed,
}

impl ProbeErrorKind {
    /// The thing asked about is down or out of reach, as opposed to a question it would not answer.
    pub fn is_down(self) -> bool {
        matches!(
            self,
            Self::Resolve
                | Self::Connect
                | Self::Timeout
                | Self::Tls
                | Self::Authenticate
                | Self::Starting
                | Self::Full
        )
    }
}

/// Why a probe has no answer. No text of it ever holds a password or a whole connection URL.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {hint}")]
pub struct ProbeError {
    /// The step that failed.
    pub kind: ProbeErrorKind,
    /// What is wrong, for people, such as `PostgreSQL at db:5432 refused the password of "bot"`.
    pub what: String,
    /// What the operator can do.
    pub hint: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProbeError {
    /// An error without a cause below it.
    pub fn new(kind: ProbeErrorKind, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            hint: hint.into(),
            source: None,
        }
    }

    /// Adds the cause.
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The requester can correct it: told to them, not logged as a failure of ours.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            ProbeErrorKind::NotFound | ProbeErrorKind::Unsupported | ProbeErrorKind::Denied
        )
    }
}
