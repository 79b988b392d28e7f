//! What is looked at, and what was found.

use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::duration;
use crate::notify::SendError;
use crate::platform::PlatformError;
use crate::probe::ProbeError;

/// What belongs together, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Group {
    /// The configuration file and what it names
    Config,
    /// Tokens, scopes, channels, people
    Slack,
    /// Docker engines and Swarms
    Docker,
    /// Clusters and the bot's rights there
    Kubernetes,
    /// PostgreSQL servers that people ask about
    Databases,
    /// Redis servers that people ask about
    Caches,
    /// Health addresses, and what the bot serves
    Web,
    /// Prometheus
    Prometheus,
    /// The log store
    Logs,
    /// Alertmanager, and what lets senders of alerts in
    Alerts,
    /// The mail server
    Email,
    /// Further ways to reach people
    Reach,
    /// How long certificates are good
    Certificates,
    /// Time zones
    Time,
    /// The bot's own database
    Store,
}

/// One kind of check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    /// Its name, which stays the same.
    pub(super) id: &'static str,
    pub(super) group: Group,
    /// What it asks.
    pub(super) asks: &'static str,
    /// What helps where the answer is no.
    pub(super) mend: &'static str,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It was looked at and is as it has to be.
    Ok,
    /// It works and would hurt later.
    Warning,
    /// It does not work.
    Failed,
    /// It was not looked at, or can't be told from here.
    Unknown,
}

impl State {
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Ok => "✅",
            Self::Warning => "⚠️",
            Self::Failed => "❌",
            Self::Unknown => "➖",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    /// The check's name.
    id: &'static str,
    pub(super) group: Group,
    /// What was looked at, such as `api` or `#treasury-incidents`.
    pub(super) subject: String,
    pub(super) state: State,
    /// What is so, in one line.
    pub(super) found: String,
    /// What helps; `null` where nothing is wrong.
    pub(super) mend: Option<String>,
}

impl Check {
    fn finding(self, state: State, subject: &str, found: String) -> Finding {
        Finding {
            id: self.id,
            group: self.group,
            subject: subject.to_owned(),
            state,
            found,
            mend: matches!(state, State::Warning | State::Failed).then(|| self.mend.to_owned()),
        }
    }

    pub(super) fn ok(self, subject: &str, found: impl Into<String>) -> Finding {
        self.finding(State::Ok, subject, found.into())
    }

    pub(super) fn warning(self, subject: &str, found: impl Into<String>) -> Finding {
        self.finding(State::Warning, subject, found.into())
    }

    pub(super) fn failed(self, subject: &str, found: impl Into<String>) -> Finding {
        self.finding(State::Failed, subject, found.into())
    }

    pub(super) fn unknown(self, subject: &str, why: impl Into<String>) -> Finding {
        self.finding(State::Unknown, subject, why.into())
    }

    /// Why it does not work, by an error that says what helps.
    pub(super) fn broken(self, subject: &str, fault: impl Into<Fault>) -> Finding {
        let Fault { what, hint } = fault.into();
        let finding = self.failed(subject, what);
        match hint {
            Some(hint) => finding.by(hint),
            None => finding,
        }
    }

    /// Whether another clock and ours agree; `theirs` was read between `asked` and now.
    pub(super) fn clock(
        self,
        subject: &str,
        whose: &str,
        theirs: Timestamp,
        asked: Timestamp,
    ) -> Finding {
        let now = Timestamp::now();
        let middle = asked + now.duration_since(asked) / 2;
        let ahead = theirs.duration_since(middle);
        // An HTTP date is told in whole seconds.
        let unsure = now.duration_since(asked) / 2 + SignedDuration::from_secs(1);
        let apart = duration::text(ahead.unsigned_abs());
        let way = if ahead.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        let found = format!("{whose} clock is {apart} {way} ours");
        match ahead.abs() - unsure {
            off if off >= SignedDuration::from_secs(60) => self.failed(subject, found),
            off if off >= SignedDuration::from_secs(5) => self.warning(subject, found),
            _ => self.ok(subject, format!("{whose} clock and ours agree")),
        }
    }
}

impl Finding {
    /// With what helps here.
    pub(super) fn by(self, mend: impl Into<String>) -> Self {
        let mend = Some(mend.into());
        Self { mend, ..self }
    }
}

/// Why something does not work, and what helps.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        Self {
            what: error.what,
            hint: Some(error.hint),
        }
    }
}

impl From<PlatformError> for Fault {
    fn from(error: PlatformError) -> Self {
        let (what, hint) = match error {
            PlatformError::NotFound {
                platform,
                what,
                hint,
            } => (format!("{what} was not found on {platform}"), Some(hint)),
            PlatformError::Denied { platform, hint } => {
                (format!("{platform} denies it"), Some(hint))
            }
            PlatformError::Unreachable { platform, hint, .. } => {
                (format!("{platform} can't be reached"), Some(hint))
            }
            other => (other.to_string(), None),
        };
        Self { what, hint }
    }
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Self {
        // It ends in what helps, where that is known.
        let text = error.to_string();
        let (what, hint) = match text.rsplit_once("; ") {
            Some((what, hint)) if hint.starts_with("check ") => {
                (what.to_owned(), Some(hint.to_owned()))
            }
            _ => (text, None),
        };
        Self { what, hint }
    }
}

impl From<Late> for Fault {
    fn from(late: Late) -> Self {
        Self {
            what: late.to_string(),
            hint: None,
        }
    }
}

/// How long one question may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) Duration);

/// There was no answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {}", duration::text(*.0))]
pub(super) struct Late(Duration);

impl Limit {
    /// The answer, or why there is none.
    pub(super) async fn ask<T, E: Into<Fault>>(
        self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.0, question).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(Late(self.0).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Check = Check {
        id: "x.clock",
        group: Group::Time,
        asks: "",
        mend: "set it",
    };

    #[test]
    fn clocks_agree_within_what_can_be_told() {
        for (ahead, state, found) in [
            (0_i64, State::Ok, "its clock and ours agree"),
            (-3, State::Ok, "its clock and ours agree"),
            (20, State::Warning, "its clock is 20s ahead of ours"),
            (-7_200, State::Failed, "its clock is 2h behind ours"),
        ] {
            let asked = Timestamp::now();
            // A little more, so that it is not less when it is compared.
            let ahead: i64 = ahead;
            let off = SignedDuration::from_millis(ahead * 1_000 + ahead.signum() * 300);
            let finding = CLOCK.clock("x", "its", asked + off, asked);
            assert_eq!((finding.state, finding.found.as_str()), (state, found));
            assert_eq!(finding.mend.is_some(), state != State::Ok);
        }
    }

    #[test]
    fn what_helps_is_told_apart_from_what_is_wrong() {
        let fault = |text: &str| {
            let fault = Fault::from(SendError::Later(text.to_owned()));
            (fault.what, fault.hint)
        };
        assert_eq!(
            fault("mail:587, logging in: 535 no; check [email] username and its password"),
            (
                "mail:587, logging in: 535 no".to_owned(),
                Some("check [email] username and its password".to_owned())
            )
        );
        assert_eq!(fault("451 later; greylisted").1, None);
    }
}
