//! `cache kill`: the connection of a cache's client is closed.
//!
//! A client's number is never used again, so that doing it again after a crash can't hit anybody
//! else.

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Failure, Found, Job, NOT_CONFIGURED, Worked};
use super::kind::{Intent, Kind, Plan, Rules, Words};
use super::probe::{ended, recover};
use crate::bot::registry::cache_question;
use crate::bot::services::Named;
use crate::bot::{Context, Fault, Refusal};
use crate::command::words::quote;
use crate::domain::action::{ActionKind, ActionRecord, ClientEnd};
use crate::domain::{Button, Guarded, Line, Role, ServiceName};
use crate::probe::Cache;
use crate::probe::cache::ClientId;

pub(super) const RULES: Rules = Rules {
    verb: "cache kill",
    guarded: Guarded::Db,
    needs: Role::Responder,
};

/// Which client of which cache.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillClient {
    /// The cache's name; needed only where there are several.
    #[arg(skip)]
    #[serde(default)]
    pub cache: Option<String>,
    /// The client's number.
    pub client: u64,
    /// The server it is connected to, where there are several: `host:port`.
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(default)]
    pub server: Option<String>,
}

/// What closing a connection came to, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct Closed {
    /// That client was there and its connection is closed.
    closed: bool,
}

impl KillClient {
    fn intent(&self, found: &Named<dyn Cache>, before_text: String) -> Intent {
        Intent {
            service: found.service.clone(),
            kind: ActionKind::Client(ClientEnd {
                cache: found.name.clone(),
                id: self.client,
                server: self.server.clone(),
            }),
            before: Vec::new(),
            before_text,
        }
    }
}

#[async_trait]
impl Words for KillClient {
    fn rules(&self) -> Rules {
        RULES
    }

    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let all = found.probe.clients().await?;
        let shown = all.list.iter().find(|one| {
            let server = self.server.as_ref();
            one.id == self.client && server.is_none_or(|server| *server == one.server)
        });
        if shown.is_some_and(|one| one.own) {
            let title = format!("Client {} is the bot itself. Nothing was done", self.client);
            return Err(Refusal::new(title).into());
        }
        let before_text = shown.map_or("not among those shown".to_owned(), |one| {
            format!("{} {}", one.address, one.name).trim().to_owned()
        });
        let server = self.server.as_ref();
        let server = server.map_or(String::new(), |at| format!(" --server {}", quote(at)));
        Ok(Plan {
            intent: self.intent(found, before_text),
            nothing: None,
            sentence: format!(
                "cache kill {}{server} --cache {}",
                self.client, found.name
            ),
            question: cache_question(self.client, shown),
        })
    }

    /// Whether the client is still there is found out when its connection is closed.
    async fn plan_step(&self, context: &Context) -> Result<Intent, Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        Ok(self.intent(found, String::new()))
    }
}

#[async_trait]
impl Kind for ClientEnd {
    fn rules(&self) -> Rules {
        RULES
    }

    fn is_on_platform(&self) -> bool {
        false
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let Self { cache, id, server } = self;
        let Ok(found) = job.context.catalogue().cache(Some(cache.as_str())) else {
            return Err(Failure::new(NOT_CONFIGURED, None));
        };
        let client = ClientId {
            id: *id,
            server: server.clone(),
        };
        let there = found.probe.kill(&client).await;
        let there = there.map_err(|error| Failure::new(error.to_string(), None))?;
        let what = if there {
            "has its connection closed"
        } else {
            "was gone already"
        };
        let title = Line::new()
            .text(format!("Client {id} of "))
            .code(cache)
            .text(format!(" {what}"));
        Ok(ended(job, title, &Closed { closed: there }))
    }

    async fn recover(&self, job: &Job<'_>) -> Result<Found, Found> {
        recover(self, job).await
    }

    fn doing(&self, _record: &ActionRecord) -> Line {
        Line::new()
            .text("Closing the connection of client ")
            .bold(self.id)
            .text(" of ")
            .code(&self.cache)
    }

    fn subject(&self, _record: &ActionRecord) -> Line {
        Line::new()
            .text(format!(
                "Closing the connection of client {} of ",
                self.id
            ))
            .code(&self.cache)
    }

    fn participle(&self) -> String {
        "worked on".to_owned()
    }

    fn buttons(&self, _service: &ServiceName, _good: bool) -> Vec<Button> {
        let clients = format!("cache clients --cache {}", self.cache);
        vec![Button::new("Clients", clients)]
    }
}
