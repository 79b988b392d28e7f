//! The one way in: whatever brought a payload, it is read, recorded, and only then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use url::Url;

use super::directory::People;
use super::inbound::{Kind, Reader};
use crate::bot::Acceptance;
use crate::domain::Request;
use crate::telemetry::metrics::SLACK_REQUESTS;

/// Slack waits 3 s for an acknowledgement; what is recorded later comes again and is a duplicate.
const RECORD_WITHIN: Duration = Duration::from_millis(2_500);

/// Records a request durably; the error is for the log.
pub type Accept =
    Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Acceptance, String>> + Send + Sync>;

/// A request that could not be recorded: it must not be acknowledged, so that it comes again.
#[derive(Debug, thiserror::Error)]
#[error("a request could not be recorded: {0}")]
pub struct NotRecorded(String);

/// Takes payloads in.
#[derive(Clone)]
pub struct Dispatch {
    accept: Accept,
    people: People,
    api_url: Option<Url>,
}

impl Dispatch {
    /// Payloads go to `accept`; names that they lack come from `people`.
    pub fn new(accept: Accept, people: People, api_url: Option<Url>) -> Self {
        Self {
            accept,
            people,
            api_url,
        }
    }

    /// Records what a payload asks for, if anything. `Ok` means: acknowledge.
    pub async fn take(&self, kind: Kind, payload: &Value) -> Result<(), NotRecorded> {
        let reader = Reader {
            api_url: self.api_url.clone(),
            bot_user: self.people.bot_user(),
        };
        let Some(mut request) = reader.read(kind, payload) else {
            count(kind, "ignored");
            return Ok(());
        };
        self.people.name(&mut request.person);
        let key = request.key.clone();
        let recorded = tokio::time::timeout(RECORD_WITHIN, (self.accept)(request)).await;
        match recorded {
            Ok(Ok(Acceptance::New)) => {
                count(kind, "new");
                Ok(())
            }
            Ok(Ok(Acceptance::Duplicate)) => {
                tracing::debug!(key, "a request was delivered again");
                count(kind, "duplicate");
                Ok(())
            }
            Ok(Err(error)) => Err(refused(kind, error)),
            Err(_) => Err(refused(kind, "the store took too long".to_owned())),
        }
    }
}

fn refused(kind: Kind, error: String) -> NotRecorded {
    count(kind, "failed");
    tracing::error!(
        kind = kind.as_str(),
        error,
        "a request could not be recorded; Slack will send it again"
    );
    NotRecorded(error)
}

fn count(kind: Kind, outcome: &'static str) {
    SLACK_REQUESTS.count(&[kind.as_str(), outcome]);
}
