//! The one way in: whatever brought a payload, it is read, recorded, and only then acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use url::Url;

use super::client::Client;
use super::directory::People;
use super::inbound::{Kind, Reader};
use super::lock::lock;
use super::render::escape;
use super::scopes::Method;
use crate::bot::Acceptance;
use crate::domain::Request;
use crate::telemetry::metrics::SLACK_REQUESTS;

/// Slack waits 3 s for an acknowledgement. What is recorded later is answered all the same.
const RECORD_WITHIN: Duration = Duration::from_millis(2_500);

/// Records a request durably; the error is for the log.
pub type Accept =
    Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Acceptance, String>> + Send + Sync>;

/// A request that could not be recorded. A command's requester sees what is answered with its
/// acknowledgement, since Slack sends no command twice. Anything else must not be acknowledged: Slack
/// marks the button, and sends an event again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotRecorded(String);

impl NotRecorded {
    /// Too much is asked at once.
    pub fn overloaded() -> Self {
        let words = "too much is asked at once. Type it again in a moment.";
        Self(format!("{NOTHING_DONE}: {words}"))
    }

    /// What the requester of a command sees.
    pub fn answer(&self) -> Value {
        json!({"response_type": "ephemeral", "text": escape(&self.0)})
    }
}

const NOTHING_DONE: &str = "⚠️ This was not recorded, and nothing was done";

/// How many requests are remembered whose requesters were told.
const TOLD: usize = 256;

/// Takes payloads in.
#[derive(Clone)]
pub struct Dispatch {
    accept: Accept,
    people: People,
    api_url: Option<Url>,
    client: Option<Client>,
    /// Requests that could not be recorded and whose requesters heard of it.
    told: Arc<Mutex<VecDeque<String>>>,
}

impl Dispatch {
    /// Payloads go to `accept`; names that they lack come from `people`.
    pub fn new(accept: Accept, people: People, api_url: Option<Url>) -> Self {
        Self {
            accept,
            people,
            api_url,
            client: None,
            told: Arc::default(),
        }
    }

    /// With a way to tell requesters what could not be recorded, past the store.
    pub fn telling(self, client: Client) -> Self {
        let client = Some(client);
        Self { client, ..self }
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
        // A command's requester hears of it by the acknowledgement.
        let asked = (kind != Kind::Command).then(|| request.clone());
        let recorded = tokio::time::timeout(RECORD_WITHIN, (self.accept)(request)).await;
        let why = match recorded {
            Ok(Ok(Acceptance::New)) => {
                count(kind, "new");
                return Ok(());
            }
            Ok(Ok(Acceptance::Duplicate)) => {
                tracing::debug!(key, "a request was delivered again");
                count(kind, "duplicate");
                return Ok(());
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        count(kind, "failed");
        let error = why.as_deref().unwrap_or("the store gave no answer in time");
        tracing::error!(
            kind = kind.as_str(),
            error,
            "a request could not be recorded; {}",
            match kind {
                Kind::Command => "its requester is told, Slack does not send it again",
                Kind::Interaction => "Slack marks the button and does not send it again",
                Kind::Event => "Slack sends it again, up to three times within five minutes",
            }
        );
        let words = words(kind, why.as_deref());
        if let Some(asked) = asked {
            self.tell(&asked, &words);
        }
        Err(NotRecorded(words))
    }

    /// Tells a requester, once each request and as far as Slack takes it: nothing of it is kept.
    fn tell(&self, asked: &Request, words: &str) {
        let Some(client) = self.client.clone() else {
            return;
        };
        {
            let mut told = lock(&self.told);
            if told.contains(&asked.key) {
                return;
            }
            told.truncate(TOLD - 1);
            told.push_front(asked.key.clone());
        }
        let text = escape(words);
        let url = asked.reply.response_url.as_deref();
        let url = url.and_then(|url| Url::parse(url).ok());
        let mut body =
            json!({"channel": asked.place.channel, "user": asked.person.id, "text": text});
        if let Some(thread) = &asked.place.thread {
            body["thread_ts"] = json!(thread);
        }
        let answer = json!({"response_type": "ephemeral", "replace_original": false, "text": text});
        tokio::spawn(async move {
            let told = match url {
                Some(url) => client.respond(&url, &answer).await,
                None => client
                    .post(Method::ChatPostEphemeral, &body)
                    .await
                    .map(drop),
            };
            if let Err(error) = told {
                tracing::warn!(%error, "nor could its requester be told");
            }
        });
    }
}

/// What the requester hears; `why`: nothing was recorded for this, otherwise that is not known.
fn words(kind: Kind, why: Option<&str>) -> String {
    let again = match kind {
        Kind::Command => "type it again",
        Kind::Interaction => "press again",
        Kind::Event => "say it again",
    };
    match (why, kind) {
        (Some(why), Kind::Event) => format!(
            "{NOTHING_DONE} so far: {why}. Slack sends it again by itself for five minutes; where no \
             answer comes by then, {again}."
        ),
        (Some(why), _) => format!("{NOTHING_DONE}: {why}. Then {again}."),
        (None, _) => format!(
            "⚠️ It is not known whether this was recorded: the store gave no answer in time. If it \
             was, it is answered; where no answer comes within a minute, {again}."
        ),
    }
}

fn count(kind: Kind, outcome: &'static str) {
    SLACK_REQUESTS.count(&[kind.as_str(), outcome]);
}
